"""Calls of tools: told by the brain's template or in words, forced by a grammar, read out of the text.

A brain that must call answers under a grammar that admits calls only, whatever its template knows: llama.cpp's own
ways to force a call bind some templates only. One that may call is watched: an answer that is a call, and nothing
else, is taken for one.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from omni.core.errors import UsageError, nearest
from omni.core.events import EngineEvent, TextDelta, TokenChosen, ToolCallDelta, TurnEnded
from omni.engine.bounded import bounded_schema
from omni.engine.limits import check_schema
from omni.engine.references import Hoisting
from omni.engine.schemas import follows, plain
from omni.engine.types import ChatRequest, Message, Tool, ToolCall

FIRST_TOKENS = 4096  # that a forced call may take before it is asked for again
DENSITIES = (None, 3, 1)  # try after try: for how many characters a token a forced call has room; None: no end is set

_TOLD = """You can call these tools:

{tools}

To call one, answer with nothing but this JSON: {{"name": "the tool", "arguments": {{...}}}}"""
_MAY = "Call a tool only when it helps; else answer in words."
_MUST = "Answer with a call now."
_OPENED = re.compile(r"\s*(?:```(?:json)?\s*|<tool_call>\s*)?\{")
_MAYBE = re.compile(r"\s*(?:`{0,3}|```\w{0,4}\s*|<[a-z_]{0,9}>?\s*)\Z")
_BROKEN = '{{\\"name\\"'  # in the templates of some coders, for `{"name"`: their brains write the braces twice, too
_CALL = re.compile(r"\s*(?:```(?:json)?\s*|<tool_call>\s*)?(\{.*\})\s*(?:```|</tool_call>)?\s*", re.DOTALL)


class Cut(Exception):
    """A forced call was not finished within its tokens, or is not as its tool wants it."""


def checked(request: ChatRequest) -> ChatRequest:
    """The request with only the tools that may be called now. Raises UsageError for a choice that is no tool, and for
    schemas that no engine can bear."""
    for schema in (request.schema, *(tool.parameters for tool in request.tools)):
        if schema is not None:
            check_schema(schema)
    if request.tool_choice in ("auto", "required"):
        if request.tool_choice == "required" and not request.tools:
            raise UsageError("A tool must be called, but the request names none.", hint="Send `tools` as well.")
        return request
    if request.tool_choice == "none":
        return msgspec.structs.replace(request, tools=())
    found = tuple(tool for tool in request.tools if tool.name == request.tool_choice)
    if not found:
        names = [tool.name for tool in request.tools]
        raise UsageError(
            f"`tool_choice` names {request.tool_choice!r}, which is none of the {len(names)} tools of the request.",
            hint=nearest(request.tool_choice, names),
        )
    return msgspec.structs.replace(request, tools=found, tool_choice="required")


def knows_tools(template: str, caps: Mapping[str, Any]) -> bool:
    """Whether a chat template tells a brain of tools in a way that it can follow; `caps`: what llama.cpp found in it."""
    return bool(caps.get("supports_tools")) and _BROKEN not in template


def unfinished() -> UsageError:
    """What to say when even the shortest call did not fit."""
    return UsageError(
        "The brain did not finish its call within `max_tokens`.", hint="Allow more, or offer simpler tools."
    )


def told(request: ChatRequest, *, template: bool, density: int | None = None) -> ChatRequest:
    """The request as a brain is asked: tools as text where its template knows none; a forced call as a schema that the
    answer follows. What becomes of earlier calls is the business of `histories`. `density`: see `DENSITIES`."""
    found = request if template else _in_words(request)
    if request.tool_choice != "required" or not request.tools:
        return found
    room = min(request.sampling.max_tokens, FIRST_TOKENS)
    try:
        schema = call_schema(request.tools)
        schema = schema if density is None else bounded_schema(schema, room * density)
    except RecursionError as error:
        raise UsageError(
            "The schemas of the tools refer to each other too often.", hint="Send simpler ones."
        ) from error
    return msgspec.structs.replace(
        found,
        tool_choice="none",  # of llama.cpp's own kinds: it shall write the prompt with the tools in it, and force nothing
        sampling=msgspec.structs.replace(request.sampling, max_tokens=room, stop=()),
        schema=schema,
    )


def call_schema(tools: Sequence[Tool]) -> dict[str, Any]:
    """What a call of one of `tools` looks like, as JSON Schema."""
    definitions: dict[str, Any] = {}
    calls = [
        {
            "type": "object",
            "properties": {
                "name": {"const": tool.name},
                "arguments": Hoisting(plain(tool.parameters), f"t{at}_", definitions).whole(),
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for at, tool in enumerate(tools)
    ]
    found = calls[0] if len(calls) == 1 else {"anyOf": calls}
    return {**found, "$defs": definitions} if definitions else found


class CallReader:
    """Reads calls out of the text of an answer. `forced`: the answer is a call and nothing else; `strict`: one that is
    not as its tool wants it is none."""

    def __init__(self, tools: Sequence[Tool], *, forced: bool, strict: bool = False) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._forced, self._strict = forced, forced and strict
        self._held = ""
        self._passing = False  # it has turned out to be text

    def read(self, event: EngineEvent) -> Iterator[EngineEvent]:
        """What `event` means. Text is held back as long as it may be a call. Raises Cut."""
        if isinstance(event, TurnEnded):
            yield from self._ended(event)
        elif isinstance(event, TokenChosen) and not self._passing:
            pass  # the likelihoods of a call's JSON are nobody's business
        elif isinstance(event, ToolCallDelta) and not self._passing:  # read by llama.cpp, in the form of the template
            self._passing = True
            if self._held.strip():
                yield TextDelta(text=self._held)
            self._held = ""
            yield event
        elif not isinstance(event, TextDelta) or self._passing:
            yield event
        else:
            self._held += event.text
            if not self._forced and not (_OPENED.match(self._held) or _MAYBE.match(self._held)):
                self._passing = True
                yield TextDelta(text=self._held)
                self._held = ""

    def _ended(self, event: TurnEnded) -> Iterator[EngineEvent]:
        call = self._call()
        if call is not None:
            yield ToolCallDelta(index=0, id=f"call_{secrets.token_hex(12)}", name=call[0])
            yield ToolCallDelta(index=0, arguments=call[1])
            yield msgspec.structs.replace(event, reason="tool_calls")
            return
        if self._forced and event.reason != "cancelled":
            raise Cut
        if self._held:
            yield TextDelta(text=self._held)
        yield event

    def _call(self) -> tuple[str, str] | None:
        match = _CALL.fullmatch(self._held)
        try:
            found = json.loads(match[1]) if match else None
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict) or found.get("name") not in self._tools:
            return None
        arguments = found.get("arguments", found.get("parameters", {}))
        if not isinstance(arguments, dict):
            return None
        if self._strict and not follows(arguments, self._tools[found["name"]].parameters):
            return None
        return found["name"], json.dumps(arguments, ensure_ascii=False)


def written(call: ToolCall) -> str:
    """A call of a history as text, as a brain that was told of tools in words writes it."""
    return f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}'


def _in_words(request: ChatRequest) -> ChatRequest:
    messages = request.messages
    if not request.tools:
        return request
    listed = "\n".join(json.dumps(msgspec.to_builtins(tool), ensure_ascii=False) for tool in request.tools)
    words = f"{_TOLD.format(tools=listed)}\n{_MUST if request.tool_choice == 'required' else _MAY}"
    if messages and messages[0].role == "system":
        first = msgspec.structs.replace(messages[0], content=f"{messages[0].content}\n\n{words}")
        messages = (first, *messages[1:])
    else:
        messages = (Message(role="system", content=words), *messages)
    return msgspec.structs.replace(request, messages=messages, tools=())
