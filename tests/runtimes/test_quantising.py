"""Making a brain smaller: measured, resumable, in the library when it is whole. The tools are doubles that print what the real ones
do; `test_quantising_real.py` has those."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from omni.cartridges import Brain, Library, read_header
from omni.core.errors import BadFile, EngineError, NotFound, UsageError
from omni.core.paths import Home
from omni.core.settings import BrainsSettings, Settings
from omni.hardware import Budget
from omni.runtimes import (
    QuantiseDone,
    QuantiseEvent,
    QuantiseProgress,
    QuantiseStarted,
    Quantising,
    Runtimes,
    ToolFailed,
    engine_with_tools,
)
from tests.cartridges.conftest import gguf_bytes, tensors_of
from tests.runtimes.tool_doubles import ToolDoubles

WHOLE = [(name, shape, 1 if kind == 12 else kind) for name, shape, kind in tensors_of("llama")]
LARGE = gguf_bytes(
    {"general.file_type": 1},
    [(name, shape, 1 if kind == 12 else kind) for name, shape, kind in tensors_of("llama", ffn=2000)],
)
SMALL = gguf_bytes(
    {"general.file_type": 15},
    [
        (name, (32, 2), 8) if "attn_k.weight" in name else (name, shape, kind)
        for name, shape, kind in tensors_of("llama")
    ],
)


Quantise = Callable[..., Quantising]


@pytest.fixture
def budget() -> Budget:
    return Budget(memory=1 << 30, free=1 << 30, context=4096)


@pytest.fixture
async def library(home: Home, budget: Budget) -> AsyncIterator[Library]:
    async def known() -> Budget:
        return budget

    library = Library(home, Settings(brains=BrainsSettings(look_around=False)), budget=known, environment={})
    yield library
    await library.close()


@pytest.fixture
def tools(home: Home) -> ToolDoubles:
    return ToolDoubles(home, SMALL)


@pytest.fixture
async def quantise(home: Home, library: Library, tools: ToolDoubles, budget: Budget, tmp_path: Path) -> Quantise:
    (tmp_path / "Large-F16.gguf").write_bytes(LARGE)
    brain = await library.add(tmp_path / "Large-F16.gguf")

    def make(target: str = "Q4_K_M", **more: object) -> Quantising:
        given = {"budget": budget, "brain": brain, "target": target, "cores": 1} | more
        return Quantising(home, library, engine_with_tools(Runtimes(home)), **given)  # type: ignore[arg-type] # what is given varies with the test

    return make


async def everything(quantising: Quantising) -> list[QuantiseEvent]:
    async with aclosing(quantising.run()) as events:
        return [event async for event in events]


async def until(quantising: Quantising, step: str) -> None:
    """Run up to the beginning of a step, and break off."""
    async with aclosing(quantising.run()) as events:
        async for event in events:
            if isinstance(event, QuantiseProgress) and event.step == step:
                return
    raise AssertionError(f"it never came to {step!r}")


def content(path: str) -> bytes:
    return Path(path).read_bytes()


def kinds(calls: list[str]) -> list[str]:
    """The tools that were called, without the look ahead."""
    return [call.split()[0] for call in calls if "--dry-run" not in call]


async def test_the_brain_is_in_the_library_with_all_that_its_source_had(
    home: Home, library: Library, quantise: Quantise
) -> None:
    events = await everything(quantise())
    brain = await library.get("@me/large-q4_k_m")
    assert brain.usable
    assert brain.base is not None
    assert content(brain.base.path) == SMALL
    assert brain.base.path == str(home.blobs / brain.base.id)
    assert brain.licence == "Apache-2.0"
    assert isinstance(events[-1], QuantiseDone)


async def test_what_it_will_take_is_said_before_it_is_made(quantise: Quantise) -> None:
    events = await everything(quantise())
    started = next(event for event in events if isinstance(event, QuantiseStarted))
    assert started.size == pytest.approx(0.1 * (1 << 20), rel=0.1)  # as the tool counted, and the header
    assert started.memory > started.size
    assert started.fits
    assert events.index(started) < next(
        at for at, event in enumerate(events) if isinstance(event, QuantiseProgress) and event.step == "quantise"
    )


async def test_the_report_has_the_figures_of_the_tools_and_the_types_of_the_file(quantise: Quantise) -> None:
    done = (await everything(quantise()))[-1]
    assert isinstance(done, QuantiseDone)
    report = done.report
    assert report.before is not None
    assert report.after is not None
    assert report.divergence is not None
    assert (report.before.value, report.before.error) == (52.9676, 5.06139)
    assert (report.after.value, report.divergence.mean, report.divergence.p99) == (56.177222, 0.055583, 0.289992)
    assert report.divergence.same_top == 83.627
    assert [(group.count, group.name, group.row, group.type) for group in report.tensors if group.fell_back] == [
        (2, "blk.attn_k.weight", 32, "Q8_0")
    ]
    assert {group.type for group in report.tensors if not group.fell_back} == {"Q4_K"}
    assert json.loads(content(done.path))["divergence"]["mean"] == 0.055583


async def test_the_report_names_commands_with_files_that_stay(home: Home, quantise: Quantise) -> None:
    done = (await everything(quantise()))[-1]
    assert isinstance(done, QuantiseDone)
    first, second = (command.split() for command in done.report.commands)
    assert content(first[first.index("-f") + 1]) == content(done.report.text.path) != b""
    assert content(second[second.index("-m") + 1]) == SMALL
    assert first[first.index("--kl-divergence-base") + 1] == second[second.index("--kl-divergence-base") + 1]
    assert list((home.cartridges / "pulls").iterdir()) == []


@pytest.mark.parametrize(
    ("step", "left"),
    [
        ("measure before", ["perplexity", "quantize", "perplexity"]),
        ("quantise", ["quantize", "perplexity"]),
        ("measure after", ["perplexity"]),
    ],
)
async def test_one_that_was_broken_off_goes_on_with_the_next_step(
    library: Library, quantise: Quantise, tools: ToolDoubles, step: str, left: list[str]
) -> None:
    await until(quantise(), step)
    assert "@me/large-q4_k_m" not in {brain.name for brain in await library.brains()}
    before = len(tools.calls())
    await until(quantise(), "keep")
    assert kinds(tools.calls()[before:]) == left
    await everything(quantise())
    assert (await library.get("@me/large-q4_k_m")).usable


async def test_a_half_written_file_is_never_taken_for_a_whole_one(
    home: Home, library: Library, quantise: Quantise, tools: ToolDoubles
) -> None:
    tools.put(tools.folder, "quantize", HALF)
    with pytest.raises(BadFile):  # another tool than the one that was added is not even started
        await everything(quantise())
    Runtimes(home).remove("built")
    again = ToolDoubles(home, SMALL)
    engine = json.loads((again.folder / "engine.json").read_text())
    engine["files"] = []
    (again.folder / "engine.json").write_text(json.dumps(engine))
    again.put(again.folder, "quantize", HALF)
    with pytest.raises(ToolFailed):
        await everything(quantise())
    assert not list((home.cartridges / "pulls").rglob("Q4_K_M.gguf"))
    assert "@me/large-q4_k_m" not in {brain.name for brain in await library.brains()}


HALF = """
words = sys.argv[1:]
if "--dry-run" in words:
    print("llama_model_quantize_impl: quant size  =     0.10 MiB (6.17 BPW)")
