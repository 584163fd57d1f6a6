"""The library: what is added, marked, verified, removed, collected, exported and read back."""

import asyncio
import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import (
    RERANKER_HINT,
    Brain,
    Exported,
    Library,
    PullDone,
    PullProgress,
    Verified,
    facts_of,
    hold,
    maintenance,
)
from omni.cartridges.holds import claim, in_thread, pulling
from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.hardware import Budget
from tests.cartridges.conftest import NOT_ASKED

Write = Callable[..., Path]
Open = Callable[..., Library]
Drain = Callable[[Any], Any]


async def test_a_new_home_offers_the_catalogue(library: Library) -> None:
    brains = await library.brains()
    assert {brain.state for brain in brains} == {"available"}
    assert await library.best() is None
    starter = await library.get("smollm2")
    assert (starter.name, starter.starter, starter.size, starter.size_is_estimate) == (
        "@omni/smollm2",
        True,
        98_362_432,
        False,
    )
    unchecked = await library.get("@omni/qwen3-8b")
    assert unchecked.size_is_estimate
    assert "not verified by us" in unchecked.verified


async def test_what_can_be_pulled_begins_with_the_small_ones_each_before_those_that_share_it(library: Library) -> None:
    brains = await library.brains()
    assert [brain.name for brain in brains[:4]] == [
        "@omni/smollm2",
        "@omni/lfm2.5-1.2b",
        "@omni/coder",
        "@roe/architect",
    ]
    answers = [brain.size for brain in brains if brain.makes == "answers"]
    others = [brain.size for brain in brains if brain.makes != "answers"]
    assert [brain.size for brain in brains] == sorted(answers) + sorted(others)
    assert len(others) >= 3


async def test_an_unknown_name_names_the_nearest(library: Library) -> None:
    with pytest.raises(NotFound) as caught:
        await library.get("@omni/codr")
    assert "'@omni/coder'" in caught.value.hint
    assert caught.value.exit_code == 3


async def test_a_file_is_used_where_it_lies(library: Library, write_gguf: Write, tmp_path: Path, home: Home) -> None:
    path = write_gguf(tmp_path / "My Model.Q4_K_M.gguf")
    brain = await library.add(path)
    assert (brain.name, brain.state, brain.licence) == ("@me/my-model.q4_k_m", "installed", "Apache-2.0")
    assert brain.base is not None
    assert (brain.base.path, brain.base.origin) == (str(path), "file")
    assert not home.blobs.exists()
    assert (await library.add(path)).name == brain.name  # adding twice is once


async def test_two_files_with_one_name_are_two_brains(library: Library, write_gguf: Write, tmp_path: Path) -> None:
    first = await library.add(write_gguf(tmp_path / "a/x.gguf", salt="1"))
    second = await library.add(write_gguf(tmp_path / "b/x.gguf", salt="2"))
    assert (first.name, second.name) == ("@me/x", "@me/x-2")


async def test_a_folder_adds_what_it_holds(library: Library, write_gguf: Write, tmp_path: Path) -> None:
    write_gguf(tmp_path / "m/a.gguf", salt="1")
    write_gguf(tmp_path / "m/deep/b.gguf", salt="2")
    write_gguf(tmp_path / "m/mmproj-a.gguf", general__architecture="clip")
    assert [brain.name for brain in await library.add_all(tmp_path / "m")] == ["@me/a", "@me/b"]


async def test_what_is_wrong_is_not_added(library: Library, write_gguf: Write, gguf: Any, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(gguf()[:-50])
    with pytest.raises(BadFile, match="truncated") as caught:
        await library.add(tmp_path / "cut.gguf")
    assert caught.value.exit_code == 8
    with pytest.raises(UsageError, match="an adapter"):
        await library.add(write_gguf(tmp_path / "lora.gguf", general__type="adapter"))
    with pytest.raises(NotFound):
        await library.add(tmp_path / "none.gguf")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="holds no GGUF"):
        await library.add(tmp_path / "empty")


async def test_a_file_that_makes_vectors_is_added_and_is_no_brain_to_chat_with(
    library: Library, write_gguf: Write, tmp_path: Path
) -> None:
    brain = await library.add(write_gguf(tmp_path / "some.gguf", general__architecture="bert", bert__pooling_type=1))
    assert (brain.name, brain.state, brain.embeds, brain.usable) == ("@me/some", "not chat", True, False)
    assert await library.best() is None
    assert brain.base is not None
    await library.mark(brain.base.id, ready=False, reason="it has no layers")
    brain = await library.get("some")
    assert (brain.state, brain.reason, brain.embeds) == ("unloadable", "it has no layers", False)
    assert await library.remove("some") == 0


