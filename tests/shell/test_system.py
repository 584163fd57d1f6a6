"""System: what runs, what confines it, what it costs."""

from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from omni.shell.graph import graph
from omni.shell.listing import Listing
from omni.shell.panes.system import SystemPane
from tests.shell.fakes import nothing_blocks, screen_text, settled, shell  # noqa: F401


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
        for words in ("shell  this window", "none, by seccomp", "unused, not confined", "the only door", "worker  @omni/coder and 1 more", "1 of 4 places",
                      "NVIDIA T400", "present, not used", "23 packages", "1 to look at", "omni sandbox repair"):  # fmt: skip
            assert words in text, words
        assert [row.key for row in listing._rows] == ["shell", "keeper", "airlock", "w1"]


async def test_only_a_worker_can_be_ended_and_only_after_a_question(tmp_path: Path) -> None:
    app = shell(tmp_path)
    keeper = app.services.fake_keeper  # type: ignore[attr-defined]
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


async def test_the_doctor_says_in_place_what_it_found_and_what_mends_it(tmp_path: Path, monkeypatch: Any) -> None:
    async def findings(services: Any) -> list[Any]:
        return await services.environment.check()  # type: ignore[no-any-return]

    monkeypatch.setattr("omni.checkup.findings", findings)
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        await pilot.press("d")
        await settled(pilot)
        text = screen_text(app)
        for words in ("2 things looked at, 1 to mend", "! command", "omni sandbox repair", "✓ environment"):
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
