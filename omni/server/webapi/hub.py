"""One feed for all open pages: what other windows change, what these pages change, and the machine's figures."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from starlette.requests import Request

from omni.cartridges import LibraryJobs, PullStatus
from omni.core.errors import OmniError
from omni.server.errors import explained
from omni.server.webapi.pace import Pace
from omni.server.webapi.pulls import Pull, pull_of
from omni.server.webapi.readings import Readings

if TYPE_CHECKING:
    from omni.app import Services

EVERY = 2.0  # seconds between two readings of the machine
BEHIND = 500  # changes; a page that is so far behind reads everything anew
AGAIN = 1.0  # seconds until the keeper is asked again after a failure


class Change(Struct, frozen=True, kw_only=True):
    """What a page hears: "conversation", "library", "doors", "processes" and "settings" as the keeper tells them,
    "machine" (a Reading), "pull" (a Pull), and "everything" after something was missed."""

    topic: str
    value: Any = None


class PageQueue:
    """What one page has not read yet."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()
        self._news = asyncio.Event()
        self._over = False

    def put(self, change: Change) -> None:
        """Add one; what is said already is not repeated, and of figures only the latest counts."""
        if change in self._changes:
            return
        if change.topic == "machine":
            for old in [each for each in self._changes if each.topic == "machine"]:
                self._changes.remove(old)
        if len(self._changes) >= BEHIND:
            self._changes.clear()
            change = Change(topic="everything")
        self._changes.append(change)
        self._news.set()

    async def get(self) -> Change | None:
        """The next one; None when there will be none."""
        while not self._changes:
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()
        return self._changes.popleft()

    def end(self) -> None:
        """Let the page hear what is queued, and no more."""
        self._over = True
        self._news.set()


class Hub:
    """Follows the keeper and the machine while there is a page that listens."""

    def __init__(self, services: "Services", *, every: float = EVERY) -> None:
        self._services, self._every = services, every
        self._pages: set[PageQueue] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._over = False
        self.pace = Pace()
        self.readings = Readings(services, self.pace)
        self._told = itertools.count(1)
        self.pulls = LibraryJobs(services, self._pull_moved, _known, kinds=frozenset({"pull"}))
        self._deaf = services.listen(self.tell)

    def tell(self, topic: str, value: Any = None) -> None:
        """Let all pages know."""
        change = Change(topic=topic, value=value)
        for page in self._pages:
            page.put(change)

    def pull(self, status: PullStatus) -> Pull:
        """A download as it is told now."""
        return pull_of(status, next(self._told))

    def _pull_moved(self, status: PullStatus) -> None:
        if status.name in self.pulls.all:  # else a page has forgotten it
            self.tell("pull", self.pull(status))

    async def changes(self) -> AsyncGenerator[Change]:
        """Everything from now on; the state of pulls and machine first."""
        page = PageQueue()
        self._pages.add(page)
        try:
            if not self._tasks:
                self._tasks = [
                    asyncio.create_task(self._follow(), name="web changes"),
                    asyncio.create_task(self._look(), name="web machine"),
                ]
            for status in self.pulls.all.values():
                page.put(Change(topic="pull", value=self.pull(status)))
            if self.readings.last is not None:
                page.put(Change(topic="machine", value=self.readings.last))
            if self._over:
                page.end()
            while (change := await page.get()) is not None:
                yield change
        finally:
            self._pages.discard(page)
            if not self._pages:
                tasks, self._tasks = self._tasks, []
                for task in tasks:
                    task.cancel()

    def finish(self) -> None:
        """The server is about to end, and shall not wait for feeds that never do."""
        self._over = True
        for page in self._pages:
            page.end()

    async def close(self) -> None:
        """End what runs for the pages."""
        self._deaf()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pulls.close()
        await self._services.jobs.close()

    async def _follow(self) -> None:
        while True:
            with suppress(OmniError):
                changes = (await self._services.keeper()).changes()
                try:
                    await self.pulls.look()
                    async for change in changes:
                        self.tell(change.topic, change.value)
                        if change.topic in ("processes", "library"):
                            await self.pulls.look()
                finally:
                    await changes.aclose()
            await asyncio.sleep(AGAIN)

    async def _look(self) -> None:
        while True:
            try:
                self.tell("machine", await self.readings.take())
            except OmniError as error:
                logging.getLogger(__name__).warning("The machine could not be read: %s", error.message)
            await asyncio.sleep(self._every)


def _known(error: Exception) -> OmniError:
    return explained(error, "A pull")


def hub_of(request: Request) -> Hub:
    """The hub of this server, made when the first page asks."""
    state = request.app.state
    if getattr(state, "hub", None) is None:
        state.hub = Hub(state.server.services)
    hub: Hub = state.hub
    return hub


def encoded(value: Any) -> bytes:
    """As it goes over the line."""
    return msgspec.json.encode(value)
