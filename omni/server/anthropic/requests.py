"""What a request of Anthropic's clients asks of a brain, in the words of the engine."""

from typing import TYPE_CHECKING, Any

from omni.core.errors import nearest
from omni.core.messages import Message
from omni.engine import Tool
from omni.server.anthropic.blocks import BETWEEN, blocks_of, read, written
from omni.server.anthropic.types import AnthropicTool, CountBody, MessagesBody
from omni.server.errors import BadParameter
from omni.server.generation import GenerationRequest
from omni.server.parts import MessageParts
from omni.server.schemas import bearable
from omni.server.tools import none_to_call, tool_of

if TYPE_CHECKING:
    from omni.cartridges import Brain

BILLING = (
    "x-anthropic-billing-header:"  # Claude Code's first system text: new each time, it would spoil the prefix cache
)


def wish_of(body: MessagesBody, brain: "Brain") -> GenerationRequest:
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
    return GenerationRequest(
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
    leading: list[Message] = []
    if body.system is not None:
        parts = MessageParts(brain, between=BETWEEN)
        for at, block in enumerate(written(body.system)):
            if block.text != "" and not (block.text or "").startswith(BILLING):
                read(parts, block, f"system[{at}]")
        system = parts.only_text("system")
        leading += [Message.of("system", system)] if system else []
    if not body.messages:
        raise BadParameter("`messages` is empty.", hint="Send at least one message.", param="messages")
    return (*leading, *blocks_of(body.messages, brain, "messages"))


def tools_of(body: CountBody) -> tuple[tuple[Tool, ...], str]:
    """The tools that may be called, and whether one must be. Raises BadParameter."""
    tools = tuple(_tool(tool, at) for at, tool in enumerate(body.tools or ()) if tool.type in (None, "custom"))
    choice = body.tool_choice
    if choice is None or choice.type == "auto":
        return tools, "auto"
    if choice.type == "none":
        return tools, "none"
    if not tools:
        raise none_to_call(len(body.tools or ()), "tool_choice")
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


def _tool(tool: AnthropicTool, at: int) -> Tool:
    if not tool.name:
        raise BadParameter("A tool needs a `name`.", param=f"tools[{at}].name")
    return tool_of(tool.name, tool.description, tool.input_schema, f"tools[{at}].input_schema")
