"""F1 is written from the bindings."""

from pathlib import Path

import pytest

from omni.core.settings import Settings, UiSettings
from omni.shell.help import HelpScreen, sections
from tests.shell.fakes import screen_text, settled, shell


async def test_it_says_what_works_here_and_everywhere(tmp_path: Path) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 60)) as pilot:
        await settled(pilot)
        await pilot.press("f5")
        await settled(pilot)
        await pilot.press("f1")
        await settled(pilot)
        assert isinstance(app.screen, HelpScreen)
        text = screen_text(app)
        for words in (
            "Download this brain",
            "Shut every door at once",
            "F12",
            "ctrl+x k",
            "F3 alt+2",
        ):
            assert words in text, words
        assert "cartridges.pull" not in text
        await pilot.press("i")
        await settled(pilot)
        assert "cartridges.pull" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert len(app.screen_stack) == 1


async def test_a_remapped_key_stands_there_as_it_is(tmp_path: Path) -> None:
    app = shell(tmp_path, settings=Settings(ui=UiSettings(ready=True, keys={"air-gap": "f8"})))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        rows = {name.split(" ")[0]: keys for _, section in sections(app) for keys, _, name in section}
        assert rows["air-gap"] == "F8 ctrl+x k"


async def test_every_binding_of_the_frame_is_in_it(tmp_path: Path) -> None:
    from omni.shell.bindings import FRAME

    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        said = {what for _, section in sections(app) for _, what, _ in section}
        assert {binding.tooltip for binding in FRAME} <= said


@pytest.mark.parametrize("key", ["f2", "f3", "f5", "f10"])
async def test_every_row_is_a_sentence_of_its_own(tmp_path: Path, key: str) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press(key)
        await settled(pilot)
        rows = [row for _, section in sections(app) for row in section]
        said = [what for _, what, _ in rows]
        assert len(set(said)) == len(said)
        for what in said:
            assert what[:1].isupper(), what
            assert " " in what, what
            assert not what.endswith("."), what


@pytest.mark.parametrize("size", [(80, 24), (40, 24), (120, 36)])
async def test_its_own_keys_stay_in_view_and_no_word_is_cut(tmp_path: Path, size: tuple[int, int]) -> None:
    app = shell(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("f3", "f1")
        await settled(pilot)
        rows = screen_text(app).splitlines()
        assert any("esc back" in row for row in rows)
        assert "esc back" not in rows[-1]
        assert "doors shut" in rows[-1]
        assert "…" not in "".join(rows[:-1])
