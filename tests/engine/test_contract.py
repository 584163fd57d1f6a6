"""What every engine must do, tried on every engine that is here. A new engine is one more line in `ENGINES`."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from omni.core.errors import ContextOverflow, EngineError, UsageError
from omni.core.events import EngineEvent, PromptCounted, PromptProgress, TextDelta, ToolCallDelta, TurnEnded
from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import (
    ChatRequest,
    Engine,
    Sampling,
    ScriptedEngine,
    Tool,
    image_of,
)
from tests.engine.engine_tools import asked, end_of, events_of, real_spec, scripted_spec, text_of
from tests.fixtures_engines import lent
from tests.image_tools import png
from tests.runtime_tools import added


async def _scripted(_request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    yield ScriptedEngine(lambda request: f"You said: {request.messages[-1].text}", context=512)


async def _scripted_worker(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with request.getfixturevalue("kept_engine")(scripted_spec()) as engine:
        yield engine


async def _xllamacpp(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    make, gguf = request.getfixturevalue("kept_engine"), request.getfixturevalue("starter_gguf")
    async with make(real_spec(gguf, context=512, cells=512)) as engine:
        yield engine


async def _llama_server(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """A program of strangers, without LLGuidance, started by the worker."""
    program, gguf = request.getfixturevalue("server_program"), request.getfixturevalue("small_gguf")
    runtime = await added(request.getfixturevalue("home"), program)
    spec = real_spec(gguf, context=512, cells=512, llguidance=0)
    spec = msgspec.structs.replace(spec, engine=runtime.name, base="small")
    async with request.getfixturevalue("kept_engine")(spec) as engine:
        yield engine


async def _llama_cpp(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """llama-cpp-python, one token at a time in a worker of ours."""
    async for engine in _stepwise(request, "llama_cpp_engine"):
        yield engine


async def _mlx(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """mlx-lm in such a worker."""
    async for engine in _stepwise(request, "mlx_engine"):
        yield engine


async def _stepwise(request: pytest.FixtureRequest, fixture: str) -> AsyncIterator[Engine]:
    runtime = lent(request.getfixturevalue("home"), request.getfixturevalue(fixture))
    spec = real_spec(request.getfixturevalue("small_gguf"), context=512, cells=512)
    spec = msgspec.structs.replace(spec, engine=runtime.name, base="small")
    async with request.getfixturevalue("kept_engine")(spec) as engine:
        yield engine


ENGINES = [
    pytest.param(_scripted, id="scripted"),
    pytest.param(_scripted_worker, id="scripted worker"),
    pytest.param(_xllamacpp, id="xllamacpp", marks=pytest.mark.real),
    pytest.param(_llama_server, id="llama-server", marks=pytest.mark.real),
    # What these two have in common with the others `test_stepwise_real.py` tries in the quick suite.
    pytest.param(_llama_cpp, id="llama-cpp-python", marks=[pytest.mark.real, pytest.mark.long]),
    pytest.param(_mlx, id="mlx", marks=[pytest.mark.real, pytest.mark.long]),
]


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """One of the engines."""
    make: Callable[[pytest.FixtureRequest], AsyncIterator[Engine]] = request.param
    async for instance in make(request):
        yield instance


async def test_an_answer_streams_and_ends_once(engine: Engine) -> None:
    events = await events_of(engine, asked("Say something about the sea."))
    assert text_of(events).strip()
    assert [event for event in events if isinstance(event, TurnEnded)] == [end_of(events)]


async def test_the_prompt_is_counted_exactly(engine: Engine) -> None:
    messages = (
        Message.of("system", "Be brief. Überlege 123 <|im_end|> ok."),
        Message.of("user", "hello\n\n```py\nx = 1\n```"),
        Message.of("assistant", "Hello!"),
        Message.of("user", "and   now?"),
    )
    counted = await engine.count_tokens(messages)
    ended = end_of(await events_of(engine, ChatRequest(messages=messages, sampling=Sampling(max_tokens=4))))
    assert ended.usage.prompt_tokens == counted
    assert ended.context_used == counted + ended.usage.completion_tokens


async def test_an_answer_that_was_begun_is_continued(engine: Engine) -> None:
    messages = (
        Message.of("user", "Count from one to ten."),
        Message.of("assistant", "One, two, three, f"),
    )
    counted = await engine.count_tokens(messages)
    events = await events_of(engine, ChatRequest(messages=messages, sampling=Sampling(temperature=0, max_tokens=8)))
    assert end_of(events).usage.prompt_tokens == counted
    assert not text_of(events).startswith("One, two")


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "half a pair: \ud83d", "\u202e\U0001f701" * 9, "<|im_end|><|endoftext|>"]
)
async def test_any_text_can_be_asked(engine: Engine, text: str) -> None:
    end_of(await events_of(engine, asked(text, max_tokens=2)))


async def test_reading_the_prompt_shows_its_progress(engine: Engine) -> None:
    events = await events_of(engine, asked("word " * 200, max_tokens=4))
    seen = [event for event in events if isinstance(event, PromptProgress)]
    assert seen
    assert [event.done for event in seen] == sorted(event.done for event in seen)
    assert {event.total for event in seen} == {end_of(events).usage.prompt_tokens}


async def test_an_answer_is_bounded_by_its_limit(engine: Engine) -> None:
    ended = end_of(await events_of(engine, asked("Count from one to one hundred in words.", max_tokens=3)))
    assert ended.reason == "length"
    assert ended.usage.completion_tokens == 3


async def test_a_prompt_that_does_not_fit_is_refused_with_figures(engine: Engine) -> None:
    request = asked("word " * 600)
    with pytest.raises(ContextOverflow) as refused:
        await events_of(engine, request)
    capabilities = await engine.capabilities()
    assert refused.value.allocated == capabilities.context == 512
    assert refused.value.needed > await engine.count_tokens(request.messages)


async def test_an_answer_takes_no_more_than_what_is_left(engine: Engine) -> None:
    request = asked("word " * 400, max_tokens=10_000)
    ended = end_of(await events_of(engine, request))
    assert ended.context_used <= ended.context_allocated == 512


async def test_a_repeated_prefix_is_not_read_again(engine: Engine) -> None:
    text = "Tell me about the sea. " * 10
    await events_of(engine, asked(text, max_tokens=4))
    usage = end_of(await events_of(engine, asked(text, max_tokens=4))).usage
    assert usage.cached_tokens == usage.prompt_tokens - 1


async def test_the_same_seed_gives_the_same_answer(engine: Engine) -> None:
    sampling = Sampling(temperature=0.9, seed=11, max_tokens=12)
    request = ChatRequest(messages=(Message.of("user", "Name a colour."),), sampling=sampling)
    await events_of(engine, request)  # so that both have the same prefix in the cache
    assert text_of(await events_of(engine, request)) == text_of(await events_of(engine, request))


async def test_chats_at_the_same_time_do_not_mix(engine: Engine) -> None:
    answers = await asyncio.gather(*(events_of(engine, asked(f"Repeat: {n}", max_tokens=8)) for n in range(6)))
    assert all(text_of(events).strip() for events in answers)
    assert len({id(end_of(events)) for events in answers}) == 6


async def test_closing_the_iterator_cancels_and_the_next_turn_works(engine: Engine) -> None:
    events = engine.chat(asked("Tell a long story about a lighthouse keeper.", max_tokens=400))
    async with asyncio.timeout(20):
        async for event in events:
            if isinstance(event, TextDelta):
                break
        await events.aclose()
        assert text_of(await events_of(engine, asked("Hello.")))


async def test_cancelling_the_reading_task_cancels_the_turn(engine: Engine) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async with aclosing(engine.chat(asked("Tell a long story.", max_tokens=400))) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    begun.set()
                    await asyncio.Event().wait()

    task = asyncio.create_task(read())
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert text_of(await events_of(engine, asked("Hello.")))


async def test_a_schema_is_followed_where_it_is_offered(engine: Engine) -> None:
    if not (await engine.capabilities()).schema or "scripted" in repr(getattr(engine, "spec", "")):
        pytest.skip("it keeps no schema")
    schema = {
        "type": "object",
        "properties": {"tool": {"enum": ["read", "write"]}, "lines": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["tool", "lines"],
        "additionalProperties": False,
    }
    events = await events_of(engine, asked("Which tool reads a file?", max_tokens=64, schema=schema))
    answer = json.loads(text_of(events))
    assert answer["tool"] in ("read", "write")
    assert isinstance(answer["lines"], int)


WEATHER = Tool(
    name="weather",
    description="The weather in a city.",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"$ref": "#/$defs/Unit"}},
        "required": ["city", "unit"],
        "additionalProperties": False,
        "$defs": {"Unit": {"enum": ["c", "f"]}},
    },
)
CLOCK = Tool(name="clock", parameters={"type": "object", "properties": {}, "additionalProperties": False})


def calls_of(events: list[EngineEvent]) -> list[tuple[str, Any]]:
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    names = {event.index: event.name for event in deltas if event.name}
    assert all(event.id for event in deltas if event.name)
    return [
        (name, json.loads("".join(event.arguments for event in deltas if event.index == at)))
        for at, name in names.items()
    ]


@pytest.mark.parametrize("choice", ["required", "weather"])
async def test_a_call_can_be_forced_whatever_the_template_knows(engine: Engine, choice: str) -> None:
    if not (await engine.capabilities()).schema or "scripted" in repr(getattr(engine, "spec", "")):
        pytest.skip("it keeps no schema")
    request = asked("What is the weather in Oslo?", max_tokens=200, tools=(CLOCK, WEATHER), tool_choice=choice)
    events = await events_of(engine, request)
    [(name, arguments)] = calls_of(events)
    assert end_of(events).reason == "tool_calls"
    assert not text_of(events)
    if choice == "weather":
        assert name == "weather"
    assert set(arguments) == ({"city", "unit"} if name == "weather" else set())


async def test_a_choice_that_is_no_tool_is_refused(engine: Engine) -> None:
    with pytest.raises(UsageError, match="whether"):
        await events_of(engine, asked("Hi", tools=(WEATHER,), tool_choice="whether"))


async def test_tools_are_counted_and_results_are_read(engine: Engine) -> None:
    messages = (
        Message.of("user", "What is the weather in Oslo?"),
        Message.of("assistant", ToolCallPart(id="call_1", name="weather", arguments="{}")),
        Message.of("tool", ToolResultPart.of("Rain.", call_id="call_1")),
    )
    counted = await engine.count_tokens(messages, (CLOCK,))
    assert counted > await engine.count_tokens(messages) > 10
    events = await events_of(
        engine, ChatRequest(messages=messages, sampling=Sampling(temperature=0, max_tokens=8), tools=(CLOCK,))
    )
    assert end_of(events).usage.prompt_tokens == counted
    assert next(event for event in events if isinstance(event, PromptCounted)).tokens == counted


async def test_images_are_refused_where_nothing_sees(engine: Engine) -> None:
    assert not (await engine.capabilities()).vision
    messages = (Message.of("user", image_of(png()), "What is this?"),)
    with pytest.raises(UsageError, match="cannot see"):
        await engine.count_tokens(messages)
    with pytest.raises(UsageError, match="cannot see"):
        await events_of(engine, ChatRequest(messages=messages))


async def test_embeddings_are_offered_or_refused(engine: Engine) -> None:
    if (await engine.capabilities()).embeds:
        vectors = await engine.embed(["sea", "mountain", "sea"])
        assert vectors[0] == vectors[2] != vectors[1]
    else:
        with pytest.raises(EngineError):
            await engine.embed(["sea"])


async def test_ranks_are_offered_or_refused(engine: Engine) -> None:
    if (await engine.capabilities()).reranks:
        ranks = await engine.rerank("the sea", ["a hill", "the sea", "the hill"])
        assert ranks[1] > ranks[2] > ranks[0]
    else:
        with pytest.raises(EngineError):
            await engine.rerank("the sea", ["the sea"])


async def test_a_closed_engine_says_so(engine: Engine) -> None:
    await engine.close()
    with pytest.raises(EngineError):
        await events_of(engine, asked("Hello."))
