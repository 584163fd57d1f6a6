"""Histories as programs send them, in the words of four protocols; and which of their words a brain must read, in order."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from omni.core.messages import Message
from omni.engine import ChatRequest
from omni.server.anthropic.requests import wish_of as anthropic_wish
from omni.server.anthropic.types import MessagesBody
from omni.server.generation import GenerationRequest, request_of
from omni.server.lenient import decoded
from omni.server.ollama.requests import chat_wish
from omni.server.ollama.types import OllamaChatBody
from omni.server.openai.requests import wish_of as chat_wish_of
from omni.server.openai.responses_requests import wish_of as responses_wish
from omni.server.openai.responses_types import ResponseBody
from omni.server.openai.types import ChatBody
from tests.image_tools import png
from tests.server.server_tools import brain

PROTOCOLS = ("chat", "responses", "anthropic", "ollama")
LOOK = {"type": "object", "properties": {"of": {"type": "string"}}}
IMAGE = base64.b64encode(png(3)).decode()
TEXT_FILE = base64.b64encode(b"filed words").decode()
NO_TEXT = base64.b64encode(b"%PDF-1.7 \xff").decode()


class Step(Struct, frozen=True):
    """What happened: `kind` "system", "user", "assistant", "calls" (of `calls`: id, arguments as a client sends them), "result"
    (of the call `of`), "thought", "image", "tool_image" (a result), "document", "pdf", or "hosted" (what a cloud's tool
    did)."""

    kind: str
    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    of: str = ""


class History(Struct, frozen=True):
    """What happened, and the words that must be read, in their order; where none are named, all in theirs."""

    steps: tuple[Step, ...]
    words: tuple[str, ...] = ()

    def expected(self) -> tuple[str, ...]:
        """The words that must be read, in their order."""
        return self.words or tuple(words_of(self.steps))

    def asked(self) -> list[int]:
        """After how many steps a program asked: where an assistant speaks next, and at the end. What the brain cannot do
        was asked of another one."""
        speaks = [step.kind in ("assistant", "calls", "thought", "hosted") for step in self.steps]
        ends = [at for at in range(1, len(speaks)) if speaks[at] and not speaks[at - 1]]
        return [*(at for at in ends if self.steps[at - 1].kind not in ("image", "pdf")), len(self.steps)]


def words_of(steps: Sequence[Step]) -> list[str]:
    """All words of some steps."""
    words: list[str] = []
    for step in steps:
        words += ["filed", "words"] if step.kind == "document" else []
        words += [step.text] if step.text and step.kind != "thought" else []
        for _, arguments in step.calls:
            values = arguments.values() if isinstance(arguments, dict) else [arguments]
            words += [value for value in values if isinstance(value, str) and value.isalnum()]
    return words


def _s(text: str) -> Step:
    return Step("system", text)


def _u(text: str) -> Step:
    return Step("user", text)


def _a(text: str) -> Step:
    return Step("assistant", text)


def _c(text: str, *calls: tuple[str, Any]) -> Step:
    return Step("calls", text, calls)


def _r(of: str, text: str) -> Step:
    return Step("result", text, (), of)


def _v(value: str) -> dict[str, str]:
    return {"of": value}


_ID = "call_0123456789abcdef01234567"
_ID2 = "toolu_01ABCDEFGHJKLMNPQRST"
HISTORIES: dict[str, History] = {
    "plain": History((_s("sysA"), _u("usA"), _a("ansA"), _u("usB"))),
    "one question": History((_u("usA"),)),
    "two of a user": History((_u("usA"), _u("usB"), _a("ansA"), _u("usC"))),
    "two of an assistant": History((_u("usA"), _a("ansA"), _a("ansB"), _u("usB"))),
    "an assistant begins": History((_a("ansA"), _u("usA"))),
    "an assistant begins after a system": History((_s("sysA"), _a("ansA"), _u("usA"), _a("ansB"), _u("usB"))),
    "a system alone": History((_s("sysA"),)),
    "several systems": History((_s("sysA"), _s("sysB"), _u("usA"), _a("ansA"), _u("usB"))),
    "a system in the middle": History((_s("sysA"), _u("usA"), _a("ansA"), _s("sysB"), _u("usB"))),
    "a system before an answer": History((_u("usA"), _s("sysA"), _a("ansA"), _u("usB"))),
    "a system at the end": History((_s("sysA"), _u("usA"), _a("ansA"), _u("usB"), _s("sysB"))),
    "an answer to go on with": History((_s("sysA"), _u("usA"), _a("ansA"), _u("usB"), _a("ansB"))),
    "an answer alone to go on with": History((_s("sysA"), _a("ansA"))),
    "a call": History((_s("sysA"), _u("usA"), _c("", (_ID, _v("valA"))), _r(_ID, "resA"))),
    "text beside a call": History(
        (_s("sysA"), _u("usA"), _c("ansA", (_ID2, _v("valA"))), _r(_ID2, "resA"), _a("ansB"), _u("usB"))
    ),
    "two calls": History(
        (
            _u("usA"),
            _c("ansA", (_ID, _v("valA")), (_ID2, _v("valB"))),
            _r(_ID, "resA"),
            _r(_ID2, "resB"),
            _a("ansB"),
            _u("usB"),
        ),
        ("usA", "ansA", "valA", "resA", "resB", "ansB", "usB"),
    ),
    "results in another order": History(
        (_u("usA"), _c("", ("a", _v("valA")), ("b", _v("valB"))), _r("b", "resB"), _r("a", "resA")),
        ("usA", "valA", "resA", "resB"),
    ),
    "an agent's loop": History(
        (
            _s("sysA"),
            _u("usA"),
            _c("ansA", (_ID, _v("valA"))),
            _r(_ID, "resA"),
            _c("ansB", (_ID2, _v("valB"))),
            _r(_ID2, "resB"),
            _c("", ("call_3", _v("valC"))),
            _r("call_3", "resC"),
            _a("ansC"),
            _u("usB"),
        )
    ),
    "a user behind a result": History(
        (_s("sysA"), _u("usA"), _c("", (_ID, _v("valA"))), _r(_ID, "resA"), _u("usB"), _a("ansA"), _u("usC"))
    ),
    "reminders behind results": History(
        (
            _s("sysA"),
            _u("usA"),
            _c("", (_ID, _v("valA"))),
            _r(_ID, "resA"),
            _s("sysB"),
            _c("", (_ID2, _v("valB"))),
            _r(_ID2, "resB"),
            _s("sysC"),
        )
    ),
    "a user between call and result": History(
        (_u("usA"), _c("", (_ID, _v("valA"))), _u("usB"), _r(_ID, "resA"), _a("ansA"), _u("usC")),
        ("usA", "valA", "resA", "usB", "ansA", "usC"),
    ),
    "a result without a call": History((_r("call_9", "resA"), _u("usA"))),
    "a result without a call at the end": History((_u("usA"), _a("ansA"), _r("call_9", "resA"))),
    "a call that was denied": History(
        (_s("sysA"), _u("usA"), _c("ansA", (_ID, _v("valA"))), _u("usB"), _a("ansB"), _u("usC"))
    ),
    "a call without its result at the end": History((_u("usA"), _c("ansA", (_ID, _v("valA"))))),
    "a late result": History((_u("usA"), _c("", (_ID, _v("valA"))), _u("usB"), _a("ansA"), _r(_ID, "resA"), _u("usC"))),
    "arguments that were cut": History(
        (_u("usA"), _c("", (_ID, '{"of": "valA')), _r(_ID, "resA"), _a("ansA"), _u("usB")),
        ("usA", "valA", "resA", "ansA", "usB"),
    ),
    "arguments that are none": History(
        (
            _u("usA"),
            _c("", ("a", None)),
            _r("a", "resA"),
            _c("", ("b", "[1]")),
            _r("b", "resB"),
            _c("", ("c", "7")),
            _r("c", "resC"),
        )
    ),
    "the same id again": History(
        (
            _u("usA"),
            _c("", ("call_0", _v("valA")), ("call_0", _v("valB"))),
            _r("call_0", "resA"),
            _r("call_0", "resB"),
            _c("", ("call_0", _v("valC"))),
            _r("call_0", "resC"),
        ),
        ("usA", "valA", "resA", "resB", "valC", "resC"),
    ),
    "empty messages": History((_s("sysA"), _u("usA"), _a(""), _u("usB"), _a("ansA"), _u("usC"))),
    "what was thought": History((_u("usA"), Step("thought", "secret"), _a("ansA"), _u("usB"))),
    "an image long ago": History((_u("usA"), Step("image"), _a("ansA"), _u("usB")), ("usA", "image", "ansA", "usB")),
    "an image as a result": History(
        (_u("usA"), _c("", (_ID, _v("valA"))), Step("tool_image", "resA", (), _ID)), ("usA", "valA", "image was here")
    ),
    "a text file": History((_u("usA"), _a("ansA"), Step("document", "usB")), ("usA", "ansA", "filed", "words", "usB")),
    "a file long ago": History((Step("pdf", "usA"), _a("ansA"), _u("usB")), ("usA", "ansA", "usB")),
    "a cloud's search": History(
        (_u("usA"), Step("hosted", "valA"), _a("ansA"), _u("usB")), ("usA", "valA", "ansA", "usB")
    ),
}


def body_of(protocol: str, steps: Sequence[Step], *, tools: bool) -> dict[str, Any]:
    """A request of a protocol's client."""
    make = {"chat": _chat, "responses": _responses, "anthropic": _anthropic, "ollama": _ollama}[protocol]
    return make(steps, tools=tools)


