"""`/v1/responses` over the real starter brain, whose template knows no tools, asked by the official client."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai.types.responses import ResponseFunctionToolCall

from tests.server.real_tools import Real, real_server

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    """One server for all of them: what takes time is loading the brain."""
    async with real_server(tmp_path_factory.mktemp("real") / "home", starter_gguf) as bench:
        yield bench
        await bench.server.close()


@pytest_asyncio.fixture(loop_scope="module")
async def ai(real: Real) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as client:
        yield client


async def test_a_conversation_is_gone_on_with(real: Real, ai: openai.AsyncOpenAI) -> None:
    first = await ai.responses.create(model=real.brain, input="My name is Ada.", max_output_tokens=24, temperature=0)
    assert first.output_text.strip()
    again = await ai.responses.create(
        model=real.brain, input="What is my name?", previous_response_id=first.id, max_output_tokens=24, temperature=0
    )
    assert again.output_text.strip()
    assert first.usage
    assert again.usage
    assert again.usage.input_tokens > first.usage.input_tokens
    assert again.usage.input_tokens_details.cached_tokens > 0  # the first turn needed no reading


async def test_a_stream_and_its_end(real: Real, ai: openai.AsyncOpenAI) -> None:
    async with ai.responses.stream(
        model=real.brain, input="Count to fifty in words.", max_output_tokens=3, temperature=0
    ) as stream:
        events = [event async for event in stream]
    assert events[-1].type == "response.incomplete"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("question", ["Hello!", "What is the weather in Oslo?", "Write a poem."])
async def test_a_call_that_is_required_is_made(real: Real, ai: openai.AsyncOpenAI, question: str) -> None:
    async with ai.responses.stream(
        model=real.brain, input=question, tools=[WEATHER], tool_choice="required", temperature=0
    ) as stream:
        answer = await stream.get_final_response()
    (call,) = answer.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert isinstance(json.loads(call.arguments)["city"], str)
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "3 degrees, rain"}
    end = await ai.responses.create(
        model=real.brain, input=[result], previous_response_id=answer.id, max_output_tokens=40, temperature=0
    )
    assert end.output_text.strip()


async def test_a_schema_is_followed_with_likelihoods(real: Real, ai: openai.AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 5}},
        "required": ["n"],
        "additionalProperties": False,
    }
    answer = await ai.responses.create(
        model=real.brain,
        input="Rate this film.",
        text={"format": {"type": "json_schema", "name": "rating", "schema": schema, "strict": True}},
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        temperature=0,
    )
    assert 1 <= json.loads(answer.output_text)["n"] <= 5
    (message,) = answer.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(one.token for one in part.logprobs).strip() == part.text.strip()
    assert all(len(one.top_logprobs) == 2 and one.logprob <= 0 for one in part.logprobs)


async def test_what_does_not_fit_is_refused(real: Real, ai: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await ai.responses.create(model=real.brain, input="word " * 9000, truncation="auto", stream=True)
    assert refused.value.code == "context_length_exceeded"
