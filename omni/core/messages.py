"""What is said, in parts: the one model of a message, for conversations, engines, the server and its pages.

A message is a role and its parts in their order. Texts stand as they are joined: nothing is put between two of them.
`msgspec.json.encode(part)` writes one object whose `type` is the kind of the part.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from omni.core.events import ReasoningDelta, TextDelta, ToolCallDelta

Role = Literal["system", "user", "assistant", "tool"]


class TextPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Words that are said."""

    text: str


class ReasoningPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """What a brain thought before it went on. It is shown and kept, and no brain reads it again."""

    text: str
    seconds: float = 0.0


class ImagePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="image"):
    """An image: the bytes of its file, what kind of file that is, and its size in pixels. `name` is that of the file, ""
    where nobody told. `omni.engine.image_of` makes one of bytes. `data` is left empty where conversations are listed."""

    data: bytes = b""
    kind: Literal["png", "jpeg", "gif", "bmp"]
    width: int
    height: int
    name: str = ""


class FilePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="file"):
    """A text file as it was when it was sent.

    `path` is relative to the project, with what does not print escaped. `text` is left empty where conversations are
    listed; the prompt and the export have it.
    """

    path: str
    bytes: int
    lines: int
    text: str = ""


class ContextPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="context"):
    """Something that was looked up for the question, and where it stands."""

    text: str
    source: str


class ToolCallPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A call that a brain asked for; `arguments` is a JSON object as text."""

    id: str
    name: str
    arguments: str = "{}"


class ToolResultPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """What the call `call_id` of the tool `name` returned; either may be "" where a program left it out."""

    parts: tuple[TextPart | ImagePart, ...] = ()
    call_id: str = ""
    name: str = ""


Part = TextPart | ReasoningPart | ImagePart | FilePart | ContextPart | ToolCallPart | ToolResultPart


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message: who says it, and its parts in their order. A tool's holds one result."""

    role: Role
    parts: tuple[Part, ...] = ()

    @property
    def text(self) -> str:
        """Its words: all texts joined, those of a result included."""
        return text_of(self.parts)

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """What it shows, in order, images of a result included."""
        return tuple(part for part in _flat(self.parts) if isinstance(part, ImagePart))

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The calls that it asks for."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))

    @property
    def result(self) -> ToolResultPart | None:
        """What a tool returned."""
        return next((part for part in self.parts if isinstance(part, ToolResultPart)), None)


def message(role: Role, *parts: str | Part) -> Message:
    """A message of these parts. A plain `str` is a text; an empty one is left out."""
    return Message(
        role=role, parts=tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts if part)
    )


def text_of(parts: Iterable[Part]) -> str:
    """All texts among `parts`, joined, those of results included."""
    texts = [part.text for part in _flat(parts) if isinstance(part, TextPart)]
    return texts[0] if len(texts) == 1 else "".join(texts)


def fold(folded: Message, event: object) -> Message:
    """`folded` with what `event` adds to it; the same message for an event that adds nothing.

    Words go on in the last part where that is of their kind, and begin another where it is not. The pieces of call number
    `index` go to the call with that place among the message's calls.
    """
    match event:
        case TextDelta(text=text) if text:
            return _grown(folded, TextPart(text=text))
        case ReasoningDelta(text=text) if text:
            return _grown(folded, ReasoningPart(text=text))
        case ToolCallDelta():
            return _called(folded, event)
    return folded


def _grown(folded: Message, more: TextPart | ReasoningPart) -> Message:
    last = folded.parts[-1] if folded.parts else None
    if isinstance(last, TextPart | ReasoningPart) and type(last) is type(more):
        longer = msgspec.structs.replace(last, text=last.text + more.text)
        return msgspec.structs.replace(folded, parts=(*folded.parts[:-1], longer))
    return msgspec.structs.replace(folded, parts=(*folded.parts, more))


def _called(folded: Message, event: ToolCallDelta) -> Message:
    places = [place for place, part in enumerate(folded.parts) if isinstance(part, ToolCallPart)]
    if event.index >= len(places):
        call = ToolCallPart(id=event.id, name=event.name, arguments=event.arguments)
        return msgspec.structs.replace(folded, parts=(*folded.parts, call))
    begun = folded.parts[place := places[event.index]]
    assert isinstance(begun, ToolCallPart)
    call = ToolCallPart(
        id=begun.id or event.id, name=begun.name or event.name, arguments=begun.arguments + event.arguments
    )
    return msgspec.structs.replace(folded, parts=(*folded.parts[:place], call, *folded.parts[place + 1 :]))


def _flat(parts: Iterable[Part]) -> Iterable[Part]:
    """The parts, and in the place of a result what it holds."""
    for part in parts:
        if isinstance(part, ToolResultPart):
            yield from part.parts
        else:
            yield part
