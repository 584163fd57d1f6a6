"""What a request of Anthropic's clients asks of a brain, in the words of the engine."""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from omni.core.errors import nearest
from omni.engine import Message, Tool, ToolCall, joined
from omni.server.anthropic.types import CountBody, InBlock, InMessage, MessagesBody, Source, ToolSpec
from omni.server.errors import BadParameter
from omni.server.generation import Wish
from omni.server.images import Parts, misplaced, shown
from omni.server.schemas import bearable
from omni.server.tools import tool_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

BILLING = (
    "x-anthropic-billing-header:"  # Claude Code's first system text: new each time, it would spoil the prefix cache
)
_THOUGHT = ("thinking", "redacted_thinking")


def wish_of(body: MessagesBody, brain: "Brain") -> Wish:
    """What /v1/messages asks. Raises BadParameter. Stop sequences are looked for by who writes the answer."""
    if body.max_tokens < 0:
        raise BadParameter("`max_tokens` must be 0 or more.", param="max_tokens")
    sampling: dict[str, Any] = {"max_tokens": min(body.max_tokens, 1 << 30)}
    for name in ("temperature", "top_p", "top_k"):
        if (value := getattr(body, name)) is not None:
            sampling[name] = value
    if body.top_k is not None and not 0 <= body.top_k < 1 << 31:
        raise BadParameter("`top_k` must be 0 or more.", param="top_k")
    tools, choice = tools_of(body)
    alone = body.tool_choice.disable_parallel_tool_use if body.tool_choice is not None else None
    return Wish(
        brain=brain,
        messages=messages_of(body, brain),
        sampling=sampling,
        schema=_schema(body),
        tools=tools,
        tool_choice=choice,
        parallel_calls=None if alone is None else not alone,
        thinking=thinks(body),
        warms=True,
    )


def thinks(body: CountBody) -> bool:
    """Whether reasoning is wanted; as with Anthropic, it is not where nothing is said of it."""
    return body.thinking is not None and body.thinking.type != "disabled"


def messages_of(body: CountBody, brain: "Brain") -> tuple[Message, ...]:
    """The system text and the messages as engines know them. Raises BadParameter."""
    found: list[Message] = []
    if body.system is not None:
        blocks = [InBlock(type="text", text=body.system)] if isinstance(body.system, str) else body.system
        texts = [_text(block, brain, f"system[{at}]") for at, block in enumerate(blocks)]
        kept = "\n\n".join(text for text in texts if text and not text.startswith(BILLING))
        found += [Message(role="system", content=kept)] if kept else []
    if not body.messages:
        raise BadParameter("`messages` is empty.", hint="Send at least one message.", param="messages")
    for at, message in enumerate(body.messages):
        found += _messages(message, brain, f"messages[{at}].content")
    names = {call.id: call.name for message in found for call in message.calls}
    return tuple(
        msgspec.structs.replace(message, name=names.get(message.call_id, "")) if message.role == "tool" else message
        for message in found
    )


def tools_of(body: CountBody) -> tuple[tuple[Tool, ...], str]:
    """The tools that may be called, and whether one must be. Raises BadParameter."""
    tools = tuple(_tool(tool, at) for at, tool in enumerate(body.tools or ()))
    choice = body.tool_choice
    if choice is None or choice.type == "auto":
        return tools, "auto"
    if choice.type == "none":
        return tools, "none"
    if not tools:
        raise BadParameter("A tool must be called, but the request names none.", param="tool_choice")
    if choice.type == "any":
        return tools, "required"
    named = tuple(tool for tool in tools if tool.name == choice.name)
    if not named:
        raise BadParameter(
            f"`tool_choice` names {choice.name!r}, which is none of the {len(tools)} tools of the request.",
            hint=nearest(choice.name or "", [tool.name for tool in tools]),
            param="tool_choice",
        )
    return named, "required"


def _schema(body: MessagesBody) -> dict[str, Any] | None:
    """The schema of the answer; `output_format` is the older name for it."""
    wanted = (body.output_config.format if body.output_config else None) or body.output_format
    if wanted is None:
        return None
    bearable(wanted.schema, "output_config.format.schema")
    return wanted.schema


def _messages(message: InMessage, brain: "Brain", where: str) -> Iterator[Message]:
    blocks = [InBlock(type="text", text=message.content)] if isinstance(message.content, str) else message.content
    if message.role == "assistant":
        yield _assistant(blocks, brain, where)
        return
    parts, said = Parts(brain, between="\n\n"), False
    for at, block in enumerate(blocks):
        if block.type == "tool_result" and message.role == "user":
            if said:
                yield shown("user", parts, where)
            parts, said = Parts(brain, between="\n\n"), False
            yield _result(block, brain, f"{where}[{at}]")
        else:
            _add(parts, block, brain, f"{where}[{at}]")
            said = True
    if said:
        yield shown(message.role, parts, where)


def _assistant(blocks: Sequence[InBlock], brain: "Brain", where: str) -> Message:
    texts: list[str] = []
    calls: list[ToolCall] = []
    for at, block in enumerate(blocks):
        if block.type == "tool_use":
            if not block.name or not block.id:
                raise BadParameter("A `tool_use` needs an id and a name.", param=f"{where}[{at}]")
            arguments = json.dumps(block.input or {}, ensure_ascii=False)
            calls.append(ToolCall(id=block.id, name=block.name, arguments=arguments))
        elif block.type not in _THOUGHT:  # what was thought is not read again
            texts.append(_text(block, brain, f"{where}[{at}]"))
    return Message(role="assistant", content="".join(texts), calls=tuple(calls))


def _result(block: InBlock, brain: "Brain", where: str) -> Message:
    if not block.tool_use_id:
        raise BadParameter("A `tool_result` needs the id of its call.", param=f"{where}.tool_use_id")
    parts = Parts(brain)
    if isinstance(block.content, list):
        for at, part in enumerate(block.content):
            _add(parts, part, brain, f"{where}.content[{at}]")
    else:
        parts.text(block.content or "")
    found = Message(role="tool", content=parts.content, images=parts.images, call_id=block.tool_use_id)
    if block.is_error:
        return joined(Message(role="tool", content="Error: ", call_id=block.tool_use_id), found, "")
    return found


def _add(parts: Parts, block: InBlock, brain: "Brain", where: str) -> None:
    """The next part of a message: an image, or what `_text` reads."""
    if block.type != "image":
        parts.text(_text(block, brain, where))
        return
    source = block.source or Source()
    if source.type == "base64" or (source.type is None and source.data is not None):
        parts.base64(source.data or "", source.media_type or "", f"{where}.source")
    else:
        parts.address(source.url or "", f"{where}.source")


def _text(block: InBlock, brain: "Brain", where: str) -> str:
    if block.type == "text":
        if block.text is None:
            raise BadParameter("A block of text needs a `text`.", param=where)
        return block.text
    if block.type == "image":
        raise misplaced(brain, where)
    if block.type == "document":
        raise BadParameter(
            f"{brain.name} cannot open documents: it reads text only.", hint="Send the text of it.", param=where
        )
    raise BadParameter(f"A block of type {block.type!r} cannot stand here.", param=where)


def _tool(tool: ToolSpec, at: int) -> Tool:
    where = f"tools[{at}]"
    if tool.type not in (None, "custom"):
        raise BadParameter(
            f"The tool {tool.name!r} of type {tool.type!r} is Anthropic's own.",
            hint="Send tools with an `input_schema`.",
            param=f"{where}.type",
        )
    return tool_of(tool.name, tool.description, tool.input_schema, f"{where}.input_schema")
