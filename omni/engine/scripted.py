"""An engine that answers from a script: in process, no model, no clock. What waits, waits for an event of the test."""

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from omni.core.errors import EngineError, OmniError
from omni.core.events import EngineEvent, PromptCounted, PromptProgress, ReasoningDelta, TextDelta, TurnEnded, Usage
from omni.core.messages import Message, TextPart
from omni.engine import tool_calls
from omni.engine.binding import binding_of
from omni.engine.context import completion_limit
from omni.engine.earlier import shown_again
from omni.engine.histories import Traits, fitted
from omni.engine.images import check_images
from omni.engine.interpreting import Interpreter
from omni.engine.proving import Unproved, unfollowed
from omni.engine.types import Capabilities, ChatRequest, CompletionRequest, Embeddings, Relevances, Tool

IMAGE_TOKENS = 16
TRAITS = Traits(later=True, users=True, first=True, empty=True)  # of the scripted worker's prompts, too


class Reply(Struct, frozen=True, kw_only=True):
    """One scripted answer.

    `before` is yielded first (a `TurnQueued`, a `BrainLoading`). `gates` are awaited before the token of that number
    (0: before the first). `error` is raised once `fail_after` tokens have come. An `endless` reply repeats its text
    until the request's `max_tokens` ends it.
    """

    text: str = ""
    reasoning: str = ""
    before: tuple[EngineEvent, ...] = ()
    gates: Mapping[int, asyncio.Event] = {}
    error: OmniError | None = None
    fail_after: int = 0
    endless: bool = False


Script = Sequence[str | Reply] | Callable[[ChatRequest], str | Reply]


def words(text: str) -> list[str]:
    """The tokens of this engine: words with the white space before them."""
    return re.findall(r"\s*\S+|\s+\Z", text)


def prompt_words(messages: Sequence[Message]) -> list[str]:
    """The tokens of a prompt: each message's role, its words, and so many for each image as every image has."""
    tokens: list[str] = []
    for message in messages:
        tokens.append(f"<{message.role}>")
        for part in message.content:
            tokens += words(part.text) if isinstance(part, TextPart) else [f"<image {hash(part.data)}>"] * IMAGE_TOKENS
    return tokens


