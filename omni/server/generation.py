"""One answer for a client: the brain is found, the prompt counted and a place in the queue taken before anything is
sent; then its events. The place is free with the last of them, whenever the client has read what they became.

An answer of no tokens costs none: it ends where the prompt is counted, and the brain computes nothing. `warms` is for
who wants the prompt read for later, as Anthropic's clients ask with such an answer.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import Struct

from omni.core.errors import BadFile, EngineError, OmniError, UsageError
from omni.core.events import BrainLoading, EngineEvent, PromptCounted, PromptProgress, TurnEnded, TurnQueued, Usage
from omni.core.messages import Message
from omni.engine import Adapter, ChatRequest, CompletionRequest, Sampling, Tool, adapter_of, instructed, sampling_of
from omni.server.brains import cannot_answer, untaught
from omni.server.errors import BadParameter
from omni.server.fair_queue import QueueTicket

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.server.app import Server

UNLIMITED = 1 << 30  # tokens of an answer: the engine gives what is left of the context
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 100),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "top_k": (0, UNLIMITED),
    "repeat_penalty": (0.001, 1000),
    "presence_penalty": (-100, 100),
    "frequency_penalty": (-100, 100),
    "max_tokens": (0, UNLIMITED),
}


class GenerationRequest(Struct, frozen=True, kw_only=True):
    """What a client asks of `brain`, whatever protocol it speaks.

    `messages`, or a `prompt` (with a `suffix`) that is gone on with as it is. `sampling` holds those of Sampling's fields
    that the client names; the others are the brain's. Without `max_tokens` an answer may take all that is left; with 0
    nothing is computed, or with `warms` the prompt is read and nothing said. `adapter_scale`: as the brain says, where it is
    None.
    """

    brain: "Brain"
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    suffix: str | None = None
    sampling: Mapping[str, Any] = {}
    schema: dict[str, Any] | None = None
    strict: bool = True
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool | None = None
    logprobs: int | None = None
    thinking: bool | None = None
    adapter_scale: float | None = None
    warms: bool = False

    @property
    def silent(self) -> bool:
        """Whether no token is wanted."""
        return self.sampling.get("max_tokens") == 0


class Generation:
    """An answer that was admitted: `brain` writes it, `counted` says how long the prompt is. Close it, always.

    `loading` are the seconds that the brain took to load, `sampling` is how the tokens are really chosen.
    """

    def __init__(
        self,
        server: "Server",
        wish: GenerationRequest,
        sampling: Sampling,
        turn: AsyncGenerator[EngineEvent],
        ticket: QueueTicket,
    ) -> None:
        self.brain, self.sampling = wish.brain, sampling
        self.counted: PromptCounted = PromptCounted(tokens=0, max_completion_tokens=0, allocated=0)
        self.loading = 0.0
        self._server, self._turn, self._ticket = server, turn, ticket
        self._silent, self._warms = wish.silent, wish.warms
        self._reader: asyncio.Task[Any] | None = None
        self._waits = False  # the reader, for the next event
        self._failure: OmniError | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def events(self) -> AsyncGenerator[EngineEvent]:
        """What happens from now on, `TurnEnded` last. Raises EngineError when the brain fails."""
        if self._silent and not self._warms:
            self._ticket.leave()
            yield self._nothing_said(Usage(prompt_tokens=self.counted.tokens))
            return
        self._reader, waits = asyncio.current_task(), self._ticket.waits
        if waits:
            yield TurnQueued(place=1, reason="slot")
        try:
            with self._ticket:
                self._check()
                if waits:
                    await self._ticket.granted()
                while (event := await anext(self._turn, None)) is not None:
                    self._waits = False
                    if isinstance(event, TurnEnded):
                        self._ticket.leave()  # whoever waits for it does not wait for this client to read, too
                        event = self._nothing_said(event.usage) if self._silent else event
                        self._server.metrics.ended(self.brain.name, event)
                    elif self._silent and not isinstance(event, TurnQueued | BrainLoading | PromptProgress):
                        continue  # llama.cpp always writes one token
                    yield event
                    self._check()
        except asyncio.CancelledError:
            if self._failure is not None and self._reader is not None and not self._reader.uncancel():
                raise self._failure from None
            raise
        finally:
            self._waits = False

    def fail(self, error: OmniError) -> None:
        """Whoever reads the events gets this instead of those that are still to come; the first such error counts."""
        if self._failure is not None:
            return
        self._failure = error
        if self._waits and self._reader is not None:
            self._reader.cancel()

    async def close(self) -> None:
        """End it, wherever it is; its place is free at once."""
        self._server.generations.discard(self)
        await self._turn.aclose()
        self._ticket.leave()

    async def count(self) -> None:
        """Go on until the prompt is counted. Raises ContextOverflow, and whatever keeps the brain from being loaded."""
        async for event in self._turn:
            if isinstance(event, PromptCounted):
                self.counted = event
                return
            if isinstance(event, BrainLoading):
                self.loading = max(self.loading, event.seconds)
        raise EngineError("The brain gave no answer.", hint="Ask again.")

    def _nothing_said(self, usage: Usage) -> TurnEnded:
        """The end of an answer that was cut before its first token."""
        used, allocated = self.counted.tokens, self.counted.allocated
        usage = msgspec.structs.replace(usage, completion_tokens=0)
        return TurnEnded(reason="length", usage=usage, context_used=used, context_allocated=allocated)

    def _check(self) -> None:
        """From here on the reader waits. Raises what `fail` was called with before."""
        if self._failure is not None:
            raise self._failure
        self._waits = True


async def begin(server: "Server", lane: str, wish: GenerationRequest, *, again: bool = False) -> Generation:
    """Admit one answer: nothing was sent yet, and whatever is wrong with the request is raised here. `again`: one of
    the same request was admitted already, and its images are in memory once.

    Raises Busy (the queue is full, or too many images wait), ContextOverflow, UsageError, EngineError.
    """
    if wish.brain.embeds or wish.brain.reranks or (untaught(wish.brain) and wish.prompt is None):
        raise cannot_answer(wish.brain)
    ticket = server.places_of(wish.brain).enter(lane)
    async with AsyncExitStack() as undo:
        undo.enter_context(ticket)
        ticket.holds(server.images.take(0 if again else bytes_of(wish)))
        engine = await server.services.open(wish.brain)
        request = request_of(wish)
        turn = engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
        generation = Generation(server, wish, request.sampling, turn, ticket)
        undo.push_async_callback(turn.aclose)
        await generation.count()
        undo.pop_all()
        server.generations.add(generation)
    return generation


async def whole(generation: Generation) -> tuple[list[EngineEvent], TurnEnded]:
    """All events of an answer and its end, for clients that want no stream. Raises EngineError."""
    async with generation, aclosing(generation.events()) as events:
        collected = [event async for event in events]
    if not collected or not isinstance(collected[-1], TurnEnded):
        raise EngineError("The brain gave no answer.", hint="Ask again.")
    return collected, collected[-1]


async def tokens_of(server: "Server", wish: GenerationRequest) -> int:
    """How long the prompt of a wish for a chat is, by the brain's own template and tokenizer. Loads the brain."""
    asked = request_of(wish)
    assert isinstance(asked, ChatRequest)
    tools = asked.tools if asked.tool_choice != "none" else ()
    with server.images.take(bytes_of(wish)):
        engine = await server.services.open(wish.brain)
        schema = asked.schema if tools else None
        return await engine.count_tokens(asked.messages, tools, thinking=asked.thinking, schema=schema)