async def test_a_file_that_ranks_texts_is_added_and_makes_no_vectors(
    library: Library, write_gguf: Write, tmp_path: Path
) -> None:
    brain = await library.add(write_gguf(tmp_path / "rank.gguf", general__architecture="bert", bert__pooling_type=4))
    assert (brain.state, brain.reranks, brain.embeds, brain.usable, brain.askable) == (
        "not chat", True, False, False, True
    )  # fmt: skip
    assert await library.best() is None
    with pytest.raises(BadFile, match="the eyes of another model"):
        await library.add(write_gguf(tmp_path / "eyes.gguf", general__architecture="clip"))
    with pytest.raises(NotFound) as missing:
        await library.get("rerank-v3.5")
    assert missing.value.hint == RERANKER_HINT


async def test_ready_and_unloadable_are_remembered(open_library: Open, write_gguf: Write, tmp_path: Path) -> None:
    library = open_library()
    brain = await library.add(write_gguf(tmp_path / "x.gguf"))
    assert brain.base is not None
    await library.mark(brain.base.id, ready=True)
    assert (await open_library().get("@me/x")).state == "ready"
    await library.mark(brain.base.id, ready=False, reason="the worker died of signal 4")
    stored = await library.get("@me/x")
    assert (stored.state, stored.reason) == ("unloadable", "the worker died of signal 4")