else:
    pathlib.Path(words[-3]).write_bytes(b"GGUF")
    sys.exit(1)
"""


async def test_a_quantised_source_is_refused_unless_it_is_wanted(
    library: Library, quantise: Quantise, tools: ToolDoubles, tmp_path: Path
) -> None:
    tensors = [(name, shape, 8 if kind == 12 else kind) for name, shape, kind in tensors_of("llama", ffn=2000)]
    (tmp_path / "half.gguf").write_bytes(gguf_bytes({"general.file_type": 7}, tensors))
    brain = await library.add(tmp_path / "half.gguf")
    with pytest.raises(UsageError, match=r"quantised already \(Q8_0\)"):
        await everything(quantise(brain=brain))
    assert tools.calls() == []
    await until(quantise(brain=brain, requantize=True), "measure after")
    assert all("--allow-requantize" in call for call in tools.calls() if call.startswith("quantize"))
    done = (await everything(quantise(brain=brain, requantize=True)))[-1]
    assert isinstance(done, QuantiseDone)
    assert "quantised itself" in done.report.source.lost


@pytest.mark.parametrize(
    ("memory", "chosen"),
    [(1 << 30, "Q8_0"), (320_000, "Q5_K_M"), (200_000, "Q4_K_M")],
)
async def test_auto_takes_the_best_that_fits(quantise: Quantise, memory: int, chosen: str) -> None:
    budget = Budget(memory=memory, free=memory, context=4096, bandwidth=1e10)
    events = await everything(quantise("auto", budget=budget))
    assert [event.target for event in events if isinstance(event, QuantiseStarted)] == [chosen]


async def test_auto_says_when_nothing_fits(quantise: Quantise) -> None:
    with pytest.raises(UsageError, match=r"No quantisation of .* fits here"):
        await everything(quantise("auto", budget=Budget(memory=1000, free=1000, context=4096)))


async def test_what_would_not_get_smaller_is_refused(library: Library, quantise: Quantise, tmp_path: Path) -> None:
    (tmp_path / "little.gguf").write_bytes(gguf_bytes({"general.file_type": 1}, WHOLE))
    with pytest.raises(UsageError, match="nothing is won"):
        await everything(quantise(brain=await library.add(tmp_path / "little.gguf")))


async def test_a_name_that_is_taken_or_none_is_refused_before_the_work(quantise: Quantise, tools: ToolDoubles) -> None:
    for name in ("@me/large-f16", "@omni/smollm2", "small", "@me/../x"):
        with pytest.raises(UsageError):
            await everything(quantise(name=name))
    assert kinds(tools.calls()) == []


CARTRIDGE = """
name = "@me/own"
version = "1.0.0"
title = "Mine"
summary = "Mine."
licence = "MIT"
[base]
source = "url"
url = "https://models.test/own.gguf"
sha256 = "{sha256}"
[texts]
examples = "examples.txt"
held = "held.txt"
"""


async def own(home: Home, library: Library, held: str) -> None:
    """A cartridge with texts of its own, whose base is here."""
    import hashlib

    sha256 = hashlib.sha256(LARGE).hexdigest()
    folder = home.cartridges / "own" / "own"
    folder.mkdir(parents=True)
    (folder / "cartridge.toml").write_text(CARTRIDGE.format(sha256=sha256))
    (folder / "examples.txt").write_text("what it is asked\n" * 100)
    (folder / "held.txt").write_text(held)
    home.blobs.mkdir(parents=True)
    (home.blobs / f"sha256-{sha256}").write_bytes(LARGE)


async def test_a_cartridge_s_own_texts_weigh_and_measure(
    home: Home, library: Library, tools: ToolDoubles, budget: Budget
) -> None:
    await own(home, library, "what nobody showed it\n" * 100)
    brain = await library.get("@me/own")
    quantising = Quantising(home, library, engine_with_tools(Runtimes(home)), budget, brain=brain, target="Q4_K_M")
    await until(quantising, "keep")
    assert kinds(tools.calls()) == ["imatrix", "perplexity", "quantize", "perplexity"]
    (made,) = [call for call in tools.calls() if call.startswith("quantize") and "--dry-run" not in call]
    assert "--imatrix" in made
    done = (await everything(quantising))[-1]
    assert isinstance(done, QuantiseDone)
    assert done.report.text.own
    assert done.report.weighed_by.endswith("examples.txt")
    assert content(done.report.text.path).startswith(b"what nobody showed it")


async def test_the_report_says_weighed_of_what_was_weighed_only(
    home: Home, library: Library, tools: ToolDoubles, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory was short the first time, the weights are weighed the second time, and the brain is made anew with that."""
    await own(home, library, "what nobody showed it\n" * 100)
    brain = await library.get("@me/own")
    quantising = Quantising(home, library, engine_with_tools(Runtimes(home)), budget, brain=brain, target="Q4_K_M")
    monkeypatch.setattr("omni.runtimes.quantising.available_memory", lambda: 0)
    await until(quantising, "keep")
    assert kinds(tools.calls()) == ["quantize"]
    monkeypatch.undo()
    await until(quantising, "keep")
    assert kinds(tools.calls()) == ["quantize", "imatrix", "perplexity", "quantize", "perplexity"]
    assert "--imatrix" in [call for call in tools.calls() if call.startswith("quantize")][-1]
    done = (await everything(quantising))[-1]
    assert isinstance(done, QuantiseDone)
    assert done.report.weighed_by.endswith("examples.txt")


