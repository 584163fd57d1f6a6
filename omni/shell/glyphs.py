"""The few characters that the shell draws beside text: one set for every monospace font, one for plain ASCII."""

import locale
from typing import Literal

import msgspec


class Glyphs(msgspec.Struct, frozen=True, kw_only=True):
    """Characters one cell wide, but for `ellipsis`."""

    bar: str = "▌"
    quote: str = "▎"
    caret: str = "▏"
    folded: str = "▸"
    unfolded: str = "▾"
    bullets: tuple[str, ...] = ("•", "◦", "▪")
    todo: str = "□"
    done: str = "■"
    rule: str = "─"
    cross: str = "┼"
    column: str = "│"
    branch: str = "‹{}/{}›"
    down: str = "↓"
    up: str = "↑"
    ellipsis: str = "…"
    dot: str = "·"
    meter: str = "━"
    wrapped: str = "›"


UNICODE = Glyphs()
ASCII = Glyphs(
    bar="|",
    quote="|",
    caret="_",
    folded=">",
    unfolded="v",
    bullets=("*", "-", "+"),
    todo="[ ]",
    done="[x]",
    rule="-",
    cross="+",
    column="|",
    branch="<{}/{}>",
    down="v",
    up="^",
    ellipsis="...",
    dot="-",
    meter="=",
    wrapped=">",
)


def glyphs(choice: Literal["auto", "unicode", "ascii"] = "auto", encoding: str | None = None) -> Glyphs:
    """The set for `settings.ui.glyphs`; auto looks at the encoding of the locale."""
    if choice == "auto":
        name = (encoding or locale.getencoding()).lower().replace("-", "")
        return UNICODE if name in ("utf8", "utf16", "gb18030") else ASCII
    return UNICODE if choice == "unicode" else ASCII
