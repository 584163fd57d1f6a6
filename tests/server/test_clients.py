"""What well-known programs send, one request after the other, and what each of them cannot do without in the answers.

The sequences are data, written from the programs' own code as INTERFACES describes it: `send` is method, path, body and
headers; `reads` are the places of an answer that the program looks at, with what it must find there (a type, a value,
or a test). Of a stream `joined` is the text of all its pieces, and `last` is looked at in the last piece.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from omni.engine import ChatRequest, Reply, ScriptedEngine
from tests.server.server_tools import base, brain

MODEL = "@omni/coder"
CALL = '{"name": "read_file", "arguments": {"path": "a.py"}}'
PARAMETERS = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
TOOLS = [{"type": "function", "function": {"name": "read_file", "description": "Read", "parameters": PARAMETERS}}]
ASK = [{"role": "system", "content": "You are a coding agent."}, {"role": "user", "content": "What is in a.py?"}]
MARKS = (b"<|fim_prefix|>", b"<|fim_suffix|>", b"<|fim_middle|>")


class Step(Struct):
    """One request of a program."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}
    reads: dict[str, Any] = {}
    joined: tuple[str, str] | None = None
    last: dict[str, Any] = {}
    status: int = 200
    done: bool = False  # a stream of data: lines that ends with [DONE]


def when(text: Any) -> bool:
    """A time as strict readers of RFC 3339 take it."""
    return datetime.fromisoformat(text).tzinfo is not None


def version(text: Any) -> bool:
    """VS Code compares it with 0.6.4; Open WebUI makes numbers of its parts."""
    return tuple(int(part) for part in text.split(".")) >= (0, 6, 4)


DETAILS = {
    "details.format": "gguf",
    "details.family": "llama",
    "details.families.0": "llama",
    "details.parameter_size": str,
    "details.quantization_level": "Q4_1",
}
LISTED = {
    "models.0.name": MODEL,
    "models.0.model": MODEL,
    "models.0.modified_at": when,
    "models.0.size": int,
    "models.0.digest": lambda text: len(text) == 64,
    **{f"models.0.{name}": value for name, value in DETAILS.items()},
}
OPTIONS = {"num_ctx": 8192, "num_predict": 512, "temperature": 0.2, "stop": ["<|im_end|>"]}
NANOSECONDS = dict.fromkeys(("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"), int)
ENDED = {"done": True, "done_reason": "stop", "eval_count": 3, "prompt_eval_count": int, **NANOSECONDS}
CLAUDE = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "interleaved-thinking-2025-05-14,fine-grained-tool-streaming-2025-05-14",
    "x-api-key": "sk-none",
    "user-agent": "claude-cli/2.1.0 (external, cli)",
}
CLAUDE_BODY = {
    "model": MODEL,
    "max_tokens": 32000,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.0; cch=1a2b3;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ],
    "metadata": {"user_id": "user_1"},
    "tools": [{"name": "read_file", "description": "Read", "input_schema": {"$schema": "x", **PARAMETERS}}],
    "thinking": {"type": "enabled", "budget_tokens": 31999},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}
