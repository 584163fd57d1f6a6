"""Several processes and one database: what a killed one leaves, and how two keep out of each other's way."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from omni.core.events import TurnEnded, TurnQueued, TurnStarted
from omni.engine import ScriptedEngine

pytestmark = pytest.mark.real  # every test here starts processes

ROOT = Path(__file__).resolve().parents[2]

# A front end whose brain writes, word by word, what time it is; each word is printed when a person would see it.
FRONT_END = """
import asyncio, json, sys, time
from pathlib import Path
from omni.cartridges import Brain
from omni.chat import ChatService, ChatStore
from omni.core.events import TextDelta, TurnEnded, Usage
from omni.engine import Capabilities

path, conversation, words = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

class Clockwork:
    async def capabilities(self):
        return Capabilities(context=100_000, context_max=100_000)
    async def count_tokens(self, messages):
        return 10
    async def chat(self, request):
        for _ in range(words):
            await asyncio.sleep(0.003)
            yield TextDelta(text=f"{time.monotonic():.6f} ")
        await asyncio.to_thread(sys.stdin.readline)
        yield TurnEnded(reason="stop", usage=Usage())

class Here:
    async def open(self, brain):
        return Clockwork()
    async def get(self, name):
        return Brain(name=name, state="ready")

async def main():
    chat = ChatService(ChatStore(path), Here(), Here())
    async for event in chat.ask(conversation, "What time is it?", brain="@omni/test"):
        if isinstance(event, TextDelta):
            print(event.text, flush=True)
    await chat.close()
    print("done", flush=True)

asyncio.run(main())
"""


@contextmanager
def front_end(path: Path, conversation: str, words: int = 1_000_000) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-c", FRONT_END, str(path), conversation, str(words)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


async def lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    assert process.stdout is not None
    read = process.stdout.readline
    return [(await asyncio.to_thread(read)).strip() for _ in range(count)]


async def test_a_killed_front_end_loses_a_tenth_of_a_second_at_most(bench: Any, collect: Any, text_of: Any) -> None:
    service = bench.open(ScriptedEngine([" and on"]))
    made = await service.create()
    with front_end(bench.path, made.id) as process:
        shown = await lines(process, 150)
        assert (await service.messages(made.id))[1].state == "writing"  # live here, too
        process.kill()
        assert process.stdout is not None
        shown += (await asyncio.to_thread(process.stdout.read)).split()
    answer = (await service.messages(made.id))[1]
    assert answer.state == "interrupted"
    kept = answer.text.split()
    assert len(kept) > 100
    assert kept == shown[: len(kept)]
    lost = [float(word) for word in shown[len(kept) :]]
    assert not lost or lost[-1] - lost[0] <= 0.1
    added = await collect(service.resume(made.id, answer.id))
    assert text_of(added) == " and on"
    assert bench.engine.requests[-1].messages[-1].text == answer.text
    whole = (await service.messages(made.id))[1]
    assert (whole.id, whole.text, whole.state) == (answer.id, f"{answer.text} and on", "complete")
    assert os.listdir(bench.path.parent / "writers") == [bench.store._writing._writer.name]


async def test_a_writer_removes_the_locks_of_dead_ones(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    folder = bench.path.parent / "writers"
    with front_end(bench.path, made.id) as alive:
        await lines(alive, 1)
        (held,) = os.listdir(folder)
        (folder / "1-dead").touch()
        await collect(service.ask((await service.create()).id, "Hello?"))
        assert sorted(os.listdir(folder)) == sorted([held, bench.store._writing._writer.name])


async def test_a_question_waits_for_the_other_front_end(bench: Any) -> None:
    service = bench.open(ScriptedEngine(["mine"]))
    made = await service.create()
    with front_end(bench.path, made.id, words=3) as process:
        await lines(process, 3)
        async with aclosing(service.ask(made.id, "And now?")) as events:
            queued = await anext(events)
            assert isinstance(queued, TurnQueued)
            assert queued.reason == "turn"
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            rest = [event async for event in events]
        assert isinstance(rest[0], TurnStarted)
        assert isinstance(rest[-1], TurnEnded)
    texts = [message.text for message in await service.messages(made.id)]
    assert (texts[0], texts[2:]) == ("What time is it?", ["And now?", "mine"])
    assert len(texts[1].split()) == 3


async def test_a_question_that_waits_goes_on_when_the_other_front_end_dies(bench: Any) -> None:
    service = bench.open(ScriptedEngine(["mine"]))
    made = await service.create()
    with front_end(bench.path, made.id, words=40) as process:
        await lines(process, 40)
        async with aclosing(service.ask(made.id, "And now?")) as events:
            assert isinstance(await anext(events), TurnQueued)
            process.kill()
            assert isinstance([event async for event in events][-1], TurnEnded)
    states = [message.state for message in await service.messages(made.id)]
    assert states == ["complete", "interrupted", "complete", "complete"]


async def test_other_conversations_are_not_held_up(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(["mine"]))
    made = await service.create()
    other = await service.create()
    with front_end(bench.path, made.id) as process:
        await lines(process, 1)
        events = await collect(service.ask(other.id, "Hello?"))
        assert not any(isinstance(event, TurnQueued) for event in events)


async def test_many_front_ends_take_turns(tmp_path: Path, bench: Any) -> None:
    service = bench.open()
    made = await service.create()
    processes = []
    with (
        front_end(bench.path, made.id, 2) as a,
        front_end(bench.path, made.id, 2) as b,
        front_end(bench.path, made.id, 2) as c,
    ):
        processes = [a, b, c]
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in processes:
            assert (await lines(process, 3))[-1] == "done"
    messages = await service.messages(made.id)
    assert [message.role for message in messages] == ["user", "assistant"] * 3
    assert {message.state for message in messages} == {"complete"}
