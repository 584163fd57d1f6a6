"""What one reads over a pane without leaving it: the log of a process as it grows, what the doctor found."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen

from omni.core.errors import OmniError
from omni.shell.pane import frame_of
from omni.shell.widgets import Folded, Keys, Line, Lines, home_path, home_words, ink, job

if TYPE_CHECKING:
    from omni.app import Services
    from omni.environment import Diagnostic
    from omni.shell.frame import Frame

FOLLOW_SECONDS = 1.0
TAIL_BYTES = 200_000
NOTHING = "This log is empty: nothing went wrong, and nothing had to be noted. What comes is shown as it comes."
STRENGTH = {"warning": "amber", "error": "red", "critical": "bold red"}


class ReadingScreen(ModalScreen[None]):
    """A tall sheet with a title, lines that scroll, and its keys."""

    DEFAULT_CSS = """
    ReadingScreen { align: center middle; }
    ReadingScreen > .reading { width: 94%; height: 90%; background: $omni-raised; border-left: outer $omni-accent;
                         padding: 1 3; }
    ReadingScreen VerticalScroll { height: 1fr; margin: 1 0; scrollbar-background: $omni-raised; }
    ReadingScreen Keys { dock: none; }
    Screen.-low .reading { padding: 0 1; }
    Screen.-low ReadingScreen VerticalScroll { margin: 0; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [Binding("escape", "dismiss", "Back", id="reading.back", tooltip="Back to the pane")]
    keys: ClassVar[tuple[tuple[str, str, str], ...]] = ()

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    @property
    def omni(self) -> "Frame":
        """The app, as what may be asked of it."""
        return frame_of(self.app)

    def compose(self) -> ComposeResult:
        """Title, lines, keys."""
        with Vertical(classes="reading"):
            yield Lines(self._head(""), id="reading-title")
            with VerticalScroll():
                yield Lines(ink(("Looking …", "third")), id="reading-lines")
            yield Keys(("↑↓", "scroll", ""), *self.keys, ("esc", "back", "escape"))

    def _head(self, note: str) -> tuple[Content, ...]:
        return ink((self._title, "bold text")), ink((note, "second"))

    def show(self, note: str, lines: Iterable[Line]) -> None:
        """Replace what is read."""
        self.query_one("#reading-title", Lines).show(self._head(note))
        self.query_one("#reading-lines", Lines).show(*lines)

    def on_mount(self) -> None:
        """The arrows scroll."""
        self.query_one(VerticalScroll).focus()


class LogReading(ReadingScreen):
    """The end of a log, followed as long as its end is in view."""

    BINDINGS: ClassVar = [
        Binding("f", "follow", "Follow", id="log.follow", tooltip="To the end, and stay there"),
        Binding("e", "edit", "Editor", id="log.edit", tooltip="Open the log in your editor"),
    ]
    keys: ClassVar = (("f", "follow", "f"), ("e", "in your editor", "e"))

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        super().__init__(f"Log of {name}")
        self._files = files
        self._path: Path | None = None
        self._seen: tuple[Path | None, str] | None = None

    def on_mount(self) -> None:
        """Read, and go on reading."""
        super().on_mount()
        self.run_worker(job(self._read_on), name="log", description="read a log")
        self.set_interval(FOLLOW_SECONDS, self._read_on)

    async def _read_on(self) -> None:
        scroll = self.query_one(VerticalScroll)
        tail = await asyncio.to_thread(_tail, self._files)
        if tail == self._seen:
            return
        at_end = self._seen is None or scroll.max_scroll_y - scroll.scroll_offset.y <= 1
        self._seen, (self._path, text) = tail, tail
        words = [log_line(line) for line in text.splitlines() if line.strip()]
        note = home_path(str(self._path)) if self._path else ""
        self.show(note, words or [Folded(head=Content(), text=NOTHING, style="second")])
        if at_end:
            scroll.scroll_end(animate=False)

    def action_follow(self) -> None:
        """To the end; there it follows by itself."""
        self.query_one(VerticalScroll).scroll_end(animate=False)

    def action_edit(self) -> None:
        """In the editor of the person."""
        path = self._path

        async def work() -> None:
            if path is not None and not await self.omni.edit(path):
                self.notify(f"No editor was found; the log is {path}.", markup=False, timeout=6)

        self.run_worker(work(), exclusive=True, group="edit", description="open a log in the editor")


def _tail(files: Sequence[Path]) -> tuple[Path | None, str]:
    """The end of the first of these files that has something in it."""
    there = None
    for path in files:
        try:
            with path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            continue
        if text:
            return path, text.partition("\n")[2] if size > TAIL_BYTES else text
        there = there or path
    return there, ""


def log_line(line: str) -> Folded:
    """A line as a person reads it: of a structured one time, level and message."""
    try:
        record = json.loads(line)
        moment, level, message = str(record["time"])[11:19], str(record["level"]), str(record["message"])
    except (ValueError, KeyError, TypeError):
        return Folded(
            head=Content(), text="".join(each if each.isprintable() else " " for each in line), style="second"
        )
    rest = str(record.get("hint", "")) or str(record.get("traceback", "")).strip().rpartition("\n")[2]
    words = f"{message}  {rest}".rstrip().replace("\n", " ")
    return Folded(head=ink((f"{moment}  ", "third"), (f"{level:<8}", STRENGTH.get(level, "second"))), text=words)


class DoctorReading(ReadingScreen):
    """Everything that was looked at, what is wrong first, each with the command that mends it."""

    DEFAULT_CSS = """
    DoctorReading > .reading { height: auto; max-height: 90%; }
    DoctorReading VerticalScroll { height: auto; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [Binding("d", "look", "Again", id="doctor.again", tooltip="Look at everything again")]
    keys: ClassVar = (("d", "look again", "d"),)

    def __init__(self, services: "Services") -> None:
        super().__init__("Doctor")
        self._services = services

    def on_mount(self) -> None:
        """Look."""
        super().on_mount()
        self.action_look()

    def action_look(self) -> None:
        """Look at everything again."""
        self.run_worker(job(self._look), exclusive=True, group="doctor", description="look at everything")

    async def _look(self) -> None:
        from omni.diagnostics import findings

        self.show("looking at everything …", [])
        diagnostics = await findings(self._services)
        wrong = sum(not finding.ok for finding in diagnostics)
        words = f"{len(diagnostics)} things looked at, {f'{wrong} to mend' if wrong else 'all is well'}"
        self.show(words, doctor_lines(diagnostics))

    def complain(self, error: OmniError) -> None:
        """Where the findings would stand."""
        words = ((error.message, "red"), (error.hint, "second"))
        self.show("", [Folded(head=Content(), text=text, style=style) for text, style in words])


def doctor_lines(diagnostics: "Sequence[Diagnostic]") -> list[Line]:
    """What is wrong first, with what mends it; the rest in a line each."""
    width = max((len(finding.name) for finding in diagnostics), default=0)
    lines: list[Line] = []
    for finding in sorted(diagnostics, key=lambda one: one.ok):
        mark = ("✓ ", "accent") if finding.ok else ("! ", "bold amber")
        head = ink(mark, (f"{finding.name:<{width}}   ", "text"))
        lines.append(Folded(head=head, text=home_words(finding.detail), style="second"))
        if finding.command and not finding.ok:
            lines.append(Folded(head=Content(" " * (width + 5)), text=finding.command, style="accent"))
    return lines
