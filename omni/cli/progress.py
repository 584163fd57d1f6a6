"""Progress of a download: one line that is rewritten in a terminal, a line now and then elsewhere."""

import shutil
import sys
import time

from omni.cli.say import one_line
from omni.core.words import size_words, time_words

LINE_EVERY = 5.0  # seconds between lines where nothing can be rewritten
REDRAW_EVERY = 0.1


class Progress:
    """Shows what is done on stderr; stdout stays for results."""

    def __init__(self, *, rewrite: bool | None = None) -> None:
        self._rewrite = sys.stderr.isatty() if rewrite is None else rewrite
        self._shown = 0.0
        self._width = 0

    def show(self, what: str, done: int, total: int | None, rate: float = 0.0, left: float | None = None) -> None:
        """`done` and `total` in bytes, `rate` in bytes a second, `left` in seconds."""
        now = time.monotonic()
        if now - self._shown < (REDRAW_EVERY if self._rewrite else LINE_EVERY):
            return
        self._shown = now
        line = f"{what}  {size_words(done)}"
        if total:
            line += f" of {size_words(total)}  {done * 100 // total} %"
        if rate:
            line += f"  {size_words(rate)}/s"
        if left is not None:
            line += f"  {time_words(left)} left"
        self._put(line, "\r" if self._rewrite else "\n")

    def end(self, line: str = "") -> None:
        """Replace the progress by a last line."""
        if line or (self._rewrite and self._width):
            self._put(line, "\n" if line else "\r")

    def _put(self, line: str, end: str) -> None:
        line = one_line(line)
        if self._rewrite:  # what wraps cannot be taken back
            line = line[: shutil.get_terminal_size().columns - 1]
        padding = " " * max(0, self._width - len(line)) if self._rewrite else ""
        sys.stderr.write(f"{line}{padding}{end}")
        sys.stderr.flush()
        self._width = len(line) if end == "\r" else 0
