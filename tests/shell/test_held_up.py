"""A pane of a plug-in that does not come back: broken off, said in its place, and nothing else is."""

import time
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from omni.core.watchdog import HeldUp, Watchdog
from tests.shell.fakes import screen_text, settled
from tests.shell.test_foreign_panes import opened, spec


@pytest.fixture
def foreign() -> ModuleType:
    module = ModuleType("omni_test_hangs")
    exec("def hang():\n    while True:\n        pass\n", module.__dict__)
    return module


async def test_what_keeps_the_loop_is_broken_off_where_it_is_a_panes(foreign: ModuleType) -> None:
    watchdog = Watchdog(["omni_test_hangs"], longest=0.1, look=0.02)
    with pytest.raises(HeldUp, match="kept Omni waiting"):
        foreign.hang()
    watchdog.close()


async def test_what_is_slow_and_no_panes_is_left_alone() -> None:
    watchdog = Watchdog(["omni_test_hangs"], longest=0.1, look=0.02)
    end = time.monotonic() + 0.4
    while time.monotonic() < end:
        pass
    watchdog.close()


@pytest.mark.usefixtures("fails_on_purpose")
async def test_the_shell_goes_on_and_says_in_its_place_that_it_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omni.core.watchdog.Watchdog", partial(Watchdog, longest=0.3, look=0.05))
    app = opened(tmp_path, spec("InLoop"))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("f10", "g", "x")
        for _ in range(200):
            await pilot.pause()
            if "InLoop failed" in screen_text(app):
                break
        assert "kept Omni waiting" in screen_text(app)
        await pilot.press("f10")
        await settled(pilot)
        assert app.rail.active == "system"
        assert app.crash is None
