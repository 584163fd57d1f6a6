#!/usr/bin/env bash
# LLGuidance knows how long each month is, but not in which years February has 29 days.
#
# Versions: llguidance 1.9.1 (1.0.1, which is inside current llama.cpp, does the same), Python 3.11, Linux x86-64.
# Guessed: since `"format": "date"` refuses 30 February and 31 April, what it lets through is a date.
# Seen: 29 February passes in every year, 1900 and 2023 included, in `date` and in `date-time`: an answer that was bound to
#   its schema all the way fails in a validator that asserts formats, and in the date type of every language.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check llguidance==1.9.1 2>"$folder/pip.log" ||
    { cat "$folder/pip.log" >&2; exit 1; }

"$folder/venv/bin/python" - <<'PYTHON'
import sys
from datetime import date

from llguidance import LLMatcher, LLTokenizer

TOKENIZER = LLTokenizer("byte")


def passes(format, text):
    matcher = LLMatcher(TOKENIZER, LLMatcher.grammar_from_json_schema({"type": "string", "format": format}))
    if matcher.is_error():
        return matcher.get_error()
    spelt = list(f'"{text}"'.encode())
    return matcher.try_consume_tokens(spelt) == len(spelt) and matcher.is_accepting()


def is_day(text):
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


SEEN = {"2024-02-29": True, "2023-02-29": True, "1900-02-29": True, "2023-02-30": False, "2023-04-31": False, "2023-13-01": False}
found = {day: passes("date", day) for day in SEEN}
timed = {day: passes("date-time", f"{day}T12:00:00Z") for day in SEEN}
for day in SEEN:
    print(f"{day}: date {found[day]}, date-time {timed[day]}, a day of the calendar {is_day(day)}")
print("as it was seen" if found == timed == SEEN else "THE BEHAVIOUR HAS CHANGED")
sys.exit(0 if found == timed == SEEN else 1)
PYTHON
