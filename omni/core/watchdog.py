"""Foreign code that does not come back holds up the whole event loop: it is seen from a thread, and broken off."""

import asyncio
import ctypes
import logging
import sys
import threading
import time
from collections.abc import Iterable
from types import FrameType

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
LONGEST = 5.0  # seconds that it may keep the loop for itself


class HeldUp(Exception):
    """Raised inside that code, wherever it is just then."""

    def __init__(self) -> None:
        super().__init__(f"it kept Omni waiting for {LONGEST:g} seconds, and was broken off")


class Watchdog:
    """Watches the loop of the thread that makes it, for as long as it runs. What keeps it is broken off only where it is
    code of one of these `packages`; what waits inside the system (`time.sleep`) ends when that does."""

    def __init__(self, packages: Iterable[str], *, longest: float = LONGEST, look: float = LOOK_SECONDS) -> None:
        self._packages = set(packages)
        self._longest, self._look = longest, look
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._over = threading.Event()
        self._beat()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Watch no more."""
        self._over.set()
        self._next.cancel()

    def _beat(self) -> None:
        self._last = time.monotonic()
        self._next = self._loop.call_later(self._look, self._beat)

    def _watch(self) -> None:
        late = 0.0  # the beat after which it was seen at work once
        while not self._over.wait(self._look):
            last = self._last
            if time.monotonic() - last < self._longest or not self._at_work(sys._current_frames().get(self._thread)):
                late = 0.0
            elif late != last:  # a machine that has just woken up looks like this, too
                late = last
            else:
                late = 0.0
                log.error("code of a plug-in has kept the loop waiting for %g seconds", time.monotonic() - last)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(HeldUp))

    def _at_work(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] in self._packages:
                return True
            frame = frame.f_back
        return False
