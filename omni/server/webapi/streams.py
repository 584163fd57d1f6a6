"""Events of a service as a stream for a page: read as fast as they come, however slowly the page reads."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omni.server.errors import explained
from omni.server.streams import Streamed, sse, while_there
from omni.server.webapi.hub import encoded
from omni.server.webapi.problems import Failed, problem_of


async def streamed(
    request: Request, events: AsyncGenerator[Any], see: Callable[[Any], None] = lambda _: None
) -> Response:
    """`events` as a response. What fails before the first one is raised; later failures are the stream's last event.

    A page that leaves closes `events`, which is how an answer is stopped. `see` is shown each event.
    """
    unread: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    see(event)
                    unread.put_nowait(event)
        except Exception as error:  # noqa: BLE001 - raised or told below
            unread.put_nowait(error)
        else:
            unread.put_nowait(None)

    reading = asyncio.create_task(read(), name="web turn")

    async def pieces(event: Any) -> AsyncGenerator[bytes]:
        try:
            while event is not None:
                if isinstance(event, Exception):
                    event = Failed(error=problem_of(explained(event, "A stream")))
                    yield sse(encoded(event))
                    return
                yield sse(encoded(event))
                event = await unread.get()
        finally:
            await _ended(reading)

    try:
        first = await while_there(request, unread.get())
        if isinstance(first, Exception):
            raise first
    except BaseException:
        await _ended(reading)
        raise
    return Streamed(pieces(first))


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.shield(asyncio.gather(task, return_exceptions=True))
