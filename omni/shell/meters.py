"""What the machine did lately, sampled in a thread: the figures at the foot of the rail and the graphs of System."""

from collections import deque
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omni.hardware import MachineSample, Sampler


class Meters:
    """The last samples, oldest first."""

    def __init__(self, length: int = 240) -> None:
        self.history: deque[MachineSample] = deque(maxlen=length)

    @cached_property
    def _sampler(self) -> "Sampler":
        from omni.hardware import Sampler  # the first frame does not need it

        return Sampler()

    def sample(self) -> "MachineSample":
        """Take one more sample. Reads /proc, so it is called in a thread."""
        reading = self._sampler.sample()
        self.history.append(reading)
        return reading
