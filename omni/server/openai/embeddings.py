"""`/v1/embeddings`: texts as vectors."""

import base64
from array import array
from collections.abc import Sequence
from sys import byteorder
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.cartridges import EMBEDDER_HINT
from omni.core.errors import UsageError
from omni.engine import unit_vector
from omni.server.app import Server
from omni.server.bounds import check_texts
from omni.server.callers import lane_of
from omni.server.errors import BadParameter, NotHere
from omni.server.routes import body_of, json_response
from omni.server.streams import while_there

if TYPE_CHECKING:
    from omni.cartridges import Brain


class EmbeddingBody(Struct, kw_only=True):
    """Texts whose vectors are wanted. `dimensions` cuts them, and makes their length 1 again."""

    model: str | None = None
    input: str | list[str | int | list[int]]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class Embedding(Struct, kw_only=True):
    """One vector: numbers, or the base64 of little-endian floats of 32 bits."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsed(Struct, kw_only=True):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingAnswer(Struct, kw_only=True):
    """One vector a text, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: EmbeddingUsed


async def embeddings(request: Request) -> Response:
    """Texts as vectors."""
    server: Server = request.app.state.server
    body = await body_of(request, EmbeddingBody)
    texts = _texts(body)
    name, vectors, tokens = await while_there(request, embed(server, lane_of(request), body.model or "", texts))
    return json_response(
        EmbeddingAnswer(
            data=[
                Embedding(index=at, embedding=_encoded(shaped(vector, body.dimensions), body.encoding_format))
                for at, vector in enumerate(vectors)
            ],
            model=body.model or name,
            usage=EmbeddingUsed(prompt_tokens=tokens, total_tokens=tokens),
        )
    )


async def embed(server: Server, lane: str, model: str, texts: Sequence[str]) -> tuple[str, list[list[float]], int]:
    """The brain's name, the vectors of `texts`, and how many tokens they have. Raises NotHere for a brain that makes none."""
    brain = await server.names.find(model, "vectors")
    with server.places_of(brain).enter(lane) as place:
        await place.granted()
        engine = await server.services.open(brain, embeddings=True)
        if not (await engine.capabilities()).embeds:
            raise _cannot(brain)
        vectors = await engine.embed(texts)
    return brain.name, vectors, vectors.tokens


def _cannot(brain: "Brain") -> NotHere:
    return NotHere(f"{brain.name} makes no vectors.", hint=EMBEDDER_HINT)


def _texts(body: EmbeddingBody) -> list[str]:
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise BadParameter(
            "Input made of tokens is not read.", hint="Send text; another model's tokens mean nothing.", param="input"
        )
    if not texts:
        raise BadParameter("There is no text: `input` is empty.", hint="Send at least one.", param="input")
    check_texts(texts)
    return texts


def shaped(vector: list[float], dimensions: int | None) -> list[float]:
    """The first `dimensions` of a vector, of length 1. Raises BadParameter when it has fewer."""
    try:
        return unit_vector(vector, dimensions)
    except UsageError as error:
        raise BadParameter(error.message, hint=error.hint, param="dimensions") from error


def _encoded(vector: list[float], encoding: str | None) -> list[float] | str:
    if encoding != "base64":
        return vector
    floats = array("f", vector)
    if byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
