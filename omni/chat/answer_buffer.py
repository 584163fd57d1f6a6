"""Writes an answer down while it comes: what arrived is stored after 100 ms or 32 tokens, whichever is first."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from omni.core.clock import Clock
from omni.core.errors import StorageError
from omni.core.events import AnswerEvent, ReasoningDelta, TextDelta
from omni.core.messages import Part, fold_parts

INTERVAL = 0.1
TOKENS = 32


class AnswerBuffer:
    """Folds an answer and hands what comes to `append` in pieces. `prior` is what was there before.

    A full disk does not end an answer that somebody is reading: pieces that could not be stored wait for the next try,
    and the end of the turn tells. Everything else that `append` raises is raised by the next `add`.
    """

    def __init__(
        self, append: Callable[[list[AnswerEvent]], Awaitable[None]], clock: Clock, *, prior: tuple[Part, ...] = ()
    ) -> None:
        self._append, self._clock = append, clock
        self._parts = prior
        self._unfolded: list[AnswerEvent] = []
        self._unstored: list[AnswerEvent] = []
        self._tokens = 0
        self._last = clock.monotonic()
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """All of the answer so far."""
        for event in joined(self._unfolded):
            self._parts = fold_parts(self._parts, event)
        self._unfolded = []
        return self._parts

    async def add(self, event: AnswerEvent) -> None:
        """Take one token (or a few)."""
        if self._failure is not None:
            raise self._failure
        self._unfolded.append(event)
        self._unstored.append(event)
        self._tokens += 1
        if self._tokens >= TOKENS or self._clock.monotonic() - self._last >= INTERVAL:
            await self._flush()
        elif self._timer is None:  # for when the brain falls silent
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._in_time)

    def close(self) -> None:
        """Store no more pieces; the end of the turn stores all of the answer."""
        if self._timer is not None:
            self._timer.cancel()
        if self._late is not None:
            self._late.cancel()

    def _in_time(self) -> None:
        self._timer = None
        if self._tokens:
            self._late = asyncio.get_running_loop().create_task(self._flush_late())

    async def _flush_late(self) -> None:
        try:
            await self._flush()
        except Exception as error:  # noqa: BLE001 - raised by the next `add`, in the task of the turn
            self._failure = error

    async def _flush(self) -> None:
        async with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            pieces, self._unstored = joined(self._unstored), []
            self._tokens, self._last = 0, self._clock.monotonic()
            if not pieces:
                return
            try:
                await self._append(pieces)
            except StorageError:
                self._unstored = [*pieces, *self._unstored]


def joined(events: Iterable[AnswerEvent]) -> list[AnswerEvent]:
    """The same events with neighbours of one kind as one, so that an answer is a few pieces and not one for each token."""
    pieces: list[AnswerEvent] = []
    texts: list[str] = []

    def end() -> None:
        if texts:
            last = pieces.pop()
            pieces.append(
                TextDelta(text="".join(texts)) if isinstance(last, TextDelta) else ReasoningDelta(text="".join(texts))
            )
            texts.clear()

    for event in events:
        if not isinstance(event, TextDelta | ReasoningDelta):
            end()
            pieces.append(event)
        elif event.text:
            if texts and type(pieces[-1]) is not type(event):
                end()
            if not texts:
                pieces.append(event)
            texts.append(event.text)
    end()
    return pieces
