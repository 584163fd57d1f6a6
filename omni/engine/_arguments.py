"""The arguments of calls that were made earlier, by whatever brain, as they stand in a history: nothing in them is an error."""

import json
from typing import Any

import msgspec

KEY = "arguments"  # under which that stands what is no object
DEEPEST = 64  # levels; templates write them by recursion in native code


def arguments_of(value: object) -> str:
    """The arguments of an earlier call as the text of a JSON object.

    An object, or the text of one, stays as it is; none at all are an empty one. Whatever else there is (a list, a number,
    a text that was cut) stands in an object under one key, as it was.
    """
    if not isinstance(value, str):
        return _object(value)
    text = value.encode("utf-8", "replace").decode().strip()
    try:
        decoded = msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return json.dumps({KEY: text}, ensure_ascii=False)
    if isinstance(decoded, str) and decoded.lstrip().startswith("{"):  # written as JSON twice
        return arguments_of(decoded)
    if not _bearable(decoded):
        return json.dumps({KEY: text}, ensure_ascii=False)
    return text if isinstance(decoded, dict) else _object(decoded)


def _object(value: Any) -> str:
    if value is None:
        return "{}"
    if not _bearable(value):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            value = "(nested too deeply to be written)"
    return json.dumps(value if isinstance(value, dict) else {KEY: value}, ensure_ascii=False)


def _bearable(value: Any) -> bool:
    """Whether a value has few enough levels."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            part
            for whole in level
            if isinstance(whole, dict | list)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
        if not level:
            return True
    return False
