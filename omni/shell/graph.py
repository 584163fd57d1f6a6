"""A graph of one row of block characters, newest at the right."""

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def graph(values: Sequence[float], width: int, top: float, *, rows: int = 1) -> list[str]:
    """The last `width` values as columns of eighths, `rows` lines high; anything above nothing shows at least a foot."""
    shown = list(values)[-width:]
    eighths = [
        max(1 if value > 0 else 0, min(8 * rows, round(value / top * 8 * rows))) if top > 0 else 0 for value in shown
    ]
    lines = []
    for row in range(rows - 1, -1, -1):
        line = "".join(BLOCKS[max(0, min(8, each - 8 * row))] for each in eighths)
        lines.append(line.rjust(width))
    return lines
