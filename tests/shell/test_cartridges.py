"""Cartridges: the table, its filter, and what one does to a brain."""

import asyncio
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from omni.cartridges import PullProgress, PullStarted, PullVerifying, Verified, begin_pull
from omni.core.clock import SystemClock
from omni.core.errors import BadFile, OmniError
from omni.jobs import Jobs
from omni.keeper import ProcessInfo
from omni.shell.listing import Listing
from omni.shell.modals import Consent
from omni.shell.panes.cartridges import CartridgesPane
from tests.shell.failing import until
from tests.shell.fakes import Gate, fakes_of, said, screen_text, settled, shell

QWEN = "@omni/qwen3-4b"


async def opened(pilot: Pilot[Any], brain: str = "") -> Listing:
    await settled(pilot)
    await pilot.press("f5")
    await settled(pilot)
    await settled(pilot)
    listing = pilot.app.query_one(CartridgesPane).query_one(Listing)
    if brain:
        listing.put(brain)
        await settled(pilot)
    return listing


async def test_all_brains_stand_with_what_matters(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot)
        text = screen_text(app)
        for words in ("4 installed, 5.9 GB", "found here", "to pull", "SmolLM2 135M", "98 MB", "8k", "131 tok/s",
                      "Apache-2.0", "ready", "shared", "not loadable", "not readable", "too big here"):  # fmt: skip
            assert words in text, words


async def test_what_is_wrong_with_a_brain_is_said_with_the_command_that_helps(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(140, 40)) as pilot:
        await opened(pilot, "notes")
        text = screen_text(app)
        assert "The file belongs to another user." in text
        assert "sudo chmod a+r /srv/models/notes.gguf" in text


async def test_at_eighty_columns_the_room_is_used_and_nothing_ends_in_dots(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        listing = await opened(pilot)
        assert "context" in screen_text(app)
        for row in list(listing._rows):
            listing.put(row.key)
            await settled(pilot)
            text = screen_text(app)
            assert "context" in text  # the titles stay in view
            assert row.key in text.partition("▌  ")[2], row.key  # and so does the row with the bar
            assert "…" not in text.replace("cc32…b046", ""), row.key
        listing.put("@omni/qwen3-30b")
        await settled(pilot)
        words = " ".join(screen_text(app).split())
        assert "needs 19.4 GB (18.6 GB of weights); brains may use 18.8 GB here" in words.replace(" | ", " ")


async def test_the_filter_narrows_and_esc_ends_it(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await opened(pilot)
        await pilot.press("slash", *"ollama")
        await settled(pilot)
        assert {row.key for row in listing._rows} == {"qwen2.5-coder:7b", "gemma3:4b"}
        await pilot.press("escape")
        await settled(pilot)
        assert len(listing._rows) == 8
        assert app.focused is listing


async def test_several_pulls_run_at_once_survive_another_pane_and_can_be_cancelled(tmp_path: Path) -> None:
    app = shell(tmp_path)
    library: Any = app.services.library
    library.pull_events = [
        PullStarted(brain=QWEN, size=2_500_000_000),
        PullProgress(done=1_900_000_000, total=2_500_000_000, rate=22e6, seconds_left=27),
        Gate(),
    ]
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, QWEN)
        await pilot.press("p")
        app.pulls.start("hf.co/somebody/else")
        await settled(pilot)
        text = screen_text(app)
        assert "1.9 GB of 2.5 GB" in text
        assert "76%" in text
        assert "hf.co/somebody/else" in text
        await pilot.press("f3")
        await settled(pilot)
        assert len(app.pulls.running) == 2
        await pilot.press("f5")
        await settled(pilot)
        await pilot.press("x")
        await settled(pilot)
        assert [pulling.name for pulling in app.pulls.running] == ["hf.co/somebody/else"]
        await pilot.press("x")
        await settled(pilot)
        assert app.pulls.running == []


async def test_a_pull_of_another_window_is_seen_where_ours_are_and_cancelled(tmp_path: Path) -> None:
    app = shell(tmp_path)
    services: Any = fakes_of(app)
    services.jobs = Jobs(services.home, services.keeper, SystemClock())
    other = Jobs(services.home, services.keeper, SystemClock())
    services.library.pull_events = [PullProgress(done=1_900_000_000, total=2_500_000_000, rate=22e6), Gate()]
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, QWEN)
        work = begin_pull(other, services.pull, QWEN)
        await until(pilot, lambda: "1.9 GB of 2.5 GB" in screen_text(app), "the download")
        await pilot.press("x")
        await until(pilot, lambda: "The download was cancelled" in screen_text(app), "its end")
        assert work.state == "stopped"
        services.library.pull_events = []
        await pilot.press("r")
        await until(pilot, lambda: app.pulls.all[QWEN].state == "done", "the same download, here")
    await other.close()


