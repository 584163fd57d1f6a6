"""Requests that nobody would write: those that the document allows, those that it does not, and hostile ones."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from omni.core.errors import NotFound
from omni.core.paths import Home
from omni.engine import ChatRequest, ScriptedEngine
from omni.engine.binding import binding_of
from omni.engine.framing import UNFRAMED
from omni.server.app import create_app, routes
from tests.schemas.walking import walk
from tests.server.server_tools import FakeServices, brain, server_over

TRIES = 10
DOCUMENTED = [status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = sorted(
    f"{method} {route.path.replace(':path', '')}" for route in routes() for method in route.methods if method != "HEAD"
)
POSTS = [one for one in OPERATIONS if not one.startswith("GET ") and "{" not in one]


def script(request: ChatRequest) -> str:
    """Words, what the request's grammar admits, or the call that must be made."""
    if (binding := binding_of(request)) is not None and binding.schema is not None:
        return walk(binding.bound(UNFRAMED).text, random.Random(7)) or ""
    if request.tool_choice in ("auto", "none"):
        return "one two three"
    name = request.tools[0].name if request.tool_choice == "required" else request.tool_choice
    return json.dumps({"name": name, "arguments": {}})


async def nothing(name: str) -> AsyncGenerator[Any]:
    """A pull that finds nothing."""
    for event in list[Any]():
        yield event
    raise NotFound(f"There is no brain {name!r}.")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of an app over a scripted brain, by which requests are made and sent to it."""
    home = Home(tmp_path_factory.mktemp("fuzz") / "home").ensure()
    services = FakeServices(ScriptedEngine(script), brains=(brain("@omni/test"),), home=home)
    services.pulling = nothing
    server = server_over(services)
    yield schemathesis.openapi.from_asgi("/openapi.json", create_app(server))
    asyncio.run(server.close())


@pytest.mark.real
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("label", OPERATIONS)
def test_what_is_answered_is_documented(document: Any, label: str, mode: GenerationMode) -> None:
    method, _, path = label.partition(" ")
    operation = document[path][method]
    if mode == GenerationMode.NEGATIVE and not operation.body:
        return  # nothing in it can be wrong
    seen: Counter[int] = Counter()

    @seed(11434)
    @settings(
        max_examples=TRIES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        if mode == GenerationMode.POSITIVE and isinstance(case.body, dict) and isinstance(case.body.get("model"), str):
            case.body["model"] = "@omni/test"  # any other would be answered with the same 404
        response = case.call()
        if mode == GenerationMode.NEGATIVE and response.status_code == 200 and _happened(case.body):
            return  # what was answered already refuses nothing
        seen[response.status_code] += 1
        checks = DOCUMENTED if response.status_code == 501 else [not_a_server_error, *DOCUMENTED]
        case.validate_response(response, checks=checks)

    send()
    assert seen
    if mode == GenerationMode.NEGATIVE:
        assert set(seen) <= {400, 404}


def _happened(body: Any) -> bool:
    """Whether there is an answer, or the result of a call, among the messages of a request."""
    messages = body.get("messages", body.get("input")) if isinstance(body, dict) else None
    return isinstance(messages, list) and any(
        isinstance(message, dict)
        and (
            message.get("role") in ("assistant", "model", "ai", "tool", "function")
            or bool(message.get("tool_calls"))
            or str(message.get("type")).endswith(("_call", "_output"))
            or message.get("type") == "reasoning"
        )
        for message in messages
    )


# -- hostile requests, written by hand

DEEP = 100_000
LONG = "9" * 5000
CHAT = {"/api/chat", "/v1/chat/completions", "/v1/messages"}
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "NaN": b'{"temperature": NaN}',
    "infinity": b'{"temperature": -Infinity}',
    "1e400": b'{"temperature": 1e400}',
    "a number too long": b'{"seed": ' + LONG.encode() + b"}",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b"[" * DEEP,
    "deep where anything goes": b'{"metadata":' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
    "a lone surrogate": b'{"model": "\\ud800"}',
    "a surrogate in bytes": b'{"model": "\xed\xa0\x80"}',
    "invalid UTF-8": b'{"model": "\xff\xfe"}',
    "UTF-16": '{"model": "x"}'.encode("utf-16"),
    "a zero byte": b'{"model": "\0"}',
    "an escaped zero": b'{"model": "\\u0000", "input": "\\u0000", "prompt": "\\u0000"}',
    "duplicate keys": b'{"model": "a", "model": 3}',
    "wrong types": b'{"model": [], "messages": {}, "input": 1, "prompt": {}, "stream": "yes", "name": 4}',
    "text after it": b'{"model": "x"} {"model": "y"}',
    "a byte order mark": b'\xef\xbb\xbf{"model": "x"}',
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_body_is_a_clear_400(serving: Any, kind: str) -> None:
    async with serving() as bench:
        bench.services.pulling = nothing
        for label in POSTS:
            method, _, path = label.partition(" ")
            response = await bench.client.request(method, path, content=HOSTILE[kind])
            assert response.status_code in (400, 404, 501), (label, response.status_code, response.text[:300])
            assert response.headers["content-type"] == "application/json", label
            error = response.json()["error"]
            assert error["message"] if isinstance(error, dict) else error
            assert len(response.content) < 3000, label
        assert bench.server.load() == (0, 0)


def chats(path: str, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "@omni/test", "max_tokens": 9, **more}
    name = "input" if path == "/v1/responses" else "messages"
    return {name: [{"role": "user", "content": "Hi"}], **body}


@pytest.mark.parametrize("path", [*sorted(CHAT), "/v1/responses"])
async def test_what_is_huge_is_refused_or_bounded(serving: Any, path: str) -> None:
    deep: Any = {"type": "string"}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    asks: list[dict[str, Any]] = [
        {"n": 10**9},
        {"top_logprobs": 10**9, "logprobs": True},
        {"max_tokens": -5, "max_output_tokens": -5, "options": {"num_predict": "x"}},
        {"temperature": -1, "options": {"temperature": -1}},
        {"tools": [{"type": "function", "name": "f", "input_schema": deep, "parameters": deep}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": deep}}]},
        {"response_format": {"type": "json_object", "schema": deep}, "format": deep},
        {"text": {"format": {"type": "json_schema", "name": "x", "schema": deep}}},
        {"stop": ["x"] * 100_000, "stop_sequences": ["x"] * 100_000},
        {"messages": [{"role": "user", "content": "word " * 10_000}], "input": "word " * 10_000},
        {"messages": [], "input": []},
        {"metadata": {str(at): "x" for at in range(10_000)}},
    ]
    async with serving() as bench:
        for more in asks:
            body = json.dumps(chats(path) | more)
            response = await bench.client.post(path, content=body)
            assert response.status_code in (200, 400), (more.keys(), response.text[:300])
            assert len(response.content) < 1 << 20
        assert bench.server.load() == (0, 0)


async def test_paths_are_no_way_in(serving: Any) -> None:
    async with serving() as bench:
        for path in (
            "/v1/models/../../etc/passwd",
            "/v1/models/%2e%2e%2f",
            "/v1/responses/%00",
            "/v1/responses/" + "x" * 5000,
        ):
            response = await bench.client.get(path)
            assert response.status_code == 404
            assert len(response.content) < 8000
        for method in ("PUT", "TRACE", "PROPFIND", "x" * 100):
            response = await bench.client.request(method, "/v1/chat/completions")
            assert response.status_code == 405
            assert "error" in response.json()
