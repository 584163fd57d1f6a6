"""Lists that hold nothing twice, while their text comes."""

import json
from typing import Any

import pytest

from omni.schemas import compile_schema

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


def sifted(schema: Any, text: str, size: int) -> tuple[str, int]:
    sieve = compile_schema(schema).sieve()
    assert sieve is not None
    found = "".join(sieve.feed(text[at : at + size]) for at in range(0, len(text), size))
    return found + sieve.rest(), sieve.left_out


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "value", "left_out"),
    [
        ('{"tags": ["a", "b", "a"], "plain": ["a", "a"]}', {"tags": ["a", "b"], "plain": ["a", "a"]}, 1),
        ('{"tags": ["a]\\"", "a", "a]\\""]}', {"tags": ['a]"', "a"]}, 1),
        ('{"rows": [{"set": [1, 1.0, 2, 10e-1]}, {"set": [1]}]}', {"rows": [{"set": [1, 2]}, {"set": [1]}]}, 2),
        ('{"any": ["x", "x"]}', {"any": ["x"]}, 1),
        ('{"tags": []}', {"tags": []}, 0),
    ],
)
def test_what_is_there_already_is_left_out(text: str, value: Any, left_out: int, size: int) -> None:
    found, count = sifted(SCHEMA, text, size)
    assert (json.loads(found), count) == (value, left_out)


def test_what_has_nothing_twice_stays_as_it_was_written() -> None:
    text = '{"tags":[ "a",\n  "b" ], "plain": ["x" , "x"]}'
    assert sifted(SCHEMA, text, 2) == (text, 0)


def test_only_a_list_that_may_hold_something_twice_is_held_back() -> None:
    sieve = compile_schema(SCHEMA).sieve()
    assert sieve is not None
    assert sieve.feed('{"plain": ["a", "a') == '{"plain": ["a", "a'
    assert sieve.feed('"], "tags": ["b"') == '"], "tags": '
    assert sieve.feed(', "b"]') == '["b"]'


def test_an_answer_that_ends_in_the_middle_keeps_what_came() -> None:
    assert sifted(SCHEMA, '{"tags": ["a", "a"', 4) == ('{"tags": ["a", "a"', 0)


def test_lists_that_must_hold_several_different_things_are_named() -> None:
    loose = compile_schema({**TAGS, "minItems": 2}).loose
    assert [(one.keyword, one.place) for one in loose] == [("uniqueItems", "#")]
    assert compile_schema(SCHEMA).loose == ()
