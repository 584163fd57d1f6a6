"""The socket on which a process offers its jobs: one JSON object in a line, both ways.

    {"do": "list"}                                        → {"jobs": [JobInfo…]}
    {"do": "watch", "job": ID, "after": N}                → {"number": N, "event": {…}}… {"info": JobInfo} or {"error": {…}}
    {"do": "stop", "job": ID}                             → {"ok": null}
    {"do": "answer", "job": ID, "question": ID, "value": TEXT} → {"ok": null}

It lies in the folder of sockets, which is this user's alone. Each connection carries one request.
"""

import asyncio
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from omni.core.errors import NotFound, OmniError, UsageError, error_to_wire
from omni.core.paths import Home
from omni.core.sockets import remove_dead
from omni.jobs.job import Job

LONGEST = 1 << 20  # bytes of a request


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    do: str
    job: str = ""
    after: int = 0
    question: str = ""
    value: str = ""


class Offering:
    """The open socket of one process; `jobs` are those that run, by their ids."""

    def __init__(self, path: str, jobs: Mapping[str, Job[Any]]) -> None:
        self.path, self._jobs = path, jobs
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._closed = False

    @classmethod
    async def open(cls, home: Home, jobs: Mapping[str, Job[Any]]) -> "Offering":
        """Listen. Raises StorageError when the folder of sockets cannot be made."""
        folder = await asyncio.to_thread(home.ensure_sockets)
        await asyncio.to_thread(remove_dead, folder, "jobs-*")
        offering = cls(str(folder / f"jobs-{os.getpid()}-{secrets.token_hex(4)}"), jobs)
        # Nothing is waited for between the socket's making and its owner's: who is cancelled leaves none behind.
        offering._server = await asyncio.start_unix_server(
            offering._accept, offering.path, limit=LONGEST, start_serving=False
        )
        try:
            await offering._server.start_serving()
        except asyncio.CancelledError:
            await offering.close()
            raise
        return offering

    async def close(self) -> None:
        """Listen no more; who still reads hears the end."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        for task in tuple(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        with suppress(OSError):
            await asyncio.to_thread(os.unlink, self.path)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:  # it dialled just before
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer), name="offered job")
        self._serving.add(task)

        def over(_: asyncio.Task[None]) -> None:
            self._serving.discard(task)
            if task.cancelled():  # perhaps before it began; what waits for one who does not read is dropped
                writer.transport.abort()
            else:
                writer.close()

        task.add_done_callback(over)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def say(**value: Any) -> None:
            writer.write(msgspec.json.encode(value) + b"\n")
            await writer.drain()

        try:
            request = msgspec.json.decode(await reader.readline(), type=JobOrder)
        except (OSError, ValueError):  # it left, or sent what is no request
            return
        try:
            await self._obey(request, say)
        except Exception as error:  # noqa: BLE001 - whatever the work raised is said to who watches it
            known = error if isinstance(error, OmniError) else OmniError(f"The work failed: {error!r}.")
            with suppress(OSError):
                await say(error=error_to_wire(known))

    async def _obey(self, request: JobOrder, say: Any) -> None:
        if request.do == "list":
            await say(jobs=[job.snapshot() for job in self._jobs.values()])
            return
        job = self._jobs.get(request.job)
        if job is None:
            raise NotFound("This work is over.")
        match request.do:
            case "watch":
                async for number, event in job.numbered(request.after):
                    await say(number=number, event=event)
                await say(info=job.snapshot())
            case "stop":
                await job.stop()
                await say(ok=None)
            case "answer":
                job.answer(request.question, request.value)
                await say(ok=None)
            case other:
                raise UsageError(f"Jobs know no order {other!r}.")
