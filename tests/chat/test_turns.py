"""The turn runner: what is stored when, in which order events come, and who waits for whom."""

import asyncio
import os
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Brain
from omni.chat.answer_buffer import AnswerBuffer
from omni.core.errors import BadFile, EngineError, NotFound, OmniError, StorageError
from omni.core.events import (
    BrainLoading,
    BrainReplaced,
    EngineEvent,
    ReasoningDelta,
    TextDelta,
    TurnEnded,
    TurnQueued,
    TurnStarted,
)
from omni.core.messages import TextPart
from omni.core.settings import ChatSettings, Settings
from omni.engine import LoadFailed, Reply, ScriptedEngine
from tests.chat.turn_tools import gather, kinds, seen, until


async def test_a_turn_in_its_order(bench: Any, collect: Any, text_of: Any) -> None:
    waits = (TurnQueued(place=2, reason="slot"), BrainLoading(brain="@omni/test", seconds=0.5))
    service = bench.open(ScriptedEngine([Reply(text="Hello you", reasoning="They greet", before=waits)]))
    made = await service.create()
    events = await collect(service.ask(made.id, "Hi"))
    assert kinds(events) == [
        "TurnStarted",
        "TurnQueued",
        "BrainLoading",
        "PromptCounted",
        "PromptProgress",
        "ReasoningDelta",
        "ReasoningDelta",
        "TextDelta",
        "TextDelta",
        "TurnEnded",
    ]
    question, answer = await service.messages(made.id)
    assert events[0] == TurnStarted(conversation=made.id, question=question.id, answer=answer.id, brain="@omni/test")
    assert (question.text, answer.text, answer.reasoning) == ("Hi", "Hello you", "They greet")
    assert text_of(events) == answer.text
    assert (answer.state, answer.brain, answer.parent) == ("complete", "@omni/test", question.id)
    assert answer.usage == events[-1].usage
    assert events[-1].context_used > 0
    assert (await service.conversation(made.id)).brain == "@omni/test"


