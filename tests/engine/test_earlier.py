"""Images of what was answered already: they never refuse a question."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.core.errors import UsageError
from omni.core.messages import Message, ToolCallPart
from omni.engine import NOT_SEEN, NOT_SHOWN, ChatRequest, ScriptedEngine, image_of
from omni.engine.earlier import answered, digest, shown_again
from omni.engine.images import MOST_PIXELS_TOGETHER
from tests.engine.engine_tools import asked, events_of, real_spec
from tests.image_tools import claimed, png, shown, write_projector

ANSWER = Message.of("assistant", "A")
BROKEN = png()[:41] + b"\0\0\0\0" + png()[45:]  # its header is whole, its picture is not


def showing(*images: bytes) -> Message:
    return Message.of("user", "a", *map(image_of, images), "b")


def test_what_is_answered_ends_with_the_last_of_an_assistant() -> None:
    user, called = (
        Message.of("user", "Q"),
        Message.of("assistant", ToolCallPart(id="1", name="f")),
    )
    assert [answered(each) for each in ((), (user,), (user, ANSWER, user), (user, ANSWER), (user, called))] == [
        0,
        0,
        2,
        0,
        2,
    ]


def test_a_blind_brain_reads_that_images_were_there() -> None:
    messages = (showing(png(3), png(4)), ANSWER, showing(png(5)))
    old, _, new = shown_again(messages, vision=False)
    assert shown(old) == [f"a\n{NOT_SEEN}\n\n{NOT_SEEN}\nb"]
    assert new is messages[2]
    assert shown_again(messages, vision=True) == messages


def test_a_broken_image_is_words_and_the_others_stay_in_their_places() -> None:
    messages = (showing(png(3), png(4), png(5)), ANSWER)
    old, _ = shown_again((*messages, showing()), vision=True, broken={digest(image_of(png(4)))})[:2]
    assert shown(old) == ["a", ("png", 3), f"\n{NOT_SHOWN}\n", ("png", 5), "b"]


def test_the_oldest_images_go_when_they_are_too_many_and_seldom() -> None:
    large = claimed(2048, 2048)  # an eighth of what may be shown
    kept = []
    for count in range(1, 30):
        messages = [each for at in range(count) for each in (Message.of("user", image_of(large), str(at)), ANSWER)]
        seen = [
            bool(message.images)
            for message in shown_again([*messages, showing()], vision=True)
            if message.role == "user"
        ]
        assert sum(seen) * 2048 * 2048 <= MOST_PIXELS_TOGETHER
        assert seen[:-1] == sorted(seen[:-1])  # the newest are there
        kept.append(seen.index(True))
    assert kept == [0] * 8 + [4] * 4 + [8] * 4 + [12] * 4 + [16] * 4 + [20] * 4 + [24]


async def test_every_engine_takes_a_history_with_images() -> None:
    old, new = (showing(png()), ANSWER, Message.of("user", "Q")), (showing(png()),)
    engine = ScriptedEngine()
    assert await events_of(engine, ChatRequest(messages=old))
    assert await engine.count_tokens(old)
    for refused in (new, (*new, ANSWER)):
        with pytest.raises(UsageError, match="cannot see"):
            await events_of(engine, ChatRequest(messages=refused))


@pytest.mark.real
async def test_an_earlier_image_that_cannot_be_decoded_is_left_out(
    worker_engine: Any, starter_gguf: Path, tmp_path: Path
) -> None:
    eyes = write_projector(tmp_path / "mmproj-starter.gguf")
    history = (showing(BROKEN, png(8)), ANSWER, Message.of("user", "And?"))
    async with worker_engine(real_spec(starter_gguf, context=512, cells=512, projector=str(eyes))) as engine:
        with pytest.raises(UsageError):
            await engine.count_tokens(history[:1])
        words = shown_again(history, vision=True, broken={digest(image_of(BROKEN))})
        assert NOT_SHOWN in words[0].text
        counted = await engine.count_tokens(history)
        assert counted == await engine.count_tokens(words)
        request = msgspec.structs.replace(asked("", max_tokens=2), messages=history)
        assert await events_of(engine, request)
