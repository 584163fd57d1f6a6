"""Regular expressions of JSON Schemas as llama.cpp's grammars understand them."""

import re
from typing import NamedTuple

_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": " "}
_ENDING = '"\\\\\\x00-\\x1f'  # what would end the text that a pattern is in
_SIGNS = "^$.[]()|{}*+?-"
_LONGEST = 1000  # characters
_MOST_CHOICES = 48
_TOKEN = re.compile(
    r"\\.|\[(?:\\.|[^\]\\])*\]?|\((?:\?:)?|"
    r"(?P<quantifier>[*+?]|\{(?P<least>[0-9]{0,9})(?P<more>,?)(?P<most>[0-9]{0,9})\})|.",
    re.DOTALL,
)


def plain_pattern(pattern: str) -> str | None:
    """A regular expression with classes written out, and anchored; None for one that a grammar cannot follow, or not
    without keeping everybody waiting.

    What stands for any character leaves out what would end the string that it is in. One that is plain stays as it is.
    """
    if len(pattern) > _LONGEST or choices(pattern) > _MOST_CHOICES:
        return None
    found, at, inside = "", 0, False
    while at < len(pattern):
        sign = pattern[at]
        at += 1
        if sign == "\\":
            if at == len(pattern):
                return None
            escaped = pattern[at]
            at += 1
            if escaped.lower() in _CLASSES and escaped.isupper() and not inside:
                found += f"[^{_ENDING}{_CLASSES[escaped.lower()]}]"
            elif escaped in _CLASSES:
                found += _CLASSES[escaped] if inside else f"[{_CLASSES[escaped]}]"
            elif escaped.isalnum() or escaped in '"\\':
                return None
            else:  # llama.cpp gives up at a backslash before any other sign
                found += f"\\{escaped}" if escaped in _SIGNS else escaped
        elif sign == '"':
            return None
        elif inside:
            inside = sign != "]"
            found += sign
        elif sign == "[":
            inside = True
            found += sign
            if pattern[at : at + 1] == "^":
                at += 1 + len(_ENDING) * pattern.startswith(_ENDING, at + 1)  # it was made plain before
                found += f"^{_ENDING}"
        elif sign == ".":
            found += f"[^{_ENDING}]"
        elif sign == "(" and pattern[at : at + 1] == "?":
            if pattern[at : at + 2] != "?:":
                return None
            at += 2
            found += sign
        elif sign == "?" and found[-1:] in ("*", "+", "?", "}"):  # as few as possible: the same texts
            pass
        else:
            found += sign
    return None if inside else _anchored(found)


def _anchored(pattern: str) -> str | None:
    begins, ends = pattern.startswith("^"), pattern.endswith("$") and not pattern.endswith("\\$")
    core = pattern[begins : len(pattern) - ends]
    if re.search(r"(?<![\\\[])\^|(?<!\\)\$", core):
        return None
    anything = f"[^{_ENDING}]*"
    if begins and ends:
        return f"^{core}$"
    return f"^{'' if begins else anything}({core}){'' if ends else anything}$"


def choices(pattern: str) -> int:
    """How many parts of a pattern may be left out, each counted as often as the groups around it are repeated.

    A grammar keeps in mind at once all that may come next: with a hundred of these, a letter takes it seconds. What is
    repeated by itself, as in `[a-z]{1,60}`, is one; but all of it counts in a group that is repeated and may be empty.
    """
    groups = [_Group()]
    for token in _TOKEN.finditer(pattern):
        sign = token[0]
        if token["quantifier"]:
            groups[-1].repeat(*_times(token))
        elif sign.startswith("("):
            groups.append(_Group())
        elif sign == ")" and len(groups) > 1:
            part = groups.pop().whole()
            groups[-1].add(part)
        elif sign == "|":
            groups[-1].or_else()
        else:
            groups[-1].add(_Part(0, 0, empty=False))
    return sum(group.whole().choices for group in groups)


class _Part(NamedTuple):
    """`copies`: the choices, where what is repeated by itself is not one but as many as it may be left out."""

    choices: int
    copies: int
    empty: bool


class _Group:
    """What stands between parentheses; the last part waits for its quantifier."""

    def __init__(self) -> None:
        self._choices = self._copies = 0
        self._last = _Part(0, 0, empty=True)
        self._empty, self._one_empty = True, False

    def add(self, part: _Part) -> None:
        """Another part."""
        self._choices += self._last.choices
        self._copies += self._last.copies
        self._empty &= self._last.empty
        self._last = part

    def repeat(self, least: int, most: int, choices: int) -> None:
        """The last part as often as that, `choices` of them at will."""
        each = self._last.copies if self._last.empty and most > 1 else self._last.choices
        copies = self._last.copies * most + choices
        self._last = _Part(each * most + (choices > 0), copies, empty=self._last.empty or not least)

    def or_else(self) -> None:
        """What comes now comes instead."""
        self.add(_Part(0, 0, empty=True))
        self._one_empty |= self._empty
        self._empty = True

    def whole(self) -> _Part:
        """The group as a part."""
        self.or_else()
        return _Part(self._choices, self._copies, empty=self._one_empty)


def _times(quantifier: re.Match[str]) -> tuple[int, int, int]:
    """The least and the most copies that are written, and how many of these may be left out; a loop is one."""
    sign = quantifier["quantifier"]
    if sign in "*+?":
        return int(sign == "+"), 1, 1
    least, most = int(quantifier["least"] or 0), int(quantifier["most"] or 0)
    if not quantifier["more"]:
        return least, max(1, least), 0
    return least, max(1, least, most), most - least if most > least else int(most == 0)
