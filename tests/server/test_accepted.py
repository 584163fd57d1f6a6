"""What OpenAI's, Ollama's and Anthropic's servers take is taken: every field of their clients, empty, null, or unknown here."""

import typing
from collections.abc import Iterator
from typing import Any

import anthropic.types.message_create_params as anthropic_params
import ollama
import openai.types.chat.completion_create_params as chat_params
import openai.types.completion_create_params as completion_params
import openai.types.embedding_create_params as embedding_params
import openai.types.responses.response_create_params as response_params
import pytest

from omni.engine import ScriptedEngine
from omni.server.lenient import MOST, decoded
from omni.server.openai.types import ChatBody
from tests.server.openai_tools import TOOL, USER

BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": USER},
    "/v1/completions": {"prompt": "Hi"},
    "/v1/embeddings": {"input": "Hi"},
    "/v1/responses": {"input": "Hi"},
    "/v1/messages": {"messages": USER, "max_tokens": 50},
    "/api/chat": {"messages": USER, "stream": False},
    "/api/generate": {"prompt": "Hi", "stream": False},
    "/api/embed": {"input": "Hi"},
}
CLIENTS: dict[str, Any] = {
    "/v1/chat/completions": chat_params.CompletionCreateParamsBase,
    "/v1/completions": completion_params.CompletionCreateParamsBase,
    "/v1/embeddings": embedding_params.EmbeddingCreateParams,
    "/v1/responses": response_params.ResponseCreateParamsBase,
    "/v1/messages": anthropic_params.MessageCreateParamsBase,
    "/api/chat": ollama._types.ChatRequest,
    "/api/generate": ollama._types.GenerateRequest,
    "/api/embed": ollama._types.EmbedRequest,
}
NEEDED = {"model", "messages", "input", "prompt", "max_tokens"}


def fields(client: Any) -> Iterator[str]:
    """The names that an official client sends."""
    yield from (name for name in typing.get_type_hints(client) if not name.startswith(("_", "model_")))


@pytest.mark.parametrize("path", CLIENTS)
async def test_null_is_a_field_that_is_left_out(serving: Any, path: str) -> None:
    asked = [name for name in fields(CLIENTS[path]) if name not in NEEDED]
    assert len(asked) > 1
    async with serving() as bench:
        for name in asked:
            if name == "stream" and path.startswith("/api/"):
                continue  # which is a stream there
            response = await bench.client.post(path, json={"model": "@omni/test", **BODIES[path], name: None})
            assert response.status_code == 200, (name, response.text)
        body = {"model": "@omni/test", **dict.fromkeys(asked), **BODIES[path]}
        assert (await bench.client.post(path, json=body)).status_code == 200


