"""docs/themes.md: its theme is shown, in each kind of terminal, and followed while it is edited."""

from pathlib import Path

import pytest

from omni.core.errors import OmniError
from omni.core.settings import Settings, UiSettings
from omni.core.themes import Depth
from omni.shell.theme import ThemeFile, Themes, Watcher, read_theme
from tests.docs.examples import DOCS, write
from tests.shell.fakes import settled, shell

WAYS: dict[Depth, dict[str, str]] = {
    "truecolor": {"COLORTERM": "truecolor"},
    "256": {"TERM": "xterm-256color"},
    "16": {"TERM": "xterm"},
    "none": {"NO_COLOR": "1"},
}


@pytest.mark.parametrize("depth", WAYS)
async def test_the_example_is_shown(tmp_path: Path, depth: Depth) -> None:
    (path,) = write("themes.md", tmp_path)
    file = read_theme(path)
    settings = Settings(ui=UiSettings(ready=True, theme="harbour"))
    app = shell(tmp_path, settings=settings, environment=WAYS[depth])
    async with app.run_test(size=(100, 30)) as pilot:
        await settled(pilot)
        assert app.theme == "harbour"
        assert app.current_theme.variables["omni-accent"] == file.colour_set(depth)["accent"]
        assert file.title in [each.title for each in (await app.theme_files()).values()]


def test_it_is_followed_while_it_is_edited(tmp_path: Path) -> None:
    (path,) = write("themes.md", tmp_path)
    watcher = Watcher(Themes([path.parent]))
    watcher.look()
    text = path.read_text()
    path.write_text(text.replace("#5cc8c0", "#ff0000"))
    ((_, loaded),) = watcher.look()
    assert isinstance(loaded, ThemeFile)
    assert loaded.colours.accent == "#ff0000"
    path.write_text(text.replace("accent = 80", "accent = 8"))
    ((_, loaded),) = watcher.look()
    assert isinstance(loaded, OmniError)
    assert "colours256.accent" in loaded.message


def test_every_colour_is_explained() -> None:
    page = (DOCS / "themes.md").read_text("utf-8")
    names = (
        ThemeFile.__struct_fields__ + type(read_theme(DOCS.parent / "themes/omni-dark.toml").colours).__struct_fields__
    )
    assert {name for name in names if f"`{name}`" not in page and f"[{name}]" not in page} == set()
