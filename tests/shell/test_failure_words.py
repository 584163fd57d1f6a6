"""Where the words of a failure stand: where the eye is, above all that is open, in the place of what cannot be made."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from omni.core.errors import EngineError
from omni.core.settings import Settings, UiSettings
from omni.shell.app import OmniApp
from omni.shell.panes import BUILT_IN
from omni.shell.panes.wizard import Wizard
from tests.shell.failing import DRAFT, chat_of, sample_shell, sheets, until
from tests.shell.fakes import said, sample_services, screen_text, settled, shell
from tests.shell.throwing import (
    thrown,
)

pytestmark = pytest.mark.usefixtures("fails_on_purpose")


# --- where the words stand


async def failing(app: OmniApp, pilot: Pilot[None], at: Widget, words: str) -> str:
    """Let something fail in a worker of this widget, and return the screen with its words."""

    async def fail() -> None:
        raise EngineError(words, hint="Ask again.")

    at.run_worker(fail())
    await until(pilot, lambda: words in screen_text(app), words)
    return screen_text(app)


@pytest.mark.parametrize("number", [2, 5, 6], ids=["path", "conversations", "doctor"])
async def test_a_sheet_that_has_room_for_it_says_it_itself(tmp_path: Path, number: int) -> None:
    app = sample_shell(tmp_path)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        sheet = sheets(app)[number]
        await app.push_screen(sheet)
        await settled(pilot)
        text = await failing(app, pilot, sheet.query_one("*", Widget), "Its brain is tired.")
        assert "Ask again." in text
        assert said(app) == ""
        app.pop_screen()
        await settled(pilot)
        await failing(app, pilot, app.screen.query_one("#body"), "Nobody has room.")
        assert "Nobody has room." in said(app)


async def test_the_wizard_says_it_below_its_question_but_not_behind_another_pane(tmp_path: Path) -> None:
    app = shell(tmp_path, ready=False)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        wizard = app.screen.query_one(Wizard)
        await failing(app, pilot, wizard, "The disk is full.")
        assert said(app) == ""
        await app.show("chat")
        await settled(pilot)
        await failing(app, pilot, wizard, "The disk is empty.")
        assert "The disk is empty." in said(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (40, 12)])
@pytest.mark.parametrize("over", ["palette", "completions", "help"])
async def test_a_toast_lies_above_all_that_is_open(tmp_path: Path, size: tuple[int, int], over: str) -> None:
    app = sample_shell(tmp_path)
    async with app.run_test(size=size, notifications=True) as pilot:
        await settled(pilot)
        await pilot.press({"palette": "ctrl+p", "completions": "/", "help": "f1"}[over])
        await settled(pilot)
        await failing(app, pilot, app.screen.query_one("*", Widget), "Tired.")
        for _ in range(30):  # what lay there before takes no room from the next one
            app.clear_notifications()
        await failing(app, pilot, app.screen.query_one("*", Widget), "Again.")


# --- what cannot be made


@pytest.mark.parametrize("begin", [True, False], ids=["the first pane", "a later one"])
@pytest.mark.parametrize("method", ["__init__", "compose", "on_mount"])
async def test_a_pane_that_cannot_be_made_says_so_in_its_place(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, method: str, begin: bool
) -> None:
    error = thrown(1, explained=False)
    spec = BUILT_IN[1] if begin else BUILT_IN[2]
    monkeypatch.setattr(spec.load(), method, error.throw)
    app = sample_shell(tmp_path)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        if not begin:
            await pilot.press("f5")
        await until(pilot, lambda: f"{spec.title} failed" in screen_text(app), "the pane instead")
        assert error.mark in screen_text(app)
        assert "shell.jsonl" in screen_text(app).replace("\n", "")
        assert f'File "<{error.mark}>"' in log.text
        await pilot.press("f10")
        await settled(pilot)
        assert "everything that runs" in screen_text(app)
        await pilot.press(spec.key)
        await settled(pilot)
        assert f"{spec.title} failed" in screen_text(app)
        assert app.crash is None


class Broken:
    """Whatever is asked of it fails in a manner that nobody expected."""

    def __getattr__(self, name: str) -> Any:
        async def fail(*_: object, **__: object) -> None:
            raise RuntimeError(f"{name} is broken")

        return fail


async def test_where_everything_behind_the_shell_is_broken_it_says_so_and_looks_for_nothing_any_more(
    tmp_path: Path,
) -> None:
    services = sample_services(tmp_path, settings=Settings(ui=UiSettings(ready=True)))
    for part in ("library", "chat", "environment"):
        setattr(services, part, Broken())
    for part in ("keeper", "hardware", "budget", "measured_hardware", "brains_on", "fit", "change_setting"):
        setattr(services, part, getattr(Broken(), part))
    app = shell(tmp_path, services=services)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settled(pilot)
        chat_of(app).composer.put(DRAFT)
        assert app.status.state.doors == "unknown"
        for key in ("f2", "f5", "f10"):
            await pilot.press(key)
            await until(pilot, lambda: "is broken" in screen_text(app), key)
            assert "Looking" not in screen_text(app), key
            assert "looking" not in screen_text(app), key
            app.clear_notifications()
        for key in ("ctrl+o", "f12"):
            await pilot.press(key)
            await until(pilot, lambda: "is broken" in screen_text(app), key)
            app.clear_notifications()
        await pilot.press("f3", "enter")
        await until(pilot, lambda: "is broken" in screen_text(app), "enter")
        assert chat_of(app).composer.text == DRAFT
        assert app.crash is None
