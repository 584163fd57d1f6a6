"""Brains that are shown images: on every engine that can be, the real one with a projector of random weights."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from omni.core.errors import ContextOverflow, UsageError
from omni.core.events import PromptCounted
from omni.core.messages import Message
from omni.engine import ChatRequest, Engine, Sampling, ScriptedEngine, image_of
from tests.engine.conftest import Make
from tests.engine.engine_tools import asked, end_of, events_of, real_spec, scripted_spec, text_of
from tests.image_tools import GIF, IMAGE_TOKENS, JPEG, bmp, png, write_projector


async def _scripted(_request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    yield ScriptedEngine(lambda request: f"You said: {request.messages[-1].text}", context=512, vision=True)


async def _scripted_worker(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    async with request.getfixturevalue("kept_engine")(scripted_spec(projector="eyes.gguf")) as engine:
        yield engine


async def _xllamacpp(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    make, gguf = request.getfixturevalue("kept_engine"), request.getfixturevalue("starter_gguf")
    eyes = write_projector(request.getfixturevalue("tmp_path") / "mmproj-starter.gguf")
    async with make(real_spec(gguf, context=512, cells=512, projector=str(eyes))) as engine:
        yield engine


ENGINES = [
    pytest.param(_scripted, id="scripted"),
    pytest.param(_scripted_worker, id="scripted worker"),
    pytest.param(_xllamacpp, id="xllamacpp", marks=pytest.mark.real),
]


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    """One of the engines that see."""
    make: Callable[[pytest.FixtureRequest], AsyncIterator[Engine]] = request.param
    async for instance in make(request):
        yield instance


def showing(text: str, *images: bytes, at: int = 0, max_tokens: int = 4) -> ChatRequest:
    """A question with images behind so many of its characters."""
    message = Message.of("user", text[:at], *map(image_of, images), text[at:])
    return ChatRequest(messages=(message,), sampling=Sampling(temperature=0.0, seed=7, max_tokens=max_tokens))


async def test_images_are_counted_before_they_are_seen_and_answered(engine: Engine) -> None:
    assert (await engine.capabilities()).vision
    without = await engine.count_tokens(showing("What is this, please?").messages)
    for request in (
        showing("What is this, please?", png(), at=8),
        showing("What is this, please?", GIF, JPEG, bmp(), at=8),
    ):
        images = len(request.messages[0].images)
        counted = await engine.count_tokens(request.messages)
        assert 0 <= counted - without - images * IMAGE_TOKENS <= 3  # words are cut in two
        events = await events_of(engine, request)
        assert next(event for event in events if isinstance(event, PromptCounted)).tokens == counted
        assert end_of(events).usage.prompt_tokens == counted
        assert text_of(events)


async def test_what_was_seen_is_not_looked_at_again(engine: Engine) -> None:
    request = showing("What is this?", png(), at=8)
    await events_of(engine, request)
    usage = end_of(await events_of(engine, request)).usage
    assert usage.cached_tokens == usage.prompt_tokens - 1
    other = showing("What is this?", png(colour=(0, 0, 0)), at=8)
    assert end_of(await events_of(engine, other)).usage.cached_tokens <= usage.cached_tokens - IMAGE_TOKENS


async def test_images_that_do_not_fit_are_refused_with_figures(engine: Engine) -> None:
    request = showing("Compare.", *(png(8, size) for size in range(1, 33)))
    with pytest.raises(ContextOverflow) as refused:
        await events_of(engine, request)
    assert refused.value.needed > await engine.count_tokens(request.messages) > 32 * IMAGE_TOKENS
    assert text_of(await events_of(engine, asked("Hello.")))


@pytest.fixture
async def real(worker_engine: Make, starter_gguf: Path, tmp_path: Path) -> AsyncIterator[Engine]:
    """The starter brain with eyes."""
    eyes = write_projector(tmp_path / "mmproj-starter.gguf")
    async with worker_engine(real_spec(starter_gguf, context=512, cells=1024, projector=str(eyes))) as engine:
        yield engine


@pytest.mark.real
async def test_broken_images_are_refused_and_the_worker_lives(real: Engine) -> None:
    whole, broken = png(64, 64), GIF[:14] + b"\0" * 9
    for data in (whole[:60], whole[:33] + b"\0" * 40, JPEG[:-9] + b"\xff\xfe", bmp()[:60], broken):
        image = image_of(data)
        request = ChatRequest(messages=(Message.of("user", image, "What?"),))
        with suppress(UsageError):  # of some kinds, what is cut off is shown as far as it goes
            await events_of(real, msgspec.structs.replace(request, sampling=Sampling(max_tokens=2)))
    with pytest.raises(UsageError, match="cannot be decoded") as refused:
        await real.count_tokens(showing("What?", broken).messages)
    assert "whole" in refused.value.hint
    assert text_of(await events_of(real, showing("What?", png())))


async def test_chats_with_images_at_the_same_time_do_not_wait_for_ever(engine: Engine) -> None:
    pictures = [showing("Which?", png(8, 8, (20 * n, 0, 0)), at=6) for n in range(6)]
    waiting = asyncio.create_task(events_of(engine, pictures[0]))
    answers = asyncio.gather(*(events_of(engine, request) for request in pictures))
    waiting.cancel()
    async with asyncio.timeout(60):
        assert all(text_of(events) for events in await answers)
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.real
async def test_where_an_image_stands_makes_a_difference(real: Engine) -> None:
    first = end_of(await events_of(real, showing("One two three four five six.", png())))
    last = end_of(await events_of(real, showing("One two three four five six.", png(), at=28)))
    assert first.usage.prompt_tokens - last.usage.prompt_tokens in (-1, 0, 1)
    assert last.usage.cached_tokens < IMAGE_TOKENS + 24


@pytest.mark.real
async def test_a_brain_whose_projector_cannot_be_loaded_answers_to_texts(
    worker_engine: Make, starter_gguf: Path, tmp_path: Path
) -> None:
    eyes = write_projector(tmp_path / "mmproj-other.gguf", width=64)
    async with worker_engine(real_spec(starter_gguf, context=512, cells=512, projector=str(eyes))) as engine:
        assert not (await engine.capabilities()).vision
        with pytest.raises(UsageError, match="could not load its projector"):
            await events_of(engine, showing("What is this?", png()))
        assert text_of(await events_of(engine, asked("Hello.")))
