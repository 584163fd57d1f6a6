"""A brain's own prompt is read once: a later worker has what became of it from the disk, and nothing of a person's is there."""

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest

from omni.core.events import PromptProgress
from omni.core.messages import Message
from omni.core.paths import Home
from omni.engine import Adapter, ChatRequest, Sampling, Tool
from omni.keeper import WorkerSpec
from tests.engine.engine_tools import DirectKeeper, end_of, events_of, real_spec, text_of, write_adapter

pytestmark = pytest.mark.real

PROMPT = "You are a keeper of lighthouses. " + " ".join(
    f"Rule {number}: a lamp that burns at {number} metres is written down before the next is lit."
    for number in range(24)
)
SECRET = "My name is Ishmael, and I went to sea on a whaler."


def question(text: str = SECRET, *, more: str = "", **other: Any) -> ChatRequest:
    """To the brain whose own prompt is `PROMPT`; `more` is what a person adds to it."""
    messages = (Message.of("system", f"{PROMPT}\n\n{more}".strip()), Message.of("user", text))
    return ChatRequest(
        messages=messages, sampling=Sampling(temperature=0.0, seed=7, max_tokens=12), fixed=PROMPT, **other
    )


def lighthouse(gguf: Path, home: Home, **settings: int | str) -> WorkerSpec:
    return real_spec(gguf, prefixes=str(home.prefixes), slots=2, **settings)


def kept(home: Home) -> list[Path]:
    return sorted(home.prefixes.glob("*")) if home.prefixes.is_dir() else []


def kept_tokens(path: Path) -> int:
    """How many tokens llama.cpp says that a file of a slot has: after its mark and version."""
    return int(struct.unpack("<III", path.read_bytes()[:12])[2])


async def test_a_new_worker_reads_only_what_is_not_the_brains_own(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    spec = lighthouse(starter_gguf, home)
    async with worker_engine(spec) as engine:
        first = await events_of(engine, question())
    (file,) = kept(home)
    assert file.stat().st_mode & 0o777 == 0o600
    assert home.prefixes.stat().st_mode & 0o777 == 0o700
    usage = end_of(first).usage
    assert usage.cached_tokens == 0
    assert any(isinstance(event, PromptProgress) and 0 < event.done < event.total for event in first)
    keeper.process(spec).kill()
    async with worker_engine(spec) as engine:
        again = await events_of(engine, question())
    assert end_of(again).usage.cached_tokens > kept_tokens(file) - 16 > 256
    assert end_of(again).usage.prompt_tokens == usage.prompt_tokens
    assert text_of(again) == text_of(first)
    assert len(keeper.started) == 2


async def test_what_would_not_stay_is_not_written(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    async with worker_engine(lighthouse(starter_gguf, home, prefix_tokens=300)) as engine:
        assert text_of(await events_of(engine, question()))
    assert kept(home) == []


async def test_what_a_person_wrote_is_not_kept(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    async with worker_engine(lighthouse(starter_gguf, home)) as engine:
        await events_of(engine, question(more=f"Call me so: {SECRET}"))
        fixed = await engine.count_tokens([Message.of("system", PROMPT)])
        whole = await engine.count_tokens(question(more=f"Call me so: {SECRET}").messages)
    (file,) = kept(home)
    assert kept_tokens(file) < fixed < whole


async def test_chats_that_begin_alike_read_that_once(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    async with worker_engine(lighthouse(starter_gguf, home)) as engine:
        await events_of(engine, question("What burns?"))
        second = end_of(await events_of(engine, question("Who writes?"))).usage
    assert second.cached_tokens > 256
    assert len(kept(home)) == 1


@pytest.mark.parametrize("chats", [2, pytest.param(4, marks=pytest.mark.long)])
async def test_chats_that_begin_at_the_same_time_keep_nothing_of_each_other(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home, chats: int
) -> None:
    """There are two slots: of four chats two take the slot of another one, and then it may be that nothing is kept."""
    async with worker_engine(lighthouse(starter_gguf, home)) as engine:
        fixed = await engine.count_tokens([Message.of("system", PROMPT)])
        asked = [question(f"{SECRET} I am number {number}.") for number in range(chats)]
        answers = await asyncio.gather(*(events_of(engine, each) for each in asked))
    assert all(text_of(events) for events in answers)
    assert kept(home) or chats > 2
    assert all(kept_tokens(file) < fixed for file in kept(home))


async def test_an_adapter_that_was_made_anew_under_its_name_has_another(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home, tmp_path: Path
) -> None:
    path = tmp_path / "a.gguf"
    write_adapter(path, seed=1)
    spec = lighthouse(starter_gguf, home, adapters=f'["{path}"]')
    async with worker_engine(spec) as engine:
        for seed in (2, 3):
            await events_of(engine, question(adapter=Adapter(path=str(path))))
            keeper.process(spec).kill()
            write_adapter(path, seed=seed)
        usage = end_of(await events_of(engine, question(adapter=Adapter(path=str(path))))).usage
    assert usage.cached_tokens == 0
    assert len(kept(home)) == 3


async def test_a_damaged_file_is_computed_anew(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    spec = lighthouse(starter_gguf, home)
    async with worker_engine(spec) as engine:
        first = text_of(await events_of(engine, question()))
    (file,) = kept(home)
    whole = file.read_bytes()
    keeper.process(spec).kill()
    file.write_bytes(whole[: len(whole) // 2])
    async with worker_engine(spec) as engine:
        again = await events_of(engine, question())
    assert text_of(again) == first
    assert end_of(again).usage.cached_tokens == 0
    assert [path.read_bytes() for path in kept(home)] == [whole]
    assert len(keeper.started) == 2


async def test_each_adapter_and_each_scale_has_its_own(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.gguf")
    write_adapter(Path(path), seed=1)
    spec = lighthouse(starter_gguf, home, adapters=f'["{path}"]')
    for at, adapter in enumerate((None, Adapter(path=path), Adapter(path=path, scale=0.5)), 1):
        async with worker_engine(spec) as engine:
            usage = end_of(await events_of(engine, question(adapter=adapter))).usage
        assert usage.cached_tokens == 0
        assert len(kept(home)) == at
        keeper.process(spec).kill()


async def test_tools_of_a_request_are_not_kept(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    async with worker_engine(lighthouse(starter_gguf, home)) as engine:
        await events_of(engine, question(tools=(Tool(name="call_ishmael", description=SECRET),)))
    assert kept(home) == []


async def test_a_short_prompt_is_not_worth_keeping(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, home: Home
) -> None:
    short = ChatRequest(
        messages=(Message.of("system", "You are kind."), Message.of("user", "Hello")),
        sampling=Sampling(max_tokens=4),
        fixed="You are kind.",
    )
    async with worker_engine(lighthouse(starter_gguf, home)) as engine:
        await events_of(engine, short)
    assert kept(home) == []
