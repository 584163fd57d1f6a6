"""Downloads that pages asked for. They belong to the server: a page that is closed does not end them."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from omni.server.errors import explained
from omni.server.webapi.problems import Problem, problem_of

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import PullEvent

State = Literal["starting", "fetching", "verifying", "done", "cancelled", "failed"]


class Pull(Struct, frozen=True, kw_only=True):
    """One download. Sizes in bytes, `rate` in bytes a second, `left` in seconds; None: nobody can tell. `at` grows, so
    that a page can tell which of two came first."""

    name: str
    state: State = "starting"
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    left: float | None = None
    what: str = ""
    error: Problem | None = None
    at: int = 0

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.state in ("done", "cancelled", "failed")


class Pulls:
    """Those that run, and those that ended since the server was started."""

    def __init__(self, services: "Services", moved: Callable[[Pull], None]) -> None:
        self._services, self._moved = services, moved
        self._pulls: dict[str, Pull] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._at = 0

    def all(self) -> list[Pull]:
        """Oldest first."""
        return list(self._pulls.values())

    def start(self, name: str) -> Pull:
        """Fetch `name`, or go on with it; asking twice is asking once."""
        if name not in self._tasks or self._tasks[name].done():
            self._show(Pull(name=name))
            self._tasks[name] = asyncio.create_task(self._run(name), name=f"pull {name}")
        return self._pulls[name]

    async def cancel(self, name: str) -> None:
        """End it; what is here stays, and pulling again goes on from there."""
        if (task := self._tasks.get(name)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def forget(self, name: str) -> None:
        """Do not show one that is over any more."""
        if name in self._pulls and self._pulls[name].over:
            del self._pulls[name]

    async def close(self) -> None:
        """End all."""
        for name in list(self._tasks):
            await self.cancel(name)

    async def _run(self, name: str) -> None:
        try:
            async with aclosing(self._services.pull(name)) as events:
                async for event in events:
                    self._show(_after(self._pulls[name], event))
        except asyncio.CancelledError:
            self._show(replace(self._pulls[name], state="cancelled", rate=0.0, left=None))
            raise
        except Exception as error:  # noqa: BLE001 - it is logged and told
            said = problem_of(explained(error, "A pull"))
            self._show(replace(self._pulls[name], state="failed", rate=0.0, left=None, error=said))

    def _show(self, pull: Pull) -> None:
        self._at += 1
        pull = replace(pull, at=self._at)
        if pull.state == "starting":
            self._pulls.pop(pull.name, None)  # to the end of the list
        self._pulls[pull.name] = pull
        self._moved(pull)


def _after(pull: Pull, event: "PullEvent") -> Pull:
    """The download after this event."""
    from omni.cartridges import PullDone, PullProgress, PullStarted

    match event:
        case PullStarted(size=size):
            return replace(pull, state="fetching", total=size)
        case PullProgress(done=done, total=total, rate=rate, seconds_left=left, what=what):
            return replace(pull, state="fetching", done=done, total=total, rate=rate, left=left, what=what)
        case PullDone():
            return replace(pull, state="done", rate=0.0, left=None)
        case _:
            return replace(pull, state="verifying", done=event.done, total=event.total, rate=0.0, left=None)
