"""The official `openai` client, unmodified, against a server that really listens."""

import asyncio
import json
from typing import Any

import openai
import pytest

from omni.core.errors import EngineError
from omni.engine import Reply, ScriptedEngine
from tests.waiting import until

USER: Any = [{"role": "user", "content": "Hi"}]
TOOLS: Any = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object", "properties": {}}}}]
CALL = '{"name": "read", "arguments": {"path": "a.py"}}'


def client(bench: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="none", max_retries=0)


async def test_a_chat_as_a_whole_and_as_a_stream(live: Any) -> None:
    async with live(ScriptedEngine(["Hello you."])) as bench, client(bench) as ai:
        whole = await ai.chat.completions.create(model="@omni/test", messages=USER)
        assert whole.choices[0].message.content == "Hello you."
        assert whole.usage
        assert whole.usage.prompt_tokens_details
        stream = await ai.chat.completions.create(
            model="@omni/test", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello you."
        assert chunks[-1].usage
        assert chunks[-1].usage.completion_tokens == 2
        async with ai.chat.completions.stream(model="@omni/test", messages=USER) as helped:
            final = await helped.get_final_completion()
        assert final.choices[0].message.content == "Hello you."


async def test_the_client_that_waits(live: Any) -> None:
    async with live(ScriptedEngine(["Hello you."])) as bench:

        def ask() -> tuple[str, list[str]]:
            with openai.OpenAI(base_url=f"{bench.url}/v1", api_key="none", max_retries=0) as ai:
                whole = ai.chat.completions.create(model="@omni/test", messages=USER)
                stream = ai.chat.completions.create(model="@omni/test", messages=USER, stream=True)
                return whole.choices[0].message.content or "", [
                    chunk.choices[0].delta.content for chunk in stream if chunk.choices[0].delta.content
                ]

        assert await asyncio.to_thread(ask) == ("Hello you.", ["Hello", " you."])


async def test_tools_there_and_back(live: Any) -> None:
    async with live(ScriptedEngine([CALL, CALL, "Done."])) as bench, client(bench) as ai:
        whole = await ai.chat.completions.create(
            model="@omni/test", messages=USER, tools=TOOLS, tool_choice="required", parallel_tool_calls=False
        )
        message = whole.choices[0].message
        assert message.tool_calls
        call = message.tool_calls[0]
        assert call.type == "function"
        assert json.loads(call.function.arguments) == {"path": "a.py"}
        async with ai.chat.completions.stream(model="@omni/test", messages=USER, tools=TOOLS) as stream:
            final = await stream.get_final_completion()
        streamed = final.choices[0].message.tool_calls
        assert streamed
        assert (streamed[0].function.name, streamed[0].function.arguments) == ("read", '{"path": "a.py"}')
        so_far: list[Any] = [*USER, message, {"role": "tool", "tool_call_id": call.id, "content": "x = 1"}]
        answer = await ai.chat.completions.create(model="@omni/test", messages=so_far, tools=TOOLS)
        assert answer.choices[0].message.content == "Done."


async def test_a_schema_from_a_class(live: Any) -> None:
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    engine = ScriptedEngine(['{"name": "Ann", "age": 30}'])
    async with live(engine) as bench, client(bench) as ai:
        completion = await ai.chat.completions.parse(model="@omni/test", messages=USER, response_format=Person)
        assert completion.choices[0].message.parsed == Person(name="Ann", age=30)
        schema = engine.requests[0].schema
        assert schema
        assert schema["required"] == ["name", "age"]


async def test_the_other_endpoints(live: Any) -> None:
    async with live(ScriptedEngine(["and on."])) as bench, client(bench) as ai:
        assert [model.id async for model in await ai.models.list()] == ["@omni/test"]
        assert (await ai.models.retrieve("@omni/test")).owned_by == "omni"
        text = await ai.completions.create(model="@omni/test", prompt="On", suffix="off", max_tokens=5)
        assert text.choices[0].text == "and on."
        stream = await ai.completions.create(model="@omni/test", prompt="On", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == "and on."
        vectors = await ai.embeddings.create(model="@omni/test", input=["one", "two"])  # it asks for base64
        plain = await ai.embeddings.create(model="@omni/test", input=["one", "two"], encoding_format="float")
        assert vectors.data[1].embedding == pytest.approx(plain.data[1].embedding)


async def test_failures_are_the_exceptions_that_they_should_be(live: Any) -> None:
    reply = Reply(text="one two", error=EngineError("It died."), fail_after=1)
    async with live(ScriptedEngine([reply], context=64)) as bench, client(bench) as ai:
        with pytest.raises(openai.NotFoundError, match="Installed: @omni/test") as missing:
            await ai.chat.completions.create(model="gpt-5", messages=USER)
        assert (missing.value.type, missing.value.code) == ("invalid_request_error", "model_not_found")
        assert (missing.value.request_id or "").startswith("req_")
        assert ((await ai.models.retrieve("@omni/test"))._request_id or "").startswith("req_")
        with pytest.raises(openai.BadRequestError) as refused:
            await ai.chat.completions.create(model="@omni/test", messages=USER, temperature=9)
        assert refused.value.param == "temperature"
        long: Any = [{"role": "user", "content": "word " * 99}]
        with pytest.raises(openai.BadRequestError) as refused:
            await ai.chat.completions.create(model="@omni/test", messages=long, stream=True)
        assert refused.value.code == "context_length_exceeded"
        with pytest.raises(openai.InternalServerError, match="It died"):
            await ai.chat.completions.create(model="@omni/test", messages=USER)
        stream = await ai.chat.completions.create(model="@omni/test", messages=USER, stream=True)
        with pytest.raises(openai.APIError, match="It died"):
            [chunk async for chunk in stream]
        bench.services.set("engine", slots=1)
        bench.services.set("serve", queue=0)
        with pytest.raises(openai.BadRequestError, match="2 answers are asked for at once, and 1 can be had"):
            await ai.chat.completions.create(model="@omni/test", messages=USER, n=2)
        bench.services.set("serve", queue=1)
        taken = bench.server.places_of(bench.services.library.known[0]).enter("somebody")
        with taken, pytest.raises(openai.RateLimitError):
            await ai.chat.completions.create(model="@omni/test", messages=USER, n=2)
        assert bench.server.load() == (0, 0)


@pytest.mark.parametrize("count", [1, 2])
async def test_who_leaves_in_mid_stream_frees_the_place(live: Any, count: int) -> None:
    engine = ScriptedEngine([Reply(text="one two three", gates={2: asyncio.Event()})])
    async with live(engine) as bench, client(bench) as ai:
        stream = await ai.chat.completions.create(model="@omni/test", messages=USER, stream=True, n=count)
        async for chunk in stream:
            if chunk.choices[0].delta.content:
                break
        assert bench.server.load() == (count, 0)
        await stream.close()
        await until(lambda: bench.server.load() == (0, 0) and engine.cancelled == count)


async def test_who_leaves_while_waiting_for_a_whole_answer_frees_the_place(live: Any) -> None:
    engine = ScriptedEngine([Reply(text="one two", gates={1: asyncio.Event()})])
    async with live(engine) as bench, client(bench) as ai:
        asking = asyncio.create_task(ai.chat.completions.create(model="@omni/test", messages=USER))
        await until(lambda: bench.server.load() == (1, 0))
        asking.cancel()
        await until(lambda: bench.server.load() == (0, 0))
