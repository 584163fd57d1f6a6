"""What a request for `/v1/responses` asks of a brain, in the words of the engine."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from omni.engine import Message, Tool, ToolCall, joined
from omni.server.errors import BadParameter
from omni.server.generation import Wish
from omni.server.images import Parts, shown
from omni.server.openai.asked import arguments_of, limit_of, only_of
from omni.server.openai.responses_types import ChoiceIn, FormatIn, ItemIn, PartIn, ResponseBody, ToolIn
from omni.server.openai.types import CalledFunction
from omni.server.schemas import bearable
from omni.server.tools import ANY_OBJECT, tool_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

LOGPROBS = "message.output_text.logprobs"  # the word of `include` that asks for likelihoods
_ROLES = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}
_CANNOT = {"input_audio": "hear", "input_file": "open files"}


def items_of(asked: str | list[ItemIn]) -> list[ItemIn]:
    """The input as items."""
    return [ItemIn(type="message", role="user", content=asked)] if isinstance(asked, str) else asked


def wish_of(body: ResponseBody, history: Iterable[ItemIn], brain: "Brain") -> Wish:
    """What `brain` is asked, after what `history` holds. Raises BadParameter."""
    for name in ("background", "conversation", "prompt"):
        if getattr(body, name):
            raise BadParameter(
                f"`{name}` is not known here.", hint="Use `previous_response_id`, or send all in `input`.", param=name
            )
    if not (asked := items_of(body.input)):
        raise BadParameter("There is nothing to answer: `input` is empty.", param="input")
    messages = [*_messages(history, brain, "previous_response_id"), *_messages(asked, brain, "input")]
    if body.instructions:
        messages.insert(0, Message(role="system", content=body.instructions))
    tools, choice = _choice(body, tools_of(body.tools or ()))
    sampling = {"temperature": body.temperature, "top_p": body.top_p, "max_tokens": limit_of(body.max_output_tokens)}
    effort = body.reasoning.effort if body.reasoning else None
    return Wish(
        brain=brain,
        messages=tuple(_joined(messages)),
        sampling={name: value for name, value in sampling.items() if value is not None},
        schema=_schema(body.text.format if body.text else None),
        strict=not (body.text and body.text.format and body.text.format.strict is False),
        tools=tools,
        tool_choice=choice,
        parallel_calls=body.parallel_tool_calls,
        logprobs=top_of(body),
        thinking=None if effort is None else effort not in ("none", "minimal"),
    )


def top_of(body: ResponseBody) -> int | None:
    """How many likely tokens are wanted at each place; None where not even the chosen one's likelihood is."""
    if body.top_logprobs:
        return body.top_logprobs
    return 0 if LOGPROBS in (body.include or ()) else None


def tools_of(asked: Iterable[ToolIn]) -> tuple[Tool, ...]:
    """The functions among the tools of a request; programs offer what only a cloud has, too, and can do without."""
    found = []
    for at, tool in enumerate(asked):
        if tool.type != "function":
            continue
        if not tool.name:
            raise BadParameter("A function needs a `name`.", param=f"tools[{at}].name")
        found.append(tool_of(tool.name, tool.description, tool.parameters, f"tools[{at}].parameters"))
    return tuple(found)


def _choice(body: ResponseBody, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], str]:
    """The tools that may be called, and whether one must be."""
    choice, field = body.tool_choice or "auto", "tool_choice"
    if isinstance(choice, ChoiceIn) and choice.type == "allowed_tools":
        return only_of(tools, [tool.name or "" for tool in choice.tools or ()], field), choice.mode or "auto"
    if isinstance(choice, ChoiceIn):
        if choice.type != "function" or not choice.name:
            raise BadParameter(
                f"Only functions can be called here; `{field}` names a {choice.type[:100]!r}.", param=f"{field}.type"
            )
        return only_of(tools, [choice.name], field), "required"
    if choice == "required" and not tools:
        raise BadParameter(
            "A tool must be called, but the request names no function.", hint="Send `tools` as well.", param=field
        )
    return tools, choice


def _schema(wanted: FormatIn | None) -> dict[str, Any] | None:
    if wanted is None or wanted.type == "text":
        return None
    where = "text.format.schema"
    if wanted.type == "json_schema" and wanted.schema is None:
        raise BadParameter('A `text.format` of type "json_schema" needs a schema.', param=where)
    schema = ANY_OBJECT if wanted.schema is None else wanted.schema
    bearable(schema, where)
    return schema


def _messages(items: Iterable[ItemIn], brain: "Brain", where: str) -> Iterator[Message]:
    for at, item in enumerate(items):
        place = f"{where}[{at}]"
        match item.type or "message":
            case "message":
                if item.role is None:
                    raise BadParameter("A message needs a `role`.", param=f"{place}.role")
                parts = _parts(item.content, brain, f"{place}.content")
                yield shown(_ROLES[item.role], parts, f"{place}.content")
            case "function_call":
                name = item.name or ""
                if not name:
                    raise BadParameter("A call needs a `name`.", param=f"{place}.name")
                arguments = arguments_of(CalledFunction(name, item.arguments), f"{place}.arguments")
                call = ToolCall(id=item.call_id or f"call_{at}", name=name, arguments=arguments)
                yield Message(role="assistant", content="", calls=(call,))
            case "function_call_output":
                if not item.call_id:
                    raise BadParameter("The result of a call needs its `call_id`.", param=f"{place}.call_id")
                parts = _parts(item.output, brain, f"{place}.output")
                yield Message(role="tool", content=parts.content, images=parts.images, call_id=item.call_id)
            case "reasoning":
                pass  # brains are not shown again what they thought
            case kind:
                raise BadParameter(
                    f"Items of the type {kind[:100]!r} are not known here.",
                    hint="Known are message, function_call, function_call_output and reasoning.",
                    param=f"{place}.type",
                )


def _parts(content: str | Sequence[PartIn] | None, brain: "Brain", where: str) -> Parts:
    found = Parts(brain)
    if content is None or isinstance(content, str):
        found.text(content or "")
        return found
    for at, part in enumerate(content):
        if (what := _CANNOT.get(part.type)) is not None:
            raise BadParameter(f"{brain.name} cannot {what}: it reads text only.", param=f"{where}[{at}]")
        if part.type != "input_image":
            found.text(part.text or part.refusal or "")
        elif part.image_url is None and part.file_id is not None:
            raise BadParameter(
                "No files are kept here that an image could be.",
                hint="Send the image itself as `image_url`.",
                param=f"{where}[{at}]",
            )
        else:
            found.address(part.image_url or "", f"{where}[{at}]")
    return found


def _joined(messages: Iterable[Message]) -> Iterator[Message]:
    """Neighbours as one: a turn here is several items, and agents send what they know before the question, while many
    templates know only turns. Results learn the names of their tools."""
    names: dict[str, str] = {}
    last: Message | None = None
    for message in messages:
        names |= {call.id: call.name for call in message.calls}
        if message.role == "tool":
            message = msgspec.structs.replace(message, name=names.get(message.call_id, ""))
        if last is not None and last.role == message.role and last.role in ("user", "assistant"):
            between = "\n\n" if last.content and message.content else ""
            last = msgspec.structs.replace(joined(last, message, between), calls=(*last.calls, *message.calls))
            continue
        if last is not None:
            yield last
        last = message
    if last is not None:
        yield last
