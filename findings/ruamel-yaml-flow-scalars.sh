#!/usr/bin/env bash
# ruamel.yaml changes texts between brackets: `[?a]` is read as a list of one mapping, and its own writer writes the text "?a" so.
#
# Versions: ruamel.yaml 0.19.1 (safe, pure), Python 3.11, Linux x86-64.
# Guessed: what it writes it reads as it was; and by YAML 1.2 (7.3.3) "?" begins a plain text when no space follows it, and U+0085
#   is a character of a text like any other (5.4), no end of a line.
# Seen: in flow style a text that begins with "?" is written without quotes and read as a key without a value ("?2020-01-01"
#   becomes a date for a key); in block style the same text comes back whole. U+0085 becomes a space or a line feed in both.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ruamel.yaml==0.19.1 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }

"$folder/venv/bin/python" - <<'PYTHON'
import datetime
import io
import sys

from ruamel.yaml import YAML


def there_and_back(value, flow):
    yaml, stream = YAML(typ="safe", pure=True), io.StringIO()
    yaml.default_flow_style = flow
    yaml.dump(value, stream)
    return stream.getvalue().strip(), YAML(typ="safe", pure=True).load(stream.getvalue())


SEEN = {
    ("?a", True): [{"a": None}],
    ("?a", False): ["?a"],
    ("?2020-01-01", True): [{datetime.date(2020, 1, 1): None}],
    ("a?", True): ["a?"],
    ("one\x85two", True): ["one two"],
    ("one\x85two", False): ["one two"],
    ("one\ntwo", True): ["one\ntwo"],
}
same = True
for (text, flow), seen in SEEN.items():
    written, read = there_and_back([text], flow)
    same &= read == seen
    print(f"{[text]!r:18} {'flow ' if flow else 'block'} is written {written!r:24} and read {read!r}")
print("as it was seen" if same else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not same)
PYTHON
