"""The engine on this machine, with a real brain in a real worker of a real keeper.

    python -m benchmarks.engine BRAIN.gguf [switch]

It prints the time from asking to the first token with nothing loaded (the keeper runs) and with a warm worker, tokens a
second beside 0, 1 and 2 busy neighbours, 8 chats against one, how long after a cancelled turn its place is free, and
what changing the adapter costs. Everything runs in a home of its own, which is removed. The load of the machine that
is not ours is printed, because it decides about the figures.
"""

import asyncio
import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from omni.core.events import PromptProgress, TextDelta, TurnEnded, Usage
from omni.core.messages import Message
from omni.core.paths import Home
from omni.engine import Adapter, ChatRequest, CompletionRequest, Sampling, WorkerEngine
from omni.keeper import KeeperClient, WorkerSpec, start
from omni.runtimes import BUILT_IN

TOPICS = ("the sea", "a hill", "old ships", "a forest", "the rain", "a town", "bread", "the moon")


def spec(gguf: Path, **more: int | str) -> WorkerSpec:
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    settings: dict[str, int | str] = {"slots": 8, "context": 8192, "cells": 16384, "threads": threads, **more}
    return WorkerSpec(engine="xllamacpp", base="benchmark", path=str(gguf), need_bytes=1 << 30, settings=settings)


def question(text: str, tokens: int, adapter: Adapter | None = None) -> ChatRequest:
    sampling = Sampling(temperature=0.8, seed=1, max_tokens=tokens)
    return ChatRequest(messages=(Message.of("user", text),), sampling=sampling, adapter=adapter)


async def ask(engine: WorkerEngine, request: ChatRequest | CompletionRequest) -> tuple[float, Usage]:
    """Seconds to the first word, and what the engine says."""
    started, first = time.perf_counter(), 0.0
    answer = engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
    async with aclosing(answer) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                first = first or time.perf_counter() - started
            if isinstance(event, TurnEnded):
                return first, event.usage
    raise AssertionError


@asynccontextmanager
async def kept(engine: str = BUILT_IN) -> AsyncIterator[KeeperClient]:
    """A keeper of a home of its own, which has the `engine` that was added to yours."""
    home = Home(tempfile.mkdtemp(prefix="omni-bench-")).ensure()
    if engine != BUILT_IN:
        shutil.copytree(Home.from_environment().engines / engine, home.engines / engine)
    starter = start(home, full_screen=False)
    keeper = await KeeperClient.connect(home, starter, client="benchmark")
    try:
        yield keeper
    finally:
        await keeper.shutdown()
        await keeper.close()
        starter.goodbye()
        shutil.rmtree(home.root)
        shutil.rmtree(home.sockets, ignore_errors=True)


