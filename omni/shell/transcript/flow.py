"""Where everything stands: the heights of entries, guessed until they are laid out, and the rows at any place."""

import time
from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple

from omni.shell.transcript.entry import Entry, Layout
from omni.shell.transcript.fences import LayoutContext
from omni.shell.transcript.lines import Line
from omni.shell.transcript.split import MarkdownSection

PART_BITS, ENTRY_BITS = 20, 40  # a place is entry, part and line in one number, so that it survives growth
EMPTY = Line(())

Anchor = tuple[int, int, int]
"""An entry, a part of it and a row of that part: a place that growth above does not move."""


class FlowRow(NamedTuple):
    """One row of the view: which entry, part and line it shows; part -1 is the empty row below an entry."""

    entry: int
    part: int
    line: int
    what: Line

    @property
    def place(self) -> int:
        """The row as one number that grows from top to bottom."""
        return (
            (self.entry << ENTRY_BITS)
            | ((self.part if self.part >= 0 else (1 << PART_BITS) - 1) << PART_BITS)
            | self.line
        )


class Flow:
    """The entries of a transcript, one below the other.

    Only what is asked for is laid out; whatever that corrects above a place moves the place, and is told. `setting` is
    replaced when the width changes. `misses[0]` counts code blocks that were laid out before their colours were known.
    """

    def __init__(self, setting: LayoutContext) -> None:
        self.entries: list[Entry] = []
        self.index: dict[str, int] = {}
        self.setting = setting
        self.misses = [0]
        self._tops: list[int] = [0]
        self._tops_good = 0

    @property
    def measure(self) -> int:
        """The width of the text."""
        return self.setting.width

    def resize(self, setting: LayoutContext) -> None:
        """Another width: all heights are guesses again."""
        self.setting = setting
        self._tops_good = 0

    def reindex(self) -> None:
        """Entries were put in, taken out or replaced."""
        self.index = {entry.id: at for at, entry in enumerate(self.entries)}
        self._tops_good = 0

    def _height(self, entry: Entry) -> int:
        if entry.height_stamp != self.measure:
            entry.height, entry.height_stamp = entry.guess(self.measure), self.measure
        return entry.height

    def changed(self, entry: Entry) -> None:
        """Heights of an entry changed; those above it did not."""
        entry.height_stamp = -1
        self._tops_good = min(self._tops_good, self.index[entry.id])

    def tops(self) -> list[int]:
        """The first row of each entry, and behind the last the number of all rows."""
        good, count = self._tops_good, len(self.entries)
        if good < count or len(self._tops) != count + 1:
            good = min(good, len(self._tops) - 1)
            heights = [self._height(entry) for entry in self.entries[good:]]
            self._tops[good:] = accumulate(heights, initial=self._tops[good] if good else 0)
            self._tops_good = count
        return self._tops

    @property
    def total(self) -> int:
        """Rows of everything; partly guessed."""
        return self.tops()[-1]

    def parts(self, at: int) -> list[MarkdownSection]:
        """The parts of an entry; its height is guessed anew when its text is looked at for the first time."""
        entry = self.entries[at]
        if entry.height_stamp != self.measure or not entry.opened:
            parts = entry.parts()
            entry.sections()
            entry.height_stamp = -1
            self._height(entry)
            self._tops_good = min(self._tops_good, at)
            return parts
        return entry.parts()

    def lay(self, at: int, part: MarkdownSection) -> Layout:
        """The exact lines of one part; corrects the height of its entry."""
        entry = self.entries[at]
        before = entry.part_height(part, self.measure)
        layout = entry.lay(part, self.setting, self.misses)
        change = len(layout.lines) + entry.lead(part) - before
        if change:
            entry.height += change
            self._tops_good = min(self._tops_good, at)
        return layout

    def place_of(self, anchor: Anchor) -> int:
        """The row at which an anchor stands now."""
        at, number, offset = anchor
        top = self.tops()[at]
        entry = self.entries[at]
        parts = self.parts(at)
        for part in parts[:number]:
            top += entry.part_height(part, self.measure)
        if number < len(parts):
            layout = self.lay(at, parts[number])
            offset = min(offset, len(layout.lines) + entry.lead(parts[number]) - 1)
        return top + max(offset, 0)

    def collect(self, start: int, count: int) -> tuple[int, list[FlowRow]]:
        """The rows from `start` on, laid out exactly, and the row that `start` turned out to be."""
        rows: list[FlowRow] = []
        tops = self.tops()
        at = max(min(bisect_right(tops, start) - 1, len(self.entries) - 1), 0)
        skip = start - tops[at]
        while at < len(self.entries) and len(rows) < count:
            entry = self.entries[at]
            for number, part in enumerate(self.parts(at)):
                if skip and (height := entry.part_height(part, self.measure)) <= skip:
                    skip -= height
                    continue
                lines = self.lay(at, part).lines
                lead = entry.lead(part)
                if skip >= len(lines) + lead:
                    start -= skip - (len(lines) + lead - 1)
                    skip = len(lines) + lead - 1
                if lead and skip == 0:
                    rows.append(FlowRow(at, number, 0, EMPTY))
                first = max(skip - lead, 0)
                rows += [
                    FlowRow(at, number, lead + first + i, line) for i, line in enumerate(lines[first : first + count])
                ]
                skip = 0
                if len(rows) >= count:
                    break
            else:
                if skip:
                    skip = 0
                rows.append(FlowRow(at, -1, 0, EMPTY))
            at += 1
        return max(start, 0), rows[:count]

    def expose(self, bottom: int, count: int) -> int:
        """Lay out `count` rows above row `bottom` exactly; returns by how much `bottom` moved."""
        if bottom <= 0 or not self.entries:
            return 0
        tops = self.tops()
        at = max(min(bisect_right(tops, bottom - 1) - 1, len(self.entries) - 1), 0)
        inside = bottom - tops[at]
        moved = 0
        while at >= 0 and count > 0:
            entry = self.entries[at]
            guessed = self._height(entry)
            top = 0
            spans = []
            parts = self.parts(at)
            if inside >= guessed:  # all of it is above, so what it grows by is above
                moved += entry.height - guessed
                inside = entry.height
            for part in parts:
                spans.append((top, part))
                top += entry.part_height(part, self.measure)
            if inside > top:
                count -= 1  # the empty row below
            for top, part in reversed(spans):
                if top >= inside:
                    continue
                before = entry.part_height(part, self.measure)
                layout = self.lay(at, part)
                height = len(layout.lines) + entry.lead(part)
                moved += height - before if top + before <= inside else 0
                count -= min(height, inside - top)
                if count <= 0:
                    break
            at -= 1
            inside = 1 << 60
        return moved

    def bottom(self, height: int) -> int:
        """The row at the top of the view when its end stands at the bottom, exactly."""
        for _ in range(8):  # the end moves while it is laid out
            total = self.total
            if not self.expose(total, height):
                break
        return max(self.total - height, 0)

    def lay_below(self, row: FlowRow, count: int, end: float) -> bool:
        """Lay out `count` rows below `row`; True when time `end` came first."""
        number = row.part if row.part >= 0 else 1 << PART_BITS
        for at in range(row.entry, len(self.entries)):
            for part in self.parts(at)[number:]:
                if time.perf_counter() > end:
                    return True
                count -= len(self.lay(at, part).lines)
                if count <= 0:
                    return False
            number = 0
        return False

    def lay_above(self, row: FlowRow, count: int, end: float) -> bool:
        """Lay out `count` rows above `row`; True when time `end` came first."""
        for at in range(row.entry, -1, -1):
            parts = self.parts(at)
            if at == row.entry and row.part >= 0:
                parts = parts[: row.part]
            for part in reversed(parts):
                if time.perf_counter() > end:
                    return True
                count -= len(self.lay(at, part).lines)
                if count <= 0:
                    return False
        return False

    def anchor_of(self, row: FlowRow) -> Anchor:
        """The anchor of a row."""
        return row.entry, row.part if row.part >= 0 else len(self.entries[row.entry].parts()), row.line
