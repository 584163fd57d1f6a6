"""System: what runs, what confines it, what it costs."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from omni.hardware import GraphicsMemory, MachineSample, Vram
from omni.jobs import Job
from omni.keeper import KeeperChange, ProcessInfo
from omni.runtimes import RuntimeRow, RuntimeTrial, Speeds, TriedRow
from omni.shell.graph import graph
from omni.shell.listing import Listing
from omni.shell.panes.system import SystemPane, detail_words
from tests.shell.fakes import fakes_of, said, screen_text, settled, shell


async def opened(pilot: Pilot[Any]) -> Listing:
    await settled(pilot)
    await pilot.press("f10")
    await settled(pilot)
    while any(worker.name == "machine" for worker in pilot.app.workers):
        await pilot.pause()
    await settled(pilot)
    return pilot.app.query_one(SystemPane).query_one(Listing)


async def test_every_process_stands_with_what_confines_it(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        listing = await opened(pilot)
        text = screen_text(app)
        for words in ("shell  this window", "none, by seccomp", "unused, not confined", "the door", "worker  @omni/coder and 1 more", "writes 1 answer",
                      "NVIDIA T400", "present, not used", "23 packages", "1 to look at", "omni environment repair"):  # fmt: skip
            assert words in text, words
        assert [row.key for row in listing._rows] == ["shell", "keeper", "airlock", "w1"]


async def test_memory_of_devices_stands_in_the_line_and_the_pane_while_a_brain_lies_there_and_is_asked_for_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shell(tmp_path)
    services = fakes_of(app)
    card = Vram(name="NVIDIA T400", used=3_200_000_000, total=4_294_967_296)
    asked: list[int] = []

    async def graphics(processes: Any) -> GraphicsMemory:
        placed = [one.pid for one in processes if one.placed]
        asked.extend(placed)
        return GraphicsMemory(cards=(card,), taken=dict.fromkeys(placed, 2_900_000_000)) if placed else GraphicsMemory()

    monkeypatch.setattr(services, "graphics", graphics)
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(pilot)
        assert "VRAM" not in screen_text(app)
        keeper = services.fake_keeper
        workers = [one for one in keeper.listed if one.kind == "worker"]
        others = [one for one in keeper.listed if one.kind != "worker"]
        keeper.listed = [*others, *(replace(one, placed="29 layers on CUDA0", engine="cuda") for one in workers)]
        assert asked == []
        keeper.told.put_nowait(KeeperChange(topic="processes"))
        while app.status.state.vram != "VRAM 3.2 of 4.3 GB" or "3.2 GB   of 4.3" not in screen_text(app):
            await pilot.pause()
        text = screen_text(app)
        assert "writes 1 answer, 2.9 GB of VRAM" in text
        assert "VRAM 3.2 of 4.3 GB" in text
        keeper.listed = [*others, *workers]
        keeper.told.put_nowait(KeeperChange(topic="processes"))
        while "VRAM" in screen_text(app):
            await pilot.pause()


async def test_an_installer_is_listed_though_the_keeper_does_not_know_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = ProcessInfo(
        name="installer", kind="installer", pid=9, confined="none", since=1_700_000_000, detail="fetches packages"
    )
    monkeypatch.setattr("omni.keeper.installing", lambda *_, **__: row, raising=False)
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        listing = await opened(pilot)
        assert [row.key for row in listing._rows] == ["shell", "keeper", "airlock", "installer", "w1"]
        text = screen_text(app)
        assert "the package index" in text
        assert "fetches packages" in text


async def test_only_a_worker_can_be_ended_and_only_after_a_question(tmp_path: Path) -> None:
    app = shell(tmp_path)
    keeper = fakes_of(app).fake_keeper
    clock: Any = app.services.clock
    async with app.run_test(size=(140, 40)) as pilot:
        listing = await opened(pilot)
        await pilot.press("k")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        listing.put("w1")
        await settled(pilot)
        assert "k end this worker" in screen_text(app)
        await pilot.press("k")
        await settled(pilot)
        clock.advance(1)
        await pilot.press("e")
        await settled(pilot)
        assert keeper.orders == ["stop w1"]


async def test_work_stands_below_the_processes_and_can_be_stopped(tmp_path: Path) -> None:
    async def export(_: Job[str]) -> AsyncGenerator[str]:
        yield "begun"
        await asyncio.Event().wait()

    app = shell(tmp_path)
    clock: Any = app.services.clock
    async with app.run_test(size=(140, 40)) as pilot:
        work = app.services.jobs.begin("export", "@omni/coder", export)
        listing = await opened(pilot)
        while work.id not in [row.key for row in listing._rows]:
            await pilot.pause()
        await settled(pilot)
        row = next(line for line in screen_text(app).split("\n") if "export" in line)
        assert "@omni/coder" in row
        listing.put(work.id)
        await settled(pilot)
        assert "k stop this work" in screen_text(app)
        await pilot.press("k")
        await settled(pilot)
        clock.advance(1)
        await pilot.press("s")
        await settled(pilot)
        assert work.state == "stopped"
        while work.id in [row.key for row in listing._rows]:
            await pilot.pause()


async def test_the_doctor_says_in_place_what_it_found_and_what_mends_it(tmp_path: Path, monkeypatch: Any) -> None:
    async def findings(services: Any) -> list[Any]:
        checks: list[Any] = await services.environment.check()
        return checks

    monkeypatch.setattr("omni.diagnostics.findings", findings)
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("d")
        await settled(pilot)
        text = screen_text(app)
        for words in ("2 things looked at, 1 to mend", "! command", "omni environment repair", "✓ environment"):
            assert words in text, words
        await pilot.press("escape")
        await settled(pilot)
        assert len(app.screen_stack) == 1


async def test_the_log_of_a_process_is_read_in_place(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    record = '{"time": "2025-11-21T10:49:02.100Z", "level": "warning", "message": "the pane notes failed", "hint": "x"}'
    (logs / "shell.jsonl").write_text(f"{record}\nnot json \x1b[2J\n", "utf-8")
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("l")
        while "the pane notes failed" not in screen_text(app):
            await pilot.pause()
        text = screen_text(app)
        assert "10:49:02  warning" in text
        assert "\x1b" not in text
        assert "Log of shell this window" in text


async def test_the_graphs_follow_the_meters(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        for watcher in app._meter_watchers:
            watcher(await app_reading(app))
        await settled(pilot)
        assert "of 2 cores" in screen_text(app) or "cores" in screen_text(app)
        assert "nobody is answering" in screen_text(app)


async def app_reading(app: Any) -> Any:
    import asyncio

    return await asyncio.to_thread(app.meters.sample)


def test_a_graph_shows_the_newest_at_the_right_and_a_foot_for_little() -> None:
    assert graph([0, 1, 50, 100], 6, 100) == ["   ▁▄█"]
    assert graph([100] * 9, 4, 100) == ["████"]
    assert graph([], 3, 100) == ["   "]
    assert graph([100], 2, 100, rows=2) == [" █", " █"]


async def test_the_processes_come_first_and_tell_when_there_are_more(tmp_path: Path) -> None:
    app = shell(tmp_path)
    keeper = fakes_of(app).fake_keeper
    now = app.services.clock.now()
    keeper.listed += [
        ProcessInfo(
            name=f"w{number}", kind="worker", pid=3 + number, confined="seccomp", since=now, detail="x, loading"
        )
        for number in range(2, 20)
    ]
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        text = screen_text(app)
        assert "22 processes" in text
        assert "▐" in text
        assert "worker  w9" in text
        assert "Machine" not in text  # it stands on Home, and the processes need the room
        await pilot.resize_terminal(80, 60)
        await settled(pilot)
        text = screen_text(app)
        assert "▐" not in text
        assert "worker  w19" in text
        assert "Machine" in text


async def test_what_is_free_follows_the_meters_and_is_what_the_doctor_says(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        assert "25.3 GB, " in screen_text(app)
        reading = MachineSample(cpu=1, memory_used=1, memory_total=2, cores=2, memory_free=7_700_000_000)
        app.meters.sample = lambda: reading  # type: ignore[method-assign]  # the next real one may come at any moment
        for watcher in app._meter_watchers:
            watcher(reading)
        await settled(pilot)
        assert "25.3 GB, 7.7 GB free" in screen_text(app)
    total, free = detail_of_memory(await findings_of(app))
    assert total == "25.3 GB"
    assert free.endswith(" free now")


async def findings_of(app: Any) -> list[Any]:
    from omni.diagnostics import _machine

    app.services.fake_budget = SimpleNamespace(memory=20_200_000_000, free=20_200_000_000)
    return await _machine(app.services)


def detail_of_memory(findings: list[Any]) -> tuple[str, str]:
    total, free, _ = next(each.detail for each in findings if each.name == "memory").split(", ")
    return total, free


async def test_an_empty_log_says_that_this_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "worker-w1.log").write_text("")
    app = shell(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        listing = await opened(pilot)
        listing.put("w1")
        await settled(pilot)
        await pilot.press("l")
        while "This log is empty" not in screen_text(app):
            await pilot.pause()
        assert "is shown as it comes." in screen_text(app)


def test_nobody_has_to_know_what_a_starter_or_a_place_is() -> None:
    def words(kind: Any, detail: str) -> str:
        return detail_words(ProcessInfo(name="x", kind=kind, pid=1, confined="none", since=0.0, detail=detail))

    assert words("starter", "of shell-892") == "opens your editor"
    assert words("worker", "a.gguf, 0 of 4 places") == "idle"
    assert words("worker", "a.gguf, 2 of 4 places") == "writes 2 answers"
    assert words("worker", "a.gguf, loading") == "loading"
    assert words("airlock", "no door is open") == "no door is open"


def engine_rows() -> list[RuntimeRow]:
    """Omni's own engine, and one that is faster with one quantisation and ends with the other."""

    def tried(runtime: str, types: tuple[str, ...], prompt: float, used: bool, words: str = "") -> TriedRow:
        speeds = Speeds(prompt=prompt, answer=18.5, memory=1 << 30) if prompt else None
        trial = RuntimeTrial(runtime=runtime, machine="here", types=types, speeds=speeds, words=words)
        return TriedRow(trial=trial, what=" and ".join(trial.types), used=used, words=trial.words)

    quick, small = ("F32", "Q4_K", "Q6_K"), ("F32", "Q4_1")
    fault = "ends with an illegal instruction with Q4_1: its code is for processors with AMX"
    return [
        RuntimeRow(
            name="xllamacpp", version="2026.10", features=("LLGuidance",), tried=(tried("x", quick, 70, False),)
        ),
        RuntimeRow(
            name="vulkan",
            version="1.0",
            features=("Vulkan",),
            tried=(tried("v", quick, 89, True), tried("v", small, 0, False, fault)),
        ),
        RuntimeRow(name="lost", reason="The engine 'lost' cannot be used: it holds no engine.json."),
    ]


