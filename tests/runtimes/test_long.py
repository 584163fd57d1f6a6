"""What takes minutes (`make test-long`): the real engine built from its archive, killed on the way, and K-quants of a brain of 1.5
billion weights.

The package index is the one that pip is set up with. `OMNI_TEST_CODER` names the GGUF of @omni/coder, and `OMNI_TEST_LLAMA_TOOLS` the
folder of the tools.
"""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from omni.cartridges import Library
from omni.core.paths import Home
from omni.core.settings import BrainsSettings, Settings
from omni.hardware import Budget
from omni.runtimes import Build, BuildDone, BuildProgress, QuantiseDone, Quantising, Runtimes, run_confined
from tests.fixtures_starter import DirectAirlock
from tests.runtimes.tool_doubles import real_tools

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]
BUDGET = Budget(memory=8 << 30, free=8 << 30, context=2048)


async def test_the_engine_is_built_although_it_was_broken_off(
    home: Home, direct_airlock: Callable[..., DirectAirlock]
) -> None:
    half = 0
    async with aclosing(Build(home, direct_airlock()).run()) as events:
        async for event in events:
            if isinstance(event, BuildProgress) and event.phase == "compile" and event.done * 2 > event.total:
                half = event.done
                break
    compiled = 0
    async with aclosing(Build(home, direct_airlock()).run()) as events:
        async for event in events:
            if isinstance(event, BuildProgress) and event.phase == "compile":
                compiled = event.total
    assert isinstance(event, BuildDone)
    assert 0 < compiled < half * 1.2
    runtime = Runtimes(home).get("built")
    Runtimes(home).check(runtime)
    assert "version" in answer(runtime.program, "--version")
    for tool in runtime.tools.values():
        assert "usage" in answer(Path(runtime.folder) / tool, "--help").lower()


def answer(program: Path, word: str) -> str:
    return subprocess.run([program, word], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


@pytest.fixture
async def library(home: Home) -> AsyncIterator[Library]:
    async def known() -> Budget:
        return BUDGET

    library = Library(home, Settings(brains=BrainsSettings(look_around=False)), budget=known, environment={})
    yield library
    await library.close()


@pytest.mark.skipif(
    not {"OMNI_TEST_CODER", "OMNI_TEST_LLAMA_TOOLS"} <= set(os.environ),
    reason="no brain of 1.5 billion weights is named",
)
async def test_k_quants_of_a_brain_whose_rows_they_take_fall_back_nowhere(
    home: Home, library: Library, tmp_path: Path
) -> None:
    tools = await asyncio.to_thread(real_tools, home)
    assert tools is not None
    whole = tmp_path / "coder-f16.gguf"
    making: list[str | Path] = [
        Path(tools.tools["quantize"]),
        "--allow-requantize",
        os.environ["OMNI_TEST_CODER"],
        whole,
        "F16",
    ]
    async with aclosing(run_confined(making, write=[tmp_path], log=tmp_path / "log")) as pieces:
        async for _ in pieces:
            pass
    brain = await library.add(whole)
    quantising = Quantising(home, library, tools, BUDGET, brain=brain, target="Q5_K_M", cores=2, chunks=2)
    async with aclosing(quantising.run()) as events:
        last = [event async for event in events][-1]
    assert isinstance(last, QuantiseDone)
    report = last.report
    assert not any(group.fell_back for group in report.tensors)
    assert {group.type for group in report.tensors} == {"Q5_K", "Q6_K"}
    assert report.divergence is not None
    assert report.divergence.mean < 0.05
    assert report.divergence.same_top > 90
