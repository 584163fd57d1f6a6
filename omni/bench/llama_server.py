"""A llama.cpp server that is installed here, on a Unix socket: behind the wall of the command that starts it, it has no other."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct

from omni.bench.rounds import MeasuredAnswer, resident
from omni.core.errors import EngineError, OmniError
from omni.engine import WorkerClient

LOADING_SECONDS = 600.0
LOOK_SECONDS = 0.1
GOODBYE_SECONDS = 5.0
_SIGNALLED = 128  # as a shell counts
# Ends the program when standard input ends, as it does however the command that holds it does.
_HELD = """exec 3<&0; "$@" </dev/null 3<&- & child=$!
(read -r _ <&3; kill "$child"; sleep 5; kill -9 "$child") 2>/dev/null & watch=$!
wait "$child"; code=$?; kill "$watch"; exit "$code"
"""
_TUNED = "LLAMA_ARG_"  # what a person has set for it would be another program's settings here


class _ServedTimings(Struct, frozen=True):
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0


class _ServedDelta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None


class _ServedChoice(Struct, frozen=True):
    delta: _ServedDelta = _ServedDelta()


class _ServedChunk(Struct, frozen=True):
    choices: list[_ServedChoice] = []
    timings: _ServedTimings | None = None


class LlamaServer:
    """The program at `binary` with the GGUF at `path`, as it comes: its own number of threads, batches and cache."""

    name = "llama-server"

    def __init__(self, binary: str, path: str, folder: Path, *, context: int, environment: Mapping[str, str]) -> None:
        self._binary, self._path, self._context = binary, path, context
        self._socket, self._log = folder / "llama.sock", folder / "llama.log"
        self._environment = {name: value for name, value in environment.items() if not name.startswith(_TUNED)}
        libraries = [str(Path(binary).resolve().parent), environment.get("LD_LIBRARY_PATH", "")]
        self._environment["LD_LIBRARY_PATH"] = os.pathsep.join(
            filter(None, libraries)
        )  # some builds come with theirs beside
        self._process: asyncio.subprocess.Process | None = None
        self.version = ""

    async def start(self) -> None:
        """See `Contestant`."""
        self.version = await self._asked_version()
        with self._log.open("wb") as log:
            held = ("/bin/sh", "-c", _HELD, "sh", self._binary)
            self._process = await self._spawn(
                *held, "-m", self._path, "--host", str(self._socket), "-c", str(self._context), "-np", "1", output=log
            )
        client, until = WorkerClient(self._socket, ""), time.monotonic() + LOADING_SECONDS
        while time.monotonic() < until:
            if self._process.returncode is not None:
                raise self._ended()
            with suppress(OmniError):  # it does not listen yet, or says that it loads
                await client.json("/health")
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise EngineError(f"It did not load the brain within {LOADING_SECONDS:.0f} s.")

    async def ask(self, prompt: str, tokens: int) -> MeasuredAnswer:
        """See `Contestant`."""
        body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "temperature": 0, "seed": 0}
        body |= {"stream": True, "cache_prompt": False}
        began, first, timings = time.monotonic(), 0.0, _ServedTimings()
        try:
            async with aclosing(
                WorkerClient(self._socket, "").stream("/v1/chat/completions", body, _ServedChunk)
            ) as chunks:
                async for chunk in chunks:
                    said = chunk.choices[0].delta if chunk.choices else _ServedDelta()
                    if not first and (said.content or said.reasoning_content):
                        first = time.monotonic() - began
                    timings = chunk.timings or timings
        except EngineError as error:
            await self._wait()
            if self._process is not None and self._process.returncode is not None:
                raise self._ended() from error
            raise
        if not timings.predicted_n:
            raise EngineError("It tells no timings.", hint="This needs a llama.cpp server of 2024 or later.")
        return MeasuredAnswer(
            prompt_tokens=timings.prompt_n,
            prompt_speed=_speed(timings.prompt_n, timings.prompt_ms),
            answer_tokens=timings.predicted_n,
            answer_speed=_speed(timings.predicted_n, timings.predicted_ms),
            first_token=first,
        )

    async def memory(self) -> int:
        """See `Contestant`."""
        return resident([self._process.pid], children=True) if self._process is not None else 0

    async def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()

    async def _spawn(self, *command: str, output: "int | IO[bytes]") -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            raise EngineError(f"{self._binary} does not start: {error.strerror}.") from error

    async def _asked_version(self) -> str:
        process = await self._spawn(self._binary, "--version", output=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        if process.returncode and process.returncode < 0:
            raise EngineError(_how(-process.returncode))
        match = re.search(r"version: (.+)", said.decode("utf-8", "replace"))
        return match[1].strip()[:60] if match else ""

    async def _wait(self) -> None:
        """One that is just ending shall have ended."""
        if self._process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._process.wait()), GOODBYE_SECONDS)

    def _ended(self) -> EngineError:
        code = (self._process.returncode if self._process is not None else 0) or 0
        if code > _SIGNALLED:
            return EngineError(_how(code - _SIGNALLED))
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        wrong = [line for line in lines if " E " in line or "error" in line.lower()] or lines
        return EngineError(f"It ended with exit code {code}: {wrong[-1][:200] if wrong else 'it said nothing'}")


def _how(number: int) -> str:
    if number == signal.SIGILL:
        return "It ended with SIGILL: its build has instructions that this processor has not."
    return f"It was ended by {signal.Signals(number).name}."


def _speed(tokens: int, milliseconds: float) -> float:
    return tokens * 1000 / milliseconds if milliseconds > 0 else 0.0
