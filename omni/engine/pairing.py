"""Calls of a history and their results: which belongs to which, and under which id."""

import re
from collections.abc import Sequence
from hashlib import sha256
from string import ascii_letters, digits

import msgspec

from omni.core.messages import Message, ToolCallPart, ToolResultPart

NO_RESULT = "No result."
UNNAMED = "unknown"

_NO_RESULT = ToolResultPart.of(NO_RESULT)
_SHORT = re.compile(r"[A-Za-z0-9]{9}")
_LETTERS = ascii_letters + digits


class Idents:
    """The ids of calls: each once in a history, in a form that the template takes, the same however the history goes on."""

    def __init__(self, *, short: bool) -> None:
        self._short = short
        self._taken: set[str] = set()
        self._times: dict[str, int] = {}

    def unique(self, calls: Sequence[ToolCallPart]) -> tuple[ToolCallPart, ...]:
        """The calls, each with a name and an id of its own."""
        return tuple(
            msgspec.structs.replace(call, id=self._ident(call.id or "call"), name=call.name.strip() or UNNAMED)
            for call in calls
        )

    def _ident(self, wanted: str) -> str:
        while True:
            times = self._times[wanted] = self._times.get(wanted, 0) + 1
            ident = wanted if times == 1 else f"{wanted}_{times}"
            if self._short and not _SHORT.fullmatch(ident):
                ident = _shortened(ident)
            if ident not in self._taken:
                self._taken.add(ident)
                return ident


def _shortened(ident: str) -> str:
    number = int.from_bytes(sha256(ident.encode("utf-8", "replace")).digest()[:8])
    letters = ""
    for _ in range(9):
        number, letter = divmod(number, len(_LETTERS))
        letters += _LETTERS[letter]
    return letters


def answered(
    asked: Sequence[ToolCallPart], calls: Sequence[ToolCallPart], heard: Sequence[Message]
) -> tuple[list[ToolResultPart], list[Message]]:
    """The result of each call, in their order and under their new ids, and what else was heard, with the results of calls
    that are not there. A result belongs to the first open call of its id, else of its name; one that has neither belongs
    to the first that is open."""
    answers: list[ToolResultPart | None] = [None] * len(calls)
    by_id, by_name, all_of = dict[str, list[int]](), dict[str, list[int]](), list(range(len(calls) - 1, -1, -1))
    for at in all_of:
        by_id.setdefault(asked[at].id, []).append(at)
        by_name.setdefault(asked[at].name, []).append(at)
    others: list[Message] = []
    for message in heard:
        place: int | None = None
        if (result := message.result) is not None:
            place = _open(by_id.get(result.call_id, []) if result.call_id else [], answers)
            if place is None and result.name:
                place = _open(by_name.get(result.name, []), answers)
            if place is None and not result.call_id and not result.name:
                place = _open(all_of, answers)
        if result is None or place is None:
            others.append(message)
        else:
            answers[place] = result
    results = [
        msgspec.structs.replace(result or _NO_RESULT, call_id=call.id, name=call.name)
        for call, result in zip(calls, answers, strict=True)
    ]
    return results, others


def _open(places: list[int], answers: Sequence[ToolResultPart | None]) -> int | None:
    """The next of `places` that has no result yet, which is taken off them."""
    while places:
        if answers[at := places.pop()] is None:
            return at
    return None
