"""`omni serve` of one checkout or another, each a process of its own with a home of its own, to measure them in one run.

All run with the interpreter that runs this, so it must have what each of them needs.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

ROOT = Path(__file__).resolve().parents[1]
OTHER = "OMNI_BENCH_OTHER"  # the variable that names another checkout
MEMORY = 8 << 30  # what a process may take; a mapped brain does not count


class Build(NamedTuple):
    """A checkout that is served: what it is called here, its code's state, and how to ask it."""

    name: str
    state: str
    brain: str
    client: httpx.AsyncClient

    async def chat(self, text: str, **more: Any) -> httpx.Response:
        """One whole answer, or what was said instead."""
        return await self.client.post("/v1/chat/completions", json=self._asked(text, more))

    async def first(self, text: str, **more: Any) -> tuple[float, int]:
        """Seconds to the first word of a streamed answer, and its pieces. Raises RuntimeError where none comes."""
        started, first, pieces = time.perf_counter(), 0.0, 0
        asked = self._asked(text, {**more, "stream": True})
        async with self.client.stream("POST", "/v1/chat/completions", json=asked) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                if "error" in (said := json.loads(line[6:])):
                    break
                if any(choice["delta"].get("content") for choice in said["choices"]):
                    first = first or time.perf_counter() - started
                    pieces += 1
        if not first:
            raise RuntimeError(f"{self.name}: no answer ({response.status_code})")
        return first, pieces

    def _asked(self, text: str, more: dict[str, Any]) -> dict[str, Any]:
        return {"model": self.brain, "messages": [{"role": "user", "content": text}], **more}


def other() -> Path | None:
    """The checkout that OMNI_BENCH_OTHER names."""
    return Path(os.environ[OTHER]).resolve() if os.environ.get(OTHER) else None


@contextlib.asynccontextmanager
async def builds(gguf: Path, *, seconds: float = 300.0, apart: bool = False) -> AsyncIterator[list[Build]]:
    """This checkout, and beside it the other one where there is one; `seconds` is how long an answer may take. `apart`:
    each has processors of its own, where there are enough, and they work at the same time."""
    checkouts = {"this": ROOT} | ({"other": other_checkout} if (other_checkout := other()) is not None else {})
    processors = sorted(os.sched_getaffinity(0)) if apart and hasattr(os, "sched_getaffinity") else []
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for at, (name, checkout) in enumerate(checkouts.items()):
            own = set(processors[at :: len(checkouts)])
            made.append(await stack.enter_async_context(served(name, checkout, gguf, seconds, own)))
        yield made


@contextlib.asynccontextmanager
async def served(name: str, checkout: Path, gguf: Path, seconds: float, processors: set[int]) -> AsyncIterator[Build]:
    """`omni serve` of a checkout, with one brain; its home is removed."""
    home = Path(tempfile.mkdtemp(prefix="omni-bench-"))
    environment = {**os.environ, "OMNI_HOME": str(home), "OMNI_ENVIRONMENT": "own"}
    environment.pop("PYTHONPATH", None)
    omni = [sys.executable, str(checkout / "omni" / "__main__.py")]

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        if processors:
            os.sched_setaffinity(0, processors)

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*omni, *arguments],
            env=environment,
            cwd=checkout,
            stdout=subprocess.DEVNULL,
            preexec_fn=bounded,  # noqa: PLW1509 - there are no threads here
        )

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        if run("pull", str(gguf)).wait():
            raise RuntimeError(f"{checkout} does not take the brain.")
        process = run("serve", "--port", str(port))
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=seconds, limits=limits) as client:
            try:
                yield Build(name, state(checkout), await brain(client), client)
            finally:
                process.terminate()
                process.wait(60)
    finally:
        run("stop", "--all").wait()
        shutil.rmtree(home, ignore_errors=True)


async def brain(client: httpx.AsyncClient) -> str:
    """The name of the brain that a server offers, as soon as it does."""
    for _ in range(300):
        with contextlib.suppress(httpx.TransportError):
            if (response := await client.get("/v1/models")).status_code == 200:
                return str(response.json()["data"][0]["id"])
        await asyncio.sleep(0.1)
    raise RuntimeError("The server does not answer.")


def state(checkout: Path) -> str:
    """Which state of Omni's code a checkout has."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], check=False, capture_output=True, text=True)
        return done.stdout.strip()

    tree = git("rev-parse", "--short=10", "HEAD:omni") or "unknown"
    return f"{tree}-changed" if git("status", "--porcelain", "--", "omni") else tree


def schema_format(schema: Any) -> dict[str, Any]:
    """The field of a request that asks for an answer in a form."""
    return {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    }
