"""Calls of tools: which of them may be asked for, and how a brain is told of them whose template knows none.

A brain that must call answers under a grammar that admits calls only, whatever its template knows: llama.cpp's own
ways to force a call bind some templates only. One that may call is watched: see `reading`.
"""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from omni.core.errors import UsageError, nearest
from omni.core.messages import Message, ToolCallPart
from omni.engine.offered import bearable
from omni.engine.types import ChatRequest

FIRST_TOKENS = 4096  # that a forced call may take before it is asked for again
DENSITIES = (None, 3, 1)  # try after try: for how many characters a token a forced call has room; None: no end is set

_TOLD = """You can call these tools:

{tools}

To call one, answer with nothing but this JSON: {form}"""
_FORM = '{"name": "the tool", "arguments": {...}}'
_MAY = "Call a tool only when it helps; else answer in words."
_FORMED = "Once you know enough, answer with nothing but {}."
_SCHEMA, _ASKED = "JSON that follows this schema: {}", "the JSON that is asked for"
_LONGEST_FORM = 4000  # characters of a schema: reading a larger one takes longer than it helps
_MUST = "Answer with a call now."
_BROKEN = '{{\\"name\\"'  # in the templates of some coders, for `{"name"`: their brains write the braces twice, too


class Cut(Exception):
    """A forced call did not come, or was not finished within its tokens."""


def checked(request: ChatRequest) -> ChatRequest:
    """The request with only the tools that may be called now. Raises UsageError for a choice that is no tool, and for
    two tools of one name."""
    names = [tool.name for tool in request.tools]
    if (twice := next((name for name, times in Counter(names).items() if times > 1), None)) is not None:
        raise UsageError(f"Two tools are named {twice!r}: nobody could tell which one is called.", hint="Rename one.")
    if request.tool_choice in ("auto", "required"):
        if request.tool_choice == "required" and not request.tools:
            raise UsageError("A tool must be called, but the request names none.", hint="Send `tools` as well.")
        return request
    if request.tool_choice == "none":
        return msgspec.structs.replace(request, tools=())
    chosen = tuple(tool for tool in request.tools if tool.name == request.tool_choice)
    if not chosen:
        raise UsageError(
            f"`tool_choice` names {request.tool_choice!r}, which is none of the {len(names)} tools of the request.",
            hint=nearest(request.tool_choice, names),
        )
    return msgspec.structs.replace(request, tools=chosen, tool_choice="required")


def knows_tools(template: str, caps: Mapping[str, Any]) -> bool:
    """Whether a chat template tells a brain of tools in a way that it can follow; `caps`: what llama.cpp found in it."""
    return bool(caps.get("supports_tools")) and _BROKEN not in template


class CallUnfinished(UsageError):
    """A call that was forced found no end within its tokens, however often it was tried."""


def unfinished() -> CallUnfinished:
    """What to say when even the shortest call did not fit."""
    return CallUnfinished(
        "The brain did not finish its call within `max_tokens`.", hint="Allow more, or offer simpler tools."
    )


def told(request: ChatRequest, *, template: bool) -> ChatRequest:
    """The request as a brain is asked: tools as text where its template knows none. What becomes of earlier calls is the
    business of `histories`, and what an answer is bound to is no part of it."""
    adapted = request if template and bearable(request.tools) else in_words(request)
    sampling = request.sampling
    must = request.tool_choice == "required" and bool(request.tools)
    if request.tools and request.schema is not None and not must:
        adapted = _begun(adapted, _formed(request.schema))
    if must:
        sampling = msgspec.structs.replace(sampling, max_tokens=min(sampling.max_tokens, FIRST_TOKENS))
    if must or request.schema is not None:
        # "none" of llama.cpp's own kinds: it shall write the prompt with the tools in it, and force nothing. And a
        # text that would end the answer cuts no JSON.
        sampling = msgspec.structs.replace(sampling, stop=())
        adapted = msgspec.structs.replace(adapted, tool_choice="none", schema=None)
    return msgspec.structs.replace(adapted, sampling=sampling)


def written(call: ToolCallPart) -> str:
    """A call of a history as text, in the form that a brain is told of and that is read."""
    return f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}'


def in_words(request: ChatRequest) -> ChatRequest:
    """The request with its tools told in words, whatever the brain's template knows of them."""
    if not request.tools:
        return request
    listed = "\n".join(json.dumps(msgspec.to_builtins(tool), ensure_ascii=False) for tool in request.tools)
    words = _TOLD.format(tools=listed, form=_FORM)
    if request.tool_choice == "required":
        words = f"{words}\n{_MUST}"
    elif request.schema is None:
        words = f"{words}\n{_MAY}"
    return _begun(msgspec.structs.replace(request, tools=()), words)


def _formed(schema: dict[str, Any]) -> str:
    """Words on the form of an answer, for a brain that may call or answer: what it knows nothing of it does not begin, and
    so it would call again and again."""
    form = json.dumps(schema, ensure_ascii=False)
    return _FORMED.format(_SCHEMA.format(form) if len(form) <= _LONGEST_FORM else _ASKED)


def _begun(request: ChatRequest, words: str) -> ChatRequest:
    """The request with `words` at the end of its leading system text."""
    messages = request.messages
    if messages and messages[0].role == "system":
        messages = (Message.of("system", *messages[0].parts, f"\n\n{words}"), *messages[1:])
    else:
        messages = (Message.of("system", words), *messages)
    return msgspec.structs.replace(request, messages=messages)
