"""What a request for `/v1/responses` asks of a brain, in the words of the engine."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omni.core.messages import Message
from omni.engine import Tool
from omni.server.errors import BadParameter
from omni.server.generation import GenerationRequest
from omni.server.openai.requests import limit_of, only_of
from omni.server.openai.responses_history import flat, messages_of
from omni.server.openai.responses_types import ChoiceIn, FormatIn, ItemIn, ResponseBody, ResponseTool
from omni.server.schemas import bearable
from omni.server.tools import ANY_OBJECT, none_to_call, tool_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

_NOT_HERE = {
    "background": "Leave it out: an answer is written while its connection is open, and with `stream` it comes as it grows.",
    "conversation": "Use `previous_response_id`, or send all in `input`.",
    "prompt": "Send the words of it in `instructions` and `input`.",
}
LOGPROBS = "message.output_text.logprobs"  # the word of `include` that asks for likelihoods


def items_of(asked: str | list[ItemIn]) -> list[ItemIn]:
    """The input as items."""
    return [ItemIn(type="message", role="user", content=asked)] if isinstance(asked, str) else asked


def wish_of(body: ResponseBody, history: Sequence[ItemIn], brain: "Brain") -> GenerationRequest:
    """What `brain` is asked, after what `history` holds. Raises BadParameter."""
    for name, hint in _NOT_HERE.items():
        if getattr(body, name):
            raise BadParameter(f"`{name}` is not known here.", hint=hint, param=name)
    if not (asked := items_of(body.input)):
        raise BadParameter("There is nothing to answer: `input` is empty.", param="input")
    messages = [
        *messages_of(history, brain, "previous_response_id", happened=True),
        *messages_of(asked, brain, "input"),
    ]
    if body.instructions:
        messages.insert(0, Message.of("system", body.instructions))
    tools, choice = _choice(body, tools_of(body.tools or ()))
    sampling = {"temperature": body.temperature, "top_p": body.top_p, "max_tokens": limit_of(body.max_output_tokens)}
    effort = body.reasoning.effort if body.reasoning else None
    return GenerationRequest(
        brain=brain,
        messages=tuple(messages),
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


def tools_of(asked: Iterable[ResponseTool]) -> tuple[Tool, ...]:
    """The functions among the tools of a request; programs offer what only a cloud has, too, and can do without."""
    return tuple(_functions(asked, "tools"))


def spaces_of(asked: Iterable[ResponseTool]) -> dict[str, tuple[str, str]]:
    """Namespace and name of those tools that have a namespace, by the name that a brain calls them by."""
    return {
        flat(space.name, tool.name): (space.name or "", tool.name or "")
        for space in asked
        if space.type == "namespace"
        for tool in space.tools or ()
        if tool.type == "function"
    }


def _functions(asked: Iterable[ResponseTool], where: str, namespace: str | None = None) -> Iterator[Tool]:
    for at, tool in enumerate(asked):
        place = f"{where}[{at}]"
        if tool.type == "namespace" and namespace is None:
            yield from _functions(tool.tools or (), f"{place}.tools", tool.name)
        elif tool.type == "function":
            if not tool.name:
                raise BadParameter("A function needs a `name`.", param=f"{place}.name")
            yield tool_of(flat(namespace, tool.name), tool.description, tool.parameters, f"{place}.parameters")


def _choice(body: ResponseBody, tools: tuple[Tool, ...]) -> tuple[tuple[Tool, ...], str]:
    """The tools that may be called, and whether one must be."""
    choice, field = body.tool_choice or "auto", "tool_choice"
    if isinstance(choice, ChoiceIn) and choice.type == "allowed_tools":
        names = [tool.name or "" for tool in choice.tools or () if tool.type == "function"]
        if choice.tools and not names and choice.mode != "required":
            return (), "auto"  # what may be called is a cloud's only
        return only_of(tools, names, field), choice.mode or "auto"
    if isinstance(choice, ChoiceIn):
        if choice.type != "function" or not choice.name:
            raise BadParameter(
                f"Only functions can be called here; `{field}` names a {choice.type[:100]!r}.", param=f"{field}.type"
            )
        return only_of(tools, [choice.name], field), "required"
    if choice == "required" and not tools:
        raise none_to_call(len(body.tools or ()), field)
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
