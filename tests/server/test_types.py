"""Answers and events of the other endpoints, read strictly by the types of the official clients."""

import json
from typing import Any

import anthropic.types as of_anthropic
import ollama
import pytest
from openai.types import Completion, CreateEmbeddingResponse, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from omni.core.events import TokenAlternative, TokenLogprob
from omni.engine import Reply, ScriptedEngine
from tests.server.openai_tools import CALL, TOOL, USER, ask, events_of

TOKEN = TokenLogprob(chosen=TokenAlternative(token="It", logprob=-0.5, bytes=(73, 116)))
ANTHROPICS: TypeAdapter[Any] = TypeAdapter(of_anthropic.RawMessageStreamEvent)
ASK: dict[str, Any] = {"model": "@omni/test", "messages": USER}
CHATS: dict[str, tuple[Any, dict[str, Any]]] = {
    "plain": (Reply(text="It is.", reasoning="Hm."), {}),
    "two": ("It is.", {"n": 2}),
    "a call": (CALL, {"tools": [TOOL]}),
    "an old call": (CALL, {"functions": [TOOL["function"]]}),
    "likelihoods": (Reply(text="It", before=(TOKEN,)), {"logprobs": True, "top_logprobs": 1}),
    "cut": ("It is.", {"max_tokens": 1}),
    "nothing": ("It is.", {"max_tokens": 0}),
}


def read(kind: Any, value: Any) -> Any:
    """`value` as `kind`, which it is to the letter."""
    return kind.model_validate_json(json.dumps(value), strict=True)


@pytest.mark.parametrize("case", CHATS)
async def test_chats(serving: Any, case: str) -> None:
    reply, body = CHATS[case]
    async with serving(ScriptedEngine([reply])) as bench:
        whole = read(ChatCompletion, (await ask(bench, **ASK, **body)).json())
        assert len(whole.choices) == body.get("n", 1)
        more = {"stream": True, "stream_options": {"include_usage": True}}
        *chunks, _ = events_of((await ask(bench, **ASK, **body, **more)).text)
        for chunk in chunks:
            read(ChatCompletionChunk, chunk)


async def test_texts_vectors_and_models(serving: Any) -> None:
    async with serving(ScriptedEngine([Reply(text="It", before=(TOKEN,))])) as bench:
        for more in ({}, {"logprobs": 1}, {"echo": True}, {"max_tokens": 0}, {"n": 2}):
            completion = (await ask(bench, "/v1/completions", model="@omni/test", prompt="a b", **more)).json()
            assert read(Completion, completion).choices[0].finish_reason
            body = {"model": "@omni/test", "prompt": "a b", "stream": True, **more}
            for chunk in events_of((await ask(bench, "/v1/completions", **body)).text)[:-1]:
                chunk["choices"] = [one for one in chunk["choices"] if one["finish_reason"]]  # null is not in the type
                read(Completion, chunk)
        read(CreateEmbeddingResponse, (await ask(bench, "/v1/embeddings", model="@omni/test", input="a")).json())
        for one in (await bench.client.get("/v1/models")).json()["data"]:
            read(Model, one)


@pytest.mark.parametrize("reply", [Reply(text="It is.", reasoning="Hm."), CALL, ""])
@pytest.mark.parametrize("most", [50, 1, 0])
async def test_anthropics_messages(serving: Any, reply: Any, most: int) -> None:
    tool = {"name": "read", "input_schema": {"type": "object"}}
    body = ASK | {"max_tokens": most, "tools": [tool], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    async with serving(ScriptedEngine([reply])) as bench:
        read(of_anthropic.Message, (await ask(bench, "/v1/messages", **body)).json())
        text = (await ask(bench, "/v1/messages", **body, stream=True)).text
        for line in (line for line in text.splitlines() if line.startswith("data: ")):
            if json.loads(line[6:])["type"] != "ping":
                ANTHROPICS.validate_json(line[6:], strict=True)


@pytest.mark.parametrize("reply", [Reply(text="It is.", reasoning="Hm."), CALL, ""])
async def test_ollamas_lines(serving: Any, reply: Any) -> None:
    async with serving(ScriptedEngine([reply])) as bench:
        for path, kind, body in (
            ("/api/chat", ollama.ChatResponse, {"messages": USER, "tools": [TOOL]}),
            ("/api/generate", ollama.GenerateResponse, {"prompt": "Hi"}),
        ):
            for line in (await ask(bench, path, model="@omni/test", **body)).text.splitlines():
                kind.model_validate_json(line, strict=True)
        ollama.EmbedResponse.model_validate_json((await ask(bench, "/api/embed", model="@omni/test", input="a")).text)
        ollama.ListResponse.model_validate_json((await bench.client.get("/api/tags")).text)
