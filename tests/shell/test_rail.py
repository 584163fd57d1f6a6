"""The rail lists what works, marks what is shown, and folds."""

from pathlib import Path

import pytest
from textual.geometry import Offset

from omni.hardware import MachineSample
from omni.shell.panes import BUILT_IN, PaneSpec
from omni.shell.rail import Rail, short_memory
from tests.shell.fakes import screen_text, settled, shell


def rows(rail: Rail, width: int, height: int) -> list[str]:
    return [line.plain for line in rail.lines(width, height)]


def test_panes_stand_with_their_keys_and_groups_are_apart() -> None:
    text = rows(Rail(BUILT_IN, "chat"), 18, 35)
    assert text[1].strip() == "omni"
    assert [row.split() for row in text if "F" in row] == [
        ["Home", "F2"],
        ["▌", "Chat", "F3"],
        ["Cartridges", "F5"],
        ["System", "F10"],
    ]
    assert text[text.index(next(row for row in text if "Chat" in row)) - 1] == ""
    assert all(len(row) <= 18 for row in text)


def test_keys_do_not_move_when_a_pane_is_absent() -> None:
    assert {pane.name: pane.key for pane in BUILT_IN} == {
        "home": "f2",
        "chat": "f3",
        "cartridges": "f5",
        "system": "f10",
    }


def test_folded_it_is_four_columns_and_fits_twelve_rows() -> None:
    rail = Rail(BUILT_IN, "home")
    rail._reading = MachineSample(cpu=100, memory_used=int(2.1 * (1 << 30)), memory_total=8 << 30, cores=2)
    text = rows(rail, 4, 11)
    assert len(text) == 11
    assert all(len(row) <= 4 for row in text)
    assert text[-2].strip() == "100%"
    assert "▌Ho " in text


def test_a_pane_of_a_plug_in_shows_its_letter() -> None:
    rail = Rail(BUILT_IN, "home")
    rail.add([PaneSpec(name="notes", title="Notes", target="x:Y", letter="n")])
    assert any("Notes" in row and "g n" in row for row in rows(rail, 18, 35))


async def test_a_click_shows_the_pane(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        row = next(y for y, pane in app.rail._rows.items() if pane.name == "system")
        await pilot.click(Rail, offset=Offset(3, row))
        await settled(pilot)
        assert app.rail.active == "system"
        assert "Processes" in screen_text(app) or "process" in screen_text(app)


async def test_it_folds_below_a_hundred_columns(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(99, 30)) as pilot:
        await settled(pilot)
        assert app.rail.size.width == 4
        await pilot.resize_terminal(100, 30)
        await settled(pilot)
        assert app.rail.size.width == 18


@pytest.mark.parametrize(
    ("megabytes", "shown"),
    [(58, "58M"), (999, "999M"), (1000, "1.0G"), (1945, "1.9G"), (10_000, "10G"), (512_000, "512G")],
)
def test_memory_never_loses_a_digit(megabytes: int, shown: str) -> None:
    assert short_memory(megabytes * 1e6) == shown
    assert len(shown) <= 4
