"""Whether the server lives, what it has done, and how a brain counts."""

from typing import Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni import __version__
from omni.server.app import Server
from omni.server.routes import body_of, json_response
from omni.server.streams import while_there


class Health(Struct, kw_only=True):
    """`running` answers are being written, `queued` requests wait."""

    status: Literal["ok"] = "ok"
    version: str
    running: int
    queued: int


class TokenizeBody(Struct, kw_only=True):
    """A text, and the model whose tokens are wanted."""

    model: str | None = None
    content: str


class Tokens(Struct, kw_only=True):
    """The numbers of the tokens, without any that mark a beginning."""

    tokens: list[int]
    count: int


async def health(request: Request) -> Response:
    """Whether the server lives."""
    server: Server = request.app.state.server
    running, queued = server.load()
    return json_response(Health(version=__version__, running=running, queued=queued))


async def metrics(request: Request) -> Response:
    """Counters, as Prometheus reads them."""
    server: Server = request.app.state.server
    running, queued = server.load()
    text = server.metrics.text(running=running, queued=queued)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


async def tokenize(request: Request) -> Response:
    """A text as tokens."""
    server: Server = request.app.state.server
    body = await body_of(request, TokenizeBody)
    tokens = await while_there(request, _tokens(server, body))
    return json_response(Tokens(tokens=tokens, count=len(tokens)))


async def _tokens(server: Server, body: TokenizeBody) -> list[int]:
    brain = await server.names.find(body.model or "", "texts")
    engine = await server.services.open(brain)
    return await engine.tokenize(body.content)