def request_for(protocol: str, body: dict[str, Any]) -> ChatRequest:
    """What the engine is asked for it, by the server's own code."""
    wish: GenerationRequest
    one, sent = brain("@omni/test"), msgspec.json.encode(body)
    match protocol:
        case "chat":
            wish = chat_wish_of(decoded(sent, ChatBody), one)
        case "responses":
            wish = responses_wish(decoded(sent, ResponseBody), [], one)
        case "anthropic":
            wish = anthropic_wish(decoded(sent, MessagesBody), one)
        case _:
            wish = chat_wish(decoded(sent, OllamaChatBody), one)
    request = request_of(wish)
    assert isinstance(request, ChatRequest)
    return request


def said(messages: tuple[Message, ...]) -> str:
    """All that a brain reads of messages."""
    return "\n".join(
        " ".join([message.role, message.text, *(f"{call.name}({call.arguments})" for call in message.calls)])
        for message in messages
    )


def _chat(steps: Sequence[Step], *, tools: bool) -> dict[str, Any]:
    messages: list[Any] = []
    for step in steps:
        match step.kind:
            case "system":
                messages.append({"role": "developer" if len(messages) > 1 else "system", "content": step.text})
            case "user" | "assistant":
                messages.append({"role": step.kind, "content": step.text})
            case "calls":
                calls = [
                    {"id": ident, "type": "function", "function": {"name": "look", "arguments": _text(arguments)}}
                    for ident, arguments in step.calls
                ]
                messages.append({"role": "assistant", "content": step.text or None, "tool_calls": calls})
            case "result":
                messages.append({"role": "tool", "tool_call_id": step.of, "content": step.text})
            case "thought":
                messages.append({"role": "assistant", "content": "", "reasoning_content": step.text})
            case "image":
                image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{IMAGE}"}}
                messages.append({"role": "user", "content": [image]})
            case "tool_image":
                parts = [
                    {"type": "text", "text": step.text},
                    {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
                ]
                messages.append({"role": "tool", "tool_call_id": step.of, "content": parts})
            case "document" | "pdf":
                data = f"data:text/plain;base64,{TEXT_FILE}" if step.kind == "document" else NO_TEXT
                file = {"type": "file", "file": {"filename": "a.txt", "file_data": data}}
                messages.append({"role": "user", "content": [file, {"type": "text", "text": step.text}]})
            case _:
                call = {"id": "c1", "type": "custom", "custom": {"name": "search", "input": step.text}}
                messages += [
                    {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c1", "content": "found"},
                ]
    offered = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}, {"type": "custom", "custom": {}}]
    return {"messages": messages, **({"tools": offered} if tools else {})}


