"""POST /api/embed and its older form: texts as vectors."""

import time
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from omni.server.bounds import check_texts
from omni.server.callers import lane_of
from omni.server.errors import BadParameter
from omni.server.ollama.keeping import keeping_of, wished
from omni.server.ollama.times import nanoseconds
from omni.server.ollama.types import EmbedBody, Embedded, OldEmbedBody, OldEmbedded
from omni.server.openai.embeddings import embed as vectors_of
from omni.server.openai.embeddings import shaped
from omni.server.routes import body_of, json_response
from omni.server.streams import while_there

if TYPE_CHECKING:
    from omni.server.app import Server


async def embed(request: Request) -> Response:
    """One vector a text. A text that is too long is refused, whatever `truncate` says: nothing is cut here."""
    body = await body_of(request, EmbedBody)
    texts = [body.input] if isinstance(body.input, str) else body.input or []
    if texts == [""]:
        texts = []
    check_texts(texts)
    if body.dimensions is not None and body.dimensions < 0:
        raise BadParameter("`dimensions` must be at least 1.", param="dimensions")
    return json_response(
        await while_there(request, _embedded(request, body, texts, dimensions=body.dimensions or None))
    )


async def embeddings(request: Request) -> Response:
    """One vector for one text."""
    body = await body_of(request, OldEmbedBody)
    texts = [body.prompt] if body.prompt else []
    embedded = await while_there(request, _embedded(request, body, texts))
    return json_response(OldEmbedded(embedding=embedded.embeddings[0] if embedded.embeddings else []))


async def _embedded(
    request: Request, body: EmbedBody | OldEmbedBody, texts: list[str], *, dimensions: int | None = None
) -> Embedded:
    """Without texts the brain is only loaded."""
    server: Server = request.app.state.server
    if not body.wanted:
        raise BadParameter("`model` is missing.", hint="GET /api/tags lists the models.", param="model")
    began, keep = time.monotonic(), wished(request, body.keep_alive)
    brain = await server.names.find(body.wanted, "vectors")
    await (await server.services.open(brain, embeddings=True)).capabilities()
    loaded = time.monotonic()
    tokens, vectors = 0, list[list[float]]()
    if texts:
        _, vectors, tokens = await vectors_of(server, lane_of(request), body.wanted, texts)
    await keeping_of(server).used(brain, keep)
    return Embedded(
        model=body.wanted,
        embeddings=[shaped(vector, dimensions) for vector in vectors],
        total_duration=nanoseconds(time.monotonic() - began),
        load_duration=nanoseconds(loaded - began),
        prompt_eval_count=tokens,
    )
