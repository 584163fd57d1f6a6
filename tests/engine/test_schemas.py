"""Schemas as grammars understand them, and values that follow them or do not."""

import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.engine.references import followable
from omni.engine.schemas import follows, plain, plain_pattern, whole_numbers


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"properties": {"a": True, "b": False}}, {"properties": {"a": {}}}),
        ({"prefixItems": [{}], "items": False}, {"prefixItems": [{}]}),
        ({"items": True}, {"items": {}}),
        ({"type": "object", "properties": None, "required": ["a"]}, {"type": "object", "required": ["a"], "properties": {"a": {}}}),
        ({"const": None, "enum": [None]}, {"const": None, "enum": [None]}),
        ({"pattern": "(?=x)"}, {}),
    ],
)  # fmt: skip
def test_what_no_grammar_is_made_of_is_said_otherwise(schema: Any, found: Any) -> None:
    assert plain(schema) == found


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{4}-\d\d$",
        r"[\w.-]+@x",
        "^a.c$",
        "^[^a]*?$",
        "(?:ab)+",
        r"^\+\$$",
        "^a|b$",
        r"^\/\S+\W\D$",
        r"^\@\#$",
        "x.[^y]",
    ],
)
@given(text=st.text(st.sampled_from('abcx0123@.-+$\\" \n'), max_size=8))
def test_a_plain_pattern_admits_no_other_texts(pattern: str, text: str) -> None:
    found = plain_pattern(pattern)
    assert found is not None
    if re.search(found, text):
        assert re.search(pattern, text)


@pytest.mark.parametrize("pattern", ["a.c", "[^a]*", r"\S", "x"])
def test_a_plain_pattern_stays_plain(pattern: str) -> None:
    found = plain_pattern(pattern)
    assert found is not None
    assert plain_pattern(found) == found


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"items": [{"type": "string"}, True], "additionalItems": True}, {"prefixItems": [{"type": "string"}, {}]}),
        ({"items": [{}], "additionalItems": {"a": True}}, {"prefixItems": [{}], "items": {"a": True}}),
        ({"title": "x", "allOf": [{"$ref": "#/$defs/a"}]}, {"$ref": "#/$defs/a"}),
        ({"type": "object", "allOf": [{"$ref": "#"}]}, {"type": "object", "allOf": [{"$ref": "#"}]}),
        ({"required": True}, {}),
    ],
)
def test_old_ways_of_writing_are_made_new(schema: Any, found: Any) -> None:
    assert plain(schema) == found


def test_a_reference_to_the_whole_becomes_one_to_a_definition() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#"}}}
    found = followable(node)
    assert found["properties"]["next"]["$ref"] in {f"#/$defs/{name}" for name in found["$defs"]}
    assert found["$defs"][found["properties"]["next"]["$ref"].rpartition("/")[2]]["properties"] == found["properties"]
    assert followable({"type": "string"}) == {"type": "string"}


@pytest.mark.parametrize("pattern", [r"\bx", r"(?!x)", r"\p{L}", '"', "[a", "\\", r"(a)\1", "a^b", r"\\"])
def test_a_pattern_beyond_grammars_is_none(pattern: str) -> None:
    assert plain_pattern(pattern) is None


def test_fractions_with_bounds_become_whole() -> None:
    assert whole_numbers({"type": "number", "exclusiveMinimum": 0, "maximum": 2.5}) == {
        "type": "integer",
        "minimum": 1,
        "maximum": 2,
    }
    for kept in (
        {"type": "number"},
        {"type": "number", "minimum": 0.1, "maximum": 0.9},
        {"enum": [{"type": "number"}]},
    ):
        assert whole_numbers(kept) == kept


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"a": {"type": "number", "minimum": 0, "exclusiveMaximum": 2}}, "required": ["a"]},
    {"type": "object", "additionalProperties": {"type": ["string", "null"], "maxLength": 1}},
    {"type": "array", "prefixItems": [{"const": 1}], "items": {"enum": ["x", None]}, "minItems": 1, "maxItems": 3},
    {"anyOf": [{"type": "integer", "multipleOf": 2}, {"type": "string", "pattern": "^x"}]},
    {"$defs": {"n": {"type": "object", "properties": {"a": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"},
    {"allOf": [{"type": "object"}, {"required": ["a"]}]},
    {"type": "object", "properties": {"a": False}, "additionalProperties": False},
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 2, 3, -1, 0.5, 2.0, "", "x", "ax"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=6,
)


@pytest.mark.parametrize("schema", SCHEMAS)
@given(value=VALUES)
def test_a_value_follows_a_schema_or_not(schema: dict[str, Any], value: Any) -> None:
    assert follows(value, schema) == jsonschema_rs.is_valid(schema, value)


@pytest.mark.parametrize(
    "schema", [{"minLength": "x"}, {"$ref": "http://x"}, {"type": 3}, {"pattern": "("}, {"$ref": "#"}]
)
def test_what_is_no_schema_is_no_obstacle(schema: Any) -> None:
    assert follows("x", schema)


def test_no_check_takes_long() -> None:
    backtracks = {"const": "a" * 60 + "!", "type": "string", "pattern": "^(a+)+$"}
    assert follows("a" * 60 + "!", backtracks)  # what a grammar does not keep, nobody checks
    doubled: dict[str, Any] = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(60)}
    assert follows(1, {"$defs": doubled | {"d60": {}}, "allOf": [{"$ref": "#/$defs/d0"}]})
