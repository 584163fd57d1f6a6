"""Colours for code blocks: Pygments, off the loop, once per block; the theme decides later what a colour is."""

import logging
from collections.abc import Callable

from omni.shell.transcript.lines import Run

log = logging.getLogger(__name__)

LONGEST = 200_000  # characters; longer blocks stay plain
_KEPT = 400


def highlight(language: str, text: str) -> list[list[Run]] | None:
    """The lines of `text` as runs whose keys name Pygments' token types; None where the language is unknown. Slow."""
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    if not language or len(text) > LONGEST:
        return None
    try:
        lexer = get_lexer_by_name(language.lower(), stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None
    rows: list[list[Run]] = [[]]
    for kind, value in lexer.get_tokens(text):
        key = "token " + ".".join(kind)
        for number, part in enumerate(value.split("\n")):
            if number:
                rows.append([])
            if part:
                rows[-1].append((part, key, ""))
    if "\t" in text:
        rows = [_expand(row) for row in rows]
    return rows if _same(rows, text) else None  # a lexer that changes the text is not believed


def _expand(row: list[Run]) -> list[Run]:
    at, expanded = 0, []
    for text, key, link in row:
        wide = (" " * (at % 4) + text).expandtabs(4)[at % 4 :]
        expanded.append((wide, key, link))
        at += len(wide)
    return expanded


def _same(rows: list[list[Run]], text: str) -> bool:
    lines = text.split("\n")
    return len(rows) == len(lines) and all(
        "".join(run[0] for run in row) == line.expandtabs(4) for row, line in zip(rows, lines, strict=True)
    )


def load_style(name: str) -> dict[str, tuple[str, str]]:
    """A Pygments style as `token type -> (colour, flags)`; an unknown name gives the default style. Slow."""
    from pygments.styles import get_style_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound

    try:
        style = get_style_by_name(name)
    except ClassNotFound:
        style = get_style_by_name("default")
    looks = {}
    for kind, look in style:
        flags = "b" * bool(look["bold"]) + "i" * bool(look["italic"]) + "u" * bool(look["underline"])
        looks[".".join(kind)] = (f"#{look['color']}" if look["color"] else "", flags)
    return looks


class Highlights:
    """What is known about code blocks: asked while lines are laid out, filled by whoever runs `highlight_all` in a thread."""

    def __init__(self, wanted: Callable[[], None]) -> None:
        self._known: dict[tuple[str, str], list[list[Run]] | None] = {}
        self._wanted = wanted
        self.waiting: dict[tuple[str, str], None] = {}

    def __call__(self, language: str, text: str) -> list[list[Run]] | None:
        """The coloured lines; None while they are not known, and they are asked for then."""
        key = (language, text)
        if key in self._known:
            return self._known[key]
        if language and len(text) <= LONGEST and key not in self.waiting:
            self.waiting[key] = None
            self._wanted()
        return None

    def take(self) -> list[tuple[str, str]]:
        """What is to be highlighted now."""
        return list(self.waiting)

    def store(self, highlighted: dict[tuple[str, str], list[list[Run]] | None]) -> None:
        """Remember results; the oldest are forgotten."""
        for key, rows in highlighted.items():
            self.waiting.pop(key, None)
            self._known[key] = rows
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]


def highlight_all(todo: list[tuple[str, str]]) -> dict[tuple[str, str], list[list[Run]] | None]:
    """Highlight each; runs in a thread. One on which its lexer fails stays plain."""
    highlighted: dict[tuple[str, str], list[list[Run]] | None] = {}
    for language, text in todo:
        try:
            highlighted[language, text] = highlight(language, text)
        except Exception:  # whatever a lexer of somebody else does with a text of nobody's
            log.warning("the lexer for %s fails", language, exc_info=True)
            highlighted[language, text] = None
    return highlighted