def _responses(steps: Sequence[Step], *, tools: bool) -> dict[str, Any]:
    items: list[Any] = []
    for step in steps:
        match step.kind:
            case "system":
                items.append({"type": "message", "role": "developer", "content": step.text})
            case "user":
                items.append({"role": "user", "content": [{"type": "input_text", "text": step.text}]})
            case "assistant":
                text = {"type": "output_text", "text": step.text, "annotations": [{"type": "url_citation", "url": "x"}]}
                items.append({"type": "message", "role": "assistant", "content": [text], "phase": "commentary"})
            case "calls":
                if step.text:
                    items.append({"type": "message", "role": "assistant", "content": step.text})
                items += [
                    {"type": "function_call", "call_id": ident, "name": "look", "arguments": _text(arguments)}
                    for ident, arguments in step.calls
                ]
            case "result":
                items.append({"type": "function_call_output", "call_id": step.of, "output": step.text})
            case "thought":
                items.append({"type": "reasoning", "summary": [{"type": "summary_text", "text": step.text}]})
            case "image":
                image = {"type": "input_image", "image_url": f"data:image/png;base64,{IMAGE}"}
                items.append({"role": "user", "content": [image]})
            case "tool_image":
                parts = [{"type": "input_text", "text": step.text}, {"type": "input_image", "file_id": "file_1"}]
                items.append({"type": "function_call_output", "call_id": step.of, "output": parts})
            case "document" | "pdf":
                data = f"data:text/plain;base64,{TEXT_FILE}" if step.kind == "document" else NO_TEXT
                file = {"type": "input_file", "filename": "a.txt", "file_data": data}
                items.append({"role": "user", "content": [file, {"type": "input_text", "text": step.text}]})
            case _:
                action = {"type": "search", "query": step.text}
                items.append({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": action})
    offered = [{"type": "function", "name": "look", "parameters": LOOK}, {"type": "web_search"}]
    return {"input": items, **({"tools": offered} if tools else {})}


def _anthropic(steps: Sequence[Step], *, tools: bool) -> dict[str, Any]:
    system: list[Any] = []
    messages: list[Any] = []
    for step in steps:
        text: list[Any] = [{"type": "text", "text": step.text}] if step.text else []
        match step.kind:
            case "system" if not messages:
                system += text
            case "system" | "user" | "assistant":
                messages.append({"role": step.kind, "content": step.text if step.kind == "assistant" else text})
            case "calls":
                calls = [
                    {"type": "tool_use", "id": ident, "name": "look", "input": arguments}
                    for ident, arguments in step.calls
                ]
                messages.append({"role": "assistant", "content": [*text, *calls]})
            case "result":
                result = {"type": "tool_result", "tool_use_id": step.of, "content": text}
                messages.append({"role": "user", "content": [result]})
            case "thought":
                messages.append(
                    {"role": "assistant", "content": [{"type": "thinking", "thinking": step.text, "signature": "x"}]}
                )
            case "image":
                source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
                messages.append({"role": "user", "content": [{"type": "image", "source": source}]})
            case "tool_image":
                source = {"type": "base64", "media_type": "image/png", "data": IMAGE}
                result = {
                    "type": "tool_result",
                    "tool_use_id": step.of,
                    "content": [*text, {"type": "image", "source": source}],
                }
                messages.append({"role": "user", "content": [result]})
            case "document":
                source = {"type": "text", "media_type": "text/plain", "data": "filed words"}
                messages.append(
                    {"role": "user", "content": [{"type": "document", "source": source, "title": "T"}, *text]}
                )
            case "pdf":
                source = {"type": "base64", "media_type": "application/pdf", "data": NO_TEXT}
                messages.append({"role": "user", "content": [{"type": "document", "source": source}, *text]})
            case _:
                hits = [
                    {"type": "web_search_result", "title": "T", "url": "https://example.org", "encrypted_content": "x"}
                ]
                messages.append(
                    {
                        "role": "assistant",
                        "content": [
                            {
                                "type": "server_tool_use",
                                "id": "st1",
                                "name": "web_search",
                                "input": {"query": step.text},
                            },
                            {"type": "web_search_tool_result", "tool_use_id": "st1", "content": hits},
                        ],
                    }
                )
    if not messages:
        messages, system = [{"role": "system", "content": system}], []
    offered = [{"name": "look", "input_schema": LOOK}, {"type": "web_search_20250305", "name": "web_search"}]
    body = {"model": "x", "max_tokens": 9, "messages": messages, **({"tools": offered} if tools else {})}
    return {**body, **({"system": system} if system else {})}


def _ollama(steps: Sequence[Step], *, tools: bool) -> dict[str, Any]:
    messages: list[Any] = []
    for step in steps:
        match step.kind:
            case "system" | "user" | "assistant":
                messages.append({"role": step.kind, "content": step.text})
            case "calls":
                calls = [
                    {"id": ident, "function": {"name": "look", "arguments": arguments}}
                    for ident, arguments in step.calls
                ]
                messages.append({"role": "assistant", "content": step.text, "tool_calls": calls})
            case "result":
                messages.append({"role": "tool", "tool_call_id": step.of, "content": step.text})
            case "thought":
                messages.append({"role": "assistant", "content": "", "thinking": step.text})
            case "image":
                messages.append({"role": "user", "content": "", "images": [IMAGE]})
            case "tool_image":
                messages.append({"role": "tool", "tool_call_id": step.of, "content": step.text, "images": [IMAGE]})
            case "document":
                messages.append({"role": "user", "content": f"filed words {step.text}"})
            case "pdf":
                messages.append({"role": "user", "content": step.text})
            case _:
                call = {"function": {"name": "search", "arguments": {"query": step.text}}}
                messages += [
                    {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_name": "search", "content": "found"},
                ]
    offered = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
    return {"model": "x", "messages": messages, **({"tools": offered} if tools else {})}


def _text(arguments: Any) -> str | None:
    return arguments if arguments is None or isinstance(arguments, str) else json.dumps(arguments)
