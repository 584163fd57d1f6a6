"""What the machine did lately, sampled in a thread: the figures at the foot of the rail and the graphs of System."""

from collections import deque

from omni.hardware import MachineSample, Sampler


class Meters:
    """The last samples, oldest first."""

    def __init__(self, length: int = 240) -> None:
        self.history: deque[MachineSample] = deque(maxlen=length)
        self._sampler = Sampler()

    def sample(self) -> MachineSample:
        """Take one more sample. Reads /proc, so it is called in a thread."""
        reading = self._sampler.sample()
        self.history.append(reading)
        return reading
