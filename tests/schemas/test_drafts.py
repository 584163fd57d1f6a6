"""What the draft of a schema knows is what counts, for the grammar and for the proof; all else is a note for people."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest

from omni.schemas import SchemaRefused, compile_schema
from omni.schemas.dialects import DRAFTS
from tests.schemas.walking import admits, grammar_of, walk

ADDRESSES = {draft: address for address, draft in DRAFTS.items()}
LATE = {6: "const, contains, propertyNames", 7: "if", 2019: "dependentRequired, dependentSchemas, unevaluatedItems, unevaluatedProperties, minContains, maxContains", 2020: "prefixItems, $dynamicRef"}  # fmt: skip
# What is wrong by a keyword, where a draft knows it.
WRONG: dict[str, tuple[dict[str, Any], Any]] = {
    "prefixItems": ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, [1]),
    "items": ({"type": "array", "items": {"type": "string"}}, [1]),
    "additionalItems": ({"type": "array", "items": [{"type": "integer"}], "additionalItems": {"type": "string"}}, [1, 2]),
    "additionalItems, alone": ({"type": "array", "items": {"type": "integer"}, "additionalItems": {"type": "string"}}, [1]),
    "unevaluatedItems": ({"type": "array", "items": [{"type": "integer"}], "unevaluatedItems": {"type": "string"}}, [1, 2]),
    "contains": ({"type": "array", "items": {"type": ["integer", "string"]}, "contains": {"type": "string"}}, [1]),
    "minContains": ({"type": "array", "items": {"type": "integer"}, "contains": {}, "minContains": 2}, [1]),
    "maxContains": ({"type": "array", "items": {"type": "integer"}, "contains": {}, "maxContains": 1}, [1, 2]),
    "propertyNames": ({"type": "object", "propertyNames": {"maxLength": 1}, "additionalProperties": {"type": "integer"}}, {"ab": 1}),
    "dependentRequired": ({"type": "object", "properties": {"a": {}, "b": {}}, "dependentRequired": {"a": ["b"]}}, {"a": 1}),
    "dependentSchemas": ({"type": "object", "properties": {"a": {}, "b": {}}, "dependentSchemas": {"a": {"required": ["b"]}}}, {"a": 1}),
    "dependencies": ({"type": "object", "properties": {"a": {}, "b": {}}, "dependencies": {"a": ["b"]}}, {"a": 1}),
    "unevaluatedProperties": ({"type": "object", "unevaluatedProperties": {"type": "string"}}, {"b": 1}),
    "const": ({"type": "integer", "const": 1}, 2),
    "if": ({"type": ["string", "integer"], "if": {}, "then": {"type": "string"}}, 1),
    "a bound that is a number": ({"type": "integer", "exclusiveMinimum": 3}, 3),
    "a bound that is said to be open": ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, 3),
    "$dynamicRef": ({"$dynamicRef": "#/$defs/a", "$defs": {"a": {"type": "string"}}, "type": ["string", "integer"]}, 1),
    "beside a reference": ({"$ref": "#/definitions/a", "definitions": {"a": {"type": ["string", "integer"]}}, "type": "string"}, 1),
    "a format": ({"type": "string", "format": "uuid", "maxLength": 40}, "x"),
}  # fmt: skip


@pytest.mark.parametrize("draft", ADDRESSES)
@pytest.mark.parametrize("name", WRONG)
def test_grammar_and_proof_obey_the_same_keywords(name: str, draft: int) -> None:
    schema, wrong = WRONG[name]
    schema = {"$schema": ADDRESSES[draft], **schema}
    if not jsonschema_rs.meta.is_valid(schema):
        with pytest.raises(SchemaRefused, match="It is no JSON Schema"):
            compile_schema(schema)
        return
    compiled = compile_schema(schema)
    grammar, text = grammar_of(compiled), json.dumps(wrong)
    known = not jsonschema_rs.is_valid(schema, wrong, validate_formats=True)
    assert (compiled.fault_of(text) is not None) == known
    assert not (known and admits(grammar, text))
    for seed in range(4):
        answer = walk(grammar, random.Random(seed))
        assert answer is None or compiled.loose or compiled.fault_of(answer) is None


@pytest.mark.parametrize(
    ("draft", "keyword"), [(first, one) for first, all_ in LATE.items() for one in all_.split(", ")]
)
def test_a_keyword_counts_from_its_draft_on(draft: int, keyword: str) -> None:
    schema, wrong = WRONG[keyword]
    for each, address in ADDRESSES.items():
        asked = {"$schema": address, **schema}
        if jsonschema_rs.meta.is_valid(asked):
            compiled = compile_schema(asked)
            assert (compiled.fault(wrong) is not None) == (each >= draft)
            assert admits(grammar_of(compiled), json.dumps(wrong)) == (each < draft)


def test_what_an_older_draft_does_not_know_refuses_nothing() -> None:
    four, seven = ADDRESSES[4], ADDRESSES[7]
    assert compile_schema({"$schema": four, "type": "string", "format": "uuid", "maxLength": 5}).loose == ()
    assert compile_schema({"$schema": four, "enum": ["a"], "const": "b"}).fault("a") is None
    assert compile_schema({"$schema": seven, "type": "array", "prefixItems": [False], "minItems": 1}).fault([1]) is None
    noted = compile_schema({"$schema": seven, "type": "string", "contentEncoding": "base64"})
    assert (noted.fault("!"), noted.loose) == (None, ())


def test_what_only_an_older_draft_knows_refuses_nothing_either() -> None:
    compiled = compile_schema({"$schema": ADDRESSES[2020], "type": "array", "maxItems": 2, "additionalItems": False})
    assert compiled.fault([1, 2]) is None
    assert admits(grammar_of(compiled), "[1, 2]")


def test_a_part_that_names_another_draft_is_read_as_all_the_others_are() -> None:
    part = {"$schema": ADDRESSES[7], "type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}
    compiled = compile_schema({"type": "object", "properties": {"a": part}, "required": ["a"]})
    assert (compiled.document.draft, compiled.loose) == (2020, ())
    assert compiled.fault({"a": ["x", 1]}) is None
    assert admits(grammar_of(compiled), '{"a": ["x", 1]}')
    assert not admits(grammar_of(compiled), '{"a": [1, 1]}')


def test_a_whole_number_of_draft_4_is_written_as_one() -> None:
    schema = {"type": "integer", "enum": [1.0, 2.5]}
    four, six = ({"$schema": ADDRESSES[draft], **schema} for draft in (4, 6))
    assert compile_schema(four).fault_of("1.0") is not None
    assert compile_schema(six).fault_of("1.0") is None
    grammar = grammar_of(compile_schema(four))
    assert (admits(grammar, "1"), admits(grammar, "1.0"), admits(grammar, "2.5")) == (True, False, False)
    assert compile_schema(four).fault_of("1") is None


@pytest.mark.parametrize("draft", ADDRESSES)
def test_a_property_that_says_itself_that_it_is_required_is_refused_with_what_would_do(draft: int) -> None:
    person: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string", "required": True}}}
    with pytest.raises(SchemaRefused) as refused:
        compile_schema({"$schema": ADDRESSES[draft], "properties": {"person": person}})
    assert (refused.value.keyword, refused.value.place) == ("required", "#/properties/person/properties/name")
    assert refused.value.hint == 'Name it in a list instead: at #/properties/person say "required": ["name"].'
    person["properties"]["name"]["required"] = False
    with pytest.raises(SchemaRefused) as refused:
        compile_schema({"$schema": ADDRESSES[draft], "properties": {"person": person}})
    assert refused.value.hint == "Leave it out: what no list `required` names may be left out."
