"""Progress of a job of the library: one line that is rewritten in a terminal, a line now and then elsewhere."""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar

import click

from omni.cli.say import one_line
from omni.core.errors import OmniError
from omni.core.words import size_words, time_words

if TYPE_CHECKING:
    from omni.cartridges import PullStatus
    from omni.jobs import Job

E = TypeVar("E")

STOPPED = "Another window stopped this."
LINE_EVERY = 5.0  # seconds between lines where nothing can be rewritten
REDRAW_EVERY = 0.1


class Progress:
    """Shows what is done on stderr; stdout stays for results."""

    def __init__(self, *, rewrite: bool | None = None) -> None:
        self._rewrite = sys.stderr.isatty() if rewrite is None else rewrite
        self._shown = 0.0
        self._width = 0

    def show(self, status: "PullStatus") -> None:
        """How far it is."""
        line = f"{status.name}{'  checking' if status.checking else ''}  {size_words(status.done)}"
        if status.total:
            line += f" of {size_words(status.total)}  {status.done * 100 // status.total} %"
        if status.rate:
            line += f"  {size_words(status.rate)}/s"
        if status.seconds_left is not None:
            line += f"  {time_words(status.seconds_left)} left"
        self.line(line)

    def line(self, text: str) -> None:
        """How far it is, in words; not shown when the last one is too fresh."""
        now = time.monotonic()
        if now - self._shown >= (REDRAW_EVERY if self._rewrite else LINE_EVERY):
            self._shown = now
            self._put(text, "\r" if self._rewrite else "\n")

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


async def watch(job: "Job[E]", status: "PullStatus", progress: Progress, *, as_json: bool = False) -> E:
    """Show a job until it ends, or print its events; returns the last one.

    Raises what the job raised, why its `status` came to be failed, and OmniError when another window stopped it.
    """
    import msgspec

    from omni.cartridges import after

    last: E | None = None
    try:
        async with aclosing(job.events()) as events:
            async for last in events:
                status = after(status, last)  # type: ignore[arg-type] # one of what the library tells
                if as_json:
                    click.echo(msgspec.json.encode(last, enc_hook=str).decode())
                elif status.done:
                    progress.show(status)
    finally:
        progress.end()
    if status.error is not None:
        raise status.error
    if last is None or status.running:
        raise OmniError(STOPPED, hint="The same command goes on from what came.")
    return last


async def follow(job: "Job[E]", show: Callable[[E], None], progress: Progress) -> None:
    """Hand each event of a job to `show`. Raises what the job raised, and OmniError when another window stopped it."""
    try:
        async with aclosing(job.events()) as events:
            async for event in events:
                show(event)
    finally:
        progress.end()
    if job.state != "done":
        raise OmniError(STOPPED, hint="The same command goes on from what came.")


def duration(seconds: float) -> str:
    """ "12 s", "3 min", "1 h 20 min": as exact as a person wants to know."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
