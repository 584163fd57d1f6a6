"""Texts of which much is said at once: what an engine can follow is in the grammar, the rest is held, and no engine gives
up. It takes tokens of many letters here, since what a token may lead to is what it has to look at."""

import random
from functools import cache
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from omni.schemas import compile_schema
from omni.schemas.languages import Languages
from omni.schemas.loads import MOST_ALL, Loads
from omni.schemas.patterns import matching
from tests.schemas.walking import admits, grammar_of

WORDS = ["foo", "bar", "baz", "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota"]
LATE = tuple(f"^.*{sign}.{{{8 + at}}}$" for at, sign in enumerate("abc"))  # each remembers its last ten characters
PASSWORD = ("[a-z]", "[A-Z]", "[0-9]", "[^a-zA-Z0-9]")
ZOD_EMAIL = r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"


def all_of(*patterns: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "allOf": [{"pattern": pattern} for pattern in patterns], **more}


def none_of(*patterns: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "allOf": [{"not": {"pattern": pattern}} for pattern in patterns], **more}


KEPT = {
    "two that are found": (all_of("foo", "bar", maxLength=100), "a foo or a bar", "a foo"),
    "a password": (all_of(*PASSWORD, minLength=8, maxLength=64), "aB3$aB3$", "aB3aB3aB3"),
    "begin, middle and end": (all_of("^foo.*", ".*baz.*", "^.*bar$", maxLength=500), "foo baz bar", "foo bar"),
    "twelve denied": (none_of(*WORDS), "nothing of it", "a gamma ray"),
    "twelve denied of some length": (none_of(*WORDS, maxLength=1000), "nothing of it", "a gamma ray"),
    "denied ends": (none_of(*(f"{word}$" for word in WORDS), maxLength=60), "a foo that goes on", "a foo"),
    "denied beginnings": (none_of(*(f"^{word}" for word in WORDS), maxLength=60), "a foo", "foot"),
    "a format and its pattern": ({"type": "string", "format": "email", "pattern": ZOD_EMAIL, "maxLength": 254}, "a@b.de", "a..b@b.de"),
    "a pattern of some length": ({"type": "string", "pattern": r"^\S(.*\S)?$", "maxLength": 200}, "a b", "a "),
    "many states of few letters": ({"type": "string", "pattern": "^(a|b)*a(a|b){18}$", "minLength": 25}, "ab" * 12 + "aaa" + "b" * 16, "b" * 30),
}  # fmt: skip
HELD: dict[str, tuple[dict[str, Any], set[str]]] = {
    "two that remember": (all_of(*LATE[:2]), {"#/allOf/1"}),
    "two that remember, of some length": (all_of(*LATE[:2], maxLength=200), {"#/allOf/0", "#/allOf/1"}),
    "three of them": (all_of(*LATE, maxLength=100), {"#/allOf/0", "#/allOf/1", "#/allOf/2"}),
    "two that are denied": (none_of(*LATE[:2], maxLength=100), {"#/allOf/0/not", "#/allOf/1/not"}),
    "shorter memories": (all_of("^.*a.{2}$", "^.*b.{3}$", maxLength=100), {"#/allOf/1"}),
    "very many that are found": (all_of(*WORDS[:6], maxLength=100), {"#/allOf/3", "#/allOf/4", "#/allOf/5"}),
}


@cache
def words() -> tuple[Any, list[bytes]]:
    """A tokenizer of bytes and of many words of letters, and its tokens."""
    chance = random.Random(7)
    vocabulary = {
        "".join(chance.choices("etaoinshrdlucmbfzg ", k=chance.randint(2, 10))).encode() for _ in range(20_000)
    }
    tokens = [bytes([byte]) for byte in range(256)] + sorted(vocabulary)

    class Made:
        eos_token_id, bos_token_id, special_token_ids = len(tokens), None, [len(tokens)]

        def __init__(self) -> None:
            self.tokens = [*tokens, b"<end>"]

        def __call__(self, text: bytes | str) -> list[int]:
            return list(text.encode() if isinstance(text, str) else text)

    return LLTokenizer(TokenizerWrapper(Made())), tokens


