"""What a request of Ollama's clients asks of a brain, in the words of the engine."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omni.core.messages import Message, ToolCallPart
from omni.engine import Tool, arguments_of
from omni.server.brains import untaught
from omni.server.errors import BadParameter
from omni.server.generation import GenerationRequest
from omni.server.ollama.models import inserts, thinks
from omni.server.ollama.types import (
    Called,
    GenerateBody,
    Number,
    OllamaChatBody,
    OllamaCompletionBody,
    OllamaMessage,
    OllamaTool,
    Options,
)
from omni.server.parts import MessageParts, new_from
from omni.server.schemas import bearable
from omni.server.tools import ANY_OBJECT, none_to_call, tool_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

LEVELS = ("low", "medium", "high")
_PLAIN = ("repeat_penalty", "presence_penalty", "frequency_penalty")
_MOST = {"temperature": 100.0, "top_p": 1.0, "min_p": 1.0}  # what is outside is the nearest that is not, as with Ollama


def chat_wish(body: OllamaChatBody, brain: "Brain") -> GenerationRequest:
    """What /api/chat asks. Raises BadParameter."""
    tools, choice = _offered(body)
    return GenerationRequest(
        brain=brain,
        messages=tuple(messages_of(body.messages or (), brain)),
        sampling=sampling_of(body.options),
        schema=schema_of(body.format),
        tools=tools,
        tool_choice=choice,
        logprobs=_top(body),
        thinking=_thinking(body, brain),
    )


def generate_wish(body: GenerateBody, brain: "Brain") -> GenerationRequest:
    """What /api/generate asks. Raises BadParameter. Blocking: may look into the brain's file.

    A brain without a chat template goes on with the prompt as it is, as it does with Ollama.
    """
    parts = _parts(body.prompt or "", body.images, brain, "images")
    if body.template:
        raise BadParameter(
            "A brain answers by its own template only.", hint="Send `raw` with a prompt that is made.", param="template"
        )
    if body.context:
        raise BadParameter(
            "`context` is not kept: it holds numbers of tokens, not what was said.",
            hint="POST /api/chat with all messages.",
            param="context",
        )
    prompt, thinking = body.prompt or "", _thinking(body, brain)
    sampling, schema = sampling_of(body.options), schema_of(body.format)
    if body.suffix or body.raw or untaught(brain):
        parts.only_text("images")
        if body.system:
            why = f"{brain.name} has none" if untaught(brain) else "`raw` and `suffix` use none"
            raise BadParameter(f"`system` needs a template; {why}.", param="system")
        if body.suffix and brain.base is not None and not inserts(brain):
            raise BadParameter(
                f'"{body.wanted}" does not support insert: it was not made to fill in between two texts.',
                hint="Leave out `suffix`, or take a brain whose capabilities have `insert`.",
                param="suffix",
            )
        return GenerationRequest(
            brain=brain,
            prompt=prompt,
            suffix=body.suffix or None,
            sampling=sampling,
            schema=schema,
            logprobs=_top(body),
        )
    system = (Message.of("system", body.system),) if body.system else ()
    return GenerationRequest(
        brain=brain,
        messages=(*system, parts.message("user", "images")),
        sampling=sampling,
        schema=schema,
        logprobs=_top(body),
        thinking=thinking,
    )


def messages_of(messages: Sequence[OllamaMessage], brain: "Brain") -> Iterator[Message]:
    """The messages as engines know them. Ollama's calls have no ids: the engine finds their results by name or order."""
    new = new_from([message.speaks(last=message is messages[-1]) for message in messages])
    for at, message in enumerate(messages):
        content, where = message.content or "", f"messages[{at}].images"
        happened = at < new or message.happened
        if message.role == "system" and happened and message.content is None:
            continue
        parts = _parts(content, message.images, brain, where, happened=happened)
        match message.role:
            case "tool":
                yield parts.result(message.tool_call_id or "", message.tool_name or "")
            case "assistant":
                yield Message.of("assistant", parts.only_text(where), *map(_call, message.tool_calls or ()))
            case "developer":
                yield parts.message("system", where)
            case role:
                yield parts.message(role, where)


