"""POST /api/chat and /api/generate: one answer, as lines or as a whole."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import OmniError
from omni.schemas import apart
from omni.server.callers import lane_of
from omni.server.errors import BadParameter
from omni.server.generation import GenerationRequest, begin
from omni.server.images import made
from omni.server.ollama.answers import Piece, figures, pieces, together
from omni.server.ollama.keeping import keeping_of, wished
from omni.server.ollama.problems import error_of
from omni.server.ollama.requests import chat_wish, generate_wish
from omni.server.ollama.times import rfc3339
from omni.server.ollama.types import (
    AnswerLine,
    ChatLine,
    GenerateBody,
    GenerateLine,
    OllamaChatBody,
    OllamaCompletionBody,
    Said,
)
from omni.server.routes import body_of, json_response
from omni.server.streams import NDJSON, Streamed, while_there

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.server.app import Server

Write = Callable[[str, Piece, dict[str, Any]], AnswerLine]  # name, what is new, the figures of the end


async def chat(request: Request) -> Response:
    """Answer a conversation; without messages, load or unload the brain."""
    body = await body_of(request, OllamaChatBody)
    brain = await _brain(request, body)
    if not body.messages:
        return await _only_loaded(request, body, brain, _chat_line)
    wish = await made(brain, lambda: chat_wish(body, brain), bound=bool(body.format or body.tools))
    body.messages.clear()  # images are held once only
    return await _answered(request, body, brain, wish, _chat_line)


async def generate(request: Request) -> Response:
    """Answer one prompt, go on with a text, or fill in between two; without a prompt, load or unload the brain."""
    body = await body_of(request, GenerateBody)
    brain = await _brain(request, body)
    if not body.prompt and not body.suffix:
        return await _only_loaded(request, body, brain, _generate_line)
    wish = await apart(generate_wish, body, brain)
    if body.images:
        body.images.clear()  # images are held once only
    return await _answered(request, body, brain, wish, _generate_line)


async def _brain(request: Request, body: OllamaCompletionBody) -> "Brain":
    server: Server = request.app.state.server
    if not body.wanted:
        raise BadParameter("`model` is missing.", hint="GET /api/tags lists the models.", param="model")
    chats = isinstance(body, OllamaChatBody) and bool(body.messages)
    return await server.names.find(body.wanted, "answers" if chats else "texts")


async def _answered(
    request: Request, body: OllamaCompletionBody, brain: "Brain", wish: GenerationRequest, write: Write
) -> Response:
    """Admit the answer; what is wrong with the request is said before a byte is sent."""
    server: Server = request.app.state.server
    began, keep = time.monotonic(), wished(request, body.keep_alive)
    keeping = keeping_of(server)
    if body.stream is False:

        async def whole() -> AnswerLine:
            generation = await begin(server, lane_of(request), wish)
            piece = await together(generation)
            await keeping.used(brain, keep)
            assert piece.end is not None
            return write(body.wanted, piece, figures(generation, piece.end, began))

        return json_response(await while_there(request, whole()))
    generation = await while_there(request, begin(server, lane_of(request), wish))

    async def lines() -> AsyncGenerator[bytes]:
        async with aclosing(pieces(generation)) as stream:
            async for piece in stream:
                if piece.end is None:
                    yield _encoded(write(body.wanted, piece, {}))
                else:
                    last = write(body.wanted, piece, figures(generation, piece.end, began))
        await keeping.used(brain, keep)
        yield _encoded(last)

    nothing = _encoded(write(body.wanted, Piece(), {}))
    return Streamed(lines(), media_type=NDJSON, beat=nothing, failed=_failed, close=generation.close)


async def _only_loaded(request: Request, body: OllamaCompletionBody, brain: "Brain", write: Write) -> Response:
    """No question: the brain shall be loaded, or with `keep_alive` 0 go."""
    server: Server = request.app.state.server
    keep = wished(request, body.keep_alive)
    if keep != 0:
        engine = await server.services.open(brain, embeddings=not brain.usable and brain.askable)
        await while_there(request, engine.capabilities())
    await keeping_of(server).used(brain, keep)
    end = {"done_reason": "unload" if keep == 0 else "load"}
    line = _encoded(write(body.wanted, Piece(), end))
    return Response(line, media_type="application/json" if body.stream is False else NDJSON)


def _chat_line(model: str, piece: Piece, end: dict[str, Any]) -> AnswerLine:
    said = Said(
        content=piece.text,
        thinking=piece.thinking or UNSET,
        tool_calls=list(piece.calls) if piece.calls else UNSET,
    )
    return ChatLine(message=said, **_common(model, piece, end))


def _generate_line(model: str, piece: Piece, end: dict[str, Any]) -> AnswerLine:
    return GenerateLine(response=piece.text, thinking=piece.thinking or UNSET, **_common(model, piece, end))


def _common(model: str, piece: Piece, end: dict[str, Any]) -> dict[str, Any]:
    logprobs = list(piece.logprobs) if piece.logprobs else UNSET
    return {"model": model, "created_at": rfc3339(), "done": bool(end), "logprobs": logprobs, **end}


def _encoded(line: msgspec.Struct) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _failed(error: OmniError) -> bytes:
    """A failure is one line, the last."""
    return _encoded(error_of(error))
