"""An exported conversation as a JSON file: all branches of it, with figures and the contents of files and images.

Version 2 is written. Version 1, in which a message was one text with attachments, is read.
"""

from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec

from omni.chat.types import ChatMessage, Conversation
from omni.core.errors import BadFile, UsageError
from omni.core.events import Usage
from omni.core.located.conversion import convert
from omni.core.located.json_reader import read_json
from omni.core.located.tree import FileSource, Limits
from omni.core.messages import FilePart, ImagePart, Message, ReasoningPart

T = TypeVar("T")

_NAME = "The exported conversation"
_EXPLAINED = Limits(size=64 << 20, values=500_000)  # some seconds
_AGAIN = "`omni` exports them with /export json."


class ExportedConversation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file. Parents stand before their children."""

    format: Literal["omni-conversation"]
    version: Literal[2]
    conversation: Conversation
    messages: tuple[ChatMessage, ...]


class _First(msgspec.Struct, frozen=True, kw_only=True):
    """A message of version 1, with the names that things had then."""

    id: str
    parent: str | None
    role: Literal["user", "assistant", "summary"]
    text: str
    time: float
    reasoning: str = ""
    brain: str = ""
    state: Literal["whole", "writing", "interrupted", "cancelled", "failed"] = "whole"
    reason: str = ""
    usage: dict[str, Any] | None = None
    seconds: float = 0.0
    reasoning_seconds: float = 0.0
    siblings: tuple[str, ...] = ()
    attachments: tuple[FilePart, ...] = ()
    left_out: int = 0

    def now(self) -> ChatMessage:
        """The same in parts."""
        thought = ReasoningPart(text=self.reasoning, seconds=self.reasoning_seconds) if self.reasoning else ""
        usage = self.usage
        if usage is not None:
            usage = {name.replace("answer_", "completion_"): value for name, value in usage.items()}
        return ChatMessage(
            id=self.id,
            parent=self.parent,
            role=self.role,
            time=self.time,
            parts=Message.of("user", *self.attachments, thought, self.text).parts,
            brain=self.brain,
            state="complete" if self.state == "whole" else self.state,
            reason=self.reason,
            usage=msgspec.convert(usage, Usage) if usage is not None else None,
            seconds=self.seconds,
            siblings=self.siblings,
            left_out=self.left_out,
        )


class _FirstExport(msgspec.Struct, frozen=True, kw_only=True):
    format: Literal["omni-conversation"]
    version: Literal[1]
    conversation: dict[str, Any]
    messages: tuple[_First, ...]


class _ExportVersion(msgspec.Struct):
    version: int = 2


def to_json(conversation: Conversation, messages: Sequence[ChatMessage]) -> str:
    """Every branch, with reasoning, figures and the contents of attachments."""
    file = ExportedConversation(
        format="omni-conversation", version=2, conversation=conversation, messages=tuple(messages)
    )
    return msgspec.json.format(msgspec.json.encode(file), indent=2).decode() + "\n"


def parsed(text: str) -> tuple[Conversation, tuple[ChatMessage, ...]]:
    """What `to_json` wrote, now or in an earlier Omni. Raises BadFile when it is something else, or no tree."""
    conversation, messages = _read(text)
    known: set[str] = set()
    for message in messages:
        if message.id in known or (message.parent is not None and message.parent not in known):
            raise BadFile(f"The exported conversation is no tree: message {message.id!r} has no place in it.")
        known.add(message.id)
    if conversation.head is not None and conversation.head not in known:
        raise BadFile("The exported conversation ends in a message that it does not have.")
    return conversation, tuple(_measured_anew(message) for message in messages)


def _measured_anew(message: ChatMessage) -> ChatMessage:
    """The message with images as their own bytes tell of them: what the file says of a size bounds nothing. Raises BadFile."""
    if not any(isinstance(part, ImagePart) for part in message.parts):
        return message
    from omni.engine import image_of

    try:
        parts = tuple(
            image_of(part.data, path=part.path) if isinstance(part, ImagePart) else part for part in message.parts
        )
    except UsageError as error:
        raise BadFile(f"An image of the exported conversation cannot be taken: {error.message}") from error
    return msgspec.structs.replace(message, parts=parts)


def _read(text: str) -> tuple[Conversation, tuple[ChatMessage, ...]]:
    if _decoded(text, _ExportVersion).version != 1:
        file = _decoded(text, ExportedConversation)
        return file.conversation, file.messages
    first = _decoded(text, _FirstExport)
    about = {"revision" if name == "at" else name: value for name, value in first.conversation.items()}
    try:
        return msgspec.convert(about, Conversation), tuple(message.now() for message in first.messages)
    except msgspec.ValidationError as error:
        raise BadFile(f"{_NAME} cannot be read: {error}.", hint=_AGAIN) from error


def _decoded(text: str, kind: type[T]) -> T:
    """Such a file may be large, so that only a wrong one is read with places. Raises BadFile that says where."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if len(text) <= _EXPLAINED.size:
            convert(read_json(text, FileSource(_NAME, wrong=BadFile, hint=_AGAIN, limits=_EXPLAINED)), kind)
        raise BadFile(f"{_NAME} cannot be read: {error}.", hint=_AGAIN) from error