def sampling_of(options: Options | None) -> dict[str, Any]:
    """The fields of Sampling that a request names. Raises BadParameter.

    `num_ctx` allocates nothing: a brain has what fits into this machine, and a prompt that is longer is refused.
    """
    if options is None:
        return {}
    sampling: dict[str, Any] = {name: value for name in _PLAIN if (value := getattr(options, name)) is not None}
    if (penalty := options.repeat_penalty) is not None and penalty <= 0:
        del sampling["repeat_penalty"]  # which is what Ollama takes for none
    sampling |= {
        name: max(0, min(value, most)) for name, most in _MOST.items() if (value := getattr(options, name)) is not None
    }
    if (most := _whole(options.num_predict, "num_predict")) is not None and 0 < most < 1 << 30:
        sampling["max_tokens"] = most  # else all that is left, which 0 is to Ollama's own engines, too
    if (top := _whole(options.top_k, "top_k")) is not None:
        sampling["top_k"] = max(0, min(top, 1 << 30))
    if (seed := _whole(options.seed, "seed")) is not None and seed >= 0:
        sampling["seed"] = seed & 0x7FFFFFFF
    if options.stop:
        sampling["stop"] = [
            text for text in ([options.stop] if isinstance(options.stop, str) else options.stop) if text
        ]
    return sampling


def schema_of(wanted: str | dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema of `format`. Raises BadParameter."""
    if not wanted:
        return None
    if wanted == "json":
        return ANY_OBJECT
    if isinstance(wanted, str):
        raise BadParameter(f'`format` must be "json" or a JSON Schema; {wanted!r} was sent.', param="format")
    bearable(wanted, "format")
    return wanted


def _whole(value: Number | None, name: str) -> int | None:
    if value is None:
        return None
    if not -(1 << 63) <= value < 1 << 63 or value != int(value):
        raise BadParameter(f"`{name}` must be a whole number; {value} was sent.", param=f"options.{name}")
    return int(value)


def _offered(body: OllamaChatBody) -> tuple[tuple[Tool, ...], str]:
    """The tools, and which must be called. Ollama knows no choice, but clients of it send OpenAI's words for one, and
    fail when it was not kept."""
    tools = tuple(_tool(tool, at) for at, tool in enumerate(body.tools or ()))
    choice = body.tool_choice
    if choice == "required" and not tools:
        raise none_to_call(0, "tool_choice")
    if choice is None or isinstance(choice, str):
        return tools, choice or "auto"
    name = choice.name or (choice.function.name if choice.function else "") or ""
    if name not in [tool.name for tool in tools]:
        raise BadParameter(f"`tool_choice` names {name!r}, which is no tool of the request.", param="tool_choice")
    return tools, name


def _tool(tool: OllamaTool, at: int) -> Tool:
    function = tool.function
    return tool_of(function.name, function.description, function.parameters, f"tools[{at}].function.parameters")


def _call(call: Called) -> ToolCallPart:
    return ToolCallPart(
        id=call.id or "", name=call.function.name or "", arguments=arguments_of(call.function.arguments)
    )


def _parts(
    content: str, images: Sequence[str] | None, brain: "Brain", where: str, *, happened: bool = False
) -> MessageParts:
    """A message and its images, which stand before the text; in base64, as `data:` addresses as well."""
    parts = MessageParts(brain, happened=happened)
    for at, image in enumerate(images or ()):
        place = f"{where}[{at}]"
        if image.startswith(("data:", "http://", "https://")):
            parts.address(image, place)
        else:
            parts.base64(image, "", place)
    parts.text(content)
    return parts


def _top(body: OllamaCompletionBody) -> int | None:
    most = body.top_logprobs or 0
    if not 0 <= most <= 20:
        raise BadParameter(f"`top_logprobs` must be from 0 to 20; {most} was sent.", param="top_logprobs")
    return most if body.logprobs else None


def _thinking(body: OllamaCompletionBody, brain: "Brain") -> bool | None:
    wanted = body.think
    if wanted is None or wanted == "":
        return None
    if isinstance(wanted, str) and wanted not in LEVELS:
        raise BadParameter(f"`think` must be true, false or one of {', '.join(LEVELS)}.", param="think")
    if wanted and brain.base is not None and not thinks(brain):
        raise BadParameter(f'"{body.wanted}" does not support thinking.', hint="Leave out `think`.", param="think")
    return bool(wanted)
