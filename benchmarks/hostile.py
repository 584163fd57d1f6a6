"""200 hostile requests to one brain: what its worker takes of memory at most, beside what the kernel lets it have.

    python -m benchmarks.hostile BRAIN.gguf [REQUESTS]

Eight at a time to `omni serve`: wide, deep and long schemas, tools by the hundred, large, broken and many images (for eyes of
random weights), prompts of megabytes, thousands of stop texts and biases. Meanwhile neighbours ask short questions, and
must hear nothing of it. Told are the answers by kind and status, the peak of every worker's own memory (as the kernel
counts it against its ceiling, and what was really there of it), how many workers ended, and what the neighbours got.
"""

import argparse
import asyncio
import base64
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.server import served
from omni.app import Services
from omni.core import memory
from omni.core.paths import Home
from tests.image_tools import png, write_projector

REQUESTS, AT_ONCE, NEIGHBOURS = 200, 8, 2
LOOK_SECONDS = 0.02
WORDS = ("sea", "hill", "ship", "tree", "rain", "town", "bread", "moon", "über", "船", "🙂")

Body = dict[str, Any]


class Peaks:
    """The most that each worker of a home has taken, and its ceiling; looked at all the time."""

    def __init__(self, home: Home) -> None:
        self.taken: dict[int, int] = {}
        self.resident: dict[int, int] = {}
        self.ceilings: dict[int, int] = {}
        self._home = home

    async def watch(self) -> None:
        """Until it is cancelled."""
        services = Services(self._home, starter=None, client="benchmark", plugins=False)
        keeper, looked = await services.keeper(), 0.0
        try:
            while True:
                if time.monotonic() - looked > 1:
                    looked = time.monotonic()
                    for one in await keeper.processes():
                        if one.kind == "worker":
                            self.ceilings.setdefault(one.pid, memory.held(one.pid))
                for pid in self.ceilings:
                    self.taken[pid] = max(self.taken.get(pid, 0), memory.taken(pid))
                    self.resident[pid] = max(self.resident.get(pid, 0), _resident(pid))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await services.close()


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


# -- what is asked


def requests(chance: random.Random, count: int) -> Iterator[tuple[str, Body]]:
    """Kinds and bodies, the same ones for the same seed."""
    kinds: tuple[Callable[[random.Random], Body], ...] = (_schema, _tools, _images, _prompt, _stops)
    for at in range(count):
        make = kinds[at % len(kinds)]
        yield make.__name__.strip("_"), make(chance)


def _schema(chance: random.Random) -> Body:
    wide = {f"name{at}": _some(chance) for at in range(chance.choice((20, 200, 500)))}
    deep: Body = {"type": "string"}
    for at in range(chance.choice((10, 60, 120))):
        deep = {"type": "object", "properties": {f"level{at}": deep}, "required": [f"level{at}"]}
    shapes: list[Body] = [
        {"type": "object", "properties": wide, "required": list(wide)[: chance.choice((0, 10, 500))]},
        deep,
        {"enum": [f"value {at}" for at in range(chance.choice((100, 2000)))]},
        {"anyOf": [{"type": "object", "properties": {f"kind{at}": _some(chance)}} for at in range(150)]},
        {"type": "array", "items": _some(chance), "minItems": chance.choice((1, 100)), "maxItems": 500},
        {"type": "string", "pattern": "^([a-z]{1,40} ){1,40}[0-9]{3,300}$", "minLength": 100},
        {"type": "array", "uniqueItems": True, "items": {"type": "integer"}, "minItems": 20},
        {"type": "object", "minProperties": chance.choice((3, 50)), "additionalProperties": _some(chance)},
        {"type": "object", "allOf": [{"required": [f"name{at}"]} for at in range(100)]},
    ]
    schema = chance.choice(shapes)
    return _asked("Give an example.") | {
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    }


def _some(chance: random.Random) -> Body:
    return chance.choice(
        (
            {"type": "string", "maxLength": chance.choice((5, 500))},
            {"type": "integer", "minimum": chance.randrange(1000), "multipleOf": chance.choice((1, 7))},
            {"type": "array", "items": {"type": "string", "format": "date-time"}, "maxItems": 50},
            {"type": ["number", "null", "boolean"]},
            {"type": "object", "patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False},
        )
    )


def _tools(chance: random.Random) -> Body:
    tools = [
        {
            "type": "function",
            "function": {
                "name": f"tool{at}",
                "description": " ".join(chance.choices(WORDS, k=20)),
                "parameters": {"type": "object", "properties": {f"p{each}": _some(chance) for each in range(8)}},
            },
        }
        for at in range(chance.choice((1, 8, 200)))
    ]
    return _asked("Do something.") | {"tools": tools, "tool_choice": chance.choice(("auto", "required"))}


def _images(chance: random.Random) -> Body:
    whole = [png(8, 8)] * chance.choice((1, 8, 32))
    images = chance.choice((whole, [png(4096, 4096)], [png(4096, 64)] * 4, [png(64, 64)[:60]], [b"no image"]))
    parts: list[Body] = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(image).decode()}}
        for image in images
    ]
    return {**_asked(""), "messages": [{"role": "user", "content": [{"type": "text", "text": "What?"}, *parts]}]}


