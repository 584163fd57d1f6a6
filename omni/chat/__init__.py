"""Conversations: a tree of messages, stored durably, and the one turn runner that every front end uses.

    service   the chat as front ends see it        runner       the course of a turn and the order of its events
    store     the database                         context      what fits into a prompt, and compaction
    tree      branches                             attachments  `@path` and AGENTS.md

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omni.chat.attachments import agents_md, attachment_of, expand, printable, read_image
    from omni.chat.completion import complete_path
    from omni.chat.service import ChatService
    from omni.chat.store import ChatStore
    from omni.chat.titles import title_of
    from omni.chat.turn_jobs import begin_turn, turn_elsewhere
    from omni.chat.types import Attachment, ChatMessage, Conversation, SearchHit

_PLACES = {
    "Attachment": "types",
    "ChatMessage": "types",
    "ChatService": "service",
    "ChatStore": "store",
    "Conversation": "types",
    "SearchHit": "types",
    "agents_md": "attachments",
    "attachment_of": "attachments",
    "begin_turn": "turn_jobs",
    "complete_path": "completion",
    "expand": "attachments",
    "printable": "attachments",
    "read_image": "attachments",
    "title_of": "titles",
    "turn_elsewhere": "turn_jobs",
}

__all__ = [
    "Attachment",
    "ChatMessage",
    "ChatService",
    "ChatStore",
    "Conversation",
    "SearchHit",
    "agents_md",
    "attachment_of",
    "begin_turn",
    "complete_path",
    "expand",
    "printable",
    "read_image",
    "title_of",
    "turn_elsewhere",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