def follow(grammar: str, chance: random.Random, *, longest: int = 40) -> None:
    """Walk through a grammar by tokens. Fails where the engine gives up."""
    tokenizer, tokens = words()
    matcher = LLMatcher(tokenizer, grammar)
    assert not matcher.is_error(), matcher.get_error()
    for _ in range(longest):
        bias = matcher.compute_logit_bias()
        assert not matcher.is_error(), matcher.get_error()
        allowed = [token for token in range(len(tokens)) if bias[token]]
        if not allowed or matcher.is_stopped():
            return
        assert matcher.consume_token(chance.choice(allowed)), matcher.get_error()


@pytest.mark.parametrize("name", KEPT)
def test_what_an_engine_can_follow_is_kept_token_by_token(name: str) -> None:
    schema, right, wrong = KEPT[name]
    compiled = compile_schema(schema)
    assert compiled.loose == ()
    grammar = grammar_of(compiled)
    assert (compiled.fault(right), admits(grammar, f'"{right}"')) == (None, True)
    assert compiled.fault(wrong) is not None
    assert not admits(grammar, f'"{wrong}"')
    for seed in range(3):
        follow(grammar, random.Random(seed))


@pytest.mark.parametrize("name", HELD)
def test_what_an_engine_cannot_follow_is_held_and_named(name: str) -> None:
    schema, places = HELD[name]
    compiled = compile_schema(schema)
    assert {one.keyword for one in compiled.loose} == {"pattern"}
    assert {one.place for one in compiled.loose} == places
    for seed in range(3):
        follow(grammar_of(compiled), random.Random(seed))


def test_what_is_held_still_has_the_length_that_is_asked_for() -> None:
    grammar = grammar_of(compile_schema(all_of(*LATE[:2], maxLength=12)))
    assert admits(grammar, '"%s"' % ("b" * 12))
    assert not admits(grammar, '"%s"' % ("b" * 13))


def test_names_that_no_engine_can_follow_are_not_offered() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "null"}}, "patternProperties": {LATE[0]: {"type": "null"}}}
    schema["propertyNames"] = {"maxLength": 100}
    grammar = grammar_of(compile_schema(schema))
    assert admits(grammar, '{"a": null}')
    assert not admits(grammar, '{"a0A-_.1b2": null}')
    follow(grammar, random.Random(1))


def test_a_length_that_makes_a_pattern_too_much_is_not_added_to_end_it() -> None:
    compiled = compile_schema({"type": "string", "pattern": "^.*a.{12}$"})
    assert compiled.loose == ()
    follow(grammar_of(compiled, 200), random.Random(1))


def test_what_was_not_looked_at_is_not_said_to_be_light() -> None:
    languages = Languages()
    loads = Loads(languages)
    light = languages.every(matching(languages, "a"), matching(languages, "b"))
    loads._left = 0
    assert loads.are_too_much(light)
    other = Loads(languages)
    assert not other.are_too_much(light)
    assert 0 < MOST_ALL - other._left < 100


def test_any_text_beside_what_may_be_empty_is_any_text() -> None:
    make = Languages()
    some = make.times(make.text("a"))
    assert make.then(make.any_text, some) is make.then(some, make.any_text) is make.any_text
    assert make.then(some, make.any_text, some, make.text("b")) is make.then(make.any_text, make.text("b"))


def test_names_by_many_patterns_are_followed_and_end_where_they_must() -> None:
    compiled = compile_schema(
        {"type": "object", "patternProperties": {word: {"type": "integer"} for word in WORDS[:6]}}
    )
    for characters in (None, 400, 4096):
        grammar = grammar_of(compiled, characters)
        assert (admits(grammar, '{"a foo": 1}'), admits(grammar, '{"a foo": "x"}')) == (True, False)
        for seed in range(3):
            follow(grammar, random.Random(seed))


def test_to_find_out_where_characters_part_is_done_once_for_the_same_sets() -> None:
    """A class such as `\\b` has hundreds of ranges; ten such patterns took minutes."""
    properties = {f"p{at}": {"pattern": rf"\bfoo{at}\b", "not": {"pattern": f"^.*a.{{{5 + at}}}$"}} for at in range(10)}
    assert compile_schema({"type": "object", "properties": properties}).size < 3_000_000
