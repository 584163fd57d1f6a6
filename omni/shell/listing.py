"""A table that one can walk through: groups of rows under their own titles, drawn by one widget."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal

from msgspec import Struct
from textual.binding import Binding
from textual.content import Content
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from omni.shell.widgets import LineWidget, Part, fitted, ink, thumb

LEAST_HELD = 5  # rows; a table lower than this has none to spare for its titles


class Column(Struct, frozen=True, kw_only=True):
    """One column. Where the table is too wide, those that may leave are shortened to their `least`, the highest `leaves`
    first; those that do not fit even so leave; then those that stay are shortened to theirs. One that `gives` is
    shortened to its `least` before any other has to leave."""

    leaves: int = 0
    least: int = 0
    gives: bool = False
    align: Literal["left", "right"] = "left"
    most: int = 40


class Row(Struct, frozen=True, kw_only=True):
    """One row; `key` names it in messages."""

    key: str
    cells: tuple[Part, ...]


class Group(Struct, frozen=True, kw_only=True):
    """Rows under their titles."""

    titles: tuple[str, ...]
    rows: tuple[Row, ...]


class Listing(LineWidget, can_focus=True):
    """Groups of rows. Arrows move a bar at the left edge, Enter or a second click chooses."""

    DEFAULT_CSS = """
    Listing { height: 1fr; min-height: 4; background: $omni-panel; padding: 1 2; }
    Screen.-narrow Listing { padding: 1 1; }
    Screen.-low Listing, Screen.-middle Listing { padding: 0 1; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    ALLOW_SELECT: ClassVar[bool] = False
    BINDINGS: ClassVar = [
        Binding("up", "move(-1)", "Up", id="list.up", show=False, tooltip="Move the bar"),
        Binding("down", "move(1)", "Down", id="list.down", show=False, tooltip="Move the bar"),
        Binding("pageup", "move(-10)", "Page up", id="list.page-up", show=False, tooltip="Move the bar"),
        Binding("pagedown", "move(10)", "Page down", id="list.page-down", show=False, tooltip="Move the bar"),
        Binding("home", "move(-100000)", "First", id="list.first", show=False, tooltip="Move the bar"),
        Binding("end", "move(100000)", "Last", id="list.last", show=False, tooltip="Move the bar"),
        Binding("enter", "choose", "Choose", id="list.choose", show=False, tooltip="Take the row with the bar"),
    ]

    class Highlighted(Message):
        """The bar stands on another row."""

        def __init__(self, listing: "Listing", key: str) -> None:
            super().__init__()
            self.listing, self.key = listing, key

        @property
        def control(self) -> "Listing":
            """The table."""
            return self.listing

    class Chosen(Highlighted):
        """A row was taken."""

    def __init__(self, *columns: Column, empty: str = "", lit: bool = False, id: str | None = None) -> None:  # noqa: A002
        """`lit`: the bar keeps its colour while one types elsewhere, where Enter takes its row all the same."""
        super().__init__(id=id)
        self._lit = lit
        self._columns = columns
        self._empty = empty
        self._groups: tuple[Group, ...] = ()
        self._rows: list[Row] = []
        self._cursor = 0
        self._top = 0
        self._at: dict[int, int] = {}

    @property
    def key(self) -> str:
        """The key of the row with the bar; "" when there is none."""
        return self._rows[self._cursor].key if self._rows else ""

    def fill(self, groups: Iterable[Group], *, key: str = "") -> None:
        """Show these rows. The bar stays where it is, by key; `key` moves it."""
        wanted, height = key or self.key, self._height()
        self._groups = tuple(group for group in groups if group.rows)
        self._rows = [row for group in self._groups for row in group.rows]
        before = self._cursor
        place = next((index for index, row in enumerate(self._rows) if row.key == wanted), None)
        self._cursor = min(before, max(0, len(self._rows) - 1)) if place is None else place
        self.refresh(layout=height != self._height())
        self._bound()
        if self.key != wanted and self._rows:
            self.post_message(self.Highlighted(self, self.key))

    def say_when_empty(self, text: str) -> None:
        """What stands there while there are no rows."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def put(self, key: str) -> None:
        """Move the bar to this row."""
        for index, row in enumerate(self._rows):
            if row.key == key and index != self._cursor:
                self._go(index)

    def _go(self, index: int) -> None:
        self._cursor = index
        self.refresh()
        self.post_message(self.Highlighted(self, self.key))

    def action_move(self, by: int) -> None:
        """Move the bar."""
        index = max(0, min(len(self._rows) - 1, self._cursor + by))
        if self._rows and index != self._cursor:
            self._go(index)

    def action_choose(self) -> None:
        """Take the row."""
        if self._rows:
            self.post_message(self.Chosen(self, self.key))

    def on_click(self, event: Click) -> None:
        """The first click moves the bar, one on the bar takes the row."""
        offset = event.get_content_offset(self)
        index = self._at.get(offset.y) if offset is not None else None
        if index is None:
            return
        if index == self._cursor:
            self.action_choose()
        else:
            self._go(index)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Move the bar with the wheel."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Move the bar with the wheel."""
        event.stop()
        self.action_move(-1)

    def on_focus(self) -> None:
        """The bar takes its colour."""
        self.refresh()

    def on_blur(self) -> None:
        """The bar loses its colour."""
        self.refresh()

    def on_resize(self) -> None:
        """The padding depends on the terminal's size."""
        self._bound()

    def _bound(self) -> None:
        """Take the room there is, but no more than the rows need."""
        most = max(1, self._height()) + self.gutter.height
        scalar = self.styles.max_height
        if scalar is None or scalar.value != most:
            self.styles.max_height = most

    def _height(self) -> int:
        return sum(len(group.rows) + 1 for group in self._groups) + max(0, len(self._groups) - 1)

    def lines(self, width: int, height: int) -> Iterable[Content]:
        """What is in view; scrolled so that the bar is."""
        if not self._rows:
            return [ink((self._empty, "third"))]
        margin = 3 if width >= 60 else 2
        plan: list[tuple[Group, Row | None] | None] = []
        for group in self._groups:
            if plan:
                plan.append(None)
            plan.append((group, None))
            plan.extend((group, row) for row in group.rows)
        more = len(plan) > height
        widths = self._widths(width - margin - more)
        here = next(y for y, line in enumerate(plan) if line and line[1] is self._rows[self._cursor])
        shown: list[Content] = []
        if held := more and height >= LEAST_HELD:  # the titles of the columns stay while the rows move
            plan, here, height = plan[1:], here - 1, height - 1
        first = here - 1 if here and plan[here - 1] and plan[here - 1][1] is None else here  # type: ignore[index]
        self._top = max(0, min(self._top, first, len(plan) - height))
        self._top = max(self._top, here - height + 1)
        view = plan[self._top :]
        if held:
            while view[0] is None or view[0][1] is None:
                view = view[1:]
            group = view[0][0]
            own = group.titles if len(group.titles) > 1 else (*group.titles, *self._groups[0].titles[1:])
            shown.append(self._titles(own, widths, margin))
        index = {id(row): place for place, row in enumerate(self._rows)}
        self._at = {}
        for line in view[:height]:
            if line is None:
                shown.append(Content(""))
            elif line[1] is None:
                shown.append(self._titles(line[0].titles, widths, margin))
            else:
                self._at[len(shown)] = index[id(line[1])]
                shown.append(self._row(line[1], widths, margin))
        if more:
            marks = thumb(self._top, height, len(plan))
            bars = [" "] * held + ["▐" if y in marks else " " for y in range(height)]
            shown = [
                Content.assemble(row.pad_right(max(0, width - 1 - row.cell_length)), ink((bar, "third")))
                for row, bar in zip((*shown, *[Content("")] * height), bars, strict=False)
            ]
        return shown

    def _titles(self, titles: Sequence[str], widths: Sequence[int], margin: int) -> Content:
        return self._line(tuple((title, "third") for title in titles), widths, " " * margin)

    def _row(self, row: Row, widths: Sequence[int], margin: int) -> Content:
        if row is not self._rows[self._cursor]:
            return self._line(row.cells, widths, " " * margin)
        lit = self.has_focus or self._lit
        mark = ink(("▌", "accent" if lit else "third"), " " * (margin - 1))
        return self._line(row.cells, widths, mark).stylize_before("bold")

    def _line(self, cells: Sequence[Part], widths: Sequence[int], mark: "Content | str") -> Content:
        parts: list[Content | str] = [mark]
        for cell, column, width in zip(cells, self._columns, widths, strict=False):
            if width:
                text = fitted(ink(cell), width)
                gap = width - text.cell_length
                parts.append(text.pad_left(gap) if column.align == "right" else text.pad_right(gap))
                parts.append("  ")
        return Content.assemble(*parts[:-1])

    def _widths(self, room: int) -> list[int]:
        """The cells of each column; 0 for one that left."""
        full = [0] * len(self._columns)
        for cells in [group.titles for group in self._groups] + [row.cells for row in self._rows]:
            for index, cell in enumerate(cells[: len(full)]):
                full[index] = max(full[index], min(ink(cell).cell_length, self._columns[index].most))
        least = [min(column.least or width, width) for column, width in zip(self._columns, full, strict=True)]
        stay = [index for index, column in enumerate(self._columns) if full[index] and not column.leaves]
        rest = [index for index, column in enumerate(self._columns) if full[index] and column.leaves]
        rest.sort(key=lambda index: self._columns[index].leaves)
        widths = [0] * len(full)
        for index in stay:
            widths[index] = least[index] if self._columns[index].gives else full[index]

        def spare() -> int:
            used = [width for width in widths if width]
            return room - sum(used) - 2 * max(0, len(used) - 1)

        for index in stay:
            widths[index] = max(least[index], widths[index] + min(0, spare()))
        for index in rest:
            if spare() >= least[index] + 2:
                widths[index] = least[index]
        for index in (*stay, *rest):
            if widths[index]:
                widths[index] = min(full[index], widths[index] + max(0, spare()))
        for index in stay:  # the first gives way
            widths[index] = max(min(8, widths[index]), widths[index] + min(0, spare()))
        return widths
