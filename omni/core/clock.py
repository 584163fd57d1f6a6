"""Time as a thing that is passed in, so that tests need not wait for it."""

import time
from typing import Protocol


class Clock(Protocol):
    """What Omni asks about time."""

    def now(self) -> float:
        """Seconds since the epoch, for what is shown and stored."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps, for durations."""
        ...


class SystemClock:
    """The machine's own clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
