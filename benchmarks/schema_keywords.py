"""Small schemas, each with a keyword that a grammar does not keep easily, written for this benchmark.

Each is an answer's whole form: an object with what matters in `value`, unless the keyword is of the object itself.
"""

from typing import Any

Schema = dict[str, Any]


def of(value: Any, **more: Any) -> Schema:
    """An object with this in `value`."""
    return {
        "type": "object",
        "properties": {"value": value},
        "required": ["value"],
        "additionalProperties": False,
    } | more


def item(**properties: Any) -> Schema:
    """An object with just these properties, all of them there."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_INTEGER, _TEXT = {"type": "integer"}, {"type": "string", "maxLength": 12}
_BOUNDED = {"type": "integer", "minimum": -50, "maximum": 50}
_COLOURS = {"enum": ["red", "green", "blue", "black"]}

KEYWORDS: dict[str, dict[str, Schema]] = {
    "beside anyOf": {
        "required": {"type": "object", "properties": {"a": _TEXT, "b": _TEXT, "c": _INTEGER}, "required": ["c"],
                     "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "additionalProperties": False},
        "type": of({"type": "integer", "anyOf": [{"minimum": 10}, {"maximum": -10}]}),
    },
    "beside oneOf": {
        "properties": {"type": "object", "properties": {"id": _BOUNDED}, "required": ["id"],
                       "oneOf": [{"properties": {"kind": {"const": "cat"}, "lives": _BOUNDED}, "required": ["kind", "lives"]},
                                 {"properties": {"kind": {"const": "dog"}, "tricks": _TEXT}, "required": ["kind", "tricks"]}]},
        "enum": of({"enum": [1, "one", None, 2], "oneOf": [{"type": "integer"}, {"type": "string"}]}),
    },
    "beside allOf": {
        "lengths": of({"type": "string", "maxLength": 6, "allOf": [{"minLength": 4}, {"pattern": "^[A-Z]"}]}),
        "required": {"type": "object", "properties": {"a": _INTEGER}, "required": ["a"],
                     "allOf": [{"properties": {"b": _TEXT}, "required": ["b"]}, {"properties": {"c": _COLOURS}, "required": ["c"]}]},
    },
    "beside $ref": {
        "bounds": of({"$ref": "#/$defs/year", "minimum": 2000}, **{"$defs": {"year": {"type": "integer", "maximum": 2100}}}),
        "lengths": of({"$ref": "#/$defs/word", "maxLength": 5}, **{"$defs": {"word": {"type": "string", "pattern": "^[a-z]+$"}}}),
        "escaped": of({"$ref": "#/$defs/a~1b"}, **{"$defs": {"a/b": {"type": "integer", "minimum": 3, "maximum": 5}}}),
        "anchor": of({"$ref": "#small"}, **{"$defs": {"s": {"$anchor": "small", "type": "integer", "minimum": 0, "maximum": 9}}}),
    },
    "pattern beside lengths": {
        "short": of({"type": "string", "pattern": "^[a-z]+$", "minLength": 5, "maxLength": 8}),
        "unanchored": of({"type": "string", "pattern": "[0-9]", "minLength": 3, "maxLength": 6}),
    },
    "enum beside pattern": {
        "one left": of({"enum": ["alpha", "beta", "gamma"], "pattern": "^b"}),
        "two left": of({"enum": ["a1", "b2", "c", "d4"], "pattern": "[0-9]$", "not": {"const": "a1"}}),
    },
    "constants of another type": {
        "enum": of({"type": "string", "enum": [1, 2, "three", None, "four"]}),
        "const": of({"anyOf": [{"type": "string", "const": 5}, {"type": "integer", "const": 5}]}),
    },
    "items: false": {
        "after two": of({"type": "array", "prefixItems": [_TEXT, _BOUNDED], "items": False, "minItems": 1}),
        "none": of({"type": "array", "items": False}),
        "additionalItems": {"$schema": "http://json-schema.org/draft-07/schema#",
                            **of({"type": "array", "items": [_BOUNDED, _TEXT], "additionalItems": False, "minItems": 2})},
    },
    "overlapping oneOf": {
        "numbers": of({"oneOf": [{"type": "integer", "minimum": 0, "maximum": 20}, {"type": "integer", "minimum": 10, "maximum": 40}]}),
        "objects": of({"type": "object", "properties": {"a": _BOUNDED, "b": _BOUNDED}, "additionalProperties": False,
                       "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
        "texts": of({"oneOf": [{"type": "string", "maxLength": 6}, {"type": "string", "minLength": 4, "maxLength": 9}]}),
        "number or integer": of({"oneOf": [{"type": "number", "minimum": 0, "maximum": 9}, {"type": "integer"}]}),
    },
    "dates": {
        "date": of({"type": "string", "format": "date"}),
        "date-time": of({"type": "string", "format": "date-time"}),
        "in February": of({"type": "string", "format": "date", "pattern": "^2[0-9]{3}-02-"}),
        "time": of({"type": "string", "format": "time"}),
        "duration": of({"type": "string", "format": "duration"}),
    },
    "patternProperties": {
        "alone": {"type": "object", "patternProperties": {"^x-[a-z]{1,5}$": _BOUNDED}, "additionalProperties": False, "maxProperties": 3},
        "two of one name": {"type": "object", "patternProperties": {"^a": {"minimum": 3}, "z$": {"maximum": 9}}, "maxProperties": 3,
                            "additionalProperties": _BOUNDED},
    },
    "propertyNames": {
        "pattern": {"type": "object", "propertyNames": {"pattern": "^[a-z]{2,6}$"}, "additionalProperties": _BOUNDED, "maxProperties": 3},
        "enum": {"type": "object", "propertyNames": {"enum": ["left", "right"]}, "additionalProperties": _BOUNDED},
    },
    "maxProperties": {
        "free names": {"type": "object", "additionalProperties": _BOUNDED, "maxProperties": 2},
        "known names": {"type": "object", "properties": dict.fromkeys("abcd", _BOUNDED), "additionalProperties": False, "maxProperties": 2},
    },
    "minProperties": {
        "free names": {"type": "object", "additionalProperties": _BOUNDED, "minProperties": 2, "maxProperties": 4},
        "known names": {"type": "object", "properties": dict.fromkeys("abcd", _BOUNDED), "additionalProperties": False, "minProperties": 3},
    },
    "dependentRequired": {
        "one way": {"type": "object", "properties": {"card": _INTEGER, "address": _TEXT}, "additionalProperties": False,
                    "dependentRequired": {"card": ["address"]}},
        "dependencies": {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "required": ["b"],
                         "properties": {"a": _BOUNDED, "b": _BOUNDED, "c": _TEXT}, "additionalProperties": False,
                         "dependencies": {"b": ["c"]}},
    },
    "bounds": {
        "integers": of({"type": "integer", "minimum": 17, "exclusiveMaximum": 23}),
        "fractions": of({"type": "number", "minimum": 0.25, "maximum": 0.75}),
        "negative": of({"type": "number", "exclusiveMinimum": -1.5, "exclusiveMaximum": -0.5}),
        "draft 4": {"$schema": "http://json-schema.org/draft-04/schema#",
                    **of({"type": "integer", "minimum": 5, "exclusiveMinimum": True, "maximum": 7})},
    },
    "multipleOf": {
        "of a whole": of({"type": "integer", "multipleOf": 7, "minimum": 10, "maximum": 100}),
        "of a fraction": of({"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 10}),
        "of two": of({"type": "integer", "allOf": [{"multipleOf": 4}, {"multipleOf": 6}], "minimum": 1, "maximum": 200}),
    },
    "not": {
        "values": of({**_COLOURS, "not": {"enum": ["red", "blue"]}}),
        "type": of({"type": ["string", "integer", "null"], "not": {"type": "string"}, "maximum": 99, "minimum": 0}),
        "pattern": of({"type": "string", "maxLength": 8, "not": {"pattern": "^[Tt]he"}}),
        "required": {"type": "object", "properties": {"a": _BOUNDED, "b": _BOUNDED}, "additionalProperties": False, "minProperties": 1,
                     "not": {"required": ["a", "b"]}},
    },
    "if": {
        "then and else": {**item(kind={"enum": ["word", "number"]}, value={"type": ["string", "integer"], "maxLength": 9}),
                          "if": {"properties": {"kind": {"const": "word"}}}, "then": {"properties": {"value": {"type": "string"}}},
                          "else": {"properties": {"value": {"type": "integer"}}}},
        "then required": {"type": "object", "properties": {"member": {"type": "boolean"}, "number": _BOUNDED}, "required": ["member"],
                          "additionalProperties": False, "if": {"properties": {"member": {"const": True}}}, "then": {"required": ["number"]}},
    },
    "contains": {
        "one": of({"type": "array", "items": {"type": ["integer", "string"], "maxLength": 5}, "maxItems": 4,
                   "contains": {"type": "integer"}}),
        "some": of({"type": "array", "items": _COLOURS, "contains": {"const": "blue"}, "minContains": 2, "maxContains": 3, "maxItems": 6}),
    },
    "uniqueItems": {
        "values": of({"type": "array", "items": _COLOURS, "uniqueItems": True, "minItems": 3}),
        "numbers": of({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 6}, "uniqueItems": True, "minItems": 4, "maxItems": 6}),
        "texts": of({"type": "array", "items": _TEXT, "uniqueItems": True, "maxItems": 5}),
    },
    "formats": {
        **{name: of({"type": "string", "format": name}) for name in ("email", "hostname", "ipv4", "ipv6", "uri", "uuid", "json-pointer", "regex")},
        "email of a length": of({"type": "string", "format": "email", "maxLength": 20}),
    },
    "unevaluatedProperties": {
        "after allOf": {"allOf": [item(a=_BOUNDED) | {"additionalProperties": True}], "properties": {"b": _TEXT}, "type": "object",
                        "unevaluatedProperties": False},
    },
}  # fmt: skip
