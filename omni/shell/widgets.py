"""What the frame and the panes are made of: widgets that draw their lines themselves, and words for quantities."""

import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from msgspec import Struct
from textual.content import Content
from textual.events import Click
from textual.widget import Widget

if TYPE_CHECKING:
    from textual.worker import WorkType

Part: TypeAlias = "str | Content | tuple[str, str]"
"""Text, or text with how it is written: `text second third accent person amber red line`, and `bold`, `reverse` …"""

LEAST_FOLD = 8  # cells; narrower than this no sentence is read

INKS = ("text", "second", "third", "accent", "person", "amber", "red", "line", "background", "panel", "raised", "rail")


def ink(*parts: Part) -> Content:
    """One line of parts, each in its own strength: `ink(("CPU ", "third"), ("62 %", "bold text"))`."""
    return Content.assemble(*(_inked(part) for part in parts))


def _inked(part: Part) -> "str | Content | tuple[str, str]":
    if not isinstance(part, tuple):
        return part
    text, style = part
    return text, " ".join(f"$omni-{word}" if word in INKS else word for word in style.split())


def fitted(parts: Content, width: int, *, ellipsis: bool = True) -> Content:
    """The line cut to `width` cells."""
    return parts.truncate(width, ellipsis=ellipsis) if parts.cell_length > width else parts


class LineWidget(Widget):
    """A widget that draws itself as lines; `lines` is asked again whenever it is refreshed or resized."""

    DEFAULT_CSS = "LineWidget { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: clip; }"

    def lines(self, width: int, height: int) -> Iterable[Content]:
        """The lines for this many cells; more than `height` of them are cut off."""
        raise NotImplementedError

    def render(self) -> Content:
        """All lines."""
        size = self.content_size
        return Content("\n").join(list(self.lines(size.width, size.height)))


class Folded(Struct, frozen=True, kw_only=True):
    """A sentence after a `head`, folded where the line is too short for it, below its own beginning or at `indent`."""

    head: Content
    text: str
    style: str = "text"
    indent: int | None = None

    def rows(self, width: int) -> list[Content]:
        """As many rows as it takes; no word is cut that fits into one of them."""
        start = self.head.cell_length
        indent = start if self.indent is None else self.indent
        first, *others = folded(self.text, width - indent, start - indent) or [""]
        return [ink(self.head, (first, self.style)), *(ink(" " * indent, (row, self.style)) for row in others)]


def folded(text: str, width: int, taken: int = 0) -> list[str]:
    """The text in rows of at most `width` cells, broken between words; of the first so many are `taken`."""
    rows = wrap(text, max(LEAST_FOLD, width), initial_indent=" " * max(0, taken), break_on_hyphens=False)
    return [row[taken:] if at == 0 else row for at, row in enumerate(rows)]


Line: TypeAlias = "Content | tuple[Content, ...] | Folded"
"""One line; of several parts those stand there, three spaces apart, that fit from the first on."""


