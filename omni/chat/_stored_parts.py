"""Parts as rows hold them: apart from the words, which stand once in the column that is searched, and from large contents.

`text` is all words of a message joined. `layout` says what stands where: "" for a message that is one text, else a JSON
array of the parts, in which a text has only its length. What files, images and looked up texts hold is in rows of its own.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from omni.core.messages import (
    ContextPart,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)


class _TextPlace(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """A text of so many characters of the column."""

    length: int


_Layout = tuple[_TextPlace | ReasoningPart | ImagePart | FilePart | ContextPart | ToolCallPart | ToolResultPart, ...]
_DECODER = msgspec.json.Decoder(_Layout)


def stored(parts: Sequence[Part]) -> tuple[str, str]:
    """The text and the layout of a message."""
    text = "".join(part.text for part in parts if isinstance(part, TextPart))
    if all(isinstance(part, TextPart) for part in parts) and len(parts) <= 1:
        return text, ""
    return text, msgspec.json.encode([_bare(part) for part in parts]).decode()


def restored(text: str, layout: str) -> tuple[Part, ...]:
    """The parts, without what files and images hold."""
    if not layout:
        return (TextPart(text=text),) if text else ()
    parts, start = list[Part](), 0
    for part in _DECODER.decode(layout):
        if isinstance(part, _TextPlace):
            parts.append(TextPart(text=text[start : start + part.length]))
            start += part.length
        else:
            parts.append(part)
    return tuple(parts)


def contents(parts: Iterable[Part]) -> list[bytes]:
    """What the parts hold that have a row of their own, in their order."""
    return [
        part.data if isinstance(part, ImagePart) else part.text.encode()
        for part in parts
        if isinstance(part, FilePart | ContextPart | ImagePart)
    ]


def with_contents(parts: Iterable[Part], held: Iterable[bytes]) -> tuple[Part, ...]:
    """The parts with what those rows hold."""
    each = iter(held)
    return tuple(
        msgspec.structs.replace(part, data=next(each))
        if isinstance(part, ImagePart)
        else msgspec.structs.replace(part, text=next(each).decode())
        if isinstance(part, FilePart | ContextPart)
        else part
        for part in parts
    )


def _bare(part: Part) -> Any:
    if isinstance(part, TextPart):
        return _TextPlace(length=len(part.text))
    if isinstance(part, FilePart | ContextPart):
        return msgspec.structs.replace(part, text="")
    return msgspec.structs.replace(part, data=b"") if isinstance(part, ImagePart) else part
