"""Lines of styled text and how paragraphs are broken into them.

A run is `(text, key, link)`: `key` names a style that a `TranscriptPalette` resolves, so that a theme change needs no new layout.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from rich.cells import cell_len, chop_cells

Run = tuple[str, str, str]

# A word, a space, or one wide character: East Asian text breaks anywhere.
_WIDE = "\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
_WORDS = re.compile(r"\s+|\S+")


@cache
def _words_and_wide() -> re.Pattern[str]:
    """Made when it is needed: it takes longer to compile than all other patterns of this package."""
    return re.compile(rf"\s+|[{_WIDE}]|[^\s{_WIDE}]+")


class Line:
    """One row of a block.

    `join` is what stands between this line's text and the next one's in a copy, `code` the text that the copy key in
    this line copies, `body` the part of the text that is no decoration. `strip` is the drawn row, as of palette `stamp`.
    """

    __slots__ = ("body", "code", "join", "runs", "stamp", "strip")

    def __init__(
        self, runs: Sequence[Run], *, join: str = "\n", code: str = "", body: tuple[int, int] | None = None
    ) -> None:
        self.body = body
        self.runs = runs
        self.join = join
        self.code = code
        self.strip: object = None
        self.stamp: tuple[int, str, int, str] | None = None

    @property
    def text(self) -> str:
        """What stands in the line."""
        return "".join([run[0] for run in self.runs])

    def __repr__(self) -> str:
        return f"Line({self.text!r})"


def width_of(text: str) -> int:
    """Cells that `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def chop(text: str, width: int) -> list[str]:
    """`text` in parts of at most `width` cells; a character is never separated from what combines with it."""
    width = max(width, 1)
    if text.isascii():
        return [text[start : start + width] for start in range(0, len(text), width)] or [""]
    return _chop_wide(text, max(width, 2))


def _chop_wide(text: str, width: int) -> list[str]:
    # rich looks at the whole text once per call; pieces keep a hostile line linear
    parts: list[str] = []
    for start in range(0, len(text), 4096):
        piece = text[start : start + 4096]
        some = chop_cells(piece, width)
        if "".join(some) != piece:  # rich 15 drops a text that begins with two characters of no width
            some = _chop_each(piece, width)
        parts += filter(None, some)
    return parts or [""]


def _chop_each(text: str, width: int) -> list[str]:
    """The same, character by character."""
    parts, used = [""], 0
    for sign in text:
        size = width_of(sign)
        if used + size > width and parts[-1]:
            parts.append("")
            used = 0
        parts[-1] += sign
        used += size
    return parts


def wrap(runs: Iterable[Run], width: int) -> list[list[Run]]:
    """Break runs into rows of at most `width` cells, at spaces where there are any; a "\\n" run is a forced break."""
    rows: list[list[Run]] = []
    paragraph: list[Run] = []
    for run in runs:
        if run[0] == "\n":
            rows += _wrap(paragraph, width)
            paragraph = []
        elif run[0]:
            paragraph.append(run)
    if paragraph or not rows:
        rows += _wrap(paragraph, width)
    return rows


def _wrap(runs: list[Run], width: int) -> list[list[Run]]:
    text = "".join([run[0] for run in runs])
    if width_of(text) <= width:
        return [runs]
    width = max(width, 2)
    return slice_runs(runs, _breaks(text, width))


def _breaks(text: str, width: int) -> list[tuple[int, int]]:
    """Where the rows of `text` start and end; the spaces at a break belong to neither row."""
    spans: list[tuple[int, int]] = []
    start = used = 0
    ascii_only = text.isascii()
    for match in (_WORDS if ascii_only else _words_and_wide()).finditer(text):
        word = match[0]
        size = len(word) if ascii_only else width_of(word)
        if used + size <= width:
            used += size
            continue
        at = match.start()
        if word.isspace():
            spans.append((start, at))
            start, used = match.end(), 0
            continue
        if at > start:
            end = at - (len(text[start:at]) - len(text[start:at].rstrip()))
            if end > start:
                spans.append((start, end))
            start, used = at, 0
        if size > width:
            parts = chop(word, width)
            for part in parts[:-1]:
                spans.append((at, at + len(part)))
                at += len(part)
            start, used = at, width_of(parts[-1])
        else:
            used = size
    if start < len(text) or not spans:
        spans.append((start, len(text)))
    return spans


def slice_runs(runs: Sequence[Run], spans: Sequence[tuple[int, int]]) -> list[list[Run]]:
    """The parts of `runs` between each pair of character offsets; the pairs ascend and do not overlap."""
    rows: list[list[Run]] = []
    index, base = 0, 0
    for start, end in spans:
        row: list[Run] = []
        while index < len(runs):
            text, key, link = runs[index]
            stop = base + len(text)
            if stop > start and base < end:
                row.append((text[max(start - base, 0) : end - base], key, link))
            if stop > end:
                break
            index += 1
            base = stop
        rows.append(row)
    return rows
