"""The blocks of Anthropic's messages in the words of the engine: what is said and shown, calls and results of whatever tools.

A message of an assistant may hold what Anthropic's own tools did, and returned, between its words: it is then several turns.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import ValidationError, convert, to_builtins

from omni.core.messages import Message, Role, ToolCallPart
from omni.engine import arguments_of
from omni.server.anthropic.types import InBlock, InMessage, MediaSource
from omni.server.errors import BadParameter
from omni.server.parts import MessageParts, document, new_from, words_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

BETWEEN = "\n\n"
_SUMMED_UP = "What was said before, summed up:\n\n{summary}\n\n"
_LEFT_OUT = ("thinking", "redacted_thinking", "mcp_tool_listing", "fallback", "tool_addition", "tool_removal")


def blocks_of(messages: Sequence[InMessage], brain: "Brain", where: str) -> Iterator[Message]:
    """The messages as engines know them. Raises BadParameter for what is new and cannot be read."""
    new = new_from([message.speaks(last=message is messages[-1]) for message in messages])
    for at, message in enumerate(messages):
        place = f"{where}[{at}].content"
        blocks = written(message.content)
        if message.role == "assistant":
            yield from _assistant(blocks, brain, place)
        elif message.content is None and at >= new:
            raise BadParameter("A message needs `content`.", param=place)
        else:
            role: Role = "user" if message.role == "user" else "system"
            yield from _heard(role, blocks, brain, place, happened=at < new)


def written(content: str | Sequence[InBlock | str] | None) -> list[InBlock]:
    """A content as blocks; a text stands for a block of it."""
    blocks = [content] if isinstance(content, str) else content or ()
    return [InBlock(type="text", text=each) if isinstance(each, str) else each for each in blocks]


def read(parts: MessageParts, block: InBlock, where: str) -> None:
    """A block that is no call and no result comes next in a message. Raises BadParameter."""
    source = block.source if isinstance(block.source, MediaSource) else MediaSource()
    match block.type:
        case "text":
            parts.said(block.text, f"{where}.text")
        case "image":
            _image(parts, source, f"{where}.source")
        case "document":
            _document(parts, block, source, where)
        case "search_result":
            origin = block.source if isinstance(block.source, str) else ""
            text = words_of(block.content)
            parts.text(document(text, title=block.title or "", source=origin, kind="search_result"))
        case "container_upload":
            parts.file(where, name=block.file_id or "")
        case "compaction":
            summary = block.content if isinstance(block.content, str) else ""
            parts.text(_SUMMED_UP.format(summary=summary))
        case kind if kind not in _LEFT_OUT:
            parts.other(kind, to_builtins(block), where)


def _heard(role: Role, blocks: Sequence[InBlock], brain: "Brain", where: str, *, happened: bool) -> Iterator[Message]:
    """What a user or a system says, with the results among it."""
    parts, said = MessageParts(brain, between=BETWEEN, happened=happened), False
    for at, block in enumerate(blocks):
        if _is_result(block):
            if said:
                yield parts.message(role, where)
            parts, said = MessageParts(brain, between=BETWEEN, happened=happened), False
            yield _result(block, brain, f"{where}[{at}]")
        else:
            read(parts, block, f"{where}[{at}]")
            said = True
    if said:
        yield parts.message(role, where)


def _assistant(blocks: Sequence[InBlock], brain: "Brain", where: str) -> Iterator[Message]:
    parts, calls, spoke = MessageParts(brain, between="", happened=True), list[ToolCallPart](), False
    for at, block in enumerate(blocks):
        if block.type.endswith("tool_use"):  # the client's, a server's, Anthropic's
            calls.append(ToolCallPart(id=block.id or "", name=block.name or "", arguments=arguments_of(block.input)))
        elif _is_result(block):
            if parts.words or calls:
                yield Message.of("assistant", parts.only_text(where), *calls)
            parts, calls, spoke = MessageParts(brain, between="", happened=True), [], True
            yield _result(block, brain, f"{where}[{at}]")
        else:
            read(parts, block, f"{where}[{at}]")
    if parts.words or calls or not spoke:
        yield Message.of("assistant", parts.only_text(where), *calls)


def _is_result(block: InBlock) -> bool:
    return block.type.endswith("tool_result")


def _result(block: InBlock, brain: "Brain", where: str) -> Message:
    """A result of a tool, whoever ran it. It is what happened, even when it comes last."""
    parts = MessageParts(brain, happened=True)
    for at, content in enumerate(block.content if isinstance(block.content, list) else [block.content]):
        _add(parts, content, f"{where}.content[{at}]")
    return parts.result(block.tool_use_id or "", before="Error: " if block.is_error else "")


def _add(parts: MessageParts, content: Any, where: str) -> None:
    """Some of a result: texts, images and documents as what they are, anything else as words."""
    if content is None or isinstance(content, str):
        parts.text(content or "")
        return
    try:
        block = convert(content, InBlock)
    except ValidationError:
        parts.text(words_of(content))
        return
    if block.type == "web_fetch_result":
        _add(parts, block.content, where)
    elif block.type in ("text", "image", "document", "search_result"):
        read(parts, block, where)
    else:
        parts.text(words_of(content))


def _image(parts: MessageParts, source: MediaSource, where: str) -> None:
    if source.type == "base64" or (source.type is None and source.data is not None):
        parts.base64(source.data or "", source.media_type or "", where)
    elif source.type == "file":
        parts.kept_image(where)
    else:
        parts.address(source.url or "", where)


def _document(parts: MessageParts, block: InBlock, source: MediaSource, where: str) -> None:
    """Text is read, wherever it comes from; what is none, or is elsewhere, is a file."""
    title, context = block.title or "", block.context or ""
    if source.type == "text" and source.data is not None:
        parts.text(document(source.data, title=title, context=context))
    elif isinstance(source.content, str):
        parts.text(document(source.content, title=title, context=context))
    elif source.content is not None:
        parts.text(document(words_of(to_builtins(source.content)), title=title, context=context))
    else:
        name = title or source.url or source.file_id or ""
        parts.file(where, name=name, data=source.data or "", media_type=source.media_type or "")
