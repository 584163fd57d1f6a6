"""What failed, in words, and its stack in the log."""

import logging
import time
import traceback
from pathlib import Path

from omni.core.errors import OmniError
from omni.shell.widgets import home_path

log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0  # one stack for what fails at the same place again and again
MOST_NOTED = 500
LONGEST = 200  # characters of what a library says; the log has all of it


class Failures:
    """Turns whatever was raised into what Omni can explain. `log_file` is what it names as the place of the stacks."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._noted: dict[tuple[str, int, str], tuple[float, int]] = {}

    def known(self, error: Exception) -> OmniError:
        """The failure itself where it is one that Omni explains, else one that says what failed and where its stack is."""
        if isinstance(error, OmniError):
            self._note(logging.WARNING, error, error.message, hint=error.hint)
            return error
        reason = reason_of(error)
        self._note(logging.ERROR, error, reason)
        return OmniError(
            f"Something in Omni failed ({reason}).",
            hint=f"Everything else goes on. The log has the stack: {home_path(str(self._log_file))}",
        )

    def _note(self, level: int, error: Exception, message: str, **extra: object) -> None:
        """Put the stack into the log; what fails on and on at one place once in a while, with how often it did."""
        *_, (frame, line) = [(None, 0), *traceback.walk_tb(error.__traceback__)]
        file = frame.f_code.co_filename if frame is not None else type(error).__name__
        place = file, line, message if isinstance(error, OmniError) else ""
        now = time.monotonic()
        noted, more = self._noted.get(place, (-AGAIN_SECONDS, 0))
        if now - noted < AGAIN_SECONDS:
            self._noted[place] = noted, more + 1
            return
        if len(self._noted) >= MOST_NOTED:
            self._noted.clear()
        self._noted[place] = now, 0
        if more:
            extra["also"] = f"{more} times since it was noted"
        log.log(level, message, extra=extra, exc_info=error)


def reason_of(error: Exception) -> str:
    """What failed on one line: its kind, and the beginning of what it says."""
    text = "".join(sign if sign.isprintable() else " " for sign in f"{type(error).__name__}: {error}").rstrip(": ")
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
