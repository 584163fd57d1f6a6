"""Schemas that would keep somebody busy for ever are refused, or made a grammar of a bearable size; those of people are not."""

import random
from typing import Any

import pytest

from omni.schemas import TOO_LARGE, Grammar, SchemaRefused, compile_schema, weights
from omni.schemas.compiled import MOST_SYMBOLS
from tests.schemas.walking import grammar_of, walk


def item(number: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {f"p{number}": {"type": "string"}, "q": {"type": "integer"}},
        "required": [f"p{number}"],
    }


def nested(levels: int) -> Any:
    schema: Any = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


DOUBLED = {f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(30)} | {"d30": {}}

BEARABLE: dict[str, Any] = {
    "all of many any of": {"allOf": [{"anyOf": [item(at * 20 + one) for one in range(60)]} for at in range(4)]},
    "one of many that overlap": {"oneOf": [{"type": "object", "properties": {f"a{one}": {"type": "string"} for one in range(at, at + 4)}} for at in range(12)]},
    "many ifs": {"type": "object", "allOf": [{"if": {"properties": {f"k{at}": {"const": at}}}, "then": {"required": [f"x{at}"]}, "else": {"required": [f"y{at}"]}} for at in range(16)]},
    "a pattern with many states": {"type": "string", "pattern": "^(a|b)*a(a|b){18}$", "minLength": 25},
    "many looks ahead": {"type": "string", "pattern": "^" + "".join(f"(?=.*{sign})" for sign in "abcdef") + "[a-j]{1,20}$"},
    "patterns of names": {"type": "object", "patternProperties": {sign: {"minimum": at} for at, sign in enumerate("abcdefghijklmnop")}},
    "values": {"enum": [f"value-{at}" for at in range(5000)]},
    "optional properties": {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(2000)}},
    "counted properties": {"type": "object", "minProperties": 90, "properties": {f"p{at}": {"type": "null"} for at in range(200)}},
    "many items": {"type": "array", "maxItems": 10**9, "items": {"type": "string"}},
    "what needs each other": {"type": "object", "dependentRequired": {f"p{at}": [f"p{one}" for one in range(30) if one != at] for at in range(30)}},
    "what brings schemas": {"type": "object", "dependentSchemas": {f"p{at}": {"required": [f"q{at}"]} for at in range(20)}},
    "many alternatives": {"anyOf": [{"type": "object", "properties": {f"p{at}_{one}": {"type": "string"} for one in range(20)}, "additionalProperties": False} for at in range(120)]},
    "itself, joined": {"$defs": {"a": {"type": "object", "properties": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"required": ["b"]}]}, "b": {"type": "null"}}}}, "$ref": "#/$defs/a"},
    "a long chain": {"$ref": "#/$defs/x0", "$defs": {f"x{at}": {"$ref": f"#/$defs/x{at + 1}"} for at in range(2000)} | {"x2000": {"type": "string"}}},
    "deep": nested(100),
    "denials": {"type": "object", "not": {"not": {"not": {"anyOf": [{"not": {"allOf": [item(at), item(at + 1)]}} for at in range(20)]}}}},
}  # fmt: skip


@pytest.mark.parametrize("name", BEARABLE)
def test_what_is_much_becomes_a_grammar_of_a_bearable_size(name: str) -> None:
    compiled = compile_schema(BEARABLE[name])
    grammar = Grammar()
    compiled.rule(grammar)
    assert grammar.size <= MOST_SYMBOLS
    text = walk(grammar_of(compiled, 1), random.Random(1))
    assert text is not None
    assert compiled.fault_of(text) is None


@pytest.mark.parametrize("name", ["many alternatives", "optional properties", "one of many that overlap", "many ifs"])
def test_an_engine_does_not_give_up_at_what_may_come_next(name: str) -> None:
    compiled = compile_schema(BEARABLE[name])
    grammar = grammar_of(compiled)
    for seed in range(4):
        text = walk(grammar, random.Random(seed))
        assert text is None or compiled.fault_of(text) is None


