"""What the machine does now, sampled in a thread: the figures at the foot of the rail and the graphs of System."""

from collections import deque

from msgspec import Struct


class MachineSample(Struct, frozen=True, kw_only=True):
    """One sample: processor in percent of all cores, memory in bytes; `memory_free` is what a new process could take."""

    cpu: float
    memory_used: float
    memory_total: float
    cores: int
    memory_free: int = 0


class Meters:
    """The last samples, oldest first."""

    def __init__(self, length: int = 240) -> None:
        self.history: deque[MachineSample] = deque(maxlen=length)

    def sample(self) -> MachineSample:
        """Take one more sample. Reads /proc, so it is called in a thread."""
        import psutil  # type: ignore[import-untyped] # 10 ms that the first frame does not need

        from omni.hardware import available_memory

        memory = psutil.virtual_memory()
        reading = MachineSample(
            cpu=round(psutil.cpu_percent(None)),
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            cores=psutil.cpu_count() or 1,
            memory_free=available_memory(),
        )
        self.history.append(reading)
        return reading
