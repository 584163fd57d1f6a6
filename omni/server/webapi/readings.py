"""What the machine does now, for the figures that a page always shows."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from omni.core.errors import OmniError
from omni.keeper import Doors
from omni.server.webapi.pace import Pace

if TYPE_CHECKING:
    from omni.app import Services


class Vram(Struct, frozen=True, kw_only=True):
    """Memory of one graphics processor, in bytes."""

    name: str
    used: int
    total: int


class Reading(Struct, frozen=True, kw_only=True):
    """One sample: processor in percent of all cores, memory in bytes, answers in tokens a second.

    `brains` is what workers hold, `loaded` the ids of the bases that they have loaded. `doors` is None while nobody can
    say, and `doubt` says why.
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
        self._graphics: bool | None = None
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
        if self._graphics is None:
            self._graphics = False
            with suppress(OmniError):
                self._graphics = any(gpu.kind == "nvidia" for gpu in (await self._services.hardware()).gpus)
        memory, machine, vram = await asyncio.to_thread(_look, [each.pid for each in workers], self._graphics)
        self.last = Reading(
            cpu=machine[0],
            cores=machine[1],
            memory_used=machine[2],
            memory_total=machine[3],
            brains=sum(memory.values()),
            loaded=tuple(sorted({each.base for each in workers if each.base})),
            vram=vram,
            speed=round(self._pace.speed, 1),
            doors=doors,
            doubt=doubt,
        )
        return self.last


def memory_of(pids: list[int]) -> dict[int, int]:
    """What processes hold in memory, in bytes. Blocking."""
    import psutil  # type: ignore[import-untyped]

    found = {}
    for pid in pids:
        with suppress(psutil.Error):
            found[pid] = int(psutil.Process(pid).memory_info().rss)
    return found


def _look(pids: list[int], graphics: bool) -> tuple[dict[int, int], tuple[int, int, int, int], tuple[Vram, ...]]:
    import psutil

    memory = psutil.virtual_memory()
    machine = (
        round(psutil.cpu_percent(None)),
        psutil.cpu_count() or 1,
        int(memory.total - memory.available),
        int(memory.total),
    )
    return memory_of(pids), machine, _vram() if graphics else ()


def _vram() -> tuple[Vram, ...]:
    """As NVIDIA's library tells it."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        found = []
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory, name = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetName(handle)
            called = name.decode() if isinstance(name, bytes) else str(name)
            found.append(Vram(name=called, used=int(memory.used), total=int(memory.total)))
        return tuple(found)
    except pynvml.NVMLError:
        return ()
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
