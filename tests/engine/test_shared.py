"""Two front ends on one worker of a real keeper."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import BadFile
from omni.core.events import TextDelta, TurnQueued
from omni.core.paths import Home
from omni.engine import WorkerEngine
from omni.keeper import KeeperClient
from tests.engine.engine_tools import asked, end_of, events_of, real_spec, scripted_spec, text_of


async def test_a_chat_waits_in_sight_until_another_has_given_back_its_tokens(kept_engine: Any, home: Home) -> None:
    spec = scripted_spec(context=512, cells=512, reply="on and on", endless=1, token_ms=1)
    async with kept_engine(spec) as engine:
        other = await KeeperClient.connect(home, None, client="another")
        second = WorkerEngine(spec, other, name="@omni/test")
        queued, begun = asyncio.Event(), asyncio.Event()

        async def ask() -> list[Any]:
            seen = []
            async with aclosing(second.chat(asked("Hi", max_tokens=200))) as events:
                async for event in events:
                    seen.append(event)
                    queued.set() if isinstance(event, TurnQueued) else None
                    begun.set() if isinstance(event, TextDelta) else None
            return seen

        async with asyncio.timeout(30):
            async with aclosing(engine.chat(asked("Hi", max_tokens=400))) as first:
                await anext(event async for event in first if isinstance(event, TextDelta))
                waiting = asyncio.create_task(ask())
                await queued.wait()
                assert not begun.is_set()
            seen = await waiting
        assert next(event.reason for event in seen if isinstance(event, TurnQueued)) == "slot"
        assert end_of(seen).usage.completion_tokens == 200
        await second.close()
        await other.close()


async def test_a_stopped_worker_is_started_again_by_the_next_question(kept_engine: Any, home: Home) -> None:
    async with kept_engine(scripted_spec(reply="here")) as engine:
        assert text_of(await events_of(engine, asked("Hi"))) == "here"
        other = await KeeperClient.connect(home, None, client="another")
        (worker,) = [process for process in await other.processes() if process.kind == "worker"]
        await other.stop(worker.name)
        await other.close()
        assert text_of(await events_of(engine, asked("Hi"))) == "here"


@pytest.mark.real
async def test_a_bad_file_is_told_through_the_keeper_which_lives_on(
    kept_engine: Any, home: Home, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"hello, I am no GGUF" * 100)
    async with kept_engine(real_spec(bad)) as engine:
        with pytest.raises(BadFile, match=r"cannot load bad\.gguf: invalid magic"):
            await events_of(engine, asked("Hi"))
        with pytest.raises(BadFile):
            await engine.count_tokens(())
        other = await KeeperClient.connect(home, None, client="another")
        assert not [process for process in await other.processes() if process.kind == "worker"]
        await other.close()


async def test_many_questions_at_once_are_all_answered(kept_engine: Any) -> None:
    """Three places, cells for two: what waits is admitted as the others end."""
    async with kept_engine(scripted_spec(slots=3, context=512, cells=512, reply="one two three")) as engine:
        async with asyncio.timeout(60):
            answers = await asyncio.gather(*(events_of(engine, asked(f"{n}", max_tokens=200)) for n in range(20)))
        assert {text_of(events) for events in answers} == {"one two three"}
