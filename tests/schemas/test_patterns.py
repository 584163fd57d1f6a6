"""Patterns as languages: the texts in which they are found, as ECMA-262 has it, and where other dialects differ."""

import re
from decimal import Decimal

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omni.schemas.expressions import BadPattern, Unkept
from omni.schemas.formats import FORMATS, pattern_of
from omni.schemas.languages import Language, Languages, TooLong
from omni.schemas.numbers import Bounds, Numbers
from omni.schemas.patterns import matching

PATTERNS = [
    r"^\d{4}-\d\d$", r"[\w.-]+@x", "^a.c$", "^[^a]*?$", "(?:ab)+", r"^\+\$$", "^a|b$", r"^(?!fo)[a-z]+$",
    r"^(?=.*\d)[a-z0-9]{3,}$", "(^|,)a($|,)", "^(a|b)*abb$", r"^\S+$", r"^[^\s]+$", "x*^a", "a{2,3}b?$", "^$", "a^", "$a",
    r"[^\s\S]", "", r"^(?!.*\.\.)[a-z.]+$", r"a\b.", "(?=a)b", r"\.", r"^(?:a(?=b)b){1,3}$", r"^[\]\\a-c-]+$", "]",
    r"\x61\u0062\u{63}", r"\cJ", "(?<year>a)b", "^(a*)*$", "a??b", r"^(?:(?:ab?c){2}|d{3,})$", r"\/",
]  # fmt: skip


def language_of(pattern: str) -> tuple[Languages, Language]:
    languages = Languages()
    return languages, matching(languages, pattern)


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60, deadline=None)  # a busy machine is no fault of theirs
@given(text=st.text(st.sampled_from('abcdfox0 19.-@,+$\n\\"]{}\u00e9'), max_size=8))
def test_a_text_is_in_the_language_of_a_pattern_when_the_pattern_is_found_in_it(pattern: str, text: str) -> None:
    languages, language = language_of(pattern)
    assert languages.accepts(language, text) == jsonschema_rs.is_valid({"pattern": pattern}, text)


@pytest.mark.parametrize(("pattern", "text", "matches"), [
    (r"\bfoo\b", "a foo b", True),
    (r"\bfoo\b", "foobar", False),
    (r"\Boo", "foo", True),
    (r"^\p{Lu}\p{L}*$", "Ärger", True),
    (r"^\p{Lu}\p{L}*$", "ärger", False),
    (r"^\P{L}$", "1", True),
    (r"^[\p{Lu}\d]+$", "A1", True),
    (r"^.$", "\U0001f600", True),
    (r"^\ud83d\ude00$", "\U0001f600", True),
    (r"^\w$", "ä", False),  # as ECMA-262 has it; other dialects take it for a letter of a word
    (r"^\d$", "\u0663", False),  # another script's digit
    (r"^\s$", "\u00a0", True),
    (r"^.$", "\u2028", False),  # an end of a line
    ("^a{,2}$", "a{,2}", True),  # as old scripts may write it
    ("^{$", "{", True),
    (r"^[\d-x]+$", "3-x", True),
])  # fmt: skip
def test_classes_are_those_of_ecma_262(pattern: str, text: str, matches: bool) -> None:
    languages, language = language_of(pattern)
    assert languages.accepts(language, text) is matches


@pytest.mark.parametrize("pattern", ["\u00e9 foo", "(foo)\u00e9"])
def test_an_edge_of_a_word_that_dialects_dispute_is_none(pattern: str) -> None:
    """Beside a letter with an accent `\\b` matches for ECMA-262 and does not for others: such texts are not written."""
    languages, language = language_of(r"\bfoo\b")
    assert not languages.accepts(language, "\u00e9foo")
    assert not languages.accepts(language, "foo\u00e9")


@pytest.mark.parametrize("pattern", ["(", ")", "[a", "a{3,2}", "*a", "a\\", "[z-a]", "^*", r"\u{110000}"])
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    with pytest.raises(BadPattern, match=r"\(at character \d+\)$"):
        language_of(pattern)


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", r"(?<a>x)\k<a>", "(?<=a)b", "(?<!a)b", "^(?:(?!ab).)*$", "(?i)a", r"\p{Script=Greek}", "a" * 4001, r"(a|\u00e9)\b"]
)  # fmt: skip
def test_what_no_grammar_keeps_is_known(pattern: str) -> None:
    with pytest.raises(Unkept):
        language_of(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("^a{3}$", "aaa"), ("x.y", "xay"), ("^(?=.*b)[ab]{2}$", "ab"), ("a^", None), ("^(?!a)a$", None)],
)
def test_a_short_text_of_a_language_is_in_it(pattern: str, text: str | None) -> None:
    languages, language = language_of(pattern)
    example = languages.short(language)
    assert (
        example is None
        if text is None
        else (example is not None and languages.accepts(language, example) and len(example) == len(text))
    )


def test_a_search_without_an_end_is_given_up() -> None:
    languages, language = language_of("^" + "".join(f"(?=(?:.*{sign}){{3}})" for sign in "abcdefgh") + "[a-h]{1,20}$")
    with pytest.raises(TooLong):
        languages.is_empty(language)
    with pytest.raises(TooLong):  # at once
        languages.is_empty(language)


@pytest.mark.parametrize("name", FORMATS)
def test_the_short_text_of_a_format_is_of_that_format(name: str) -> None:
    pattern = pattern_of(name)
    assert pattern is not None
    languages, language = language_of(pattern)
    text = languages.short(language)
    assert text is not None
    assert jsonschema_rs.validator_for({"format": name}, validate_formats=True).is_valid(text)
    assert re.search(r"\s", text) is None


@settings(max_examples=200, deadline=None)
@given(
    ends=st.tuples(*[st.none() | st.decimals(-3000, 3000, places=2)] * 2),
    opened=st.tuples(st.booleans(), st.booleans()),
    value=st.decimals(-3100, 3100, places=3),
    near=st.sampled_from([None, 0, 1]),
    shift=st.sampled_from(["0", "0.001", "-0.001", "1", "-0.5"]),
)
def test_a_number_is_in_the_language_of_its_bounds(
    ends: tuple[Decimal | None, Decimal | None], opened: tuple[bool, bool], value: Decimal, near: int | None, shift: str
) -> None:
    if near is not None and (end := ends[near]) is not None:
        value = end + Decimal(shift)
    least, most = ends
    bounds = Bounds(least, most, opened[0] and least is not None, opened[1] and most is not None)
    within = (least is None or value > least or (value == least and not bounds.above)) and (
        most is None or value < most or (value == most and not bounds.below)
    )
    languages = Languages()
    numbers = Numbers(languages)
    plain = format(value.normalize(), "f")
    text = "0" if plain == "-0" else plain
    whole = "." not in text
    assert languages.accepts(numbers.integers(bounds), text) == (within and whole)
    assert languages.accepts(numbers.fractions(bounds), text) == within
    assert languages.accepts(numbers.fractions(bounds, only=True), text) == (within and not whole)
