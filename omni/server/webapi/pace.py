"""How fast answers are being written now, over all pages."""

import time
from collections import deque
from collections.abc import Callable

WINDOW = 3.0  # seconds


class Pace:
    """Counts tokens in a window that moves."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[float] = deque(maxlen=4096)

    def token(self) -> None:
        """One more."""
        self._seen.append(self._clock())

    @property
    def speed(self) -> float:
        """Tokens a second; 0 when nobody is answering."""
        now = self._clock()
        while self._seen and now - self._seen[0] > WINDOW:
            self._seen.popleft()
        if len(self._seen) < 2:
            return 0.0
        return (len(self._seen) - 1) / max(now - self._seen[0], 1e-3)
