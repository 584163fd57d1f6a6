"""What the machine does now. Whoever shows it asks here; the keeper, which may import the standard library only, reads by
itself what it needs to admit a brain (`keeper/memory.py`)."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Lock

from msgspec import Struct

from omni.core.memory import started_by
from omni.hardware._memory import available_memory

LEAST = 0.2
"""Seconds of processor time, of all cores together, below which a percentage would be noise."""

_DEVICE_FILES = ("/dev/nvidia", "/dev/dri/", "/dev/kfd", "/dev/dxg")


class MachineSample(Struct, frozen=True, kw_only=True):
    """One sample: processor in percent of all cores, memory in bytes; `memory_free` is what a new process could take."""

    cpu: int
    cores: int
    memory_used: int
    memory_total: int
    memory_free: int = 0


class Sampler:
    """Takes samples, from any thread.

    psutil's own percentage counts from the last call of the same thread, and samples are taken by a pool of them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._before = (0.0, 0.0)
        self._percent = 0

    def sample(self) -> MachineSample:
        """The machine now. Blocking."""
        import psutil  # type: ignore[import-untyped] # 10 ms that a first frame does not need

        memory = psutil.virtual_memory()
        return MachineSample(
            cpu=self.percent(),
            cores=psutil.cpu_count() or 1,
            memory_used=int(memory.total - memory.available),
            memory_total=int(memory.total),
            memory_free=available_memory(),
        )

    def percent(self) -> int:
        """How busy all cores were since the last sample; the last figure again where hardly any time has passed."""
        import psutil

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


def process_memory(pids: Iterable[int]) -> dict[int, int]:
    """What each process holds in memory, in bytes: its share of what several map, else all that it maps. What it has started
    for itself is counted as its own. Blocking.

    Those that have ended are left out.
    """
    asked = set(pids)
    memory = {}
    for pid in asked:
        if (own := _held(pid)) is not None:
            memory[pid] = own + sum(_held(child) or 0 for child in started_by(pid) if child not in asked)
    return memory


def _held(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    except (OSError, StopIteration, ValueError):  # another system, or a process that is closed to us
        import psutil

        with suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
    return None


def device_files(pid: int) -> list[str]:
    """The files of graphics processors that a process, or what it has started, holds open; empty where nobody tells."""
    names = set()
    for each in (pid, *started_by(pid)):
        with suppress(OSError):
            for entry in Path(f"/proc/{each}/fd").iterdir():
                with suppress(OSError):
                    names.add(str(entry.readlink()))
    return sorted(name for name in names if name.startswith(_DEVICE_FILES))