def bytes_of(wish: GenerationRequest) -> int:
    """Bytes of the images of a wish."""
    return sum(len(image.data) for message in wish.messages for image in message.images)


def request_of(wish: GenerationRequest) -> ChatRequest | CompletionRequest:
    """What the engine is asked. Raises UsageError for values that no brain takes."""
    brain, sampling = wish.brain, _sampling(wish)
    adapter = _adapter(wish)
    if wish.prompt is not None:
        return CompletionRequest(
            prompt=wish.prompt,
            suffix=wish.suffix,
            sampling=sampling,
            adapter=adapter,
            schema=wish.schema,
            strict=wish.strict,
            logprobs=wish.logprobs,
        )
    only_read = wish.silent and wish.warms  # no answer is there that a schema or a choice could bind
    return ChatRequest(
        messages=instructed(wish.messages, brain.prompt),
        sampling=sampling,
        adapter=adapter,
        schema=None if only_read else wish.schema,
        strict=wish.strict,
        tools=wish.tools,
        tool_choice="auto" if only_read and wish.tool_choice != "none" else wish.tool_choice,
        parallel_calls=wish.parallel_calls,
        logprobs=wish.logprobs,
        thinking=wish.thinking,
        fixed=brain.prompt.strip(),
    )


def _adapter(wish: GenerationRequest) -> Adapter | None:
    """The adapter of the brain, as strong as the request says. Raises BadParameter where it has none."""
    adapter = adapter_of(wish.brain)
    if wish.adapter_scale is None:
        return adapter
    if adapter is None:
        raise BadParameter(f"{wish.brain.name} has no adapter that could apply more or less.", param="adapter_scale")
    return msgspec.structs.replace(adapter, scale=wish.adapter_scale)


def _sampling(wish: GenerationRequest) -> Sampling:
    """How tokens are chosen. Raises BadParameter for what the request says, BadFile for what the brain is made with."""
    base = sampling_of(wish.brain, max_tokens=UNLIMITED)
    values = {name: value for name, value in wish.sampling.items() if value is not None}
    if wish.silent and wish.warms:
        values["max_tokens"] = 1  # llama.cpp writes one at least
    try:
        sampling = msgspec.convert({**msgspec.to_builtins(base), **values}, Sampling)
    except msgspec.ValidationError as error:
        raise UsageError(f"The request is not as expected: {error}.") from error
    for name, (least, most) in _RANGES.items():
        if least <= (value := getattr(sampling, name)) <= most:
            continue
        if name in values:
            raise BadParameter(f"`{name}` must be from {least} to {most}; {value} was sent.", param=name)
        raise BadFile(f"{wish.brain.name} is made with a `{name}` of {value}; from {least} to {most} is possible.")
    return sampling
