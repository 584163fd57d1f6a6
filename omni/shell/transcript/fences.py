"""Code blocks: their lines on a shade of their own, long ones broken so that a copy still has every character."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from omni.core.clean import clean
from omni.shell.glyphs import UNICODE, Glyphs
from omni.shell.transcript.lines import Line, Run, chop, slice_runs, width_of

Highlight = Callable[[str, str], "list[list[Run]] | None"]
"""Takes the language and the text of a code block; returns its lines in colour, or None while nobody knows them."""

_PAD = "  "
DEEPEST_HANG = 24  # columns by which the rest of a long line is indented at most


class LayoutContext(NamedTuple):
    """What a layout depends on besides the text."""

    width: int
    glyphs: Glyphs = UNICODE
    highlight: Highlight = lambda _info, _text: None
    final: bool = True


def lay_code(info: str, text: str, setting: LayoutContext, *, open_: bool = False) -> list[Line]:
    """A code block: a row with its language and its copy key, then its lines."""
    width = max(setting.width, 8)
    words = info.split()
    language = clean(words[0]) if words else ""
    lines = [_label(language, " ".join(words[1:]), width, "" if open_ else text)]
    coloured = None if open_ or not setting.final or not text else setting.highlight(language, text)
    if coloured is None:
        for row in text.split("\n"):
            lines += code_rows(row, setting)
    else:
        for runs in coloured:
            lines += _rows(runs, setting)
    return lines


def _label(language: str, rest: str, width: int, text: str) -> Line:
    name = language or "text"
    copy = "copy" if text and width >= 16 else ""
    room = max(width - 2 * len(_PAD) - len(copy) - 2, 2)
    shown = (name + ("   " + clean(rest) if rest else ""))[:room]
    if width_of(shown) > room:
        shown = chop(shown, room)[0]
    gap = max(width - 2 * len(_PAD) - width_of(shown) - len(copy), 0)
    runs: list[Run] = [(_PAD + shown + " " * gap, "code third", "")]
    if copy:
        runs.append((copy, "code second", "copy:"))
    runs.append((_PAD, "code third", ""))
    return Line(runs, code=text, body=(len(_PAD), len(_PAD) + len(shown)))


def code_rows(row: str, setting: LayoutContext) -> list[Line]:
    """One line of code without colours, in as many rows as it needs."""
    return _rows([(row.expandtabs(4), "code", "")], setting)


def _rows(runs: Sequence[Run], setting: LayoutContext) -> list[Line]:
    """One line of code. What does not fit hangs below it, behind a mark that no copy takes along."""
    width = max(setting.width, 8) - 2 * len(_PAD)
    text = "".join([run[0] for run in runs])
    size = width_of(text)
    if size <= width:
        return [_line(list(runs), text, "", width - size)]
    lead = len(text) - len(text.lstrip(" "))
    mark = setting.glyphs.wrapped + " "
    hang = min(lead + 2, DEEPEST_HANG, width // 3) if width >= 16 else 0
    before = mark.rjust(hang) if hang >= len(mark) else ""
    spans = _breaks(text, width, width - len(before))
    lines = []
    for at, ((start, end), part) in enumerate(zip(spans, slice_runs(runs, spans), strict=True)):
        prefix = before if at else ""
        following = spans[at + 1][0] if at + 1 < len(spans) else len(text)
        spare = width - len(prefix) - width_of(text[start:end])
        lines.append(_line(part, text[start:end], prefix, spare, join=text[end:following]))
    lines[-1].join += "\n"
    return lines


def _line(runs: list[Run], text: str, before: str, spare: int, *, join: str = "\n") -> Line:
    first = len(_PAD) + len(before)
    return Line(
        [(_PAD + before, "code third", ""), *runs, (" " * spare + _PAD, "code", "")],
        join=join,
        body=(first, first + len(text)),
    )


def _breaks(text: str, width: int, rest: int) -> list[tuple[int, int]]:
    """Where the rows of a long line start and end: behind a space where one stands in the last part of a row. Spaces
    at a break are in neither row."""
    spans: list[tuple[int, int]] = []
    at, room = 0, width
    while at < len(text):
        piece = text[at : at + 4 * room + 4]  # marks that combine take no room of their own
        part = chop(piece, room)[0]
        end = at + len(part)
        if end < len(text) and text[end] != " ":
            space = part.rstrip(" ").rfind(" ")
            if space > len(part) // 2 and part[:space].strip(" "):
                end = at + space
        end = at + (len(text[at:end].rstrip(" ")) or end - at)
        spans.append((at, end))
        at = end
        while at < len(text) and text[at] == " ":
            at += 1
        room = rest
    return spans
