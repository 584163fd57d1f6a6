"""A real llama-server as an engine: what it is asked for beside the contract."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from omni.core.errors import EngineError
from omni.core.events import TextDelta, TurnEnded
from omni.core.paths import Home
from omni.engine.llama import refused_of
from omni.engine.trials import try_runtime
from omni.keeper import KeeperClient, WorkerSpec, start
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, real_spec, text_of
from tests.runtime_tools import added

pytestmark = pytest.mark.real


async def spec_of(home: Home, program: Path, gguf: Path, **settings: int | str) -> WorkerSpec:
    runtime = await added(home, program)
    facts: dict[str, int | str] = {"context": 1024, "cells": 4096, "llguidance": 0, **settings}
    return msgspec.structs.replace(real_spec(gguf, **facts), engine=runtime.name)


def _child(worker: Any) -> int:
    pid = worker.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _maps(worker: Any, file: Path) -> bool:
    return str(file.resolve()) in Path(f"/proc/{_child(worker)}/maps").read_text()


async def test_a_server_that_is_killed_in_mid_answer_costs_the_answer_nothing(
    home: Home, server_program: Path, small_gguf: Path, worker_engine: Any, keeper: DirectKeeper
) -> None:
    async with worker_engine(await spec_of(home, server_program, small_gguf)) as engine:
        said: list[str] = []
        ends: list[TurnEnded] = []
        async for event in engine.chat(asked("Tell me of the sea.", max_tokens=200)):
            if isinstance(event, TextDelta):
                if len(said) == 5:
                    os.kill(await asyncio.to_thread(_child, keeper.started[0]), signal.SIGKILL)
                said.append(event.text)
            elif isinstance(event, TurnEnded):
                ends.append(event)
        assert len(keeper.started) == 2
        [end] = ends
        assert end.reason == "length"
        begun = "".join(said[:5])
        assert not "".join(said[5:]).lstrip().startswith(begun.lstrip())  # what was begun is gone on with


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel lists it on Linux only")
@pytest.mark.parametrize("mapped", [0, 1])
async def test_a_file_stays_in_memory_beside_what_was_read_of_it_only_where_it_is_mapped(
    home: Home, server_program: Path, small_gguf: Path, worker_engine: Any, keeper: DirectKeeper, mapped: int
) -> None:
    async with worker_engine(await spec_of(home, server_program, small_gguf, mapped=mapped)) as engine:
        assert text_of(await events_of(engine, asked("Hi", max_tokens=4)))
        assert await asyncio.to_thread(_maps, keeper.started[0], small_gguf) is bool(mapped)


async def test_eight_chats_are_answered_at_the_same_time(
    home: Home, server_program: Path, small_gguf: Path, worker_engine: Any
) -> None:
    async with worker_engine(await spec_of(home, server_program, small_gguf, slots=8)) as engine:
        answers = await asyncio.gather(*(events_of(engine, asked(f"Say {n}.", max_tokens=24)) for n in range(8)))
        assert all(end_of(events).usage.completion_tokens > 0 for events in answers)


async def test_texts_become_vectors(home: Home, server_program: Path, small_gguf: Path, worker_engine: Any) -> None:
    spec = await spec_of(home, server_program, small_gguf, embeddings=1, pooling="mean", batch=256)
    async with worker_engine(spec) as engine:
        assert (await engine.capabilities()).embeds
        vectors = await engine.embed(["sea", "mountain", "sea"])
        assert vectors[0] == vectors[2] != vectors[1]
        assert len(vectors[0]) == 64


def on_its_side(gguf: Path, target: Path) -> Path:
    """A file with one matrix lying on its side, which llama.cpp only sees when it loads it."""
    data, name = gguf.read_bytes(), b"blk.0.ffn_down.weight"
    at = data.index(name) + len(name) + 4  # behind the number of dimensions
    target.write_bytes(data[:at] + data[at + 8 : at + 16] + data[at : at + 8] + data[at + 16 :])
    return target


async def test_a_draft_that_a_server_cannot_load_is_left_out(
    home: Home, server_program: Path, small_gguf: Path, worker_engine: Any, keeper: DirectKeeper, tmp_path: Path
) -> None:
    broken = on_its_side(small_gguf, tmp_path / "broken.gguf")
    async with worker_engine(await spec_of(home, server_program, small_gguf, draft=str(broken))) as engine:
        assert text_of(await events_of(engine, asked("Hi", max_tokens=4)))
    log = keeper.started[0].log.read_text("utf-8")
    assert "Without drafts: what drafts in broken.gguf could not be loaded." in log


async def test_a_file_that_a_server_refuses_is_blamed_by_its_own_reason(
    home: Home, server_program: Path, small_gguf: Path, worker_engine: Any, tmp_path: Path
) -> None:
    broken = on_its_side(small_gguf, tmp_path / "broken.gguf")
    async with worker_engine(await spec_of(home, server_program, broken)) as engine:
        with pytest.raises(EngineError) as failed:
            await engine.capabilities()
    assert "tensor 'blk.0.ffn_down.weight' has wrong shape" in refused_of(failed.value.hint)


async def test_each_quantisation_is_tried_and_what_ends_the_program_is_told(
    home: Home, server_program: Path, small_gguf: Path, starter_gguf: Path
) -> None:
    """Whatever this processor makes of it: plain floats answer, and the starter's types do or are a finding in words."""
    runtime = await added(home, server_program)
    starter = start(home, full_screen=False)
    keeper = await KeeperClient.connect(home, starter, client="tests")
    try:
        plain = await try_runtime(
            keeper, real_spec(small_gguf), runtime, types=("F32",), brain="@omni/small", machine="here"
        )
        packed = await try_runtime(
            keeper, real_spec(starter_gguf), runtime, types=("F32", "Q4_1", "Q8_0"), brain="@omni/starter", machine="here"
        )  # fmt: skip
    finally:
        await keeper.shutdown()
        await keeper.close()
        starter.goodbye()
    assert plain.speeds is not None
    assert plain.speeds.prompt > 0 < plain.speeds.answer
    assert packed.passed or packed.words.startswith(
        "ends with an illegal instruction with Q4_1 and Q8_0: its code is for"
    )
