"""Sets of characters as sorted ranges of code points, both ends included. Halves of surrogate pairs are no characters."""

import sys
import unicodedata
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache

Characters = tuple[tuple[int, int], ...]

EVERY: Characters = ((0, 0xD7FF), (0xE000, sys.maxunicode))
NONE: Characters = ()


def of(text: str) -> Characters:
    """The characters of `text`."""
    return union((ord(one), ord(one)) for one in text)


def between(first: str | int, last: str | int) -> Characters:
    """From one character to another."""
    low, high = (one if isinstance(one, int) else ord(one) for one in (first, last))
    return both(((low, high),), EVERY)


def union(*sets: Iterable[tuple[int, int]]) -> Characters:
    """What is in any of them."""
    ranges: list[tuple[int, int]] = []
    for low, high in sorted(one for each in sets for one in each):
        if ranges and low <= ranges[-1][1] + 1:
            ranges[-1] = ranges[-1][0], max(high, ranges[-1][1])
        else:
            ranges.append((low, high))
    return tuple(ranges)


def both(some: Characters, others: Characters) -> Characters:
    """What is in both of them."""
    return tuple(_overlaps(some, others))


def _overlaps(some: Characters, others: Characters) -> Iterator[tuple[int, int]]:
    at = other = 0
    while at < len(some) and other < len(others):
        low, high = max(some[at][0], others[other][0]), min(some[at][1], others[other][1])
        if low <= high:
            yield low, high
        if some[at][1] < others[other][1]:
            at += 1
        else:
            other += 1


def other(some: Characters) -> Characters:
    """All others."""
    gaps, begin = [], 0
    for low, high in some:
        if begin < low:
            gaps.append((begin, low - 1))
        begin = high + 1
    if begin <= sys.maxunicode:
        gaps.append((begin, sys.maxunicode))
    return both(tuple(gaps), EVERY)


def count(some: Characters) -> int:
    """How many there are."""
    return sum(high - low + 1 for low, high in some)


def has(some: Characters, point: int) -> bool:
    """Whether a code point is in it."""
    at = bisect_right(some, (point, sys.maxunicode)) - 1
    return at >= 0 and point <= some[at][1]


def partition(sets: Iterable[Characters]) -> list[Characters]:
    """All characters, those apart that are not in the same sets."""
    turns: defaultdict[int, int] = defaultdict(int)  # the sets, each a bit, that begin or end at a code point
    for number, some in enumerate((EVERY, *sets)):
        for low, high in some:
            turns[low] ^= 1 << number
            turns[high + 1] ^= 1 << number
    blocks: dict[int, list[tuple[int, int]]] = {}
    inside, begin = 0, 0
    for point in sorted(turns):
        if not turns[point]:
            continue
        if inside & 1:
            blocks.setdefault(inside, []).append((begin, point - 1))
        inside, begin = inside ^ turns[point], point
    return [tuple(some) for some in blocks.values()]


def category(name: str) -> Characters | None:
    """The characters of a Unicode category (`L`, `Lu`, …) by its short name; None for one that is not known."""
    return union(*(some for each, some in _categories().items() if each.startswith(name))) or None


@cache
def _categories() -> dict[str, Characters]:
    """All categories, in one walk through Unicode."""
    categories: dict[str, list[tuple[int, int]]] = {}
    for low, high in EVERY:
        begin, last = low, unicodedata.category(chr(low))
        for point in range(low + 1, high + 1):
            here = unicodedata.category(chr(point))
            if here != last:
                categories.setdefault(last, []).append((begin, point - 1))
                begin, last = point, here
        categories.setdefault(last, []).append((begin, high))
    return {name: tuple(some) for name, some in categories.items()}


DIGITS = between("0", "9")
WORD = union(DIGITS, between("A", "Z"), between("a", "z"), of("_"))
LINE_ENDS = of("\n\r\u2028\u2029")
SPACES = union(of("\t\v\f \u00a0\u1680\u202f\u205f\u3000\ufeff"), between(0x2000, 0x200A), LINE_ENDS)


@cache
def between_words() -> Characters:
    """What ends a word whoever reads the pattern: to ECMA-262 a letter with an accent does, to others it is in the word."""
    return other(union(WORD, *(category(name) or NONE for name in ("L", "M", "Nd", "Pc")), of("\u200c\u200d")))
