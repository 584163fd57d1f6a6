"""What may be completed while one writes: how well a name matches, and the list above the composer."""

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from omni.shell.widgets import thumb

MOST_ROWS, LEAST_ROWS = 16, 4
BELOW = 9  # rows of the terminal that stay free of it: the composer, its keys, the status line, something to look at


class CompletionItem(NamedTuple):
    """Something that may be completed: what is inserted, what is shown beside it, whether more is to be typed."""

    text: str
    about: str = ""
    more: bool = False


def fuzzy(wanted: str, name: str) -> int | None:
    """How well the letters of `wanted` are found in `name` in their order: less is better, None is not at all."""
    wanted, low = wanted.lower(), name.lower()
    if low.startswith(wanted):
        return 0
    at, gaps = -1, 1
    for letter in wanted:
        position = low.find(letter, at + 1)
        if position < 0:
            return None
        gaps += position - at - 1
        at = position
    return gaps


class Popup(Widget):
    """The list of completions above the composer."""

    DEFAULT_CSS = """
    Popup { overlay: screen; height: auto; padding-top: 1; background: $omni-raised; display: none; }
    """

    class Picked(Message):
        """A row was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.choices: list[CompletionItem] = []
        self.at = 0

    @property
    def open(self) -> bool:
        """Whether it is seen."""
        return bool(self.choices)

    @property
    def choice(self) -> CompletionItem:
        """The one that Enter takes."""
        return self.choices[self.at]

    def show(self, choices: Sequence[CompletionItem]) -> None:
        """Show these; none closes it."""
        name = self.choices[self.at].text if self.choices else ""
        self.choices = list(choices)
        self.at = next((at for at, one in enumerate(self.choices) if one.text == name), 0)
        self.display = bool(self.choices)
        if self.choices:
            self._place()

    def move(self, step: int) -> None:
        """Another row."""
        self.at = (self.at + step) % len(self.choices)
        self.refresh()

    def _place(self) -> None:
        """Above the composer and as wide."""
        if isinstance(self.parent, Widget):
            self.styles.width = self.parent.outer_size.width - 1
            self.styles.offset = (-2, -self._rows() - self.gutter.height - self.parent.styles.padding.top)
        self.refresh(layout=True)

    def on_mount(self) -> None:
        """Follow the size of the terminal."""
        self.watch(self.screen, "size", self._resized, init=False)

    def _resized(self) -> None:
        if self.open:
            self.call_after_refresh(self._place)

    def _rows(self) -> int:
        """How many choices are seen at once."""
        return min(len(self.choices), max(LEAST_ROWS, min(MOST_ROWS, self.app.size.height - BELOW)))

    def _first(self) -> int:
        rows = self._rows()
        return max(0, min(self.at - rows // 2, len(self.choices) - rows))

    def _wide(self) -> int:
        return max((len(one.text) for one in self.choices), default=0)

    def render(self) -> Content:
        """The rows around the chosen one; a bar at the right tells how many more there are."""
        wide = self._wide()
        width = self.content_size.width
        first, count = self._first(), self._rows()
        marks = thumb(first, count, len(self.choices))
        rows = []
        for at, one in enumerate(self.choices[first : first + count], first):
            chosen = at == self.at
            row = Content.assemble(
                ("▌ ", "$omni-accent") if chosen else "  ",
                (one.text.ljust(wide), "bold $omni-accent" if chosen else "$omni-text"),
                (f"   {one.about}" if one.about else "", "$omni-text" if chosen else "$omni-third"),
            ).truncate(max(1, width - 2), ellipsis=True)
            row = row.pad_right(max(width - 1 - row.cell_length, 0))
            row = Content.assemble(row, ("▐", "$omni-third") if at - first in marks else " ")
            rows.append(row.stylize_before("on $omni-chosen") if chosen else row)
        return Content("\n").join(rows)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """One row a choice."""
        return self._rows()

    def on_click(self, event: events.Click) -> None:
        """Take the row."""
        event.stop()
        offset = event.get_content_offset(self)
        if offset is not None and 0 <= offset.y < self._rows():
            self.at = self._first() + offset.y
            self.post_message(self.Picked())
