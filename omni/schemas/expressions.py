"""Regular expressions as JSON Schema writes them (ECMA-262, with Unicode), read into a tree.

Source: ECMA-262 section 22.2.1, and its Annex B for what old scripts may write.
"""

import re
from typing import NamedTuple, NoReturn

from omni.schemas import _characters as characters
from omni.schemas._characters import Characters

LONGEST = 4000  # characters
DEEPEST = 60  # groups in groups
MOST_TIMES = 100_000


class BadPattern(Exception):
    """It is no regular expression; the text says why."""


class Unkept(Exception):
    """It is one, but not of those that a grammar can keep; the text says what in it is not."""


class One(NamedTuple):
    """One character of these."""

    characters: Characters


class Then(NamedTuple):
    """One after the other."""

    parts: "tuple[Tree, ...]"


class Either(NamedTuple):
    """One of them."""

    parts: "tuple[Tree, ...]"


class Times(NamedTuple):
    """So often; `most` None: without end."""

    part: "Tree"
    least: int
    most: int | None


class StartAnchor(NamedTuple):
    """The beginning of the text."""


class EndAnchor(NamedTuple):
    """The end of the text."""


class Edge(NamedTuple):
    """Where a word begins or ends, or (not `there`) where none does."""

    there: bool


class Lookahead(NamedTuple):
    """What follows begins with it, or (not `there`) does not."""

    part: "Tree"
    there: bool


Tree = One | Then | Either | Times | StartAnchor | EndAnchor | Edge | Lookahead

_CLASSES = {"d": characters.DIGITS, "w": characters.WORD, "s": characters.SPACES}
_CONTROLS = {"t": "\t", "n": "\n", "r": "\r", "v": "\v", "f": "\f"}
_DOT = characters.other(characters.LINE_ENDS)
_COUNT = re.compile(r"\{(\d+)(,?)(\d*)\}")
_POINT = re.compile(r"x([0-9A-Fa-f]{2})|u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|c([A-Za-z])|(0)(?![0-9])")
_HALF = re.compile(r"\\u([dD][c-fC-F][0-9A-Fa-f]{2})")
_PROPERTY = re.compile(r"\{(?:(?:General_Category|gc)=)?([A-Za-z_]+)\}")
_CATEGORIES = {
    "Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt", "Mark": "M",
    "Number": "N", "Decimal_Number": "Nd", "Punctuation": "P", "Symbol": "S", "Separator": "Z",
    "Space_Separator": "Zs", "Other": "C", "Control": "Cc",
}  # fmt: skip


def parsed(pattern: str) -> Tree:
    """The tree of a pattern. Raises BadPattern, Unkept."""
    if len(pattern) > LONGEST:
        raise Unkept(f"more than {LONGEST:,} characters")
    return _PatternParser(pattern).whole()


