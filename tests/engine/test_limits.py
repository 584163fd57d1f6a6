"""Schemas that would keep an engine busy, or end it, are refused; those of real tools are not."""

from typing import Any

import pytest

from omni.core.errors import UsageError
from omni.engine import ChatRequest, Message, Tool, check_schema
from omni.engine.calling import checked, told
from omni.engine.patterns import choices, plain_pattern

ITSELF = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "type": "object", "allOf": [{"$ref": "#/$defs/a"}]}
ANOTHER = {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
# Each property is written in place, with itself in it.
WITHIN = {
    "$defs": {"a": {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"required": ["a"]}]}}}},
    "allOf": [{"$ref": "#/$defs/a"}],
}
# As pydantic 1 writes what may be left out, and OpenAPI 3.0 what may be null.
WORDS = {
    "definitions": {
        "a": {"properties": {"a": {"description": "x", "allOf": [{"$ref": "#/definitions/a"}], "nullable": True}}}
    },
    "$ref": "#/definitions/a",
}
DOUBLED = {
    "$defs": {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(30)} | {"d30": {}},
    "allOf": [{"$ref": "#/$defs/d0"}],
}


def nested(levels: int) -> Any:
    found: Any = {}
    for _ in range(levels):
        found = {"items": found}
    return found


def optional(number: int) -> Any:
    return {"type": "object", "properties": {f"p{at}": {} for at in range(number)}}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (ITSELF, "holds itself"),
        (ANOTHER, "holds itself"),
        (WITHIN, "holds itself"),
        ({"$ref": "#"}, "holds itself"),
        (DOUBLED, "references followed"),
        (nested(64), "64 levels"),
        ({"allOf": [{}] * 6000}, "5,000 parts"),
        ({"enum": list(range(1001))}, "1,000 values"),
        ({"anyOf": [{"enum": list(range(300))}] * 4}, "1,000 values"),
        (optional(129), "128 optional"),
        ({"properties": {f"p{at}": {"$ref": f"#/{at}"} for at in range(101)}, "required": [f"p{at}" for at in range(101)]}, "100 diff"),
        ({"description": "x" * (1 << 17)}, "131,072 bytes"),
        ({"anyOf": [{"pattern": f"^(a?b?c?){{16}}{at}$"} for at in range(11)]}, "500 optional parts"),
    ],
    ids=["itself", "another", "within", "root", "doubled", "deep", "wide", "enum", "enums", "optional", "references", "long", "patterns"],
)  # fmt: skip
def test_what_is_too_much_is_refused_at_once(schema: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_schema(schema)
    with pytest.raises(UsageError, match=said):
        checked(ChatRequest(messages=(), schema=schema))
    with pytest.raises(UsageError, match=said):
        checked(ChatRequest(messages=(), tools=(Tool(name="x", parameters=schema),)))


@pytest.mark.parametrize(
    "schema",
    [
        WORDS,
        nested(63),
        optional(128),
        {"enum": list(range(1000))},
        {"properties": {"enum": {"$ref": "#"}, "$ref": {"type": "string"}, "required": {}}},
        {"$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}, "allOf": [{"$ref": "#/$defs/node"}]},
        {"$ref": "#/$defs/nowhere"},
        {"allOf": 3, "enum": 4, "properties": [], "required": {}, "$ref": 5},
    ],
)
def test_what_is_not_too_much_is_left_alone(schema: Any) -> None:
    check_schema(schema)


def test_definitions_that_refer_to_each_other_in_a_chain_are_an_error_in_words() -> None:
    chain = {f"d{at}": nested(40) | {"not": {"$ref": f"#/$defs/d{at + 1}"}} for at in range(99)}
    tool = Tool(name="x", parameters={"$defs": chain | {"d99": {}}, "properties": {"a": {"$ref": "#/$defs/d0"}}})
    request = ChatRequest(messages=(Message(role="user", content="x"),), tools=(tool,), tool_choice="required")
    for density in (None, 1):
        try:
            told(checked(request), template=True, density=density)
        except UsageError as error:
            assert "too often" in error.message or "parts" in error.message  # noqa: PT017 - either is right


@pytest.mark.parametrize(
    ("pattern", "number"),
    [
        ("^[0-9]{4}$", 0),
        ("a?", 1),
        ("(a?b?){10}", 20),
        ("((a?b?){10}c?){10}", 210),
        ("([a-z]{1,20}-){1,20}", 21),
        ("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", 2),
        ("(a*)*", 2),
        ("[]", 0),
        ("(a{0,3", 0),
        ("[?*+]{3}", 0),
        (r"\?\*\{2,3}", 0),
        ("([a-z]{0,40}){40}", 1600),
        ("([a-z]{0,40}|-){40}", 1600),
        ("([a-z]{0,40}-){40}", 40),
        ("(a?|b)(c{,3}){2,}", 8),
        ("(a{2,})+", 2),
    ],
)
def test_what_may_be_left_out_is_counted(pattern: str, number: int) -> None:
    assert choices(pattern) == number


@pytest.mark.parametrize("pattern", ["^(a?b?c?){30}$", "(((a?){9}){9}){9}", "a?" * 60, "a" * 1001])
def test_a_pattern_that_takes_for_ever_is_not_made_a_grammar(pattern: str) -> None:
    assert plain_pattern(pattern) is None
