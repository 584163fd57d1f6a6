"""Texts that are gone on with as they are: on every engine, also where a brain has eyes that it needs for none of this."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from omni.core.errors import ContextOverflow, UsageError
from omni.core.events import EngineEvent, PromptCounted, TextDelta, TokenLogprob
from omni.engine import CompletionRequest, Engine, Sampling, ScriptedEngine, WorkerEngine
from omni.engine.answers import completion_body
from tests.engine import test_contract, test_seeing
from tests.engine.engine_tools import end_of, text_of


def _named(which: str, engines: list[Any]) -> list[Any]:
    return [pytest.param(*each.values, id=f"{each.id}{which}", marks=each.marks) for each in engines]


@pytest.fixture(params=_named("", test_contract.ENGINES) + _named(" that sees", test_seeing.ENGINES))
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """One of the engines."""
    make: Callable[[pytest.FixtureRequest], AsyncIterator[Engine]] = request.param
    async for instance in make(request):
        yield instance


def wanted(text: str, *, max_tokens: int = 6, stop: tuple[str, ...] = (), **more: Any) -> CompletionRequest:
    sampling = Sampling(temperature=0, seed=7, max_tokens=max_tokens, stop=stop)
    return CompletionRequest(prompt=text, sampling=sampling, **more)


async def completed(engine: Engine, request: CompletionRequest) -> list[EngineEvent]:
    async with aclosing(engine.complete(request)) as events:
        return [event async for event in events]


async def test_a_text_is_gone_on_with_without_a_template(engine: Engine) -> None:
    events = await completed(engine, wanted("One, two, three,"))
    assert text_of(events).strip()
    usage = end_of(events).usage
    assert usage.prompt_tokens >= len(await engine.tokenize("One, two, three,")) > 0
    assert next(event for event in events if isinstance(event, PromptCounted)).tokens == usage.prompt_tokens


async def test_a_text_is_bounded_by_its_limit(engine: Engine) -> None:
    ended = end_of(await completed(engine, wanted("One, two, three, four, five,", max_tokens=2)))
    assert (ended.reason, ended.usage.completion_tokens) == ("length", 2)


async def test_a_text_that_does_not_fit_is_refused_with_figures(engine: Engine) -> None:
    with pytest.raises(ContextOverflow) as refused:
        await completed(engine, wanted("word " * 600))
    assert refused.value.needed > refused.value.allocated == 512


async def test_texts_at_the_same_time_and_one_that_is_left(engine: Engine) -> None:
    async with aclosing(engine.complete(wanted("One, two, three,", max_tokens=200))) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                break
    async with asyncio.timeout(60):
        completions = await asyncio.gather(*(completed(engine, wanted(f"{n}, {n + 1}, {n + 2},")) for n in range(4)))
    assert all(end_of(events) for events in completions)


async def test_what_only_the_worker_of_a_real_brain_tells_of_a_text(engine: Engine) -> None:
    if isinstance(engine, ScriptedEngine) or "scripted" in repr(getattr(engine, "spec", "")):
        pytest.skip("it is no brain")
    if isinstance(engine, WorkerEngine) and engine.spec.base == "small":
        pytest.skip("it is made of random numbers, and cannot count")
    text = text_of(await completed(engine, wanted("One, two, three,", max_tokens=20, stop=("six",))))
    assert text.startswith(" four, five")
    assert "six" not in text
    chosen = [
        event
        for event in await completed(engine, wanted("One, two, three,", max_tokens=3, logprobs=2))
        if isinstance(event, TokenLogprob)
    ]
    assert [event.chosen.token for event in chosen] == [" four", ",", " five"]
    assert {len(event.top) for event in chosen} == {2}
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"], "additionalProperties": False}
    assert json.loads(text_of(await completed(engine, wanted("JSON:", max_tokens=60, schema=schema)))) == {"a": "x"}
    with pytest.raises(UsageError, match="not made to fill in"):
        await completed(engine, wanted("def a():", suffix="return 1"))


def test_a_stop_text_cuts_nothing_that_a_grammar_binds() -> None:
    request = wanted("JSON:", stop=("}",))
    bodies = [
        completion_body(request, prompt=[1], max_completion_tokens=9, seed=1, adapters=(), grammar=one)
        for one in ("", "start: /x/")
    ]
    assert ["stop" in body for body in bodies] == [True, False]
