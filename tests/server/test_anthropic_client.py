"""Anthropic's own Python client against a listening server, sync and async; and with the real starter brain."""

import asyncio
import json
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import Message

from omni.engine import Reply, ScriptedEngine
from tests.server.real_tools import real_server

ASK: list[Any] = [{"role": "user", "content": "Hi"}]
WEATHER: Any = {
    "name": "weather",
    "description": "The weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
}
CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'


def text_of(message: Message) -> str:
    first = message.content[0]
    assert first.type == "text"
    return first.text


async def test_the_sync_client(live: Any) -> None:
    async with live(ScriptedEngine([Reply(reasoning="Hm.", text="A word.")])) as bench:

        def use() -> None:
            with anthropic.Anthropic(base_url=bench.url, api_key="any", max_retries=0) as client:
                answer = client.messages.create(model="@omni/test", max_tokens=100, messages=ASK)
                assert text_of(answer) == "A word."
                assert (answer.stop_reason, answer.usage.output_tokens) == ("end_turn", 3)
                with client.messages.stream(
                    model="@omni/test",
                    max_tokens=2000,
                    messages=ASK,
                    thinking={"type": "enabled", "budget_tokens": 1024},
                ) as stream:
                    assert "".join(stream.text_stream) == "A word."
                    whole = stream.get_final_message()
                assert [block.type for block in whole.content] == ["thinking", "text"]
                assert whole.usage.input_tokens + (whole.usage.cache_read_input_tokens or 0) == 2
                counted = client.messages.count_tokens(model="@omni/test", messages=ASK)
                assert counted.input_tokens == 2
                stopped = client.messages.create(
                    model="@omni/test", max_tokens=100, messages=ASK, stop_sequences=[" word"]
                )
                assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", " word")
                assert (stopped._request_id or "").startswith("req_")
                with pytest.raises(anthropic.NotFoundError, match="Installed: @omni/test") as missing:
                    client.messages.create(model="claude", max_tokens=100, messages=ASK)
                assert (missing.value.request_id or "").startswith("req_")
                with pytest.raises(anthropic.BadRequestError, match="4,096"):
                    client.messages.create(
                        model="@omni/test", max_tokens=100, messages=[{"role": "user", "content": "word " * 5000}]
                    )

        await asyncio.to_thread(use)


async def test_the_async_client_with_tools(live: Any) -> None:
    def said(request: Any) -> str:
        return "It is sunny." if request.messages[-1].role == "tool" else CALL

    async with (
        live(ScriptedEngine(said)) as bench,
        anthropic.AsyncAnthropic(base_url=bench.url, auth_token="any", max_retries=0) as client,
    ):
        messages = list(ASK)
        async with client.messages.stream(
            model="@omni/test", max_tokens=100, messages=messages, tools=[WEATHER], tool_choice={"type": "any"}
        ) as stream:
            message = await stream.get_final_message()
        (call,) = message.content
        assert call.type == "tool_use"
        assert (call.name, call.input, message.stop_reason) == ("weather", {"city": "Rome"}, "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "sun"}
        messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
        last = await client.messages.create(model="@omni/test", max_tokens=100, messages=messages, tools=[WEATHER])
        assert text_of(last) == "It is sunny."


@pytest.mark.real
async def test_the_starter_through_anthropics_client(tmp_path: Path, starter_gguf: Path) -> None:
    async with (
        real_server(tmp_path / "home", starter_gguf) as real,
        anthropic.AsyncAnthropic(base_url=real.url, api_key="any", max_retries=0) as client,
    ):
        system = "You are brief."
        counted = await client.messages.count_tokens(model=real.brain, system=system, messages=ASK)
        answer = await client.messages.create(
            model=real.brain, max_tokens=24, system=system, extra_body={"temperature": 0}, messages=ASK
        )
        assert text_of(answer)
        assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
        told = await client.messages.count_tokens(model=real.brain, system=system, messages=ASK, tools=[WEATHER])
        assert told.input_tokens > counted.input_tokens + 20
        async with client.messages.stream(
            model=real.brain,
            max_tokens=200,
            messages=[{"role": "user", "content": "What is the weather in Rome?"}],
            tools=[WEATHER],
            tool_choice={"type": "tool", "name": "weather"},
            extra_body={"temperature": 0},
        ) as stream:
            forced = await stream.get_final_message()
        (call,) = forced.content
        assert call.type == "tool_use"
        assert isinstance(call.input["city"], str)
        assert forced.stop_reason == "tool_use"
        number = {"type": "integer", "maximum": 9}
        schema: dict[str, Any] = {"type": "object", "properties": {"n": number}, "required": ["n"]}
        shaped = await client.messages.create(
            model=real.brain,
            max_tokens=50,
            messages=ASK,
            output_config={"format": {"type": "json_schema", "schema": schema}},
            extra_body={"temperature": 0},
        )
        assert isinstance(json.loads(text_of(shaped))["n"], int)
        first = text_of(answer).split()[1]
        stopped = await client.messages.create(
            model=real.brain,
            max_tokens=24,
            system=system,
            extra_body={"temperature": 0},
            messages=ASK,
            stop_sequences=[first],
        )
        assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", first)
