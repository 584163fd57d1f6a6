"""Ctrl+P finds everything by a few letters."""

from pathlib import Path
from typing import Any

from textual.command import CommandList
from textual.pilot import Pilot
from textual.widgets import Input

from tests.shell.fakes import fakes_of, screen_text, settled, shell


async def find(pilot: Pilot[Any], letters: str) -> None:
    await settled(pilot)
    await pilot.press("ctrl+p")
    await settled(pilot)
    pilot.app.screen.query_one(Input).value = letters
    for _ in range(200):  # Textual gathers hits in the background
        await pilot.pause()
        options = pilot.app.screen.query_one(CommandList)
        if options.option_count == 1:
            return
    raise AssertionError(f"{letters!r} never found one thing alone")


async def test_it_lists_panes_themes_and_the_air_gap(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p")
        await settled(pilot)
        await settled(pilot)
        text = screen_text(app)
        for words in ("Cartridges", "Air gap", "Theme: Light", "Brains", "Quit"):
            assert words in text, words


async def test_a_theme_is_found_by_its_letters_and_kept(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await find(pilot, "thlig")
        await pilot.press("enter")
        await settled(pilot)
        await settled(pilot)
        assert app.theme == "omni-light"
        assert fakes_of(app).changed_settings == {"ui.theme": "omni-light"}


async def test_it_opens_once(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p", "ctrl+p")
        await settled(pilot)
        assert len(app.screen_stack) == 2


async def test_ctrl_o_chooses_a_brain_by_typing(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+o")
        await settled(pilot)
        await pilot.press(*"smol")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert len(app.screen_stack) == 1
        assert app.status.state.brain == "@omni/smollm2"


async def test_what_a_command_does_is_weaker_than_its_name(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+p")
        await settled(pilot)
        palette = app.screen
        help_text = palette.get_component_rich_style("command-palette--help-text")
        assert help_text.bold is False
        assert help_text.color is not None
        assert help_text.color.get_truecolor().hex == app.theme_variables["omni-third"]
