"""What an answer is bound to: the grammar admits the schema, the calls, or either of them, and nothing else."""

import json
import random
from typing import Any

import jsonschema_rs
import pytest

from omni.core.messages import Message
from omni.engine import ChatRequest, Tool
from omni.engine.binding import FORBIDDEN, binding_of
from omni.engine.framing import UNFRAMED, Framing, Mark
from omni.schemas import SchemaRefused
from tests.schemas.walking import admits, walk

WEATHER = Tool(
    name="weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 9}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
CLOCK = Tool(name="clock")
SCHEMA = {
    "type": "object",
    "properties": {"name": {"enum": ["weather"]}, "age": {"type": "integer"}},
    "required": ["name"],
    "additionalProperties": False,
}
CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'
ANSWER = '{"name": "weather"}'


def grammar(framing: Framing = UNFRAMED, characters: int | None = None, **asked: Any) -> str:
    request = ChatRequest(messages=(Message.of("user", "Hi"),), **asked)
    binding = binding_of(request)
    assert binding is not None
    return binding.bound(framing, characters).text


def test_a_free_answer_is_bound_to_nothing() -> None:
    for more in ({}, {"tools": (WEATHER,)}, {"tool_choice": "required"}):
        assert binding_of(ChatRequest(messages=(Message.of("user", "Hi"),), **more)) is None


def test_a_forced_call_is_one_call_of_one_of_the_tools() -> None:
    rules = grammar(tools=(WEATHER, CLOCK), tool_choice="required", schema=SCHEMA)
    assert admits(rules, CALL)
    assert admits(rules, '{"name": "clock", "arguments": {}}')
    assert admits(rules, '{\n  "name": "clock",\n  "arguments": {"zone": 1}\n}')
    for said in (
        "",
        "{}",
        ANSWER,
        f"Yes: {CALL}",
        f"{CALL}\n{CALL}",
        CALL.replace("city", "town"),
        CALL.replace("we", "fe"),
    ):
        assert not admits(rules, said), said


def test_tools_and_a_schema_offer_either_and_a_call_may_be_marked() -> None:
    rules = grammar(tools=(WEATHER, CLOCK), schema=SCHEMA)
    assert admits(rules, ANSWER)
    assert admits(rules, f"<tool_call>{CALL}</tool_call>")
    assert admits(rules, f"<tool_call>\n{CALL}\n</tool_call>")
    assert admits(rules, CALL)
    for said in ("", CALL * 2, f"<tool_call>{ANSWER}</tool_call>", f"<tool_call>{CALL}</tool_call>" * 2, "It rains."):
        assert not admits(rules, said), said


def test_several_calls_may_come_where_they_are_wanted() -> None:
    rules = grammar(tools=(WEATHER,), schema=SCHEMA, parallel_calls=True)
    assert admits(rules, "\n".join([f"<tool_call>{CALL}</tool_call>"] * 8))
    assert not admits(rules, "\n".join([f"<tool_call>{CALL}</tool_call>"] * 9))


def test_what_a_brain_thinks_comes_before_and_marks_stand_around() -> None:
    thinks = Mark("<think>"), Mark("</think>")
    free = grammar(Framing(thinks=thinks), schema=SCHEMA)
    for said in (ANSWER, f"<think>\nI (say) {{this}}.\n</think>\n\n{ANSWER}", f"<think></think>{ANSWER}"):
        assert admits(free, said), said
    opened = grammar(Framing(thinks=thinks, opened=True), schema=SCHEMA)
    assert admits(opened, f"So it is.</think>{ANSWER}")
    assert not admits(opened, ANSWER)
    marked = grammar(Framing(lead=Mark("<|says|>"), trail=Mark("<|said|>")), schema=SCHEMA)
    assert admits(marked, f"<|says|>{ANSWER}<|said|>")
    assert not admits(marked, ANSWER)


def test_where_an_answer_must_end_thoughts_do_too() -> None:
    thinks = Mark("<think>"), Mark("</think>")
    opened = grammar(Framing(thinks=thinks, opened=True), 448, schema=SCHEMA)
    assert admits(opened, f"{'a' * 112}</think>{ANSWER}")
    assert not admits(opened, f"{'a' * 113}</think>{ANSWER}")
    free = grammar(Framing(thinks=thinks), 448, schema=SCHEMA)
    assert admits(free, ANSWER)
    assert not admits(free, f"<think>a</think>{ANSWER}")


def test_the_proof_of_a_grammar_begins_with_the_answer_itself() -> None:
    request = ChatRequest(messages=(Message.of("user", "Hi"),), schema=SCHEMA)
    binding = binding_of(request)
    assert binding is not None
    bound = binding.bound(Framing(thinks=(Mark("<think>"), Mark("</think>"))))
    assert admits(bound.text, f"<think>a</think>{ANSWER}")
    assert admits(bound.proof, ANSWER)
    assert not admits(bound.proof, f"<think>a</think>{ANSWER}")
    assert not admits(bound.proof, FORBIDDEN)


@pytest.mark.parametrize("characters", [40_000, 1200, 400, 1])
def test_a_forced_call_that_must_end_does(characters: int) -> None:
    node = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["name"],
    }
    parameters = {
        "$defs": {"node": node},
        "type": "object",
        "properties": {
            "root": {"$ref": "#/$defs/node"},
            "text": {"type": "string"},
            "long": {"type": "string", "minLength": 40},
            "list": {"type": "array", "items": {"type": "string"}, "minItems": 6},
            "any": {},
        },
        "required": ["root", "long", "list"],
    }
    text = grammar(None or UNFRAMED, characters, tools=(Tool(name="x", parameters=parameters),), tool_choice="required")
    least = 40 + 6 * 4 + 90
    validator = jsonschema_rs.validator_for(parameters)
    for seed in range(6):
        said = walk(text, random.Random(seed), longest=100_000)
        assert said is not None
        assert len(said) <= max(characters, least) * 4  # white space of the walk, and characters of several bytes
        assert validator.is_valid(json.loads(said)["arguments"])


def test_an_unkeepable_tool_names_its_keyword_and_place() -> None:
    never = Tool(name="x", parameters={"type": "object", "properties": {"a": {"type": "string", "minLength": 5, "maxLength": 3}}, "required": ["a"]})  # fmt: skip
    with pytest.raises(SchemaRefused) as refused:
        grammar(tools=(never,), tool_choice="required")
    assert refused.value.place.startswith("#/properties/a")
