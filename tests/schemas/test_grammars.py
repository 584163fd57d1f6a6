"""What a grammar admits follows its schema, keyword by keyword; what is refused says which keyword, and where."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest

from omni.schemas import Grammar, SchemaRefused, compile_schema
from tests.schemas.walking import admits, grammar_of, walk

OBJECT = {"type": "object"}
NODE = {
    "$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/node"}}, "required": ["value"], "additionalProperties": False}},
    "$ref": "#/$defs/node",
}  # fmt: skip
SHAPES = [
    {"properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0}}, "required": ["kind", "radius"]},
    {"properties": {"kind": {"const": "square"}, "side": {"type": "number", "minimum": 1, "maximum": 9.5}}, "required": ["kind", "side"]},
]  # fmt: skip

# A name, and a schema all of whose keywords a grammar keeps.
KEPT: dict[str, Any] = {
    "anything": {},
    "true": True,
    "types": {"type": ["null", "boolean", "integer"]},
    "a type in a list": {"type": ["object"], "properties": {"a": {"type": "string"}}},
    "constants": {"const": {"a": [1, None, "x/y\n\u00e9"]}},
    "values of any kind": {"enum": ["a", 1, 1.5, None, True, [1, {"b": 2}], "\u2028\"\\"]},
    "values and a type": {"type": "string", "enum": ["a", 1, "b"]},
    "values and a pattern": {"enum": ["ab", "b", "abc", 3], "pattern": "^a"},
    "values and bounds": {"enum": [1, 5, 9, "x"], "minimum": 4, "type": "integer"},
    "whole numbers": {"type": "integer", "minimum": -17, "exclusiveMaximum": 240},
    "whole numbers between fractions": {"type": "integer", "minimum": 1.5, "maximum": 7.5},
    "fractions": {"type": "number", "minimum": -0.5, "maximum": 2.25},
    "open bounds": {"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.11},
    "bounds of draft 4": {"$schema": "http://json-schema.org/draft-04/schema#", "type": "number", "minimum": 0, "exclusiveMinimum": True},
    "multiples": {"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 100},
    "multiples of a fraction": {"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 9},
    "cents": {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 20},
    "two multiples": {"type": "integer", "allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "minimum": 0, "maximum": 400},
    "multiples below zero": {"type": "integer", "multipleOf": 3, "maximum": -1},
    "multiples between bounds below zero": {"type": "array", "items": {"type": "number", "multipleOf": 0.5, "minimum": -10, "exclusiveMaximum": 0}, "minItems": 1, "maxItems": 3},
    "multiples around zero": {"type": "number", "multipleOf": 2.5, "minimum": -6, "maximum": 6},
    "multiples up to zero": {"type": "integer", "multipleOf": 4, "exclusiveMinimum": -4, "maximum": 0},
    "multiples without bounds": {"type": "number", "multipleOf": 0.7},
    "whole multiples of a fraction": {"type": "integer", "multipleOf": 1.5, "minimum": 2},
    "multiples of a day": {"type": "integer", "multipleOf": 86400, "not": {"const": 0}},
    "multiples of a large number": {"type": "integer", "multipleOf": 1000000007, "maximum": -5},
    "multiples of a fine fraction": {"type": "number", "multipleOf": 0.3333, "minimum": 1},
    "lengths": {"type": "string", "minLength": 3, "maxLength": 5},
    "a pattern and lengths": {"type": "string", "pattern": "^[a-c]+$", "minLength": 3, "maxLength": 4},
    "a pattern anywhere": {"type": "string", "pattern": "ab|cd", "maxLength": 8},
    "classes": {"type": "string", "pattern": r"^\d{2}\s?\w+\S$", "maxLength": 9},
    "looks ahead": {"type": "string", "pattern": r"^(?=.*\d)(?!.*--)[a-z0-9-]{4,9}$"},
    "edges of words": {"type": "string", "pattern": r"\bfoo\b", "maxLength": 9},
    "two patterns": {"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "z$"}], "maxLength": 6},
    "not a pattern": {"type": "string", "pattern": "^[a-z]{1,4}$", "not": {"pattern": "a"}},
    "quotes in a pattern": {"type": "string", "pattern": r'^["\\/\n]+$', "maxLength": 4},
    "formats": {
        "type": "object",
        "properties": {name: {"type": "string", "format": name} for name in ("date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "uri", "hostname", "duration", "json-pointer", "regex", "uri-reference")},
        "required": ["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "uri", "hostname", "duration", "json-pointer", "regex", "uri-reference"],
    },
    "a format and a length": {"type": "string", "format": "date", "minLength": 10},
    "items": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    "no items": {"type": "array", "items": False},
    "tuples": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": {"type": "null"}},
    "tuples without a rest": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False, "minItems": 1},
    "tuples of draft 7": {"type": "array", "items": [{"type": "integer"}, {"type": "string"}], "additionalItems": False},
    "different values": {"type": "array", "items": {"enum": ["a", "b", "c", 1, 1.0]}, "uniqueItems": True, "minItems": 2},
    "different truths": {"type": "array", "items": {"type": ["boolean", "null"]}, "uniqueItems": True},
    "contains": {"type": "array", "items": {"type": ["integer", "string"]}, "contains": {"type": "string", "pattern": "^x"}, "maxItems": 4},
    "contains behind a tuple": {"type": "array", "prefixItems": [{"type": "null"}], "contains": {"const": 7}, "maxItems": 3},
    "contains so many": {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 5}, "minContains": 2, "maxContains": 2, "maxItems": 5},
    "properties": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["b"]},
    "required without a word": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["z", "a"]},
    "no others": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
    "others": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "boolean"}},
    "a property that must not be": {"type": "object", "properties": {"a": False, "b": {"type": "null"}}, "additionalProperties": {"type": "integer"}},
    "names by patterns": {"type": "object", "patternProperties": {"^x-": {"type": "integer"}, "y$": {"minimum": 3}}, "additionalProperties": {"type": "null"}},
    "names by patterns only": {"type": "object", "properties": {"x-a": {"maximum": 2}}, "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
    "names": {"type": "object", "propertyNames": {"pattern": "^[a-z]{1,3}$"}, "additionalProperties": {"type": "integer"}},
    "names that are listed": {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "properties": {"a": {"type": "null"}, "c": {}}},
    "at least so many": {"type": "object", "properties": {"a": {}, "b": {"type": "null"}, "c": {"type": "null"}}, "minProperties": 2, "additionalProperties": False},
    "at least so many that must be there": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "required": ["a", "b"], "minProperties": 2},
    "at least fewer than must be there": {"type": "object", "properties": {"x": {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["a", "b", "c"], "minProperties": 2, "additionalProperties": False}}, "required": ["x"]},
    "at least very many": {"type": "object", "properties": {f"p{at}": {"type": "null"} for at in range(24)}, "minProperties": 20},
    "at most so many": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "maxProperties": 2, "required": ["c"]},
    "what needs others": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "dependentRequired": {"a": ["b"], "b": ["c"]}},
    "what needs others that have no name": {"type": "object", "required": ["c"], "additionalProperties": {"type": "integer"}, "propertyNames": {"enum": ["a", "b", "c"]}, "dependentRequired": {"a": ["b"]}},
    "what needs others by a pattern": {"type": "object", "patternProperties": {"^[ab]$": {"type": "null"}}, "additionalProperties": False, "dependentRequired": {"a": ["b"]}},
    "what needs others and nothing more": {"type": "object", "propertyNames": {"maxLength": 1}, "dependentRequired": {"a": ["b"]}},
    "what needs others of draft 7": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "dependencies": {"a": ["b"], "b": {"required": ["c"]}}},
    "what brings a schema": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "integer"}}, "dependentSchemas": {"a": {"required": ["b"], "properties": {"b": {"minimum": 5}}}}},
    "nothing that nobody spoke of": {"type": "object", "allOf": [{"properties": {"a": {"type": "null"}}}], "properties": {"b": {"type": "null"}}, "unevaluatedProperties": False},
    "nothing that an option that does not hold spoke of": {"type": "object", "properties": {"k": {"enum": ["a", "b"]}}, "required": ["k"], "oneOf": [{"properties": {"k": {"const": "a"}, "x": {"type": "number"}}}, {"properties": {"k": {"const": "b"}}}], "unevaluatedProperties": False},
    "nothing that a condition that does not hold spoke of": {"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}, "if": {"properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}, "required": ["kind", "n"]}, "then": {"properties": {"m": {"type": "null"}}}, "unevaluatedProperties": False},
    "nothing that what must not be spoke of": {"type": "object", "properties": {"b": {"type": "null"}}, "not": {"not": {"properties": {"a": {"type": "null"}}}}, "unevaluatedProperties": False},
    "what is spoken of where it must not be": {"type": "object", "properties": {"b": {"type": "null"}}, "not": {"not": {"properties": {"a": {"type": "null"}}, "unevaluatedProperties": False}}},
    "no items but what it must contain": {"type": "array", "contains": {"type": "boolean"}, "unevaluatedItems": False, "maxItems": 3},
    "no items that an option that does not hold spoke of": {"type": "array", "oneOf": [{"prefixItems": [{"const": 1}, {"type": "null"}], "minItems": 1}, {"prefixItems": [{"const": 2}], "minItems": 1}], "unevaluatedItems": False},
    "no items that nobody spoke of": {"type": "array", "prefixItems": [{"type": "null"}], "unevaluatedItems": False},
    "any of": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "integer"}]},
    "any of, and more": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "anyOf": [{"properties": {"b": {"type": "null"}}, "required": ["b"]}, {"properties": {"c": {"type": "null"}}, "required": ["c"]}]},
    "one of, by a word": {"type": "object", "oneOf": SHAPES},
    "one of, overlapping": {"oneOf": [{"type": "integer", "maximum": 300, "multipleOf": 3}, {"type": "integer", "minimum": 100, "multipleOf": 3}]},
    "one of, overlapping objects": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    "one of, closed objects": {"oneOf": [{"type": "object", "properties": {"id": {"type": "null"}}, "additionalProperties": False}, {"type": "object", "properties": {"id": {"type": "null"}, "name": {"type": "null"}}, "additionalProperties": False}]},
    "one of, other closed objects": {"oneOf": [{"type": "object", "properties": {name: {"type": "null"}}, "additionalProperties": False} for name in "ab"]},
    "one of, closed objects by a word": {"oneOf": [{"type": "object", "properties": {"k": {"const": at}, "q": {"format": "date"}}, "additionalProperties": False, "required": ["k"]} for at in range(3)]},
    "one of, with words": {"oneOf": [{"const": "a", "title": "A"}, {"const": "b", "title": "B"}]},
    "all of": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 9}]},
    "all of objects": {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 5}, "b": {"type": "null"}}, "required": ["b"]}]},
    "not a type": {"not": {"type": ["object", "array", "number"]}},
    "not a value": {"type": "integer", "minimum": 1, "maximum": 5, "not": {"enum": [2, 4]}},
    "not both": {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "not": {"required": ["a", "b"]}},
    "not this property": {"type": "object", "properties": {"a": {"enum": [1, 2, 3]}}, "required": ["a"], "not": {"properties": {"a": {"const": 2}}}},
    "if": {"type": "object", "properties": {"k": {"enum": [1, 2]}, "x": {"type": "null"}, "y": {"type": "null"}}, "required": ["k"], "if": {"properties": {"k": {"const": 1}}}, "then": {"required": ["x"]}, "else": {"required": ["y"]}},
    "many ifs": {"type": "object", "properties": {"k": {"enum": ["a", "b", "c"]}}, "required": ["k"], "allOf": [{"if": {"properties": {"k": {"const": key}}}, "then": {"properties": {key: {"type": "integer"}}, "required": [key]}} for key in "abc"]},
    "beside a reference": {"$defs": {"a": {"type": "object", "properties": {"x": {"type": "integer"}}}}, "$ref": "#/$defs/a", "required": ["x"]},
    "beside a reference of draft 7": {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"type": "integer"}}, "$ref": "#/definitions/a", "type": "string"},
    "recursion": NODE,
    "recursion by the root": {"type": "object", "properties": {"value": {"type": "null"}, "child": {"$ref": "#"}}, "required": ["value"], "additionalProperties": False},
    "recursion by alternatives": {"$defs": {"tree": {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}]}}, "$ref": "#/$defs/tree"},
    "escaped pointers": {"$defs": {"a/b~c d": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/a~1b~0c%20d"}, "minItems": 1, "maxItems": 2},
    "anchors": {"$defs": {"a": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"},
    "its own address": {"$id": "https://example.com/s.json", "$defs": {"a": {"type": "integer"}}, "$ref": "https://example.com/s.json#/$defs/a"},
    "an address within": {"$defs": {"a": {"$id": "https://example.com/a", "$defs": {"b": {"type": "null"}}, "$ref": "#/$defs/b"}}, "$ref": "https://example.com/a"},
    "an id of draft 7": {"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"a": {"$id": "#here", "type": "integer"}}, "$ref": "#here"},
    "dynamic references": {"$defs": {"a": {"$dynamicAnchor": "t", "type": "integer"}}, "$dynamicRef": "#t"},
    "keywords that are null": {"type": "object", "properties": {"a": {"type": "integer", "minimum": None, "description": None}}, "required": None},
    "notes": {"type": "integer", "title": "x", "$comment": "y", "deprecated": True, "x-order": 3, "nullable": True, "example": 4},
    "no type": {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "names that look like escapes": {"type": "object", "properties": {"a\"b": {"type": "integer"}, "c\\d": {"type": "null"}, "e\u00e9": {"type": "null"}}, "required": ["a\"b", "c\\d", "e\u00e9"], "additionalProperties": False},
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_all_that_a_grammar_admits_follows_its_schema(name: str) -> None:
    compiled = compile_schema(KEPT[name])
    assert not compiled.loose
    grammar, chance = grammar_of(compiled), random.Random(name)
    assert not compiled.sifts_items
    texts = [walk(grammar, chance) for _ in range(12)]
    assert any(text is not None for text in texts)
    for text in texts:
        assert text is None or compiled.fault_of(text) is None, text


@pytest.mark.parametrize("name", KEPT)
def test_what_is_as_short_as_can_be_follows_its_schema(name: str) -> None:
    compiled = compile_schema(KEPT[name])
    text = walk(grammar_of(compiled, 1), random.Random(name))
    assert text is not None
    assert compiled.fault_of(text) is None


@pytest.mark.parametrize("characters", [2000, 200, 60, 5])
@pytest.mark.parametrize(
    "name",
    [
        "anything",
        "recursion",
        "formats",
        "others",
        "items",
        "lengths",
        "one of, by a word",
        "recursion by alternatives",
    ],
)
def test_a_grammar_with_an_end_admits_nothing_that_is_much_longer(name: str, characters: int) -> None:
    compiled = compile_schema(KEPT[name])
    grammar, chance = grammar_of(compiled, characters), random.Random(name)
    shortest = [walk(grammar_of(compiled, 1), chance) for _ in range(6)]
    least = min(len(text) for text in shortest if text is not None)
    for _ in range(12):
        text = walk(grammar, chance, longest=20_000)
        assert text is not None
        assert compiled.fault_of(text) is None, text
        plain = json.dumps(json.loads(text), ensure_ascii=False)
        assert len(plain) <= max(3 * characters, 4 * least + 150)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, '{"a": 5}'),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, '{\n    "a": 5\n}'),
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, '{"a":5}'),
        ({"type": "array", "items": {"type": "string"}}, '[ "a", "\\n\\"\\\\b", "日本" ]'),
        ({"type": "number"}, "-12.5e+10"),
        ({"type": "string", "format": "date-time"}, '"2026-11-30T12:00:00.5+01:00"'),
        ({"type": "string", "format": "uri"}, '"https://example.com:8080/a/b?c=d&e=%20#f"'),
        ({"type": "string", "format": "email"}, '"first.last+tag@mail.example.org"'),
        ({"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True}, '["a", "c"]'),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, '{"any name": 1, "ü": 2}'),
    ],
)  # fmt: skip
def test_what_people_write_is_admitted(schema: Any, text: str) -> None:
    assert admits(grammar_of(compile_schema(schema)), text)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "string"}}, '{"\\u0061": "x"}'),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"a": "x"}'),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, '{"b": 1}'),
        ({"type": "integer"}, "1.0"),
        ({"type": "integer"}, "007"),
        ({"type": "string"}, '"a\nb"'),
        ({"type": "string", "format": "date"}, '"2026-02-30"'),
        ({"type": "string", "format": "date"}, '"2025-02-29"'),
        ({"enum": ["a"]}, ' "a"'),
    ],
)  # fmt: skip
def test_what_does_not_follow_or_was_not_asked_for_is_not_admitted(schema: Any, text: str) -> None:
    assert not admits(grammar_of(compile_schema(schema)), text)


@pytest.mark.parametrize(
    ("schema", "keyword", "place"),
    [
        (False, "", "#"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "type", "#/allOf/1"),
        ({"type": "number", "minimum": 3, "maximum": 2}, "minimum", "#"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "minimum", "#"),
        ({"type": "integer", "multipleOf": 10, "minimum": 11, "maximum": 19}, "multipleOf", "#"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "maxLength", "#"),
        ({"type": "string", "pattern": "a^"}, "pattern", "#"),
        ({"type": "string", "pattern": "^[a-c]{2}$", "minLength": 3}, "pattern", "#"),
        ({"type": "string", "allOf": [{"pattern": "^a"}, {"pattern": "^b"}]}, "pattern", "#/allOf/1"),
        ({"enum": [1, 2], "type": "string"}, "enum", "#"),
        ({"enum": ["a"], "pattern": "^b"}, "enum", "#"),
        ({"const": 1, "enum": [2]}, "enum", "#"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems", "#"),
        ({"type": "array", "prefixItems": [{}], "items": False, "minItems": 2}, "minItems", "#"),
        ({"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3}, "uniqueItems", "#"),
        ({"type": "array", "items": {"type": "null"}, "contains": {"type": "string"}}, "contains", "#"),
        ({"type": "object", "required": ["a"], "properties": {"a": False}}, "required", "#"),
        ({"type": "object", "required": ["a"], "additionalProperties": False}, "required", "#"),
        ({"type": "object", "maxProperties": 1, "required": ["a", "b"]}, "maxProperties", "#"),
        ({"type": "object", "properties": {"x": {}}, "minProperties": 2, "additionalProperties": False}, "minProperties", "#"),
        ({"type": "object", "properties": {"b": {"type": "array", "minItems": 3, "maxItems": 2}}, "required": ["b"]}, "minItems", "#/properties/b"),
        ({"not": {}}, "not", "#"),
        ({"oneOf": [{"type": "string"}, {"type": "string"}]}, "oneOf", "#"),
        ({"anyOf": [False, {"type": []}]}, "type", "#/anyOf/1"),
        ({"anyOf": [False, {"allOf": [True, False]}]}, "anyOf", "#"),
        ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "$ref", "#/properties/a"),
        ({"$ref": "#"}, "$ref", "#"),
        ({"anyOf": [{"$ref": "#"}]}, "anyOf", "#"),
        ({"$ref": "#/$defs/nowhere"}, "$ref", "#"),
        ({"properties": {"a/b": {"$ref": "#nowhere"}}}, "$ref", "#/properties/a~1b"),
        ({"items": {"$ref": "https://example.com/other.json"}}, "$ref", "#/items"),
        ({"items": {"$ref": "file:///etc/hostname"}}, "$ref", "#/items"),
        ({"items": {"$ref": "other.json#/a"}}, "$ref", "#/items"),
        ({"type": "objekt"}, "type", "#"),
        ({"properties": {"a": {"minLength": -1}}}, "minLength", "#/properties/a"),
        ({"properties": {"a": 3}}, "properties", "#"),
        ({"type": "string", "pattern": "("}, "pattern", "#"),
        ({"const": {"a": 1}, "propertyNames": False}, "const", "#"),
        ({"type": "object", "required": ["a"], "allOf": [{"propertyNames": False}]}, "required", "#"),
        ({"type": "string", "format": "email", "pattern": "^(a|b)*a(a|b){6}$"}, "format", "#"),
        ("string", "", "#"),
    ],
)  # fmt: skip
def test_what_nothing_can_satisfy_is_refused_with_the_keyword_and_its_place(
    schema: Any, keyword: str, place: str
) -> None:
    with pytest.raises(SchemaRefused) as raised:
        compile_schema(schema)
    assert (raised.value.keyword, raised.value.place) == (keyword, place), raised.value.message


def test_what_no_grammar_keeps_is_named() -> None:
    compiled = compile_schema(
        {"type": "object", "properties": {"a": {"type": "string", "pattern": r"^(.)\1$"}}, "required": ["a"]}
    )
    assert [(one.keyword, one.place) for one in compiled.loose] == [("pattern", "#/properties/a")]
    assert compiled.fault({"a": "xx"}) is None
    fault = compiled.fault({"a": "xy"})
    assert fault is not None
    assert (fault.keyword, fault.place, fault.at) == ("pattern", "#/properties/a", "#/a")


@pytest.mark.parametrize("text", ["", "{", "Here it is: {}", "[1", '{"a": NaN}'])
def test_what_is_no_json_follows_no_schema(text: str) -> None:
    fault = compile_schema({}).fault_of(text)
    assert fault is not None
    assert fault.message == "it is no JSON"


def test_formats_count_in_a_proof() -> None:
    compiled = compile_schema({"type": "string", "format": "date"})
    assert compiled.fault("2026-11-30") is None
    assert compiled.fault("2026-02-30") is not None


def test_a_rule_without_an_alternative_is_never_written() -> None:
    with pytest.raises(ValueError, match="has no alternative"):
        Grammar().rule([])


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer", "multipleOf": 3, "maximum": -1}, "-12"),
        ({"type": "integer", "multipleOf": 3, "minimum": -10, "maximum": -1}, "-9"),
        ({"type": "number", "multipleOf": 0.5}, "-0.5"),
        ({"type": "number", "multipleOf": 0.5, "minimum": -3, "maximum": 3}, "-2.5"),
        ({"type": "number", "multipleOf": 0.5, "minimum": -3, "maximum": 3}, "2.5"),
        ({"type": "integer", "multipleOf": 3600}, "86400"),
        ({"type": "integer", "multipleOf": 86400}, "-259200"),
        ({"type": "integer", "multipleOf": 1000000007}, "2000000014"),
        ({"type": "number", "multipleOf": 0.3333, "minimum": 0}, "0.6666"),
    ],
)
def test_multiples_are_admitted_on_both_sides_of_zero(schema: Any, text: str) -> None:
    assert admits(grammar_of(compile_schema(schema)), text)


@pytest.mark.parametrize("step", [2, 3, 60, 360, 999, 3600, 0.25, 0.7, 2.5, 12.5, 0.0625, 2e-7, 0.997])
@pytest.mark.parametrize("bounds", [{}, {"minimum": -7}, {"maximum": 7}, {"exclusiveMaximum": 0}, {"minimum": -9000, "maximum": -1}])  # fmt: skip
def test_an_engine_follows_every_multiple_that_it_is_asked_for(step: float, bounds: Any) -> None:
    for name in ("integer", "number"):
        try:
            compiled = compile_schema({"type": name, "multipleOf": step, **bounds})
        except SchemaRefused as error:
            assert error.keyword == "multipleOf"  # noqa: PT017 - it may be raised, and need not
            continue
        grammar, chance = grammar_of(compiled), random.Random(f"{step} {bounds}")
        assert not compiled.loose
        for _ in range(4):
            text = walk(grammar, chance)
            assert text is not None
            assert compiled.fault_of(text) is None, text


@pytest.mark.parametrize(
    ("schema", "loose"),
    [
        ({"enum": ["1.2.3.4", "foo", "a"], "maxLength": 7, "format": "ipv4"}, ()),
        ({"anyOf": [{"enum": ["0999-12-31", "a"]}], "pattern": "^[0a]", "format": "date"}, ()),
        ({"enum": [{"a": "::1"}, {"a": "foo"}], "type": "object", "properties": {"a": {"maxLength": 3, "format": "ipv6"}}}, ()),
        ({"enum": [[1, 1.0], [1, 2]], "type": "array", "uniqueItems": True, "minItems": 2}, ()),
        ({"enum": [0.123456789, 0.5], "type": "number", "minimum": 0, "maximum": 0.3}, ()),
        ({"enum": [{"a": 1, "b": 2}, {"a": 1}], "type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}, ()),
        ({"enum": ["aa", "bb"], "pattern": r"^(.)\1$"}, ("pattern",)),
        ({"enum": [{"a": "aa"}], "type": "object", "properties": {"a": {"type": "string", "pattern": r"^(.)\1$"}}}, ("pattern",)),
        ({"type": "object", "properties": {"aa": {}}, "required": ["aa"], "additionalProperties": False, "propertyNames": {"pattern": r"^(.)\1$"}}, ("pattern",)),
    ],
)  # fmt: skip
def test_of_listed_values_those_are_offered_that_follow_the_rest(schema: Any, loose: tuple[str, ...]) -> None:
    compiled = compile_schema(schema)
    assert tuple(one.keyword for one in compiled.loose) == loose
    grammar, chance = grammar_of(compiled), random.Random(1)
    for _ in range(8):
        text = walk(grammar, chance)
        assert text is not None
        assert compiled.fault_of(text) is None, text


def test_listed_values_none_of_which_follows_the_rest_are_refused() -> None:
    with pytest.raises(SchemaRefused, match="names no value"):
        compile_schema({"enum": ["foo"], "maxLength": 3, "format": "ipv4"})


IPV4, IPV6 = ({"type": "string", "format": name} for name in ("ipv4", "ipv6"))


@pytest.mark.parametrize(
    ("schema", "text", "place"),
    [
        ({"oneOf": [IPV4, IPV6]}, '"1.2.3.4"', "#"),
        ({"oneOf": [IPV4, IPV6]}, '"::1"', "#"),
        ({"type": ["string", "null"], "oneOf": [IPV4, IPV6, {"type": "null"}]}, '"::1"', "#"),
        ({"type": ["string", "null"], "oneOf": [IPV4, IPV6, {"type": "null"}]}, "null", "#"),
        ({"oneOf": [{"type": "string", "format": "date-time"}, {"type": "string"}]}, '"a"', "#"),
        ({"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]}, "9", "#"),
        ({"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "minimum": 100}]}, "101", "#"),
        ({"type": "object", "properties": {"x": {"oneOf": [IPV4, IPV6]}}}, '{"x": "::1"}', "#/properties/x"),
        ({"$defs": {"a": IPV4, "b": IPV6}, "oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}, '"::1"', "#"),
    ],
)  # fmt: skip
def test_options_that_nothing_tells_apart_are_offered_and_proved(schema: Any, text: str, place: str) -> None:
    compiled = compile_schema(schema)
    assert [(one.keyword, one.place) for one in compiled.loose] == [("oneOf", place)]
    assert admits(grammar_of(compiled), text)
    assert compiled.fault_of(text) is None


def test_what_is_denied_by_a_format_alone_is_left_to_the_proof() -> None:
    compiled = compile_schema({"type": "string", "not": {"format": "ipv4"}})
    assert [(one.keyword, one.place) for one in compiled.loose] == [("not", "#")]
    assert compiled.fault("1.2.3.4") is not None


def test_a_condition_is_denied_by_what_can_be_said_otherwise_where_that_is_enough() -> None:
    schema = {"type": "object", "properties": {"ip": {"type": "string"}}, "if": {"properties": {"ip": IPV4}, "required": ["ip"]}, "then": {"required": ["x"]}, "else": {"required": ["y"]}}  # fmt: skip
    assert compile_schema(schema).loose == ()


def test_equal_options_are_refused() -> None:
    with pytest.raises(SchemaRefused, match="`oneOf` at # denies what must hold"):
        compile_schema({"oneOf": [dict(IPV4), dict(IPV4)]})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "boolean"}, "maxItems": 2**53 - 1},
        {"type": "string", "maxLength": 2**53 - 1},
        {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1_000_000},
        {"type": "array", "items": {"type": "null"}, "maxItems": 1e12},
    ],
)
def test_a_limit_that_no_answer_reaches_is_none(schema: Any) -> None:
    """As programs write one that allow as much as their language can count."""
    compiled = compile_schema(schema)
    assert not compiled.loose
    without = {name: value for name, value in schema.items() if not name.startswith("max")}
    assert grammar_of(compiled) == grammar_of(compile_schema(without))


def holding(part: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": part}, "required": ["a"], "additionalProperties": False}


MAIL, ADDRESS = ({"type": "string", "format": name} for name in ("email", "uri"))
EVEN = {"properties": {"a": {"multipleOf": 2}}}


@pytest.mark.parametrize(
    ("schema", "held"),
    [
        ({"oneOf": [holding({"type": "integer", "multipleOf": many}) for many in (2, 3)]}, ("oneOf", "#")),
        ({"oneOf": [holding(MAIL), holding(ADDRESS)]}, ("oneOf", "#")),
        ({"type": "array", "items": {"oneOf": [holding(MAIL), holding(ADDRESS)]}, "minItems": 1}, ("oneOf", "#/items")),
        ({"type": "array", "items": {"oneOf": [holding(MAIL), holding(ADDRESS)]}}, ("oneOf", "#/items")),
        ({**holding({"type": "integer", "minimum": 0, "maximum": 9}), "not": EVEN}, ("not", "#")),
        (
            {**holding({"type": "string", "maxLength": 9}), "if": {"properties": {"a": MAIL}}, "then": False},
            ("if", "#"),
        ),
    ],
)
def test_what_parts_alone_tell_apart_is_held(schema: Any, held: tuple[str, str]) -> None:
    """And what it says is offered: in some of a few walks it follows."""
    compiled = compile_schema(schema)
    assert {(one.keyword, one.place) for one in compiled.loose} == {held}
    texts = [walk(grammar_of(compiled), random.Random(seed)) for seed in range(8)]
    assert any(text not in (None, "[]") and compiled.fault_of(str(text)) is None for text in texts)


@pytest.mark.parametrize("schema", [{**holding({"multipleOf": 2}), "not": EVEN}, {"oneOf": [holding(MAIL)] * 2}])
def test_what_denies_itself_within_its_parts_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaRefused, match="denies what must hold"):
        compile_schema(schema)


def test_a_reference_in_a_value_is_none() -> None:
    value = {"$ref": "#/nowhere"}
    for schema in ({"const": value}, {"enum": [value]}):
        compiled = compile_schema(schema)
        assert compiled.fault(value) is None
        assert walk(grammar_of(compiled), random.Random(1)) in ('{"$ref":"#/nowhere"}', '{"$ref": "#/nowhere"}')


def test_an_anchor_that_stands_for_two_parts_is_refused() -> None:
    parts = {"a": {"$anchor": "x", "const": 1}, "b": {"$anchor": "x", "const": 2}}
    with pytest.raises(SchemaRefused, match=r"`\$anchor` at #/\$defs/b is 'x', and so is another one"):
        compile_schema({"$defs": parts, "$ref": "#x"})


PAIR = {"a": 1, "b": "x"}
LISTED: list[tuple[dict[str, Any], Any]] = [  # a value that is listed, and right
    ({"properties": {"a": {"type": "integer"}}}, PAIR),
    ({"type": "object", "properties": {"c": {}}, "required": ["b"]}, PAIR),
    ({"properties": {"a": {"type": "integer"}}, "unevaluatedProperties": {"type": "string"}}, PAIR),
    ({"anyOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["z"]}]}, PAIR),
    ({"oneOf": [{"properties": {"a": {"type": "integer"}}}, {"required": ["z"]}]}, PAIR),
    ({"patternProperties": {sign: {"type": ["integer", "string"]} for sign in "abcdefgh"}}, {"abc": 1}),
    ({"properties": {"a": {"properties": {"x": {}}}}}, {"a": {"x": 1, "y": 2}}),
    ({"dependentRequired": {"a": ["b"]}, "not": {"required": ["c"]}}, PAIR),
    ({"contains": {"type": "string"}}, [1, "x"]),
    ({"contains": {"type": "string"}, "minContains": 2, "maxContains": 2}, [1, "x", "y"]),
    ({"contains": {"type": "string"}}, [0] * 12 + ["x"]),
    ({"contains": {"type": "string"}, "unevaluatedItems": {"type": "integer"}}, [1, "x", 2]),
]
UNLISTED: list[tuple[dict[str, Any], Any]] = [  # one that is not, by the same keywords
    ({"properties": {"a": {"type": "string"}}}, PAIR),
    ({"properties": {"a": {}}, "required": ["c"]}, PAIR),
    ({"properties": {"a": {}}, "unevaluatedProperties": {"type": "integer"}}, PAIR),
    ({"dependentRequired": {"a": ["c"]}}, PAIR),
    ({"patternProperties": {"^b": {"type": "integer"}}}, PAIR),
    ({"propertyNames": {"maxLength": 0}}, PAIR),
    ({"maxProperties": 1}, PAIR),
    ({"contains": {"type": "null"}}, [1, "x"]),
    ({"contains": False, "minContains": 1}, [1]),
    ({"contains": {"type": "string"}, "maxContains": 1}, ["x", "y"]),
    ({"unevaluatedItems": {"type": "integer"}}, [1, "x"]),
    ({"uniqueItems": True}, [1, 1.0]),
]


@pytest.mark.parametrize(("rest", "value"), LISTED)
def test_a_listed_object_or_list_is_offered_whatever_of_it_has_no_name(rest: dict[str, Any], value: Any) -> None:
    for keyword, listed in (("const", value), ("enum", [{"other": None}, value])):
        compiled = compile_schema({**rest, keyword: listed})
        assert compiled.fault(value) is None
        assert compiled.loose == ()
        assert admits(grammar_of(compiled), json.dumps(value))


@pytest.mark.parametrize(("rest", "value"), UNLISTED)
def test_a_listed_object_or_list_that_the_rest_excludes_is_not_offered(rest: dict[str, Any], value: Any) -> None:
    assert not jsonschema_rs.is_valid({**rest, "const": value}, value)
    with pytest.raises(SchemaRefused, match="names no value that the rest of it allows"):
        compile_schema({**rest, "const": value})


def test_of_listed_objects_whose_names_nobody_can_tell_the_proof_decides() -> None:
    compiled = compile_schema(
        {"const": PAIR, "patternProperties": {"(?<=a)c": {"type": "null"}, "(?<!c)b": {"type": "string"}}}
    )
    assert [tuple(one) for one in compiled.loose] == [("const", "#")]
    assert admits(grammar_of(compiled), json.dumps(PAIR))


@pytest.mark.parametrize(
    ("space", "there"),
    [
        *((space, True) for space in ("", " ", "\n", "\n" + " " * 16, "\n" + "\t" * 8)),
        *((space, False) for space in ("  ", "\n\n", "\n" + " " * 17, "\n" + "\t" * 9, "\n\t ", "\t")),
    ],
)
def test_white_space_is_what_people_write_and_fills_no_answer(space: str, there: bool) -> None:
    grammar = grammar_of(compile_schema({"type": "array", "items": {"type": "integer"}}))
    assert admits(grammar, f"[{space}1,{space}2{space}]") is there


DRAFT_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}  # which knows no uuid


@pytest.mark.parametrize(
    ("formats", "text"),
    [
        (("hostname", "uuid"), "123e4567-e89b-12d3-a456-426614174000"),
        (("hostname", "date"), "2020-01-01"),
        (("uri", "ipv6"), "fe80::1"),
    ],
)
def test_formats_that_only_their_usual_texts_exclude_are_not_refused(formats: tuple[str, str], text: str) -> None:
    for order in (formats, formats[::-1]):
        compiled = compile_schema({"type": "string", "allOf": [{"format": name} for name in order]})
        assert compiled.fault(text) is None
        assert {one.keyword for one in compiled.loose} <= {"format"}


@pytest.mark.parametrize("formats", [("uuid", "ipv4"), ("ipv4", "uuid")])
def test_a_format_that_the_draft_does_not_know_excludes_nothing(formats: tuple[str, str]) -> None:
    compiled = compile_schema({**DRAFT_4, "type": "string", "allOf": [{"format": name} for name in formats]})
    assert compiled.fault("1.2.3.4") is None
    assert (admits(grammar_of(compiled), '"1.2.3.4"'), compiled.loose) == (True, ())


def test_an_object_whose_names_nothing_is_like_is_empty() -> None:
    grammar = grammar_of(compile_schema({"type": "object", "propertyNames": False}))
    assert (admits(grammar, "{}"), admits(grammar, '{"a":1}')) == (True, False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^[\ue000-\uf8ffa]$", "not": {"pattern": "^a$"}},
        {"type": "string", "allOf": [{"pattern": "^[\ue000-\uf8ffa-z]+$"}, {"pattern": "^[\ue000-\uf8ffA-Z]+$"}]},
    ],
)
def test_characters_that_nobody_means_are_offered_where_they_are_all_that_is_left(schema: Any) -> None:
    assert admits(grammar_of(compile_schema(schema)), '"\ue000"')
