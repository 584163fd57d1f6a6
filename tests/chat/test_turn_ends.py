"""How a turn ends: cancelled, failed, cut, and what is left of it."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.core.events import (
    PromptProgress,
    TextDelta,
    TurnStarted,
)
from omni.core.settings import ChatSettings, Settings
from omni.engine import Reply, ScriptedEngine
from tests.chat.turn_tools import seen, until


@pytest.mark.parametrize("reasoning", ["", "hm hm "])
async def test_closing_the_events_cancels_the_turn(bench: Any, reasoning: str) -> None:
    gate = asyncio.Event()
    service = bench.open(ScriptedEngine([Reply(text="one two three", gates={2: gate})]))
    made = await service.create()
    async with aclosing(service.ask(made.id, "Hi")) as events:
        await until(events, "two")
    assert seen(await service.messages(made.id))[1] == ("assistant", "cancelled", "one two")
    assert bench.engine.cancelled == 1


@pytest.mark.parametrize("token", [0, 1])
async def test_cancelling_the_task_cancels_the_turn(bench: Any, token: int) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()
    service = bench.open(ScriptedEngine([Reply(text="one two", gates={token: gate})]))
    made = await service.create()

    async def read() -> None:
        async for event in service.ask(made.id, "Hi"):
            if isinstance(event, (PromptProgress, TextDelta)[token]):
                reached.set()

    task = asyncio.create_task(read())
    await reached.wait()
    await asyncio.sleep(0)  # it waits for the gate
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen(await service.messages(made.id))[1] == ("assistant", "cancelled", ("", "one")[token])
    assert bench.engine.cancelled == 1


@pytest.mark.parametrize("steps", range(60))
async def test_a_turn_cancelled_anywhere_has_an_end(bench: Any, steps: int) -> None:
    """The task is cancelled after so many turns of the loop, wherever it then is: nothing stays "writing"."""
    service = bench.open(ScriptedEngine([Reply(text="one two", reasoning="hm")]))
    made = await service.create()

    async def read() -> None:
        async for _ in service.ask(made.id, "Hi"):
            pass

    task = asyncio.create_task(read())
    for _ in range(steps):
        await asyncio.sleep(0)
        if steps % 3 == 0:  # let the writer's thread catch up, so that other places are hit
            await bench.store._database.write(lambda _: None)
    task.cancel()
    await asyncio.wait({task})
    states = [said.state for said in await service.messages(made.id)]
    assert states in ([], ["complete", "cancelled"], ["complete", "complete"])
    async with aclosing(service.ask(made.id, "Next")) as events:
        assert isinstance(await anext(events), TurnStarted)


async def test_a_failing_engine_keeps_what_came(bench: Any, collect: Any) -> None:
    failure = EngineError("The worker died.", hint="Ask again.")
    service = bench.open(ScriptedEngine([Reply(text="one two three", error=failure, fail_after=2), "fine"]))
    made = await service.create()
    with pytest.raises(EngineError) as caught:
        await collect(service.ask(made.id, "Hi"))
    assert caught.value is failure
    answer = (await service.messages(made.id))[1]
    assert (answer.state, answer.text, answer.reason) == ("failed", "one two", "The worker died.")
    await collect(service.regenerate(made.id, answer.id))
    assert seen(await service.messages(made.id))[1] == ("assistant", "complete", "fine")
    assert len((await service.messages(made.id))[1].siblings) == 2


async def test_a_bug_is_raised_as_it_is_and_ends_the_answer(bench: Any, collect: Any) -> None:
    def broken(_: Any) -> str:
        raise ZeroDivisionError("a bug")

    service = bench.open(ScriptedEngine(broken))
    made = await service.create()
    with pytest.raises(ZeroDivisionError):
        await collect(service.ask(made.id, "Hi"))
    assert seen(await service.messages(made.id))[1] == ("assistant", "failed", "")


async def test_an_engine_that_falls_silent_has_failed(bench: Any, collect: Any) -> None:
    class Silent(ScriptedEngine):
        async def chat(self, request: Any) -> Any:
            yield TextDelta(text="half")

    service = bench.open(Silent())
    made = await service.create()
    with pytest.raises(EngineError, match="without its end"):
        await collect(service.ask(made.id, "Hi"))
    assert seen(await service.messages(made.id))[1] == ("assistant", "failed", "half")


async def test_an_answer_that_never_stops_is_cut_and_says_so(bench: Any, collect: Any) -> None:
    bench.settings = Settings(chat=ChatSettings(max_completion_tokens=40))
    service = bench.open(ScriptedEngine([Reply(text="on and ", endless=True)]))
    made = await service.create()
    events = await collect(service.ask(made.id, "Hi"))
    assert events[-1].reason == "length"
    answer = (await service.messages(made.id))[1]
    assert (answer.state, answer.reason) == ("complete", "length")
    await collect(service.resume(made.id, answer.id))  # and may go on
    assert len((await service.messages(made.id))[1].text) > len(answer.text)


async def test_reasoning_is_timed_apart(bench: Any, clock: Any, collect: Any) -> None:
    clock.tick = 1.0
    service = bench.open(ScriptedEngine([Reply(text="a b", reasoning="x y z")]))
    made = await service.create()
    await collect(service.ask(made.id, "Hi"))
    answer = (await service.messages(made.id))[1]
    assert 0 < answer.reasoning_seconds < answer.seconds
