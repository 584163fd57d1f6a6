"""`/v1/chat/completions`."""

import secrets
import time
from collections.abc import Iterator
from contextlib import aclosing

from msgspec import UNSET, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from omni import __version__
from omni.core.events import (
    EngineEvent,
    ReasoningDelta,
    TextDelta,
    TokenAlternative,
    TokenLogprob,
    ToolCallDelta,
    TurnEnded,
)
from omni.server.app import Server
from omni.server.callers import lane_of
from omni.server.images import made
from omni.server.openai.choices import Choices, chunks, failed
from omni.server.openai.requests import seeded, wish_of
from omni.server.openai.types import (
    MOST_TOP,
    CallOut,
    ChatAnswer,
    ChatBody,
    ChatChoice,
    ChatChunk,
    ChosenToken,
    ChunkChoice,
    Delta,
    Finish,
    FunctionOut,
    Logprobs,
    MessageOut,
    TopToken,
    Used,
)
from omni.server.routes import body_of, json_response
from omni.server.streams import Streamed, while_there

FINGERPRINT = f"omni-{__version__}"


async def chat(request: Request) -> Response:
    """The next message of a chat, as a whole or as a stream."""
    server: Server = request.app.state.server
    body = await body_of(request, ChatBody)
    answers = await while_there(request, _begin(server, lane_of(request), body))
    if body.stream:
        usage = bool(body.stream_options and body.stream_options.include_usage)
        writer = ChatWriter(body, answers.brain, usage=usage)
        pieces = chunks(answers, writer, usage=usage)
        return Streamed(pieces, failed=failed, close=answers.close, headers=answers.headers)
    return json_response(await while_there(request, _whole(answers, body)), headers=answers.headers)


async def _begin(server: Server, lane: str, body: ChatBody) -> Choices:
    brain = await server.names.find(body.model or "")
    bound = bool(body.response_format or body.json_schema or body.tools or body.functions)
    wish = await made(brain, lambda: wish_of(body, brain), bound=bound)
    body.messages.clear()  # images are held once only
    return await Choices.begin(server, lane, [seeded(wish, at) for at in range(body.n or 1)])


async def _whole(answers: Choices, body: ChatBody) -> ChatAnswer:
    messages = [_MessageWriter(body) for _ in range(body.n or 1)]
    async with aclosing(answers.events()) as events:
        async for at, event in events:
            messages[at].read(event)
    return ChatAnswer(
        id=f"chatcmpl-{secrets.token_hex(12)}",
        created=int(time.time()),
        model=body.model or answers.brain,
        choices=[one.choice(at) for at, one in enumerate(messages)],
        usage=await answers.used(),
        system_fingerprint=FINGERPRINT,
    )


class _MessageWriter:
    """One message while it is being written."""

    def __init__(self, body: ChatBody) -> None:
        self._legacy = body.functions is not None and not body.tools
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, list[str]] = {}  # id, name, arguments
        self._top = body.top_logprobs or 0
        self._tokens: list[ChosenToken] | None = [] if body.logprobs else None
        self._thinks = False
        self._end: TurnEnded | None = None

    def read(self, event: EngineEvent) -> None:
        """Take in what happened."""
        match event:
            case TextDelta(text=text):
                self._text.append(text)
                self._thinks = False
            case ReasoningDelta(text=text):
                self._reasoning.append(text)
                self._thinks = True
            case ToolCallDelta():
                call = self._calls.setdefault(event.index, ["", "", ""])
                for at, piece in enumerate((event.id, event.name, event.arguments)):
                    call[at] += piece
            case TokenLogprob() if self._tokens is not None and not self._thinks:
                self._tokens.append(chosen(event, self._top))
            case TurnEnded():
                self._end = event

    def choice(self, at: int) -> ChatChoice:
        """The whole message."""
        text, reasoning = "".join(self._text), "".join(self._reasoning)
        message = MessageOut(content=text if text or not self._calls else None)
        if reasoning:
            message.reasoning_content = reasoning
        if self._calls and self._legacy:
            _, name, arguments = self._calls[min(self._calls)]
            message.function_call = FunctionOut(name, arguments)
        elif self._calls:
            message.tool_calls = [
                CallOut(id=ident or new_call(), type="function", function=FunctionOut(name, arguments))
                for _, (ident, name, arguments) in sorted(self._calls.items())
            ]
        return ChatChoice(
            index=at,
            message=message,
            logprobs=None if self._tokens is None else Logprobs(self._tokens),
            finish_reason=finish(self._end, calls=bool(self._calls), legacy=self._legacy),
        )


