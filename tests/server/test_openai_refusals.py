"""OpenAI's endpoints: what is refused, with which words, and which field is named."""

from typing import Any

import pytest

from omni.core.errors import ContextOverflow
from omni.engine import ScriptedEngine
from tests.server.openai_tools import TOOL, USER, ask

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 3}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"min_p": -1}, "min_p"),
    ({"top_k": -1}, "top_k"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"max_tokens": -2}, "max_tokens"),
    ({"max_completion_tokens": -2}, "max_completion_tokens"),
    ({"presence_penalty": 2.5}, "presence_penalty"),
    ({"frequency_penalty": -2.5}, "frequency_penalty"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"logit_bias": {"1_0": 1}}, "logit_bias"),
    ({"logit_bias": {"\u0663": 1}}, "logit_bias"),
    ({"logit_bias": {"-1": 1}}, "logit_bias"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"stop": [1]}, "stop[0]"),
    ({"stop": ["x"] * 65}, "stop"),
    ({"stop": ["x" * 1001]}, "stop[0]"),
    ({"stop": "x" * 1001}, "stop"),
    ({"seed": 1.5}, "seed"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "wizard", "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0]"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "raed"}}}, "tool_choice"),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "tool_choice.type"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}], "tool_choice": "required"}, "tool_choice"),
    (
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"type": "string"}}}]},
        "tools[0].function.parameters",
    ),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"modalities": ["text", "audio"]}, "modalities"),
]


@pytest.mark.parametrize(("wrong", "param"), WRONG)
async def test_what_is_wrong_is_named(serving: Any, wrong: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        response = await ask(bench, **{"messages": USER, **wrong})
        error = response.json()["error"]
        assert (response.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
        assert error["message"]
        assert bench.server.load() == (0, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b'{"messages": "x"}',
     b'{"temperature":NaN}', b'{"temperature":1e999}', b'{"seed":' + b"9" * 5000 + b"}", b"[" * 100_000],
)  # fmt: skip
async def test_no_body_breaks_the_server(serving: Any, body: bytes) -> None:
    async with serving() as bench:
        response = await bench.client.post("/v1/chat/completions", content=body)
        assert (response.status_code, response.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_body_of_too_many_parts_is_refused_before_it_is_read(serving: Any) -> None:
    async with serving() as bench:
        body = b'{"metadata":{"x":[' + b",".join([b"{}"] * 250_000) + b"]}}"
        response = await bench.client.post("/v1/chat/completions", content=body)
        assert response.status_code == 400
        assert "250,000" in response.json()["error"]["message"]


async def test_a_schema_without_a_bottom_is_refused(serving: Any) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(70):
        schema = {"type": "object", "properties": {"a": schema}}
    async with serving() as bench:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        response = await ask(bench, messages=USER, response_format=form)
        assert response.status_code == 400
        assert "levels" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("part", "sense"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, "see"),
        ({"type": "image_url", "image_url": "data:"}, "see"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "hear"),
    ],
)
async def test_a_brain_that_cannot_see_or_hear_says_so(serving: Any, part: Any, sense: str) -> None:
    async with serving() as bench:
        response = await ask(bench, messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}])
        assert response.status_code == 400
        assert f"@omni/test cannot {sense}" in response.json()["error"]["message"]
        assert response.json()["error"]["param"] == "messages[0].content[1]"


async def test_an_overflow_is_told_before_anything_is_sent(serving: Any) -> None:
    async with serving(ScriptedEngine(context=64)) as bench:
        response = await ask(bench, messages=[{"role": "user", "content": "word " * 100}], stream=True)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "64 are allocated" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["x"] * 65}, "prompt"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": "x", "echo": True, "logprobs": 1}, "echo"),
        ({"prompt": "x", "suffix": "y", "echo": True}, "echo"),
        ({"prompt": "x", "logprobs": 99}, "logprobs"),
        ({"prompt": "x", "max_tokens": -2}, "max_tokens"),
    ],
)
async def test_what_is_wrong_with_a_text_is_named(serving: Any, wrong: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        response = await ask(bench, "/v1/completions", **wrong)
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, ""),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "x", "dimensions": 9}, "dimensions"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_is_wrong_with_a_vector_is_named(serving: Any, wrong: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        response = await ask(bench, "/v1/embeddings", **wrong)
        assert (response.status_code, response.json()["error"]["param"] or "") == (400, param)
        assert bench.server.load() == (0, 0)


async def test_no_text_is_no_empty_text(serving: Any) -> None:
    async with serving() as bench:
        for nothing, words in (([], "There is no text"), ("", "A text is empty"), (["a", ""], "A text is empty")):
            response = await ask(bench, "/v1/embeddings", input=nothing)
            assert words in response.json()["error"]["message"]


async def test_a_text_that_is_too_long_for_one_vector_is_told_what_helps(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = ScriptedEngine()

    async def embed(texts: Any) -> Any:
        raise ContextOverflow("A text has 1,500 tokens.", hint="Send it in parts.", needed=1500, allocated=1024)

    monkeypatch.setattr(engine, "embed", embed)
    async with serving(engine) as bench:
        response = await ask(bench, "/v1/embeddings", input="x")
        assert response.json()["error"] | {"type": ""} == {
            "message": "A text has 1,500 tokens. That is 476 tokens too many. Send it in parts.",
            "type": "",
            "param": None,
            "code": "context_length_exceeded",
        }


async def test_a_brain_without_vectors_says_what_to_install(serving: Any) -> None:
    engine = ScriptedEngine()
    engine._capabilities = type(engine._capabilities)(context=64, context_max=64, embeds=False)
    async with serving(engine) as bench:
        response = await ask(bench, "/v1/embeddings", input="x")
        assert response.status_code == 501
        assert "`omni pull " in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/speech"])
async def test_there_is_no_voice_yet(serving: Any, path: str) -> None:
    async with serving() as bench:
        response = await bench.client.post(path, content=b"whatever")
        assert (response.status_code, response.json()["error"]["code"]) == (501, "not_implemented")
        assert response.headers["x-should-retry"] == "false"
