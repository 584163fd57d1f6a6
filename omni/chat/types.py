"""What a conversation is made of, as frozen values."""

from typing import Literal

import msgspec

from omni.core.events import Usage

Role = Literal["user", "assistant", "summary"]
State = Literal["whole", "writing", "interrupted", "cancelled", "failed"]


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A text file that stands in a question, as it was when it was sent.

    `path` is relative to the project, with what does not print escaped. `text` is left empty where conversations are
    listed; the prompt and the export have it.
    """

    path: str
    bytes: int
    lines: int
    text: str = ""


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
    at: int
    """Grows with each change, so that others can tell whether they have seen it."""


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # a long conversation has thousands, no circle
    """One message of the active branch.

    `siblings` are the ids that stand in its place on all branches, itself included, oldest first. `reason` says why an
    answer failed, or "length" when a whole one was cut by its limit. Times are in seconds. `left_out` is not 0 where the
    prompt begins since the last compaction: so many tokens before it are no longer sent.
    """

    id: str
    parent: str | None
    role: Role
    text: str
    time: float
    reasoning: str = ""
    brain: str = ""
    state: State = "whole"
    reason: str = ""
    usage: Usage | None = None
    seconds: float = 0.0
    reasoning_seconds: float = 0.0
    siblings: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    left_out: int = 0


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """A place where a search found something; `message` is None in a title. `marks` are (start, end) in `snippet`."""

    conversation: str
    title: str
    message: str | None
    snippet: str
    marks: tuple[tuple[int, int], ...] = ()
