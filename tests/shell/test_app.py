"""What works from anywhere: panes, the kill switch, leaving, errors."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import EngineError, SetupError
from omni.core.settings import Settings, UiSettings
from omni.keeper import Door, KeeperChange
from omni.shell.app import OmniApp
from omni.shell.modals import AskPath, Consent
from omni.shell.panes import BUILT_IN, PaneSpec
from tests.shell.fakes import FakeClock, fakes_of, said, sample_services, screen_text, settled, shell


def test_the_frame_imports_no_domain_before_its_first_frame() -> None:
    code = (
        "import sys, omni.shell.app, omni.shell.panes.chat, omni.shell.panes.home;"
        "print(*[name for name in sys.modules if name.split('.')[0] in "
        "('sqlcipher3', 'psutil', 'xllamacpp', 'h11', 'tomlkit', 'click') or name.startswith(('omni.keeper', "
        "'omni.cartridges', 'omni.hardware', 'omni.chat', 'omni.engine', 'omni.airlock', 'omni.environment'))])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.split() == []


@pytest.mark.parametrize(
    ("key", "name"), [("f2", "home"), ("f3", "chat"), ("f5", "cartridges"), ("f10", "system"), ("alt+4", "cartridges")]
)
async def test_each_pane_has_its_key(tmp_path: Path, key: str, name: str) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f2" if name != "home" else "f3")
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        assert app.rail.active == name
        pane = app.pane(name)
        assert pane is not None
        assert pane.display
        assert [each.display for each in map(app.pane, app.panes) if each is not None].count(True) == 1


async def test_a_key_of_an_absent_pane_is_free(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f4", "f6", "alt+3")
        await settled(pilot)
        assert app.rail.active == "chat"


async def test_the_focus_of_a_pane_is_kept(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        first = app.focused
        await pilot.press("f5")
        await settled(pilot)
        assert app.focused is not first
        await pilot.press("f3")
        await settled(pilot)
        assert app.focused is first


@pytest.mark.parametrize("size", [(40, 12), (80, 24), (200, 60)])
async def test_every_pane_stands_at_every_size(tmp_path: Path, size: tuple[int, int]) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for key in ("f2", "f5", "f10", "f3"):
            await pilot.press(key)
            await settled(pilot)
            lines = screen_text(app).splitlines()
            assert "doors shut verified" in lines[-1]
            assert len(lines) == size[1]
            shown = app.pane(app.rail.active)
            assert shown is not None
            assert shown.query_one("Keys").region.bottom <= size[1] - 1


async def test_f12_shuts_every_door_at_once(tmp_path: Path) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=True)))
    services.fake_keeper.open = (Door(purpose="pull", host="files.example.org", since=0),)
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert (app.status.state.doors, app.status.state.door) == ("open", "pull files.example.org")
        await pilot.press("f12")
        await settled(pilot)
        assert services.fake_keeper.orders == ["air gap on"]
        assert app.status.state.doors == "air gap"


@pytest.mark.parametrize(
    ("host", "said"),
    [("127.0.0.1:8080", "listening"), ("[::1]:8080", "listening"), ("0.0.0.0:8080", "open"), ("box.lan:8080", "open")],
)
async def test_a_server_for_this_machine_is_no_way_out(tmp_path: Path, host: str, said: str) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=True)))
    services.fake_keeper.open = (Door(purpose="serve", host=host, since=0),)
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.status.state.doors == said
        assert host in screen_text(app).splitlines()[-1]


async def not_done(path: str) -> None:
    raise AssertionError(path)


@pytest.mark.parametrize("keys", [["f12"], ["ctrl+x", "k"]])
async def test_the_kill_switch_works_inside_a_modal(tmp_path: Path, keys: list[str]) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.push_screen(AskPath("A path", "Any.", not_done))
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
        assert fakes_of(app).fake_keeper.orders == ["air gap on"]
        assert isinstance(app.screen, AskPath)


async def test_a_click_on_the_doors_is_the_kill_switch(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.click("#status", offset=(2, 0))
        await settled(pilot)
        assert app.status.state.doors == "air gap"


async def test_lifting_the_air_gap_asks_and_no_key_counts_that_follows_another_too_soon(tmp_path: Path) -> None:
    clock = FakeClock()
    app = shell(tmp_path, clock=clock)
    orders = fakes_of(app).fake_keeper.orders

    def asks() -> bool:
        return isinstance(app.screen, Consent)

    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f12")
        await settled(pilot)
        await pilot.press("f12")
        await settled(pilot)
        assert asks()
        clock.advance(0.49)
        await pilot.press("o")  # typed before it was seen
        clock.advance(0.49)
        await pilot.press("o")  # again too soon after the last
        assert asks()
        clock.advance(0.5)
        await pilot.press("enter")  # it stands on no
        await settled(pilot)
        assert not asks()
        assert orders == ["air gap on"]
        await pilot.press("f12")
        await settled(pilot)
        clock.advance(0.5)
        await pilot.press("o")
        await settled(pilot)
        assert orders == ["air gap on", "air gap off"]
        assert app.status.state.doors == "shut"


async def test_the_doors_follow_what_the_keeper_tells(tmp_path: Path) -> None:
    app = shell(tmp_path)
    keeper = fakes_of(app).fake_keeper
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        keeper.verified = False
        keeper.told.put_nowait(KeeperChange(topic="doors"))
        await settled(pilot)
        assert app.status.state.doors == "not enforced"


async def test_a_keeper_that_does_not_start_is_explained_and_the_shell_stays(tmp_path: Path) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=True)))
    services.fake_keeper.failure = EngineError("The keeper does not answer.", hint="Try `omni doctor`.")
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.status.state.doors == "unknown"
        assert "omni doctor" in said(app)


async def test_ctrl_c_twice_leaves_but_not_with_text_and_not_after_a_while(tmp_path: Path) -> None:
    clock = FakeClock()
    app = shell(tmp_path, clock=clock)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("h", "i", "ctrl+c", "ctrl+c")
        assert app.is_running
        await pilot.press("backspace", "backspace", "ctrl+c")
        clock.advance(5)
        await pilot.press("ctrl+c")
        assert app.is_running
        assert "once more" in said(app)
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert app._exit
    assert fakes_of(app).closed


async def test_ctrl_c_copies_a_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []

    async def copy(text: str, **_: Any) -> str:
        copied.append(text)
        return "Copied."

    monkeypatch.setattr("omni.shell.clipboard.copy", copy)
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("h", "i", "shift+home", "ctrl+c")
        await settled(pilot)
        assert copied == ["hi"]
        assert app.is_running


def test_no_key_of_the_frame_or_a_pane_belongs_to_terminals_and_all_have_an_id_and_a_tooltip() -> None:
    from omni.shell.listing import Listing
    from omni.shell.panes.wizard import Wizard

    owners: list[Any] = [OmniApp, Listing, Wizard, *(spec.load() for spec in BUILT_IN)]
    seen: dict[str, str] = {}
    for owner in owners:
        for binding in owner.BINDINGS:
            for key in binding.key.split(","):
                assert key not in ("ctrl+a", "ctrl+b", "ctrl+s", "ctrl+q"), owner
            assert binding.id, (owner, binding)
            assert binding.tooltip, (owner, binding)
            assert seen.setdefault(binding.id, owner.__name__) == owner.__name__


async def test_a_remapped_key_works_and_the_old_one_does_not(tmp_path: Path) -> None:
    app = shell(tmp_path, settings=Settings(ui=UiSettings(ready=True, keys={"pane-system": "f9"})))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f10")
        await settled(pilot)
        assert app.rail.active == "chat"
        await pilot.press("f9")
        await settled(pilot)
        assert app.rail.active == "system"


async def test_a_plug_ins_pane_has_g_and_a_letter(tmp_path: Path) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=True)))
    extra = PaneSpec(name="notes", title="Notes", target="omni.shell.panes.system:SystemPane", letter="n")
    services.plugins.panes = [extra]
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f5")
        await settled(pilot)
        await pilot.press("g", "n")
        await settled(pilot)
        assert app.rail.active == "notes"


async def test_a_pane_that_does_not_load_is_explained(tmp_path: Path) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=True)))
    services.plugins.panes = [PaneSpec(name="bad", title="Bad", target="omni.nothing:Pane", letter="b")]
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f5")
        await settled(pilot)
        await pilot.press("g", "b")
        await settled(pilot)
        assert app.rail.active == "cartridges"
        assert "Bad" in said(app)


async def test_the_first_run_begins_at_home_and_later_ones_in_the_conversation(tmp_path: Path) -> None:
    for ready, name in ((False, "home"), (True, "chat")):
        app = shell(tmp_path, ready=ready)
        async with app.run_test(size=(120, 36)) as pilot:
            await settled(pilot)
            assert app.rail.active == name


async def test_nothing_is_asked_of_the_services_before_the_first_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=False)))
    asked = asyncio.Event()

    async def never() -> Any:
        asked.set()
        await asyncio.Event().wait()

    for part in ("keeper", "hardware"):
        monkeypatch.setattr(services, part, never)
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        assert "Welcome to omni" in screen_text(app)
        await asked.wait()
        assert "doors checking" in screen_text(app)


def test_alt_and_a_number_are_not_taken_for_what_a_macs_option_key_writes(tmp_path: Path) -> None:
    from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

    shell(tmp_path)
    assert not any(f"\x1b{number}" in ANSI_SEQUENCES_KEYS for number in range(10))


def test_without_a_terminal_one_sentence_says_what_works_there() -> None:
    from omni.shell.start import check_terminal

    with pytest.raises(SetupError) as caught:
        check_terminal()
    assert "omni chat" in caught.value.hint
    assert caught.value.exit_code == 4


async def test_an_explained_failure_of_a_worker_is_said_and_the_shell_stays(tmp_path: Path) -> None:
    app = shell(tmp_path)

    async def fail() -> None:
        raise EngineError("The brain is tired.", hint="Ask again.")

    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.run_worker(fail())
        await settled(pilot)
        assert "The brain is tired." in said(app)
        assert app.is_running
