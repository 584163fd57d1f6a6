"""The one turn runner. Whoever asks, in whatever way, goes through `TurnRunner.run`.

The order of events in a turn:

    TurnQueued(reason="turn")*     while an earlier turn of this conversation is being written, here or elsewhere
    TurnStarted                    the question is stored; from here on the turn can be found again
    BrainLoading*                  while the brain is loaded in order to count
    BrainReplaced?                 nobody had chosen one, and it could not be loaded; then as from TurnStarted on
    ContextCompacted?              the oldest turns are left out of this prompt
    TurnQueued* BrainLoading*      while the turn waits for memory or a place
    PromptCounted PromptProgress*
    ReasoningDelta* TextDelta*     stored within 100 ms
    (ToolCallDelta* ToolStarted ConsentNeeded? QuestionAnswered? ToolOutput* ToolReturned)*
                                   where tools are offered (`omni.chat._tool_loop`): then as from PromptCounted on
    TurnEnded                      stored for good; nothing follows

A turn that fails raises an OmniError in the place of the rest; its answer is then stored as "failed" with the reason
and all that came. Closing the iterator, or cancelling the task that reads it, stores the answer as "cancelled" before
it returns. Always close it: `async with aclosing(chat.ask(...)) as events`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

import msgspec

from omni.chat._notify import Notifier
from omni.chat._request import Prepared, prepare
from omni.chat.answer_buffer import AnswerBuffer
from omni.chat.store import ChatStore, Started
from omni.chat.types import State
from omni.chat.writing import ConversationBusy, Outcome
from omni.core.clock import Clock
from omni.core.errors import BadFile, ContextOverflow, EngineError, NotFound, OmniError
from omni.core.events import (
    AnswerEvent,
    BrainLoading,
    BrainReplaced,
    ChatEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolReturned,
    TurnEnded,
    TurnQueued,
    TurnStarted,
    Usage,
)
from omni.core.messages import Part, ReasoningPart, reasoning_of, words_of
from omni.core.settings import Settings
from omni.engine import Engine, LoadFailed

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.chat.tooling import TurnTools

LOOK_AGAIN = 0.2
HEARTBEAT = 0.25


class BrainSource(Protocol):
    """The part of the library that chat needs."""

    async def get(self, name: str) -> "Brain":
        """Raises NotFound."""
        ...

    async def best(self, *, without: Collection[str] = ()) -> "Brain | None":
        """The best brain for this machine that is here, on none of these brains' bases."""
        ...


class EngineSource(Protocol):
    """The part of `omni.engine.Engines` that chat needs."""

    async def open(self, brain: "Brain") -> Engine:
        """An engine for this brain."""
        ...


class Turn(msgspec.Struct, frozen=True):
    """How a turn begins: `begin` stores it, and may find the conversation busy. `tools` are what its brain may call."""

    conversation: str
    begin: Callable[[], Awaitable[Started]]
    brain: str = ""
    tools: "TurnTools | None" = None


class _ConversationQueue:
    """The queue of one conversation in this process."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0


class _Stopwatch:
    """What a turn took so far."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock.monotonic()
        self._thinking: float | None = None
        self._thought = 0.0
        self.first: float | None = None

    def see(self, event: ChatEvent) -> None:
        """Note when thoughts begin and end."""
        if isinstance(event, TextDelta | ReasoningDelta):
            if self.first is None:
                self.first = self.seconds
            if isinstance(event, ReasoningDelta) and self._thinking is None:
                self._thinking = self._clock.monotonic()
            elif isinstance(event, TextDelta) and self._thinking is not None:
                self._thought += self._clock.monotonic() - self._thinking
                self._thinking = None

    @property
    def seconds(self) -> float:
        """Since the turn began."""
        return self._clock.monotonic() - self._began

    @property
    def thought(self) -> float:
        """Seconds of reasoning."""
        going_on = self._clock.monotonic() - self._thinking if self._thinking is not None else 0.0
        return self._thought + going_on


