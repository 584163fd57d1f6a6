"""The first run: machine, brain, look, ready, and straight into the conversation."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

from omni.cartridges.brains import PullDone, PullProgress, PullStarted
from omni.core.errors import NetworkBlocked, OmniError
from omni.shell.app import OmniApp
from omni.shell.listing import Listing
from omni.shell.panes.wizard import Wizard
from tests.shell.fakes import Gate, fakes_of, said, sample_brains, screen_text, settled, shell
from tests.shell.test_palette import find

STARTER, CODER, QWEN = "@omni/smollm2", "@omni/coder", "@omni/qwen3-4b"


async def at_brains(pilot: Pilot[Any]) -> Listing:
    await settled(pilot)
    await settled(pilot)
    return pilot.app.query_one(Wizard).query_one(Listing)


async def test_it_shows_the_machine_and_first_what_is_here_with_the_best_one_marked(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        text = screen_text(app)
        for words in ("AMD EPYC, 2 cores", "31 GB/s measured", "NVIDIA T400", "present, not used"):
            assert words in text
        assert text.index("on this machine") < text.index("to download")
        assert listing.key == CODER
        assert "Recommended" in text
        assert "Apache-2.0 · context up to 32k, 16k given · needs 1.6 GB of memory" in text
        assert "2.5 GB" in text
        assert "14 tok/s" in text


async def test_an_unloadable_brain_says_why_and_is_not_taken(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        listing.put("gemma3:4b")
        await settled(pilot)
        assert "does not know the architecture gemma3n" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        text = screen_text(app)
        assert "cannot be used.   Choose another one." in text
        assert "enter use it" not in text


async def test_one_that_is_too_big_says_so_and_wants_another_choice(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        listing.put("@omni/qwen3-30b")
        await settled(pilot)
        text = screen_text(app)
        assert "Too big here: needs 19.4 GB" in text
        assert "enter fetch it" not in text
        await pilot.press("enter")
        await settled(pilot)
        assert "Qwen3 30B is too big here.   Choose another one." in screen_text(app)
        assert app.pulls.all == {}
        await pilot.press("up")
        await settled(pilot)
        assert "Which brain shall be the first?" in screen_text(app)


async def test_one_that_is_here_and_too_big_in_16_bits_names_what_makes_it_smaller(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    fakes, name = fakes_of(app), "qwen2.5-coder:7b"
    fakes.library.list = [
        msgspec.structs.replace(brain, quantisation="F16") if brain.name == name else brain
        for brain in fakes.library.list
    ]
    fakes.fits[name] = msgspec.structs.replace(fakes.fits[name], fits=False)
    async with app.run_test(size=(120, 36)) as pilot:
        (await at_brains(pilot)).put(name)
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert f"`omni quantise {name}` makes it smaller." in screen_text(app)


async def test_from_a_brain_that_is_here_into_the_conversation(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    changed = fakes_of(app).changed_settings
    async with app.run_test(size=(120, 36)) as pilot:
        await at_brains(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert "How shall it look?" in screen_text(app)
        app.query_one(Listing).put("omni-light")
        await settled(pilot)
        assert app.theme == "omni-light"
        await pilot.press("enter")
        await settled(pilot)
        assert "Ready." in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.rail.active == "chat"
        assert type(app.focused).__name__ == "Field"
        assert changed == {"ui.theme": "omni-light", "ui.ready": True, "chat.brain": CODER}
        assert app.status.state.brain == CODER


async def test_the_status_line_names_the_chosen_brain_as_soon_as_it_is_here(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    library: Any = app.services.library
    library.pull_events = [PullStarted(brain=QWEN, size=2_500_000_000), Gate()]
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        assert app.status.state.brain == ""
        await pilot.press("enter")
        await settled(pilot)
        assert "How shall it look?" in screen_text(app)
        assert app.status.state.brain == CODER
        await pilot.press("left")
        await settled(pilot)
        listing.put(QWEN)  # another one, which must be fetched first
        await pilot.press("enter")
        await settled(pilot)
        assert (app.status.state.brain, app.status.state.base) == ("", "")


async def test_a_brain_on_its_way_is_waited_for_in_the_conversation(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    library: Any = app.services.library
    half = Gate()
    brain = next(each for each in library.list if each.name == QWEN)
    library.pull_events = [
        PullStarted(brain=QWEN, size=2_500_000_000),
        PullProgress(done=1_000_000_000, total=2_500_000_000, rate=22e6, seconds_left=68),
        half,
        PullDone(brain=brain),
    ]
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        listing.put(QWEN)
        await pilot.press("enter")
        await settled(pilot)
        progress = ("1.0 GB of 2.5 GB", "22 MB/s", "68 s left")
        for words in progress:
            assert words in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        text = screen_text(app)
        assert "Almost ready." in text
        assert "Everything is here." not in text
        await pilot.press("enter")
        await settled(pilot)
        assert app.rail.active == "chat"
        for words in progress:
            assert words in screen_text(app)
        assert "•Cartridges" in screen_text(app)
        await pilot.press(*"hello", "enter")
        await settled(pilot)
        assert "waiting for the download" in screen_text(app)
        assert fakes_of(app).chat.asked == []
        half.open()
        await settled(pilot)
        await settled(pilot)
        assert f"{QWEN} is here." in said(app)
        assert fakes_of(app).chat.asked == ["hello"]
        assert "22 MB/s" not in screen_text(app)
        assert "•Cartridges" not in screen_text(app)


async def test_ready_is_not_said_of_a_brain_that_did_not_come(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    library: Any = app.services.library
    fails = [True]

    async def broken() -> None:
        if fails:
            raise OmniError("The other side hung up.", hint="Look at the network.")

    library.pull_events = [broken]
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        listing.put(QWEN)
        await pilot.press("enter", "enter")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        text = screen_text(app)
        for words in ("Not ready yet.", "It did not come.", "The other side hung up.", "← choose another"):
            assert words in text
        assert "Everything is here." not in text
        fails.clear()
        await pilot.press("r")
        await settled(pilot)
        assert "Everything is here." in screen_text(app)
        await pilot.press("left", "left")
        await settled(pilot)
        assert "Which brain shall be the first?" in screen_text(app)


async def test_a_download_can_be_cancelled_and_gone_on_with(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    library: Any = app.services.library
    library.pull_events = [PullStarted(brain=QWEN, size=100), Gate()]
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        listing.put(QWEN)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("x")
        await settled(pilot)
        assert app.pulls.running == []
        assert "cancelled" in screen_text(app)
        await pilot.press("r")
        await settled(pilot)
        assert library.orders.count(f"pull {QWEN}") == 2
        await pilot.press("x")
        await settled(pilot)


async def test_a_shut_door_is_said_where_the_download_stands(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)

    async def refused() -> None:
        raise NetworkBlocked("The air gap is on.", hint="F12 opens the doors again.")

    fakes_of(app).library.pull_events = [refused]
    async with app.run_test(size=(120, 36)) as pilot:
        listing = await at_brains(pilot)
        listing.put(QWEN)
        await pilot.press("enter")
        await settled(pilot)
        text = screen_text(app)
        assert "The air gap is on." in text
        assert "F12 opens the doors again." in text
        assert "r try again" in text


async def test_esc_leaves_it_for_later_and_the_dashboard_offers_it_again(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await at_brains(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert not app.query(Wizard)
        assert "w first steps" in screen_text(app)
        assert fakes_of(app).changed_settings == {}
        await pilot.press("w")
        await settled(pilot)
        assert app.query(Wizard)


async def test_a_file_of_ones_own(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await at_brains(pilot)
        await pilot.press("o")
        await settled(pilot)
        await pilot.press(*"/models", "enter")
        await settled(pilot)
        assert "add /models" in fakes_of(app).library.orders


async def test_the_last_step_links_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omni.environment.command import Linked

    path = tmp_path / "bin" / "omni"
    monkeypatch.setattr("omni.environment.link_command", lambda home: Linked(path=path, on_path=True), raising=False)
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(160, 36)) as pilot:
        await at_brains(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("l")
        await settled(pilot)
        await settled(pilot)
        assert "from now on `omni` opens this" in screen_text(app)


@pytest.mark.parametrize("size", [(40, 12), (80, 24)])
async def test_it_can_be_gone_through_where_it_is_small(tmp_path: Path, size: tuple[int, int]) -> None:
    app: OmniApp = shell(tmp_path, ready=False)
    async with app.run_test(size=size) as pilot:
        await at_brains(pilot)
        assert "Recommended" in screen_text(app)
        assert "enter use it" in screen_text(app)
        for _ in range(3):
            await pilot.press("enter")
            await settled(pilot)
        assert app.rail.active == "chat"


async def test_where_nothing_is_here_the_library_recommends_what_to_fetch(tmp_path: Path) -> None:
    brains, fits = sample_brains()
    app = shell(tmp_path, ready=False)
    fakes_of(app).library.list = [brain for brain in brains if brain.state == "available"]
    fakes_of(app).fits = fits
    async with app.run_test(size=(120, 36)) as pilot:
        assert (await at_brains(pilot)).key == QWEN
        text = screen_text(app)
        assert "● Recommended  the most capable that answers faster than you read" in text
        assert "● Qwen3 4B" in text
        assert "2.5 GB to download · Apache-2.0" in text


async def test_whoever_has_a_brain_gets_the_dashboard_and_the_first_steps_from_the_palette(tmp_path: Path) -> None:
    (tmp_path / "cartridges").mkdir()
    (tmp_path / "cartridges" / "index.db").touch()
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await settled(pilot)
        assert "Talk to Qwen coder 1.5B" in screen_text(app)
        await find(pilot, "wizard again")
        await pilot.press("enter")
        await settled(pilot)
        await settled(pilot)
        assert "Welcome to omni" in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
async def test_no_word_is_cut_where_one_chooses(tmp_path: Path, size: tuple[int, int]) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=size) as pilot:
        listing = await at_brains(pilot)
        for key in (CODER, QWEN, "gemma3:4b", "@omni/qwen3-30b", STARTER):
            listing.put(key)
            await settled(pilot)
            rows = [row for row in screen_text(app).splitlines() if "still looking" not in row]
            assert "…" not in "".join(rows), key
        assert "Choose another one." not in screen_text(app)


async def test_the_table_keeps_its_height_while_the_bar_moves(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(80, 24)) as pilot:
        listing = await at_brains(pilot)
        heights = set()
        for key in (CODER, QWEN, "@omni/qwen3-30b", STARTER):
            listing.put(key)
            await settled(pilot)
            heights.add(listing.size.height)
        assert len(heights) == 1


async def test_ready_is_not_contradicted_by_the_status_line(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await at_brains(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        text = screen_text(app)
        assert "Everything is here." in text
        assert "no brain yet" not in text
        assert CODER in text.splitlines()[-1]
