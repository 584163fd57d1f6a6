"""What the tests of OpenAI's endpoints share: a question, a tool and its call, and how an answer is read."""

import json
from typing import Any

import httpx

USER = [{"role": "user", "content": "Hi"}]

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "read", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}},
}

CALL = '{"name": "read", "arguments": {"path": "a.py"}}'


def events_of(text: str) -> list[Any]:
    """The objects of an event stream, and "[DONE]"."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def ask(bench: Any, path: str = "/v1/chat/completions", /, **body: Any) -> httpx.Response:
    response: httpx.Response = await bench.client.post(path, json=body)
    return response