class ScriptedEngine:
    """Answers with `replies` in turn (the last one again and again), or with what `replies(request)` returns.

    `requests` keeps what was asked, `cancelled` counts the turns that were closed before their end. Embeddings are
    eight numbers made from a hash of the text.
    """

    def __init__(
        self,
        replies: Script = ("A scripted answer.",),
        *,
        context: int = 4096,
        context_max: int | None = None,
        slots: int = 4,
        tokens_per_chunk: int = 1,
        schema: bool = False,
        vision: bool = False,
    ) -> None:
        self._replies = replies
        self._capabilities = Capabilities(
            context=context,
            context_max=context_max or context,
            slots=slots,
            embeds=True,
            reranks=True,
            schema=schema,
            reasoning=True,
            vision=vision,
        )
        self._per_chunk = tokens_per_chunk
        self._cached: list[str] = []
        self.requests: list[ChatRequest] = []
        self.cancelled = 0
        self.closed = False

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        """Yield the next reply of the script word by word; a reply that is a call of a tool in JSON is one."""
        checked = tool_calls.checked(request)
        asked = self._told(checked)
        binding = binding_of(checked)
        interpreter = Interpreter(checked, binding)
        try:
            async with aclosing(self._said(self._next(request), prompt_words(asked.messages), asked)) as events:
                async for event in events:
                    for meant in interpreter.read(event):
                        yield meant
        except tool_calls.Cut as error:
            raise tool_calls.unfinished() from error
        except Unproved as error:
            raise unfollowed(error.fault) from error

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[EngineEvent]:
        """Yield the next reply of the script."""
        asked = ChatRequest(
            messages=(Message.of("user", request.prompt + (request.suffix or "")),),
            sampling=request.sampling,
            schema=request.schema,
            strict=request.strict,
        )
        async with aclosing(self._said(self._next(asked), words(asked.messages[0].text), asked)) as events:
            async for event in events:
                yield event

    async def _said(self, reply: Reply, prompt: list[str], request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        allocated = self._capabilities.context
        max_completion_tokens = completion_limit(len(prompt), request.sampling.max_tokens, allocated)
        done = False
        try:
            for event in reply.before:
                yield event
            yield PromptCounted(tokens=len(prompt), max_completion_tokens=max_completion_tokens, allocated=allocated)
            cached = self._common(prompt)
            yield PromptProgress(done=len(prompt), total=len(prompt), cached=cached)
            count, whole = 0, len(words(reply.reasoning)) + len(words(reply.text))
            for kind, tokens in self._written(reply, max_completion_tokens):
                for at in range(count, count + len(tokens)):
                    if (gate := reply.gates.get(at)) is not None:
                        await gate.wait()
                count += len(tokens)
                yield kind(text="".join(tokens))
            if reply.error is not None:
                raise reply.error
            self._cached = prompt
            done = True
            yield TurnEnded(
                reason="length" if reply.endless or count < whole else "stop",
                usage=Usage(prompt_tokens=len(prompt), cached_tokens=cached, completion_tokens=count),
                context_used=len(prompt) + count,
                context_allocated=allocated,
            )
        except OmniError:
            done = True
            raise
        finally:
            self.cancelled += not done

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """Eight numbers between 0 and 1 a text; equal texts get equal ones."""
        vectors = [[byte / 255 for byte in sha256(text.encode()).digest()[:8]] for text in texts]
        return Embeddings(vectors, tokens=sum(len(words(text)) for text in texts))

    async def rerank(self, query: str, texts: Sequence[str]) -> Relevances:
        """The share of the query's words that a text has."""
        wanted = {word.strip() for word in words(query)}
        scores = [len(wanted & {word.strip() for word in words(text)}) / max(1, len(wanted)) for text in texts]
        return Relevances(scores, tokens=sum(len(words(query)) + len(words(text)) for text in texts))

    async def count_tokens(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        *,
        thinking: bool | None = None,  # noqa: ARG002 - makes no difference to its prompts
        schema: dict[str, Any] | None = None,
    ) -> int:
        """Words, one token a message for its role, and those of the images."""
        asked = self._told(ChatRequest(messages=tuple(messages), tools=tuple(tools), schema=schema))
        return len(prompt_words(asked.messages))

    async def tokenize(self, text: str) -> list[int]:
        """One number a word."""
        return [int.from_bytes(sha256(word.encode()).digest()[:2]) for word in words(text)]

    async def capabilities(self) -> Capabilities:
        """What the constructor was told."""
        return self._capabilities

    async def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True

    def _told(self, request: ChatRequest) -> ChatRequest:
        """The request as this engine reads it."""
        vision = self._capabilities.vision
        told = tool_calls.told(request, template=False)
        messages = shown_again(told.messages, vision=vision)
        check_images(messages, vision=vision, name="The scripted brain")
        return msgspec.structs.replace(told, messages=fitted(messages, TRAITS))

    def _next(self, request: ChatRequest) -> Reply:
        if self.closed:
            raise EngineError("The engine is closed.")
        self.requests.append(request)
        if callable(self._replies):
            reply = self._replies(request)
        else:
            reply = self._replies[min(len(self.requests), len(self._replies)) - 1]
        return Reply(text=reply) if isinstance(reply, str) else reply

    def _written(
        self, reply: Reply, max_completion_tokens: int
    ) -> Iterator[tuple[type[ReasoningDelta] | type[TextDelta], list[str]]]:
        """The reply in chunks of tokens, at most `max_completion_tokens` of them in all."""
        parts: list[tuple[type[ReasoningDelta] | type[TextDelta], list[str]]] = [
            (ReasoningDelta, words(reply.reasoning)),
            (TextDelta, words(reply.text)),
        ]
        left = min(max_completion_tokens, reply.fail_after) if reply.error is not None else max_completion_tokens
        while True:
            for kind, tokens in parts:
                for start in range(0, len(tokens), self._per_chunk):
                    if left <= 0:
                        return
                    chunk = tokens[start : start + self._per_chunk][:left]
                    left -= len(chunk)
                    yield kind, chunk
            if not reply.endless or not parts[1][1]:
                return
            parts[0] = (ReasoningDelta, [])

    def _common(self, prompt: list[str]) -> int:
        """Tokens that the last prompt and this one begin with alike; the last of a prompt is always read again."""
        count = 0
        for old, new in zip(self._cached, prompt[:-1], strict=False):
            if old != new:
                break
            count += 1
        return count