class ChatWriter:
    """Writes the chunks of a stream: one id and one time in all of them."""

    def __init__(self, body: ChatBody, brain: str, *, usage: bool) -> None:
        self._model, self._usage = body.model or brain, usage
        self._id, self._created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
        self._legacy = body.functions is not None and not body.tools
        self._logprobs, self._top = bool(body.logprobs), body.top_logprobs or 0
        count = body.n or 1
        self._held = [""] * count  # text whose likelihoods are to come
        self._thinks = [False] * count
        self._called: list[set[int]] = [set() for _ in range(count)]

    def begin(self) -> Iterator[Struct]:
        """Who speaks. An empty text here would be taken for the begin of one, also by who is then told of a call."""
        for at in range(len(self._held)):
            yield self._chunk(at, Delta(role="assistant", content=None))

    def read(self, at: int, event: EngineEvent) -> Iterator[Struct]:
        """The chunks that an event becomes. With likelihoods, a text goes out together with those of its tokens."""
        if isinstance(event, TokenLogprob):
            if self._logprobs and not self._thinks[at]:
                text, self._held[at] = self._held[at], ""
                yield self._chunk(at, Delta(content=text), Logprobs([chosen(event, self._top)]))
            return
        if self._held[at] and isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta | TurnEnded):
            text, self._held[at] = self._held[at], ""
            yield self._chunk(at, Delta(content=text))
        match event:
            case TextDelta(text=text):
                self._thinks[at] = False
                if self._logprobs:
                    self._held[at] = text
                else:
                    yield self._chunk(at, Delta(content=text))
            case ReasoningDelta(text=text):
                self._thinks[at] = True
                yield self._chunk(at, Delta(reasoning_content=text))
            case ToolCallDelta():
                yield self._chunk(at, self._call(at, event))
            case TurnEnded():
                reason = finish(event, calls=bool(self._called[at]), legacy=self._legacy)
                yield self._chunk(at, Delta(), finish_reason=reason)

    def used(self, used: Used) -> Struct:
        """The chunk after the last one."""
        return self._event([], used)

    def _call(self, at: int, event: ToolCallDelta) -> Delta:
        first = event.index not in self._called[at]
        self._called[at].add(event.index)
        function = FunctionOut(event.name, event.arguments) if first else FunctionOut(arguments=event.arguments)
        if self._legacy:
            return Delta(function_call=function)
        call = CallOut(index=event.index, function=function)
        if first:
            call.id, call.type = event.id or new_call(), "function"
        return Delta(tool_calls=[call])

    def _chunk(
        self, at: int, delta: Delta, logprobs: Logprobs | None = None, finish_reason: Finish | None = None
    ) -> ChatChunk:
        choice = ChunkChoice(index=at, delta=delta, logprobs=logprobs, finish_reason=finish_reason)
        return self._event([choice], None if self._usage else UNSET)

    def _event(self, choices: list[ChunkChoice], usage: Used | UnsetType | None) -> ChatChunk:
        return ChatChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=choices,
            usage=usage,
            system_fingerprint=FINGERPRINT,
        )


def finish(end: TurnEnded | None, *, calls: bool = False, legacy: bool = False) -> Finish:
    """Why an answer ended. One that was cut says so, whatever it was."""
    if end is not None and end.reason == "length":
        return "length"
    if calls:
        return "function_call" if legacy else "tool_calls"
    return "stop"


def chosen(event: TokenLogprob, most: int = MOST_TOP) -> ChosenToken:
    """A token and how likely it was; at most `most` of the likeliest ones."""
    token = event.chosen
    return ChosenToken(token.token, token.logprob, list(token.bytes), [_top(one) for one in event.top[:most]])


def new_call() -> str:
    """An id for a call that has none."""
    return f"call_{secrets.token_hex(12)}"


def _top(token: TokenAlternative) -> TopToken:
    return TopToken(token.token, token.logprob, list(token.bytes))
