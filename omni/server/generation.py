"""One answer for a client: the brain is found, the prompt counted and a place in the queue taken before anything is
sent; then its events. The place is free with the last of them, whenever the client has read what they became."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import Struct

from omni.core.errors import EngineError, OmniError, UsageError
from omni.core.events import BrainLoading, EngineEvent, PromptCounted, TurnEnded, TurnQueued
from omni.engine import Adapter, ChatRequest, CompletionRequest, Message, Sampling, Tool
from omni.server.brains import cannot_answer
from omni.server.places import Ticket

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.server.app import Server


class Wish(Struct, frozen=True, kw_only=True):
    """What a client asks of `brain`, whatever protocol it speaks.

    `messages`, or a `prompt` (with a `suffix`) that is gone on with as it is. `sampling` holds those of Sampling's fields
    that the client names; the others are the brain's. Without `max_tokens` an answer may take all that is left.
    """

    brain: "Brain"
    messages: tuple[Message, ...] = ()
    prompt: str | None = None
    suffix: str | None = None
    sampling: Mapping[str, Any] = {}
    schema: dict[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool = True
    logprobs: int | None = None
    thinking: bool | None = None


class Generation:
    """An answer that was admitted: `brain` writes it, `counted` says how long the prompt is. Close it, always.

    `loading` are the seconds that the brain took to load.
    """

    def __init__(self, server: "Server", brain: "Brain", turn: AsyncGenerator[EngineEvent], ticket: Ticket) -> None:
        self.brain = brain
        self.counted: PromptCounted = PromptCounted(tokens=0, room=0, allocated=0)
        self.loading = 0.0
        self._server, self._turn, self._ticket = server, turn, ticket
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

    def _check(self) -> None:
        """From here on the reader waits. Raises what `fail` was called with before."""
        if self._failure is not None:
            raise self._failure
        self._waits = True


async def begin(server: "Server", lane: str, wish: Wish, *, again: bool = False) -> Generation:
    """Admit one answer: nothing was sent yet, and whatever is wrong with the request is raised here. `again`: one of
    the same request was admitted already, and its images are in memory once.

    Raises Busy (the queue is full, or too many images wait), ContextOverflow, UsageError, EngineError.
    """
    if wish.brain.embeds:
        raise cannot_answer(wish.brain)
    ticket = server.places_of(wish.brain).enter(lane)
    async with AsyncExitStack() as undo:
        undo.enter_context(ticket)
        ticket.holds(server.images.take(0 if again else bytes_of(wish)))
        engine = await server.services.open(wish.brain)
        request = request_of(wish)
        turn = engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
        generation = Generation(server, wish.brain, turn, ticket)
        undo.push_async_callback(turn.aclose)
        await generation.count()
        undo.pop_all()
        server.generations.add(generation)
    return generation


async def whole(generation: Generation) -> tuple[list[EngineEvent], TurnEnded]:
    """All events of an answer and its end, for clients that want no stream. Raises EngineError."""
    async with generation, aclosing(generation.events()) as events:
        found = [event async for event in events]
    if not found or not isinstance(found[-1], TurnEnded):
        raise EngineError("The brain gave no answer.", hint="Ask again.")
    return found, found[-1]


def bytes_of(wish: Wish) -> int:
    """Bytes of the images of a wish."""
    return sum(len(image.data) for message in wish.messages for image in message.images)


def request_of(wish: Wish) -> ChatRequest | CompletionRequest:
    """What the engine is asked. Raises UsageError for values that no brain takes."""
    brain, sampling = wish.brain, _sampling(wish.brain, wish.sampling)
    adapter = Adapter(path=brain.adapter.path, scale=brain.adapter.scale) if brain.adapter else None
    if wish.prompt is not None:
        return CompletionRequest(
            prompt=wish.prompt,
            suffix=wish.suffix,
            sampling=sampling,
            adapter=adapter,
            schema=wish.schema,
            logprobs=wish.logprobs,
        )
    return ChatRequest(
        messages=_with_prompt(brain.prompt, wish.messages),
        sampling=sampling,
        adapter=adapter,
        schema=wish.schema,
        tools=wish.tools,
        tool_choice=wish.tool_choice,
        parallel_calls=wish.parallel_calls,
        logprobs=wish.logprobs,
        thinking=wish.thinking,
    )


def _with_prompt(prompt: str, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The brain's own text, and those that the messages begin with, as one; system texts further on stay where they are."""
    start = next((at for at, message in enumerate(messages) if message.role != "system"), len(messages))
    texts = [text for text in (prompt, *(message.content for message in messages[:start])) if text.strip()]
    system = (Message(role="system", content="\n\n".join(texts)),) if texts else ()
    return (*system, *messages[start:])


def _sampling(brain: "Brain", wanted: Mapping[str, Any]) -> Sampling:
    from omni.engine import sampling_of

    unlimited = 1 << 30  # the engine gives what is left of the context
    base = sampling_of(brain, max_tokens=unlimited)
    values = {name: value for name, value in wanted.items() if value is not None}
    try:
        found = msgspec.convert({**msgspec.to_builtins(base), **values}, Sampling)
    except msgspec.ValidationError as error:
        raise UsageError(f"The request is not as expected: {error}.") from error
    for name, (least, most) in {"temperature": (0, 100), "top_p": (0, 1), "max_tokens": (1, unlimited)}.items():
        if not least <= getattr(found, name) <= most:
            raise UsageError(f"`{name}` must be from {least} to {most}; {getattr(found, name)} was sent.")
    return found
