"""Writes an answer down while it comes: what arrived is stored after 100 ms or 32 tokens, whichever is first."""

import asyncio
from collections.abc import Awaitable, Callable

from omni.core.clock import Clock
from omni.core.errors import StorageError

INTERVAL = 0.1
TOKENS = 32


class AnswerBuffer:
    """Collects an answer and hands it to `append` in pieces.

    A full disk does not end an answer that somebody is reading: pieces that could not be stored wait for the next try,
    and the end of the turn tells. Everything else that `append` raises is raised by the next `add`.
    """

    def __init__(
        self, append: Callable[[str, str], Awaitable[None]], clock: Clock, *, text: str = "", reasoning: str = ""
    ) -> None:
        self._append, self._clock = append, clock
        self._written, self._thought = [text], [reasoning]
        self._text, self._reasoning, self._tokens = "", "", 0
        self._last = clock.monotonic()
        self._lock = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._late: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    @property
    def text(self) -> str:
        """All of the answer so far."""
        return "".join(self._written)

    @property
    def reasoning(self) -> str:
        """All that was thought so far."""
        return "".join(self._thought)

    async def add(self, text: str = "", reasoning: str = "") -> None:
        """Take one token (or a few)."""
        if self._failure is not None:
            raise self._failure
        self._written.append(text)
        self._thought.append(reasoning)
        self._text += text
        self._reasoning += reasoning
        self._tokens += 1
        if self._tokens >= TOKENS or self._clock.monotonic() - self._last >= INTERVAL:
            await self._flush()
        elif self._timer is None:  # for when the brain falls silent
            self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._in_time)

    def close(self) -> None:
        """Store no more pieces; the end of the turn stores all of the text."""
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
            text, reasoning = self._text, self._reasoning
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._text, self._reasoning, self._tokens, self._last = "", "", 0, self._clock.monotonic()
            if not text and not reasoning:
                return
            try:
                await self._append(text, reasoning)
            except StorageError:
                self._text, self._reasoning = text + self._text, reasoning + self._reasoning