async def test_engines_stand_with_what_was_measured_and_which_is_used(tmp_path: Path) -> None:
    app = shell(tmp_path, runtimes=engine_rows())
    async with app.run_test(size=(140, 50)) as pilot:
        await opened(pilot)
        text = screen_text(app)
        for words in ("Engines", "xllamacpp  2026.10   LLGuidance", "vulkan  1.0   Vulkan", "reads 89 tok/s, writes 18.5 tok/s  used",
                      "vulkan ends with an illegal instruction with Q4_1", "it holds no engine.json"):  # fmt: skip
            assert words in text, words
        assert text.count("  used") == 1


async def test_another_engine_that_answers_is_told(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await settled(pilot)
        for listener in fakes_of(app).listeners:
            listener("engine", "vulkan could not load @omni/a, so that xllamacpp answers")
        await pilot.pause()
        assert "so that xllamacpp answers" in said(app)


def test_a_worker_of_another_engine_says_which() -> None:
    worker = ProcessInfo(
        name="w", kind="worker", pid=1, confined="seccomp", since=0, detail="a.gguf, 0 of 4 places", engine="vulkan"
    )
    assert detail_words(worker) == "idle, by vulkan"
    assert detail_words(msgspec.structs.replace(worker, engine="xllamacpp")) == "idle"
