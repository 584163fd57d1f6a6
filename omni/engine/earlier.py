"""Images of what was answered already: where they cannot be shown (again), words say that they were there.

A history holds them for as long as the conversation lasts. One that no longer can be shown would refuse every question.
"""

from collections.abc import Callable, Collection, Sequence
from hashlib import sha256

import msgspec

from omni.engine.images import MOST_PIXELS_TOGETHER, pieces
from omni.engine.types import Image, Message

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

    def instead(image: Image) -> str:
        nonlocal seen
        old, seen = seen < over, seen + image.width * image.height
        if not vision:
            return NOT_SEEN
        return NOT_SHOWN if digest(image) in broken else _TOO_OLD if old else ""

    return (*(_without(message, instead) for message in messages[:start]), *messages[start:])


def digest(image: Image) -> bytes:
    """By what an image is known."""
    return sha256(image.data).digest()


def _without(message: Message, instead: Callable[[Image], str]) -> Message:
    """The message with words in the places of those images that `instead` has some for."""
    if not message.images:
        return message
    texts = list[str]()
    kept, length = list[Image](), 0
    for piece in pieces(message):
        text = piece if isinstance(piece, str) else instead(piece)
        if isinstance(piece, Image) and text:
            text = f"\n{text}\n" if length else f"{text}\n"
        elif isinstance(piece, Image):
            kept.append(msgspec.structs.replace(piece, at=length))
        texts.append(text)
        length += len(text)
    return msgspec.structs.replace(message, content="".join(texts), images=tuple(kept))
