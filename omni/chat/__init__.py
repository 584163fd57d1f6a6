"""Conversations: a tree of messages, stored durably, and the one turn runner that every front end uses.

    service   the chat as front ends see it        runner       the course of a turn and the order of its events
    store     the database                         context      what fits into a prompt, and compaction
    tree      branches                             attachments  `@path` and AGENTS.md
    tooling   what a turn asks of tools            tool_loop    the rounds of a turn with tools

Importing this package imports none of its modules; a name is loaded when it is first used.
"""

from omni.core.lazy import lazy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omni.chat._runner import BrainSource
    from omni.chat._titles import title_of
    from omni.chat._turn_jobs import begin_turn, turn_elsewhere, turn_here
    from omni.chat.attachments import agents_md, attachment_of, expand, printable, read_image
    from omni.chat.completion import complete_path
    from omni.chat.narration import brief, ended_words, narrated
    from omni.chat.service import ChatService
    from omni.chat.store import ChatStore
    from omni.chat.tooling import TurnTools, WorkLimits
    from omni.chat.types import Attachment, ChatMessage, Conversation, SearchHit

__getattr__, __dir__ = lazy(
    __name__,
    attachments="agents_md attachment_of expand printable read_image",
    completion="complete_path",
    narration="brief ended_words narrated",
    service="ChatService",
    store="ChatStore",
    _runner="BrainSource",
    _titles="title_of",
    _turn_jobs="begin_turn turn_elsewhere turn_here",
    tooling="TurnTools WorkLimits",
    types="Attachment ChatMessage Conversation SearchHit",
)
