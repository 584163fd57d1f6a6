"""Answers that come piece by piece, to clients that may leave, wait long, or read slowly."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from omni.core.errors import OmniError
from omni.server.errors import explained
from omni.server.protocol import PIECES

T = TypeVar("T")
Tell = Callable[[bytes], Awaitable[None]]

BEAT_SECONDS = 10.0
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"


class ClientGone(Exception):
    """The client has left."""


class Streamed(Response):
    """A body of pieces. While none comes for ten seconds `beat` is sent, where the protocol has something to say
    nothing with. A client that leaves closes `pieces`. What they raise becomes the last piece by `failed`; without it,
    it ends the connection, so such pieces explain their failures themselves. `close` is called at the end in all cases: a generator that was never begun cannot give
    back what it was made with.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes],
        *,
        media_type: str = SSE,
        beat: bytes = b": \n\n",
        every: float = BEAT_SECONDS,
        failed: Callable[[OmniError], bytes] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        head = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **headers}
        super().__init__(None, 200, head, media_type)
        del self.headers["content-length"]
        self._pieces, self._beat, self._every, self._close = pieces, beat, every, close
        self._failed = failed
        self._sent = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""

        async def through_all_layers(piece: bytes) -> None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})

        tell: Tell = scope.get(PIECES, through_all_layers)
        pumping = asyncio.create_task(self._pump(send, tell), name="stream")
        others = [asyncio.create_task(gone(receive), name="gone"), asyncio.create_task(self._beats(tell), name="beat")]
        try:
            await asyncio.wait({pumping, others[0]}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (pumping, *others):
                task.cancel()
            await asyncio.gather(pumping, *others, return_exceptions=True)
            await self._pieces.aclose()
            if self._close is not None:
                await self._close()
        if not pumping.cancelled() and (error := pumping.exception()) is not None:
            logging.getLogger(__name__).error("A stream was broken off", exc_info=error)
            raise error

    async def _pump(self, send: Send, tell: Tell) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        self._sent = time.monotonic()
        try:
            async for piece in self._pieces:
                await tell(piece)
                self._sent = time.monotonic()
        except Exception as error:
            if self._failed is None:
                raise
            await tell(self._failed(explained(error, "A stream")))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _beats(self, tell: Tell) -> None:
        while self._beat:
            await asyncio.sleep(self._every)
            if self._sent and time.monotonic() - self._sent >= self._every:
                await tell(self._beat)


async def gone(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_there(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client leaves; raises ClientGone then. Read the body before."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(gone(request.receive), name="gone")
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def sse(data: bytes, event: str = "") -> bytes:
    """One server-sent event."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), data) if event else b"data: %s\n\n" % data
