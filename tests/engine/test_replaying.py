"""What of an answer that is said again is new, and when it is another."""

import pytest

from omni.core.events import (
    EngineEvent,
    Likelihood,
    ReasoningDelta,
    TextDelta,
    TokenChosen,
    ToolCallDelta,
    TurnEnded,
    Usage,
)
from omni.engine.replaying import Diverged, Replay

ENDED = TurnEnded(reason="stop", usage=Usage(), context_allocated=0)


def token(text: str, logprob: float = -1.0) -> TokenChosen:
    return TokenChosen(chosen=Likelihood(token=text, bytes=tuple(text.encode()), logprob=logprob))


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
        news = [new for each in "abcdef"[:until] for new in replay.new(TextDelta(text=each))]
        assert news == [TextDelta(text=each) for each in {2: "ab", 4: "cd", 3: "", 6: "ef"}[until]]
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


def test_calls_of_another_tool_are_another_answer() -> None:
    with pytest.raises(Diverged):
        replayed([ToolCallDelta(index=0, id="a", name="look")], [ToolCallDelta(index=0, id="a", name="read")])
