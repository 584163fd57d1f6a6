"""An answer of `/v1/responses` before it is written: what the request asked for, and what is really used."""

import secrets
import time

from omni.engine import Sampling
from omni.server.generation import UNLIMITED
from omni.server.openai import responses_types as shown
from omni.server.openai.responses_types import ResponseBody, ResponseObject, ResponseTool


def answer_of(body: ResponseBody, brain: str, sampling: Sampling, *, store: bool) -> ResponseObject:
    """The answer of `brain`, whose tokens are chosen by `sampling`, when it has just begun."""
    limit = sampling.max_tokens if sampling.max_tokens < UNLIMITED else None
    return ResponseObject(
        id=f"resp_{secrets.token_hex(24)}",
        created_at=int(time.time()),
        status="in_progress",
        model=body.model or brain,
        output=[],
        instructions=body.instructions,
        previous_response_id=body.previous_response_id,
        store=store,
        tools=[_tool(tool) for tool in body.tools or () if tool.type in ("function", "namespace")],
        tool_choice=body.tool_choice or "auto",
        parallel_tool_calls=body.parallel_tool_calls is not False,
        text=body.text if body.text and body.text.format else shown.TextIn(format=shown.FormatIn(type="text")),
        reasoning=body.reasoning or shown.ReasoningIn(),
        max_output_tokens=limit,
        max_tool_calls=body.max_tool_calls,
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        top_logprobs=body.top_logprobs or 0,
        metadata=body.metadata or {},
        user=body.user,
        safety_identifier=body.safety_identifier,
        prompt_cache_key=body.prompt_cache_key,
    )


def _tool(tool: ResponseTool) -> shown.FunctionTool | shown.NamespaceTool:
    if tool.type == "function":
        return _function(tool)
    functions = [_function(each) for each in tool.tools or () if each.type == "function"]
    return shown.NamespaceTool(name=tool.name or "", description=tool.description, tools=functions)


def _function(tool: ResponseTool) -> shown.FunctionTool:
    """A function as it was sent; one that says nothing of `strict` is, as with OpenAI."""
    return shown.FunctionTool(
        name=tool.name or "",
        description=tool.description,
        parameters=tool.parameters,
        strict=tool.strict is not False,
    )
