"""What is said, in parts: the one model of a message, for conversations, engines, the server and its pages.

A message is a role and its parts in their order. Texts stand as they are joined: nothing is put between two of them.
`msgspec.json.encode(part)` writes one object whose `type` is the kind of the part.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, Self, TypeVar

import msgspec

from omni.core.events import ReasoningDelta, TextDelta, ToolCallDelta, ToolReturned

Role = Literal["system", "user", "assistant", "tool"]
P = TypeVar("P")


# Of texts and thoughts a long conversation has thousands, and none can be part of a circle: the collector skips them.
class TextPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text", gc=False):
    """Words that are said."""

    text: str


class ReasoningPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning", gc=False):
    """What a brain thought before it went on. It is shown and kept, and no brain reads it again."""

    text: str
    seconds: float = 0.0


class ImagePart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="image"):
    """An image: the bytes of its file, what kind of file that is, and its size in pixels. `path` is that of the file, ""
    where nobody told. `omni.engine.image_of` makes one of bytes. `data` is left empty where conversations are listed."""

    data: bytes = b""
    kind: Literal["png", "jpeg", "gif", "bmp"]
    width: int
    height: int
    path: str = ""


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
    """What was looked up for a question, and by whom or where. `text` is left empty where that of a file is."""

    source: str
    bytes: int
    lines: int
    text: str = ""


class ToolCallPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_call"):
    """A call that a brain asked for; `arguments` is a JSON object as text."""

    id: str
    name: str
    arguments: str = "{}"


class ToolResultPart(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="tool_result"):
    """What the call `call_id` of the tool `name` returned; either may be "" where a program left it out.

    Of calls that were done here `outcome` and `seconds` say how they ended, and `artifact` names the whole result where this is a part.
    """

    parts: tuple[TextPart | ImagePart, ...] = ()
    call_id: str = ""
    name: str = ""
    outcome: str = ""
    seconds: float = 0.0
    artifact: str = ""

    @classmethod
    def of(cls, *parts: str | TextPart | ImagePart, call_id: str = "", name: str = "") -> Self:
        """A result of these parts, as `Message.of` takes them."""
        return cls(parts=tuple(merged(parts)), call_id=call_id, name=name)


Part = TextPart | ReasoningPart | ImagePart | FilePart | ContextPart | ToolCallPart | ToolResultPart


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message: who says it, and its parts in their order. A tool's holds one result."""

    role: Role
    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, role: Role, *parts: str | Part) -> Self:
        """A message of these parts. A plain `str` is a text; texts in a row are made one, and an empty one is left out."""
        return cls(role=role, parts=tuple(merged(parts)))

    @property
    def content(self) -> tuple[TextPart | ImagePart, ...]:
        """What it says and shows, in order, texts and images of a result included."""
        return tuple(part for part in _flat(self.parts) if isinstance(part, TextPart | ImagePart))

    def with_content(self, *parts: str | TextPart | ImagePart) -> Self:
        """The message with this said and shown instead; the calls that it asks for, or whose result it is, stay."""
        if (result := self.result) is not None:
            return type(self).of(self.role, ToolResultPart.of(*parts, call_id=result.call_id, name=result.name))
        return type(self).of(self.role, *parts, *self.calls)

    @property
    def text(self) -> str:
        """Its words: all texts joined, those of a result included."""
        return text_of(self.parts)

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """What it shows, in order, images of a result included."""
        return tuple(part for part in self.content if isinstance(part, ImagePart))

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The calls that it asks for."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))

    @property
    def result(self) -> ToolResultPart | None:
        """What a tool returned."""
        return next((part for part in self.parts if isinstance(part, ToolResultPart)), None)


def merged(parts: Iterable[str | P]) -> Iterator[TextPart | P]:
    """The parts with texts in a row made one, and without empty ones. A plain `str` is a text."""
    texts = list[str]()
    for part in parts:
        if isinstance(part, str | TextPart):
            texts.append(part if isinstance(part, str) else part.text)
            continue
        if text := "".join(texts):
            yield TextPart(text=text)
        texts.clear()
        yield part
    if text := "".join(texts):
        yield TextPart(text=text)


def text_of(parts: Iterable[Part]) -> str:
    """All texts among `parts`, joined, those of results included."""
    texts = [part.text for part in _flat(parts) if isinstance(part, TextPart)]
    return texts[0] if len(texts) == 1 else "".join(texts)


def words_of(parts: Iterable[Part]) -> str:
    """All texts among `parts`, joined, without what tools returned."""
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return texts[0] if len(texts) == 1 else "".join(texts)


def reasoning_of(parts: Iterable[Part]) -> str:
    """All that was thought, joined."""
    thoughts = [part.text for part in parts if isinstance(part, ReasoningPart)]
    return thoughts[0] if len(thoughts) == 1 else "".join(thoughts)


def fold(folded: Message, event: object) -> Message:
    """The message with what `event` adds to it, as `fold_parts` says."""
    parts = fold_parts(folded.parts, event)
    return folded if parts is folded.parts else msgspec.structs.replace(folded, parts=parts)


def fold_parts(parts: tuple[Part, ...], event: object) -> tuple[Part, ...]:
    """The parts with what `event` adds to them; the same ones for an event that adds nothing.

    Words go on in the last part where that is of their kind, and begin another where it is not. The pieces of call number
    `index` go to the call with that place among the calls.
    """
    match event:
        case TextDelta(text=text) if text:
            return _longer(parts, TextPart(text=text))
        case ReasoningDelta(text=text) if text:
            return _longer(parts, ReasoningPart(text=text))
        case ToolCallDelta():
            return _called(parts, event)
        case ToolReturned():
            return (*parts, returned(event))
    return parts


def returned(event: ToolReturned) -> ToolResultPart:
    """What a call returned, as a part."""
    return ToolResultPart(
        parts=tuple(merged((event.text,))),
        call_id=event.call,
        name=event.name,
        outcome=event.outcome,
        seconds=event.seconds,
        artifact=event.artifact,
    )


def _longer(parts: tuple[Part, ...], more: TextPart | ReasoningPart) -> tuple[Part, ...]:
    last = parts[-1] if parts else None
    if isinstance(last, TextPart | ReasoningPart) and type(last) is type(more):
        return (*parts[:-1], msgspec.structs.replace(last, text=last.text + more.text))
    return (*parts, more)


def _called(parts: tuple[Part, ...], event: ToolCallDelta) -> tuple[Part, ...]:
    calls = [(place, part) for place, part in enumerate(parts) if isinstance(part, ToolCallPart)]
    if event.index >= len(calls):
        return (*parts, ToolCallPart(id=event.id, name=event.name, arguments=event.arguments))
    place, begun = calls[event.index]
    call = ToolCallPart(
        id=begun.id or event.id, name=begun.name or event.name, arguments=begun.arguments + event.arguments
    )
    return (*parts[:place], call, *parts[place + 1 :])


def _flat(parts: Iterable[Part]) -> Iterable[Part]:
    """The parts, and in the place of a result what it holds."""
    for part in parts:
        if isinstance(part, ToolResultPart):
            yield from part.parts
        else:
            yield part
