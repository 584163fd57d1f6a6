"""The items of `/v1/responses` in the words of the engine: messages, and calls and results of whatever tools.

What a cloud's own tools did is kept as a call and its result, for that is what it was. What tells a brain nothing (what
another one thought, lists of tools that cannot be called here) is left out.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import ValidationError, convert, to_builtins

from omni.core.messages import Message, Role, ToolCallPart, ToolResultPart
from omni.engine import arguments_of
from omni.server.errors import BadParameter
from omni.server.openai.responses_types import ItemIn, PartIn, is_reference
from omni.server.parts import TEXTS, MessageParts, new_from, words_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

_ROLES: dict[str, Role] = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_LEFT_OUT = ("reasoning", "mcp_list_tools", "additional_tools", "configuration_update", "compaction_trigger")
_COMPACTED = "[What was said before was summed up by another program, in a form that only that can read.]"
_NOT_KEPT = "[Something was said here that is not kept.]"
_ASKED = ("action", "actions", "operation", "queries", "code", "arguments", "input")
_ANSWERED = ("results", "outputs", "output", "result", "error")
_TEXTS = (*TEXTS, "summary_text", "reasoning_text", "refusal")


def messages_of(items: Sequence[ItemIn], brain: "Brain", where: str, *, happened: bool = False) -> Iterator[Message]:
    """The messages that `items` make. `happened`: all of them were answered already. Raises BadParameter for what is new
    and cannot be read."""
    new = len(items) if happened else new_from([item.speaks(last=item is items[-1]) for item in items])
    for at, item in enumerate(items):
        yield from _messages(item, brain, f"{where}[{at}]", happened=at < new)


def flat(namespace: str | None, name: str | None) -> str:
    """The name that a brain calls a tool by."""
    return f"{namespace}__{name or ''}" if namespace else name or ""


def _messages(item: ItemIn, brain: "Brain", where: str, *, happened: bool) -> Iterator[Message]:
    kind = item.kind
    if kind == "message" and happened and item.role == "system" and item.content is None:
        return
    if kind == "message":
        parts = MessageParts(brain, happened=happened or item.role == "assistant")
        if item.role is None:
            parts.instead(words_of(to_builtins(item)), BadParameter("A message needs a `role`.", param=f"{where}.role"))
            yield parts.message("user", where)
            return
        yield _read(parts, item.content, f"{where}.content").message(_ROLES[item.role], f"{where}.content")
    elif is_reference(item):
        if (item.id or "").startswith("rs_"):
            return  # what was thought
        if happened:
            yield Message.of("user", _NOT_KEPT)
            return
        raise BadParameter(
            f"No item with the id {(item.id or '')[:100]!r} is kept here.",
            hint="Send the item itself.",
            param=f"{where}.id",
        )
    elif kind == "compaction_trigger" and not happened:
        raise BadParameter("Nothing is summed up here.", hint="Leave it out.", param=f"{where}.type")
    elif kind == "compaction":
        yield Message.of("user", _COMPACTED)
    elif item.is_call:
        yield from _called(item, kind, brain, where)
    elif item.is_result:
        yield _result(item, item.call_id or item.approval_request_id or item.id or "", brain, where)
    elif kind not in _LEFT_OUT:
        parts = MessageParts(brain, happened=happened)
        parts.other(kind, to_builtins(item), where)
        yield parts.message("user", where)


def _called(item: ItemIn, kind: str, brain: "Brain", where: str) -> Iterator[Message]:
    """A call, and its result where that comes along."""
    name = flat(item.namespace, item.name) or kind.removesuffix("_call")
    call = ToolCallPart(id=item.call_id or item.id or "", name=name, arguments=_arguments(item, kind))
    yield Message.of("assistant", call)
    if any(getattr(item, field) is not None for field in _ANSWERED):
        yield _result(item, call.id, brain, where)
    elif item.call_id is None and kind not in ("function_call", "custom_tool_call", "mcp_approval_request"):
        yield Message.of("tool", ToolResultPart.of(f"[{item.status or 'completed'}]", call_id=call.id, name=name))


def _arguments(item: ItemIn, kind: str) -> str:
    if kind in ("function_call", "mcp_call", "mcp_approval_request"):
        return arguments_of(item.arguments)
    asked = {field: value for field in _ASKED if (value := getattr(item, field)) is not None}
    if item.revised_prompt is not None:
        asked["prompt"] = item.revised_prompt
    if len(asked) == 1 and isinstance(only := next(iter(asked.values())), dict):
        return arguments_of({key: value for key, value in only.items() if value is not None})
    return arguments_of(asked)


def _result(item: ItemIn, call_id: str, brain: "Brain", where: str) -> Message:
    parts = MessageParts(brain, happened=True)
    if item.approve is not None:
        parts.text("Approved." if item.approve else f"Denied. {item.reason or ''}".strip())
    if item.status == "failed":
        parts.text("Failed.")
    for field in _ANSWERED:
        if (value := getattr(item, field)) is not None:
            _add(parts, value, f"{where}.{field}", image=item.kind == "image_generation_call" and field == "result")
    if item.kind == "tool_search_output":
        parts.text(words_of([tool.get("name", "") for tool in item.tools or () if isinstance(tool, dict)]))
    return parts.result(call_id, flat(item.namespace, item.name))


def _add(parts: MessageParts, value: Any, where: str, *, image: bool = False) -> None:
    """Some of a result: texts, images and files as what they are, anything else as words."""
    if isinstance(value, str):
        if image:
            parts.base64(value, "", where)
        else:
            parts.text(value if where.endswith(".output") else words_of(value))  # a client's own is as it is
        return
    for at, each in enumerate(value if isinstance(value, list) else [value]):
        try:
            part = convert(each, PartIn)
        except ValidationError:
            parts.text(words_of(each))
            continue
        if part.type == "computer_screenshot":
            part.type = "input_image"
        if part.type in (*_TEXTS, "input_image", "input_file", "input_audio"):
            _read(parts, [part], f"{where}[{at}]")
        else:
            parts.text(words_of(each))


def _read(parts: MessageParts, content: str | Sequence[PartIn | str] | None, where: str) -> MessageParts:
    if content is None or isinstance(content, str):
        parts.text(content or "")
        return parts
    for at, part in enumerate(content):
        place = f"{where}[{at}]"
        if isinstance(part, str):
            parts.text(part)
            continue
        match part.type:
            case kind if kind in _TEXTS:
                parts.said(part.refusal if part.text is None else part.text, f"{place}.text")
            case "input_image" if part.image_url is None and part.file_id is not None:
                parts.kept_image(place)
            case "input_image":
                parts.address(part.image_url or "", place)
            case "input_audio":
                parts.sound(place)
            case "input_file":
                parts.file(place, name=part.filename or part.file_url or "", data=part.file_data or "")
            case kind:
                parts.other(kind, to_builtins(part), place)
    return parts