async def test_the_question_is_stored_before_the_engine_is_asked(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()

    async def look(_: Brain) -> Any:
        looked.extend(seen(await service.messages(made.id)))
        raise EngineError("no engine today")

    looked: list[Any] = []
    bench.engines.open = look
    with pytest.raises(EngineError):
        await collect(service.ask(made.id, "Hi"))
    assert looked == [("user", "complete", "Hi"), ("assistant", "writing", "")]


async def test_a_question_is_stored_even_when_there_is_no_brain(bench: Any) -> None:
    bench.shelf.brains.clear()
    service = bench.open()
    made = await service.create()
    events: list[Any] = []
    with pytest.raises(NotFound, match="No brain") as caught:
        await gather(events, service.ask(made.id, "Hi"))
    assert kinds(events) == ["TurnStarted"]
    assert "omni pull" in caught.value.hint
    assert seen(await service.messages(made.id)) == [("user", "complete", "Hi"), ("assistant", "failed", "")]
    assert (await service.messages(made.id))[1].reason == caught.value.message


async def test_a_brain_that_is_not_there_says_what_helps(bench: Any, collect: Any) -> None:
    bench.shelf.brains["@omni/far"] = Brain(name="@omni/far", state="available")
    bench.shelf.brains["bad"] = Brain(name="bad", state="unloadable", reason="It is too new.", command="omni rm bad")
    service = bench.open()
    made = await service.create(brain="@omni/far")
    with pytest.raises(NotFound) as caught:
        await collect(service.ask(made.id, "Hi"))
    assert caught.value.hint == "omni pull @omni/far"
    with pytest.raises(NotFound, match="too new") as caught:
        await collect(service.ask(made.id, "Hi", brain="bad"))
    assert caught.value.hint == "omni rm bad"


async def test_which_brain_answers(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    await collect(service.ask(made.id, "1"))
    await collect(service.ask(made.id, "2", brain="@omni/other"))
    await collect(service.ask(made.id, "3"))
    assert bench.engines.opened == ["@omni/test", "@omni/other", "@omni/other"]
    service.settings = Settings(chat=ChatSettings(brain="@omni/other"))
    fresh = await service.create()
    await collect(service.ask(fresh.id, "4"))
    assert bench.engines.opened[-1] == "@omni/other"


async def test_what_a_brain_says_of_itself_reaches_the_engine(bench: Any, collect: Any) -> None:
    bench.shelf.brains["tuned"] = Brain(
        name="tuned", state="ready", sampling={"temperature": 0.1, "stop": ("END",), "max_tokens": 100_000}
    )
    service = bench.open()
    made = await service.create(brain="tuned")
    await collect(service.ask(made.id, "1"))
    sampling = bench.engine.requests[0].sampling
    assert (sampling.temperature, sampling.stop, sampling.top_k) == (0.1, ("END",), 40)
    assert sampling.max_tokens == service.settings.chat.max_completion_tokens


async def test_the_answer_is_stored_while_it_comes(bench: Any, clock: Any) -> None:
    gates = {1: asyncio.Event(), 2: asyncio.Event()}
    service = bench.open(ScriptedEngine([Reply(text="one two three", gates=gates)]))
    made = await service.create()
    async with aclosing(service.ask(made.id, "Hi")) as events:
        await until(events, "one")
        assert (await service.messages(made.id))[1].text == ""  # it is not yet 100 ms old
        clock.time += 0.2
        gates[1].set()
        await until(events, "two")
        assert (await service.messages(made.id))[1].text == "one two"
        gates[2].set()
        await until(events, "three")
        assert seen(await service.messages(made.id))[1] == ("assistant", "writing", "one two")
        assert isinstance(await anext(events), TurnEnded)
    assert seen(await service.messages(made.id))[1] == ("assistant", "complete", "one two three")


async def test_thirty_two_tokens_are_stored_at_once(clock: Any) -> None:
    pieces: list[str] = []

    async def append(events: list[Any]) -> None:
        pieces.extend(event.text for event in events)

    buffer = AnswerBuffer(append, clock)
    for _ in range(70):
        await buffer.add(TextDelta(text="x"))
    buffer.close()
    assert pieces == ["x" * 32] * 2
    assert buffer.parts == (TextPart(text="x" * 70),)


async def test_a_silent_brain_does_not_keep_text_from_being_stored(clock: Any) -> None:
    stored = asyncio.Event()

    async def append(events: list[Any]) -> None:
        assert events == [ReasoningDelta(text="b"), TextDelta(text="a")]
        stored.set()

    buffer = AnswerBuffer(append, clock)  # whose clock stands still
    await buffer.add(ReasoningDelta(text="b"))
    await buffer.add(TextDelta(text="a"))
    await asyncio.wait_for(stored.wait(), 10)
    buffer.close()


async def test_what_a_full_disk_refused_is_stored_later(clock: Any) -> None:
    pieces: list[str] = []
    full = True

    async def append(events: list[Any]) -> None:
        if full:
            raise StorageError("full")
        pieces.extend(event.text for event in events)

    buffer = AnswerBuffer(append, clock)
    clock.time += 1
    await buffer.add(TextDelta(text="a"))
    full = False
    clock.time += 1
    await buffer.add(TextDelta(text="b"))
    buffer.close()
    assert pieces == ["ab"]


async def test_an_answer_outlives_a_full_disk(bench: Any, collect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    service = bench.open(ScriptedEngine(["all of it"]))
    made = await service.create()
    finish = bench.store._writing.finish

    def full(*_: object) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(bench.store._writing, "finish", full)
    events: list[Any] = []
    with pytest.raises(StorageError):
        await gather(events, service.ask(made.id, "Hi"))
    assert kinds(events)[-1] == "TextDelta"
    assert seen(await service.messages(made.id))[1] == ("assistant", "complete", "all of it")
    monkeypatch.setattr(bench.store._writing, "finish", finish)
    await collect(service.ask(made.id, "Again"))
    other = bench.open()
    assert seen(await other.messages(made.id))[1] == ("assistant", "complete", "all of it")


# --- one turn at a time


async def test_a_second_turn_here_waits_and_says_so(bench: Any, collect: Any) -> None:
    gate = asyncio.Event()
    service = bench.open(ScriptedEngine([Reply(text="one two", gates={1: gate}), "next"]))
    made = await service.create()
    async with aclosing(service.ask(made.id, "first")) as first:
        await until(first, "one")
        second = asyncio.create_task(collect(service.ask(made.id, "second")))
        third = service.ask(made.id, "third")
        await asyncio.sleep(0)
        assert await anext(third) == TurnQueued(place=2, reason="turn")
        await third.aclose()
        gate.set()
        await collect(first)
    events = await second
    assert events[0] == TurnQueued(place=1, reason="turn")
    assert [said.text for said in await service.messages(made.id)] == ["first", "one two", "second", "next"]


async def test_turns_of_different_conversations_do_not_wait(bench: Any, collect: Any) -> None:
    gate = asyncio.Event()
    service = bench.open(ScriptedEngine([Reply(text="one two", gates={1: gate}), "next"]))
    made = await service.create()
    other = await service.create()
    async with aclosing(service.ask(made.id, "first")) as first:
        await until(first, "one")
        assert (await collect(service.ask(other.id, "second")))[-1].reason == "stop"


async def test_a_turn_waits_for_another_process(bench: Any, collect: Any) -> None:
    gate, looked = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        looked.set()
        await asyncio.sleep(0)

    service = bench.open(ScriptedEngine([Reply(text="one two", gates={1: gate})]))
    other = bench.open(ScriptedEngine(["from there"]), pause=pause)
    made = await service.create()
    async with aclosing(service.ask(made.id, "first")) as first:
        await until(first, "one")
        second = asyncio.create_task(collect(other.ask(made.id, "second")))
        await looked.wait()
        gate.set()
        await collect(first)
    events = await second
    assert isinstance(events[0], TurnQueued)
    assert (events[0].reason, bool(events[0].detail)) == ("turn", True)
    assert [said.text for said in await service.messages(made.id)] == ["first", "one two", "second", "from there"]


async def test_loading_in_order_to_count_is_told(bench: Any) -> None:
    loaded = asyncio.Event()

    class Slow(ScriptedEngine):
        async def capabilities(self) -> Any:
            await loaded.wait()
            return await super().capabilities()

    service = bench.open(Slow())
    made = await service.create()
    async with aclosing(service.ask(made.id, "long " * 20_000)) as events:
        assert isinstance(await anext(events), TurnStarted)
        assert isinstance(await anext(events), BrainLoading)
        loaded.set()
        with pytest.raises(OmniError):
            await gather([], events)


# --- others are told


async def test_others_hear_of_every_change(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    await collect(service.ask(made.id, "Hi"))
    await service.rename(made.id, "x")
    await service.undo(made.id)
    await service.delete(made.id)
    await service.close()
    told = [what for conversation, what in bench.keeper.told if conversation == made.id]
    assert told[0] in ("created", "asked")
    assert told[-1] == "deleted"


async def test_a_keeper_that_went_away_disturbs_no_turn(bench: Any, collect: Any) -> None:
    async def gone(topic: str, value: Any) -> None:
        raise OmniError("The keeper is gone.")

    bench.keeper.changed = gone
    service = bench.open()
    made = await service.create()
    assert (await collect(service.ask(made.id, "Hi")))[-1].reason == "stop"


def test_reasoning_is_never_text() -> None:
    events: list[EngineEvent] = [ReasoningDelta(text="x"), TextDelta(text="x")]
    assert events[0] != events[1]


class Unloadable:
    """Opens the engine for every brain but some, which cannot be loaded, as counting is what finds out."""

    def __init__(self, engine: Any, **failing: OmniError) -> None:
        self._engine, self._failing = engine, {f"@omni/{name}": error for name, error in failing.items()}

    async def open(self, brain: Brain) -> Any:
        return _Failing(error) if (error := self._failing.get(brain.name)) is not None else self._engine


class _Failing(ScriptedEngine):
    def __init__(self, error: OmniError) -> None:
        super().__init__([Reply(error=error)])


@pytest.mark.parametrize("error", [BadFile("It has no layers."), LoadFailed("It was ended by SIGABRT.")])
async def test_the_best_brain_that_cannot_be_loaded_gives_way_to_the_next_best(
    bench: Any, collect: Any, error: OmniError
) -> None:
    service = bench.open()
    bench.engines.open = Unloadable(bench.engine, test=error).open
    made = await service.create()
    events = await collect(service.ask(made.id, "Hi"))
    replaced = next(event for event in events if isinstance(event, BrainReplaced))
    assert (replaced.failed, replaced.brain, replaced.reason) == ("@omni/test", "@omni/other", error.message)
    assert isinstance(events[-1], TurnEnded)
    assert (await service.conversation(made.id)).brain == "@omni/other"
    assert [message.brain for message in await service.messages(made.id)][-1] == "@omni/other"


@pytest.mark.parametrize("how", ["asked", "conversation", "settings"])
async def test_a_brain_that_was_named_never_becomes_another(bench: Any, how: str) -> None:
    service = bench.open()
    bench.engines.open = Unloadable(bench.engine, test=BadFile("It has no layers.")).open
    if how == "settings":
        service.settings = Settings(chat=ChatSettings(brain="@omni/test"))
    made = await service.create(brain="@omni/test" if how == "conversation" else "")
    events: list[Any] = []
    with pytest.raises(BadFile, match="no layers"):
        await gather(events, service.ask(made.id, "Hi", brain="@omni/test" if how == "asked" else ""))
    assert "BrainReplaced" not in kinds(events)


async def test_where_no_brain_can_be_loaded_the_conversation_keeps_none(bench: Any, collect: Any) -> None:
    service = bench.open()
    failing = {"test": BadFile("It has no layers."), "other": BadFile("Nor has it.")}
    bench.engines.open = Unloadable(bench.engine, **failing).open
    made = await service.create()
    with pytest.raises(BadFile, match="Nor has it"):
        await collect(service.ask(made.id, "Hi"))
    assert (await service.conversation(made.id)).brain == ""


async def test_a_project_whose_name_is_no_text_has_conversations_like_any_other(bench: Any, collect: Any) -> None:
    service = bench.open()
    project = Path(os.fsdecode(b"/tmp/raw\xff dir"))
    made = await service.create(project=project)
    assert made.project is not None
    made.project.encode()
    await collect(service.ask(made.id, "Hi"))
    assert [each.id for each in await service.conversations(project=project)] == [made.id]
