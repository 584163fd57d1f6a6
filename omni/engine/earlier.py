"""Images of what was answered already: where they cannot be shown (again), words say that they were there.

A history holds them for as long as the conversation lasts. One that no longer can be shown would refuse every question.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from hashlib import sha256

from omni.core.messages import ImagePart, Message, TextPart
from omni.engine.images import MOST_PIXELS_TOGETHER

NOT_SEEN = "[An image was here, which you cannot see.]"
NOT_SHOWN = "[An image was here, which could not be read.]"
_TOO_OLD = "[An image was here, too long ago to be shown again.]"
_STEP = MOST_PIXELS_TOGETHER // 2


def answered(messages: Sequence[Message]) -> int:
    """How many messages were answered: those up to the last of an assistant. Words at the very end do not count: they are
    gone on with."""
    count = len(messages)
    if count and messages[-1].role == "assistant" and not messages[-1].calls:
        count -= 1
    while count and messages[count - 1].role != "assistant":
        count -= 1
    return count


def shown_again(messages: Sequence[Message], *, vision: bool, broken: Collection[bytes] = ()) -> tuple[Message, ...]:
    """The messages without those earlier images that a brain cannot see, that are `broken` (by their `digest`), or that are
    too many: then the oldest go, half of what may be shown at a time, so that the prompt begins anew seldom."""
    start = answered(messages)
    earlier = [image for message in messages[:start] for image in message.images]
    if not earlier:
        return tuple(messages)
    pixels = sum(image.width * image.height for message in messages for image in message.images)
    over = -(-max(0, pixels - MOST_PIXELS_TOGETHER) // _STEP) * _STEP
    seen = 0

    def instead(image: ImagePart) -> str:
        nonlocal seen
        old, seen = seen < over, seen + image.width * image.height
        if not vision:
            return NOT_SEEN
        return NOT_SHOWN if digest(image) in broken else _TOO_OLD if old else ""

    return (
        *(
            message.with_content(*_worded(message, instead)) if message.images else message
            for message in messages[:start]
        ),
        *messages[start:],
    )


def digest(image: ImagePart) -> bytes:
    """By what an image is known."""
    return sha256(image.data).digest()


def _worded(message: Message, instead: Callable[[ImagePart], str]) -> Iterator[str | ImagePart]:
    """What a message says and shows, with words in the places of those images that `instead` has some for."""
    said = False
    for part in message.content:
        if isinstance(part, TextPart):
            yield part.text
            said = said or bool(part.text)
        elif words := instead(part):
            yield f"\n{words}\n" if said else f"{words}\n"
            said = True
        else:
            yield part
