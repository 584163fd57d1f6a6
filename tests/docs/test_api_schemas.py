"""docs/api.md, the chapters about tools and schemas: its tables and figures are those of the code."""

import re
from typing import Any

import jsonschema_rs
import pytest
from llguidance import LLMatcher, LLTokenizer

from omni.engine import binding, interpreting, proving, tool_calls
from omni.schemas import (
    SchemaRefused,
    compile_schema,
    compiled,
    costs,
    documents,
    expressions,
    forms,
    lark,
    shapes,
    weights,
    writer,
)
from omni.schemas.documents import SAYING
from omni.schemas.expressions import BadPattern, Unkept
from omni.schemas.formats import FORMATS
from omni.schemas.languages import Languages
from omni.schemas.numbers import DIGITS
from omni.schemas.patterns import matching
from tests.docs.examples import DOCS
from tests.schemas.test_grammars import KEPT
from tests.schemas.walking import admits, grammar_of

PAGE = (DOCS / "api.md").read_text("utf-8")
CHAPTER = PAGE.partition("## Answers in a form\n")[2].partition("\n## ")[0]
TOOLS = PAGE.partition("## Tools\n")[2].partition("\n## ")[0]
FREE: Any = {"type": "object", "additionalProperties": {"type": "integer"}}
HELD: list[dict[str, Any]] = [
    {**FREE, "minProperties": 2},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 2},
    {"type": "string", "pattern": r"^(a)\1$"},
    {"type": "string", "pattern": "(?<=a)b"},
    {"type": "string", "pattern": "a" * (expressions.LONGEST + 1)},
    {"type": "string", "pattern": "^(a{1,100}){1,100}$"},
    {"type": "string", "pattern": "^.*a.{12}$", "maxLength": 100},
    {"type": "string", "format": "date", "pattern": "^0"},
    {"type": "array", "not": {"const": [1]}},
    {"oneOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]},
    {"type": "string", "not": {"format": "date"}},
    {"type": "integer", "if": {"multipleOf": 3}, "then": {"maximum": 30}, "else": {"minimum": 30}},
    {"type": "object", "not": {"const": {"a": 1}}},
]


