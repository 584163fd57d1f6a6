"""Jobs of another process: listed, watched, stopped and answered through the socket on which it offers them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import msgspec

from omni.core.errors import EngineError, NotFound, OmniError, error_from_wire
from omni.jobs.job import JobInfo

PATIENCE = 2.0  # seconds in which another process must have listed its jobs
STOPPING = 10.0  # seconds in which it must have ended one, and stored what came of it
LONGEST = 1 << 24  # bytes of an event
_GONE = "The process that did this work has ended."


class RemoteJob:
    """A job as `info` told of it when it was listed; `socket` is where its process offers it."""

    def __init__(self, socket: str, info: JobInfo) -> None:
        self.socket, self.info = socket, info

    def snapshot(self) -> JobInfo:
        """What it was and how it stood when it was listed."""
        return self.info

    async def events(self, kind: Any, after: int = 0) -> AsyncGenerator[Any]:
        """What it told after its event number `after`, and all that it tells from now on, as values of `kind`.

        Raises what the work raised, and NotFound when it is over, or its process ended in the middle of it.
        """
        reader, writer = await _asked(self.socket, do="watch", job=self.info.id, after=after)
        try:
            while True:
                said = await _line(reader)
                if "event" not in said:
                    return
                yield msgspec.convert(said["event"], kind)
        finally:
            writer.close()

    async def stop(self) -> None:
        """End it, and return when what came of it is stored. Raises NotFound when it is over, and EngineError when its
        process does not answer."""
        await _promptly(self.socket, do="stop", job=self.info.id)

    async def answer(self, question: str, value: str) -> None:
        """Answer its question. Raises NotFound when nobody asks it any more, UsageError when the value is no answer, EngineError
        when its process does not answer."""
        await _promptly(self.socket, do="answer", job=self.info.id, question=question, value=value)


async def listed(socket: str) -> list[RemoteJob]:
    """The jobs that are offered on `socket`; none when nobody is there."""
    try:
        async with asyncio.timeout(PATIENCE):
            said = await _once(socket, do="list")
        return [RemoteJob(socket, msgspec.convert(one, JobInfo)) for one in said.get("jobs", ())]
    except (OmniError, TimeoutError, msgspec.ValidationError):
        return []


async def _promptly(socket: str, **request: Any) -> None:
    try:
        async with asyncio.timeout(STOPPING):
            await _once(socket, **request)
    except TimeoutError as error:
        raise EngineError(
            f"The process that does this work has not answered for {STOPPING:g} seconds.",
            hint="It may be suspended; `omni ps` shows its number.",
        ) from error


async def _once(socket: str, **request: Any) -> dict[str, Any]:
    reader, writer = await _asked(socket, **request)
    try:
        return await _line(reader)
    finally:
        writer.close()


async def _asked(socket: str, **request: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        reader, writer = await asyncio.open_unix_connection(socket, limit=LONGEST)
    except OSError as error:
        raise NotFound(_GONE) from error
    writer.write(msgspec.json.encode(request) + b"\n")
    return reader, writer


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next object that is said. Raises the error that it is, and NotFound at the end."""
    line = b""
    with suppress(OSError, ValueError):
        line = await reader.readline()
    try:
        said = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise NotFound(_GONE) from error
    if "error" in said:
        raise error_from_wire(said["error"])
    return said
