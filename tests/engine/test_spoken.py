"""Tokens as text: letters of several bytes, texts that end an answer, thoughts before it."""

import random

import pytest

from omni.engine.stepwise.spoken import Speech, Thoughts

THINKING = "{% if x %}<think></think>{% endif %}"


def spoken(pieces: list[bytes], stops: list[str]) -> tuple[list[str], bool]:
    speech = Speech(stops)
    said = [speech.add(piece) for piece in pieces]
    return [*said, speech.add(b"", last=True)], speech.stopped


def test_a_letter_of_several_tokens_comes_when_it_is_whole() -> None:
    assert spoken([b"a\xe2", b"\x82", b"\xac!"], []) == (["a", "", "€!", ""], False)


def test_what_never_becomes_a_letter_is_told_as_such() -> None:
    assert "".join(spoken([b"a\xe2"], [])[0]) == "a\ufffd"


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_ends_before_a_stop_however_it_is_cut(seed: int) -> None:
    text, dice = "one two THE END three", random.Random(seed)
    cuts = sorted(dice.sample(range(1, len(text)), 5))
    pieces = [text[a:b].encode() for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    said, stopped = spoken(pieces, ["END"])
    assert ("".join(said), stopped) == ("one two THE ", True)


def test_what_only_looked_like_a_stop_is_given_away_at_the_end() -> None:
    said, stopped = spoken([b"so E", b"N"], ["END"])
    assert said == ["so ", "", "EN"]
    assert not stopped


def thought(template: str, prompt: str, pieces: list[str]) -> dict[str, str]:
    told, thoughts = {"content": "", "reasoning_content": ""}, Thoughts(template, prompt)
    for at, piece in enumerate(pieces):
        for name, text in thoughts.add(piece, last=at == len(pieces) - 1):
            told[name] += text
    return told


@pytest.mark.parametrize(
    ("template", "prompt", "text", "reasoning", "content"),
    [
        (THINKING, "", "<think>\nwell</think>\n\nYes.", "well", "Yes."),
        (THINKING, "ask<think>\n", "well</think>Yes.", "well", "Yes."),
        (THINKING, "", "Yes <think>.", "", "Yes <think>."),
        (THINKING, "", "<think>never ends", "never ends", ""),
        ("plain", "", "<think>a</think>b", "", "<think>a</think>b"),
        (THINKING, "", "<thi", "", "<thi"),
    ],
)
def test_thoughts_are_told_from_what_is_said(
    template: str, prompt: str, text: str, reasoning: str, content: str
) -> None:
    for pieces in (list(text), [text]):
        assert thought(template, prompt, pieces) == {"content": content, "reasoning_content": reasoning}
