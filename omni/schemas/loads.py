"""How much an engine has to look at to follow a language.

It follows what several languages have in common (`every`) character by character, all ways of a token at once, and of
each place it comes to it looks ahead for an end, to know that there is one. Some of a few characters, such as two
patterns that each remember the last ten, keep more in mind than it takes, and it gives up in the middle of an answer.
So the places near some of those that it comes to are counted here, and those on the ways to an end.
"""

from collections.abc import Iterator

from omni.schemas import _characters as characters
from omni.schemas.languages import Language, Languages

MOST = 6000  # what is looked at, as `_weight` counts it: the engine takes 200,000 of its own steps for a token
MOST_PLACES = 2000  # of one language
MOST_ALL = 20_000  # of all languages of one compilation, or for one grammar: beyond, none is light that was not seen
_FAR = 12  # characters of a token, nearly always: of words; few tokens have many signs and digits
_MIXED = 3  # characters of any kind at the beginning of a token
_LETTERS = characters.union(characters.between("A", "Z"), characters.between("a", "z"))
_FEW = 12  # letters, of which alone no long words are made
_STEPS = 24  # from the beginning to the last place that is looked at
_EACH = 8  # steps from one of them to the next
_ASCII = 0x7F


class Loads:
    """Finds out of languages whether an engine can follow them."""

    def __init__(self, languages: Languages) -> None:
        self._languages = languages
        self._known: dict[Language, bool] = {}
        self._left = MOST_ALL

    def renew(self) -> None:
        """Allow as much as at the beginning."""
        self._left = MOST_ALL

    def are_too_much(self, language: Language) -> bool:
        """Whether an engine would give up."""
        if not language.cut:
            return False
        if (known := self._known.get(language)) is None:
            known = any(map(self._is_too_much, self._places(language)))
            if self._left > 0 or not known:  # else after `renew` it may be light
                self._known[language] = known
        return known

    def _is_too_much(self, place: Language) -> bool:
        look = _Look(self._languages, place, min(MOST_PLACES, self._left))
        self._left -= look.places
        return look.ended

    def _places(self, language: Language) -> Iterator[Language]:
        """The beginning, and some places further on: those where most is kept in mind."""
        seen = {language}
        for step in range(_STEPS):
            if step % _EACH == 0:
                yield language
            ways = [way for _, way in self._languages.ways(language)]
            if not ways:
                return
            new = [way for way in ways if way not in seen] or ways
            language = max(new, key=lambda way: (way.size, way.number))
            seen.add(language)


class _Look:
    """Looks around at one place. `places`: how many were looked at; `ended`: there was more than an engine looks at."""

    def __init__(self, languages: Languages, place: Language, most: int) -> None:
        self._languages, self._most = languages, most
        self._load = 0
        self._ending: set[Language] = set()  # of which an end is known
        self._seen: set[Language] = set()
        for here in self._near(place):
            self._find_end(here)

    @property
    def places(self) -> int:
        return len(self._seen)

    @property
    def ended(self) -> bool:
        return self._load > MOST or len(self._seen) >= self._most

    def _near(self, place: Language) -> Iterator[Language]:
        """What a token may lead to."""
        level, visited = [place], {place}
        for at in range(_FAR):
            yield from level
            level = [way for here in level for way in self._follow(here, words=at >= _MIXED)]
            level = [way for way in dict.fromkeys(level) if way not in visited]
            visited.update(level)

    def _follow(self, here: Language, *, words: bool = False) -> Iterator[Language]:
        """What comes next; with `words` only in the middle of a word."""
        if self.ended:
            return
        if here not in self._seen:
            self._seen.add(here)
            self._load += _weight(here)
        ways = self._languages.ways(here)
        if words:
            letters = [characters.both(some, _LETTERS) for some, _ in ways]
            if sum(map(characters.count, letters)) <= _FEW:
                return
            ways = [way for some, way in zip(letters, ways, strict=True) if some]
        yield from dict.fromkeys(way for _, way in ways)

    def _find_end(self, place: Language) -> None:
        """Note all places on the way to the nearest end."""
        ahead: list[Language] = [place]
        before: dict[Language, Language | None] = {place: None}
        for here in ahead:  # which grows
            if here.nullable or here in self._ending or _surely_ends(here):
                way: Language | None = here
                while way is not None:
                    self._ending.add(way)
                    way = before[way]
                return
            for way in self._follow(here):
                if way not in before:
                    before[way] = here
                    ahead.append(way)


def _surely_ends(language: Language) -> bool:
    """Whether its form tells that there is an end: one pattern, perhaps of some length."""
    if language.kind != "every":
        return not language.cut
    return not any(part.cut for part in language.parts) and sum(not _is_length(part) for part in language.parts) <= 1


def _is_length(language: Language) -> bool:
    return language.kind == "times" and language.parts[0].characters == characters.EVERY


def _weight(language: Language) -> int:
    """What is to be looked at in one place: each of several languages by itself, and each byte of a character."""
    if not language.cut:
        return 1
    parts = language.parts if language.kind == "every" else ()
    asked = sum(part.kind != "other" for part in parts)
    return max(1, asked) * (4 if _is_wide(language) else 1)


def _is_wide(language: Language) -> bool:
    """Whether characters of several bytes may come next."""
    match language.kind:
        case "one":
            return language.characters[-1][1] > _ASCII
        case "then":
            for part in language.parts:
                if _is_wide(part):
                    return True
                if not part.nullable:
                    return False
            return False
        case "every":
            return all(_is_wide(part) for part in language.parts if part.kind != "other")
        case "other":
            return True
        case _:
            return any(map(_is_wide, language.parts))
