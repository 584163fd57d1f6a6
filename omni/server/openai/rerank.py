"""`/v1/rerank`: how well texts answer a question, in the words of Jina's, Cohere's and llama.cpp's APIs."""

import math
import uuid
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from omni.server.app import Server
from omni.server.bounds import check_texts
from omni.server.callers import lane_of
from omni.server.errors import BadParameter
from omni.server.routes import body_of, json_response
from omni.server.streams import while_there

Way = Literal["reranker", "cosine"]


class RerankedText(Struct, kw_only=True):
    """A text; its other fields are not read."""

    text: str


class RerankBody(Struct, kw_only=True):
    """A question, and the texts that may answer it. `top_n` keeps the best, `return_documents` sends them back."""

    model: str | None = None
    query: str
    documents: list[str | RerankedText]
    top_n: Annotated[int, Meta(ge=1)] | None = None
    return_documents: bool | None = None


class RerankResult(Struct, kw_only=True):
    """One text: its place in the request, and how well it answers."""

    index: int
    relevance_score: float
    document: RerankedText | UnsetType = UNSET


class RerankUsed(Struct, kw_only=True):
    """Tokens that were read, the question anew with each text where a reranker reads them together."""

    prompt_tokens: int
    total_tokens: int


class RerankAnswer(Struct, kw_only=True):
    """The texts, the best first. `scored_by` says what the scores are: a "reranker"'s, between 0 and 1, or the "cosine" of
    two vectors, between -1 and 1."""

    object: Literal["list"] = "list"
    id: str
    model: str
    results: list[RerankResult]
    scored_by: Way
    usage: RerankUsed


async def rerank(request: Request) -> Response:
    """The texts by how well they answer the question."""
    server: Server = request.app.state.server
    body = await body_of(request, RerankBody)
    texts = [one if isinstance(one, str) else one.text for one in body.documents]
    if not body.query:
        raise BadParameter(
            "There is no question: `query` is empty.", hint="Send at least one character.", param="query"
        )
    if not texts:
        raise BadParameter("There is no text: `documents` is empty.", hint="Send at least one.", param="documents")
    check_texts(texts, "documents")
    name, way, scores, tokens = await while_there(
        request, _scored(server, lane_of(request), body.model or "", body.query, texts)
    )
    best = sorted(range(len(texts)), key=lambda at: -scores[at])[: body.top_n]
    return json_response(
        RerankAnswer(
            id=f"rerank-{uuid.uuid4().hex}",
            model=body.model or name,
            results=[
                RerankResult(
                    index=at,
                    relevance_score=scores[at],
                    document=RerankedText(text=texts[at]) if body.return_documents else UNSET,
                )
                for at in best
            ],
            scored_by=way,
            usage=RerankUsed(prompt_tokens=tokens, total_tokens=tokens),
        )
    )


async def _scored(
    server: Server, lane: str, model: str, query: str, texts: Sequence[str]
) -> tuple[str, Way, list[float], int]:
    """The brain's name, how it scores, a score for each text, and how many tokens were read."""
    brain = await server.names.find(model, "ranks")
    with server.places_of(brain).enter(lane) as place:
        await place.granted()
        engine = await server.services.open(brain, embeddings=True)
        if brain.reranks:
            relevances = await engine.rerank(query, texts)
            return brain.name, "reranker", relevances, relevances.tokens
        vectors = await engine.embed([query, *texts])
    return brain.name, "cosine", [_cosine(vectors[0], vector) for vector in vectors[1:]], vectors.tokens


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of the angle between two vectors; 0 where one of them has no direction."""
    lengths = math.hypot(*one) * math.hypot(*other)
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0
