"""What is said of a schema that is refused, and of an answer that does not follow one: one sentence with the keyword, its
place, what was found there and what stands against it; and what to do."""

from typing import Any

import pytest

from omni.engine.proving import unfollowed
from omni.schemas import TOO_LARGE, SchemaRefused, compile_schema
from omni.schemas.compiled import MOST_SYMBOLS

NOTHING, NONE, MUCH = "Nothing can be as the schema says: ", "It is no JSON Schema: ", "The schema cannot be kept: "
CHANGE, CORRECT, LESS = "Change it, or what stands against it.", "Correct it there.", "Ask for less there."
OTHER = "Within a schema it leads to # (the whole) or to #/$defs/NAME."
FOUR = "http://json-schema.org/draft-04/schema#"
LOOP = {"type": "object", "properties": {"next": {"$ref": "#/$defs/loop"}}, "required": ["next"]}

SAID: list[tuple[Any, str, str]] = [
    # what excludes each other
    (False, NOTHING + "the part at # is false, which allows nothing.", CHANGE),
    ({"$defs": {"x": False}, "$ref": "#/$defs/x"}, NOTHING + "`$ref` at # leads to false, which allows nothing.", CHANGE),
    ({"allOf": [{"type": "string"}, {"type": ["integer", "null"]}]}, NOTHING + "`type` at #/allOf/1 allows integer or null, the rest of it only string.", CHANGE),
    ({"const": 3, "type": "string"}, NOTHING + "`const` at # names no value that the rest of it allows.", CHANGE),
    ({"enum": ["a"], "pattern": "^b"}, NOTHING + "`enum` at # names no value that the rest of it allows.", CHANGE),
    ({"type": "string", "allOf": [{"minLength": 3}, {"maxLength": 2}]}, NOTHING + "`maxLength` at #/allOf/1 is 2, and `minLength` at #/allOf/0 is 3.", CHANGE),
    ({"type": "string", "pattern": "a^"}, NOTHING + "`pattern` at # is found in no text at all.", CHANGE),
    ({"type": "string", "pattern": "^[a-c]{2}$", "minLength": 3}, NOTHING + "`pattern` at # is found in no text that the rest of it allows.", CHANGE),
    ({"type": "string", "format": "uuid", "allOf": [{"maxLength": 35}]}, NOTHING + "`format` at # is 'uuid', and nothing of that format is as `maxLength` at #/allOf/0 says.", CHANGE),
    ({"items": {"type": "string", "format": "ipv4", "minLength": 16}, "type": "array", "minItems": 1}, NOTHING + "`format` at #/items is 'ipv4', and nothing of that format is as `minLength` at #/items says.", CHANGE),
    ({"type": "string", "format": "date", "pattern": "^x"}, NOTHING + "`format` at # is 'date', and nothing of that format is as `pattern` at # says.", CHANGE),
    ({"type": "string", "allOf": [{"format": "uuid"}, {"format": "ipv6"}]}, NOTHING + "`format` at #/allOf/1 is 'ipv6', and nothing of that format is as `format` at #/allOf/0 says.", CHANGE),
    ({"type": "string", "format": "time", "pattern": "Z$", "not": {"pattern": "Z"}}, NOTHING + "`pattern` at #/not is found in no text that the rest of it allows.", CHANGE),
    ({"type": "string", "maxLength": 0, "not": {"const": ""}}, NOTHING + "`not` at # denies all texts that the rest of it allows.", CHANGE),
    ({"type": "number", "exclusiveMinimum": 3, "maximum": 2}, NOTHING + "`exclusiveMinimum` at # leaves no number: above 3 to 2 there is none.", CHANGE),
    ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, NOTHING + "`minimum` at # leaves no whole number: from 1.2 to 1.8 there is none.", CHANGE),
    ({"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19}, NOTHING + "`multipleOf` at # leaves no number: from 11 to 19 there is no multiple of 10.", CHANGE),
    ({"type": "array", "prefixItems": [{}], "items": False, "minItems": 2}, NOTHING + "`minItems` at # asks for 2 items, and there can be 1.", CHANGE),
    ({"type": "array", "contains": {}, "minContains": 3, "maxItems": 2}, NOTHING + "`contains` at # asks for 3 items, and there can be 2.", CHANGE),
    ({"type": "array", "items": {"type": "null"}, "contains": {"type": "string"}}, NOTHING + "`contains` at # asks for an item that the rest of it does not allow.", CHANGE),
    ({"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3}, NOTHING + "`uniqueItems` at # asks for 3 different items, and there are 2.", CHANGE),
    ({"type": "object", "required": ["a"], "additionalProperties": False}, NOTHING + "`required` at # names 'a', which cannot be there.", CHANGE),
    ({"type": "object", "maxProperties": 1, "required": ["a", "b"]}, NOTHING + "`maxProperties` at # is 1, and 2 must be there.", CHANGE),
    ({"type": "object", "properties": {"x": {}}, "minProperties": 2, "additionalProperties": False}, NOTHING + "`minProperties` at # asks for 2, and there can be 1.", CHANGE),
    ({"not": {}}, NOTHING + "`not` at # denies everything.", CHANGE),
    ({"type": "boolean", "not": {"enum": [True, False]}}, NOTHING + "`not` at # denies all that the rest of it allows.", CHANGE),
    ({"type": "string", "not": {"type": "string"}}, NOTHING + "`not` at # denies every type that the rest of it allows.", CHANGE),
    ({"oneOf": [{"type": "string"}, {"type": "string"}]}, NOTHING + "`oneOf` at # has no option that the rest of it allows.", CHANGE),
    ({"anyOf": [False, False]}, NOTHING + "`anyOf` at # has no option that anything can be as.", CHANGE),
    # what has no end
    ({"$defs": {"loop": LOOP}, "type": "object", "properties": {"a": {"$ref": "#/$defs/loop"}}, "required": ["a"]}, NOTHING + "`$ref` at #/properties/a leads to what holds it, and so on without end.", "Let what holds itself be left out, or be null."),
    ({"anyOf": [{"$ref": "#"}]}, MUCH + "`anyOf` at # leads back to itself.", "Say each thing once, in a part that leads no further."),
    # references
    ({"$defs": {"person": {}}, "$ref": "#/$defs/persn"}, "`$ref` at # leads to '#/$defs/persn', where no schema is.", "Did you mean '#/$defs/person'?"),
    ({"items": {"$ref": "#nowhere"}}, "`$ref` at #/items leads to '#nowhere', where no schema is.", OTHER),
    ({"items": {"$ref": "https://example.com/other.json"}}, "`$ref` at #/items leads out of the schema, to 'https://example.com/other.json', and nothing is fetched.", "Put what it leads to under `$defs`."),
    ({"$ref": 3}, NONE + "`$ref` at # must be a text; 3 was sent.", OTHER),
    # what is no schema
    ({"type": "objekt"}, NONE + '`type` at # must be one of null, boolean, integer, number, string, array and object, or a list of some, each once; "objekt" was sent.', CORRECT),
    ({"properties": {"a": {"minLength": -1}}}, NONE + "`minLength` at #/properties/a must be a whole number from 0 up; -1 was sent.", CORRECT),
    ({"properties": {"a": 3}}, NONE + "`properties` at # must be an object of schemas; 3 was sent at #/properties/a.", CORRECT),
    ({"items": {"anyOf": [True, 3]}}, NONE + "`anyOf` at #/items must be a list of schemas, at least one; 3 was sent at #/items/anyOf/1.", CORRECT),
    ({"properties": {"type": {"required": ["b", 3]}}}, NONE + "`required` at #/properties/type must be a list of names, each once; 3 was sent at #/properties/type/required/1.", CORRECT),
    ({"type": "string", "pattern": "("}, NONE + '`pattern` at # must be a regular expression; "(" was sent.', CORRECT),
    ({"type": "string", "pattern": "a++"}, NONE + "`pattern` at # is no regular expression: a repetition of nothing (at character 3).", CORRECT),
    ({"$schema": FOUR, "exclusiveMinimum": 3, "minimum": 1}, NONE + "`exclusiveMinimum` at # must be true or false in draft 4, beside a `minimum`; 3 was sent.", CORRECT),
    ({"$schema": FOUR, "items": {"exclusiveMinimum": True}}, NONE + "`exclusiveMinimum` at #/items needs `minimum` beside it in draft 4.", CORRECT),
    ({"$schema": FOUR.replace("4", "7"), "maximum": 3, "exclusiveMaximum": True}, NONE + "`exclusiveMaximum` at # must be a number; true was sent.", CORRECT),
    ({"type": "integer", "multipleOf": 1.5, "minimum": 1, "maximum": 2}, NOTHING + "`multipleOf` at # leaves no whole number: from 1 to 2 there is no multiple of 1.5.", CHANGE),
    ({"type": "number", "multipleOf": 1.5, "allOf": [{"multipleOf": 4}], "minimum": 1, "maximum": 11}, NOTHING + "`multipleOf` at #/allOf/0 leaves no number: from 1 to 11 there is no multiple of 1.5 and 4.", CHANGE),
    ("string", 'A schema is an object, true or false; "string" was sent.', '{"type": "object"} is one.'),
    # what is too much
    ({"type": "array", "minItems": 10**6}, MUCH + "`minItems` at # asks for 1,000,000 items, and 10,000 can be kept.", LESS),
    ({"type": "object", "minProperties": 10**6}, MUCH + "`minProperties` at # asks for 1,000,000 properties, and 10,000 can be kept.", LESS),
    ({"type": "object", "properties": {"a": {"type": "string", "minLength": 10**6}}, "required": ["a"]}, MUCH + "`minLength` at #/properties/a asks for 1,000,011 characters at least, which no context holds.", LESS),
    ({"type": "array", "minItems": 9000, "items": {"type": "array", "minItems": 9000}}, MUCH + "`minItems` at # asks for 243,036,002 characters at least, which no context holds.", LESS),
    ({"type": "integer", "maximum": -(10**60)}, MUCH + "`maximum` at # is beyond what can be written out.", LESS),
    ({"type": "integer", "multipleOf": 3, "not": {"multipleOf": 3}}, NOTHING + "`not` at # denies what must hold.", CHANGE),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "message", "hint"), SAID, ids=[said for _, said, _ in SAID])
def test_a_refusal_is_one_sentence_with_the_keyword_and_its_place(schema: Any, message: str, hint: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        compile_schema(schema)
    error = refused.value
    assert (error.message, error.hint) == (message, hint)
    assert error.place.startswith("#")
    assert f"`{error.keyword}` at {error.place} " in message or not error.keyword


def test_what_was_sent_is_not_quoted_at_length() -> None:
    with pytest.raises(SchemaRefused) as refused:
        compile_schema({"required": "x" * 5000})
    assert len(refused.value.message) < 300
    assert " … " in refused.value.message


def test_a_schema_of_too_many_parts_is_told_by_their_number() -> None:
    whole = {"prefixItems": [{"minimum": at} for at in range(12_001)]}
    with pytest.raises(SchemaRefused) as refused:
        compile_schema(whole)
    assert refused.value.message == (
        MUCH + "the part at # leads to more than 12,000 different parts, counting what is joined of several."
    )


def test_a_grammar_that_is_too_large_is_told_by_its_size() -> None:
    counted = {
        "type": "object",
        "maxProperties": 16,
        "properties": {f"p{at}": {"$ref": "#/$defs/none"} for at in range(200)},
    }
    items = [{**counted, "required": [f"p{at}"]} for at in range(6)]
    with pytest.raises(SchemaRefused) as refused:
        compile_schema({"$defs": {"none": {"type": "null"}}, "type": "array", "prefixItems": items, "minItems": 6})
    assert refused.value.message == f"{MUCH}it makes a grammar of more than {MOST_SYMBOLS:,} symbols."
    assert refused.value.hint == "Ask for fewer alternatives, or for less in them."


def test_an_answer_that_does_not_follow_is_told_with_the_keyword_and_both_places() -> None:
    compiled = compile_schema({"type": "object", "properties": {"a": {"type": "array", "items": {"minProperties": 2}}}})
    fault = compiled.fault({"a": [{}, {"x": 1}]})
    assert fault is not None
    error = unfollowed(fault)
    assert error.message == (
        "The brain's answer does not follow the schema: `minProperties` at #/properties/a/items is not kept, since at "
        "#/a/0 of the answer {} has less than 2 properties."
    )
    assert error.hint == "Allow a higher temperature, ask in other words, or leave out that keyword."


def test_an_answer_that_is_no_json_is_told_as_that() -> None:
    fault = compile_schema({}).fault_of("{")
    assert fault is not None
    error = unfollowed(fault)
    assert (error.message, error.hint) == (
        "The brain's answer does not follow the schema: it is no JSON.",
        "Ask in other words.",
    )


@pytest.mark.parametrize(
    ("schema", "loose"),
    [
        ({"items": {"type": "object", "minProperties": 2}}, ("minProperties", "#/items")),
        ({"items": {"type": "array", "items": {"type": "integer"}, "not": {"const": []}}}, ("not", "#/items")),
    ],
)
def test_what_no_grammar_keeps_is_named_with_its_place(schema: Any, loose: tuple[str, str]) -> None:
    assert [tuple(one) for one in compile_schema({"type": "array", **schema}).loose] == [loose]


def test_of_an_answer_that_is_too_much_to_be_proved_nobody_says_that_it_does_not_follow() -> None:
    error = unfollowed(TOO_LARGE)
    assert error.message == (
        "Nobody knows whether the brain's answer follows the schema: to prove it would take too long."
    )
    assert error.hint == "Ask for less, or send a schema with fewer alternatives."