CLAUDE_RESULT = [
    {"role": "user", "content": [{"type": "text", "text": "What is in a.py?", "cache_control": {"type": "ephemeral"}}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": ""},
            {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a.py"}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "print(1)"}]},
]

SEQUENCES: dict[str, list[Step]] = {
    "VS Code Copilot": [
        Step("GET", "/api/version", reads={"version": version}),
        Step("GET", "/api/tags", reads=LISTED),
        Step(
            "POST",
            "/api/show",
            {"model": MODEL},
            reads={
                "capabilities": lambda capabilities: {"completion", "tools"} <= set(capabilities),
                "model_info.general\\.architecture": "llama",
                "model_info.llama\\.context_length": 4096,
                "model_info.general\\.basename": str,
                "details.family": "llama",
            },
        ),
        Step(
            "POST",
            "/v1/chat/completions",
            {
                "model": MODEL,
                "messages": ASK,
                "stream": True,
                "stream_options": {"include_usage": True},
                "tools": TOOLS,
                "tool_choice": "required",
                "n": 1,
                "top_p": 1,
            },
            reads={
                "0.choices.0.delta.role": "assistant",
                "1.choices.0.delta.tool_calls.0.function.name": "read_file",
                "1.choices.0.delta.tool_calls.0.id": str,
            },
            joined=("choices.0.delta.tool_calls.0.function.arguments", '{"path": "a.py"}'),
            last={"choices": [], "usage.completion_tokens": int},
            done=True,
        ),
    ],
    "Continue": [
        Step("POST", "/api/show", {"name": MODEL}, reads={
            "template": lambda text: ".Suffix" in text,
            "parameters": lambda text: [line.split(maxsplit=1) for line in text.split("\n")] == [
                ["num_ctx", "4096"], ["temperature", "0.2"], ["stop", '"<|im_end|>"']
            ],
        }),
        Step("GET", "/api/tags", reads=LISTED),
        Step(
            "POST",
            "/api/chat",
            {"model": MODEL, "messages": ASK, "options": OPTIONS, "stream": True, "keep_alive": 1800},
            {"authorization": "Bearer none"},
            joined=("message.content", "A short answer."),
            last=ENDED,
        ),
        Step(
            "POST",
            "/api/generate",
            {
                "model": MODEL, "prompt": "def f(", "suffix": "\n    return 1", "raw": False,
                "options": OPTIONS, "keep_alive": 1800,
            },
            joined=("response", "A short answer."),
            last=ENDED,
        ),
        Step("POST", "/api/embed", {"model": MODEL, "input": ["a", "b"]}, reads={"embeddings.1.7": float}),
    ],
    "Cline": [
        Step("GET", "/api/tags", reads=LISTED),
        Step(
            "POST",
            "/api/chat",
            {"model": MODEL, "messages": ASK, "stream": True, "options": {"num_ctx": 32768}},
            joined=("message.content", "A short answer."),
            last=ENDED,
        ),
    ],
    "Zed": [
        Step("GET", "/api/tags", reads=LISTED),
        Step("POST", "/api/show", {"model": MODEL}, reads={
            "capabilities.0": "completion", "model_info.llama\\.context_length": int,
        }),
        Step(
            "POST",
            "/api/chat",
            {
                "model": MODEL, "messages": ASK, "stream": True, "keep_alive": -1, "think": False, "tools": TOOLS,
                "options": {"num_ctx": 4096, "stop": ["<|im_end|>"], "temperature": 1.0},
            },
            reads={
                "0.message.tool_calls.0.function.name": "read_file",
                "0.message.tool_calls.0.function.arguments.path": "a.py",
            },
            last={"done": True, "done_reason": "stop"},
        ),
    ],
    "Open WebUI": [
        Step("GET", "/api/version", reads={"version": version}),
        Step("GET", "/api/tags", reads=LISTED),
        Step("GET", "/api/ps", reads={"models": list}),
        Step(
            "POST",
            "/api/chat",
            {"model": MODEL, "messages": ASK, "options": {}, "stream": True, "metadata": {"chat_id": "x"}},
            {"X-OpenWebUI-User-Name": "someone"},
            joined=("message.content", "A short answer."),
            last=ENDED,
        ),
        Step("POST", "/api/generate", {"model": MODEL, "keep_alive": 0}, last={"done_reason": "unload"}),
    ],
    "Obsidian Copilot": [
        Step("GET", "/v1/models", headers={"origin": "app://obsidian.md"}, reads={
            "object": "list", "data.0.id": MODEL, "data.0.object": "model", "data.0.created": int, "data.0.owned_by": str,
        }),
        Step(
            "POST",
            "/api/chat",
            {
                "model": MODEL, "messages": ASK, "stream": True, "format": "", "keep_alive": "5m", "tools": [],
                "options": {"temperature": 0.1, "num_predict": -1, "num_gpu": None},
            },
            joined=("message.content", "A short answer."),
            last=ENDED,
        ),
        Step(
            "POST",
            "/api/embed",
            {"model": MODEL, "input": ["a note"], "keep_alive": "5m", "truncate": False, "options": {}},
            reads={"embeddings.0.0": float},
        ),
    ],
    "JetBrains, Xcode, n8n": [
        Step("HEAD", "/"),
        Step("GET", "/api/tags", reads=LISTED),
        Step(
            "POST",
            "/api/chat",
            {"model": f"{MODEL}:latest", "messages": ASK, "stream": False},
            reads={"message.content": "A short answer.", "message.role": "assistant", **ENDED},
        ),
    ],
    "Claude Code": [
        Step("HEAD", "/"),
        Step(
            "POST",
            "/v1/messages/count_tokens?beta=true",
            {**CLAUDE_BODY, "messages": [{"role": "user", "content": "foo"}]},
            CLAUDE,
            reads={"input_tokens": int},
        ),
        Step(
            "POST",
            "/v1/messages?beta=true",
            {**CLAUDE_BODY, "messages": CLAUDE_RESULT[:1], "stream": True},
            CLAUDE,
            reads={
                "0.type": "message_start",
                "0.message.usage.input_tokens": int,
                "2.content_block.type": "tool_use",
                "2.content_block.name": "read_file",
                "2.content_block.input": {},
            },
            joined=("delta.partial_json", '{"path": "a.py"}'),
            last={"type": "message_stop"},
        ),
        Step(
            "POST",
            "/v1/messages?beta=true",
            {**CLAUDE_BODY, "messages": CLAUDE_RESULT, "stream": True},
            CLAUDE,
            joined=("delta.text", "A short answer."),
            last={"type": "message_stop"},
        ),
        Step(
            "POST",
            "/v1/messages?beta=true",
            {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]},
            CLAUDE,
            status=404,
            reads={"type": "error", "error.type": "not_found_error", "error.message": lambda text: MODEL in text},
        ),
    ],
}  # fmt: skip


def said(request: ChatRequest) -> Reply:
    asks = request.tools and request.messages[-1].role == "user" and "a.py" in request.messages[-1].text
    return Reply(text=CALL if asks else "A short answer.")


def at(value: Any, path: str) -> Any:
    """What stands at `path`; a dot that belongs to a name is escaped."""
    for part in path.replace("\\.", "\0").split("."):
        value = value[int(part)] if isinstance(value, list) else value[part.replace("\0", ".")]
    return value


def looked_at(value: Any, reads: dict[str, Any]) -> None:
    for path, wanted in reads.items():
        actual = at(value, path)
        if isinstance(wanted, type):
            assert type(actual) is wanted, path
        elif callable(wanted):
            assert wanted(actual), (path, actual)
        else:
            assert actual == wanted, path


def pieces_of(answer: Any) -> list[Any]:
    """All pieces of a stream, or the one of an answer that is whole."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind == "application/x-ndjson":
        return [json.loads(line) for line in answer.text.splitlines()]
    if kind == "text/event-stream":
        lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
        return [json.loads(line) for line in lines if line != "[DONE]"]
    return [answer.json()] if answer.text.startswith(("{", "[")) else [answer.text]


def text_of(pieces: list[Any], path: str) -> str:
    texts = []
    for piece in pieces:
        try:
            texts.append(at(piece, path) or "")
        except (KeyError, IndexError):
            continue
    return "".join(texts)


@pytest.mark.parametrize("client", SEQUENCES)
async def test_what_the_client_sends_is_answered_as_it_reads(serving: Any, tmp_path: Path, client: str) -> None:
    file = tmp_path / "coder.gguf"
    file.write_bytes(b"".join(len(mark).to_bytes(8, "little") + mark for mark in MARKS))
    sampling = {"temperature": 0.2, "stop": ["<|im_end|>"]}
    async with serving(ScriptedEngine(said)) as bench:
        bench.services.library.known = [brain(MODEL, base=base(str(file)), sampling=sampling)]
        bench.services.fake_keeper.load(bench.services.library.known[0])
        for step in SEQUENCES[client]:
            answer = await bench.client.request(step.method, step.path, json=step.body, headers=step.headers)
            assert answer.status_code == step.status, answer.text
            pieces = pieces_of(answer)
            streamed = "stream" in answer.headers["content-type"] or "ndjson" in answer.headers["content-type"]
            looked_at(pieces if streamed else pieces[0], step.reads)
            looked_at(pieces[-1], step.last)
            if step.joined is not None:
                assert text_of(pieces, step.joined[0]) == step.joined[1]
            assert answer.text.endswith("data: [DONE]\n\n") == step.done
        assert bench.server.load() == (0, 0)
