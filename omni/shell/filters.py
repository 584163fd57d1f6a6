"""What is done to every line on its way to a terminal that cannot show it as painted."""

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter

_ASCII = str.maketrans(
    {
        **dict.fromkeys("─╌▁▔", "-"),
        "━": "=",
        **dict.fromkeys("▌▎▏▐│┃█▊▋▍", "|"),
        **dict.fromkeys("▂▃", "."),
        **dict.fromkeys("▄▅", ":"),
        **dict.fromkeys("▆▇", "|"),
        **dict.fromkeys("·•◦", "-"),
        **dict.fromkeys("×✕", "x"),
        **dict.fromkeys("≈", "~"),
        **dict.fromkeys("…", "."),
        **dict.fromkeys("–—−", "-"),
        **dict.fromkeys("●▪■", "*"),
        **dict.fromkeys("○□", "o"),
        **dict.fromkeys("✓", "+"),
        **dict.fromkeys("↑▲", "^"),
        **dict.fromkeys("↓▾▼", "v"),
        **dict.fromkeys("→▸▶", ">"),
        **dict.fromkeys("←◀", "<"),
        **dict.fromkeys("‘’", "'"),
        **dict.fromkeys("“”", '"'),
    }
)


class Ascii(LineFilter):
    """Writes the shell's few signs in plain ASCII, for a locale that has no others; other text is left as it is."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """Translate each text, cell for cell."""
        return [
            segment
            if segment.text.isascii()
            else Segment(segment.text.translate(_ASCII), segment.style, segment.control)
            for segment in segments
        ]


class Plain(LineFilter):
    """Shows a theme without any colour: what is weaker is dim, what has a meaning is bold, what is raised is reversed,
    and what is chosen in there, or selected anywhere, is bold and underlined."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        super().__init__()
        self._weak = {colours[name].lower() for name in ("third", "line")}
        self._strong = {colours[name].lower() for name in ("accent", "person", "amber", "red")}
        self._areas = {colours[name].lower() for name in ("background", "rail", "panel")}
        self._chosen = colours["line"].lower()
        self._styles: dict[Style, Style] = {}

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """Replace every colour by an attribute."""
        return [
            segment
            if segment.style is None
            else Segment(
                segment.text.replace("━", "─") if "━" in segment.text and self._empty(segment.style) else segment.text,
                self._styles.get(segment.style) or self._plain(segment.style),
                segment.control,
            )
            for segment in segments
        ]

    def _empty(self, style: Style) -> bool:
        """Whether this is the part of a meter that is not used yet, which only its colour tells."""
        return _hex(style.color) == self._chosen

    def _plain(self, style: Style) -> Style:
        ground, front = _hex(style.bgcolor), _hex(style.color)
        chosen = ground == self._chosen
        reverse = bool(style.reverse) != (ground is not None and ground not in self._areas and not chosen)
        plain = self._styles[style] = Style(
            bold=style.bold or front in self._strong or chosen,
            dim=front in self._weak and not reverse and not chosen,
            italic=style.italic,
            underline=style.underline or chosen,
            reverse=reverse,
            strike=style.strike,
            link=style.link,
            meta=style.meta,
        )
        return plain


def _hex(colour: object) -> str | None:
    triplet = getattr(colour, "triplet", None)
    return triplet.hex if triplet is not None else None