class TurnRunner:
    """Runs turns, one at a time in each conversation. `pause` waits before it is looked again whether another Omni's
    answer is whole."""

    def __init__(
        self,
        store: ChatStore,
        engines: EngineSource,
        library: BrainSource,
        *,
        notifier: Notifier,
        clock: Clock,
        settings: Callable[[], Settings],
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._store, self._engines, self._library = store, engines, library
        self._notifier, self._clock, self._settings = notifier, clock, settings
        self._pause = pause or (lambda: asyncio.sleep(LOOK_AGAIN))
        self._places: WeakValueDictionary[str, _ConversationQueue] = WeakValueDictionary()

    async def run(self, turn: Turn) -> AsyncGenerator[ChatEvent]:
        """One turn, from its question to its end."""
        place = self._places.setdefault(turn.conversation, _ConversationQueue())
        if place.lock.locked():
            yield TurnQueued(place=place.waiting + 1, reason="turn")
        place.waiting += 1
        try:
            await place.lock.acquire()
        finally:
            place.waiting -= 1
        try:
            told = False
            while (started := await self._begin(turn)) is None:
                if not told:
                    yield TurnQueued(place=1, reason="turn", detail="another Omni is writing an answer here")
                    told = True
                await self._pause()
            async with aclosing(self._answer(turn, started)) as events:
                async for event in events:
                    yield event
        finally:
            place.lock.release()

    async def _begin(self, turn: Turn) -> Started | None:
        """Store the beginning; None while another process is writing in this conversation."""
        storing = asyncio.ensure_future(turn.begin())
        try:
            started = await asyncio.shield(storing)
        except ConversationBusy:
            return None
        except asyncio.CancelledError:  # what the writer's thread has begun will be stored, and must not stay "writing"
            await asyncio.wait({storing})
            if not storing.cancelled() and storing.exception() is None:
                await self._end(storing.result(), Outcome(state="cancelled", parts=storing.result().prior))
            raise
        self._notifier.tell(turn.conversation, "asked")
        return started

    async def _answer(self, turn: Turn, started: Started) -> AsyncGenerator[ChatEvent]:
        """All events of a turn that was begun; its answer has an end whatever happens."""
        buffer, watch, ended = self._buffer(started), _Stopwatch(self._clock), None

        def outcome(state: State, reason: str = "", usage: Usage | None = None) -> Outcome:
            parts = _timed(buffer.parts, watch.thought)
            return Outcome(state=state, parts=parts, reason=reason, usage=usage, seconds=watch.seconds)

        try:
            async with aclosing(self._events(turn, started, buffer, watch)) as events:
                async for event in events:
                    if isinstance(event, TurnEnded):
                        ended = event
                    else:
                        yield event
            if ended is None:
                raise EngineError("The answer ended without its end.", hint="Ask for it again (retry).")
        except (asyncio.CancelledError, GeneratorExit):
            buffer.close()
            await self._end(started, outcome("cancelled"))
            raise
        except Exception as error:
            buffer.close()
            await self._end(started, outcome("failed", error.message if isinstance(error, OmniError) else repr(error)))
            raise
        buffer.close()
        state: State = "cancelled" if ended.reason == "cancelled" else "complete"
        await self._settled(
            self._store.finish(
                started.conversation.id,
                started.answer,
                outcome(state, "length" if ended.reason == "length" else "", ended.usage),
            )
        )
        self._notifier.tell(started.conversation.id, "ended")
        await self._store.sync()
        yield ended

    async def _events(
        self, turn: Turn, started: Started, buffer: AnswerBuffer, watch: _Stopwatch
    ) -> AsyncGenerator[ChatEvent]:
        """What happens between the question and the end, and the buffer that follows it."""
        name = turn.brain or started.conversation.brain or self._settings().chat.brain
        try:
            brain = await self._brain(name)
        except OmniError:
            yield _started(started, name)
            raise
        if brain.name != started.conversation.brain:
            await self._store.named(started.conversation.id, started.answer, brain.name)
        yield _started(started, brain.name)
        limit: int | None = None
        tried: set[str] = set()
        while True:
            try:
                async with aclosing(self._written(brain, turn, started, buffer, watch, limit=limit)) as events:
                    async for event in events:
                        yield event
                return
            except ContextOverflow as error:  # less than was announced, because memory became scarce
                if limit is not None or watch.first is not None or error.allocated <= 0:
                    raise
                limit = error.allocated
            except (BadFile, LoadFailed) as error:
                if name or watch.first is not None:
                    raise
                tried.add(brain.name)
                following = await self._library.best(without=tried)
                await self._store.named(started.conversation.id, started.answer, following.name if following else "")
                if following is None:  # and the conversation does not keep what nobody chose and what does not work
                    raise
                yield BrainReplaced(brain=following.name, failed=brain.name, reason=error.message)
                brain = following

    async def _written(
        self,
        brain: "Brain",
        turn: Turn,
        started: Started,
        buffer: AnswerBuffer,
        watch: _Stopwatch,
        *,
        limit: int | None,
    ) -> AsyncGenerator[ChatEvent]:
        """What this brain makes of the question, in no more context than `limit`."""
        async with aclosing(self._prepared(brain, turn, started, watch, limit)) as preparing:
            async for step in preparing:
                if isinstance(step, BrainLoading):
                    yield step
                else:
                    prepared = step
        if prepared.compacted is not None:
            yield prepared.compacted
        if turn.tools is None:
            answered: AsyncIterator[ChatEvent] = prepared.engine.chat(prepared.request)
        else:
            from omni.chat._tool_loop import ToolLoop

            answered = ToolLoop(prepared.engine, turn.tools, self._clock, buffer.parts).run(prepared.request)
        async with aclosing(_closable(answered)) as events:
            async for event in events:
                watch.see(event)
                if isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta | ToolReturned):
                    await buffer.add(event)
                yield _filled(event, watch) if isinstance(event, TurnEnded) else event

    async def _prepared(
        self, brain: "Brain", turn: Turn, started: Started, watch: _Stopwatch, limit: int | None
    ) -> AsyncGenerator[BrainLoading | Prepared]:
        """The request, last; counting may have to load the brain first, and that is told."""

        async def work() -> Prepared:
            engine = await self._engines.open(brain)
            return await prepare(self._store, engine, brain, started, self._settings(), limit=limit, tools=turn.tools)

        working = asyncio.ensure_future(work())
        try:
            while not (await asyncio.wait({working}, timeout=HEARTBEAT))[0]:
                yield BrainLoading(brain=brain.name, seconds=watch.seconds)
        finally:
            working.cancel()  # nothing happens to one that is done
            await asyncio.gather(working, return_exceptions=True)
        yield working.result()

    async def _brain(self, name: str) -> "Brain":
        brain = await self._library.get(name) if name else await self._library.best()
        if brain is None:
            raise NotFound("No brain is installed.", hint="`omni pull @omni/smollm2` brings a small one to start with.")
        if not brain.usable:
            why = brain.reason or ("It is not installed." if brain.state == "available" else f"It is {brain.state}.")
            raise NotFound(
                f"{brain.name} cannot be asked: {why}",
                hint=brain.command
                or (f"omni pull {brain.name}" if brain.state == "available" else "Choose another brain."),
            )
        return brain

    def _buffer(self, started: Started) -> AnswerBuffer:
        async def append(events: list[AnswerEvent]) -> None:
            await self._store.append(started.conversation.id, started.answer, *events)
            self._notifier.tell(started.conversation.id, "writing")

        return AnswerBuffer(append, self._clock, prior=started.prior)

    async def _end(self, started: Started, outcome: Outcome) -> None:
        """Store an end that is not the wanted one; what keeps it from being stored must not hide the reason."""
        try:
            await self._settled(self._store.finish(started.conversation.id, started.answer, outcome))
        except OmniError as error:
            logging.getLogger(__name__).warning("The end of an answer could not be stored yet: %s", error)
        self._notifier.tell(started.conversation.id, "ended")

    @staticmethod
    async def _settled(work: Coroutine[Any, Any, None]) -> None:
        """Finish `work` even when this task is cancelled meanwhile."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            await asyncio.wait({working})
            raise


def _timed(parts: tuple[Part, ...], thought: float) -> tuple[Part, ...]:
    """The parts with the seconds that the last thought took, which only who watched can tell."""
    places = [place for place, part in enumerate(parts) if isinstance(part, ReasoningPart)]
    if not thought or not places:
        return parts
    last = parts[places[-1]]
    assert isinstance(last, ReasoningPart)
    return (*parts[: places[-1]], msgspec.structs.replace(last, seconds=thought), *parts[places[-1] + 1 :])


def _started(started: Started, brain: str) -> TurnStarted:
    return TurnStarted(
        conversation=started.conversation.id,
        question=started.question or "",
        answer=started.answer,
        brain=brain,
        prior_text=words_of(started.prior),
        prior_reasoning=reasoning_of(started.prior),
    )


def _filled(event: TurnEnded, watch: _Stopwatch) -> TurnEnded:
    """The end with what the engine did not measure."""
    usage = event.usage
    if not usage.first_token_seconds and watch.first is not None:
        usage = msgspec.structs.replace(usage, first_token_seconds=watch.first)
    return msgspec.structs.replace(
        event,
        usage=usage,
        context_used=event.context_used or usage.prompt_tokens + usage.completion_tokens,
    )


async def _closable(events: AsyncIterator[ChatEvent]) -> AsyncGenerator[ChatEvent]:
    """An iterator that may not be a generator, as one whose closing closes it."""
    try:
        async for event in events:
            yield event
    finally:
        if (close := getattr(events, "aclose", None)) is not None:
            await close()
