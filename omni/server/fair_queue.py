"""Who may have an answer written next: so many at a time, the rest in a fair queue of bounded length.

Fair means that of those who wait the one goes first whose lane (a key, or an address) has the fewest answers running;
among equals the one that waits longest. One script with a hundred requests delays a person by one answer, not by all.
"""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Self

from omni.server.errors import Busy

MOST_IMAGE_BYTES = 256 << 20  # of all requests that wait or are answered


class Images:
    """How many bytes of images all requests hold together: they are in memory until their answers are whole."""

    def __init__(self, most: int = MOST_IMAGE_BYTES) -> None:
        self.most, self.held = most, 0

    def take(self, count: int) -> "Held":
        """Room for so many bytes. Raises Busy when there is none."""
        if count and self.held and self.held + count > self.most:
            raise Busy(
                f"The requests that wait hold {self.held >> 20} MiB of images; {self.most >> 20} MiB may be held.",
                hint="Try again later, or send smaller images.",
                retry_after=10,
            )
        self.held += count
        return Held(self, count)


class Held:
    """Room for images. Leaving the context gives it back."""

    def __init__(self, images: Images, count: int) -> None:
        self._images, self._count = images, count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Give it back; more than once does no harm."""
        self._images.held -= self._count
        self._count = 0


class QueueTicket:
    """A place, or one in the queue for it. Leaving the context gives it back, whatever it was, with what it `holds`."""

    def __init__(self, places: "FairQueue", lane: str, number: int) -> None:
        self.lane, self.number = lane, number
        self._places = places
        self._granted = asyncio.Event()
        self._held: Held | None = None

    async def granted(self) -> None:
        """Return when the place is there."""
        await self._granted.wait()

    @property
    def waits(self) -> bool:
        """Whether it is still in the queue."""
        return not self._granted.is_set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def holds(self, held: Held) -> None:
        """Room that goes when this place does."""
        self._held = held

    def leave(self) -> None:
        """Give it back; more than once does no harm."""
        self._places._leave(self)
        if self._held is not None:
            self._held.leave()


class FairQueue:
    """The places of one worker. `slots` answers are written at a time, `waiting` more may wait."""

    def __init__(self, slots: int, waiting: int) -> None:
        self.slots, self.waiting = slots, waiting
        self._running: set[QueueTicket] = set()
        self._queue: list[QueueTicket] = []
        self._number = 0

    @property
    def running(self) -> int:
        """Answers that are written now."""
        return len(self._running)

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    def enter(self, lane: str) -> QueueTicket:
        """A place at once, or one in the queue. Raises Busy when that is full."""
        if len(self._running) >= self.slots and len(self._queue) >= self.waiting:
            rounds = 1 + len(self._queue) // max(1, self.slots)
            raise Busy(
                f"{len(self._running)} answers are being written and {len(self._queue)} requests wait.",
                hint="Try again later, or allow a longer queue (serve.queue).",
                retry_after=min(60, 2 * rounds),
            )
        self._number += 1
        ticket = QueueTicket(self, lane, self._number)
        self._queue.append(ticket)
        self._grant()
        return ticket

    def _leave(self, ticket: QueueTicket) -> None:
        self._running.discard(ticket)
        if ticket in self._queue:
            self._queue.remove(ticket)
        self._grant()

    def _grant(self) -> None:
        while self._queue and len(self._running) < self.slots:
            running = Counter(ticket.lane for ticket in self._running)
            ticket = min(self._queue, key=lambda one: (running[one.lane], one.number))
            self._queue.remove(ticket)
            self._running.add(ticket)
            ticket._granted.set()
