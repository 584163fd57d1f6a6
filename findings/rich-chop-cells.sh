#!/usr/bin/env bash
# rich folds a text into lines and loses the last of them when it counts no cells in it, letters included.
#
# Versions: rich 15.0.0, Python 3.11, Linux x86-64.
# Guessed: what `chop_cells` returns is, joined, the text that it was given: it says that it splits a text.
# Seen: a text of no width (one joiner, one zero width space) gives no line at all. A letter behind two joiners, which
#   `cell_len` measures as one cell, is lost with them. Who folds a line of code piece by piece, and goes on behind the
#   first line that comes back, does not go on.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rich==15.0.0 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }

"$folder/venv/bin/python" - <<'PYTHON'
import sys

from rich.cells import cell_len, chop_cells

SEEN = {  # the lines at a width of 4
    "abcdef": ["abcd", "ef"],
    "abcd\u200b": ["abcd\u200b"],
    "\u200b": [],
    "\u200d": [],
    "\u200d\u200da": [],
    "\u200d\u200dab": ["\u200d\u200dab"],
}
found = {text: chop_cells(text, 4) for text in SEEN}
for text, lines in found.items():
    print(f"{ascii(text):20} {cell_len(text)} cells  {ascii(lines)}  {'whole' if ''.join(lines) == text else 'lost'}")
sys.exit(found != SEEN)
PYTHON
