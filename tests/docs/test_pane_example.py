"""docs/panes.md: its pane is reached by its keys and shows what it promises."""

from collections.abc import Callable
from pathlib import Path

from omni.core.paths import Home
from omni.core.plugins import Plugins
from tests.shell.fakes import sample_services, screen_text, settled, shell


async def test_the_example_is_shown(installed: Callable[[str], Home], tmp_path: Path) -> None:
    home = installed("panes.md")
    services = sample_services(home.root, plugins=Plugins(home=home))
    app = shell(home.root, services=services)
    async with app.run_test(size=(110, 34)) as pilot:
        await settled(pilot)
        await pilot.pause()
        assert "Uptime" in screen_text(app)
        await pilot.press("f10", "g", "u")
        await settled(pilot)
        text = screen_text(app)
        assert "keeper" in text
        assert "9 min" in text
        assert "look again" in text
        services.fake_keeper.listed = services.fake_keeper.listed[:1]
        await pilot.press("r")
        await settled(pilot)
        assert "keeper" not in screen_text(app)
