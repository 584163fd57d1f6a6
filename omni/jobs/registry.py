"""The jobs of this process, and through the keeper those of the others."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from omni.core.clock import Clock
from omni.core.errors import NotFound, OmniError
from omni.core.paths import Home
from omni.jobs.job import Job

if TYPE_CHECKING:
    from omni.jobs.offering import Offering
    from omni.jobs.remote import RemoteJob
    from omni.keeper import KeeperClient

E = TypeVar("E")


class Jobs:
    """Begins jobs and knows those that run.

    With the first job this process opens a socket on which other front ends list, watch, stop and answer its jobs;
    `keeper` tells them where it is. Without a keeper nobody else learns of them.
    """

    def __init__(self, home: Home, keeper: "Callable[[], Awaitable[KeeperClient]] | None", clock: Clock) -> None:
        self._home, self._keeper, self._clock = home, keeper, clock
        self._jobs: dict[str, Job[object]] = {}
        self._offering: Offering | None = None
        self._opening: asyncio.Task[None] | None = None

    @property
    def running(self) -> "list[Job[object]]":
        """Oldest first."""
        return list(self._jobs.values())

    def begin(
        self,
        kind: str,
        about: str,
        events: Callable[[Job[E]], AsyncGenerator[E]],
        *,
        latest: tuple[type, ...] = (),
    ) -> Job[E]:
        """Let `events` run as a job; they get the job, to ask through it and to write its facts."""
        job = Job(secrets.token_hex(8), kind, about, events, began=self._clock.now(), latest=latest)
        self._jobs[job.id] = job  # type: ignore[assignment] # only what all jobs have is used of it here
        job.when_over(lambda: self._jobs.pop(job.id, None))
        if self._keeper is not None and self._opening is None:
            self._opening = asyncio.create_task(self._offer(), name="offer jobs")
        return job

    def get(self, job_id: str) -> "Job[object] | None":
        """A job of this process that runs."""
        return self._jobs.get(job_id)

    def find(self, kind: str, **facts: str) -> "Job[object] | None":
        """The job of this process of this kind that has all these facts; `about` counts as one. One that is told to end is
        the last that is taken."""
        matching = [
            job
            for job in self._jobs.values()
            if job.kind == kind and all((job.facts | {"about": job.about}).get(key) == facts[key] for key in facts)
        ]
        return min(matching, key=lambda job: job.stopping, default=None)

    async def others(self) -> "list[RemoteJob]":
        """The jobs that other processes of this home offer."""
        from omni.jobs.remote import listed

        if self._keeper is None:
            return []
        own = self._offering.path if self._offering is not None else ""
        sockets = {process.jobs for process in await (await self._keeper()).processes()}
        lists = await asyncio.gather(*(listed(socket) for socket in sorted(sockets - {"", own})))
        return [job for jobs in lists for job in jobs]

    async def all(self) -> "list[Job[object] | RemoteJob]":
        """All that goes on in this home, oldest first; those of this process alone where the keeper cannot be asked."""
        jobs: list[Job[object] | RemoteJob] = [*self.running]
        with suppress(OmniError):
            jobs += await self.others()
        return sorted(jobs, key=lambda job: job.snapshot().began)

    async def find_other(self, kind: str, **facts: str) -> "RemoteJob":
        """The same among the others. Raises NotFound."""
        for job in await self.others():
            known = job.info.facts | {"about": job.info.about}
            if job.info.kind == kind and all(known.get(key) == facts[key] for key in facts):
                return job
        raise NotFound("No such work is going on.", hint="It may just have ended.")

    async def idle(self) -> None:
        """Return when no job runs."""
        while self._jobs:
            await asyncio.gather(*(job.wait() for job in self.running))

    async def close(self) -> None:
        """Stop all jobs, and offer none any more."""
        await asyncio.gather(*(job.stop() for job in self.running))
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        if self._offering is not None:
            await self._offering.close()

    async def _offer(self) -> None:
        from omni.jobs.offering import Offering

        assert self._keeper is not None
        with suppress(OmniError):  # the work goes on all the same; nobody else sees it
            offering = self._offering = await Offering.open(self._home, self._jobs)
            await (await self._keeper()).offer(offering.path)
