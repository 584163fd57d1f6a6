"""Events are equal, hashable, frozen, and one JSON object each."""

from typing import get_args

import msgspec
import pytest

from omni.core.events import (
    BrainLoading,
    BrainReplaced,
    ChatEvent,
    ConsentNeeded,
    ContextCompacted,
    Event,
    PersonAsked,
    PromptCounted,
    PromptProgress,
    QuestionAnswered,
    ReasoningDelta,
    TextDelta,
    TokenAlternative,
    TokenLogprob,
    ToolCallDelta,
    ToolOutput,
    ToolReturned,
    ToolStarted,
    TurnEnded,
    TurnQueued,
    TurnStarted,
    Usage,
)

ALL = [
    TurnStarted(conversation="c", question="q", answer="a", brain="@omni/x"),
    TurnQueued(place=1, reason="slot"),
    BrainLoading(brain="@omni/x", seconds=1.5, fraction=0.5),
    BrainReplaced(brain="@omni/x", failed="@omni/y", reason="It has no layers."),
    ContextCompacted(left_out_turns=1, left_out_tokens=2, kept_tokens=3, allocated=4),
    PromptCounted(tokens=3, max_completion_tokens=4, allocated=8),
    PromptProgress(done=1, total=2),
    ReasoningDelta(text="hm"),
    TextDelta(text="ö"),
    TokenLogprob(
        chosen=TokenAlternative(token="ö", logprob=-0.5, bytes=(195, 182)),
        top=(TokenAlternative(token="o", logprob=-1),),
    ),
    ToolCallDelta(index=0, id="call_1", name="read", arguments="{}"),
    ToolStarted(call="call_1", name="read", arguments="{}"),
    ConsentNeeded(question="q", call="call_1", tool="read", act="read a", reasons=("a: it is outside",)),
    PersonAsked(question="q", call="call_1", text="Which?", choices=("a", "b")),
    QuestionAnswered(question="q", answer="no"),
    ToolOutput(call="call_1", text="some"),
    ToolReturned(call="call_1", name="read", text="all", outcome="failed", seconds=0.5),
    TurnEnded(reason="stop", usage=Usage(completion_tokens=3)),
]


def test_this_list_has_every_event() -> None:
    assert {type(event) for event in ALL} == set(get_args(ChatEvent))


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_an_event_survives_json(event: Event) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=ChatEvent) == event


@pytest.mark.parametrize("event", ALL, ids=lambda event: type(event).__name__)
def test_an_event_is_hashable_and_frozen(event: Event) -> None:
    assert hash(event) == hash(msgspec.structs.replace(event))
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], None)


def test_the_type_is_the_name_in_snake_case() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ALL[0]))["type"] == "turn_started"
    assert msgspec.json.decode(msgspec.json.encode(TextDelta(text="ö"))) == {"type": "text_delta", "text": "ö"}


def test_speed_needs_a_measured_time() -> None:
    assert Usage(completion_tokens=10, completion_seconds=2.0).speed == 5.0
    assert Usage(completion_tokens=10).speed == 0.0
