"""How a theme looks in a terminal: with how many colours, as Textual needs it, and again when its file changes.

With `NO_COLOR` no colour is used and `Plain` tells areas and strengths apart by bold, dim and reverse. The files
themselves are read by `omni.core.themes`.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from omni.core.errors import OmniError
from omni.core.themes import Colours, Depth, ThemeFile, Themes, cube_colour, read_theme

if TYPE_CHECKING:
    from textual.theme import Theme

__all__ = [
    "Colours",
    "Depth",
    "ThemeFile",
    "Themes",
    "Watcher",
    "colour_depth",
    "console_colours",
    "cube_colour",
    "environment_depth",
    "read_theme",
    "textual_theme",
]


def colour_depth(environment: Mapping[str, str]) -> Depth:
    """How many colours this terminal has, from `NO_COLOR`, `COLORTERM` and `TERM`.

    tmux announces a bare `screen` where nobody configured it, and draws 256 colours all the same.
    """
    if environment.get("NO_COLOR"):
        return "none"
    if environment.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return "truecolor"
    term = environment.get("TERM", "").lower()
    if term.endswith("-direct"):
        return "truecolor"
    if term.endswith(("256color", "kitty")) or environment.get("TMUX"):
        return "256"
    return "16"


def textual_theme(name: str, file: ThemeFile, depth: Depth) -> "Theme":
    """What Textual needs of a theme; Omni's own colours are the CSS variables `$omni-…`."""
    from textual.theme import Theme

    c = file.colour_set(depth)
    own = {f"omni-{key}": value for key, value in c.items()}
    # The row with the bar on a raised sheet: the theme's strongest ground, where there are shades at all.
    own["omni-chosen"] = c["background" if depth in ("truecolor", "256") else "line"]
    bar, touched = ("third", "text") if file.high_contrast else ("line", "third")
    return Theme(
        name=name,
        dark=file.dark,
        primary=c["accent"],
        secondary=c["person"],
        accent=c["accent"],
        warning=c["amber"],
        error=c["red"],
        success=c["accent"],
        foreground=c["text"],
        background=c["background"],
        surface=c["panel"],
        panel=c["raised"],
        variables={
            **own,
            "omni-code-style": file.code,
            "block-cursor-background": c["raised"],
            "block-cursor-foreground": c["text"],
            "block-cursor-text-style": "bold",
            "input-cursor-background": c["accent"],
            "input-cursor-foreground": c["background"],
            "input-selection-background": c["line"],
            "screen-selection-background": c["line"],
            "screen-selection-foreground": c["text"],
            "scrollbar": c[bar],
            "scrollbar-hover": c[touched],
            "scrollbar-active": c["second"],
            "scrollbar-background": c["background"],
            "scrollbar-background-hover": c["background"],
            "scrollbar-background-active": c["background"],
            "scrollbar-corner-color": c["background"],
            "link-color": c["person"],
        },
    )


class Watcher:
    """Knows which files of themes changed since it looked last."""

    def __init__(self, themes: Themes) -> None:
        self._themes = themes
        self._seen: dict[str, int] = {}

    def look(self) -> list[tuple[str, ThemeFile | OmniError]]:
        """The themes whose files changed since the last look, or what is wrong with them; the first look finds none.

        Reads files: call it off the event loop.
        """
        changed: list[tuple[str, ThemeFile | OmniError]] = []
        for name, path in self._themes.paths().items():
            try:
                stamp = path.stat().st_mtime_ns
            except OSError:
                continue  # a file in the middle of a rename is there at the next look
            if self._seen.setdefault(name, stamp) == stamp:
                continue
            self._seen[name] = stamp
            try:
                changed.append((name, read_theme(path)))
            except OmniError as error:
                changed.append((name, error))
        return changed


def console_colours(depth: Depth) -> str | None:
    """The name of this depth in Rich."""
    return {"truecolor": "truecolor", "256": "256", "16": "standard", "none": "standard"}[depth]


def environment_depth() -> Depth:
    """The depth of the terminal that this process was started in."""
    return colour_depth(os.environ)