SAMPLED: list[dict[str, Any]] = [
    {"stop": []}, {"stop": ""}, {"stop": None}, {"n": None}, {"seed": -1}, {"seed": 1 << 70}, {"seed": 3.0}, {"user": "me"},
    {"temperature": 1}, {"temperature": 1.0}, {"max_tokens": 5.0}, {"max_tokens": -1}, {"logit_bias": {}},
    {"presence_penalty": 0}, {"stream_options": None}, {"stream_options": {"include_usage": None}}, {"stream": False},
    {"stream_options": {"include_usage": True, "include_obfuscation": False}}, {"best_of": None}, {"nobody_knows": [1, {}]},
]  # fmt: skip
FUNCTION = {"type": "function", "function": {"name": "look"}}
ACCEPTED: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [
        *SAMPLED, {"tools": []}, {"tools": [], "tool_choice": "auto"}, {"tool_choice": "none"}, {"tool_choice": "auto"},
        {"parallel_tool_calls": True}, {"parallel_tool_calls": False}, {"logprobs": False, "top_logprobs": 0},
        {"logprobs": False}, {"top_logprobs": 0}, {"logprobs": True, "top_logprobs": 2.0}, {"n": 1.0}, {"store": True}, {"store": False},
        {"metadata": {"a": "b"}}, {"service_tier": "auto"}, {"modalities": ["text"]}, {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object", "json_schema": None}}, {"functions": [], "function_call": "auto"},
        {"prediction": {"type": "content", "content": "x"}}, {"verbosity": "low"}, {"safety_identifier": "x"},
        {"prompt_cache_key": "x"}, {"reasoning_effort": "none"}, {"web_search_options": {}}, {"max_completion_tokens": 7.0},
        {"tools": [{"type": None, "function": {"name": "f", "description": None, "parameters": None, "strict": None}}]},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, {"tools": [TOOL, FUNCTION | {"x": 1}]},
    ],
    "/v1/completions": [*SAMPLED, {"suffix": ""}, {"echo": False}, {"logprobs": 0}, {"best_of": 1}, {"echo": True, "suffix": ""}],
    "/v1/embeddings": [{"user": "me"}, {"input": ["a"]}, {"encoding_format": "float"}, {"dimensions": 3.0}, {"input_type": "query"}],
    "/v1/responses": [
        {"stream": False}, {"metadata": {"a": "b"}}, {"metadata": {}}, {"tools": []}, {"tool_choice": "auto"}, {"tool_choice": "none"},
        {"parallel_tool_calls": False}, {"text": {}}, {"text": {"verbosity": "low"}}, {"text": {"format": {"type": "text"}}},
        {"reasoning": {}}, {"reasoning": {"effort": None, "summary": "auto", "generate_summary": None}}, {"top_logprobs": 0},
        {"include": []}, {"include": ["reasoning.encrypted_content"]}, {"max_output_tokens": 5.0}, {"max_tool_calls": 3},
        {"truncation": "auto"}, {"service_tier": "flex"}, {"user": "me"}, {"safety_identifier": "x"}, {"prompt_cache_key": "x"},
        {"prompt_cache_retention": "24h"}, {"stream_options": {"include_obfuscation": False}}, {"background": False},
        {"context_management": []}, {"store": False}, {"temperature": 2}, {"nobody_knows": {}},
        {"tools": [{"type": "function", "name": "f", "parameters": None, "strict": None, "description": None}]},
    ],
    "/v1/messages": [
        {"system": ""}, {"system": []}, {"tools": []}, {"tool_choice": {"type": "auto"}}, {"tool_choice": {"type": "none"}},
        {"metadata": {"user_id": "me"}}, {"stop_sequences": []}, {"thinking": {"type": "disabled"}}, {"service_tier": "auto"},
        {"thinking": {"type": "adaptive"}}, {"top_k": 0}, {"top_k": 5.0}, {"temperature": 1}, {"top_p": 0.99}, {"container": None},
        {"max_tokens": 50.0}, {"mcp_servers": []}, {"output_config": {}}, {"context_management": {"edits": []}}, {"nobody_knows": 1},
    ],
    "/api/chat": [
        {"format": ""}, {"options": {}}, {"options": {"stop": []}}, {"options": {"temperature": None, "seed": None}}, {"tools": []},
        {"options": {"temperature": -1, "top_p": 7, "min_p": -3, "repeat_penalty": 0}}, {"options": {"num_ctx": 8192.0, "numa": True}},
        {"keep_alive": "5m"}, {"think": ""}, {"think": False}, {"logprobs": False, "top_logprobs": 0}, {"truncate": False, "shift": True},
        {"options": {"stop": "x", "num_thread": 8, "typical_p": 1.0, "repeat_last_n": 64, "mirostat": 0}}, {"nobody_knows": {}},
    ],
    "/api/generate": [
        {"format": ""}, {"context": []}, {"template": ""}, {"system": ""}, {"suffix": ""}, {"raw": False}, {"images": []},
        {"think": False}, {"options": {"num_predict": 5.0}}, {"nobody_knows": {}}, {"width": 0, "height": 0, "steps": 0},
    ],
    "/api/embed": [{"truncate": True}, {"dimensions": 0}, {"options": {"num_ctx": 512}}, {"keep_alive": -1}, {"input": ["a"]}],
}  # fmt: skip


@pytest.mark.parametrize("path", ACCEPTED)
async def test_what_others_take_is_taken(serving: Any, path: str) -> None:
    answers = ScriptedEngine(lambda request: "A word." if request.schema is None else "{}", schema=True)
    async with serving(answers) as bench:
        for more in ACCEPTED[path]:
            response = await bench.client.post(path, json={"model": "@omni/test", **BODIES[path], **more})
            assert response.status_code == 200, (more, response.text)
        assert bench.server.load() == (0, 0)


