"""F1 is written from the bindings."""

from pathlib import Path

from omni.core.settings import Settings, Ui
from omni.shell.help import HelpScreen, sections
from tests.shell.fakes import nothing_blocks, screen_text, settled, shell  # noqa: F401


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
            "cartridges.pull",
            "Shut every door at once",
            "F12",
            "ctrl+x k",
            "F3 alt+2",
        ):
            assert words in text, words
        await pilot.press("escape")
        await settled(pilot)
        assert len(app.screen_stack) == 1


async def test_a_remapped_key_stands_there_as_it_is(tmp_path: Path) -> None:
    app = shell(tmp_path, settings=Settings(ui=Ui(ready=True, keys={"air-gap": "f8"})))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        rows = {name: keys for _, found in sections(app) for keys, _, name in found}
        assert rows["air-gap"] == "F8"


async def test_every_binding_of_the_frame_is_in_it(tmp_path: Path) -> None:
    from omni.shell.bindings import FRAME

    app = shell(tmp_path)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        said = {what for _, found in sections(app) for _, what, _ in found}
        assert {binding.tooltip for binding in FRAME} <= said | {"All keys, where ? is not typed as text"}
