"""What comes next is guessed from what was said: more of it is right the more an answer repeats, and no answer changes."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from omni.core.events import TokenLogprob
from omni.engine import ChatRequest, CompletionRequest, Sampling
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, real_spec, text_of
from tests.small_brain import write_small_brain

LINES = "\n".join(f"def step_{number}(value):\n    return value + {number}" for number in range(8))
QUESTIONS = (
    f"Write this file again, word for word:\n```python\n{LINES}\n```",
    "Count from 1 to 60, one number a line.",
    "Tell me about the sea.",
    f"And this one:\n```python\n{LINES}\n```",  # in the slot that knew the first, and shorter ones since
)


@pytest.mark.real
async def test_answers_are_those_without_guesses(keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path) -> None:
    answers: dict[int, list[str]] = {}
    drafted = {}
    for speculation in (0, 1):
        async with worker_engine(real_spec(starter_gguf, speculation=speculation, slots=1)) as engine:
            turns = [await events_of(engine, asked(question, max_tokens=240)) for question in QUESTIONS]
        answers[speculation] = [text_of(events) for events in turns]
        drafted[speculation] = [end_of(events).usage for events in turns]
    assert answers[1] == answers[0]
    assert all(usage.drafted_tokens == 0 for usage in drafted[0])
    repeated = drafted[1][0]
    assert repeated.accepted_tokens > repeated.completion_tokens // 2
    assert all(usage.accepted_tokens <= usage.drafted_tokens for usage in drafted[1])


@pytest.mark.real
async def test_likelihoods_are_told_of_guessed_tokens_too(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path
) -> None:
    """The second time all of an answer was said before: nothing is guessed where likelihoods are wanted."""
    for kind in ("chat", "text"):
        async with worker_engine(real_spec(starter_gguf, speculation=1, slots=1)) as engine:
            for _ in range(2):
                if kind == "chat":
                    events = await events_of(engine, asked(QUESTIONS[0], max_tokens=80, logprobs=2))
                else:
                    request = CompletionRequest(
                        prompt=LINES, logprobs=2, sampling=Sampling(temperature=0, max_tokens=80)
                    )
                    async with aclosing(engine.complete(request)) as stream:
                        events = [event async for event in stream]
                told = [event for event in events if isinstance(event, TokenLogprob)]
                assert "".join(one.chosen.token for one in told) == text_of(events)
                assert all(len(one.top) == 2 and one.chosen.logprob < 0 for one in told)
                assert end_of(events).usage.drafted_tokens == 0


@pytest.mark.real
async def test_likelihoods_and_schemas_come_with_guesses_too(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path
) -> None:
    schema = {"type": "array", "items": {"enum": ["one", "two"]}, "minItems": 12, "maxItems": 12}
    requests: tuple[ChatRequest, ...] = (
        asked("Say one and two in turn.", max_tokens=120, schema=schema),
        asked("Count from 1 to 30.", max_tokens=90, logprobs=2),
    )
    told = []
    for speculation in (0, 1):
        async with worker_engine(real_spec(starter_gguf, speculation=speculation, slots=1)) as engine:
            told.append([await events_of(engine, request) for request in requests])
    for plain, guessed in zip(*told, strict=True):
        assert text_of(plain) == text_of(guessed)
        kinds = [[type(event).__name__ for event in events] for events in (plain, guessed)]
        assert kinds[0].count("TokenLogprob") == kinds[1].count("TokenLogprob")


@pytest.mark.real
async def test_guesses_of_all_slots_fit_into_one_batch(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, tmp_path: Path
) -> None:
    """Else llama.cpp ends its process as soon as enough of them are guessed at once. A brain of random numbers says the same
    things again and again."""
    small = write_small_brain(starter_gguf, tmp_path / "small.gguf")
    async with worker_engine(real_spec(small, speculation=1, slots=4, batch=32)) as engine:
        asking = (events_of(engine, asked(f"Hello {number}", max_tokens=420)) for number in range(4))
        turns = await asyncio.gather(*asking)
    assert min(end_of(events).usage.drafted_tokens for events in turns) > 32
    assert len(keeper.started) == 1
