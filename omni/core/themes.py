"""Themes: data in `themes/*.toml`, shipped and the user's own; the same files colour the shell and the web interface.

A terminal that knows 256 colours turns all shades of a dark theme into one black, so a theme names its colours three
times: truecolor, the 256-colour palette, and the sixteen that every terminal has.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from omni.core.errors import NotFound, UsageError, nearest
from omni.core.located.conversion import convert
from omni.core.located.toml_reader import read_toml
from omni.core.located.tree import FileSource

Depth = Literal["truecolor", "256", "16", "none"]
Hex = Annotated[str, Meta(pattern=r"^#[0-9a-fA-F]{6}$")]
Cube = Annotated[int, Meta(ge=16, le=255)]
Basic = Annotated[int, Meta(ge=0, le=15)]

# What Rich takes the sixteen colours for; naming exactly these makes it send the sixteen numbers that were meant.
_BASIC = (
    "#000000",
    "#aa0000",
    "#00aa00",
    "#aa5500",
    "#0000aa",
    "#aa00aa",
    "#00aaaa",
    "#aaaaaa",
    "#555555",
    "#ff5555",
    "#55ff55",
    "#ffff55",
    "#5555ff",
    "#ff55ff",
    "#55ffff",
    "#ffffff",
)


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Colours(_Strict, frozen=True):
    """The truecolor set: shades of the background, three strengths of text, four meanings."""

    background: Hex
    rail: Hex
    panel: Hex
    raised: Hex
    line: Hex
    text: Hex
    second: Hex
    third: Hex
    accent: Hex
    person: Hex
    amber: Hex
    red: Hex


class Colours256(_Strict, frozen=True):
    """The same by the numbers of the 256-colour palette."""

    background: Cube
    rail: Cube
    panel: Cube
    raised: Cube
    line: Cube
    text: Cube
    second: Cube
    third: Cube
    accent: Cube
    person: Cube
    amber: Cube
    red: Cube


class Colours16(_Strict, frozen=True):
    """The same by the sixteen colours of the terminal's own palette."""

    background: Basic
    rail: Basic
    panel: Basic
    raised: Basic
    line: Basic
    text: Basic
    second: Basic
    third: Basic
    accent: Basic
    person: Basic
    amber: Basic
    red: Basic


class ThemeFile(_Strict, frozen=True):
    """One theme as its file says it. `code` is the Pygments style of code blocks; with `high_contrast` the scrollbars
    are drawn in the strength of text, which a shade of the background never is."""

    title: str
    dark: bool
    code: str
    colours: Colours
    colours256: Colours256
    colours16: Colours16
    high_contrast: bool = False

    def colour_set(self, depth: Depth) -> dict[str, str]:
        """The twelve colours for a terminal of this depth, as `#rrggbb`."""
        if depth == "256":
            return {name: _sent(number) for name, number in msgspec.structs.asdict(self.colours256).items()}
        if depth == "16":
            return {name: _BASIC[number] for name, number in msgspec.structs.asdict(self.colours16).items()}
        return msgspec.structs.asdict(self.colours)


def cube_colour(number: int) -> str:
    """The `#rrggbb` of one of the colours 16 to 255 of the 256-colour palette."""
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    number -= 16
    return "#" + "".join(f"{55 + 40 * part if part else 0:02x}" for part in (number // 36, number // 6 % 6, number % 6))


def _sent(number: int) -> str:
    """The `#rrggbb` that Rich turns into exactly this number: it rounds greys a little differently from the palette."""
    return "#" + f"{round((number - 231) / 25 * 255):02x}" * 3 if number >= 232 else cube_colour(number)


def read_theme(path: Path) -> ThemeFile:
    """Read and check one file. Raises UsageError with line and column."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"The theme {path} cannot be read: {error}.") from error
    source = FileSource(f"The theme {path}", hint="The file is TOML: compare it with themes/omni-dark.toml.")
    return convert(read_toml(data, source), ThemeFile)


class Themes:
    """The themes of one home: those shipped with Omni, and the user's own, which win when they share a name."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def paths(self) -> dict[str, Path]:
        """Every theme's file by the theme's name."""
        return {path.stem: path for folder in self._folders for path in sorted(folder.glob("*.toml"))}

    def read(self, name: str) -> ThemeFile:
        """Read one theme. Raises NotFound with the nearest name, or UsageError."""
        for folder in reversed(self._folders):
            if (path := folder / f"{name}.toml").is_file():
                return read_theme(path)
        known = self.paths()
        raise NotFound(f"There is no theme {name!r}.", hint=nearest(name, known) or f"There are {', '.join(known)}.")
