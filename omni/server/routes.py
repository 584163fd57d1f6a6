"""What the server answers to: one value a route, from which the app, the guard and the OpenAPI document are made."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from omni.core.errors import OmniError, UsageError
from omni.server.errors import BadParameter
from omni.server.lenient import decoded

T = TypeVar("T")

MOST_PARTS = 250_000  # objects and lists of one body

Access = Literal["anyone", "chat", "programs", "admin"]
Endpoint = Callable[[Request], Awaitable[Response]]
Problem = Callable[[OmniError], Response]


class Route(Struct, frozen=True, kw_only=True):
    """One path. `reach` says who may come: "anyone"; "chat", also a foreign page or an unknown peer without a key;
    "programs", the same without foreign pages; or "admin", this user, our own page and keys of that scope.

    `request`, `response` and `stream` (one event of a streamed answer) are types for the document; `problem` writes
    failures in the words of the protocol that the path belongs to. `status` is that of success, `media` and
    `stream_media` say what a whole and a streamed answer is, `query` what each parameter behind the path means.
    """

    path: str
    methods: tuple[str, ...]
    endpoint: Endpoint
    reach: Access
    problem: Problem
    summary: str
    request: Any = None
    response: Any = None
    stream: Any = None
    status: int = 200
    media: str = "application/json"
    stream_media: str = "text/event-stream"
    query: dict[str, str] = {}


def route(methods: str, path: str, endpoint: Endpoint, summary: str, **more: Any) -> Route:
    """A route as a line of a table: `methods` with spaces between them; `more` are the other fields of Route. What the
    routes of a protocol have in common it says once: `for_chat = partial(route, reach="chat", problem=problem)`."""
    return Route(path=path, methods=tuple(methods.split()), endpoint=endpoint, summary=summary, **more)


async def body_of(request: Request, kind: type[T], *, most: int | None = None) -> T:
    """The body as `kind`, of `most` bytes; unknown fields are ignored, and `null` is a field that is left out. Raises
    UsageError that says where it is wrong."""
    try:
        body = bytearray()
        async with aclosing(request.stream()) as pieces:
            async for piece in pieces:
                body += piece
                if most is not None and len(body) > most:
                    raise UsageError(f"The body is longer than {most} bytes.")
    except ClientDisconnect as error:
        raise UsageError("The request ended before its body was whole.") from error
    if body.count(b"{") + body.count(b"[") > MOST_PARTS:  # each takes fifty times the memory that it took to send
        raise UsageError(f"The body has more than {MOST_PARTS:,} objects and lists.", hint="Send less at once.")
    try:
        return decoded(body, kind)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        param = where.strip("`").removeprefix("$").removeprefix(".")
        raise BadParameter(
            f"The request is not as expected: {what}{f' at `{param}`' if param else ''}.", param=param
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"The body is no JSON: {error}.", hint="Send one JSON object in UTF-8.") from error


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Anything that msgspec can encode, as JSON."""
    return Response(msgspec.json.encode(value), status, headers, "application/json")
