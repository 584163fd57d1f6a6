"""What the style keys of runs look like under the theme in use."""

from collections.abc import Mapping

from rich.color import Color
from rich.style import Style
from textual.color import Color as Blended

NAMES = (
    "background",
    "panel",
    "raised",
    "line",
    "text",
    "second",
    "third",
    "accent",
    "person",
    "amber",
    "red",
)
_FLAGS = {"b": "bold", "i": "italic", "s": "strike", "u": "underline"}


class TranscriptPalette:
    """Resolves keys of the form `colour`, `colour.flags`, `code`, `code colour`, `inline`, `link` and `token TYPE`.

    `stamp` differs between any two palettes in use, so that a drawn line knows whether it is still right.
    """

    def __init__(self, variables: Mapping[str, str], stamp: int = 0) -> None:
        self.colours = {name: variables.get(f"omni-{name}", "") for name in NAMES}
        self.code_style = variables.get("omni-code-style", "default")
        shade = variables.get("screen-selection-background", "") or self.colours["line"]
        if shade and self.colours["background"]:  # it may be see-through
            shade = (Blended.parse(self.colours["background"]) + Blended.parse(shade)).hex6
        self.selection = Style(bgcolor=_colour(shade))
        self.stamp = stamp
        self.tokens: dict[str, tuple[str, str]] = {}
        self._styles: dict[tuple[str, str], Style] = {}

    def same_as(self, variables: Mapping[str, str]) -> bool:
        """Whether these variables would give this palette."""
        return self.code_style == variables.get("omni-code-style", "default") and all(
            value == variables.get(f"omni-{name}", "") for name, value in self.colours.items()
        )

    def style(self, key: str, link: str = "") -> Style:
        """The style of a run."""
        run_style = self._styles.get((key, link))
        if run_style is None:
            run_style = self._make(key)
            if link and ":" in link and not link.endswith(":"):
                run_style += Style(link=link)
            if len(self._styles) > 4096:
                self._styles.clear()
            self._styles[key, link] = run_style
        return run_style

    def _make(self, key: str) -> Style:
        if key.startswith("token "):
            colour, flags = self._token(key[6:])
            return self._look(colour or self.colours["text"], flags, "panel")
        if key.startswith("code"):
            return self._look(self.colours[key[5:] or "text"], "", "panel")
        if key == "inline":
            return self._look(self.colours["text"], "", "raised")
        name, _, flags = key.partition(".")
        if name == "link":
            return self._look(self.colours["person"], flags + "u", "background")
        return self._look(self.colours[name], flags, "background")

    def _token(self, kind: str) -> tuple[str, str]:
        while kind and kind not in self.tokens:
            kind = kind.rpartition(".")[0]
        return self.tokens.get(kind, ("", ""))

    def _look(self, colour: str, flags: str, ground: str) -> Style:
        return Style(
            color=_colour(colour),
            bgcolor=_colour(self.colours[ground]),
            bold="b" in flags or None,
            italic="i" in flags or None,
            strike="s" in flags or None,
            underline="u" in flags or None,
        )


def _colour(value: str) -> Color | None:
    return Color.parse(value) if value else None
