"""Reaching the worker of one brain: it is started, waited for, and, when it ended, asked after."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from omni.core.errors import EngineError, OmniError
from omni.core.events import BrainLoading, EngineEvent, TurnQueued
from omni.engine._retrying import BLAMED, Cause, WorkerEnd, cause_of, is_end
from omni.engine._suspects import Suspects, SuspectWork
from omni.engine.http import WorkerClient
from omni.engine.llama import ended_while_loading, refusal
from omni.runtimes import BUILT_IN

if TYPE_CHECKING:
    from omni.keeper import Fate, KeeperClient, Lease, Loading, Ready, Waiting, WorkerSpec


AT_ONCE = (BUILT_IN, "scripted")  # engines that end with their worker: no program lies between
_LOOKS, _LOOK_SECONDS = 40, 0.05


async def fate_of(keeper: "KeeperClient", socket: "str | os.PathLike[str]", *, program: bool) -> "Fate | None":
    """How the worker at `socket` has ended; None when it lives, or nobody knows it. `program`: what answered was a program of
    its own, whose worker ends a moment later."""
    for _ in range(_LOOKS if program else 1):
        if (fate := await keeper.fate(socket)) is not None or not program:
            return fate
        await asyncio.sleep(_LOOK_SECONDS)
    return None


class WorkerAccess:
    """The way of one engine to the worker for its `spec`; `name` is what events call the brain. `suspects` knows what runs
    there, and `closed` is set when the engine is."""

    def __init__(self, spec: "WorkerSpec", keeper: "KeeperClient", name: str) -> None:
        self.spec, self.keeper, self.name = spec, keeper, name
        self.suspects = Suspects()
        self.closed = asyncio.Event()

    async def lease(self) -> "Lease":
        """Keeps the worker while it is asked what needs no place. Raises EngineError after the end of the engine."""
        if self.closed.is_set():
            raise EngineError("The engine is closed.", hint="Ask again.")
        return await self.keeper.worker(self.spec)

    async def loaded(self, lease: "Lease") -> WorkerClient:
        """The worker, when it is ready. Raises as `events`."""
        async for _ in self.events(lease.states()):
            pass
        return WorkerClient(lease.socket, lease.key)

    async def events(self, states: "AsyncIterator[Waiting | Loading | Ready]") -> AsyncGenerator[EngineEvent]:
        """What the keeper's states are to a front end. Raises BadFile when the worker refused its file."""
        from omni.keeper import Loading, Waiting

        try:
            async for state in states:
                if isinstance(state, Waiting):
                    yield TurnQueued(place=state.place, reason=state.reason, detail=state.detail)
                elif isinstance(state, Loading):
                    yield BrainLoading(brain=self.name, seconds=state.seconds, fraction=state.fraction)
        except EngineError as error:
            if (refused := refusal(error.hint)) is not None:
                raise refused from error
            if (failed := ended_while_loading(error)) is not None:
                raise failed from error
            raise

    async def why(self, error: OmniError, work: SuspectWork) -> WorkerEnd:
        """Why the worker ended that a request has failed with, and who may have done it."""
        if not is_end(error):
            return WorkerEnd()
        if work.late or not work.worker:
            return WorkerEnd(late=True)
        suspects = self.suspects.died(work.worker)  # before anything is waited for: those who fail with it leave it
        cause = cause_of(await fate_of(self.keeper, work.worker, program=self.spec.engine not in AT_ONCE))
        if cause is Cause.UNKNOWN:
            self.suspects.lives(work.worker)
        return WorkerEnd(cause, suspects if cause in BLAMED else frozenset())
