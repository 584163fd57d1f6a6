"""OpenAI's API over the real starter brain, whose template knows no tools, asked by the official client."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import openai
import pytest
import pytest_asyncio

from tests.server.real_tools import Real, real_server
from tests.server.varied_tools import VARIED, fault_of, tools_of
from tests.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Real]:
    """One server for all of them: what takes time is loading the brain."""
    async with real_server(tmp_path_factory.mktemp("real") / "home", starter_gguf) as bench:
        yield bench


@pytest_asyncio.fixture(loop_scope="module")
async def ai(real: Real) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


async def test_a_chat(real: Real, ai: openai.AsyncOpenAI) -> None:
    completion = await ai.chat.completions.create(
        model=real.brain, messages=user("Say hello."), max_tokens=24, temperature=0
    )
    assert (completion.choices[0].message.content or "").strip()
    assert completion.usage
    assert completion.usage.prompt_tokens > 5
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


async def test_a_stream_counts_what_it_sent(real: Real, ai: openai.AsyncOpenAI) -> None:
    stream = await ai.chat.completions.create(
        model=real.brain,
        messages=user("Write a long story about the sea."),
        temperature=0,
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
    )
    chunks = [chunk async for chunk in stream]
    assert chunks[0].choices[0].delta.role == "assistant"
    tokens = [
        one
        for chunk in chunks
        if chunk.choices and chunk.choices[0].logprobs
        for one in chunk.choices[0].logprobs.content or ()
    ]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == len(tokens) == 12
    assert "".join(one.token for one in tokens) == text


async def test_the_same_question_is_not_read_again(real: Real, ai: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": real.brain, "messages": user("Tell me about the sea. " * 20), "max_tokens": 2}
    await ai.chat.completions.create(**asked)
    again = await ai.chat.completions.create(**asked)
    assert again.usage
    assert again.usage.prompt_tokens_details
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens - 1


async def test_a_seed_repeats_and_another_does_not(real: Real, ai: openai.AsyncOpenAI) -> None:
    async def said(seed: int) -> str | None:
        completion = await ai.chat.completions.create(
            model=real.brain, messages=user("Invent a name for a boat."), seed=seed, temperature=1, max_tokens=16
        )
        return completion.choices[0].message.content

    await said(1)  # from now on the prompt is in the cache, for all alike
    assert await said(7) == await said(7)
    assert len({await said(seed) for seed in range(5)}) > 1


async def test_an_answer_stops_before_its_stop(real: Real, ai: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": real.brain, "messages": user("Say hello to the world."), "temperature": 0, "max_tokens": 32}
    whole = (await ai.chat.completions.create(**asked)).choices[0].message.content or ""
    word = whole.split()[2]
    cut = (await ai.chat.completions.create(**asked, stop=[word, "no such text"])).choices[0]
    assert cut.finish_reason == "stop"
    assert cut.message.content == whole[: whole.index(word)]


async def test_two_answers_at_once(real: Real, ai: openai.AsyncOpenAI) -> None:
    completion = await ai.chat.completions.create(
        model=real.brain, messages=user("Invent a name for a boat."), n=2, seed=1, temperature=1.5, max_tokens=16
    )
    first, second = completion.choices
    assert first.message.content != second.message.content
    assert completion.usage
    assert completion.usage.prompt_tokens < 60


async def test_likelihoods(real: Real, ai: openai.AsyncOpenAI) -> None:
    completion = await ai.chat.completions.create(
        model=real.brain, messages=user("Say hello."), logprobs=True, top_logprobs=3, temperature=0, max_tokens=8
    )
    assert completion.choices[0].logprobs
    content = completion.choices[0].logprobs.content or []
    assert "".join(one.token for one in content) == completion.choices[0].message.content
    for one in content:
        assert len(one.top_logprobs) == 3
        assert one.logprob <= 0
        assert one.token == one.top_logprobs[0].token  # at temperature 0 the likeliest is taken
    text = await ai.completions.create(model=real.brain, prompt="One, two,", logprobs=2, temperature=0, max_tokens=4)
    old = text.choices[0].logprobs
    assert old
    assert "".join(old.tokens or ()) == text.choices[0].text
    assert (old.text_offset or [1])[0] == 0


async def test_tokens_can_be_forbidden(real: Real, ai: openai.AsyncOpenAI) -> None:
    asked: Any = {"model": real.brain, "messages": user("Say hello."), "temperature": 0, "max_tokens": 1}
    likely = (await ai.chat.completions.create(**asked)).choices[0].message.content or ""
    split: Any = await ai.post("../tokenize", cast_to=object, body={"model": real.brain, "content": likely})
    other = await ai.chat.completions.create(**asked, logit_bias={str(split["tokens"][0]): -100})
    assert other.choices[0].message.content != likely


@pytest.mark.parametrize("at", range(len(VARIED)), ids=[name for name, _, _ in VARIED])
async def test_a_call_that_must_be_is_valid(real: Real, ai: openai.AsyncOpenAI, at: int) -> None:
    others = [VARIED[at], VARIED[(at + 7) % len(VARIED)]] if at % 2 else [VARIED[at]]
    completion = await ai.chat.completions.create(
        model=real.brain,
        messages=user(VARIED[at][2]),
        tools=tools_of(*others),
        tool_choice="required",
        temperature=0.7,
        seed=at,
        max_tokens=400,
    )
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    assert choice.message.content is None
    for call in choice.message.tool_calls:
        assert call.type == "function"
        assert fault_of(call.function.name, call.function.arguments) == ""


@pytest.mark.parametrize("seed", [0, 1, 3])
async def test_a_call_ends_where_its_schema_does_not(real: Real, ai: openai.AsyncOpenAI, seed: int) -> None:
    tree = next(one for one in VARIED if one[0] == "tree")
    completion = await ai.chat.completions.create(
        model=real.brain,
        messages=user(tree[2]),
        tools=tools_of(tree),
        tool_choice="required",
        temperature=1.0,
        seed=seed,
        max_tokens=150,
    )
    calls: Any = completion.choices[0].message.tool_calls
    assert fault_of("tree", calls[0].function.arguments) == ""


async def test_the_tool_that_is_named_is_called_in_a_stream(real: Real, ai: openai.AsyncOpenAI) -> None:
    async with ai.chat.completions.stream(
        model=real.brain,
        messages=user("What is the weather in Paris?"),
        tools=tools_of(*VARIED[:5]),
        tool_choice={"type": "function", "function": {"name": "add"}},
        temperature=0,
    ) as stream:
        final = await stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls
    assert [call.function.name for call in calls] == ["add"]
    assert fault_of("add", calls[0].function.arguments) == ""


async def test_bounds_that_no_grammar_keeps_are_kept(real: Real, ai: openai.AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"share": {"type": "number", "minimum": 0, "maximum": 1}, "day": {"type": "string", "pattern": r"^\d{4}-\d{2}$"}},
        "required": ["share", "day"],
    }  # fmt: skip
    tools: Any = tools_of(("set_share", schema, "Set it."))
    for seed in range(2):
        completion = await ai.chat.completions.create(
            model=real.brain, messages=user("Set the share to 250."), tools=tools, tool_choice="required", seed=seed
        )
        calls: Any = completion.choices[0].message.tool_calls
        jsonschema_rs.validate(schema, json.loads(calls[0].function.arguments))


async def test_an_answer_follows_its_schema(real: Real, ai: openai.AsyncOpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }  # fmt: skip
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "strict": True, "schema": schema}}
    completion = await ai.chat.completions.create(
        model=real.brain, messages=user("Invent a person."), response_format=form, temperature=0
    )
    assert completion.choices[0].finish_reason == "stop"
    jsonschema_rs.validate(schema, json.loads(completion.choices[0].message.content or ""))
    free = await ai.chat.completions.create(
        model=real.brain,
        messages=user("Invent a person."),
        response_format={"type": "json_object"},
        temperature=0,
        max_tokens=600,
    )
    if free.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(free.choices[0].message.content or ""), dict)
    else:
        assert free.choices[0].finish_reason == "length"


async def test_a_schema_beyond_all_grammars_is_refused_before_a_stream(real: Real, ai: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "https://example.org/x"}}, "required": ["a"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    with pytest.raises(openai.BadRequestError, match="ref"):
        await ai.chat.completions.create(model=real.brain, messages=user("Hi"), response_format=form, stream=True)
    tools: Any = tools_of(("x", schema, "Do it."))
    with pytest.raises(openai.BadRequestError, match="ref"):
        await ai.chat.completions.create(model=real.brain, messages=user("Hi"), tools=tools, tool_choice="required")


async def test_a_gap_is_refused_where_the_brain_fills_none(real: Real, ai: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="not made to fill in"):
        await ai.completions.create(model=real.brain, prompt="def a():", suffix="return 1", stream=True)


async def test_vectors(real: Real, ai: openai.AsyncOpenAI) -> None:
    texts = ["the sea is blue", "the ocean is blue", "a tax form"]
    sea, ocean, tax = [one.embedding for one in (await ai.embeddings.create(model=real.brain, input=texts)).data]

    def near(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert near(sea, sea) == pytest.approx(1, abs=1e-3)
    assert near(sea, ocean) > near(sea, tax)
    long = await ai.embeddings.create(model=real.brain, input="word " * 200, dimensions=64)
    assert (len(long.data[0].embedding), long.usage.prompt_tokens) == (64, 201)
    with pytest.raises(openai.BadRequestError, match=r"2,0\d\d tokens") as refused:
        await ai.embeddings.create(model=real.brain, input="word " * 2000)
    assert refused.value.code == "context_length_exceeded"


async def test_who_leaves_in_mid_stream_frees_the_place(real: Real, ai: openai.AsyncOpenAI) -> None:
    stream = await ai.chat.completions.create(
        model=real.brain, messages=user("Write a very long story about the sea."), temperature=0, stream=True
    )
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    assert real.server.load() == (1, 0)
    await stream.close()
    await until(lambda: real.server.load() == (0, 0), 5)
    async with asyncio.timeout(10):
        await ai.chat.completions.create(model=real.brain, messages=user("Say hello."), max_tokens=4)
