"""Answers that pages asked for. They belong to the server: a page that is loaded anew, or loses its connection, reads on
where they are, and only who says so ends one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct

from omni.core.errors import NotFound
from omni.core.events import ChatEvent, TurnStarted


class Before(Struct, frozen=True, kw_only=True, tag="turn_before", tag_field="type"):
    """What stood in an answer before this turn went on with it."""

    text: str = ""
    reasoning: str = ""


class RunningTurn:
    """One turn, read as fast as it comes; whoever follows it hears all of it, however late and slowly."""

    def __init__(self, events: AsyncGenerator[ChatEvent], before: Before) -> None:
        self.before = before
        self.answer = ""  # its id, when it has one
        self._told: list[ChatEvent] = []
        self._error: Exception | None = None
        self._stopping = False
        self._news = asyncio.Event()
        self.reading = asyncio.create_task(self._read(events), name="web turn")

    async def follow(self) -> AsyncGenerator[ChatEvent]:
        """Everything from its beginning. Raises what the turn raised; ends without `TurnEnded` where it was stopped."""
        at = 0
        while True:
            news = self._news
            while at < len(self._told):
                yield self._told[at]
                at += 1
            if self.reading.done():
                break
            await news.wait()
        if self._error is not None:
            raise self._error

    async def stop(self) -> None:
        """End it, and return when what came of it is stored."""
        if not self._stopping:  # a second time would break off the storing
            self._stopping = True
            self.reading.cancel()
        await asyncio.wait({self.reading})

    def ring(self) -> None:
        """Wake who follows."""
        self._news.set()
        self._news = asyncio.Event()

    async def _read(self, events: AsyncGenerator[ChatEvent]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, TurnStarted):
                        self.answer = event.answer
                    self._told.append(event)
                    self.ring()
        except Exception as error:  # noqa: BLE001 - it is raised where the turn is followed
            self._error = error


class RunningTurns:
    """The turns that run in this server."""

    def __init__(self) -> None:
        self._running: set[RunningTurn] = set()

    def begin(self, events: AsyncGenerator[ChatEvent], before: Before | None = None) -> RunningTurn:
        """Let a turn run."""
        running = RunningTurn(events, before or Before())
        self._running.add(running)

        def over(_: "asyncio.Task[None]") -> None:
            self._running.discard(running)
            running.ring()

        running.reading.add_done_callback(over)
        return running

    def of(self, answer: str) -> RunningTurn:
        """The turn that writes this answer. Raises NotFound."""
        for each in self._running:
            if each.answer == answer:
                return each
        raise NotFound("This answer is not being written here.")

    async def close(self) -> None:
        """End all of them."""
        for each in tuple(self._running):
            await each.stop()
