"""64 chats at a time for a minute, over the relay: no error, no growth, and nobody is crowded out.

    python -m benchmarks.serve_soak BRAIN.gguf [SECONDS]

Each chat asks again as soon as its answer is whole. 63 of them show one key, one shows another: its wait beside the
others' says whether places are shared fairly. Memory and open files of server, airlock and worker are those after a
quarter of the time beside those at the end.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.server import memory, served
from omni.core.paths import Home
from omni.server.keys import ApiKeys

CHATS = 64
TOKENS = 12
KEYS = ("many", "one")


class Answer(NamedTuple):
    """Seconds until the first token, and its tokens; `error` is "" when it was whole."""

    first: float
    tokens: int
    error: str


class State(NamedTuple):
    """Of one process: bytes that it has for itself, and open files."""

    memory: int
    files: int


class Soaked(NamedTuple):
    """What came of it: the answers under each key, and the processes after a quarter of the time and at the end."""

    seconds: float
    answers: dict[str, list[Answer]]
    before: dict[str, State]
    after: dict[str, State]

    @property
    def errors(self) -> list[str]:
        """What went wrong."""
        return [one.error for answers in self.answers.values() for one in answers if one.error]

    @property
    def speed(self) -> float:
        """Tokens a second of all together."""
        return sum(one.tokens for answers in self.answers.values() for one in answers) / self.seconds

    def wait(self, key: str) -> float:
        """The median of the waits for a first token under a key."""
        return statistics.median(one.first for one in self.answers[key] if not one.error)


async def ask(port: int, model: str, key: str, text: str, tokens: int) -> Answer:
    """One streamed answer over a connection of its own."""
    body = json.dumps(
        {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "stream": True}
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    started, first, count = time.perf_counter(), 0.0, 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        status = await reader.readline()
        if b" 200 " not in status:
            return Answer(0.0, 0, (status + await reader.read(2000)).decode("utf-8", "replace"))
        async for line in reader:
            if line.startswith(b'data: {"error"'):
                return Answer(first, count, line.decode("utf-8", "replace"))
            if line.startswith(b"data: [DONE]"):
                return Answer(first, count, "")
            if line.startswith(b"data: {") and b'"content":"' in line and b'"content":""' not in line:
                first = first or time.perf_counter() - started
                count += 1
        return Answer(first, count, "the answer was not whole")
    finally:
        writer.transport.abort()


async def soak(
    port: int,
    model: str,
    keys: Mapping[str, str],
    pids: Mapping[str, int],
    *,
    seconds: float,
    chats: int = CHATS,
    tokens: int = TOKENS,
) -> Soaked:
    """Ask with `chats` at a time; one of them has the second key."""
    answers: dict[str, list[Answer]] = {name: [] for name in keys}
    many, one = keys
    began = time.perf_counter()

    async def chat(number: int, name: str) -> None:
        turn = 0
        while time.perf_counter() - began < seconds:
            turn += 1
            try:
                answer = await ask(port, model, keys[name], f"Tell story {turn} of number {number}.", tokens)
            except (OSError, ValueError) as error:
                answer = Answer(0.0, 0, repr(error))
            answers[name].append(answer)

    running = asyncio.gather(*(chat(at, one if at == 0 else many) for at in range(chats)))
    await asyncio.wait({running}, timeout=seconds / 4)
    before = {name: state(pid) for name, pid in pids.items()}
    await running
    took = time.perf_counter() - began
    # What was served is let go in the moment after the last byte.
    for _ in range(100):
        after = {name: state(pid) for name, pid in pids.items()}
        if all(after[name].files <= before[name].files for name in pids):
            break
        await asyncio.sleep(0.05)
    return Soaked(took, answers, before, after)


def state(pid: int) -> State:
    """A process as it is now."""
    return State(memory(pid), sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()))


def report(soaked: Soaked) -> None:
    """Print it."""
    many, one = soaked.answers
    count = sum(map(len, soaked.answers.values()))
    print(
        f"{CHATS} chats for {soaked.seconds:.0f} s: {count} answers, {soaked.speed:.0f} tok/s, {len(soaked.errors)} errors"
    )
    for error in soaked.errors[:5]:
        print(f"  {error}")
    print(
        f"wait for the first token, median: {soaked.wait(many) * 1000:.0f} ms for each of the {CHATS - 1}, "
        f"{soaked.wait(one) * 1000:.0f} ms for the one ({len(soaked.answers[one])} answers)"
    )
    for name, before in soaked.before.items():
        after = soaked.after[name]
        print(
            f"{name}: {before.memory / 2**20:.1f} -> {after.memory / 2**20:.1f} MiB, "
            f"{before.files} -> {after.files} open files"
        )


async def main(gguf: Path, seconds: float) -> int:
    """All of it; 1 when there was an error."""
    home = Home(Path(tempfile.mkdtemp(prefix="omni-soak-"))).ensure()
    keys = {name: ApiKeys(home.keys).add(name) for name in KEYS}
    try:
        async with served(home, gguf) as (ways, pids, port):
            soaked = await soak(port, ways[2].model, keys, pids, seconds=seconds)
        report(soaked)
        return 1 if soaked.errors else 0
    finally:
        shutil.rmtree(home.root)
        shutil.rmtree(home.sockets, ignore_errors=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="64 chats for a minute.")
    arguments.add_argument("gguf", type=Path)
    arguments.add_argument("seconds", type=float, nargs="?", default=60.0)
    given = arguments.parse_args()
    sys.exit(asyncio.run(main(given.gguf, given.seconds)))
