"""Pulls that programs ask for: jobs like all others, which end when the last program that asked has left."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from omni.cartridges import KEPT, PullEvent, begin_pull
from omni.core.errors import EngineError

if TYPE_CHECKING:
    from omni.server.app import Server


class ClientPulls:
    """Counts who waits for which pull. One that a person asked for, too, goes on without them."""

    def __init__(self, server: "Server") -> None:
        self._services = server.services
        self._clients: Counter[str] = Counter()  # by the id of the job

    async def close(self) -> None:
        """The jobs end with their process."""
        self._clients.clear()

    async def events(self, name: str) -> AsyncGenerator[PullEvent]:
        """What happens until the brain is here. Raises what the pull raises, and EngineError when somebody stopped it."""
        jobs = self._services.jobs
        job = begin_pull(jobs, self._services.pull, name, kept=False)
        self._clients[job.id] += 1
        try:
            async with aclosing(job.events()) as events:
                async for event in events:
                    yield event
            if job.state == "stopped":
                raise EngineError(f"The pull of {name} was stopped.", hint="Asking again goes on from there.")
        finally:
            self._clients[job.id] -= 1
            if self._clients[job.id] <= 0:  # below it where the server has closed
                del self._clients[job.id]
                if KEPT not in job.facts:
                    job.cancel()


def pulls_of(server: "Server") -> ClientPulls:
    """The one of this server."""
    return server.kept("ollama pulls", lambda: ClientPulls(server))
