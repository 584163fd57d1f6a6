"""Lists that hold nothing twice, while their text comes."""

import json
from typing import Any

import pytest

from omni.schemas import compile_schema, facts
from tests.schemas.walking import admits, grammar_of

TAGS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
SCHEMA = {
    "type": "object",
    "properties": {
        "tags": TAGS,
        "plain": {"type": "array", "items": {"type": "string"}},
        "rows": {"type": "array", "items": {"type": "object", "properties": {"set": {"type": "array", "items": {"type": "number"}, "uniqueItems": True}}}},
    },
    "additionalProperties": TAGS,
}  # fmt: skip


def sifted(schema: Any, text: str, size: int) -> str:
    sieve = compile_schema(schema).sieve()
    assert sieve is not None
    passed = "".join(sieve.feed(text[at : at + size]) for at in range(0, len(text), size))
    return passed + sieve.rest()


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"tags": ["a", "b", "a"], "plain": ["a", "a"]}', {"tags": ["a", "b"], "plain": ["a", "a"]}),
        ('{"tags": ["a]\\"", "a", "a]\\""]}', {"tags": ['a]"', "a"]}),
        ('{"rows": [{"set": [1, 1.0, 2, 10e-1]}, {"set": [1]}]}', {"rows": [{"set": [1, 2]}, {"set": [1]}]}),
        ('{"any": ["x", "x"]}', {"any": ["x"]}),
        ('{"tags": []}', {"tags": []}),
        ('{"rows": [{"set": [0, -0.0, 1e30, 1000000000000000019884624838656, 2]}]}', {"rows": [{"set": [0, 1e30, 2]}]}),
    ],
)
def test_what_is_there_already_is_left_out(text: str, value: Any, size: int) -> None:
    assert json.loads(sifted(SCHEMA, text, size)) == value


def test_what_has_nothing_twice_stays_as_it_was_written() -> None:
    text = '{"tags":[ "a",\n  "b" ], "plain": ["x" , "x"]}'
    assert sifted(SCHEMA, text, 2) == text


def test_only_a_list_that_may_hold_something_twice_is_held_back() -> None:
    sieve = compile_schema(SCHEMA).sieve()
    assert sieve is not None
    assert sieve.feed('{"plain": ["a", "a') == '{"plain": ["a", "a'
    assert sieve.feed('"], "tags": ["b"') == '"], "tags": '
    assert sieve.feed(', "b"]') == '["b"]'


def test_an_answer_that_ends_in_the_middle_keeps_what_came() -> None:
    assert sifted(SCHEMA, '{"tags": ["a", "a"', 4) == '{"tags": ["a", "a"'


def test_lists_that_must_hold_several_different_things_are_named() -> None:
    loose = compile_schema({**TAGS, "minItems": 2}).loose
    assert [(one.keyword, one.place) for one in loose] == [("uniqueItems", "#")]
    assert compile_schema(SCHEMA).loose == ()


def test_values_are_equal_as_in_json() -> None:
    anything = {"type": "array", "items": {}, "uniqueItems": True}
    text = '[1, true, "1", [1], {"a": 1, "b": 2}, false, 0, null, [1.0], {"b": 2.0, "a": 1}, [true], "true", 1e0]'
    assert json.loads(sifted(anything, text, 5)) == [
        1, True, "1", [1], {"a": 1, "b": 2}, False, 0, None, [True], "true",
    ]  # fmt: skip


def test_a_long_list_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    key_of = facts.key_of

    def noted(value: Any) -> Any:
        looked.append(value)
        return key_of(value)

    monkeypatch.setattr(facts, "key_of", noted)
    text = json.dumps({"any": [str(at % 2000) for at in range(4000)]})
    assert len(json.loads(sifted(SCHEMA, text, 4096))["any"]) == 2000
    assert len(looked) == 4000


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"a": 1, "b": [{"a": 2, "a": 3}], "a": {"x": [1, "}"]}, "c": 1}', '{"a": 1, "b": [{"a": 2}], "c": 1}'),
        ('{"a": 1, "\\u0061": 2\n}', '{"a": 1}'),
        ('{"a": {"a": 1}, "b": {"b": 2, "b": {"c": 1, "c": 2}, "d": 1}}', '{"a": {"a": 1}, "b": {"b": 2, "d": 1}}'),
        ('["a", "a", {}, ",", {"a\\"": 1, "a": 2}]', '["a", "a", {}, ",", {"a\\"": 1, "a": 2}]'),
        ('{"a": 1, "b": ', '{"a": 1, "b": '),
        ('{"a": 1, "b', '{"a": 1, "b'),
        ('{"a": 1, "a": 2', '{"a": 1'),
        ('"text, {"', '"text, {"'),
    ],
)
def test_of_properties_with_one_name_the_first_is_sent(text: str, sent: str, size: int) -> None:
    assert sifted({}, text, size) == sent


def test_a_property_is_held_back_until_its_name_is_known_and_no_longer() -> None:
    sieve = compile_schema({"type": "object"}).sieve()
    assert sieve is not None
    assert [sieve.feed(text) for text in ('{"a": "x', 'y", ', '"b', '": 1', ', "a": 2', ', "c": 3}')] == [
        '{"a": "x', 'y"', "", ', "b": 1', "", ', "c": 3}',
    ]  # fmt: skip


def test_names_and_items_are_sifted_together() -> None:
    schema = {"type": "object", "additionalProperties": TAGS}
    assert sifted(schema, '{"a": ["x", "x"], "b": [], "a": ["y"]}', 3) == '{"a": ["x"], "b": []}'


def test_an_object_whose_names_are_told_has_none_twice_and_passes_as_it_is() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "additionalProperties": False}
    assert compile_schema({**schema, "properties": {"a": {"type": "integer"}}}).sieve() is None
    open_ = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": {"type": "integer"}}
    grammar = grammar_of(compile_schema(open_))
    assert admits(grammar, '{"a": 1, "b": 2, "b": 3}')
    assert not admits(grammar, '{"a": 1, "b": 2, "a": 3}')
    assert not admits(grammar, '{"a": 1, "\\u0061": 3}')
