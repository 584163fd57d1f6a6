"""The starter in F16, made smaller by llama.cpp's own tools: each type loads and answers, and the figures come again.

Needs tools: `OMNI_TEST_LLAMA_TOOLS` names the folder in which `llama-quantize` and the others lie, such as `bin` of an engine that
`omni engine build` made.
"""

import json
import os
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from omni.cartridges import Library
from omni.core.paths import Home
from omni.core.settings import BrainsSettings, Settings
from omni.hardware import Budget
from omni.runtimes import QuantiseDone, Quantising, Runtime, Target, ToolFailed, run_confined
from omni.runtimes.quality import divergence, perplexity
from tests.cartridges.tiny_models import why_not
from tests.runtimes.tool_doubles import real_tools

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif("OMNI_TEST_LLAMA_TOOLS" not in os.environ, reason="OMNI_TEST_LLAMA_TOOLS names no tools"),
]
TARGETS: tuple[Target, ...] = ("Q8_0", "Q5_K_M", "Q4_K_M")
BUDGET = Budget(memory=8 << 30, free=8 << 30, context=2048)


@pytest.fixture
def tools(home: Home) -> Runtime:
    runtime = real_tools(home)
    assert runtime is not None
    return runtime


@pytest.fixture
async def library(home: Home) -> AsyncIterator[Library]:
    async def known() -> Budget:
        return BUDGET

    library = Library(home, Settings(brains=BrainsSettings(look_around=False)), budget=known, environment={})
    yield library
    await library.close()


async def test_all_three_types_of_the_starter_load_and_are_measured(
    home: Home, library: Library, tools: Runtime, starter_gguf: Path, tmp_path: Path
) -> None:
    whole = tmp_path / "starter-f16.gguf"
    quantize = Path(tools.tools["quantize"])
    making: list[str | Path] = [quantize, "--allow-requantize", starter_gguf, whole, "F16"]
    await run(making, tmp_path, tmp_path)
    brain = await library.add(whole)
    reports = {}
    for target in TARGETS:
        quantising = Quantising(home, library, tools, BUDGET, brain=brain, target=target, cores=2, chunks=1)
        async with aclosing(quantising.run()) as events:
            last = [event async for event in events][-1]
        assert isinstance(last, QuantiseDone)
        reports[target] = last.report
        made = await library.get(last.report.name)
        assert made.base is not None
        assert why_not(Path(made.base.path), tmp_path) == ""
    q8, q4 = reports["Q8_0"], reports["Q4_K_M"]
    assert "quantised once" in q8.source.lost
    assert q8.divergence is not None
    assert q4.divergence is not None
    assert q8.divergence.mean < 0.02 < q4.divergence.mean < 0.2
    assert not any(group.fell_back for group in q8.tensors)
    assert sum(group.count for group in q4.tensors if group.fell_back) >= 180  # of 272: its rows have 576 numbers
    first, second = map(shlex.split, q8.commands)
    said = [done(command) for command in (first, second)]
    assert perplexity(said[0]) == q8.before
    assert divergence(said[1]) == (q8.after, q8.divergence)
    assert json.loads((home.quantised / "me-starter-q8_0.json").read_text())["name"] == q8.name


def done(command: list[str]) -> list[str]:
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
    return result.stdout.splitlines()


async def run(command: list[str | Path], write: Path, folder: Path) -> None:
    async with aclosing(run_confined(command, write=[write], log=folder / "log")) as pieces:
        async for _ in pieces:
            pass


async def test_a_tool_cannot_write_beside_its_target(tools: Runtime, starter_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    making: list[str | Path] = [
        Path(tools.tools["quantize"]),
        "--allow-requantize",
        starter_gguf,
        tmp_path / "out.gguf",
        "F16",
    ]
    with pytest.raises(ToolFailed):
        await run(making, tmp_path / "inside", tmp_path)
    assert not (tmp_path / "out.gguf").exists()
