"""The texts in which a pattern is found, as a language.

A pattern is made a language from its end to its beginning: each part knows what may follow it, to the end of the text.
So an end (`$`) is that nothing follows, and what is looked at ahead (`(?=…)`) is said of all that follows.
"""

from typing import Literal

from omni.schemas import _characters as characters
from omni.schemas.expressions import (
    Edge,
    Either,
    EndAnchor,
    Lookahead,
    One,
    StartAnchor,
    Then,
    Times,
    Tree,
    Unkept,
    parsed,
)
from omni.schemas.languages import Language, Languages

Left = Literal[
    "start", "word", "other", "unknown"
]  # what stands before a part: nothing, a character of a word, another

_UNFOLDED = 8  # repetitions of what looks around that are written out


def matching(languages: Languages, pattern: str) -> Language:
    """The texts that `pattern` is found in, wherever it does not say where. Raises BadPattern, Unkept."""
    tree = parsed(pattern)
    return _Maker(languages, edges=_has_edge(tree)).language(tree)


class _Maker:
    """Makes one pattern a language."""

    def __init__(self, languages: Languages, *, edges: bool) -> None:
        self._languages = languages
        self._edges = edges  # whether it asks for edges of words, so that it matters what stands before a part

    def language(self, tree: Tree) -> Language:
        make, any_text = self._languages, self._languages.any_text
        if not _looks(tree):
            return make.then(any_text, self._made(tree, any_text, "unknown"))
        at_start = self._made(tree, any_text, "start")
        try:
            later = self._made(tree, any_text, "unknown")
        except Unkept:
            if not self._edges:
                raise
        else:
            return make.either(at_start, make.then(make.times(make.any_character, 1), later))
        befores: tuple[tuple[characters.Characters, Left], ...] = (
            (characters.WORD, "word"),
            (characters.between_words(), "other"),
        )
        laters = (make.then(any_text, make.one(some), self._made(tree, any_text, left)) for some, left in befores)
        return make.either(at_start, *laters)

    def _made(self, tree: Tree, rest: Language, left: Left) -> Language:
        """`tree`, and then `rest` to the end of the text."""
        make = self._languages
        match tree:
            case One(characters=some):
                return make.then(make.one(some), rest)
            case Then(parts=parts):
                return self._sequence(parts, rest, left)
            case Either(parts=parts):
                return make.either(*(self._made(part, rest, left) for part in parts))
            case Times():
                return self._repeated(tree, rest, left)
            case StartAnchor():
                return rest if left == "start" else make.nothing
            case EndAnchor():
                return make.every(rest, make.empty)
            case Edge(there=there):
                return self._edge(rest, left, there=there)
            case Lookahead(part=part, there=there):
                seen = self._made(part, make.any_text, left)
                return make.every(seen if there else make.other(seen), rest)

    def _sequence(self, parts: tuple[Tree, ...], rest: Language, left: Left) -> Language:
        if not parts:
            return rest
        first, others = parts[0], parts[1:]
        if _width(first) == "none":
            return self._made(first, self._sequence(others, rest, left), left)
        after = self._sequence(others, rest, _left(first) if self._edges else "unknown")
        if _width(first) == "some" or not any(_looks_back(part) for part in others):
            return self._made(first, after, left)
        skipped = self._sequence(others, rest, left)
        return self._languages.either(self._made(first, after, left), self._vanished(first, skipped, left))

    def _vanished(self, tree: Tree, rest: Language, left: Left) -> Language:
        """`tree` where it takes no characters, and then `rest`."""
        make = self._languages
        match tree:
            case One():
                return make.nothing
            case Then(parts=parts):
                for part in reversed(parts):
                    rest = self._vanished(part, rest, left)
                return rest
            case Either(parts=parts):
                return make.either(*(self._vanished(part, rest, left) for part in parts))
            case Times(part=part, least=least):
                return self._vanished(part, rest, left) if least else rest
            case _:
                return self._made(tree, rest, left)

    def _repeated(self, tree: Times, rest: Language, left: Left) -> Language:
        make, part = self._languages, tree.part
        if not _looks(part):
            return make.then(make.times(self._made(part, make.empty, "unknown"), tree.least, tree.most), rest)
        most = tree.most
        if most is None or most > _UNFOLDED:
            raise Unkept("a repetition of what looks around")
        return make.either(*(self._sequence((part,) * often, rest, left) for often in range(tree.least, most + 1)))

    def _edge(self, rest: Language, left: Left, *, there: bool) -> Language:
        make = self._languages
        if left == "unknown":
            raise Unkept("an edge of a word (\\b) after what may be in a word or not")
        if (left == "word") != there:
            return make.every(make.then(make.one(characters.WORD), make.any_text), rest)
        between = make.then(make.one(characters.between_words()), make.any_text)
        return make.every(make.either(make.empty, between), rest)


def _looks(tree: Tree) -> bool:
    """Whether it depends on what stands around it."""
    match tree:
        case One():
            return False
        case Then(parts=parts) | Either(parts=parts):
            return any(map(_looks, parts))
        case Times(part=part):
            return _looks(part)
        case _:
            return True


def _has_edge(tree: Tree) -> bool:
    match tree:
        case Then(parts=parts) | Either(parts=parts):
            return any(map(_has_edge, parts))
        case Times(part=part) | Lookahead(part=part):
            return _has_edge(part)
        case _:
            return isinstance(tree, Edge)


def _looks_back(tree: Tree) -> bool:
    """Whether it depends on what stands before it."""
    match tree:
        case Then(parts=parts) | Either(parts=parts):
            return any(map(_looks_back, parts))
        case Times(part=part) | Lookahead(part=part):
            return _looks_back(part)
        case _:
            return isinstance(tree, StartAnchor | Edge)


def _width(tree: Tree) -> Literal["none", "some", "any"]:
    """Whether it takes no characters, at least one, or either."""
    match tree:
        case One():
            return "some"
        case Then(parts=parts):
            widths = {_width(part) for part in parts}
            return "some" if "some" in widths else "any" if "any" in widths else "none"
        case Either(parts=parts):
            widths = {_width(part) for part in parts}
            return widths.pop() if len(widths) == 1 else "any"
        case Times(part=part, least=least, most=most):
            width = _width(part)
            return "none" if most == 0 or width == "none" else width if least else "any"
        case _:
            return "none"


def _left(tree: Tree) -> Left:
    """What stands before that which follows `tree`, when that took characters."""
    match tree:
        case One(characters=some):
            if characters.both(some, characters.WORD) == some:
                return "word"
            return "other" if characters.both(some, characters.between_words()) == some else "unknown"
        case Then(parts=parts) if parts and _width(parts[-1]) == "some":
            return _left(parts[-1])
        case Either(parts=parts) if all(_width(part) == "some" for part in parts):
            lefts = {_left(part) for part in parts}
            return lefts.pop() if len(lefts) == 1 else "unknown"
        case Times(part=part) if _width(part) == "some":
            return _left(part)
        case _:
            return "unknown"
