"""What a front end holds of its keeper: the place of one answer, or the wish that a worker lives."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omni.core.errors import OmniError, error_from_wire
from omni.keeper.values import Loading, Priority, Ready, Waiting, WorkerSpec

GiveBack = Callable[["Ticket"], None]


class Ticket:
    """What a turn and a lease have in common: a number, and what the keeper said about it last. `spec` is the name of a kind
    where a process of a plug-in is asked for."""

    def __init__(self, number: int, spec: WorkerSpec | str, priority: Priority, tokens: int, *, lease: bool) -> None:
        self.number, self.spec, self.priority, self.tokens, self.lease = number, spec, priority, tokens, lease
        self.said: dict[str, Any] | None = None
        self.error: OmniError | None = None
        self._unread: deque[dict[str, Any]] = deque(maxlen=8)
        self._news = asyncio.Event()

    @property
    def granted(self) -> bool:
        """Whether there is a place now."""
        return self.said is not None and self.said["state"] == "granted"

    def fact(self, field: str) -> str:
        """What was told with the grant."""
        if self.said is None or not self.granted:
            raise RuntimeError("nothing was granted yet: read the states to their end")
        return str(self.said[field])

    def hear(self, said: dict[str, Any]) -> None:
        """The keeper said something about this ticket."""
        if said.get("state") == "failed":
            self.error = error_from_wire(said.get("error") or {})
        else:
            self.said = said
            if self._unread and self._unread[-1]["state"] == said["state"]:
                self._unread.pop()  # a reader that is slow sees each kind of state, and of each the latest
            self._unread.append(said)
        self._news.set()

    def fail(self, error: OmniError) -> None:
        """There is no keeper any more who could say something."""
        if not self.granted:
            self.error = error
            self._news.set()

    async def states(self) -> AsyncIterator[Waiting | Loading]:
        """What happens, until the place is there. Raises what prevents that."""
        while not (self.granted and not self._unread):
            if not self._unread:
                if self.error is not None:
                    raise self.error
                self._news.clear()
                await self._news.wait()
                continue
            match self._unread.popleft():
                case {"state": "granted"} if self.granted:
                    return
                case {"state": "loading", "seconds": seconds, "fraction": fraction}:
                    yield Loading(seconds=seconds, fraction=fraction)
                case {"state": "waiting", "place": place, "reason": reason, "detail": detail}:
                    yield Waiting(place=place, reason=reason, detail=detail)


class WorkerTurn:
    """A place in a worker for one answer.

    Enter it, read `waiting()` to its end, then talk to the worker; leaving the block gives the place back.
    """

    def __init__(self, ask: Callable[[], Awaitable[Ticket]], give_back: GiveBack) -> None:
        self._ask, self._give_back = ask, give_back
        self._ticket: Ticket | None = None

    async def __aenter__(self) -> Self:
        self._ticket = await self._ask()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticket is not None:
            self._give_back(self._ticket)

    async def waiting(self) -> AsyncIterator[Waiting | Loading]:
        """What the turn waits for, whenever that changes, until it is granted.

        Raises EngineError when the worker cannot load its base (the hint is the end of its log) or can never fit.
        """
        if self._ticket is None:
            raise RuntimeError("waiting() belongs inside `async with`")
        async for state in self._ticket.states():
            yield state

    @property
    def socket(self) -> Path:
        """Where the worker serves HTTP."""
        return Path(self._granted("socket"))

    @property
    def key(self) -> str:
        """The worker's API key."""
        return self._granted("key")

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self._granted("worker")

    def _granted(self, field: str) -> str:
        if self._ticket is None:
            raise RuntimeError("a turn has its place inside `async with`")
        return self._ticket.fact(field)


class Lease:
    """The wish that a worker with this spec is loaded.

    It keeps the worker from ending for lack of use, and in its first five seconds also from eviction, so that a short
    question can be asked without a turn.
    """

    def __init__(self, ticket: Ticket, give_back: GiveBack) -> None:
        self._ticket, self._give_back = ticket, give_back

    async def states(self) -> AsyncIterator[Waiting | Loading | Ready]:
        """What is happening, whenever that changes; ends with Ready. Raises EngineError when it cannot be loaded."""
        async for state in self._ticket.states():
            yield state
        yield Ready(worker=self.worker)

    @property
    def socket(self) -> Path:
        """Where the worker answers what needs no place (counting tokens, its properties)."""
        return Path(self._ticket.fact("socket"))

    @property
    def key(self) -> str:
        """The worker's API key."""
        return self._ticket.fact("key")

    @property
    def worker(self) -> str:
        """The worker's name."""
        return self._ticket.fact("worker")

    def close(self) -> None:
        """Give it back; the worker ends after its `keep_alive`."""
        self._give_back(self._ticket)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