def rows(chapter: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first heading this is."""
    (table,) = re.findall(rf"^\| {heading} \|.*?\n\|[-|]+\n(.*?)\n\n", chapter, re.DOTALL | re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.split("\n")]


def test_every_keyword_is_in_the_table_and_none_that_means_nothing() -> None:
    told = [
        set(re.findall(r"`([$\w]+)`", row[0])) for row in rows(CHAPTER, "In the schema") if row[1] != "Notes for people"
    ]
    known = {keyword for keyword in SAYING if not keyword.startswith("\0")} - {"$recursiveRef"}
    assert set().union(*told) == known


def test_what_is_kept_token_by_token_is() -> None:
    told = {
        keyword
        for row in rows(CHAPTER, "In the schema")
        if row[1] == "Token by token"
        for keyword in re.findall(r"`([$\w]+)`", row[0])
    }
    shown = {keyword for schema in KEPT.values() for keyword in keywords(schema)}
    assert told - shown == set()
    assert {name: compile_schema(schema).loose for name, schema in KEPT.items() if compile_schema(schema).loose} == {}


def keywords(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(keywords, schema)) if schema else set()
    return set(schema) | keywords(list(schema.values())) if isinstance(schema, dict) else set()


@pytest.mark.parametrize("schema", HELD, ids=lambda one: str(one)[:60])
def test_what_is_held_until_it_is_proved_is_what_no_grammar_keeps(schema: dict[str, Any]) -> None:
    (loose,) = compile_schema(schema).loose
    held = " ".join(row[0] for row in rows(CHAPTER, "In the schema") if row[1] == "Held until the whole is proved")
    assert f"`{loose.keyword}`" in held
    assert loose.place == "#"


def test_the_limits_are_those_of_the_code() -> None:
    assert {what: int(most.replace(",", "")) for what, most in rows(CHAPTER, "A schema may have")} == {
        "Levels": documents.DEEPEST,
        "Parts (objects and lists)": documents.MOST_PARTS,
        "Bytes": documents.LONGEST,
        "Different parts, counting what is joined of several": forms.MOST,
        "Parts that one leads to, each counted whenever it is led to": weights.MOST_LOOKS,
        "Steps of its compilation: each value and part, by each that it is compared or joined with": costs.MOST_STEPS,
        "Items or properties that must be there": shapes.LONGEST_LIST,
        "Characters of its shortest answer": forms.LONGEST,
        "Symbols of its grammar": compiled.MOST_SYMBOLS,
    }


def test_the_other_figures_are_those_of_the_code() -> None:
    assert f"In one object {writer.MOST_OPTIONAL} that may be left out" in CHAPTER
    assert f"more than {writer.MOST_AT_ONCE:,} properties" in " ".join(CHAPTER.split())
    assert f"have {DIGITS} digits" in CHAPTER
    assert f"with digits above {shapes.HARDEST:,}" in CHAPTER
    assert f"the {shapes.MOST_MULTIPLES:,} multiples next to 0" in CHAPTER
    assert f"of more than {expressions.LONGEST:,} characters" in CHAPTER
    assert f"at most {lark.BLANKS} blanks or {lark.TABS} tabs" in CHAPTER
    assert f"more than {weights.MOST_VISITS:,} times, or that has more than {weights.MOST_COUNTED:,} values" in CHAPTER
    values = {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2}
    assert compile_schema(values).loose == ()
    assert f"a temperature of {interpreting.WARMEST}" in CHAPTER
    assert proving.TRIES == len(tool_calls.DENSITIES) == 3
    assert CHAPTER.count("three times in all") == TOOLS.count("three times in all") == 1
    assert f"({tool_calls.FIRST_TOKENS:,} at most)" in TOOLS
    assert (binding.MOST_CALLS, "up to eight" in TOOLS) == (8, True)


def test_properties_come_in_their_order_and_others_only_where_they_are_spoken_of() -> None:
    named: Any = {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}}
    assert admits(grammar_of(compile_schema(named)), '{"a": null, "b": null}')
    assert not admits(grammar_of(compile_schema(named)), '{"b": null, "a": null}')
    assert not admits(grammar_of(compile_schema(named)), '{"c": null}')
    assert admits(grammar_of(compile_schema({**named, "additionalProperties": {"type": "null"}})), '{"c": null}')
    assert admits(grammar_of(compile_schema({"type": "object"})), '{"c": null}')


def test_so_many_properties_that_may_be_left_out_are_offered() -> None:
    most = writer.MOST_OPTIONAL
    grammar = grammar_of(
        compile_schema({"type": "object", "properties": {f"p{at}": {"type": "null"} for at in range(most + 1)}})
    )
    assert admits(grammar, f'{{"p{most - 1}": null}}')
    assert not admits(grammar, f'{{"p{most}": null}}')


def test_of_very_many_alternatives_the_first_are_offered() -> None:
    def option(number: int) -> Any:
        names = {f"p{number}_{at}": {"type": "null"} for at in range(200)}
        return {"type": "object", "properties": names, "additionalProperties": False}

    grammar = grammar_of(compile_schema({"anyOf": [option(at) for at in range(20)]}))
    assert admits(grammar, '{"p0_0": null}')
    assert not admits(grammar, '{"p19_0": null}')


def test_what_says_nothing_of_types_is_of_those_that_it_speaks_of() -> None:
    grammar = grammar_of(compile_schema({"minLength": 1}))
    assert admits(grammar, '"a"')
    assert not admits(grammar, "1")
    whole = grammar_of(compile_schema({"type": "integer"}))
    assert admits(whole, "9" * DIGITS)
    assert not admits(whole, "9" * (DIGITS + 1))


@pytest.mark.parametrize(
    ("schema", "draft"),
    [
        ({}, 2020),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, 7),
        ({"$schema": "https://json-schema.org/draft/2019-09/schema"}, 2019),
        ({"$schema": "http://json-schema.org/draft-06/schema"}, 6),
        ({"$schema": "https://example.com/mine"}, 2020),
        ({"items": [{}, {}]}, 2019),
        ({"minimum": 0, "exclusiveMinimum": True}, 4),
    ],
)
def test_the_draft_is_the_one_that_is_named_or_the_newest_that_is_followed(schema: Any, draft: int) -> None:
    assert compile_schema(schema).document.draft == draft


def test_the_formats_that_count_are_told_and_count() -> None:
    (listed,) = re.findall(r"^Formats that count: (.*?)\.\n\n", CHAPTER, re.DOTALL | re.MULTILINE)
    assert set(re.findall(r"`([\w-]+)`", listed)) == set(FORMATS)
    for name in FORMATS:
        compiled_one = compile_schema({"type": "string", "format": name})
        assert compiled_one.loose == ()
        wrong = (
            "("
            if name == "regex"
            else "{"
            if name == "uri-template"
            else "\\ no%"
            if "ref" in name
            else "no such thing"
        )
        assert compiled_one.fault(wrong) is not None, name
    assert compile_schema({"type": "string", "format": "colour"}).fault("no such thing") is None


# -- the dialects of patterns: each cell is tried


def of_ecma(pattern: str, text: str | None) -> str:
    """What Omni's own reader says, which follows ECMA-262; what it does not keep is known all the same."""
    languages = Languages()
    try:
        language = matching(languages, pattern)
    except BadPattern:
        return "refused"
    except Unkept:
        return "refused" if "(?i" in pattern else "known"
    return "known" if text is None else "found" if languages.accepts(language, text) else "not found"


def of_validator(pattern: str, text: str | None) -> str:
    try:
        validator = jsonschema_rs.validator_for({"pattern": pattern})
    except (jsonschema_rs.ValidationError, ValueError):
        return "refused"
    return "known" if text is None else "found" if validator.is_valid(text) else "not found"


def of_engine(pattern: str, text: str | None) -> str:
    matcher = LLMatcher(LLTokenizer("byte"), f"%llguidance {{}}\nstart: /{pattern}/\n")
    if matcher.is_error():
        return "refused"
    if text is None:
        return "known"
    ended = all(matcher.consume_token(byte) for byte in text.encode()) and matcher.is_accepting()
    return "found" if ended else "not found"


def here(pattern: str, text: str | None) -> str:
    try:
        schema = compile_schema({"type": "string", "pattern": pattern})
    except SchemaRefused:
        return "a 400"
    if schema.loose:
        return "held"
    if text is not None and not admits(grammar_of(schema), f'"{text}"'):
        return "not offered"
    return "kept" if text is None else "found"


DIALECTS = [
    (patterns, text, cells)
    for cell, *cells in rows(CHAPTER, "Pattern")
    for text in re.findall(r'"(.+?)"', cell)[:1] or [None]
    for patterns in [re.findall(r"`(.+?)`", cell)]
]


@pytest.mark.parametrize(("patterns", "text", "cells"), DIALECTS, ids=str)
def test_the_table_of_dialects_is_true(patterns: list[str], text: str | None, cells: list[str]) -> None:
    texts = {"٣": ["٣", "ä"], r"\r": ["\r", "\u2028"]}.get(text or "", [text] * len(patterns))
    patterns = patterns * len(texts) if len(patterns) < len(texts) else patterns
    for pattern, one in zip(patterns, texts, strict=True):
        verdicts = [of_ecma(pattern, one), of_validator(pattern, one), of_engine(pattern, one), here(pattern, one)]
        assert [cell.startswith(word) for cell, word in zip(cells, verdicts, strict=True)] == [True] * 4, (
            pattern,
            verdicts,
        )


def test_what_the_validators_dialect_refuses_is_proved_by_omni_itself() -> None:
    schema = compile_schema({"type": "string", "pattern": "^a{,2}$"})
    assert schema.fault("a{,2}") is None
    assert schema.fault("aa") is not None


def test_what_dialects_dispute_is_not_offered() -> None:
    grammar = grammar_of(compile_schema({"type": "string", "pattern": r"\bfoo\b"}))
    assert admits(grammar, '"a foo"')
    assert not admits(grammar, '"\u00e9foo"')
