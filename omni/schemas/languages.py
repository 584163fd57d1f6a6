"""Regular languages: sets of texts, joined, cut and turned round, with a short text of each.

A language is made by a `Languages`, which makes each one only once, so that equal ones are the same object. Whether one
that was cut is empty is found out by its derivatives (Brzozowski 1964, "Derivatives of regular expressions"): what may
follow a character is a language again, and there are finitely many of them.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from threading import Lock
from typing import Literal

from omni.schemas import _characters as characters
from omni.schemas._characters import Characters
from omni.schemas.costs import Costs

Kind = Literal["nothing", "empty", "one", "then", "either", "every", "other", "times"]

STEPS = 1500  # of one search
MOST_STEPS = 20_000  # of all searches of one compilation, or for one grammar
_PLEASANT = "a0A-_.1b2B /:@x"


class TooLong(Exception):
    """A search took more steps than it is worth."""


class Language:
    """A set of texts. `parts` are those that it is made of; `least` and `most` the bounds of a repetition."""

    __slots__ = (
        "_derived",
        "_firsts",
        "characters",
        "cut",
        "kind",
        "least",
        "most",
        "nullable",
        "number",
        "parts",
        "reach",
        "size",
    )

    def __init__(
        self,
        kind: Kind,
        parts: "tuple[Language, ...]" = (),
        *,
        characters: Characters = (),
        least: int = 0,
        most: int | None = None,
        number: int = 0,
    ) -> None:
        self.kind, self.parts, self.characters = kind, parts, characters
        self.least, self.most, self.number = least, most, number
        self.nullable = self._nullable()  # whether the empty text is in it
        self.cut: bool = kind in ("every", "other") or any(
            part.cut for part in parts
        )  # its form does not say what is in it
        self.reach = self._reach()  # characters that each of its texts has at least
        self.size: int = 1 + sum(part.size for part in parts)  # languages in it
        self._derived: dict[int, Language] = {}
        self._firsts: frozenset[Language] | None = None

    @property
    def firsts(self) -> "frozenset[Language]":
        """The sets of characters, each a language, that what follows depends on."""
        if self._firsts is None:
            self._firsts = frozenset((self,) if self.kind == "one" else self._find_firsts())
        return self._firsts

    def _find_firsts(self) -> "Iterator[Language]":
        for part in self.parts:
            yield from part.firsts
            if self.kind == "then" and not part.nullable:
                return

    def _reach(self) -> int:
        match self.kind:
            case "one":
                return 1
            case "then":
                return sum(part.reach for part in self.parts)
            case "either":
                return min(part.reach for part in self.parts)
            case "every":
                return max(part.reach for part in self.parts)
            case "times":
                return self.least * self.parts[0].reach
            case _:
                return 0

    def _nullable(self) -> bool:
        match self.kind:
            case "empty":
                return True
            case "then" | "every":
                return all(part.nullable for part in self.parts)
            case "either":
                return any(part.nullable for part in self.parts)
            case "other":
                return not self.parts[0].nullable
            case "times":
                return self.least == 0 or self.parts[0].nullable
            case _:
                return False

    def __repr__(self) -> str:
        return f"<{self.kind} {self.parts or self.characters}>"


class Languages:
    """Makes languages, and answers questions about them."""

    def __init__(self, costs: Costs | None = None) -> None:
        self._costs = costs or Costs()
        self._lock = Lock()  # one that is made twice would not be equal to itself
        self._made: dict[object, Language] = {}
        self.nothing = self._make("nothing")
        self.empty = self._make("empty")
        self.any_character = self.one(characters.EVERY)
        self.any_text = self.times(self.any_character)
        self._shortest: dict[Language, str | None] = {}
        self._partitions: dict[frozenset[Language], list[Characters]] = {}
        self._ways: dict[Language, list[tuple[Characters, Language]]] = {}
        self._unknown: set[Language] = set()
        self._steps = MOST_STEPS

    def _make(
        self,
        kind: Kind,
        parts: tuple[Language, ...] = (),
        *,
        characters: Characters = (),
        least: int = 0,
        most: int | None = None,
    ) -> Language:
        key = kind, parts, characters, least, most
        if (language := self._made.get(key)) is None:
            with self._lock:
                if (language := self._made.get(key)) is None:
                    number = len(self._made)
                    language = Language(kind, parts, characters=characters, least=least, most=most, number=number)
                    self._made[key] = language
        return language

    # -- how they are made

    def one(self, some: Characters) -> Language:
        """One character of these."""
        return self._make("one", characters=some) if some else self.nothing

    def text(self, text: str) -> Language:
        """This text only."""
        return self.then(*(self.one(characters.of(sign)) for sign in text))

    def then(self, *parts: Language) -> Language:
        """One after the other."""
        chain: list[Language] = []
        for part in parts:
            if part.kind == "nothing":
                return part
            for each in part.parts if part.kind == "then" else (part,):
                if each.nullable and chain and chain[-1] is self.any_text:
                    continue  # any text, and then perhaps something: any text
                while each is self.any_text and chain and chain[-1].nullable:
                    chain.pop()
                chain += [each] if each.kind != "empty" else []
        if not chain:
            return self.empty
        return chain[0] if len(chain) == 1 else self._make("then", tuple(chain))

    def either(self, *parts: Language) -> Language:
        """What is in any of them."""
        options: dict[Language, None] = {}
        singles: Characters = ()
        for part in parts:
            for each in part.parts if part.kind == "either" else (part,):
                if each.kind == "one":
                    singles = characters.union(singles, each.characters)
                elif each.kind != "nothing":
                    options[each] = None
        if singles:
            options[self.one(singles)] = None
        if self.any_text in options:
            return self.any_text
        ordered = sorted(options, key=lambda one: one.number)
        if len(ordered) > 1 and self.empty in options and any(one.nullable for one in ordered if one is not self.empty):
            ordered.remove(self.empty)
        if not ordered:
            return self.nothing
        return ordered[0] if len(ordered) == 1 else self._make("either", tuple(ordered))

    def every(self, *parts: Language) -> Language:
        """What is in all of them."""
        operands: dict[Language, None] = {}
        for part in parts:
            for each in part.parts if part.kind == "every" else (part,):
                if each.kind == "nothing":
                    return each
                if each is not self.any_text:
                    operands[each] = None
        if not operands:
            return self.any_text
        if any(one.kind == "other" and one.parts[0] in operands for one in operands):
            return self.nothing
        if self.empty in operands:
            return self.empty if all(one.nullable for one in operands) else self.nothing
        ordered = sorted(operands, key=lambda one: one.number)
        singles = [one for one in ordered if one.kind == "one"]
        if len(singles) > 1:
            joined = singles[0].characters
            for one in singles[1:]:
                joined = characters.both(joined, one.characters)
            return self.every(self.one(joined), *(one for one in ordered if one.kind != "one"))
        return ordered[0] if len(ordered) == 1 else self._make("every", tuple(ordered))

    def other(self, part: Language) -> Language:
        """All other texts."""
        if part.kind == "other":
            return part.parts[0]
        if part.kind == "nothing":
            return self.any_text
        return self.nothing if part is self.any_text else self._make("other", (part,))

    def times(self, part: Language, least: int = 0, most: int | None = None) -> Language:
        """So often, one after the other; `most` None: without end."""
        if most == 0 or part.kind == "empty":
            return self.empty
        if part.kind == "nothing":
            return self.empty if least == 0 else part
        if (least, most) == (1, 1):
            return part
        if part.kind == "times" and (part.least, part.most, least, most) == (0, None, 0, None):
            return part
        return self._make("times", (part,), least=least, most=most)

    # -- what is in them

    def renew(self) -> None:
        """Allow as many steps as at the beginning."""
        self._steps = MOST_STEPS

    def short(self, language: Language) -> str | None:
        """A short text of it, or None when there is none. Raises TooLong."""
        if language in self._unknown:
            raise TooLong
        if language not in self._shortest:
            self._shortest[language] = self._search(language) if language.cut else self._simple(language)
        return self._shortest[language]

    def is_empty(self, language: Language) -> bool:
        """Whether no text is in it. Raises TooLong."""
        return self.short(language) is None

    def may_be(self, language: Language) -> bool:
        """Whether there is a text, as far as can be found out."""
        try:
            return not self.is_empty(language)
        except TooLong:
            return True

    def ways(self, language: Language) -> list[tuple[Characters, Language]]:
        """What may follow some characters, each of which comes once."""
        if (known := self._ways.get(language)) is not None:
            return known
        partition = self._partition(language)
        self._costs.count(len(partition) * (1 + len(language.parts)))
        pairs = ((some, self._after(language, some[0][0])) for some in partition)
        self._ways[language] = [(some, after) for some, after in pairs if after.kind != "nothing"]
        return self._ways[language]

    def accepts(self, language: Language, text: str) -> bool:
        """Whether `text` is in it."""
        for sign in text:
            language = self._after(language, ord(sign))
            if language.kind == "nothing":
                return False
        return language.nullable

    def _simple(self, language: Language) -> str | None:
        """A short text of a language whose form says what is in it."""
        match language.kind:
            case "nothing":
                return None
            case "one":
                return _pleasant(language.characters)
            case "then":
                texts = [self.short(part) for part in language.parts]
                return None if None in texts else "".join(text for text in texts if text)
            case "either":
                candidates = [text for part in language.parts if (text := self.short(part)) is not None]
                return min(candidates, key=len, default=None)
            case "times":
                text = self.short(language.parts[0])
                return None if text is None and language.least else (text or "") * language.least
            case _:
                return ""

    def _search(self, language: Language) -> str | None:
        """Goes on from what is nearest to its end, until a text is found or all ways were gone."""
        ahead: list[tuple[int, int, Language, str]] = [(language.reach, 0, language, "")]
        seen = {language}
        for _ in range(STEPS):
            if not ahead:
                return None
            self._steps -= 1
            if self._steps < 0:
                raise TooLong  # now: after `renew` it may be found
            _, _, here, text = heappop(ahead)
            if here.nullable:
                return text
            partition = self._partition(here)
            self._costs.count(2 * len(partition) * (1 + len(here.parts)))
            for some in partition:
                sign = _pleasant(some)
                after = self._after(here, ord(sign))
                if after.kind != "nothing" and after not in seen:
                    seen.add(after)
                    heappush(ahead, (after.reach, len(seen), after, text + sign))
        if self._is_barren(language):
            return None
        self._unknown.add(language)
        raise TooLong

    def _is_barren(self, language: Language) -> bool:
        """Whether one of several languages has no text of those characters that all have. Raises TooLong."""
        parts = [part for part in language.parts if language.kind == "every" and not part.cut]
        alphabet = characters.EVERY
        for part in parts:
            alphabet = characters.both(alphabet, _alphabet(part))
        texts = self.times(self.one(alphabet))
        return any(
            _alphabet(part) != alphabet and self.short(self.every(part, texts)) is None
            for part in parts
            if len(parts) > 1
        )

    def _partition(self, language: Language) -> list[Characters]:
        """Sets of characters, the whole of which is followed by the same; together they are all characters."""
        partition = self._partitions.get(language.firsts)
        if partition is None:
            sets = [one.characters for one in language.firsts]
            self._costs.count(sum(map(len, sets)))
            partition = self._partitions[language.firsts] = characters.partition(sets)
        return partition

    def _after(self, language: Language, point: int) -> Language:
        """The derivative: what may follow a character."""
        derivative = language._derived.get(point)
        if derivative is None:
            derivative = language._derived[point] = self._derive(language, point)
        return derivative

    def _derive(self, language: Language, point: int) -> Language:
        match language.kind:
            case "one":
                return self.empty if characters.has(language.characters, point) else self.nothing
            case "then":
                first, rest = language.parts[0], self.then(*language.parts[1:])
                after = self.then(self._after(first, point), rest)
                return self.either(after, self._after(rest, point)) if first.nullable else after
            case "either":
                return self.either(*(self._after(part, point) for part in language.parts))
            case "every":
                return self.every(*(self._after(part, point) for part in language.parts))
            case "other":
                return self.other(self._after(language.parts[0], point))
            case "times":
                part, most = language.parts[0], language.most
                least = 0 if part.nullable else max(0, language.least - 1)
                rest = self.times(part, least, None if most is None else most - 1)
                return self.then(self._after(part, point), rest)
            case _:
                return self.nothing


def _alphabet(language: Language) -> Characters:
    """All characters that its texts have."""
    if language.kind == "one":
        return language.characters
    return characters.union(*(_alphabet(part) for part in set(language.parts)))


def _pleasant(some: Characters) -> str:
    """One of these characters, an ordinary one where there is one."""
    return next((sign for sign in _PLEASANT if characters.has(some, ord(sign))), chr(some[0][0]))
