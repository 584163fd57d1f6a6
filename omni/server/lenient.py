"""What clients write otherwise than it is meant, though nobody could take it for anything else: a whole number as 3.0,
`null` for a field that might be left out, and half of a character. Only what is refused is looked at, at its place."""

import re
from typing import Any, TypeVar

import msgspec

from omni.server.history_repair import repair_history

T = TypeVar("T")

MOST = 64  # places of one body
WORTH = 8 << 20  # bytes that are looked at for them, each time anew
_MENDABLE = re.compile(r"got `(?:float|null)` - at `\$(?P<place>(?:\.\w+|\[\d+\])+)`\Z")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
# A pair of surrogates, one alone, or any other escape: JavaScript cuts a text between two halves of a character.
_ESCAPES = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<alone>u[dD][89a-fA-F]..)|.)", re.DOTALL)
_INTEGRAL = 2.0**53  # beyond it floats are no longer all whole numbers


def decoded(body: bytes | bytearray, kind: type[T]) -> T:
    """The body as `kind`. Raises what msgspec does, for the first place that is really wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:  # also for what is JSON and not as it should be
        value = _value(body)
    history, mends = False, min(MOST, WORTH // len(body))
    while True:
        try:
            return msgspec.convert(value, type=kind)
        except msgspec.ValidationError as error:
            if not history:
                history = True
                repair_history(value, kind)
            elif mends and _mended(value, str(error)):
                mends -= 1
            else:
                raise


def _value(body: bytes | bytearray) -> Any:
    """What the body holds, whatever it is to be. Raises DecodeError where it is no JSON."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        whole = _ESCAPES.sub(lambda match: rb"\ufffd" if match["alone"] else match[0], bytes(body))
        if whole == body:
            raise
        return msgspec.json.decode(whole)


def _mended(value: Any, complaint: str) -> bool:
    """Whether the place that a complaint names was mended."""
    if (match := _MENDABLE.search(complaint)) is None:
        return False
    *way, last = (name or int(number) for name, number in _STEP.findall(match["place"]))
    for step in way:
        value = value[step]
    wrong = value[last]
    if isinstance(wrong, float) and wrong.is_integer() and abs(wrong) < _INTEGRAL:
        value[last] = int(wrong)
        return True
    if wrong is None and isinstance(value, dict):
        del value[last]
        return True
    return False
