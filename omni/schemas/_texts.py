"""The texts that a case allows, as one language: what its lengths, patterns and formats have in common."""

from collections.abc import Iterator

from omni.schemas._cases import Cases
from omni.schemas._errors import Impossible
from omni.schemas.facts import Constraints, KeywordPlace, Loose
from omni.schemas.formats import is_formed, is_known, pattern_of, widest_of
from omni.schemas.languages import Language, Languages, TooLong
from omni.schemas.loads import Loads


class Texts:
    """Finds the texts of cases."""

    def __init__(self, cases: Cases, languages: Languages, loads: Loads) -> None:
        self._cases, self._languages, self._loads = cases, languages, loads
        self._address = cases.parts.document.address

    def of(self, facts: Constraints) -> tuple[Language, frozenset[Loose]]:
        """The language, and what of the case it does not keep. Raises Impossible."""
        self._cases.costs.count(1 + len(facts.not_values) + len(facts.texts))
        return _Joining(self._cases, self._languages, self._loads, facts).joined()

    def hold(self, text: str, facts: Constraints) -> bool:
        """Whether a text is as a case says."""
        if not facts.shortest <= len(text) <= (len(text) if facts.longest is None else facts.longest):
            return False
        if not all(self._languages.accepts(language, text) for language, _ in facts.texts):
            return False
        return all(is_formed(text, name, self._address) for name, _ in facts.formats)


class _Joining:
    """Joins what one case says. `_first` is what a grammar keeps at least, with as many as it can of `_more`; `_whole`
    is all that is known, and `_usual` that with the usual texts of formats alone."""

    def __init__(self, cases: Cases, languages: Languages, loads: Loads, facts: Constraints) -> None:
        self._cases, self._languages, self._loads, self._facts = cases, languages, loads, facts
        self._loose = facts.loose
        self._first = self._whole = self._usual = languages.any_text
        self._more: list[tuple[Language, Loose | None]] = []  # and what is to be proved where it cannot be kept

    def joined(self) -> tuple[Language, frozenset[Loose]]:
        self._join_lengths()
        self._join_denied()
        for pattern, place in self._facts.texts:
            self._join_pattern(pattern, place)
        self._usual = self._whole
        for name, place in sorted(self._facts.formats, key=lambda said: not self._is_known(said[0])):
            self._join_format(name, place)
        return self._kept()

    def _join_lengths(self) -> None:
        make, facts = self._languages, self._facts
        if facts.longest is not None and facts.longest < facts.shortest:
            raise Impossible(
                f"is {facts.longest:,}, and {facts.by('minLength')} is {facts.shortest:,}", *facts.by("maxLength")
            )
        self._first = self._whole = make.times(make.any_character, facts.shortest, facts.longest)

    def _join_denied(self) -> None:
        make, facts = self._languages, self._facts
        denied = [make.text(value) for value in facts.not_values.values() if isinstance(value, str)]
        if not denied:
            return
        self._first = self._whole = make.every(self._first, *map(make.other, denied))
        if not self._languages.may_be(self._whole):
            raise Impossible("denies all texts that the rest of it allows", *facts.by("not"))

    def _join_pattern(self, pattern: Language, place: str) -> None:
        make, whole = self._languages, self._languages.every(self._whole, pattern)
        try:
            if make.is_empty(whole):
                why = "no text at all" if make.is_empty(pattern) else "no text that the rest of it allows"
                raise Impossible(f"is found in {why}", "pattern", place)
        except TooLong:  # then an engine does not get through either
            self._loose |= {Loose("pattern", place)}
            return
        self._whole = whole
        self._more.append((pattern, Loose("pattern", place)))

    def _join_format(self, name: str, place: str) -> None:
        make, usual = self._languages, pattern_of(name)
        formed = None if usual is None else self._cases.language(usual, place)
        if formed is None:
            return
        known = self._is_known(name)
        if known:
            self._check_format(name, place)
        if make.may_be(joined := make.every(self._usual, formed)):
            self._usual = joined
            self._more.append((formed, Loose("format", place) if known else None))
        elif known:
            self._loose |= {Loose("format", place)}

    def _is_known(self, name: str) -> bool:
        return is_known(name, self._cases.parts.document.address)

    def _check_format(self, name: str, place: str) -> None:
        """Raises Impossible where nothing of a format can be there, usual or not."""
        make = self._languages
        if not (pattern := widest_of(name)) or (widest := self._cases.language(pattern, place)) is None:
            return
        whole = make.every(self._whole, widest)
        if make.may_be(whole):
            self._whole = whole
            return
        against = next(
            (said for said, language in self._sayings(name) if not make.may_be(make.every(language, widest))),
            "the rest of it",
        )
        raise Impossible(f"is {name!r}, and nothing of that format is as {against} says", "format", place)

    def _sayings(self, name: str) -> Iterator[tuple[KeywordPlace, Language]]:
        """What is said of the text besides one format, each by itself."""
        make, facts = self._languages, self._facts
        if facts.longest is not None:
            yield facts.by("maxLength"), make.times(make.any_character, 0, facts.longest)
        yield facts.by("minLength"), make.times(make.any_character, facts.shortest)
        for pattern, place in facts.texts:
            yield KeywordPlace("pattern", place), pattern
        for other, place in facts.formats:
            if other != name and self._is_known(other) and (widest := widest_of(other)):
                yield KeywordPlace("format", place), self._cases.language(widest, place) or make.any_text

    def _kept(self) -> tuple[Language, frozenset[Loose]]:
        """All, or as much of it as an engine can follow."""
        make, first, loose = self._languages, self._first, self._loose
        whole = make.every(first, *(more for more, _ in self._more))
        if not self._loads.are_too_much(whole):
            return whole, loose
        for more, keyword in self._more:
            narrower = make.every(first, more)
            if not self._loads.are_too_much(narrower):
                first = narrower
            elif keyword is not None:
                loose |= {keyword}
        return first, loose
