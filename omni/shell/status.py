"""The line at the bottom, which is always true: the doors, the brain, the context used of what there is, the speed, the
memory of graphics processors where brains use any."""

from collections.abc import Iterable
from typing import ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace
from textual.content import Content
from textual.events import Click
from textual.message import Message

from omni.shell.widgets import LineWidget, bar, fitted, ink, token_words

DoorState = Literal["checking", "shut", "listening", "air gap", "open", "not enforced", "unknown"]


class State(Struct, frozen=True, kw_only=True):
    """All that the line says. `doors` is what was verified last, never what was asked for."""

    doors: DoorState = "checking"
    door: str = ""
    brain: str = ""
    base: str = ""
    used: int = 0
    allocated: int = 0
    speed: float = 0.0
    vram: str = ""
    waiting: str = ""
    answering: bool = False


class StatusLine(LineWidget):
    """One row. Where it is narrow the graphics memory goes first, then the speed, the base's name, the meter; never doors or
    brain."""

    DEFAULT_CSS = "StatusLine { dock: bottom; height: 1; background: $omni-raised; }"
    ALLOW_SELECT: ClassVar[bool] = False

    class DoorsClicked(Message):
        """The doors, or F12 at the right end, were clicked."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self.state = State()
        self._doors_end = self._air_gap_start = 0

    def show(self, **changes: object) -> None:
        """Change what the line says."""
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.refresh()

    def lines(self, width: int, height: int) -> Iterable[Content]:  # noqa: ARG002
        """The fullest of the possible rows that fits."""
        doors = self._doors()
        self._doors_end = 1 + doors.cell_length
        for parts, right in self._choices():
            left = Content("   ").join([doors, *(part for part in parts if part)])
            gap = width - 2 - left.cell_length - right.cell_length
            if gap >= (2 if right.cell_length else 0):
                self._air_gap_start = width - 1 - right.cell_length
                return [Content.assemble(" ", left, " " * gap, right, " ")]
        self._air_gap_start = width
        room = width - 2 - doors.cell_length - 2
        if room < 6:  # 40 columns hold both; below that the doors win
            return [fitted(Content.assemble(" ", doors), width)]
        return [Content.assemble(" ", doors, "  ", fitted(self._brain(), room))]

    def _doors(self) -> Content:
        match self.state.doors:
            case "shut":
                return ink(("doors shut", "accent"), (" verified", "second"))
            case "air gap":
                return ink(("air gap", "bold accent"), (" verified", "second"))
            case "open":
                return ink(("door open", "bold amber"), (f" {self.state.door}", "second"))
            case "listening":
                return ink(("no door out", "accent"), (f" listens on {self.state.door}", "second"))
            case "not enforced":
                return ink(("doors not enforced", "bold amber"))
            case "unknown":
                return ink(("doors unknown", "bold red"))
            case _:
                return ink(("doors", "second"), (" checking", "third"))

    def _brain(self) -> Content:
        if not self.state.brain:
            return ink(("no brain yet", "second"))
        return ink((self.state.brain, "bold text"))

    def _choices(self) -> Iterable[tuple[list[Content | None], Content]]:
        """From the fullest row to the barest: what stands at the left, and what at the right."""
        state = self.state
        brain = self._brain()
        full = Content.assemble(brain, "  ", ink((state.base, "second"))) if state.base else brain
        meter = numbers = None
        if state.allocated:
            numbers = ink((f"{token_words(state.used)} of {token_words(state.allocated)}", "second"))
            worn = state.used / state.allocated
            style = "red" if worn > 0.95 else "amber" if worn > 0.8 else "accent"
            meter = Content.assemble(bar(10, worn, style=style), " ", numbers)
        speed = ink((f"{state.speed:.1f} tok/s", "second")) if state.speed else None
        if state.waiting:
            speed = ink((state.waiting, "amber"))
        gap = ink(("F12", "second"), (" reopen" if state.doors == "air gap" else " air gap", "third"))
        short, none = ink(("F12", "second")), Content("")
        vram = ink((state.vram, "second")) if state.vram else None
        yield [full, meter, speed, vram], gap
        yield [full, meter, speed], gap
        yield [full, meter], gap
        yield [brain, meter], gap
        yield [brain, numbers], gap
        yield [brain, numbers], short
        yield [brain, numbers], none
        yield [brain], gap
        yield [brain], short
        yield [brain], none

    def on_click(self, event: Click) -> None:
        """The doors are the kill switch."""
        if event.x <= self._doors_end or event.x >= self._air_gap_start:
            self.post_message(self.DoorsClicked())