def test_a_number_needs_no_search_that_others_have_used_up() -> None:
    texts = {f"p{at}": {"type": "string", "pattern": f"^x{at}[^z]*$", "minLength": 1600 + at} for at in range(16)}
    age = {"type": "integer", "minimum": 17, "maximum": 4321}
    schema = {"type": "object", "properties": {**texts, "age": age}, "required": ["age"], "additionalProperties": False}
    grammar = Grammar()
    compile_schema(schema).rule(grammar)
    assert grammar.size <= MOST_SYMBOLS


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (nested(129), "128 levels deep"),
        ({"enum": [[] for _ in range(100_001)]}, "100,000 parts"),
        ({"description": "x" * (2 << 20)}, "2,097,152 bytes"),
        ({"$defs": DOUBLED, "allOf": [{"$ref": "#/$defs/d0"}]}, "again and again"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "leads back"),
        ({"type": "array", "minItems": 10**6}, "1,000,000 items"),
        ({"type": "array", "contains": {"type": "null"}, "minContains": 10**8}, "100,000,000 items"),
        ({"type": "array", "minItems": 9000, "items": nested(1) | {"minItems": 9000}}, "no context holds"),
        ({"type": "string", "minLength": 10**6}, "no context holds"),
        ({"type": "integer", "minimum": 10**60}, "beyond what can be written"),
    ],
    ids=["deep", "wide", "long", "doubled", "circle", "items", "contained", "items of items", "length", "number"],
)  # fmt: skip
def test_what_is_too_much_is_refused_in_words(schema: Any, said: str) -> None:
    with pytest.raises(SchemaRefused, match=said):
        compile_schema(schema)


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a{0,1000}){1000}$",
        "^((a{1,50}){1,50}){1,50}$",
        "^" + "".join(f"(?=(?:.*{one}){{3}})" for one in "abcdefgh") + "[a-h]{1,60}$",
    ],
)
def test_patterns_that_an_engine_gives_up_at_are_left_to_the_proof(pattern: str) -> None:
    compiled = compile_schema({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}})
    assert [(one.keyword, one.place) for one in compiled.loose] == [("pattern", "#/properties/a")]


def test_a_proof_that_would_take_for_ever_is_none() -> None:
    """Each level is looked at twice as often as the one above it."""
    schema = {
        "$defs": {"a": {"type": "object", "allOf": [{"properties": {"a": {"$ref": "#/$defs/a"}}}] * 2, "properties": {"a": {"$ref": "#/$defs/a"}}}},
        "$ref": "#/$defs/a",
    }  # fmt: skip
    compiled = compile_schema(schema)
    value: Any = {}
    for _ in range(40):
        value = {"a": value}
    fault = compiled.fault(value)
    assert fault is TOO_LARGE
    assert compiled.fault({"a": {"a": {}}}) is None


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"anyOf": [{"const": at} for at in range(2000)]}}, list(range(1600))),
        ({"allOf": [{"type": "array", "items": {"minimum": at}} for at in range(2900)]}, list(range(1000))),
        ({"items": {"items": {"properties": {"a": {"anyOf": [{"const": at} for at in range(50)]}}}}}, [[{"a": 1}] * 9] * 9000),
        ({"additionalProperties": {"type": "integer"}}, {str(at): at for at in range(400_000)}),
    ],
    ids=["alternatives", "all of many", "lists", "properties"],
)  # fmt: skip
def test_to_count_what_a_proof_takes_is_bounded(schema: Any, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = compile_schema(schema)
    looked: list[int] = []
    monkeypatch.setattr(weights, "_pairs", lambda node, value, known=weights._pairs: seen(known(node, value), looked))
    assert compiled.fault(value) is TOO_LARGE
    assert len(looked) <= weights.MOST_COUNTED + 1


def seen(pairs: Any, looked: list[int]) -> Any:
    for pair in pairs:
        looked.append(1)
        yield pair


def test_a_long_answer_is_proved() -> None:
    schema = {
        "type": "array",
        "items": {"type": "object", "properties": {f"p{at}": {"type": ["integer", "null"]} for at in range(8)}},
    }
    row = {f"p{at}": at for at in range(8)}
    assert compile_schema(schema).fault([{**row, "p9": at} for at in range(5000)]) is None
    fault = compile_schema(schema).fault([row] * 5000 + [{"p7": "x"}])
    assert fault is not None
    assert (fault.keyword, fault.at) == ("type", "#/5000/p7")


def test_a_schema_is_compiled_once() -> None:
    schema = {"type": "object", "properties": {"once": {"type": "string"}}}
    assert compile_schema(schema) is compile_schema({"type": "object", "properties": {"once": {"type": "string"}}})
