"""Which size of a batch reads fastest here is measured, remembered, and used; a person's own word comes first."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Base, Brain, Projector, read_header
from omni.core.paths import Home
from omni.core.settings import parse
from omni.engine import BATCH, Engines
from omni.keeper import KeeperClient
from omni.runtimes import ROUNDS, Runtimes, Tuning, built_in
from tests.engine.engine_tools import asked, events_of, text_of
from tests.engine.test_engines import base, brain, engines, machine
from tests.keeper_tools import kept
from tests.small_brain import write_small_brain


def measured(home: Home, used: Engines, size: int, of: str = "sha256-1") -> None:
    figures = {BATCH: (100.0,) * ROUNDS, size: (300.0,) * ROUNDS}
    tuning = Tuning(runtime=built_in().key, machine=used.machine, base=of, batches=figures)
    Runtimes(home).note_tuning(built_in(), tuning)


def test_a_batch_that_measured_better_is_used_and_counted(home: Home) -> None:
    usual = engines(home).spec(brain())
    measured(home, engines(home), 512)
    larger = engines(home).spec(brain())
    assert "batch" not in usual.settings
    assert larger.settings["batch"] == 512
    assert larger.need_bytes > usual.need_bytes
    assert int(larger.settings["ceiling"]) - int(usual.settings["ceiling"]) == larger.need_bytes - usual.need_bytes


def test_a_persons_word_comes_before_what_was_measured(home: Home) -> None:
    measured(home, engines(home), 512)
    assert engines(home, settings="[engine]\nbatch = 256").spec(brain()).settings["batch"] == 256
    assert "batch" not in engines(home, settings=f"[engine]\nbatch = {BATCH}").spec(brain()).settings


def test_what_was_measured_of_another_base_says_nothing(home: Home) -> None:
    measured(home, engines(home), 512, of="sha256-2")
    assert "batch" not in engines(home).spec(brain()).settings


def test_a_batch_for_vectors_and_for_images_is_as_large_as_they_need(home: Home) -> None:
    measured(home, engines(home), 64)
    eyes = Projector(path="/eyes.gguf", size=1, kind="gemma3")
    assert engines(home).spec(brain(base=base(projector=eyes))).settings["batch"] == 512
    assert engines(home).spec(brain(), embeddings=True).settings["batch"] == 1024


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[KeeperClient]:
    async with kept(home) as client:
        yield client


@pytest.mark.real
async def test_batches_are_measured_with_the_real_engine_and_what_comes_of_it_answers(
    home: Home, keeper: Any, starter_gguf: Path, tmp_path: Path
) -> None:
    gguf = write_small_brain(starter_gguf, tmp_path / "small.gguf")
    of = Base(id="sha256-9", path=str(gguf), parts=(str(gguf),), size=gguf.stat().st_size, header=read_header(gguf), origin="file")  # fmt: skip
    small = Brain(name="@me/small", state="ready", base=of, size=of.size)
    used = Engines(home, keeper, parse("[engine]\ncontext = 512\nslots = 1"), machine(16))
    tuning = await used.tune(small)
    assert all(speed > 0 for speeds in tuning.batches.values() for speed in speeds)
    assert {64, BATCH, 256, 512} == set(tuning.batches)
    assert Runtimes(home).tuned(built_in(), "sha256-9", used.machine) == tuning
    assert not await used.loaded()
    measured(home, used, 64, of="sha256-9")
    engine = await used.open(small)
    assert text_of(await events_of(engine, asked("Hello.")))
    (process,) = await used.loaded()
    assert process.name