async def test_what_was_made_before_the_weights_were_weighed_is_not_called_weighed(
    home: Home, library: Library, tools: ToolDoubles, budget: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    await own(home, library, "what nobody showed it\n" * 100)
    brain = await library.get("@me/own")
    monkeypatch.setattr("omni.runtimes.quantising.available_memory", lambda: 0)
    quantising = Quantising(home, library, engine_with_tools(Runtimes(home)), budget, brain=brain, target="Q4_K_M")
    done = (await everything(quantising))[-1]
    assert isinstance(done, QuantiseDone)
    assert done.report.weighed_by == ""


async def test_a_held_text_that_is_too_short_is_said_in_words(
    home: Home, library: Library, tools: ToolDoubles, budget: Budget
) -> None:
    await own(home, library, "short")
    brain = await library.get("@me/own")
    quantising = Quantising(home, library, engine_with_tools(Runtimes(home)), budget, brain=brain, target="Q4_K_M")
    with pytest.raises(BadFile, match="only 73 tokens"):
        await everything(quantising)


async def test_the_same_work_is_not_done_twice_at_once(quantise: Quantise) -> None:
    async with aclosing(quantise().run()) as events:
        await anext(events)
        with pytest.raises(UsageError, match="another Omni"):
            await everything(quantise())


async def test_a_tool_that_tells_no_figures_is_an_error_and_not_a_report(
    home: Home, quantise: Quantise, tools: ToolDoubles
) -> None:
    (tools.folder / "divergence.txt").write_text("Mean PPL(Q) : 5.1 ± 0.1\n")
    with pytest.raises(EngineError, match="Mean KLD"):
        await everything(quantise())
    assert not home.quantised.exists()


async def test_what_was_broken_off_is_listed_and_can_be_thrown_away(library: Library, quantise: Quantise) -> None:
    await until(quantise(), "quantise")
    assert [one.name for one in await library.unfinished()] == ["@me/large-f16 to Q4_K_M"]
    assert await library.collect() > 0
    assert await library.unfinished() == []


def test_without_tools_the_command_that_makes_them_is_named(home: Home) -> None:
    with pytest.raises(NotFound) as raised:
        engine_with_tools(Runtimes(home))
    assert "omni engine build" in raised.value.hint
    assert "77 MB" in raised.value.hint


async def test_the_small_brain_outlives_the_large_one(library: Library, quantise: Quantise, tmp_path: Path) -> None:
    await everything(quantise())
    await library.remove("@me/large-f16")
    await asyncio.to_thread((tmp_path / "Large-F16.gguf").unlink)
    brain = await library.get("@me/large-q4_k_m")
    assert brain.usable
    assert brain.base is not None
    assert read_header(brain.base.path).quantisation == "Q4_K_M"


async def test_auto_that_chooses_another_type_when_it_goes_on_makes_that(quantise: Quantise, library: Library) -> None:
    large, little = (Budget(memory=size, free=size, context=4096, bandwidth=1e10) for size in (1 << 30, 200_000))
    await until(quantise("auto", budget=large), "measure after")
    done = (await everything(quantise("auto", budget=little)))[-1]
    assert isinstance(done, QuantiseDone)
    assert (done.report.target, done.report.name) == ("Q4_K_M", "@me/large-q4_k_m")


async def test_what_one_left_who_was_killed_with_the_brain_in_the_library_goes_with_the_next(
    home: Home, library: Library, quantise: Quantise, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt = library.adopt

    async def killed(path: Path, name: str, like: Brain) -> Brain:
        await adopt(path, name, like)
        raise asyncio.CancelledError

    monkeypatch.setattr(library, "adopt", killed)
    with pytest.raises(asyncio.CancelledError):
        await everything(quantise())
    monkeypatch.undo()
    assert (await library.get("@me/large-q4_k_m")).usable
    assert len(await library.unfinished()) == 1
    with pytest.raises(UsageError, match="is here"):
        await everything(quantise())
    assert await library.unfinished() == []
    await until(quantise("Q8_0"), "measure after")
    with pytest.raises(UsageError, match="is here"):  # which is no reason to throw away what another one has made
        await everything(quantise())
    assert len(await library.unfinished()) == 1


async def test_the_report_is_there_before_the_brain(
    home: Home, library: Library, quantise: Quantise, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    adopt = library.adopt

    async def watched(path: Path, name: str, like: Brain) -> Brain:
        seen.append((home.quantised / "me-large-q4_k_m.json").is_file())
        return await adopt(path, name, like)

    monkeypatch.setattr(library, "adopt", watched)
    await everything(quantise())
    assert seen == [True]
