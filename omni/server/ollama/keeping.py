"""How long a brain stays loaded after an answer, where a client has a wish about it (`keep_alive`).

A lease of the keeper's keeps a worker from ending for want of use, but never against another brain that needs its
memory. A worker that somebody else uses is not ended.
"""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from omni.core.errors import NotFound, OmniError
from omni.server.callers import is_foreign
from omni.server.ollama.times import FOREVER, duration

if TYPE_CHECKING:
    from starlette.requests import Request

    from omni.cartridges import Brain
    from omni.keeper import Lease
    from omni.server.app import Server


class Keeping:
    """The wishes of all clients of one server; the latest one about a base holds."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._seconds: dict[str, float] = {}  # by base, as all of these
        self._used: dict[str, float] = {}
        self._leases: dict[str, Lease] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def left(self, base: str) -> float:
        """Seconds until a worker on `base` may end; FOREVER where it stays."""
        seconds = self._seconds.get(base, float(self._server.services.settings.engine.keep_alive))
        if seconds == FOREVER:
            return seconds
        return max(0.0, self._used.get(base, time.monotonic()) + seconds - time.monotonic())

    async def used(self, brain: "Brain", seconds: float | None) -> None:
        """An answer is over; `seconds` is what its request wished, None what an earlier one did."""
        if brain.base is None:
            return
        base = brain.base.id
        self._used[base] = time.monotonic()
        if seconds is not None:
            self._seconds[base] = seconds
        if base not in self._seconds:
            return
        if (timer := self._timers.pop(base, None)) is not None:
            timer.cancel()
        try:
            await self._arrange(brain, base, self._seconds[base])
        except OmniError as error:  # the answer is whole; how long the brain stays is no reason to spoil it
            logging.getLogger(__name__).warning("keep_alive: %s", error.message)

    async def close(self) -> None:
        """Nothing is ended any more by what a request wished; what was kept for one is given back."""
        for timer in self._timers.values():
            timer.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for base in tuple(self._leases):
            self._give_back(base)

    async def unload(self, brain: "Brain") -> bool:
        """End the workers of `brain` that nobody uses; False when one is in use."""
        self._give_back(brain.base.id if brain.base else "")
        places = self._server.places_of(brain)
        keeper = await self._server.services.keeper()
        names = set(await self._server.services.workers_of(brain.name))
        idle = not (places.running or places.queued)
        for process in await keeper.processes():
            if process.name not in names:
                continue
            if process.turns or not idle:
                idle = False
                continue
            try:
                await keeper.stop(process.name)
            except NotFound:  # it ended by itself
                continue
        return idle

    async def _arrange(self, brain: "Brain", base: str, seconds: float) -> None:
        if seconds == 0:
            del self._seconds[base]
            await self.unload(brain)
            return
        services = self._server.services
        if seconds != FOREVER:
            self._timers[base] = asyncio.get_running_loop().call_later(seconds, self._over, brain)
        if base not in self._leases and await services.workers_of(brain.name):
            spec = await (await services.engines()).worker_spec(brain)
            lease = await (await services.keeper()).worker(spec)
            if base in self._leases:  # another answer was quicker
                lease.close()
            else:
                self._leases[base] = lease

    def _over(self, brain: "Brain") -> None:
        task = asyncio.get_running_loop().create_task(self._unloaded(brain), name="keep_alive")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _unloaded(self, brain: "Brain") -> None:
        try:
            await self.unload(brain)
        except OmniError as error:
            logging.getLogger(__name__).warning("keep_alive: %s", error.message)

    def _give_back(self, base: str) -> None:
        if (lease := self._leases.pop(base, None)) is not None:
            lease.close()


def wished(request: "Request", value: float | str | None) -> float | None:
    """The `keep_alive` of a request in seconds, None for none. A page of elsewhere has no say in it: it could end a brain
    that others use, or keep it for ever. Raises BadParameter."""
    seconds = duration(value)
    return None if is_foreign(request) else seconds


def keeping_of(server: "Server") -> Keeping:
    """The one of this server."""
    return server.kept("ollama keeping", lambda: Keeping(server))
