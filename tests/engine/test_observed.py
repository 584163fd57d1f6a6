"""What is measured of the turns of an engine."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from omni.core.errors import BadFile, EngineError
from omni.core.events import EngineEvent, TurnEnded, Usage
from omni.core.messages import Message
from omni.engine import ChatRequest, Embeddings, ObservedEngine, ScriptedEngine, image_of
from tests.engine.conftest import Make
from tests.engine.engine_tools import DirectKeeper, asked, events_of, real_spec, scripted_spec, text_of
from tests.image_tools import png, write_projector


class _Timed(ScriptedEngine):
    """Takes a second to read any prompt."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[EngineEvent]:
        async for event in super().chat(request):
            yield (
                TurnEnded(reason="stop", usage=USAGE, context_used=1, context_allocated=1)
                if isinstance(event, TurnEnded)
                else event
            )


USAGE = Usage(prompt_tokens=10, completion_tokens=20, prompt_seconds=1.0, completion_seconds=2.0)


async def test_how_long_looking_takes_says_nothing_of_reading() -> None:
    measured: list[Usage] = []

    async def note(usage: Usage) -> None:
        measured.append(usage)

    async def refuse(_reason: str) -> None:
        raise AssertionError

    async def never() -> None:
        raise AssertionError

    engine = ObservedEngine(_Timed(vision=True), measured=note, refused=refuse, blinded=never)
    await events_of(engine, asked("Hi"))
    shown = Message.of("user", image_of(png()), "What?")
    events = await events_of(engine, ChatRequest(messages=(shown,)))
    assert [usage.prompt_seconds for usage in measured] == [1.0, 0.0]
    assert measured[1].completion_tokens == 20
    assert isinstance(last := events[-1], TurnEnded)
    assert last.usage == USAGE  # who asked is told what it took


class _Refused(ScriptedEngine):
    """Has a file that cannot be loaded."""

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        raise BadFile("It has no layers.")


async def test_a_file_that_cannot_be_loaded_is_told_of_whoever_finds_out() -> None:
    told: list[str] = []

    async def refuse(reason: str) -> None:
        told.append(reason)

    async def never(*_: object) -> None:
        raise AssertionError

    with pytest.raises(BadFile):
        await ObservedEngine(_Refused(), measured=never, refused=refuse, blinded=never).embed(["a"])
    assert told == ["It has no layers."]


async def test_a_projector_that_ends_the_worker_is_told_of_once(worker_engine: Make, keeper: DirectKeeper) -> None:
    told: list[str] = []

    async def note(*_found: object) -> None:
        told.append("other")

    async def blinded() -> None:
        told.append("blinded")

    async with worker_engine(scripted_spec(projector="eyes.gguf", die_after=0)) as worker:
        engine = ObservedEngine(worker, measured=note, refused=note, blinded=blinded)
        with pytest.raises(EngineError, match="middle of its answer"):
            await events_of(engine, asked("Hi"))
        assert (told, len(keeper.workers)) == ([], 1)
        shown = Message.of("user", image_of(png()), "What?")
        with pytest.raises(EngineError, match="whenever it looked at the images") as ended:
            await events_of(engine, ChatRequest(messages=(shown,)))
        assert "answers without" in ended.value.hint
        assert told == ["blinded"]
        assert not keeper.turns


@pytest.mark.real
async def test_a_real_projector_that_ends_the_worker_is_told_of(
    worker_engine: Make, starter_gguf: Path, tmp_path: Path
) -> None:
    eyes = write_projector(tmp_path / "mmproj.gguf", clip__vision__embedding_length=32)
    async with worker_engine(real_spec(starter_gguf, context=512, cells=512, projector=str(eyes))) as engine:
        shown = Message.of("user", image_of(png()), "What?")
        with pytest.raises(EngineError, match="whenever it looked at the images"):
            await events_of(engine, ChatRequest(messages=(shown,)))
        assert text_of(await events_of(engine, asked("Hi")))
