"""The server against the bare worker, with and without the relay, and beside llama-cpp-python's server where it is here.

    python -m benchmarks.server BRAIN.gguf

Everything is real: `omni serve` as a process of its own, its airlock, the starter in a worker. The same client asks in
all cases; cases take turns, so that a noisy machine is noisy for all of them. Printed are tokens a second of 1, 4, 8 and
64 chats at a time (the median, the best, and the median of the rounds' ratios to the bare worker), the time to the first
token, what a new connection costs, and the memory of an idle connection.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from omni.airlock import proxyline
from omni.app import Services
from omni.core.paths import Home
from omni.keeper import start

ROOT = Path(__file__).resolve().parents[1]
CHATS = (1, 4, 8, 64)
TOKENS = 96
ROUNDS = 9
_TOLD = re.compile(rb'"content": ?"[^"]')
QUESTION = "Tell a long story about the sea."

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Way(NamedTuple):
    """One way to reach a brain."""

    name: str
    connect: Connect
    model: str
    key: str = "x"


class Served(NamedTuple):
    """The ways to a brain that is served, the processes that take part, and the port."""

    ways: list[Way]
    pids: dict[str, int]
    port: int


class Took(NamedTuple):
    """One answer: seconds to its first token and in all, and its tokens."""

    first: float
    seconds: float
    tokens: int


async def ask(way: Way, text: str, tokens: int = TOKENS) -> Took:
    """One streamed chat over a connection of its own."""
    body = json.dumps(
        {
            "model": way.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": tokens,
            "temperature": 0.8,
            "seed": 1,
            "stream": True,
        }
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {way.key}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    started, first, count = time.perf_counter(), 0.0, 0
    reader, writer = await way.connect()
    try:
        writer.write(head.encode() + body)
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"{way.name}: {status!r} {await reader.read(2000)!r}")
        async for line in reader:
            if line.startswith(b"data: {") and _TOLD.search(line):
                first = first or time.perf_counter() - started
                count += 1
            elif line.startswith(b"data: [DONE]"):
                break
        else:
            raise RuntimeError(f"{way.name}: the answer was not whole")
    finally:
        writer.transport.abort()
    return Took(first, time.perf_counter() - started, count)


async def rate(way: Way, chats: int) -> float:
    """Tokens a second of so many chats at a time."""
    tokens = TOKENS if chats < 64 else TOKENS // 3
    started = time.perf_counter()
    took = await asyncio.gather(*(ask(way, f"{QUESTION} Number {at}.", tokens) for at in range(chats)))
    return sum(one.tokens for one in took) / (time.perf_counter() - started)


async def compare(ways: list[Way]) -> None:
    """Throughput and first token, each way beside the first."""
    for way in ways:
        await ask(way, QUESTION, 8)
    for chats in CHATS:
        throughputs: dict[str, list[float]] = {way.name: [] for way in ways}
        for at in range(ROUNDS if chats < 64 else 2):
            for way in ways if at % 2 else reversed(ways):
                throughputs[way.name].append(await rate(way, chats))
        reference = throughputs[ways[0].name]
        for name, rates in throughputs.items():
            best, median = max(rates), statistics.median(rates)
            each = statistics.median(ours / bare for ours, bare in zip(rates, reference, strict=True))
            ratios = f"{each:.3f} x, best {best / max(reference):.3f} x"
            show(f"{chats} chats, {name}", f"{median:.0f} tok/s, best {best:.0f}", ratios)
    firsts: dict[str, list[float]] = {way.name: [] for way in ways}
    for _ in range(15):
        for way in ways:
            firsts[way.name].append((await ask(way, QUESTION, 4)).first * 1000)
    bare = statistics.median(firsts[ways[0].name])
    for name, times in firsts.items():
        median = statistics.median(times)
        show(f"first token, {name}", f"{min(times):.1f} ms best, {median:.1f} median", f"+ {median - bare:.1f} ms")


async def connections(relayed: Way, direct: Way, pids: dict[str, int]) -> None:
    """What a connection costs in time, and an idle one in memory."""

    async def health(way: Way) -> float:
        started = time.perf_counter()
        reader, writer = await way.connect()
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        await reader.read()
        writer.close()
        return (time.perf_counter() - started) * 1000

    for way in (direct, relayed):
        times = [await health(way) for _ in range(50)]
        show(
            f"a connection and /health, {way.name}", f"{min(times):.2f} ms best, {statistics.median(times):.2f} median"
        )
    number, before = 60, {name: memory(pid) for name, pid in pids.items()}
    held = [await relayed.connect() for _ in range(number)]
    for reader, writer in held:  # one request each, so that the server has it, too
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readuntil(b"}")
    for name, pid in pids.items():
        show(f"memory of an idle connection, {name}", f"{(memory(pid) - before[name]) / number / 1024:.1f} KiB")
    for _, writer in held:
        writer.transport.abort()


def memory(pid: int) -> int:
    """Bytes that a process really has for itself."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.asynccontextmanager
