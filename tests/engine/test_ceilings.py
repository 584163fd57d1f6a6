"""The most memory that a worker may take: what counts for it, and that the kernel holds the real one below it."""

import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import GgufHeader, read_header
from omni.core import memory
from omni.core.errors import EngineError
from omni.engine.ceilings import ceiling, likelihoods, repacked
from omni.engine.llama import LoadFailed
from omni.engine.refusals import OutOfMemory
from omni.hardware import BaseFacts
from tests.engine.conftest import Make
from tests.engine.engine_tools import DirectKeeper, asked, events_of, real_spec, text_of

MB = 1 << 20
SETTINGS: dict[str, int | str] = {"threads": 2, "slots": 4, "cells": 4096}


def header(**more: Any) -> GgufHeader:
    types = {"Q4_K": 600 * MB, "Q6_K": 300 * MB, "F32": 100 * MB}
    known = {"rows": 150_000, "weights_bytes": 1000 * MB, "type_bytes": types}
    return GgufHeader(version=3, architecture="qwen2", kind="model", **{**known, **more})


def facts(**more: Any) -> BaseFacts:
    return BaseFacts(**{"weights_bytes": 1000 * MB, "kv_values": 14_336, **more})


def size(**more: Any) -> int:
    given = {"header": header(), "facts": facts(), "settings": SETTINGS, "machine": "x86_64", **more}
    return ceiling(given.pop("header"), given.pop("facts"), given.pop("settings"), **given)


@pytest.mark.parametrize(
    ("machine", "packed"),
    [("x86_64", 600), ("AMD64", 600), ("arm64", 900), ("aarch64", 900), ("riscv64", 1000)],
)
def test_what_the_engine_packs_anew_counts_twice(machine: str, packed: int) -> None:
    assert repacked(header(), facts(), machine) == packed * MB


def test_weights_of_unknown_types_count_as_if_they_were_packed_anew() -> None:
    assert repacked(header(type_bytes={}), facts(), "x86_64") == 1000 * MB


@pytest.mark.parametrize(
    ("more", "least"),
    [
        ({"settings": {**SETTINGS, "cells": 32_768}}, 28_672 * 14_336 * 2),
        ({"settings": {**SETTINGS, "slots": 12}}, 8 * memory.STACK),
        ({"facts": facts(projector_bytes=500 * MB)}, 1000 * MB),
        ({"buffers": 700 * MB}, 700 * MB),
        ({"beside": 200 * MB}, 200 * MB),
        ({"header": header(sliding_window=1024)}, 4 * 4 * 1024 * 14_336 * 2),
        ({"header": header(keys=("ssm.state_size",), parameters=3_200_000_000)}, 4 * 4 * (77 << 20)),
        ({"header": header(rows=300_000)}, 150_000 * 400),
    ],
    ids=["cells", "slots", "eyes", "buffers", "adapters", "a window", "a state", "words"],
)
def test_whatever_takes_more_may_have_more(more: dict[str, Any], least: int) -> None:
    assert size(**more) - size() >= least


def test_a_header_that_claims_a_huge_vocabulary_is_not_believed() -> None:
    assert size(header=header(rows=1 << 40)) < size() + (1 << 30)
    assert likelihoods(header(rows=1 << 40), 1024) <= 4 << 30


@pytest.mark.real
async def test_the_kernel_holds_a_real_worker_below_what_was_said(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    """And that is enough for what it is asked. One of its own tries to have more, and is refused."""
    read = read_header(starter_gguf)
    of = BaseFacts(weights_bytes=read.weights_bytes, kv_values=read.kv_elements)
    most = ceiling(read, of, SETTINGS, machine=platform.machine())
    spec = real_spec(starter_gguf, ceiling=most, **SETTINGS)
    async with worker_engine(spec) as engine:
        assert text_of(await events_of(engine, asked("Hello.")))
        (worker,) = keeper.started
        tried = (await worker.order("wall"))["attempts"]
        if sys.platform.startswith("linux"):
            assert memory.held(worker.process.pid) == most
            assert memory.taken(worker.process.pid) < most
            assert {"what": "memory", "where": "itself", "refused": True, "how": "Cannot allocate memory"} in tried


@pytest.mark.real
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel counts it on Linux only")
async def test_a_brain_that_does_not_fit_below_its_ceiling_says_so(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    async with worker_engine(real_spec(starter_gguf, ceiling=200 * MB)) as engine:
        with pytest.raises(EngineError, match="needs more memory than its process may take") as failed:
            await events_of(engine, asked("Hello."))
    assert isinstance(failed.value, LoadFailed)
    assert "engine.ceiling" in failed.value.hint
    assert len(keeper.started) == 1


@pytest.mark.real
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel counts it on Linux only")
async def test_a_request_that_reaches_the_ceiling_fails_and_the_next_one_is_answered(
    worker_engine: Make, keeper: DirectKeeper, starter_gguf: Path
) -> None:
    """An ordinary schema, with hardly any room left for what a grammar takes."""
    async with worker_engine(real_spec(starter_gguf, slots=1)) as engine:
        assert text_of(await events_of(engine, asked("Hello.")))
        needed = memory.taken(keeper.started[0].process.pid)
    await keeper.stop(keeper.started[0].name)
    async with worker_engine(real_spec(starter_gguf, slots=1, ceiling=needed + 4 * MB)) as engine:
        schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
        with pytest.raises(OutOfMemory, match="memory") as failed:
            await events_of(engine, asked("Who are you?", schema=schema))
        assert "a simpler schema" in failed.value.hint
        assert text_of(await events_of(engine, asked("Hello.")))
    assert len(keeper.started) == 3
