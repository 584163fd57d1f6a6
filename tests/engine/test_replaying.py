"""What of an answer that is said again is new, and when it is another."""

import pytest

from omni.core.events import (
    EngineEvent,
    ReasoningDelta,
    TextDelta,
    TokenAlternative,
    TokenLogprob,
    ToolCallDelta,
    TurnEnded,
    Usage,
)
from omni.engine.replaying import Diverged, Replay

ENDED = TurnEnded(reason="stop", usage=Usage(), context_allocated=0)


def token(text: str, logprob: float = -1.0) -> TokenLogprob:
    return TokenLogprob(chosen=TokenAlternative(token=text, bytes=tuple(text.encode()), logprob=logprob))


def replayed(first: list[EngineEvent], second: list[EngineEvent]) -> list[EngineEvent]:
    replay = Replay()
    assert [new for event in first for new in replay.new(event)] == first
    replay.again()
    return [new for event in second for new in replay.new(event)]


def test_texts_come_once_however_they_are_cut() -> None:
    first: list[EngineEvent] = [
        ReasoningDelta(text="Well"),
        ReasoningDelta(text=" now."),
        TextDelta(text="Yes, "),
        TextDelta(text="I"),
    ]
    second: list[EngineEvent] = [
        ReasoningDelta(text="Well now"),
        ReasoningDelta(text="."),
        TextDelta(text="Yes, I do"),
        ENDED,
    ]
    assert replayed(first, second) == [TextDelta(text=" do"), ENDED]


def test_a_call_keeps_the_id_that_was_given() -> None:
    first: list[EngineEvent] = [ToolCallDelta(index=0, id="a", name="look"), ToolCallDelta(index=0, arguments='{"of')]
    second: list[EngineEvent] = [
        ToolCallDelta(index=0, id="b", name="look", arguments="{"),
        ToolCallDelta(index=0, arguments='"of": 1}'),
        ToolCallDelta(index=1, id="c", name="read", arguments="{}"),
        ENDED,
    ]
    assert replayed(first, second) == [ToolCallDelta(index=0, arguments='": 1}'), *second[2:]]


def test_likelihoods_are_told_once() -> None:
    first: list[EngineEvent] = [TextDelta(text="Yes"), token("Yes")]
    second: list[EngineEvent] = [TextDelta(text="Yes"), token("Yes", -1.1), TextDelta(text="!"), token("!"), ENDED]
    assert replayed(first, second) == second[2:]


def test_it_may_be_said_more_than_twice() -> None:
    replay = Replay()
    for until in (2, 4, 3, 6):
        replay.again()
        events = [new for each in "abcdef"[:until] for new in replay.new(TextDelta(text=each))]
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        assert text == {2: "ab", 4: "cd", 3: "", 6: "ef"}[until]
    assert (replay.text, replay.plain, bool(replay)) == ("abcdef", True, True)


@pytest.mark.parametrize(
    "second",
    [
        [TextDelta(text="Yes, you")],
        [TextDelta(text="No")],
        [TextDelta(text="Yes"), ENDED],
        [ReasoningDelta(text="Hm")],
        [ToolCallDelta(index=0, id="a", name="look")],
        [ToolCallDelta(index=0, arguments="{")],
        [token("No")],
        [ENDED],
    ],
)
def test_what_comes_out_otherwise_is_another_answer(second: list[EngineEvent]) -> None:
    with pytest.raises(Diverged):
        replayed([TextDelta(text="Yes, I"), token("Yes")], second)


@pytest.mark.parametrize("second", [ToolCallDelta(index=0, id="a", name="read"), TextDelta(text="No. ")])
def test_what_stands_in_the_place_of_a_call_is_another_answer(second: EngineEvent) -> None:
    with pytest.raises(Diverged):
        replayed([ToolCallDelta(index=0, id="a", name="look")], [second])


def test_texts_with_likelihoods_are_cut_as_they_were() -> None:
    with pytest.raises(Diverged):
        replayed([TextDelta(text="Yes"), token("Yes")], [TextDelta(text="Yesterday"), token("Yesterday")])


def test_to_listen_costs_the_same_however_long_it_takes() -> None:
    """A text that grew by each piece would take minutes for so many."""
    replay, many = Replay(), 300_000
    for _ in range(2):
        new = sum(len(list(replay.new(TextDelta(text="piece ")))) for _ in range(many))
        assert new in (many, 0)
        replay.again()
    assert len(replay.text) == many * len("piece ")
