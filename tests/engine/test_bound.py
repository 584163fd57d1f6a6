"""A worker whose answers are bound: that it keeps the grammar is proved, an answer that does not follow is asked for again."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.core.errors import UsageError
from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, TokenLogprob, ToolCallDelta
from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import CompletionRequest, Sampling, Tool
from omni.engine.proving import Unfollowed
from tests.engine.engine_tools import asked, end_of, events_of, real_spec, scripted_spec, text_of

PAIR = {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2, "maxProperties": 9}
ADD = Tool(name="add", parameters={"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
WEATHER = Tool(
    name="weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "days": {"type": "integer", "minimum": 1, "maximum": 7},
        },
        "required": ["city", "days"],
        "additionalProperties": False,
    },
)
PLACE = {
    "type": "object",
    "properties": {"city": {"enum": ["Oslo", "Rome"]}, "year": {"type": "integer", "minimum": 2020, "maximum": 2030}},
    "required": ["city", "year"],
    "additionalProperties": False,
}

TRIAL = "{}"  # the first grammar that a worker gets finds out how its answers are framed


def calls_of(events: list[EngineEvent]) -> list[Any]:
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    return [
        (event.name, json.loads("".join(one.arguments for one in deltas if one.index == event.index)))
        for event in deltas
        if event.name
    ]


async def test_a_grammar_that_the_worker_does_not_keep_is_a_refusal_and_no_free_answer(worker_engine: Any) -> None:
    async with worker_engine(scripted_spec(reply="I am free.")) as engine:
        with pytest.raises(UsageError, match=r"makes no grammar of this schema.* most of all `properties` at #"):
            await events_of(engine, asked("Hi", schema=PLACE))
        with pytest.raises(
            UsageError, match=r"makes no grammar of this schema.* most of all `properties` at # of 'add'"
        ):
            await events_of(engine, asked("Hi", tools=(ADD,), tool_choice="required"))
        assert text_of(await events_of(engine, asked("Hi"))) == "I am free."


async def test_an_answer_that_does_not_follow_is_asked_for_again_and_none_of_it_is_seen(worker_engine: Any) -> None:
    async with worker_engine(scripted_spec(bound=f'{TRIAL}\n{{"a": 1}}\n{{"a": 1, "b": 2}}')) as engine:
        assert text_of(await events_of(engine, asked("Hi", schema=PAIR))) == '{"a": 1, "b": 2}'


async def test_when_none_follows_the_keyword_and_its_place_are_told(worker_engine: Any) -> None:
    async with worker_engine(scripted_spec(bound='{"a": 1}')) as engine:
        with pytest.raises(Unfollowed, match=r"does not follow the schema.*`minProperties` at #"):
            await events_of(engine, asked("Hi", schema=PAIR))
        assert text_of(await events_of(engine, asked("Hi", schema=PAIR, strict=False))) == '{"a": 1}'


async def test_a_worker_that_forgets_its_grammar_ends_no_stream_well(worker_engine: Any) -> None:
    async with worker_engine(scripted_spec(bound='{"city": 3}')) as engine:
        with pytest.raises(Unfollowed, match="does not follow the schema"):
            await events_of(engine, asked("Hi", schema=PLACE))


async def test_a_forced_call_that_is_not_as_wanted_is_asked_for_again(worker_engine: Any) -> None:
    right = '{"name": "add", "arguments": {"a": 1}}'
    wrong = right.replace("1", '"x"')
    async with worker_engine(scripted_spec(bound=f"{TRIAL}\n{wrong}\n{right}")) as engine:
        events = await events_of(engine, asked("Hi", tools=(ADD,), tool_choice="required"))
        assert calls_of(events) == [("add", {"a": 1})]


async def test_the_thoughts_of_later_tries_are_not_told(worker_engine: Any) -> None:
    right = '{"name": "add", "arguments": {"a": 1}}'
    spec = scripted_spec(bound=f"{TRIAL}\n{right.replace('1', 'null')}\n{right}", reasoning="Well now.")
    async with worker_engine(spec) as engine:
        events = await events_of(engine, asked("Hi", tools=(ADD,), tool_choice="required"))
        assert calls_of(events) == [("add", {"a": 1})]
        assert "".join(event.text for event in events if isinstance(event, ReasoningDelta)) == "Well now."


async def test_a_call_that_was_offered_beside_a_schema_is_proved(worker_engine: Any) -> None:
    """What its grammar cannot keep is asked for again, as it is where a call must come."""
    pair = Tool(name="pair", parameters=PAIR)
    wrong, right = (
        f'<tool_call>{{"name": "pair", "arguments": {said}}}</tool_call>' for said in ('{"a": 1}', '{"a": 1, "b": 2}')
    )
    async with worker_engine(scripted_spec(bound=f"{TRIAL}\n{wrong}\n{right}")) as engine:
        events = await events_of(engine, asked("Hi", tools=(pair,), schema=PLACE))
        assert calls_of(events) == [("pair", {"a": 1, "b": 2})]
        assert not text_of(events)
    async with worker_engine(scripted_spec(bound=wrong)) as engine:
        with pytest.raises(Unfollowed, match=r"does not follow the schema.*`minProperties`"):
            await events_of(engine, asked("Hi", tools=(pair,), schema=PLACE))


@pytest.mark.real
async def test_a_brain_keeps_what_llama_cpp_has_no_words_for(worker_engine: Any, starter_gguf: Path) -> None:
    schema = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "pattern": r"^(?=.*\d)[a-c0-9]+$", "minLength": 3, "maxLength": 5},
            "share": {"type": "number", "multipleOf": 0.25, "minimum": 0, "maximum": 1},
            "when": {"type": "string", "format": "date"},
            "kinds": {"type": "array", "items": {"type": "string", "maxLength": 6}, "uniqueItems": True, "minItems": 1, "maxItems": 4},
        },
        "patternProperties": {"^x-": {"type": "boolean"}},
        "additionalProperties": False,
        "required": ["code", "share", "when", "kinds"],
        "not": {"required": ["x-a"]},
    }  # fmt: skip
    async with worker_engine(real_spec(starter_gguf)) as engine:
        for seed in range(3):
            request = asked("Write one.", max_tokens=400, schema=schema)
            sampling = msgspec.structs.replace(request.sampling, temperature=0.9, seed=seed)
            events = await events_of(engine, msgspec.structs.replace(request, sampling=sampling))
            assert end_of(events).reason == "stop"
            answer = json.loads(text_of(events))
            assert answer["share"] in (0, 0.25, 0.5, 0.75, 1)
            assert len(set(answer["kinds"])) == len(answer["kinds"])
            assert 3 <= len(answer["code"]) <= 5
            assert any(sign.isdigit() for sign in answer["code"])
        completion = CompletionRequest(prompt="JSON:", schema=PLACE, sampling=Sampling(max_tokens=60, seed=1))
        text = text_of([event async for event in engine.complete(completion)])
        assert set(json.loads(text)) == {"city", "year"}


@pytest.mark.real
async def test_a_brain_calls_or_answers_where_both_are_asked_for(worker_engine: Any, starter_gguf: Path) -> None:
    async with worker_engine(real_spec(starter_gguf)) as engine:
        for seed in range(4):
            request = asked("What is the weather in Oslo for two days?", max_tokens=200, tools=(WEATHER,), schema=PLACE)
            sampling = msgspec.structs.replace(request.sampling, temperature=0.8, seed=seed)
            events = await events_of(engine, msgspec.structs.replace(request, sampling=sampling))
            calls, text = calls_of(events), text_of(events)
            assert end_of(events).reason == ("tool_calls" if calls else "stop")
            if calls:
                assert not text
                assert set(calls[0][1]) == {"city", "days"}
            else:
                assert set(json.loads(text)) == {"city", "year"}
        after = (
            Message.of("user", "What is the weather in Oslo?"),
            Message.of("assistant", ToolCallPart(id="1", name="weather", arguments='{"city": "Oslo", "days": 1}')),
            Message.of("tool", ToolResultPart.of("Rain.", call_id="1")),
        )  # fmt: skip
        request = msgspec.structs.replace(asked("", max_tokens=200, tools=(WEATHER,), schema=PLACE), messages=after)
        assert end_of(await events_of(engine, request)).reason in ("stop", "tool_calls")


THINKING = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n"
    "{% if enable_thinking is defined and not enable_thinking %}\n</think>\n\n{% endif %}{% endif %}"
)


@pytest.mark.real
async def test_a_brain_that_thinks_first_answers_in_the_form_afterwards(worker_engine: Any, starter_gguf: Path) -> None:
    async with worker_engine(real_spec(starter_gguf, chat_template=THINKING)) as engine:
        request = asked("Which city?", max_tokens=300, schema=PLACE, thinking=False)
        assert set(json.loads(text_of(await events_of(engine, request)))) == {"city", "year"}
        forced = asked("Weather in Oslo?", max_tokens=160, tools=(WEATHER,), tool_choice="required", thinking=True)
        events = await events_of(engine, forced)  # it never ends its thoughts by itself: they find an end
        assert [name for name, _ in calls_of(events)] == ["weather"]
        assert any(isinstance(event, ReasoningDelta) for event in events)
        assert not text_of(events)


@pytest.mark.real
async def test_likelihoods_of_an_answer_under_a_schema_are_of_its_tokens(
    worker_engine: Any, starter_gguf: Path
) -> None:
    async with worker_engine(real_spec(starter_gguf)) as engine:
        events = await events_of(engine, asked("Which city?", max_tokens=100, schema=PLACE, logprobs=1))
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert text == "".join(event.chosen.token for event in events if isinstance(event, TokenLogprob))
        assert set(json.loads(text)) == {"city", "year"}