async def served(home: Home, gguf: Path) -> AsyncIterator[Served]:
    """`omni serve` in a home with this brain, and the three ways to it."""
    environment = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own"}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    starter = start(home, full_screen=False)
    services = Services(home, starter=starter, client="benchmark", plugins=False)
    brain = await services.library.add(gguf)
    command = [sys.executable, str(ROOT / "omni" / "__main__.py"), "serve", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)  # noqa: ASYNC220 - takes 1 ms
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.05)
        spec = (await services.engines()).spec(brain)
        keeper = await services.keeper()
        async with await keeper.worker(spec) as lease:
            async for _ in lease.states():
                pass
            worker, key = str(lease.socket), lease.key
            unix = next(iter(sorted(home.sockets.glob("server*.sock"))))

            async def behind_the_relay() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                reader, writer = await asyncio.open_unix_connection(unix)
                writer.write(proxyline.proxy_line(("127.0.0.1", 9), ("127.0.0.1", port), uid=os.getuid(), tls=False))
                return reader, writer

            ways = [
                Way("bare worker", lambda: asyncio.open_unix_connection(worker), "x", key),
                Way("server", behind_the_relay, brain.name),
                Way("server and relay", lambda: asyncio.open_connection("127.0.0.1", port), brain.name),
            ]
            pids = {one.kind: one.pid for one in await keeper.processes()}
            yield Served(ways, {"server": process.pid, "airlock": pids["airlock"], "worker": pids["worker"]}, port)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        await (await services.keeper()).shutdown()
        await services.close()
        starter.goodbye()


@contextlib.contextmanager
def llama_cpp_server(gguf: Path, python: str) -> Iterator[Way | None]:
    """llama-cpp-python's server, where an interpreter has it (it compiles: Omni does not depend on it)."""
    if not python:
        yield None
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-m", "llama_cpp.server", "--model", str(gguf), "--port", str(port), "--n_ctx", "4096"]
    command += ["--n_threads", str(os.cpu_count() or 1), "--interrupt_requests", "False"]  # else one chat ends another
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield Way("llama_cpp.server", lambda: asyncio.open_connection("127.0.0.1", port), str(gguf))
    finally:
        process.terminate()
        process.wait(20)


async def main(gguf: Path, llama_cpp: str) -> None:
    """All figures."""
    home = Home(Path(tempfile.mkdtemp(prefix="omni-bench-"))).ensure()
    try:
        async with served(home, gguf) as (ways, pids, _):
            with llama_cpp_server(gguf, llama_cpp) as other:
                await compare([*ways, *([other] if other else [])])
                if other is None:
                    show("llama_cpp.server", "not asked for: --llama-cpp")
            await connections(ways[2], ways[1], {name: pids[name] for name in ("server", "airlock")})
    finally:
        shutil.rmtree(home.root)
        shutil.rmtree(home.sockets, ignore_errors=True)


def show(what: str, value: str, budget: str = "") -> None:
    """One line of the report."""
    print(f"{what:<44} {value:<36} {budget}", flush=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="The server against the bare worker.")
    arguments.add_argument("gguf", type=Path)
    arguments.add_argument(
        "--llama-cpp", default="", metavar="PYTHON", help="of an environment with llama-cpp-python[server]"
    )
    given = arguments.parse_args()
    asyncio.run(main(given.gguf, given.llama_cpp))
