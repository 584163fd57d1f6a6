"""What a request for a chat asks of a brain: messages, tools and sampling in the words of the engine."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import to_builtins

from omni.core.errors import nearest
from omni.core.messages import Message, ToolCallPart
from omni.engine import Tool, arguments_of
from omni.server.errors import BadParameter
from omni.server.generation import UNLIMITED, GenerationRequest
from omni.server.openai.types import (
    CalledFunction,
    ChatBody,
    CompletionMessage,
    FileIn,
    ImageUrl,
    NamedFunction,
    Part,
    ResponseFormat,
    Sampled,
    ToolChoice,
)
from omni.server.parts import NOT_HEARD, TEXTS, MessageParts, new_from
from omni.server.schemas import bearable
from omni.server.tools import ANY_OBJECT, none_to_call, tool_of

if TYPE_CHECKING:
    from omni.cartridges import Brain


_OTHER_BONDS = ("grammar", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs")


def wish_of(body: ChatBody, brain: "Brain") -> GenerationRequest:
    """What `brain` is asked. Raises BadParameter."""
    if "audio" in (body.modalities or ()):
        raise BadParameter(f"{brain.name} cannot speak: it answers in text only.", param="modalities")
    limit = "max_tokens" if body.max_completion_tokens is None else "max_completion_tokens"
    tools, choice = _tools(body)
    return GenerationRequest(
        brain=brain,
        messages=tuple(messages_of(body.messages, brain)),
        sampling=sampling_of(body, limit),
        schema=schema_of(body),
        strict=strict_of(body.response_format),
        tools=tools,
        tool_choice=choice,
        parallel_calls=False if body.functions is not None and not body.tools else body.parallel_tool_calls,
        logprobs=_top(body),
        thinking=_thinking(body),
        adapter_scale=body.adapter_scale,
    )


def sampling_of(body: Sampled, limit: str = "max_tokens") -> dict[str, Any]:
    """The fields of Sampling that a request names; `limit` is the field that bounds the answer."""
    names = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty", "presence_penalty", "frequency_penalty")
    sampling: dict[str, Any] = {name: value for name in names if (value := getattr(body, name)) is not None}
    if (most := limit_of(getattr(body, limit))) is not None:
        sampling["max_tokens"] = most
    if body.seed is not None and body.seed != -1:  # which is llama.cpp's word for "any"
        sampling["seed"] = body.seed & 0x7FFFFFFF
    if body.stop:
        sampling["stop"] = [text for text in ([body.stop] if isinstance(body.stop, str) else body.stop) if text]
    if body.logit_bias:
        sampling["logit_bias"] = list({_token(key): bias for key, bias in body.logit_bias.items()}.items())
    return sampling


def limit_of(most: int | None) -> int | None:
    """The tokens that an answer may take at most; None for all that is left, which is also what -1 means."""
    return most if most is not None and 0 <= most < UNLIMITED else None


def seeded(wish: GenerationRequest, at: int) -> GenerationRequest:
    """The same for answer number `at`: with a seed of its own, where there is one."""
    seed = wish.sampling.get("seed")
    if seed is None or at == 0:
        return wish
    return msgspec.structs.replace(wish, sampling={**wish.sampling, "seed": (seed + at) & 0x7FFFFFFF})


def messages_of(messages: Sequence[CompletionMessage], brain: "Brain") -> Iterator[Message]:
    """The messages as engines know them."""
    new = new_from([message.speaks(last=message is messages[-1]) for message in messages])
    for at, message in enumerate(messages):
        where = f"messages[{at}]"
        happened = at < new or message.happened
        content = message.content
        if isinstance(content, dict):
            if not happened:
                raise BadParameter(f"`{where}.content` must be a text or a list of parts.", param=f"{where}.content")
            content = json.dumps(content, ensure_ascii=False)
        parts, place = _parts(content, MessageParts(brain, happened=happened), f"{where}.content"), f"{where}.content"
        match message.role:
            case "system" if happened and content is None:
                pass
            case "system" | "developer":
                yield parts.message("system", place)
            case "user":
                yield parts.message("user", place)
            case "tool" | "function":
                name = message.name or ""
                call_id = name if message.role == "function" else message.tool_call_id or ""
                yield parts.result(call_id, name)
            case "assistant":
                text = parts.only_text(place) or message.refusal or (NOT_HEARD if message.audio else "")
                yield Message.of("assistant", text, *_calls(message))


def schema_of(body: Sampled) -> dict[str, Any] | None:
    """The schema that the answer must follow. Raises BadParameter for one that is not there or cannot be kept, and for what
    other servers bind an answer by."""
    for name in _OTHER_BONDS:
        if getattr(body, name) not in (None, ""):
            raise BadParameter(
                f"Answers are bound by JSON Schemas only; `{name}` is not kept here.",
                hint="Send the schema in `response_format`.",
                param=name,
            )
    schema, where = _named(body.response_format)
    if body.json_schema is not None and (schema is None or schema is ANY_OBJECT):
        schema, where = body.json_schema, "json_schema"
    if schema is not None:
        bearable(schema, where)
    return schema


def _named(wanted: ResponseFormat | None) -> tuple[dict[str, Any] | None, str]:
    """The schema of a `response_format`, and where it stands."""
    if wanted is None or wanted.type == "text":
        return None, ""
    if wanted.type == "json_object":
        return wanted.schema or ANY_OBJECT, "response_format.schema"
    if wanted.json_schema is not None and wanted.json_schema.schema is not None:
        return wanted.json_schema.schema, "response_format.json_schema.schema"
    if wanted.schema is not None:
        return wanted.schema, "response_format.schema"
    where = "response_format.json_schema.schema"
    raise BadParameter('A `response_format` of type "json_schema" needs a schema.', param=where)


def strict_of(wanted: ResponseFormat | None) -> bool:
    """Whether an answer that may not follow its schema is to be held until it is proved."""
    if wanted is None:
        return True
    return wanted.strict is not False and (wanted.json_schema is None or wanted.json_schema.strict is not False)


def _parts(content: str | Sequence[Part | str | None] | None, parts: MessageParts, where: str) -> MessageParts:
    if content is None or isinstance(content, str):
        parts.text(content or "")
        return parts
    for at, part in enumerate(content):
        place = f"{where}[{at}]"
        if part is None:
            continue
        if isinstance(part, str):
            parts.text(part)
            continue
        match part.type:
            case "refusal":
                parts.said(part.refusal, f"{place}.refusal")
            case kind if kind in TEXTS:
                parts.said(part.text, f"{place}.text")
            case "image_url":
                url = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url
                parts.address(url or "", place)
            case "input_audio":
                parts.sound(place)
            case "file":
                file = part.file or FileIn()
                parts.file(place, name=file.filename or "", data=file.file_data or "")
            case kind:
                parts.other(kind, to_builtins(part), place)
    return parts


def _calls(message: CompletionMessage) -> tuple[ToolCallPart, ...]:
    calls = []
    for call in filter(None, message.tool_calls or ()):
        if call.custom is not None:
            name, arguments = (
                call.custom.name,
                arguments_of({"input": "" if call.custom.input is None else call.custom.input}),
            )
        else:
            called = call.function or CalledFunction()
            name, arguments = called.name, arguments_of(called.arguments)
        calls.append(ToolCallPart(id=call.id or "", name=name or "", arguments=arguments))
    if message.function_call is not None and not calls:
        name, arguments = message.function_call.name or "", arguments_of(message.function_call.arguments)
        calls.append(ToolCallPart(id=name, name=name, arguments=arguments))
    return tuple(calls)


def _tools(body: ChatBody) -> tuple[tuple[Tool, ...], str]:
    """The tools that may be called, and whether one must be. A choice of one leaves that one only."""
    functions = {at: tool.function for at, tool in enumerate(body.tools or ()) if tool.type == "function"}
    listed = "tools[{}].function"
    if not body.tools:
        functions, listed = dict(enumerate(body.functions or ())), "functions[{}]"
    tools = []
    for at, function in functions.items():
        if function is None:
            raise BadParameter('A tool of the type "function" needs a `function`.', param=listed.format(at))
        where = f"{listed.format(at)}.parameters"
        tools.append(tool_of(function.name, function.description, function.parameters, where))
    choice: Literal["none", "auto", "required"] | ToolChoice | NamedFunction | None = body.tool_choice
    field = "tool_choice"
    if choice is None and body.function_call is not None:
        choice, field = body.function_call, "function_call"
    if choice is None or isinstance(choice, str):
        if choice == "required" and not tools:
            raise none_to_call(len(body.tools or ()), field)
        return tuple(tools), choice or "auto"
    if isinstance(choice, ToolChoice) and choice.type == "allowed_tools":
        if choice.allowed_tools is None:
            raise BadParameter("`allowed_tools` is missing.", param=field)
        allowed = choice.allowed_tools
        names = [_name(one) for one in allowed.tools if one.get("type", "function") == "function"]
        if allowed.tools and not names and allowed.mode != "required":
            return (), "auto"  # what may be called is a cloud's only
        return only_of(tools, names, field), allowed.mode
    if isinstance(choice, ToolChoice) and choice.type != "function":
        raise BadParameter(
            f"Only functions can be called here; `{field}` names a {choice.type[:100]!r}.", param=f"{field}.type"
        )
    name = choice.name or (choice.function.name if isinstance(choice, ToolChoice) and choice.function else None)
    if not name:
        raise BadParameter("The choice names no function.", param=field)
    return only_of(tools, [name], field), "required"


def _name(tool: dict[str, Any]) -> str:
    function = tool.get("function")
    return str((function if isinstance(function, dict) else tool).get("name", ""))


def only_of(tools: Sequence[Tool], names: Sequence[str], field: str) -> tuple[Tool, ...]:
    """Those of `tools` that `field` names. Raises BadParameter for a name that none has."""
    known = [tool.name for tool in tools]
    for name in names:
        if name not in known:
            raise BadParameter(
                f"`{field}` names {name!r}, which is none of the {len(known)} tools of the request.",
                hint=nearest(name, known),
                param=field,
            )
    if not names:
        raise BadParameter(f"`{field}` names no tool.", param=field)
    return tuple(tool for tool in tools if tool.name in names)


def _top(body: ChatBody) -> int | None:
    if not body.logprobs:
        if body.top_logprobs:
            raise BadParameter("`top_logprobs` needs `logprobs`: true.", param="top_logprobs")
        return None
    return body.top_logprobs or 0


def _thinking(body: ChatBody) -> bool | None:
    if body.chat_template_kwargs is not None and body.chat_template_kwargs.enable_thinking is not None:
        return body.chat_template_kwargs.enable_thinking
    return None if body.reasoning_effort is None else body.reasoning_effort not in ("none", "minimal")


def _token(key: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", key):  # int() takes more, such as "1_0" and digits of other scripts
        raise BadParameter(
            f"`logit_bias` names tokens by their numbers; {key[:100]!r} is none.",
            hint="POST /tokenize tells the numbers.",
            param="logit_bias",
        )
    return int(key)
