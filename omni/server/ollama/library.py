"""POST /api/pull, DELETE /api/delete, and what Omni does not do with its library."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from omni.cartridges import PullDone, PullEvent, PullProgress, PullStarted, PullVerifying
from omni.core.errors import OmniError, UsageError
from omni.server.brains import pullable
from omni.server.errors import BadParameter, NotHere
from omni.server.ollama.keeping import keeping_of
from omni.server.ollama.models import digest
from omni.server.ollama.problems import error_of, problem
from omni.server.ollama.pulls import pulls_of
from omni.server.ollama.types import NamedModel, PullBody, Pulling
from omni.server.routes import body_of, json_response
from omni.server.streams import NDJSON, Streamed, while_there

if TYPE_CHECKING:
    from omni.server.app import Server


async def pull(request: Request) -> Response:
    """Fetch a brain through the airlock. The last client that leaves ends it; asking again goes on from there."""
    server: Server = request.app.state.server
    body = await body_of(request, PullBody)
    if not body.wanted:
        raise BadParameter("`model` is missing.", param="model")
    events = pulls_of(server).events(pullable(body.wanted))
    if body.stream is False:

        async def whole() -> None:
            async with aclosing(events):
                async for _ in events:
                    pass

        await while_there(request, whole())
        return json_response(Pulling(status="success"))
    try:
        first = await while_there(request, anext(events))  # what is shut or unknown is an error, and no stream
    except StopAsyncIteration as error:
        raise UsageError(f"There is nothing to pull for {body.wanted!r}.") from error
    except BaseException:
        await events.aclose()
        raise
    return Streamed(
        _lines(body.wanted, first, events),
        media_type=NDJSON,
        beat=_encoded(Pulling(status="pulling manifest")),
        failed=_failed,
        close=events.aclose,
    )


async def delete(request: Request) -> Response:
    """Remove a brain's file. One that is loaded and idle is ended first; one that answers is not."""
    server: Server = request.app.state.server
    body = await body_of(request, NamedModel)
    if not body.wanted:
        raise BadParameter("`model` is missing.", param="model")
    brain = await server.services.library.get(body.wanted.removesuffix(":latest"))
    if not await keeping_of(server).unload(brain):
        return _conflict(UsageError(f"{brain.name} is in use: it is answering.", hint="Try again when it has ended."))
    try:
        await server.services.remove(brain.name)
    except UsageError as error:  # in use, or another program's
        return _conflict(error)
    return Response(status_code=200)


async def not_here(request: Request) -> Response:
    """Copy, create, push and blobs: Omni has other ways for what they are for."""
    _, _, what = request.url.path.strip("/").partition("/")
    hints = {
        "copy": "A second name for a brain is a line under [serve.aliases] in config.toml.",
        "create": "A brain of your own is a cartridge.toml; `omni pull FILE` takes a GGUF file.",
        "push": "`omni export` writes brains into a folder.",
        "blobs": "`omni pull FILE` takes a GGUF file.",
    }
    name = what.partition("/")[0]
    raise NotHere(f"Omni has no /api/{name}.", hint=hints.get(name, ""))


async def _lines(name: str, first: PullEvent, events: AsyncGenerator[PullEvent]) -> AsyncGenerator[bytes]:
    layer = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"  # the id of the download, until its hash is known
    yield _encoded(Pulling(status="pulling manifest"))
    for line in _said(first, layer):
        yield _encoded(line)
    async with aclosing(events):
        async for event in events:
            for line in _said(event, layer):
                yield _encoded(line)
    yield _encoded(Pulling(status="success"))


def _failed(error: OmniError) -> bytes:
    """A failure is one line, the last."""
    return _encoded(error_of(error))


def _said(event: PullEvent, layer: str) -> list[Pulling]:
    match event:
        case PullStarted(size=size):
            return [Pulling(status=f"pulling {layer[7:19]}", digest=layer, total=size or 0, completed=0)]
        case PullProgress(done=done, total=total):
            status = f"pulling {layer[7:19]}"
            return [Pulling(status=status, digest=layer, total=total or UNSET, completed=done)]
        case PullVerifying():
            return [Pulling(status="verifying sha256 digest")]
        case PullDone(brain=brain):
            known = f"sha256:{digest(brain)}"
            last = [Pulling(status=f"pulling {layer[7:19]}", digest=known, total=brain.size, completed=brain.size)]
            return [*last, Pulling(status="writing manifest")]


def _conflict(error: UsageError) -> Response:
    response = problem(error)
    response.status_code = 409
    return response


def _encoded(line: msgspec.Struct) -> bytes:
    return msgspec.json.encode(line) + b"\n"
