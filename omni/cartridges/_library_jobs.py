"""What is being pulled and checked in this home, whoever began it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing, suppress
from typing import Any, Protocol, cast

from omni.cartridges._pull_jobs import KEPT, begin_pull, begin_verify
from omni.cartridges._pull_status import LibraryEvent, PullKind, PullStatus, followed
from omni.cartridges.brains import PullEvent, VerifyEvent
from omni.core.errors import NotFound, OmniError
from omni.jobs import Job, Jobs, RemoteJob


class LibraryServices(Protocol):
    """What is asked of the composition root."""

    @property
    def jobs(self) -> Jobs:
        """Of this process, and through the keeper those of the others."""

    def pull(self, name: str) -> AsyncGenerator[PullEvent]:
        """Fetch a brain."""

    def verify(self, name: str) -> AsyncGenerator[VerifyEvent]:
        """Check a brain."""


class LibraryJobs:
    """Begins jobs, watches them and those of other processes, and remembers how they ended.

    `moved` is told of every step, in the order in which they come; `known` says a failure in Omni's words. Only jobs of
    these `kinds` are watched.
    """

    def __init__(
        self,
        services: LibraryServices,
        moved: Callable[[PullStatus], None],
        known: Callable[[Exception], OmniError],
        kinds: Collection[PullKind] = ("pull", "verify"),
    ) -> None:
        self._services, self._moved, self._known, self._kinds = services, moved, known, kinds
        self._jobs: dict[str, Job[Any] | RemoteJob] = {}
        self._watching: dict[str, asyncio.Task[None]] = {}
        self.all: dict[str, PullStatus] = {}  # by name, those that began last at the end

    @property
    def running(self) -> list[PullStatus]:
        """Those that are not over."""
        return [status for status in self.all.values() if status.running]

    def runs(self, name: str) -> bool:
        """Whether this brain is being fetched or checked."""
        return name in self.all and self.all[name].running

    def start(self, name: str) -> PullStatus:
        """Fetch it, or go on with it; what runs already is joined."""
        if not self.runs(name):
            job = begin_pull(self._services.jobs, self._services.pull, name)
            self._watch(PullStatus(name=name), job, job.events())
        elif isinstance(running := self._jobs.get(name), Job):
            running.facts[KEPT] = "yes"
        return self.all[name]

    def verify(self, name: str) -> PullStatus:
        """Read the whole file and compare its hash."""
        if not self.runs(name):
            job = begin_verify(self._services.jobs, self._services.verify, name)
            self._watch(PullStatus(name=name, kind="verify"), job, job.events())
        return self.all[name]

    async def look(self) -> None:
        """Watch what others have begun, here and in other processes. Raises OmniError when nobody can tell."""
        for job in self._services.jobs.running:
            for wanted in self._kinds:
                if job.kind == wanted and not self.runs(job.about):
                    self._watch(PullStatus(name=job.about, kind=wanted), job, cast("Job[LibraryEvent]", job).events())
        for remote in await self._services.jobs.others():
            kind, name = remote.info.kind, remote.info.about
            for wanted in self._kinds:
                if kind == wanted and not self.runs(name):
                    self._watch(PullStatus(name=name, kind=wanted), remote, remote.events(LibraryEvent))

    async def cancel(self, name: str) -> None:
        """End it, whoever began it; what came so far is kept for the next try."""
        if (job := self._jobs.get(name)) is not None:
            with suppress(NotFound):  # it is over
                await job.stop()
            await self.over(name)

    async def over(self, name: str) -> None:
        """Return when it is over."""
        if (task := self._watching.get(name)) is not None:
            await asyncio.wait({task})

    def forget(self, name: str) -> None:
        """What became of it is of no interest any more."""
        if not self.runs(name) and (status := self.all.pop(name, None)) is not None:
            self._moved(status)

    async def close(self) -> None:
        """Watch no more. The jobs go on."""
        tasks = list(self._watching.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _watch(self, status: PullStatus, job: "Job[Any] | RemoteJob", events: AsyncGenerator[LibraryEvent]) -> None:
        name = status.name
        self.all.pop(name, None)  # to the end of the list
        self.all[name], self._jobs[name] = status, job
        self._watching[name] = asyncio.create_task(self._follow(status, events), name=f"watch {status.kind} {name}")
        self._moved(status)

    async def _follow(self, begun: PullStatus, events: AsyncGenerator[LibraryEvent]) -> None:
        async with aclosing(followed(begun, events, self._known)) as steps:
            async for status in steps:
                self.all[status.name] = status
                if not status.running:
                    del self._jobs[status.name], self._watching[status.name]
                self._moved(status)
