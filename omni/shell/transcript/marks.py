"""What is laid over a drawn line: hits of a search, and what the mouse selected."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from omni.shell.transcript.lines import Line, Run, width_of


def marked(runs: Sequence[Run], query: str) -> list[Run]:
    """The runs with every place of `query` (in lower case) in a style of its own."""
    pieces: list[Run] = []
    for text, key, link in runs:
        at, low = 0, text.lower()
        while (hit := low.find(query, at)) >= 0 and len(low) == len(text):
            if hit > at:
                pieces.append((text[at:hit], key, link))
            pieces.append((text[hit : hit + len(query)], "amber.bu", link))
            at = hit + len(query)
        if at < len(text):
            pieces.append((text[at:], key, link))
    return pieces


def selected(strip: Strip, line: Line, span: tuple[int, int], *, left: int, shade: Style) -> Strip:
    """The strip with the characters of `span` shaded; its text begins at cell `left`, and an end below 0 is its end."""
    start, end = span
    text = line.text
    first = left + width_of(text[: max(start, 0)])
    last = left + width_of(text if end < 0 else text[:end])
    if last <= first:
        return strip
    before, middle, after = strip.crop(0, first), strip.crop(first, last), strip.crop(last)
    shaded = [Segment(part, (style or Style.null()) + shade) for part, style, _ in middle]
    return Strip([*before, *shaded, *after], strip.cell_length)
