"""What a conversation is made of, as frozen values."""

from typing import Literal

import msgspec

from omni.core.events import Usage
from omni.core.messages import (
    ContextPart,
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    reasoning_of,
    words_of,
)

Role = Literal["user", "assistant", "summary"]
State = Literal["complete", "writing", "interrupted", "cancelled", "failed"]
Attachment = FilePart | ImagePart


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A tree of messages with one active branch, which ends in `head` (None while nothing was asked)."""

    id: str
    title: str
    project: str | None
    created: float
    updated: float
    brain: str
    system: str
    head: str | None
    turns: int
    revision: int
    """Grows with each change, so that others can tell whether they have seen it."""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # a long conversation has thousands, no circle
    """One message of the active branch: its parts in their order, and how it came to be.

    `siblings` are the ids that stand in its place on all branches, itself included, oldest first. `reason` says why an
    answer failed, or "length" when a complete one was cut by its limit. Times are in seconds. `left_out` is not 0 where the
    prompt begins since the last compaction: so many tokens before it are no longer sent.
    """

    id: str
    parent: str | None
    role: Role
    time: float
    parts: tuple[Part, ...] = ()
    brain: str = ""
    state: State = "complete"
    reason: str = ""
    usage: Usage | None = None
    seconds: float = 0.0
    siblings: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def _only_text(self) -> TextPart | None:
        """The one part of most messages: a long conversation asks thousands of times."""
        parts = self.parts
        return parts[0] if len(parts) == 1 and isinstance(parts[0], TextPart) else None

    @property
    def text(self) -> str:
        """Its words, without what tools returned."""
        return only.text if (only := self._only_text) is not None else words_of(self.parts)

    @property
    def reasoning(self) -> str:
        """What was thought for it."""
        return "" if self._only_text is not None else reasoning_of(self.parts)

    @property
    def reasoning_seconds(self) -> float:
        """How long that took."""
        return (
            0.0
            if self._only_text is not None
            else sum(part.seconds for part in self.parts if isinstance(part, ReasoningPart))
        )

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """The files and images that went along with a question."""
        return (
            ()
            if self._only_text is not None
            else tuple(part for part in self.parts if isinstance(part, FilePart | ImagePart))
        )

    @property
    def context(self) -> tuple[ContextPart, ...]:
        """What was looked up for a question."""
        return () if self._only_text is not None else tuple(p for p in self.parts if isinstance(p, ContextPart))

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        """The tools that were called for an answer."""
        return () if self._only_text is not None else tuple(p for p in self.parts if isinstance(p, ToolCallPart))


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a search found something; `message` is None in a title. `marks` are (start, end) in `snippet`."""

    conversation: str
    title: str
    message: str | None
    snippet: str
    marks: tuple[tuple[int, int], ...] = ()
