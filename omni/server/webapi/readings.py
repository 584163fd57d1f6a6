"""What the machine does now, for the figures that a page always shows."""

import asyncio
from typing import TYPE_CHECKING

from msgspec import Struct

from omni.core.errors import OmniError
from omni.hardware import Sampler, Vram, process_memory
from omni.keeper import Doors
from omni.server.webapi.pace import Pace

if TYPE_CHECKING:
    from omni.app import Services


class Reading(Struct, frozen=True, kw_only=True):
    """One sample: processor in percent of all cores, memory in bytes, answers in tokens a second.

    `brains` is what workers hold, `loaded` the ids of the bases that they have loaded. `doors` is None while nobody can
    say, and `doubt` says why. `vram` are the devices that brains use now.
    """

    cpu: int
    cores: int
    memory_used: int
    memory_total: int
    brains: int
    loaded: tuple[str, ...]
    vram: tuple[Vram, ...]
    speed: float
    doors: "Doors | None"
    doubt: str = ""


class Readings:
    """Takes samples. `last` is the latest."""

    def __init__(self, services: "Services", pace: Pace) -> None:
        self._services, self._pace = services, pace
        self._sampler = Sampler()
        self.last: Reading | None = None

    async def take(self) -> Reading:
        """Look once more."""
        doors, doubt, workers = None, "", []
        try:
            keeper = await self._services.keeper()
            doors = await keeper.doors()
            workers = [each for each in await keeper.processes() if each.kind == "worker"]
        except OmniError as error:
            doubt = f"{error.message} {error.hint}".strip()
        now = await asyncio.to_thread(self._sampler.sample)
        graphics = await self._services.graphics(workers)
        memory = await asyncio.to_thread(process_memory, [each.pid for each in workers])
        self.last = Reading(
            cpu=now.cpu,
            cores=now.cores,
            memory_used=now.memory_used,
            memory_total=now.memory_total,
            brains=sum(memory.values()),
            loaded=tuple(sorted({each.base for each in workers if each.base})),
            vram=graphics.cards,
            speed=round(self._pace.speed, 1),
            doors=doors,
            doubt=doubt,
        )
        return self.last