async def test_the_index_is_read_again_only_when_somebody_has_changed_it(
    open_library: Open, write_gguf: Write, tmp_path: Path
) -> None:
    library, other = open_library(), open_library()
    brain = await library.add(write_gguf(tmp_path / "x.gguf"))
    assert brain.base is not None
    await library.mark(brain.base.id, ready=True)
    seen = await library.get("@me/x")
    await other.mark(brain.base.id, ready=True)  # as after every answer
    assert await library.get("@me/x") is seen
    await other.mark(brain.base.id, ready=False, reason="broken")
    assert (await library.get("@me/x")).state == "unloadable"
    await other.add(write_gguf(tmp_path / "y.gguf"))
    assert (await library.get("@me/y")).state == "installed"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"general__architecture": "novel"}, "this engine does not know the architecture 'novel'"),
        (
            {"more": [("blk.0.novel.weight", (8,), 0)]},
            "it has tensors that this engine does not take in a llama: novel.weight",
        ),
    ],
)
async def test_a_worker_knows_better_than_our_tables(
    library: Library, write_gguf: Write, tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    brain = await library.add(write_gguf(tmp_path / "x.gguf", **changes))
    assert (brain.state, brain.reason) == ("unloadable", reason)
    assert brain.base is not None
    await library.mark(brain.base.id, ready=True)
    assert (await library.get("@me/x")).state == "ready"


async def test_a_file_that_went_away_is_gone_and_comes_back(
    library: Library, write_gguf: Write, tmp_path: Path
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    await library.add(path)
    path.rename(tmp_path / "y.gguf")
    brain = await library.get("@me/x")
    assert (brain.state, str(path) in brain.reason) == ("gone", True)
    (tmp_path / "y.gguf").rename(path)
    assert (await library.get("@me/x")).state == "installed"


async def test_roles_stand_on_the_best_brain_that_is_here(library: Library, write_gguf: Write, tmp_path: Path) -> None:
    role = await library.get("@roe/backend")
    assert (role.state, role.shares) == ("available", "@omni/coder")
    await library.add(write_gguf(tmp_path / "small.gguf", salt="1"))
    await library.add(write_gguf(tmp_path / "large.gguf", salt="2", ffn=64))
    role = await library.get("@roe/backend")
    assert (role.state, role.shares) == ("installed", "@me/large")
    assert "backend engineer" in role.prompt
    assert role.base == (await library.get("@me/large")).base


async def test_the_best_brain_fits_the_memory(open_library: Open, write_gguf: Write, tmp_path: Path) -> None:
    library = open_library(memory=10**9)
    await library.add(write_gguf(tmp_path / "small.gguf", salt="1"))
    big = write_gguf(tmp_path / "big.gguf", salt="2", ffn=64)
    await library.add(big)
    best = await library.best()
    assert best is not None
    assert best.name == "@me/big"
    tiny = open_library(memory=10**8)  # nothing fits: the least bad is still named
    assert await tiny.best() is not None


def machine(gigabytes: float, bandwidth: float | None) -> Budget:
    """What a machine sold with so much memory gives to brains; bandwidth in GB/s."""
    memory = int(gigabytes * 0.95 * 0.8 * 10**9)
    speed = None if bandwidth is None else bandwidth * 10**9
    return Budget(memory=memory, free=memory, context=16384, bandwidth=speed)


async def recommended(open_library: Open, budget: Budget) -> Brain | None:
    async def known() -> Budget:
        return budget

    return await open_library(budget=known).recommended()


@pytest.mark.parametrize("gigabytes", [4, 8, 16, 24, 32, 64])
@pytest.mark.parametrize("bandwidth", [10, 30, 100, 400, None])
async def test_a_newcomer_is_offered_what_is_quick_soon_here_and_checked(
    open_library: Open, gigabytes: int, bandwidth: float | None
) -> None:
    budget = machine(gigabytes, bandwidth)
    brain = await recommended(open_library, budget)
    assert brain is not None
    large = bandwidth == 400 and gigabytes >= 16  # memory so fast that a brain of five times the weights is quick
    assert brain.name == ("@omni/qwen3.5-9b" if large else "@omni/coder")
    fit = budget.fit(facts_of(brain))
    assert fit.memory <= 0.7 * gigabytes * 10**9
    assert brain.size <= 6 * 10**9
    assert fit.speed is None or fit.speed > 8  # people read 5 to 8 tokens a second


async def test_where_even_that_is_slower_than_reading_the_starter_is_offered(open_library: Open) -> None:
    brain = await recommended(open_library, machine(8, 2))
    assert brain is not None
    assert brain.name == "@omni/smollm2"


async def test_what_takes_most_of_the_memory_is_never_offered(open_library: Open) -> None:
    brain = await recommended(open_library, machine(1.2, 100))
    assert brain is not None
    assert brain.starter
    assert await recommended(open_library, machine(0.1, 100)) is None


@pytest.mark.parametrize("gigabytes", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("bandwidth", [10, 30, 100, 400])
async def test_of_what_is_here_the_largest_that_keeps_up_with_a_reader_is_the_best(
    open_library: Open, write_gguf: Write, tmp_path: Path, gigabytes: int, bandwidth: int
) -> None:
    async def known() -> Budget:
        return machine(gigabytes, bandwidth)

    library = open_library(budget=known)
    for name, gigabyte in (("small", 1), ("large", 10)):
        path = write_gguf(tmp_path / f"{name}.gguf", ffn=gigabyte * 10**9 // 144, sparse=gigabyte * 10**9)
        await library.add(path)
    best = await library.best()
    assert best is not None
    assert best.name == ("@me/large" if bandwidth >= 100 and gigabytes >= 16 else "@me/small")


async def test_a_toy_is_not_the_best_because_it_is_fast(open_library: Open, write_gguf: Write, tmp_path: Path) -> None:
    async def known() -> Budget:
        return machine(16, 10)

    library = open_library(budget=known)
    for name, size in (("toy", 36 * 10**6), ("real", 8 * 10**9)):
        await library.add(write_gguf(tmp_path / f"{name}.gguf", ffn=size // 144, sparse=size))
    toy, real = await library.get("@me/toy"), await library.get("@me/real")
    budget = await known()
    speeds = [budget.fit(facts_of(brain)).speed or 0 for brain in (toy, real)]
    assert speeds[0] > 50
    assert speeds[1] < 4
    best = await library.best()
    assert best is not None
    assert best.name == "@me/real"
    assert (await library.get("@roe/backend")).shares == "@me/real"


@pytest.mark.parametrize(
    "changes",
    [{"general__name": "Qwen3 8B Base"}, {"general__name": "gemma-3-12b-pt"}, {"llama__context_length": 512}],
)
async def test_what_was_not_made_to_answer_is_not_the_best_because_it_is_large(
    open_library: Open, write_gguf: Write, tmp_path: Path, changes: dict[str, Any]
) -> None:
    library = open_library()
    for name, size, more in (("large", 2 * 10**9, changes), ("small", 10**9, {"general__name": "Base Camp 2B it"})):
        await library.add(write_gguf(tmp_path / f"{name}.gguf", ffn=size // 144, sparse=size, **more))
    best = await library.best()
    assert best is not None
    assert best.name == "@me/small"
    best = await library.best(without=["@me/small"])
    assert best is not None
    assert best.name == "@me/large"
    assert await library.best(without=["@me/small", "@me/large"]) is None


async def test_of_toys_the_largest_is_the_best(library: Library, write_gguf: Write, tmp_path: Path) -> None:
    for name, size in (("story", 36 * 10**6), ("little", 100 * 10**6)):
        await library.add(write_gguf(tmp_path / f"{name}.gguf", ffn=size // 144, sparse=size))
    best = await library.best()
    assert best is not None
    assert best.name == "@me/little"


async def test_what_one_engine_could_not_load_the_next_one_may(
    open_library: Open, write_gguf: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = open_library()
    brain = await library.add(write_gguf(tmp_path / "x.gguf"))
    assert brain.base is not None
    await library.mark(brain.base.id, ready=False, reason="It is too new.")
    assert (await library.get("@me/x")).state == "unloadable"
    monkeypatch.setattr("omni.cartridges.index.ENGINE", "2099.1")
    assert (await open_library().get("@me/x")).state == "installed"


async def test_verifying_records_a_hash_and_then_compares(
    library: Library, write_gguf: Write, tmp_path: Path, drain: Drain
) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    await library.add(path)
    events = await drain(library.verify("@me/x"))
    assert events[-1] == Verified(
        brain="@me/x", ok=True, detail=f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"
    )
    assert events[-2].done == events[-2].total == path.stat().st_size
    assert "sha256 recorded on" in (await library.get("@me/x")).verified
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    events = await drain(library.verify("@me/x"))
    assert not events[-1].ok
    brain = await library.get("@me/x")
    assert (brain.state, "not what they were" in brain.reason) == ("corrupt", True)


async def test_verifying_what_is_not_here_says_so(library: Library, drain: Drain) -> None:
    with pytest.raises(NotFound, match="not on this machine"):
        await drain(library.verify("@omni/coder"))


async def exported(library: Library, write_gguf: Write, folder: Path) -> Brain:
    await library.add(write_gguf(folder / "src/x.gguf"))
    steps = [event async for event in library.export(["@me/x"], folder / "usb")]
    size = (folder / "src/x.gguf").stat().st_size
    assert steps == [
        PullProgress(done=size, total=size, what="@me/x"),
        Exported(folder=str(folder / "usb" / "brains")),
    ]
    return await library.get("@me/x")


async def test_an_export_is_plain_files_and_comes_back(
    library: Library, open_library: Open, write_gguf: Write, tmp_path: Path
) -> None:
    await exported(library, write_gguf, tmp_path)
    files = sorted(path.name for path in (tmp_path / "usb/brains").iterdir())
    assert files == ["brains.json", "x.gguf"]
    await library.remove("@me/x")
    (tmp_path / "src/x.gguf").unlink()
    brain = await library.add(tmp_path / "usb")
    assert (brain.name, brain.state) == ("@me/x", "installed")
    assert brain.base is not None
    assert brain.base.origin == "blob"
    assert "sha256 checked" in brain.verified or "on 20" in brain.verified


async def test_a_damaged_export_is_refused(library: Library, write_gguf: Write, tmp_path: Path, home: Home) -> None:
    await exported(library, write_gguf, tmp_path)
    file = tmp_path / "usb/brains/x.gguf"
    data = bytearray(file.read_bytes())
    data[-40] ^= 1
    file.write_bytes(data)
    with pytest.raises(BadFile, match="sha256 is wrong"):
        await library.add(tmp_path / "usb")
    assert list(home.blobs.iterdir()) == []
    file.unlink()
    with pytest.raises(NotFound, match="missing in this export"):
        await library.add(tmp_path / "usb")
    listing = tmp_path / "usb/brains/brains.json"
    listing.write_text(listing.read_text().replace("x.gguf", "../../src/x.gguf"))
    with pytest.raises(BadFile, match="outside of its folder"):
        await library.add(tmp_path / "usb")
    listing.write_text("{}")
    with pytest.raises(BadFile, match="line 1, column 1: needs the key 'version'"):
        await library.add(tmp_path / "usb")


async def test_only_what_is_here_is_exported(library: Library, tmp_path: Path, drain: Drain) -> None:
    with pytest.raises(UsageError) as caught:
        await drain(library.export(["@omni/coder"], tmp_path / "usb"))
    assert "omni pull @omni/coder" in caught.value.hint


async def test_a_brain_of_ones_own_is_exported_with_its_manifest(
    library: Library, home: Home, write_gguf: Write, tmp_path: Path, drain: Drain
) -> None:
    own = home.cartridges / "own" / "poet"
    own.mkdir(parents=True)
    own.joinpath("cartridge.toml").write_text(
        'name = "@me/poet"\nversion = "1.0.0"\ntitle = "Poet"\nsummary = "Rhymes."\nlicence = "MIT"\n'
        'prompt = "You rhyme."\n[base]\nsource = "cartridge"\n[sampling]\ntemperature = 1.5\n'
    )
    await library.add(write_gguf(tmp_path / "src/x.gguf"))
    await drain(library.export(["@me/poet"], tmp_path / "usb"))
    elsewhere = Library(Home(tmp_path / "elsewhere"), Settings(), environment={}, user=tmp_path / "nobody")
    try:
        poet = await elsewhere.add(tmp_path / "usb")
        assert (poet.name, poet.title, poet.prompt) == ("@me/poet", "Poet", "You rhyme.")
        assert (poet.usable, poet.sampling) == (True, {"temperature": 1.5})
    finally:
        await elsewhere.close()


async def test_an_export_waits_for_who_fetches_the_same(
    library: Library, write_gguf: Write, tmp_path: Path, home: Home
) -> None:
    await exported(library, write_gguf, tmp_path)
    sha256 = hashlib.sha256((tmp_path / "src/x.gguf").read_bytes()).hexdigest()
    part = home.cartridges / "pulls" / sha256 / "x.gguf.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    async with in_thread(pulling(home, sha256)):
        with pytest.raises(UsageError, match="by another Omni now"):
            await library.add(tmp_path / "usb")
        assert part.read_bytes() == b"half"
    assert (await library.add(tmp_path / "usb")).usable


async def blob(library: Library, write_gguf: Write, tmp_path: Path) -> Brain:
    """A brain whose file is a blob of ours."""
    await exported(library, write_gguf, tmp_path)
    await library.remove("@me/x")
    return await library.add(tmp_path / "usb")


async def test_removing_frees_the_blob(library: Library, write_gguf: Write, tmp_path: Path, home: Home) -> None:
    brain = await blob(library, write_gguf, tmp_path)
    assert await library.remove("@me/x") == brain.size
    assert list(home.blobs.iterdir()) == []
    with pytest.raises(NotFound):
        await library.get("@me/x")


async def test_what_is_in_use_is_not_removed(library: Library, write_gguf: Write, tmp_path: Path, home: Home) -> None:
    brain = await blob(library, write_gguf, tmp_path)
    assert brain.base is not None
    with pytest.raises(UsageError, match="in use"):
        await library.remove("@me/x", in_use={brain.base.id})
    async with in_thread(hold(home, brain.base.id)):
        with pytest.raises(UsageError, match="in use"):
            await library.remove("@me/x")
    assert os.path.exists(brain.base.path)  # noqa: ASYNC240 - a test may look
    assert await library.remove("@me/x") == brain.size


def test_another_process_can_hold_a_base(home: Home) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from omni.cartridges import hold\nfrom omni.core.paths import Home\n"
        f"with hold(Home({str(home.root)!r}), 'sha256-x'):\n    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"held\n"
            with claim(home, "sha256-x") as free:
                assert not free
        finally:
            process.kill()  # however it ends, its hold ends with it
            process.wait()
    with claim(home, "sha256-x") as free:
        assert free


async def test_collecting_takes_only_what_nobody_needs(
    library: Library, write_gguf: Write, tmp_path: Path, home: Home
) -> None:
    brain = await blob(library, write_gguf, tmp_path)
    orphan = home.blobs / f"sha256-{'0' * 64}"
    held = home.blobs / f"sha256-{'1' * 64}"
    used = home.blobs / f"sha256-{'2' * 64}"
    for path in (orphan, held, used):
        path.write_bytes(b"x" * 100)
    async with in_thread(hold(home, held.name)):
        assert await library.collect({used.name}) == 100
    assert not orphan.exists()
    assert held.exists()
    assert used.exists()
    assert (await library.get("@me/x")).state == "installed"
    assert await library.collect() == 200
    assert brain.base is not None
    assert os.path.exists(brain.base.path)  # noqa: ASYNC240 - a test may look


async def test_collecting_asks_what_is_needed_when_nobody_can_add_to_it(
    open_library: Open, write_gguf: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pull that ends between the look at the index and the look at the blobs keeps its blob."""
    library, other = open_library(), open_library()
    await exported(library, write_gguf, tmp_path)
    await library.remove("@me/x")
    listed = maintenance._blobs

    def while_another_pulls(home: Home) -> list[str]:
        asyncio.run_coroutine_threadsafe(other.add(tmp_path / "usb"), loop).result(10)
        return listed(home)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(maintenance, "_blobs", while_another_pulls)
    assert await library.collect() == 0
    assert (await library.get("@me/x")).state == "installed"


async def test_what_has_no_file_of_its_own_is_not_removed(library: Library) -> None:
    with pytest.raises(UsageError, match="shares that of @omni/coder"):
        await library.remove("@roe/backend")
    with pytest.raises(NotFound, match="not on this machine"):
        await library.remove("@omni/coder")


async def test_two_libraries_of_one_home_see_each_other(open_library: Open, write_gguf: Write, tmp_path: Path) -> None:
    one, two = open_library(), open_library()
    await one.brains()
    await two.brains()
    await one.add(write_gguf(tmp_path / "x.gguf"))
    assert (await two.get("@me/x")).state == "installed"


async def test_a_lost_index_finds_shipped_blobs_again(
    open_library: Open, write_gguf: Write, tmp_path: Path, home: Home, gguf: Any
) -> None:
    data = gguf()
    sha256 = hashlib.sha256(data).hexdigest()
    folder = tmp_path / "shipped/one"
    folder.mkdir(parents=True)
    (folder / "cartridge.toml").write_text(
        'name = "@omni/one"\nversion = "1.0.0"\ntitle = "One"\nsummary = "One."\nlicence = "MIT"\n'
        f'[base]\nsource = "url"\nurl = "https://example.org/x.gguf"\nsize = {len(data)}\nsha256 = "{sha256}"\n'
    )
    home.blobs.mkdir(parents=True)
    (home.blobs / f"sha256-{sha256}").write_bytes(data)
    brain = await open_library(shipped=folder.parent).get("@omni/one")
    assert (brain.state, brain.verified) == ("installed", "never checked")


async def test_a_path_can_be_pulled(library: Library, write_gguf: Write, tmp_path: Path, drain: Drain) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    events = await drain(library.pull(str(path), NOT_ASKED))
    assert isinstance(events[-1], PullDone)
    assert events[-1].brain.name == "@me/x"


async def test_an_index_of_a_newer_omni_is_not_touched(open_library: Open, home: Home) -> None:
    library = open_library()
    await library.brains()
    await library.close()
    from omni.core.errors import StorageError

    connection = sqlite3.connect(home.library)
    connection.execute("INSERT INTO migrations VALUES ('from the future')")
    connection.commit()
    connection.close()
    with pytest.raises(StorageError, match="newer Omni"):
        await open_library().brains()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_unreadable(library: Library, write_gguf: Write, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "x.gguf")
    await library.add(path)
    path.chmod(0)
    brain = await library.get("@me/x")
    assert (brain.state, brain.command) == ("unreadable", f"chmod u+rX {path}")


async def test_a_wrong_cartridge_of_ones_own_says_so_and_hides_no_other_brain(open_library: Open, home: Home) -> None:
    before = {brain.name: brain.state for brain in await open_library().brains()}
    good = (
        'name = "@me/poet"\nversion = "1.0.0"\ntitle = "Poet"\nsummary = "Rhymes."\nlicence = "MIT"\n'
        'prompt = "You rhyme."\n[base]\nsource = "cartridge"\n'
    )
    for folder, text in {"poet": good, "twin": good, "wrong": "name = 3\n", "torn": 'name = "@me/'}.items():
        path = home.cartridges / "own" / folder / "cartridge.toml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    brains = {brain.name: brain for brain in await open_library().brains()}
    assert {name: brains[name].state for name in before} == before
    wrong = {name: brains[name].reason for name in brains.keys() - before.keys() if name.startswith("own/")}
    assert {brains[name].state for name in wrong} == {"unreadable"}
    assert "line 1, column 8: name: expected a text, found 3" in wrong["own/wrong"]
    assert "another cartridge is named '@me/poet' too" in wrong["own/twin"]
    assert wrong.keys() == {"own/torn", "own/twin", "own/wrong"}
    assert brains["@me/poet"].title == "Poet"
