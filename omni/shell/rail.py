"""The left edge: the panes and their keys, and at its foot what the machine is doing."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.events import Click, MouseMove
from textual.geometry import Region
from textual.message import Message

from omni.shell.panes import PaneSpec
from omni.shell.widgets import LineWidget, bar, ink

if TYPE_CHECKING:
    from omni.hardware import MachineSample

WIDE, FOLDED = 18, 4
FOLD_BELOW = 100
FOOT = 2  # rows


class Rail(LineWidget):
    """Lists the panes; a click or a key shows one. Folds to four columns where the terminal is narrow."""

    DEFAULT_CSS = "Rail { width: 18; height: 1fr; background: $omni-rail; }"
    ALLOW_SELECT: ClassVar[bool] = False

    class PaneChosen(Message):
        """A pane was clicked."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, panes: Sequence[PaneSpec], active: str) -> None:
        super().__init__(id="rail")
        self._panes, self._active = tuple(panes), active
        self._busy: set[str] = set()
        self._reading: MachineSample | None = None
        self._rows: dict[int, PaneSpec] = {}
        self._foot_row = 0

    @property
    def active(self) -> str:
        """The name of the pane that is marked."""
        return self._active

    def mark(self, name: str) -> None:
        """Mark the pane that is shown."""
        self._active = name
        self.refresh()

    def busy(self, name: str, on: bool) -> None:
        """Mark a pane behind which something goes on: an answer is written, a brain is fetched."""
        if on != (name in self._busy):
            self._busy ^= {name}
            self.refresh()

    def add(self, panes: Iterable[PaneSpec]) -> None:
        """List more panes: those of plug-ins."""
        self._panes += tuple(panes)
        self.refresh()

    def measure(self, reading: "MachineSample") -> None:
        """Show what the machine does now."""
        if reading != self._reading:
            self._reading = reading
            self.refresh(Region(0, self._foot_row, self.size.width, FOOT))

    def lines(self, width: int, height: int) -> Iterable[Content]:
        """Name, panes with gaps between their groups where there is room, free space, two meters."""
        folded = width < WIDE
        rows: list[tuple[Content, PaneSpec | None]] = [(Content(""), None)]
        rows.append((ink((" om" if folded else "  omni", "bold accent")), None))
        gaps = height >= len(self._panes) + len({pane.group for pane in self._panes}) + 5
        group = -1
        for pane in self._panes:
            if pane.group != group and (gaps or group == -1):
                rows.append((Content(""), None))
            group = pane.group
            rows.append((self._entry(pane, width, folded=folded), pane))
        foot = list(self._foot(folded=folded))
        rows = rows[: max(0, height - FOOT)]
        self._rows = {y: pane for y, (_, pane) in enumerate(rows) if pane is not None}
        beside_keys = 1 if not folded and height >= 19 else 0  # the panes leave a row free below their keys there
        blank = height - len(rows) - FOOT - beside_keys
        self._foot_row = len(rows) + max(0, blank)
        return [row for row, _ in rows] + [Content("")] * blank + foot

    def _entry(self, pane: PaneSpec, width: int, *, folded: bool) -> Content:
        here = pane.name == self._active
        key = pane.key.upper() or f"g {pane.letter}"
        mark = ("▌", "accent on $omni-panel") if here else " "
        on = " on $omni-panel" if here else ""
        busy = ("•" if pane.name in self._busy else " ", f"accent{on}")
        strength, weak = (f"bold text{on}", f"third{on}") if here else ("second", "third")
        if folded:
            return ink(mark, (pane.title[:2], strength), busy)
        room = width - 4 - len(key)
        return ink(mark, busy, (f"{pane.title[:room]:<{room}}", strength), (key, weak))

    def _foot(self, *, folded: bool) -> Iterable[Content]:
        now = self._reading
        percent = f"{now.cpu:.0f}%" if now else ""
        memory = short_memory(now.memory_used) if now else ""
        if folded:
            return ink((f"{percent:>4}", "second")), ink((f"{memory:>4}", "second"))
        cpu, ram = (now.cpu / 100, now.memory_used / now.memory_total) if now else (0, 0)
        return (
            ink((" CPU ", "second"), bar(7, cpu), (f"{percent:>5}", "second")),
            ink((" RAM ", "second"), bar(7, ram), (f"{memory:>5}", "second")),
        )

    def on_click(self, event: Click) -> None:
        """Show the pane under the mouse."""
        if (pane := self._rows.get(event.y)) is not None:
            self.post_message(self.PaneChosen(pane.name))

    def on_mouse_move(self, event: MouseMove) -> None:
        """Say what the pane under the mouse is for."""
        pane = self._rows.get(event.y)
        text = f"{pane.title}  {pane.key.upper()}\n{pane.about}" if pane else None
        if self.tooltip != text:
            self.tooltip = text


def short_memory(count: float) -> str:
    """Memory in at most four characters, so that no digit is ever cut: `999M`, `2.1G`, `24G`, `512G`."""
    megabytes = count / 1e6
    if round(megabytes) < 1000:
        return f"{megabytes:.0f}M"
    gigabytes = megabytes / 1000
    return f"{gigabytes:.1f}G" if round(gigabytes, 1) < 10 else f"{gigabytes:.0f}G"
