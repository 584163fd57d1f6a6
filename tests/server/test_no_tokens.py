"""An answer of no tokens: what it says, what it costs, and what Anthropic's clients warm a cache with."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from omni.engine import Reply, ScriptedEngine
from tests.server.openai_tools import TOOL, USER, ask, events_of
from tests.server.real_tools import real_server

NEVER = Reply(text="Never said.", gates={0: asyncio.Event()})  # whoever has this computed waits for ever
LONG = "It rains in the mountains and the river is high. " * 20


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_a_chat_of_no_tokens_is_cut_before_the_first_and_computes_nothing(serving: Any, limit: str) -> None:
    async with serving(ScriptedEngine([NEVER])) as bench:
        completion = (await ask(bench, messages=USER, n=2, tools=[TOOL], tool_choice="required", **{limit: 0})).json()
        for choice in completion["choices"]:
            assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
            assert "tool_calls" not in choice["message"]
        usage = completion["usage"]
        assert usage["completion_tokens"] == 0
        assert usage["total_tokens"] == usage["prompt_tokens"] > 0
        more = {"stream": True, "stream_options": {"include_usage": True}}
        *chunks, done = events_of((await ask(bench, messages=USER, **{limit: 0}, **more)).text)
        assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, "length"]
        assert (chunks[-1]["usage"]["completion_tokens"], done) == (0, "[DONE]")
        assert "omni_tokens_total{" not in (await bench.client.get("/metrics")).text
        assert bench.server.load() == (0, 0)


async def test_the_newer_name_of_a_limit_counts(serving: Any) -> None:
    async with serving(ScriptedEngine(["one two"])) as bench:
        completion = (await ask(bench, messages=USER, max_tokens=0, max_completion_tokens=1)).json()
        assert completion["choices"][0]["message"]["content"] == "one"


async def test_a_text_of_no_tokens_is_the_prompt_where_that_is_wanted_back(serving: Any) -> None:
    async with serving(ScriptedEngine([NEVER])) as bench:
        for echo, text in ((True, "one two"), (False, "")):
            completion = (await ask(bench, "/v1/completions", prompt="one two", max_tokens=0, echo=echo)).json()
            (choice,) = completion["choices"]
            assert (choice["text"], choice["finish_reason"]) == (text, "length")
            assert (completion["usage"]["prompt_tokens"], completion["usage"]["completion_tokens"]) == (2, 0)


async def test_a_response_of_no_tokens_is_incomplete(serving: Any) -> None:
    async with serving(ScriptedEngine([NEVER])) as bench:
        response = (await bench.client.post("/v1/responses", json={"input": "one two", "max_output_tokens": 0})).json()
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["max_output_tokens"], response["usage"]["output_tokens"]) == (0, 0)
    assert [part["text"] for item in response["output"] for part in item["content"]] == [""]


async def test_all_that_is_left_is_not_nothing(serving: Any) -> None:
    async with serving(ScriptedEngine(["one two three"])) as bench:
        answer = (await bench.client.post("/v1/responses", json={"input": "Hi", "max_output_tokens": -1})).json()
        assert answer["status"] == "completed"
        for path in ("/api/chat", "/api/generate"):  # Ollama's own engines take 0 for no limit, as they do -1 and -2
            for most in (0, -1, -2):
                body = {"messages": USER, "prompt": "Hi", "options": {"num_predict": most}, "stream": False}
                answer = (await bench.client.post(path, json={"model": "@omni/test", **body})).json()
                assert (answer["eval_count"], answer["done_reason"]) == (3, "stop")


async def test_a_prompt_that_does_not_fit_is_refused_all_the_same(serving: Any) -> None:
    async with serving(ScriptedEngine(context=64)) as bench:
        response = await ask(bench, messages=[{"role": "user", "content": "word " * 100}], max_tokens=0)
        assert (response.status_code, response.json()["error"]["code"]) == (400, "context_length_exceeded")
        response = await ask(bench, messages=[{"role": "user", "content": "word " * 60}], max_tokens=0)
        assert response.status_code == 200


async def test_a_message_of_no_tokens_reads_the_prompt(serving: Any) -> None:
    body: dict[str, Any] = {"model": "@omni/test", "max_tokens": 0, "messages": USER}
    tool = {"name": "read", "input_schema": {"type": "object"}}
    async with serving(ScriptedEngine(["Not for you."])) as bench:
        for more in ({}, {"tools": [tool], "tool_choice": {"type": "any"}}):
            message = (await bench.client.post("/v1/messages", json=body | more)).json()
            assert (message["content"], message["stop_reason"]) == ([], "max_tokens")
            assert message["usage"]["output_tokens"] == 0
        lines = (await bench.client.post("/v1/messages", json=body | {"stream": True})).text.split("\n")
        events = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
        assert [event["type"] for event in events] == ["message_start", "ping", "message_delta", "message_stop"]
        assert events[2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
        assert (await bench.client.post("/v1/messages", json=body | {"max_tokens": -1})).status_code == 400


@pytest.mark.real
async def test_a_warmed_prompt_is_read_once(tmp_path: Path, starter_gguf: Path) -> None:
    async with (
        real_server(tmp_path / "home", starter_gguf) as real,
        anthropic.AsyncAnthropic(base_url=real.url, api_key="none") as client,
        openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none") as other,
    ):
        asked: dict[str, Any] = {"model": real.brain, "messages": [{"role": "user", "content": LONG + "Hm?"}]}
        warmed = await client.messages.create(max_tokens=0, **asked)
        assert (warmed.content, warmed.stop_reason, warmed.usage.output_tokens) == ([], "max_tokens", 0)
        assert warmed.usage.input_tokens > 200
        told = await client.messages.create(max_tokens=3, **asked)
        assert (told.usage.cache_read_input_tokens or 0) > 200
        chat: Any = [{"role": "user", "content": "Another " + LONG}]
        nothing = await other.chat.completions.create(model=real.brain, messages=chat, max_tokens=0)
        assert (nothing.choices[0].message.content, nothing.choices[0].finish_reason) == ("", "length")
        again = await other.chat.completions.create(model=real.brain, messages=chat, max_tokens=2)
        assert again.usage is not None
        assert again.usage.prompt_tokens_details is not None
        assert (again.usage.prompt_tokens_details.cached_tokens or 0) < 100  # nothing had been read
