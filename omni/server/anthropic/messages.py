"""POST /v1/messages and /v1/messages/count_tokens."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from omni.core.errors import OmniError
from omni.schemas import apart
from omni.server.anthropic.problems import error_of
from omni.server.anthropic.requests import messages_of, thinks, tools_of, wish_of
from omni.server.anthropic.types import AnthropicMessage, CountBody, Event, MessagesBody, MessageTokensCount, Ping
from omni.server.anthropic.writing import MessageStream
from omni.server.callers import lane_of
from omni.server.generation import GenerationRequest, begin, tokens_of
from omni.server.images import made
from omni.server.routes import body_of, json_response
from omni.server.streams import Streamed, sse, while_there

if TYPE_CHECKING:
    from omni.server.app import Server
    from omni.server.generation import Generation


async def messages(request: Request) -> Response:
    """The next message, whole or as a stream of events."""
    server: Server = request.app.state.server
    body = await body_of(request, MessagesBody)
    brain = await server.names.find(body.model)
    wish = await made(
        brain, lambda: wish_of(body, brain), bound=bool(body.tools or body.output_config or body.output_format)
    )
    body.messages.clear()  # images are held once only

    stops = () if wish.schema is not None else body.stop_sequences or ()  # which would cut its JSON

    def writing(generation: "Generation") -> MessageStream:
        return MessageStream(server, generation, model=body.model or brain.name, stops=stops, thinks=thinks(body))

    if not body.stream:

        async def whole() -> AnthropicMessage:
            return await writing(await begin(server, lane_of(request), wish)).whole()

        return json_response(await while_there(request, whole()))
    generation = await while_there(request, begin(server, lane_of(request), wish))
    return Streamed(_events(writing(generation)), beat=_encoded(Ping()), failed=_failed, close=generation.close)


async def count_tokens(request: Request) -> Response:
    """How long a prompt is, by the brain's own template and tokenizer. Loads the brain."""
    server: Server = request.app.state.server
    body = await body_of(request, CountBody)
    brain = await server.names.find(body.model)
    tools, choice = await apart(tools_of, body)
    said = await made(brain, lambda: messages_of(body, brain))
    body.messages.clear()
    wish = GenerationRequest(brain=brain, messages=said, tools=tools, tool_choice=choice, thinking=thinks(body))
    tokens = await while_there(request, tokens_of(server, wish))
    return json_response(MessageTokensCount(input_tokens=tokens))


async def _events(writing: MessageStream) -> AsyncGenerator[bytes]:
    async with aclosing(writing.events()) as stream:
        async for event in stream:
            yield _encoded(event)


def _failed(error: OmniError) -> bytes:
    """A failure is one event, the last."""
    return _encoded(error_of(error))


def _encoded(event: Event) -> bytes:
    return sse(msgspec.json.encode(event), str(type(event).__struct_config__.tag))
