"""What compiling a schema costs is counted in steps, and bounded: a few kilobytes keep nobody busy for long."""

import json
from typing import Any

import pytest

from omni.schemas import Grammar, SchemaRefused, compile_schema
from omni.schemas.costs import MOST_STEPS, Costs
from omni.schemas.documents import Document
from omni.schemas.facts import key_of, keyed
from omni.schemas.forms import Forms
from tests.schemas.walking import admits, grammar_of


def steps(schema: Any) -> int:
    costs = Costs()
    Forms(Document(schema), costs)
    return costs.steps


def needing(number: int) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {f"a{number}": {"type": "string"}, f"b{number}": {"type": "string"}},
        "required": [f"a{number}"],
    }


GROWING: dict[str, Any] = {
    "values that both name": lambda count: {"allOf": [{"enum": list(range(count))}, {"enum": list(range(count))}]},
    "values that are denied": lambda count: {"enum": list(range(count)), "not": {"enum": list(range(1, count))}},
    "values of a list without two of one": lambda count: {"type": "array", "items": {"enum": list(range(count))}, "uniqueItems": True},
    "values that fit": lambda count: {"enum": [f"x{at}" for at in range(count)], "pattern": "^x"},
    "constants to choose from": lambda count: {"oneOf": [{"const": at} for at in range(count)]},
    "properties": lambda count: {"type": "object", "properties": {f"p{at}": {"type": "string"} for at in range(count)}},
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_twice_as_many_cost_twice_as_much(name: str) -> None:
    few, many = steps(GROWING[name](400)), steps(GROWING[name](800))
    assert many <= 2.2 * few


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": [needing(at) for at in range(200)]},
        {"oneOf": [{"required": [f"a{at}"]} for at in range(300)]},
        {"oneOf": [{"properties": {"k": {"enum": list(range(at, at + 300))}}, "required": ["k"]} for at in range(300)]},
        {"$defs": {"e": {"enum": list(range(16000))}}, "properties": {f"p{at}": {"allOf": [{"$ref": "#/$defs/e"}, {"minimum": at}]} for at in range(400)}},
    ],
    ids=["objects, one of which", "properties, one of which", "values, one of which", "values again and again"],
)  # fmt: skip
def test_what_takes_too_many_steps_is_refused_in_words(schema: Any) -> None:
    with pytest.raises(SchemaRefused, match=f"The schema cannot be kept: .* takes more than {MOST_STEPS:,} steps"):
        compile_schema(schema)


def test_forty_objects_one_of_which_are_compiled() -> None:
    assert steps({"oneOf": [needing(at) for at in range(40)]}) < MOST_STEPS


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.0, 10e-1],
        [0, 0.0, -0.0],
        [1e30, int(1e30)],
        [[1, {"a": 2}], [1.0, {"a": 2.0}]],
        [{"a": 1, "b": [None]}, {"b": [None], "a": 1.0}],
    ],
)
def test_equal_values_have_one_key(values: list[Any]) -> None:
    assert len({key_of(value) for value in values}) == 1


def test_different_values_have_different_keys() -> None:
    values = [
        None, False, True, 0, 1, 1.5, -1, 10**30, 1e30, 2**53, 2**53 + 1, "", "1", "true", "null", "[1]", "0x1",
        [], [1], [True], [[1]], [1, 1], ["1"], ["1,1"], {}, {"1": 1}, {"a": 1}, {"a": True}, {"a": "1"}, {"a": [1]},
    ]  # fmt: skip
    assert len(keyed(values)) == len(values)


@pytest.mark.parametrize(
    ("schema", "follows", "fails"),
    [
        ({"allOf": [{"enum": [1, True, "1"]}, {"enum": [1.0, "1"]}]}, [1.0, "1"], [True]),
        ({"enum": [True, 1, 0], "not": {"enum": [1]}}, [True, 0], [1]),
        ({"oneOf": [{"const": 1}, {"enum": [1.0, 2]}, {"const": True}]}, [2, True], [1]),
        ({"enum": [{"a": 1, "b": 2}, {"a": 2}], "not": {"const": {"b": 2.0, "a": 1}}}, [{"a": 2}], [{"a": 1, "b": 2}]),
    ],
)
def test_values_are_compared_as_json_compares_them(schema: Any, follows: list[Any], fails: list[Any]) -> None:
    grammar = grammar_of(compile_schema(schema))
    assert all(admits(grammar, json.dumps(value)) for value in follows)
    assert not any(admits(grammar, json.dumps(value)) for value in fails)


def test_an_end_to_everything_is_looked_for_within_the_same_number_of_steps() -> None:
    """Each link of this chain is looked through again for each that leads to it, and for each end that is tried."""
    links = {f"x{at}": {"anyOf": [{"$ref": f"#/$defs/x{at + 1}"}, {"const": at}]} for at in range(1500)}
    compiled = compile_schema({"$defs": {**links, "x1500": {"type": "null"}}, "$ref": "#/$defs/x0"})
    compiled.rule(Grammar())
    with pytest.raises(SchemaRefused, match=f"takes more than {MOST_STEPS:,} steps"):
        compiled.rule(Grammar(), 1)
    compiled.rule(Grammar())