def _prompt(chance: random.Random) -> Body:
    size = chance.choice((1000, 60_000, 400_000, 4_000_000))
    text = chance.choice((" " * size, "x" * size, " ".join(chance.choices(WORDS, k=size // 6)), "\n\t" * (size // 2)))
    if chance.random() < 0.3:
        turns = ({"role": ("user", "assistant")[at % 2], "content": f"{at}"} for at in range(min(size, 5001)))
        return {**_asked(""), "messages": list(turns)}
    return _asked(text)


def _stops(chance: random.Random) -> Body:
    return _asked("Count.") | {
        "stop": [f"{at}{'stop' * chance.choice((1, 200))}" for at in range(chance.choice((4, 2000)))],
        "logit_bias": {str(at): 1 for at in range(chance.choice((1, 5000)))},
        "logprobs": True,
        "top_logprobs": 20,
    }


def _asked(text: str) -> Body:
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 16, "temperature": 0.8}


# -- asking


async def ask(port: int, model: str, body: Body) -> int:
    """The status of an answer; 0: the connection broke."""
    content = json.dumps({"model": model, **body}).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer x\r\nConnection: close\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        try:
            writer.write(head.encode() + content)
            status = int((await reader.readline()).split()[1])
            await reader.read()
            return status
        finally:
            writer.transport.abort()
    except (OSError, ValueError, IndexError):
        return 0


async def attack(
    port: int, model: str, count: int, *, verbose: bool = False
) -> tuple[Counter[tuple[str, int]], Counter[int]]:
    """The statuses of the hostile requests, by kind, and those of the neighbours."""
    waiting, statuses, beside = (
        list(requests(random.Random(9), count))[::-1],
        Counter[tuple[str, int]](),
        Counter[int](),
    )

    async def hostile() -> None:
        while waiting:
            (kind, body), began = waiting.pop(), time.perf_counter()
            status = await ask(port, model, body)
            statuses[kind, status] += 1
            if verbose:
                print(f"  {len(waiting)} left; {kind} {status} after {time.perf_counter() - began:.1f} s", flush=True)

    async def neighbour(number: int) -> None:
        turn = 0
        while waiting:
            turn += 1
            beside[await ask(port, model, _asked(f"Tell story {turn} of {number}.") | {"max_tokens": 12})] += 1

    await asyncio.gather(*(hostile() for _ in range(AT_ONCE)), *(neighbour(at) for at in range(NEIGHBOURS)))
    return statuses, beside


def seeing(gguf: Path, folder: Path) -> Path:
    """The brain in a folder with eyes of random weights."""
    brain = folder / "starter.gguf"
    brain.symlink_to(gguf)
    write_projector(folder / "mmproj-starter.gguf")
    return brain


async def main(gguf: Path, count: int, *, verbose: bool) -> int:
    """All of it; 1 when a worker took more than it may, or a neighbour heard of it."""
    home = Home(Path(tempfile.mkdtemp(prefix="omni-hostile-"))).ensure()
    folder = Path(tempfile.mkdtemp(prefix="omni-seeing-"))
    try:
        async with served(home, seeing(gguf, folder)) as (ways, _, port):
            peaks = Peaks(home)
            watching, began = asyncio.create_task(peaks.watch()), time.perf_counter()
            statuses, beside = await attack(port, ways[2].model, count, verbose=verbose)
            took = time.perf_counter() - began
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching  # what went wrong in it is told
    finally:
        for place in (home.root, home.sockets, folder):
            shutil.rmtree(place, ignore_errors=True)
    print(f"{count} requests, {AT_ONCE} at a time, in {took:.0f} s; {len(peaks.ceilings)} workers, one after the other")
    for kind in sorted({kind for kind, _ in statuses}):
        print(
            f"  {kind:<8} " + ", ".join(f"{status}: {n}" for (of, status), n in sorted(statuses.items()) if of == kind)
        )
    print("  neighbours " + ", ".join(f"{status}: {n}" for status, n in sorted(beside.items())))
    for pid, ceiling in peaks.ceilings.items():
        print(
            f"a worker: at most {peaks.taken[pid] / 2**20:.0f} MiB of its ceiling of {ceiling / 2**20:.0f} MiB, "
            f"{peaks.resident[pid] / 2**20:.0f} MiB really there"
        )
    over = any(not ceiling or peaks.taken[pid] > ceiling for pid, ceiling in peaks.ceilings.items())
    return int(over or set(beside) != {200})


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="200 hostile requests.")
    arguments.add_argument("gguf", type=Path)
    arguments.add_argument("requests", type=int, nargs="?", default=REQUESTS)
    arguments.add_argument("-v", "--verbose", action="store_true", help="tell of each answer")
    given = arguments.parse_args()
    sys.exit(asyncio.run(main(given.gguf, given.requests, verbose=given.verbose)))
