"""A conversation as a file: Markdown for people (the active branch), JSON for programs (all of it)."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from omni.chat.prompt import rendered
from omni.chat.tree import Node, Tree
from omni.chat.types import ChatMessage, Conversation
from omni.core.errors import BadFile


class Exported(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON file. Parents stand before their children."""

    format: Literal["omni-conversation"]
    version: Literal[1]
    conversation: Conversation
    messages: tuple[ChatMessage, ...]


def to_json(conversation: Conversation, messages: Sequence[ChatMessage]) -> str:
    """Every branch, with reasoning, figures and the contents of attachments."""
    file = Exported(format="omni-conversation", version=1, conversation=conversation, messages=tuple(messages))
    return msgspec.json.format(msgspec.json.encode(file), indent=2).decode() + "\n"


def parsed(text: str) -> tuple[Conversation, tuple[ChatMessage, ...]]:
    """What `to_json` wrote. Raises BadFile when it is something else, or no tree."""
    try:
        file = msgspec.json.decode(text, type=Exported)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadFile(
            f"This is no exported conversation: {error}.", hint="`omni` exports them with /export json."
        ) from error
    known: set[str] = set()
    for message in file.messages:
        if message.id in known or (message.parent is not None and message.parent not in known):
            raise BadFile(f"The exported conversation is no tree: message {message.id!r} has no place in it.")
        known.add(message.id)
    if file.conversation.head is not None and file.conversation.head not in known:
        raise BadFile("The exported conversation ends in a message that it does not have.")
    return file.conversation, file.messages


def to_markdown(conversation: Conversation, messages: Sequence[ChatMessage]) -> str:
    """The active branch: who said what, when, with which files."""
    by_id = {message.id: message for message in messages}
    tree = Tree(Node(message.id, message.parent, place) for place, message in enumerate(messages))
    about = [f"exported from Omni, {_when(conversation.updated)}"]
    if conversation.project:
        about.append(f"project `{conversation.project}`")
    parts = [f"# {conversation.title or 'Untitled'}", f"*{' · '.join(about)}*"]
    if conversation.system:
        parts += ["## System", conversation.system]
    for place in tree.path(conversation.head):
        parts += _section(by_id[place])
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _section(message: ChatMessage) -> list[str]:
    if message.role == "user":
        return ["## You", *map(rendered, message.attachments), message.text]
    title = f"## Summary by {message.brain}" if message.role == "summary" else f"## {message.brain or 'Answer'}"
    parts = [title]
    if message.reasoning:
        seconds = f" ({message.reasoning_seconds:.0f} s)" if message.reasoning_seconds >= 1 else ""
        parts.append(f"<details><summary>Reasoning{seconds}</summary>\n\n{message.reasoning}\n\n</details>")
    parts.append(message.text)
    if message.state != "whole":
        parts.append(f"*{message.state}{f': {message.reason}' if message.reason else ''}*")
    return parts


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
