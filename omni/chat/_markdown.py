"""The active branch of a conversation as Markdown, for people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from omni.chat.narration import narrated
from omni.chat.prompt import rendered, texts_along
from omni.chat.tree import MessageNode, Tree
from omni.chat.types import ChatMessage, Conversation
from omni.core.messages import ImagePart


def to_markdown(conversation: Conversation, messages: Sequence[ChatMessage]) -> str:
    """The active branch: who said what, when, with which files."""
    by_id = {message.id: message for message in messages}
    tree = Tree(MessageNode(message.id, message.parent, place) for place, message in enumerate(messages))
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
        return ["## You", *map(rendered, texts_along(message)), *_images(message), message.text]
    title = f"## Summary by {message.brain}" if message.role == "summary" else f"## {message.brain or 'Answer'}"
    parts = [title]
    if message.reasoning:
        seconds = f" ({message.reasoning_seconds:.0f} s)" if message.reasoning_seconds >= 1 else ""
        parts.append(f"<details><summary>Reasoning{seconds}</summary>\n\n{message.reasoning}\n\n</details>")
    parts.append(narrated(message.parts) if message.calls else message.text)
    if message.state != "complete":
        parts.append(f"*{message.state}{f': {message.reason}' if message.reason else ''}*")
    return parts


def _images(message: ChatMessage) -> list[str]:
    images = [part for part in message.parts if isinstance(part, ImagePart)]
    return [f"*image {part.path or part.kind}, {part.width} × {part.height}*" for part in images]


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
