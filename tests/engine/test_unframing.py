"""What stands before an answer is taken off where the engine leaves it there."""

from typing import Any

import pytest

from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, TurnEnded, Usage
from omni.engine.framing import UNFRAMED, Framing, Mark
from omni.engine.unframing import Unframer

THINKS = Mark("<think>"), Mark("</think>")
FREE = Framing(thinks=THINKS, until="</think>")
OPENED = Framing(thinks=THINKS, opened=True, until="</think>")
LED = Framing(lead=Mark("<|says|>"), until="<|says|>")


def read(framing: Framing, said: str, size: int, end: Any = "stop") -> tuple[str, str]:
    unframer = Unframer(framing)
    pieces: list[EngineEvent] = [TextDelta(text=said[at : at + size]) for at in range(0, len(said), size)]
    events = [one for event in [*pieces, TurnEnded(reason=end, usage=Usage())] for one in unframer.read(event)]
    assert isinstance(events[-1], TurnEnded)
    thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    return thoughts, "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("size", [1, 3, 99])
@pytest.mark.parametrize(
    ("framing", "said", "thoughts", "text"),
    [
        (UNFRAMED, "<think>a</think>{}", "", "<think>a</think>{}"),
        (FREE, "<think>a b</think>{}", "a b", "{}"),
        (FREE, "\n<think>\na\n</think>\n\n{}", "a", "{}"),
        (FREE, '{"a": "</think>"}', "", '{"a": "</think>"}'),
        (OPENED, 'So: {"b": 2}?</think>{}', 'So: {"b": 2}?', "{}"),
        (OPENED, "</think>{}", "", "{}"),
        (LED, "<|says|>{}", "", "{}"),
        (
            Framing(thinks=THINKS, opened=True, lead=Mark("<|says|>"), until="<|says|>"),
            "a</think><|says|>{}",
            "a",
            "{}",
        ),
    ],
)
def test_thoughts_and_marks_are_taken_off(framing: Framing, said: str, thoughts: str, text: str, size: int) -> None:
    parts = read(framing, said, size)
    assert (parts[0], parts[1].lstrip()) == (thoughts, text)


def test_thoughts_without_an_end_are_told_as_thoughts() -> None:
    assert read(OPENED, "It goes on and", 4, "length") == ("It goes on and", "")