class Busy:
    """So many endless loops beside the worker."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._loops: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> None:
        self._loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self._number)]

    def __exit__(self, *_: object) -> None:
        for loop in self._loops:
            loop.kill()
            loop.wait()


async def first_token(keeper: KeeperClient, gguf: Path, rounds: int = 5) -> None:
    cold, loads = [], []
    for _ in range(rounds):
        engine = WorkerEngine(spec(gguf), keeper, name="brain")
        seconds, usage = await ask(engine, question("Hello, who are you?", 8))
        cold.append(seconds)
        loads.append(usage.prompt_seconds)
        await engine.close()
        for process in await keeper.processes():
            if process.kind == "worker":
                await keeper.stop(process.name)
    show("first token, brain not loaded", f"{min(cold):.2f} s best, {statistics.median(cold):.2f} s median", "<= 1.5 s")
    show("  of it reading the prompt", f"{min(loads) * 1000:.0f} ms")


async def warm(engine: WorkerEngine) -> None:
    await ask(engine, question("Hello, who are you?", 8))
    same = [(await ask(engine, question("Hello, who are you?", 8)))[0] for _ in range(9)]
    other = [(await ask(engine, question(f"Tell me about {topic}.", 8)))[0] for topic in TOPICS]
    show("first token, warm, same prefix", f"{statistics.median(same) * 1000:.0f} ms")
    show("first token, warm, new question", f"{statistics.median(other) * 1000:.0f} ms")


async def speed(engine: WorkerEngine) -> None:
    for number in (0, 1, 2):
        with Busy(number):
            speeds = [(await ask(engine, question("Tell a long story.", 96)))[1].speed for _ in range(3)]
        show(f"beside {number} busy loops", f"{max(speeds):.0f} tok/s best, {min(speeds):.0f} worst")


async def together(engine: WorkerEngine) -> None:
    async def rate(topics: tuple[str, ...]) -> float:
        started = time.perf_counter()
        answers = await asyncio.gather(*(ask(engine, question(f"Tell a story about {one}.", 128)) for one in topics))
        return sum(usage.completion_tokens for _, usage in answers) / (time.perf_counter() - started)

    ratios = []
    for _ in range(3):
        one, eight = await rate(TOPICS[:1]), await rate(TOPICS)
        ratios.append((eight / one, one, eight))
    ratio, one, eight = max(ratios)
    show("8 chats against one", f"{ratio:.2f} x ({one:.0f} and {eight:.0f} tok/s)", ">= 1.6 x")


async def cancel(engine: WorkerEngine) -> None:
    for what, text in (("mid-answer", "Tell a long story."), ("mid-prompt", "word " * 4000)):
        closing, free = [], []
        for attempt in range(3):
            events = engine.chat(question(f"{attempt} {text}", 512))
            async for event in events:
                if isinstance(event, TextDelta if what == "mid-answer" else PromptProgress):
                    break
            started = time.perf_counter()
            await events.aclose()
            closing.append(time.perf_counter() - started)
            await engine._turns.given_back()
            free.append(time.perf_counter() - started)
        show(f"cancelled {what}: stream ended", f"{max(closing) * 1000:.1f} ms worst", "<= 100 ms")
        show(f"cancelled {what}: place free", f"{statistics.median(free):.2f} s median, {max(free):.2f} s worst")


async def switch(keeper: KeeperClient, gguf: Path) -> None:
    """From one adapter to another, against staying with one; every prompt begins with a token that no slot has read, which
    those of a template do not."""
    folder = Path(tempfile.mkdtemp())
    paths = [str(folder / name) for name in ("a.gguf", "b.gguf")]
    for path in paths:
        write_adapter(Path(path))
    engine = WorkerEngine(spec(gguf, slots=1, adapters=json.dumps(paths)), keeper, name="brain")
    times: dict[bool, list[float]] = {True: [], False: []}
    current, dice = 0, random.Random(2)
    for _ in range(40):
        for switching in (False, True):
            current = 1 - current if switching else current
            word = "".join(dice.choice("bcdfghklmnprstvw") + dice.choice("aeiou") for _ in range(3))
            request = CompletionRequest(
                prompt=f"{word}, said the keeper of the light, and wrote down which of the lamps had burned that night, for "
                "how long, and who had been on watch:",
                sampling=Sampling(temperature=0.8, seed=1, max_tokens=2),
                adapter=Adapter(path=paths[current]),
            )
            first, usage = await ask(engine, request)
            if not usage.cached_tokens:
                times[switching].append(first)
    for how, middle in (("median", statistics.median), ("fastest", min)):
        stay, moved = middle(times[False][1:]), middle(times[True][1:])
        extra = f"{(moved - stay) * 1000:+.1f} ms beyond an equally cold prefix ({stay:.2f} s)"
        show(f"brain switch on one base, {how} of {len(times[True]) - 1}", extra, "<= 20 ms")
    await engine.close()
    shutil.rmtree(folder)


def write_adapter(path: Path, *, layers: int = 30, width: int = 576, rank: int = 8) -> None:
    """A LoRA for SmolLM2-135M on its queries; the sizes are that model's."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    dice = random.Random(1)
    facts = [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")]
    head = [text(key) + struct.pack("<I", 8) + text(value) for key, value in facts]
    head.append(text("adapter.lora.alpha") + struct.pack("<If", 6, float(rank)))
    tensors, data = [], b""
    for layer in range(layers):
        for name, shape in (("lora_a", (width, rank)), ("lora_b", (rank, width))):
            title = text(f"blk.{layer}.attn_q.weight.{name}")
            tensors.append(title + struct.pack("<IQQIQ", 2, *shape, 0, len(data)))
            data += array("f", [dice.uniform(-0.1, 0.1) for _ in range(width * rank)]).tobytes()
    start_of_data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(head)) + b"".join(head) + b"".join(tensors)
    path.write_bytes(start_of_data + bytes(-len(start_of_data) % 32) + data)


def show(what: str, figures: str, budget: str = "") -> None:
    print(f"{what:42} {figures:48} {budget}", flush=True)


async def main(gguf: Path, *, only_switch: bool) -> None:
    show("load of this machine before", " ".join(f"{one:.1f}" for one in os.getloadavg()))
    async with kept() as keeper:
        if not only_switch:
            await first_token(keeper, gguf)
            engine = WorkerEngine(spec(gguf), keeper, name="brain")
            steps: list[Callable[[WorkerEngine], Awaitable[None]]] = [warm, speed, together, cancel]
            for step in steps:
                await step(engine)
            await engine.close()
        await switch(keeper, gguf)
    show("load of this machine after", " ".join(f"{one:.1f}" for one in os.getloadavg()))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["switch"]):
        sys.exit(__doc__)
    asyncio.run(main(Path(sys.argv[1]).resolve(), only_switch=len(sys.argv) == 3))
