"""Events of a service as a stream for a page."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import OmniError
from omni.server.streams import Streamed, sse, while_there
from omni.server.webapi.hub import encoded
from omni.server.webapi.problems import ProblemEvent, problem_of


async def streamed(
    request: Request, events: AsyncGenerator[Any], *, close: Callable[[], Awaitable[None]] | None = None
) -> Response:
    """`events` as a response. What fails before the first one is raised; later failures are the stream's last event.

    A page that leaves closes `events`; `close` is called at the end in all cases.
    """
    try:
        first = await while_there(request, anext(events, None))
    except BaseException:
        await events.aclose()
        if close is not None:
            await close()
        raise

    async def pieces() -> AsyncGenerator[bytes]:
        async with aclosing(events):
            if first is not None:  # it ended before anything happened
                yield sse(encoded(first))
            async for event in events:
                yield sse(encoded(event))

    return Streamed(pieces(), failed=_failed, close=close)


def _failed(error: OmniError) -> bytes:
    return sse(encoded(ProblemEvent(error=problem_of(error))))
