"""Leaves out of an answer, while it comes, the items that a list may hold once only and that are there already, and the
properties whose names are (`_duplicates.py`).

No grammar keeps `uniqueItems`. A list that it is said of is held back until it is whole; all else passes at once.
"""

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from omni.schemas._duplicates import DuplicateNames
from omni.schemas.facts import Conjunction, keyed
from omni.schemas.forms import Forms
from omni.schemas.shapes import Sequence

_MARKS = frozenset('"[]{},:')


class Sieve:
    """Text of one answer in, text that may be sent out. Either of its parts is None where nothing is for it to do."""

    def __init__(self, names: DuplicateNames | None, items: "Items | None") -> None:
        self._names, self._items = names, items

    def feed(self, text: str) -> str:
        """What of it can be sent."""
        sifted = text if self._names is None else self._names.feed(text)
        return sifted if self._items is None else self._items.feed(sifted)

    def rest(self) -> str:
        """What was held back when the answer ended in the middle of it."""
        held = "" if self._names is None else self._names.rest()
        return held if self._items is None else self._items.feed(held) + self._items.rest()


class Items:
    """The same for lists whose items differ."""

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._levels: list[_Level] = []
        self._held: list[str] = []  # of the list that is held back
        self._holds = 0  # the depth at which that is; 0: none
        self._text: list[str] | None = None  # of the text that is open
        self._escaped = False
        self._left_out = False  # something, of the list that was held back last

    def feed(self, text: str) -> str:
        """What of it can be sent."""
        sent: list[str] = []
        for sign in text:
            self._take(sign, sent)
        return "".join(sent)

    def rest(self) -> str:
        """What was held back when the answer ended in the middle of it."""
        held, self._held = "".join(self._held), []
        return held

    def _take(self, sign: str, sent: list[str]) -> None:
        into = self._held if self._holds else sent
        if self._text is not None:
            into.append(sign)
            self._take_text(sign)
            return
        if sign not in _MARKS:
            into.append(sign)
            return
        match sign:
            case '"':
                self._text = []
            case "[" | "{":
                level = _Level(self._here(), is_list=sign == "[")
                if not self._holds and level.is_list and any(shape.unique for shape in self._shapes(level)):
                    self._holds = len(self._levels) + 1
                    into = self._held
                self._levels.append(level)
            case "]" | "}" if self._levels:
                self._levels.pop()
            case ",":
                self._next()
        into.append(sign)
        if self._holds and len(self._levels) < self._holds:
            self._holds = 0
            sent.append(self._sifted("".join(self._held)))
            self._held.clear()

    def _take_text(self, sign: str) -> None:
        assert self._text is not None
        if self._escaped or sign != '"':
            self._escaped = sign == "\\" and not self._escaped
            self._text.append(sign)
            return
        level = self._levels[-1] if self._levels else None
        if level is not None and not level.is_list and level.name is None:
            level.name = json.loads(f'"{"".join(self._text)}"')
        self._text = None

    def _next(self) -> None:
        if self._levels:
            level = self._levels[-1]
            level.at += 1
            level.name = None

    def _here(self) -> set[Conjunction]:
        """What the value that begins now may be."""
        if not self._levels:
            return {self._forms.root}
        level = self._levels[-1]
        return {
            each
            for shape in self._shapes(level)
            for each in self._inside(shape, level.at if level.is_list else level.name)
        }

    def _shapes(self, level: "_Level") -> Iterator[Sequence]:
        yield from self._sequences(level.conjunctions, is_list=level.is_list)

    def _sequences(self, conjunctions: set[Conjunction], *, is_list: bool) -> Iterator[Sequence]:
        for conjunction in conjunctions:
            for each in self._forms.closure(conjunction):
                for shaped in self._forms[each].shapes:
                    if isinstance(shaped.shape, Sequence) and shaped.shape.is_object != is_list:
                        yield shaped.shape

    def _inside(self, shape: Sequence, at: int | str | None) -> Iterator[Conjunction]:
        if isinstance(at, int):
            if at < len(shape.members) and not shape.skips:
                yield shape.members[at].value
                return
        elif named := [member.value for member in shape.members if member.name == at]:
            yield from named
            return
        for tail in shape.tails:
            if tail.names is None or self._forms.languages.accepts(tail.names, str(at)):
                yield tail.value

    def _sifted(self, text: str) -> str:
        """A whole list without what is there twice; as it was where nothing is."""
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text  # which whoever proves the answer will see
        self._left_out = False
        distinct = self._without(value, self._list_states)
        return json.dumps(distinct, ensure_ascii=False) if self._left_out else text

    @property
    def _list_states(self) -> set[Conjunction]:
        return self._here()

    def _without(self, value: Any, conjunctions: set[Conjunction]) -> Any:
        if isinstance(value, dict):
            shapes = list(self._sequences(conjunctions, is_list=False))
            return {
                name: self._without(part, {each for shape in shapes for each in self._inside(shape, name)})
                for name, part in value.items()
            }
        if not isinstance(value, list):
            return value
        shapes = list(self._sequences(conjunctions, is_list=True))
        items = [
            self._without(part, {each for shape in shapes for each in self._inside(shape, at)})
            for at, part in enumerate(value)
        ]
        if not any(shape.unique for shape in shapes):
            return items
        kept = list(keyed(items).values())
        self._left_out |= len(kept) < len(items)
        return kept


class _Level:
    """A list or object that is open: what it may be, and where in it the answer is."""

    def __init__(self, conjunctions: set[Conjunction], *, is_list: bool) -> None:
        self.conjunctions, self.is_list = conjunctions, is_list
        self.at = 0
        self.name: str | None = None