class Lines(LineWidget):
    """A few fixed lines, replaced by `show`."""

    DEFAULT_CSS = "Lines { height: auto; }"

    def __init__(self, *lines: Line, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._lines: Sequence[Line] = lines
        self._folded: tuple[int, list[Content]] | None = None  # the rows for a width, of which a log has thousands

    def show(self, *lines: Line) -> None:
        """Draw these lines from now on; nothing happens when they are what is there."""
        if _marked(lines) == _marked(self._lines):
            return
        width = self.content_size.width
        before = len(self._rows(width))
        self._lines, self._folded = lines, None
        self.refresh(layout=before != len(self._rows(width)))

    def lines(self, width: int, height: int) -> Iterable[Content]:  # noqa: ARG002
        """What was given, each cut or folded to the width."""
        return self._rows(width)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """One row a line, more for one that is folded."""
        return len(self._rows(width))

    def _rows(self, width: int) -> list[Content]:
        if self._folded is None or self._folded[0] != width:
            rows: list[Content] = []
            for line in self._lines:
                rows += line.rows(width) if isinstance(line, Folded) else (parted(line, width),)
            self._folded = width, rows
        return self._folded[1]


def _marked(lines: Sequence[Line]) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for line in lines:
        if isinstance(line, Folded):
            pairs.append((line.head.plain, line.head.spans))
            pairs.append((line.text, line.style))
        else:
            pairs += [(part.plain, part.spans) for part in (line if isinstance(line, tuple) else (line,))]
    return pairs


def thumb(first: int, shown: int, total: int) -> range:
    """Which of `shown` rows the thumb of a scroll bar stands beside; none where all `total` rows are in view."""
    if total <= shown or shown < 1:
        return range(0)
    size = max(1, shown * shown // total)
    top = round(first / (total - shown) * (shown - size))
    return range(top, top + size)


def parted(line: "Content | tuple[Content, ...]", width: int) -> Content:
    """The parts of a line that fit, or its first one cut."""
    if isinstance(line, Content):
        return fitted(line, width)
    row = line[0]
    for part in line[1:]:
        if row.cell_length + 3 + part.cell_length > width:
            break
        row = Content.assemble(row, "   ", part)
    return fitted(row, width)


class Prose(LineWidget):
    """Sentences, wrapped to the width that there is."""

    DEFAULT_CSS = "Prose { height: auto; }"

    def __init__(self, text: str = "", *, style: str = "second", id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._text, self._style = text, style

    def lines(self, width: int, height: int) -> Iterable[Content]:  # noqa: ARG002
        """Each given line by itself."""
        rows = [row for line in self._text.splitlines() for row in wrap(line, max(20, width)) or [""]]
        return [ink((row, self._style)) for row in rows]

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """As many rows as it takes."""
        return len(list(self.lines(width, 0)))


class Keys(LineWidget):
    """The row of keys at the bottom of a pane: each key in one strength, what it does in the next.

    A click on one presses it. What does not fit is left out, so the most needed stand first.
    """

    DEFAULT_CSS = "Keys { height: 1; dock: bottom; }"
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self, *keys: tuple[str, str, str], id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._keys = keys
        self._places: list[tuple[int, int, str]] = []

    def show(self, *keys: tuple[str, str, str]) -> None:
        """Show these from now on: how the key is written, what it does, and its name to press it by a click."""
        if keys != self._keys:
            self._keys = keys
            self.refresh()

    def lines(self, width: int, height: int) -> Iterable[Content]:  # noqa: ARG002
        """One row."""
        row: list[Content] = []
        self._places, x = [], 0
        for shown, meaning, key in self._keys:
            item = ink((shown, "second"), (f" {meaning}", "third"))
            if x + item.cell_length > width:
                continue  # a shorter one may still fit
            row.append(item)
            self._places.append((x, x + item.cell_length, key))
            x += item.cell_length + 3
        return [Content("   ").join(row)]

    def on_click(self, event: Click) -> None:
        """Press the key that was clicked."""
        for start, end, key in self._places:
            if start <= event.x < end and key:
                self.app.simulate_key(key)


def bar(width: int, fraction: float, *, full: str = "━", empty: str = "━", style: str = "accent") -> Content:
    """A thin bar of `width` cells; anything above nothing shows at least one."""
    done = round(max(0.0, min(1.0, fraction)) * width)
    if fraction > 0:
        done = max(1, done)
    return ink((full * done, style), (empty * (width - done), "line"))


def job(work: Callable[[], Coroutine[Any, Any, None]]) -> "WorkType[None]":
    """What a worker is made of. A coroutine that was made already would be lost when its worker ends before it begins."""
    return work


def home_path(path: str) -> str:
    """A path as a person reads it, with `~` for the home folder."""
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path == home or path.startswith(f"{home}/") else path


def home_words(text: str) -> str:
    """A sentence with `~` for the home folder wherever a path in it begins there."""
    home = os.path.expanduser("~")
    return text.replace(f"{home}/", "~/") if home != "/" else text


def token_words(count: int | None) -> str:
    """Numbers of tokens: `980`, `3.9k`, `16k`, `128k`."""
    if not count:
        return "0" if count == 0 else ""
    if count < 1000:
        return str(count)
    if count % 1024 == 0:
        return f"{count // 1024}k"
    return f"{count / 1000:.1f}k" if count < 10_000 else f"{count / 1000:.0f}k"


def speed_words(tokens: float | None, *, measured: bool = True) -> str:
    """`34.8 tok/s` when measured, `≈ 7 tok/s` when expected."""
    if not tokens:
        return ""
    number = f"{tokens:.1f}" if measured and tokens < 100 else f"{tokens:.0f}"
    return f"{number} tok/s" if measured else f"≈ {number} tok/s"
