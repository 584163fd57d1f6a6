"""What the end of a worker is to those whom it was answering: the one that did it, and the others."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.core.events import (
    EngineEvent,
    PromptCounted,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    TurnEnded,
)
from omni.core.messages import Message
from omni.engine import ChatRequest, CompletionRequest, Sampling, Tool, WorkerEngine, image_of
from omni.engine.http import WorkerClient
from omni.engine.refusals import OutOfMemory
from omni.keeper import WorkerSpec
from omni.schemas import compile_schema
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, real_spec, scripted_spec, text_of
from tests.image_tools import png

Make = Any
WORDS = " ".join(f"word{number}" for number in range(60))
SAID = '{"a":"b"}'
KNOWN = {"type": "object", "properties": {"a": {"const": "b"}}}
BOOM = {"type": "object", "properties": {"boom": {"type": "boolean"}}}
FINE = Tool(name="fine", parameters={"type": "object"})


class Reading:
    """An answer while it is read: `begun` when it has so many words and letters, or has ended; `events` are what came."""

    def __init__(self, engine: WorkerEngine, request: ChatRequest, *, words: int = 1, letters: int = 0) -> None:
        self.events: list[EngineEvent] = []
        self.begun = asyncio.Event()
        self.task = asyncio.create_task(self._read(engine.chat(request), words, letters))

    async def _read(self, events: AsyncIterator[EngineEvent], words: int, letters: int) -> list[EngineEvent]:
        try:
            async for event in events:
                self.events.append(event)
                text = text_of(self.events)
                if len(text.split()) >= words and len(text) >= letters:
                    self.begun.set()
        finally:
            self.begun.set()
        return self.events


def boom(words: str = "boom", **more: Any) -> ChatRequest:
    return asked(words, schema=BOOM, **more)


@pytest.fixture
def hold(tmp_path: Path) -> Path:
    """While this file is there, no answer of a worker by `deadly` ends, and the worker does not end either before enough of
    them are begun; its end removes it."""
    return tmp_path / "hold"


def deadly(hold: Path, *, busy: int, **settings: Any) -> WorkerSpec:
    """A worker that ends for want of memory at `boom`, when `busy` answers are at work."""
    settings = {"reply": WORDS, "bound": SAID, "die_of": "memory", **settings}
    return scripted_spec(die_at="boom", die_after=0, die_busy=busy, hold=str(hold), **settings)


async def begin(engine: WorkerEngine, keeper: DirectKeeper, hold: Path) -> None:
    """Find out first how the worker frames answers, and what it does with a known schema. Then hold what comes."""
    await events_of(engine, asked("Hi", schema=KNOWN))
    await working(keeper, slots=0)
    hold.touch()  # noqa: ASYNC240 - at once


async def test_one_request_ends_the_worker_and_the_others_hear_nothing_of_it(
    worker_engine: Make, keeper: DirectKeeper, hold: Path
) -> None:
    async with worker_engine(deadly(hold, busy=4, hold_after=5)) as engine, asyncio.timeout(60):
        await begin(engine, keeper, hold)
        others = [Reading(engine, asked(f"Number {number}", max_tokens=100), words=5) for number in range(3)]
        for other in others:
            await other.begun.wait()
        with pytest.raises(OutOfMemory, match="ran out of its memory while it worked on this request") as ended:
            await events_of(engine, boom())
        assert "a simpler schema" in ended.value.hint
        for other in others:
            events = await other.task
            assert text_of(events) == WORDS
            assert [isinstance(event, PromptCounted) for event in events].count(True) == 1
            last = end_of(events)
            assert (last.reason, last.usage.prompt_tokens, last.usage.completion_tokens) == ("stop", 3, 60)
            assert last.context_used == 63
    assert len(keeper.started) == 2
    assert not keeper.turns


async def test_what_was_said_counts_against_the_limit_of_an_answer(worker_engine: Make, keeper: DirectKeeper) -> None:
    async with worker_engine(scripted_spec(reply=WORDS, die_after=30)) as engine:
        events = await events_of(engine, asked("Hi", max_tokens=40))
        assert text_of(events) == " ".join(WORDS.split()[:40])
        assert (end_of(events).reason, end_of(events).usage.completion_tokens) == ("length", 40)
        whole = await events_of(engine, asked("Hi", max_tokens=30))
        assert (end_of(whole).reason, end_of(whole).usage.completion_tokens) == ("length", 30)
    assert len(keeper.started) == 2


async def test_an_answer_goes_on_from_what_it_was_to_go_on_from(worker_engine: Make) -> None:
    begun = (Message.of("user", "Hi"), Message.of("assistant", "word0 word1"))
    request = ChatRequest(messages=begun, sampling=Sampling(max_tokens=100))
    async with worker_engine(scripted_spec(reply=WORDS, die_after=40)) as engine:
        assert text_of(await events_of(engine, request)) == WORDS.removeprefix("word0 word1")


async def test_an_answer_that_ends_two_workers_fails_and_the_next_turn_works(
    worker_engine: Make, keeper: DirectKeeper
) -> None:
    async with worker_engine(scripted_spec(reply=WORDS, die_after=3)) as engine:
        reading = Reading(engine, asked("Hi", max_tokens=100))
        with pytest.raises(EngineError, match="ended in the middle of its answer"):
            await reading.task
        seen = reading.events
        assert text_of(seen) == " ".join(WORDS.split()[:6])
        assert not keeper.turns
        assert text_of(await events_of(engine, asked("Hi", max_tokens=2))) == "word0 word1"


LONG = {"type": "object", "properties": {"a": {"const": WORDS}}, "required": ["a"]}
DOUBLE = {"type": "string", "pattern": "^(.)\\1$"}  # which no grammar keeps: an answer is given away when it is whole
HELD = {"type": "object", "properties": {"a": {"const": WORDS}, "b": DOUBLE}, "required": ["a", "b"]}
REPEATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a schema": ({"schema": LONG}, {"bound": json.dumps({"a": WORDS})}),
    "a schema that is held": ({"schema": HELD}, {"bound": json.dumps({"a": WORDS, "b": "yy"})}),
    "tools": ({"tools": (FINE,)}, {}),
    "likelihoods": ({"logprobs": 1}, {}),
    "a thought": ({}, {"reasoning": "Well now."}),
    "a forced call": (
        {"tools": (Tool(name="fine", parameters=LONG),), "tool_choice": "required"},
        {"bound": json.dumps({"name": "fine", "arguments": {"a": WORDS}})},
    ),
}


@pytest.mark.parametrize("how", REPEATED)
async def test_what_cannot_be_gone_on_with_is_said_again_and_given_once(
    worker_engine: Make, keeper: DirectKeeper, tmp_path: Path, how: str
) -> None:
    more, settings = REPEATED[how]
    request = asked("Hi", max_tokens=200, **more)
    dies: dict[str, Any] = {"die_at": "Hi", "die_after": 9, "die_once": str(tmp_path / "died")}
    async with worker_engine(scripted_spec(reply=WORDS, **settings, **dies)) as engine:
        events = await events_of(engine, request)
        assert len(keeper.started) == 2
        whole = await events_of(engine, request)
    assert len(keeper.started) == 2
    assert said(events) == said(whole)
    assert end_of(events).usage.completion_tokens == end_of(whole).usage.completion_tokens
    assert [isinstance(event, PromptCounted) for event in events].count(True) == 1


def said(events: list[EngineEvent]) -> tuple[str, str, list[str], str]:
    """Text, thoughts, names and arguments."""
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    return text_of(events), thoughts, [call.name for call in calls if call.name], "".join(c.arguments for c in calls)


def otherwise(tmp_path: Path, first: dict[str, Any], second: dict[str, Any], *, at: str = "Hi") -> WorkerSpec:
    """A worker that ends in the middle of an answer; the next one says something else."""
    bound = {"bound": json.dumps(first), "bound_later": json.dumps(second)}
    return scripted_spec(reply=WORDS, die_at=at, die_after=9, die_once=str(tmp_path / "died"), **bound)


async def test_where_it_comes_out_otherwise_an_answer_that_was_begun_fails(
    worker_engine: Make, keeper: DirectKeeper, tmp_path: Path
) -> None:
    async with worker_engine(otherwise(tmp_path, {"a": WORDS}, {"b": WORDS})) as engine:
        with pytest.raises(EngineError, match="ended in the middle of its answer"):
            await events_of(engine, asked("Hi", max_tokens=200, schema=LONG))
    assert len(keeper.started) == 2


@pytest.mark.parametrize("chats", [True, False])
async def test_where_it_comes_out_otherwise_who_has_got_nothing_gets_that(
    worker_engine: Make, keeper: DirectKeeper, tmp_path: Path, *, chats: bool
) -> None:
    first, second = {"a": WORDS, "b": "yy"}, {"b": "xx", "a": WORDS}
    request = asked("Hi", max_tokens=200, schema=HELD)
    async with worker_engine(otherwise(tmp_path, first, second, at="Hi" if chats else "")) as engine:
        if chats:
            events = await events_of(engine, request)
        else:
            text = CompletionRequest(prompt="Hi", sampling=request.sampling, schema=HELD)
            async with aclosing(engine.complete(text)) as said_of:
                events = [event async for event in said_of]
        assert text_of(events) == json.dumps(second)
        assert [isinstance(event, PromptCounted) for event in events].count(True) == 1
    assert len(keeper.started) == 2


async def test_who_was_told_to_stop_is_not_started_again(worker_engine: Make, keeper: DirectKeeper) -> None:
    async with worker_engine(scripted_spec(reply=WORDS, token_ms=5)) as engine:
        reading = Reading(engine, asked("Hi", max_tokens=100))
        await reading.begun.wait()
        await keeper.stop(keeper.started[0].name)
        with pytest.raises(EngineError, match="ended in the middle of its answer"):
            await reading.task
    assert len(keeper.started) == 1


async def test_of_two_suspects_each_is_asked_alone(worker_engine: Make, keeper: DirectKeeper, hold: Path) -> None:
    async with worker_engine(deadly(hold, busy=2)) as engine, asyncio.timeout(60):
        await begin(engine, keeper, hold)
        suspect = asyncio.create_task(events_of(engine, asked("Hello", max_tokens=2, tools=(FINE,))))
        with pytest.raises(OutOfMemory, match="while it worked on this request"):
            await events_of(engine, boom())
        assert text_of(await suspect) == "word0 word1"
    assert [worker.process.poll() for worker in keeper.started[:2]] == [-signal.SIGABRT] * 2  # the second by it alone


async def working(keeper: DirectKeeper, *, slots: int = 1) -> None:
    """Wait until the first worker works for so many."""
    client, busy = WorkerClient(keeper.started[0].socket, keeper.started[0].key), -1
    while busy != slots:
        busy = sum(slot["is_processing"] for slot in await client.json("/slots"))


async def test_a_grammar_that_has_finished_an_answer_is_no_suspect(
    worker_engine: Make, keeper: DirectKeeper, hold: Path
) -> None:
    """The worker ends while it works for three: the schema that is known is asked again, the other one is not."""
    async with worker_engine(deadly(hold, busy=3)) as engine, asyncio.timeout(60):
        await begin(engine, keeper, hold)
        again = [asyncio.create_task(events_of(engine, asked("Hi", schema=KNOWN))) for _ in range(2)]
        with pytest.raises(OutOfMemory):
            await events_of(engine, boom())
        for one in again:
            assert text_of(await one) == SAID
    assert len(keeper.started) == 2


async def test_images_are_blamed_for_the_memory_at_once(worker_engine: Make, keeper: DirectKeeper) -> None:
    spec = scripted_spec(projector="eyes.gguf", die_at="<image", die_after=0, die_of="memory")
    async with worker_engine(spec) as engine:
        shown = Message.of("user", image_of(png()), "What?")
        with pytest.raises(OutOfMemory) as ended:
            await events_of(engine, ChatRequest(messages=(shown,)))
        assert "fewer images" in ended.value.hint
    assert len(keeper.started) == 1


async def test_nobody_is_blamed_twice_where_nobody_is_a_suspect(worker_engine: Make, keeper: DirectKeeper) -> None:
    async with worker_engine(scripted_spec(reply=WORDS, die_after=0, die_of="memory")) as engine:
        with pytest.raises(OutOfMemory, match="ran out of its memory") as ended:
            await events_of(engine, asked("Hi"))
        assert "less at once" in ended.value.hint
    assert len(keeper.started) == 2


async def test_who_had_nothing_said_is_asked_again(worker_engine: Make, keeper: DirectKeeper, hold: Path) -> None:
    """Its prompt was read in part, and that was told."""
    async with worker_engine(deadly(hold, busy=2, context=4096, cells=9999)) as engine, asyncio.timeout(60):
        await begin(engine, keeper, hold)
        waiting = asyncio.create_task(events_of(engine, asked("long " * 200, max_tokens=2)))
        with pytest.raises(OutOfMemory):
            await events_of(engine, boom())
        events = await waiting
        assert text_of(events) == "word0 word1"
        assert any(isinstance(event, PromptProgress) for event in events)
    assert len(keeper.started) == 2


async def test_a_suspect_that_left_is_still_one_until_the_worker_has_noticed(
    worker_engine: Make, keeper: DirectKeeper, hold: Path
) -> None:
    """Its client is gone; what it carried ends the worker all the same, and is no fault of who waits there."""
    async with worker_engine(scripted_spec(reply=WORDS, hold=str(hold), hold_after=5)) as engine, asyncio.timeout(60):
        hold.touch()  # noqa: ASYNC240 - at once
        other = Reading(engine, asked("Hi", max_tokens=100), words=5)
        await other.begun.wait()
        leaving = Reading(engine, asked("Hi", tools=(FINE,)))
        await working(keeper, slots=2)
        leaving.task.cancel()
        keeper.started[0].kill()
        hold.unlink()  # noqa: ASYNC240 - at once
        assert text_of(await other.task) == WORDS


@pytest.mark.real
async def test_kill_9_in_mid_answer_is_not_noticed(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    async with worker_engine(real_spec(starter_gguf)) as engine, asyncio.timeout(120):
        reading = Reading(engine, asked("Tell a long story.", max_tokens=60), words=12)
        await reading.begun.wait()
        keeper.started[0].kill()
        before = text_of(reading.events)
        events = await reading.task
        assert text_of(events).startswith(before)
        assert len(text_of(events)) > len(before)
        last = end_of(events)
        assert last.usage.completion_tokens <= 60
        assert last.reason == "stop" or last.usage.completion_tokens == 60
        assert last.context_used == last.usage.prompt_tokens + last.usage.completion_tokens
    assert len(keeper.started) == 2


@pytest.mark.real
async def test_kill_9_in_mid_answer_under_a_schema_is_not_noticed(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    people = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    schema = {"type": "array", "minItems": 4, "maxItems": 8, "items": people | {"required": ["name", "age"]}}
    sampling = Sampling(temperature=0.8, max_tokens=300)
    request = ChatRequest(messages=(Message.of("user", "Invent people."),), sampling=sampling, schema=schema)
    async with worker_engine(real_spec(starter_gguf)) as engine, asyncio.timeout(120):
        reading = Reading(engine, request, letters=40)  # in words it may be one: no grammar asks for a space
        await reading.begun.wait()
        keeper.started[0].kill()
        before = text_of(reading.events)
        events = await reading.task
        assert text_of(events).startswith(before)
        if end_of(events).reason == "stop":
            assert compile_schema(schema).fault_of(text_of(events)) is None
    assert len(keeper.started) == 2


@pytest.mark.real
async def test_kill_9_in_the_middle_of_a_text_is_not_noticed(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    request = CompletionRequest(prompt="Once upon a time", sampling=Sampling(temperature=0.0, max_tokens=40))
    async with worker_engine(real_spec(starter_gguf)) as engine, asyncio.timeout(120):
        seen: list[EngineEvent] = []
        async with aclosing(engine.complete(request)) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, TextDelta) and len(keeper.started) == 1 and len(text_of(seen).split()) > 5:
                    keeper.started[0].kill()
        last = end_of(seen)
        assert isinstance(last, TurnEnded)
        assert last.usage.completion_tokens <= 40
        assert len(text_of(seen).split()) > 8
    assert len(keeper.started) == 2