class _PatternParser:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self._text, self._at, self._deep = pattern, 0, 0

    def whole(self) -> Tree:
        tree = self._either()
        if self._at < len(self._text):
            self._wrong("a ) without its (")
        return tree

    def _wrong(self, what: str) -> NoReturn:
        raise BadPattern(f"{what} (at character {self._at + 1})")

    def _next(self, text: str) -> bool:
        """Whether `text` comes next; it is read then."""
        if not self._text.startswith(text, self._at):
            return False
        self._at += len(text)
        return True

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        if (match := pattern.match(self._text, self._at)) is not None:
            self._at = match.end()
        return match

    def _either(self) -> Tree:
        parts = [self._then()]
        while self._next("|"):
            parts.append(self._then())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _then(self) -> Tree:
        parts: list[Tree] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._times(self._part()))
        return parts[0] if len(parts) == 1 else Then(tuple(parts))

    def _times(self, part: Tree) -> Tree:
        if self._next("*"):
            least, most = 0, None
        elif self._next("+"):
            least, most = 1, None
        elif self._next("?"):
            least, most = 0, 1
        elif (count := self._match(_COUNT)) is not None:
            least = int(count[1])
            most = int(count[3]) if count[3] else None if count[2] else least
            if most is not None and most < least:
                self._wrong("a repetition whose ends are the wrong way round")
            if max(least, most or 0) > MOST_TIMES:
                raise Unkept(f"a repetition of more than {MOST_TIMES:,}")
        else:
            return part
        if isinstance(part, StartAnchor | EndAnchor | Edge):
            self._wrong("a repetition of nothing")
        self._next("?")  # as few as possible: the same texts
        return Times(part, least, most)

    def _part(self) -> Tree:
        sign = self._text[self._at]
        if sign in "*+?":
            self._wrong("a repetition of nothing")
        self._at += 1
        match sign:
            case "^":
                return StartAnchor()
            case "$":
                return EndAnchor()
            case ".":
                return One(_DOT)
            case "(":
                return self._group()
            case "[":
                return One(self._class())
            case "\\":
                return self._escaped()
            case _:
                return One(characters.of(sign))

    def _group(self) -> Tree:
        self._deep += 1
        if self._deep > DEEPEST:
            raise Unkept(f"more than {DEEPEST} groups within each other")
        ahead: bool | None = None
        if self._next("?="):
            ahead = True
        elif self._next("?!"):
            ahead = False
        elif self._next("?<=") or self._next("?<!"):
            raise Unkept("a look behind")
        elif self._match(re.compile(r"\?<[A-Za-z_$][\w$]*>")) is None and not self._next("?:") and self._next("?"):
            raise Unkept("a group of an unusual kind")
        tree = self._either()
        if not self._next(")"):
            self._wrong("a ( without its )")
        self._deep -= 1
        return tree if ahead is None else Lookahead(tree, ahead)

    def _escaped(self) -> Tree:
        if self._at == len(self._text):
            self._wrong("a \\ at the end")
        sign = self._text[self._at]
        if sign in "bB":
            self._at += 1
            return Edge(sign == "b")
        if sign in "123456789k":
            raise Unkept("a reference to a group")
        return One(self._set())

    def _set(self) -> Characters:
        """What an escape stands for, after its backslash; also within a class."""
        if (point := self._match(_POINT)) is not None:
            if point[4]:
                return characters.of(chr(ord(point[4].upper()) - 64))
            number = 0 if point[5] else int(point[1] or point[2] or point[3], 16)
            if 0xD800 <= number < 0xDC00 and (half := self._match(_HALF)) is not None:
                number = 0x10000 + ((number - 0xD800) << 10) + int(half[1], 16) - 0xDC00
            if number > 0x10FFFF:
                self._wrong("a character beyond Unicode")
            return characters.between(number, number)
        sign = self._text[self._at]
        self._at += 1
        if sign.lower() in _CLASSES:
            charset = _CLASSES[sign.lower()]
            return characters.other(charset) if sign.isupper() else charset
        if sign in "pP":
            return self._property(turned=sign == "P")
        return characters.of(_CONTROLS.get(sign, sign))

    def _property(self, *, turned: bool) -> Characters:
        name = self._match(_PROPERTY)
        charset = characters.category(_CATEGORIES.get(name[1], name[1])) if name is not None else None
        if charset is None:
            raise Unkept("a property of characters that is not known here")
        return characters.other(charset) if turned else charset

    def _class(self) -> Characters:
        turned, charset = self._next("^"), characters.NONE
        while not self._next("]"):
            first = self._member()
            if self._text.startswith("-", self._at) and not self._text.startswith("-]", self._at):
                self._at += 1
                last = self._member()
                if _single(first) and _single(last):
                    if first[0][0] > last[0][0]:
                        self._wrong("a range whose ends are the wrong way round")
                    first = characters.between(first[0][0], last[0][0])
                else:
                    first = characters.union(first, last, characters.of("-"))
            charset = characters.union(charset, first)
        return characters.other(charset) if turned else charset

    def _member(self) -> Characters:
        if self._at == len(self._text):
            self._wrong("a [ without its ]")
        if not self._next("\\"):
            self._at += 1
            return characters.of(self._text[self._at - 1])
        if self._at == len(self._text):
            self._wrong("a [ without its ]")
        return characters.of("\b") if self._next("b") else self._set()


def _single(some: Characters) -> bool:
    return len(some) == 1 and some[0][0] == some[0][1]
