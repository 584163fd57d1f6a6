#!/usr/bin/env bash
# jsonschema-rs takes some texts for dates and times that have signs among their digits, and in drafts 6 and 7 it looks into
# texts by `contentEncoding` and `contentMediaType`, though nobody asked it to.
#
# Versions: jsonschema-rs 0.60.3, Python 3.11, Linux x86-64.
# Guessed: with formats asserted, what passes as a date or time is one by RFC 3339; and what a text holds is a note, as the
#   newer drafts say, unless an option asks for more.
# Seen: "0000-0,-01" is a date, "12:0.:00z" a time and "2023-01-01T12:00:0.Z" a date-time, though Python's own readers refuse
#   all three: an answer that this validator has proved may still fail in whatever reads it. In drafts 6 and 7 a text that is no
#   base64 (no JSON) is wrong beside those keywords; in drafts 4 and 2020-12 it is right.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check jsonschema-rs==0.60.3 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }

"$folder/venv/bin/python" - <<'PYTHON'
import sys

from jsonschema_rs import is_valid

FORMED = {
    ("date", "2023-02-28"): True, ("date", "2023-02-29"): False, ("date", "0000-0,-01"): True,
    ("time", "12:00:00Z"): True, ("time", "12:0.:00z"): True, ("time", "24:00:00Z"): False,
    ("date-time", "2023-01-01T12:00:00Z"): True, ("date-time", "2023-01-01T12:00:0.Z"): True,
}
ADDRESSES = {
    "4": "http://json-schema.org/draft-04/schema#",
    "6": "http://json-schema.org/draft-06/schema#",
    "7": "http://json-schema.org/draft-07/schema#",
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
}
CONTENT = {"4": True, "6": False, "7": False, "2020-12": True}
formed = {(name, text): is_valid({"format": name}, text, validate_formats=True) for name, text in FORMED}
held = {"contentEncoding": "base64"}, {"contentMediaType": "application/json"}
content = {draft: [is_valid({"$schema": ADDRESSES[draft], **one}, "%%") for one in held] for draft in ADDRESSES}
for (name, text), good in formed.items():
    print(f"{name:10} {text:22} {'taken' if good else 'refused'}")
for draft, (encoding, media) in content.items():
    print(f"draft {draft:8} a text that is no base64 {'passes' if encoding else 'fails'}, that is no JSON {'passes' if media else 'fails'}")
seen = formed == FORMED and content == {draft: [good, good] for draft, good in CONTENT.items()}
print("as it was seen" if seen else "THE BEHAVIOUR HAS CHANGED")
sys.exit(not seen)
PYTHON
