"""What the machine does now, for the figures that a page always shows."""

import asyncio
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from msgspec import Struct

from omni.core.errors import OmniError
from omni.keeper import Doors
from omni.server.webapi.pace import Pace

if TYPE_CHECKING:
    from omni.app import Services

LEAST = 0.2
"""Seconds of processor time, of all cores together, below which a percentage would be noise."""


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


class Processor:
    """How busy all cores were since the last sample.

    psutil's own percentage counts from the last call of the same thread, and samples are taken by a pool of them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._before = (0.0, 0.0)
        self._percent = 0

    def percent(self) -> int:
        """Percent of all cores; the last figure again where hardly any time has passed. Blocking."""
        import psutil  # type: ignore[import-untyped]

        times = psutil.cpu_times()
        # Linux counts what guests take in user time already.
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        with self._lock:
            spent, rested = total - self._before[0], idle - self._before[1]
            if spent >= LEAST:
                self._before = total, idle
                self._percent = round(max(0.0, min(100.0, 100 * (spent - rested) / spent)))
            return self._percent


class Readings:
    """Takes samples. `last` is the latest."""

    def __init__(self, services: "Services", pace: Pace) -> None:
        self._services, self._pace = services, pace
        self._graphics: bool | None = None
        self._processor = Processor()
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
        pids = [each.pid for each in workers]
        memory, machine, vram = await asyncio.to_thread(_look, pids, self._graphics, self._processor)
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
    import psutil

    memory = {}
    for pid in pids:
        with suppress(psutil.Error):
            memory[pid] = int(psutil.Process(pid).memory_info().rss)
    return memory


def _look(
    pids: list[int], graphics: bool, processor: Processor
) -> tuple[dict[int, int], tuple[int, int, int, int], tuple[Vram, ...]]:
    import psutil

    memory = psutil.virtual_memory()
    machine = (
        processor.percent(),
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
        cards = []
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            memory, name = pynvml.nvmlDeviceGetMemoryInfo(handle), pynvml.nvmlDeviceGetName(handle)
            called = name.decode() if isinstance(name, bytes) else str(name)
            cards.append(Vram(name=called, used=int(memory.used), total=int(memory.total)))
        return tuple(cards)
    except pynvml.NVMLError:
        return ()
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