async def test_leaving_the_shell_watches_no_more_and_a_lost_window_waits_for_its_download(tmp_path: Path) -> None:
    app = shell(tmp_path)
    gate = Gate()
    services = fakes_of(app)
    services.library.pull_events = [PullStarted(brain=QWEN, size=9), gate]
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, QWEN)
        await pilot.press("p")
        await until(pilot, lambda: app.pulls.all[QWEN].state == "fetching", "the download")
        (job,) = services.jobs.running
        app.window_lost = True
        leaving = asyncio.create_task(app.on_unmount())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not leaving.done()
        gate.open()
        await leaving
    assert job.state == "done"


async def test_what_does_not_fit_is_asked_about_before_it_is_pulled(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, "@omni/qwen3-30b")
        await pilot.press("p")
        await settled(pilot)
        assert isinstance(app.screen, Consent)
        assert not app.pulls.running


async def test_a_verification_that_fails_says_so(tmp_path: Path) -> None:
    app = shell(tmp_path)
    fakes_of(app).library.verify_events = [
        PullVerifying(done=5, total=10),
        Verified(brain="@omni/coder", ok=False, detail="sha256 is ab…"),
    ]
    async with app.run_test(size=(160, 36)) as pilot:
        await opened(pilot, "@omni/coder")
        await pilot.press("v")
        await settled(pilot)
        await settled(pilot)
        assert "@omni/coder is not what it was: sha256 is ab…" in " ".join(screen_text(app).split())
        assert "Fetch it again (omni pull @omni/coder)" in " ".join(screen_text(app).split())


async def test_removing_says_what_it_frees_and_asks(tmp_path: Path) -> None:
    app = shell(tmp_path)
    clock: Any = app.services.clock
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, "@omni/coder")
        await pilot.press("delete")
        await settled(pilot)
        assert "Frees 1.1 GB" in screen_text(app)
        clock.advance(1)
        await pilot.press("n")
        await settled(pilot)
        await pilot.press("delete")
        await settled(pilot)
        clock.advance(1)
        await pilot.press("r")
        await settled(pilot)
        assert "remove @omni/coder" in fakes_of(app).library.orders
        assert "is removed" in said(app)


async def test_enter_talks_to_it(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, "@omni/smollm2")
        await pilot.press("enter")
        await settled(pilot)
        assert app.rail.active == "chat"
        assert app.status.state.brain == "@omni/smollm2"


async def test_a_loaded_brain_says_so_and_can_be_unloaded(tmp_path: Path) -> None:
    app = shell(tmp_path)
    keeper = fakes_of(app).fake_keeper
    keeper.listed = [ProcessInfo(name="w1", kind="worker", pid=1, confined="seccomp", since=0, base="sha256-bb")]
    async with app.run_test(size=(140, 36)) as pilot:
        await opened(pilot, "@omni/coder")
        assert "loaded" in screen_text(app)
        await pilot.press("u")
        await settled(pilot)
        assert "stop w1" in keeper.orders


async def test_saving_and_adding_take_a_path(tmp_path: Path) -> None:
    app = shell(tmp_path)
    orders = fakes_of(app).library.orders
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot, "@omni/coder")
        await pilot.press("s")
        await settled(pilot)
        await pilot.press(*"/usb", "enter")
        await settled(pilot)
        await pilot.press("o")
        await settled(pilot)
        await pilot.press(*"/models", "enter")
        await settled(pilot)
        assert "export ['@omni/coder'] /usb" in orders
        assert "add /models" in orders


async def test_a_file_that_is_no_brain_says_why_where_its_path_was_typed(tmp_path: Path) -> None:
    app = shell(tmp_path)
    library: Any = app.services.library
    right = library.add

    async def refused(path: Any) -> Any:
        raise BadFile(f"{path} is no usable GGUF file: it is cut off.", hint="Download or copy it again.")

    library.add = refused
    async with app.run_test(size=(120, 36)) as pilot:
        await opened(pilot)
        await pilot.press("o")
        await settled(pilot)
        await pilot.press(*"/x", "enter")
        await settled(pilot)
        text = screen_text(app)
        for words in ("Add a brain", "/x is no usable GGUF file: it is cut off.", "Download or copy it again."):
            assert words in text, words
        await pilot.press("y")
        await settled(pilot)
        assert "cut off" not in screen_text(app)
        library.add = right
        await pilot.press("enter")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert "add /xy" in library.orders


async def test_a_download_that_ended_early_is_gone_on_with(tmp_path: Path) -> None:
    app = shell(tmp_path)
    library: Any = app.services.library
    name = "@omni/qwen3-4b"

    async def broken() -> None:
        raise OmniError("The airlock ended before the download was whole.", hint="It goes on from where it stopped.")

    library.pull_events = [broken]
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await opened(pilot)
        listing.put(name)
        await pilot.press("p")
        await settled(pilot)
        text = screen_text(app)
        for words in ("The airlock ended", "It goes on from where it stopped.", "r try again"):
            assert words in text, words
        library.pull_events = []
        await pilot.press("r")
        await settled(pilot)
        assert library.orders.count(f"pull {name}") == 2
        assert "The airlock ended" not in screen_text(app)