async def test_what_is_out_of_range_for_ollama_is_its_nearest_that_is_not(serving: Any) -> None:
    engine = ScriptedEngine()
    odd = {"temperature": -1, "top_p": 7, "min_p": -3, "repeat_penalty": 0, "top_k": -5}
    async with serving(engine) as bench:
        response = await bench.client.post(
            "/api/chat", json={"model": "@omni/test", "messages": USER, "stream": False, "options": odd}
        )
        assert response.status_code == 200
        for wrong in ({"presence_penalty": 1e9}, {"repeat_penalty": 1e9}, {"frequency_penalty": -1e9}):
            body = {"model": "@omni/test", "messages": USER, "options": wrong}
            response = await bench.client.post("/api/chat", json=body)
            assert (response.status_code, next(iter(wrong)) in response.json()["error"]) == (400, True)
    sampling = engine.requests[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.min_p, sampling.repeat_penalty) == (0, 1, 0, 1.0)
    assert (sampling.top_k, len(engine.requests)) == (0, 1)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": USER, "max_tokens": 3.5}, "`int | null`, got `float` at `max_tokens`"),
        ({"messages": USER, "max_tokens": "3"}, "got `str` at `max_tokens`"),
        ({"messages": USER, "max_tokens": 3.0, "n": "x"}, "got `str` at `n`"),
        ({"messages": USER, "n": 1e300}, "got `float` at `n`"),
        ({"messages": USER, "stream": 1.0}, "at `stream`"),
        ({"messages": None}, "missing required field `messages`"),
        ({"messages": [None]}, "at `messages[0]`"),
        ({"messages": [{"role": None, "content": "Hi"}]}, "missing required field `role`"),
        ({"messages": USER, "logit_bias": {"1": None}}, "logit_bias"),
        ({"messages": USER, "tools": [{"type": None, "function": None}]}, "needs a `function`"),
    ],
)
async def test_what_nobody_could_mean_is_refused_by_name(serving: Any, body: dict[str, Any], words: str) -> None:
    async with serving() as bench:
        response = await bench.client.post("/v1/chat/completions", json=body)
        assert (response.status_code, words in response.json()["error"]["message"]) == (400, True), response.text


def test_numbers_of_a_schema_stay_as_they_were_written() -> None:
    body = b'{"messages":[],"max_tokens":3.0,"tools":[{"type":null,"function":{"name":"f","parameters":{"minimum":1.0,"x":null}}}]}'
    request = decoded(body.replace(b"[],", b'[{"role":"user"}],', 1), ChatBody)
    assert request.tools is not None
    function = request.tools[0].function
    assert function is not None
    assert str(function.parameters) == "{'minimum': 1.0, 'x': None}"
    assert (request.max_tokens, request.tools[0].type) == (3, "function")


def test_the_work_of_understanding_has_an_end() -> None:
    many = b'{"messages":[' + b",".join([b'{"role":null,"name":null}'] * (2 * MOST)) + b"]}"
    with pytest.raises(ValueError, match="missing required field `role`"):
        decoded(many, ChatBody)
    tools = b",".join([b'{"type":null,"function":{"name":"f"}}'] * (MOST + 1))
    with pytest.raises(ValueError, match=rf"tools\[{MOST}\]"):
        decoded(b'{"messages":[{"role":"user"}],"tools":[' + tools + b"]}", ChatBody)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\ude00 off", "\ufffd off"),
        (r"\uD83D\uD83D\uDE00", "\ufffd\U0001f600"),
        (r"\ud83dX\ude00", "\ufffdX\ufffd"),
        (r"\\ud83d \ud83d\n\"", '\\ud83d \ufffd\n"'),
        (r"\ud83d\\ude00", "\ufffd\\ude00"),
    ],
)
def test_half_of_a_character_is_told_by_a_sign_for_it(written: str, meant: str) -> None:
    """JavaScript's clients cut texts between two halves, and the text stays in the history for ever."""
    body = f'{{"model": "m", "messages": [{{"role": "user", "content": "{written}"}}]}}'.encode()
    assert decoded(body, ChatBody).messages[0].content == meant
