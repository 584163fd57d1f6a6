"""What may be completed while one writes: how well a name matches, and the list above the composer."""

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

POPUP_ROWS = 8


class Choice(NamedTuple):
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
        found = low.find(letter, at + 1)
        if found < 0:
            return None
        gaps += found - at - 1
        at = found
    return gaps


class Popup(Widget):
    """The list of completions above the composer."""

    DEFAULT_CSS = """
    Popup { overlay: screen; width: auto; max-width: 100%; height: auto; background: $omni-raised; display: none; }
    """

    class Picked(Message):
        """A row was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.choices: list[Choice] = []
        self.at = 0

    @property
    def open(self) -> bool:
        """Whether it is seen."""
        return bool(self.choices)

    @property
    def choice(self) -> Choice:
        """The one that Enter takes."""
        return self.choices[self.at]

    def show(self, choices: Sequence[Choice]) -> None:
        """Show these; none closes it."""
        name = self.choices[self.at].text if self.choices else ""
        self.choices = list(choices)
        self.at = next((at for at, one in enumerate(self.choices) if one.text == name), 0)
        self.display = bool(self.choices)
        if self.choices:
            above = self.parent.styles.padding.top if isinstance(self.parent, Widget) else 0
            self.styles.offset = (-2, -min(len(self.choices), POPUP_ROWS) - above)
            self.refresh(layout=True)

    def move(self, step: int) -> None:
        """Another row."""
        self.at = (self.at + step) % len(self.choices)
        self.refresh()

    def _first(self) -> int:
        return max(0, min(self.at - POPUP_ROWS // 2, len(self.choices) - POPUP_ROWS))

    def _wide(self) -> int:
        return max((len(one.text) for one in self.choices), default=0)

    def render(self) -> Content:
        """The rows around the chosen one."""
        wide = self._wide()
        width = self.size.width
        first = self._first()
        rows = []
        for at, one in enumerate(self.choices[first : first + POPUP_ROWS], first):
            chosen = at == self.at
            row = Content.assemble(
                "  ",
                (one.text.ljust(wide), "bold $omni-accent" if chosen else "$omni-text"),
                (f"   {one.about}" if one.about else "", "$omni-second" if chosen else "$omni-third"),
            ).truncate(width, ellipsis=True)
            row = row.pad_right(max(width - row.cell_length, 0))
            rows.append(row.stylize("on $omni-line") if chosen else row)
        return Content("\n").join(rows)

    def get_content_width(self, container: object, viewport: object) -> int:  # noqa: ARG002
        """The widest row."""
        about = max((len(one.about) for one in self.choices), default=0)
        return self._wide() + (about + 3 if about else 0) + 4

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """One row a choice."""
        return min(len(self.choices), POPUP_ROWS)

    def on_click(self, event: events.Click) -> None:
        """Take the row."""
        event.stop()
        if event.y < len(self.choices):
            self.at = self._first() + event.y
            self.post_message(self.Picked())
