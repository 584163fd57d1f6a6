"""How far a set-up is, as values, and drawn on a terminal (one line that is redrawn) or as plain lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, Self, TextIO

from omni.core.words import size_words

Phase = Literal["environment", "installer", "download", "install"]
TITLES: dict[Phase, str] = {
    "environment": "Making the environment",
    "installer": "Fetching the installer",
    "download": "Fetching packages",
    "install": "Installing packages",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """`done` of `total` parts of a phase, `size` bytes so far, `name` at the moment; `part` of it from 0 to 1."""

    phase: Phase
    done: int = 0
    total: int = 0
    size: int = 0
    name: str = ""
    part: float = 0.0
    waiting: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The step as JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """The step that `as_dict` wrote. Raises TypeError for anything else."""
        return cls(**fields)

    @property
    def fraction(self) -> float:
        """How much of the phase is done, from 0 to 1."""
        return min(1.0, (self.done + self.part) / self.total) if self.total else self.part


Show = Callable[[Step], None]


class Display(Protocol):
    """What shows a set-up to a person."""

    def step(self, step: Step) -> None:
        """Show where it is."""

    def say(self, sentence: str) -> None:
        """Show a sentence that stays."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def render(step: Step, width: int, *, unicode: bool = True, seconds: float = 0.0) -> str:
    """One line of at most `width` columns."""
    parts = [f"{step.done} of {step.total}"] if step.total else []
    parts += [size_words(step.size)] if step.size else []
    parts += [f"{seconds:.0f} s"] if seconds >= 1 else []
    dot = " · " if unicode else ", "
    title = "Another start: " + TITLES[step.phase].lower() if step.waiting else TITLES[step.phase]
    facts = dot.join(parts)
    bar = min(30, width - len(title) - 30)  # room for the facts whether they are long or short: the bar does not jump
    if bar < 6:
        return f"{title} {facts}"[:width].rstrip()
    line = f"  {title}  {_bar(step.fraction, bar, unicode=unicode)}  {facts}"
    if step.name and len(line) + len(dot) + len(step.name) <= width:
        line += (dot if facts else "") + step.name
    return line[:width].rstrip()


def _bar(fraction: float, width: int, *, unicode: bool) -> str:
    full, empty = ("█", "░") if unicode else ("#", "-")
    filled = int(fraction * width)
    return full * filled + empty * (width - filled)


class Terminal:
    """A bar that is redrawn in place on a terminal, plain lines on anything else; everything goes to standard error."""

    def __init__(
        self,
        stream: TextIO | None = None,
        environment: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._live = self._stream.isatty() and environment.get("TERM", "dumb") != "dumb"
        self._colour = self._live and not environment.get("NO_COLOR")
        self._unicode = "utf" in (getattr(self._stream, "encoding", None) or "").lower()
        self._began, self._drawn, self._last = clock(), 0.0, ""
        self._spoken: tuple[Phase, int, str, bool] | None = None

    def step(self, step: Step) -> None:
        """Draw the step, at most some twenty times a second."""
        if self._live:
            now = self._clock()
            if now - self._drawn >= 0.05:
                self._drawn = now
                self._draw(step, now - self._began)
        else:
            self._speak(step)

    def _draw(self, step: Step, seconds: float) -> None:
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            width = 80
        line = render(step, max(20, width - 1), unicode=self._unicode, seconds=seconds)
        if line != self._last:
            self._last = line
            painted = line
            if self._colour:
                for sign in "█#":
                    start, end = line.find(sign), line.rfind(sign) + 1
                    if start >= 0:
                        painted = f"{line[:start]}\x1b[36m{line[start:end]}\x1b[0m{line[end:]}"
                        break
            self._write(f"\r{painted}\x1b[K")

    def _speak(self, step: Step) -> None:
        """One line a phase and a package: nothing is ever drawn over."""
        key = (step.phase, step.done, step.name, step.waiting)
        if key != self._spoken:
            self._spoken = key
            count = min(
                step.done + bool(step.name), step.total
            )  # the one that is under way counts: no line comes after it
            facts = f" {count} of {step.total}" if step.total else ""
            self._write(f"{TITLES[step.phase]}{facts}{': ' + step.name if step.name else ''}\n")

    def say(self, sentence: str) -> None:
        """A sentence on a line of its own."""
        self._write(("\r\x1b[K" if self._last else "") + sentence + "\n")
        self._last = ""

    def close(self) -> None:
        """Take the bar away."""
        if self._last:
            self._write("\r\x1b[K")
            self._last = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
