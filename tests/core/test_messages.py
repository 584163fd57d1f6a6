"""Messages of parts: texts are joined as they are, and images keep their places."""

from omni.core.events import ReasoningDelta, TextDelta, ToolCallDelta, TurnQueued
from omni.core.messages import ImagePart, Message, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, fold

IMAGE = ImagePart(data=b"x", kind="png", width=1, height=1)
CALL = ToolCallPart(id="1", name="look")


def test_texts_in_a_row_are_one_and_empty_ones_none() -> None:
    message = Message.of("user", "a", "", TextPart(text="b"), IMAGE, "", "c", CALL)
    assert message.parts == (TextPart(text="ab"), IMAGE, TextPart(text="c"), CALL)
    assert (message.text, message.images, message.calls, message.result) == ("abc", (IMAGE,), (CALL,), None)
    assert message.content == message.parts[:3]
    assert Message.of("user", "").parts == ()


def test_a_result_says_and_shows_what_it_holds() -> None:
    result = ToolResultPart.of("a", IMAGE, "b", call_id="1", name="look")
    message = Message.of("tool", result)
    assert (message.text, message.images, message.result) == ("ab", (IMAGE,), result)
    other = message.with_content("c", "d")
    assert other == Message.of("tool", ToolResultPart.of("cd", call_id="1", name="look"))
    assert Message.of("assistant", "a", CALL).with_content("b") == Message.of("assistant", "b", CALL)


def test_events_become_the_parts_that_they_tell_of() -> None:
    message = Message.of("assistant")
    for event in (
        ReasoningDelta(text="H"),
        ReasoningDelta(text="m"),
        TextDelta(text="a"),
        TextDelta(text=""),
        ToolCallDelta(index=0, id="1", name="look", arguments="{"),
        ToolCallDelta(index=0, id="", name="", arguments="}"),
        TextDelta(text="b"),
    ):
        message = fold(message, event)
    assert message == Message.of("assistant", ReasoningPart(text="Hm"), "a", CALL, "b")
    assert fold(message, TurnQueued(place=1, reason="slot")) is message
