"""A shell in which one of everything stands, and what must hold of it when something has failed."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from omni.core.errors import OmniError
from omni.shell.app import OmniApp
from omni.shell.foreign import FailedPane
from omni.shell.help import HelpScreen
from omni.shell.modals import AskPath, BrainChooser, Consent
from omni.shell.palette import open_palette
from omni.shell.panes import BUILT_IN
from omni.shell.panes.chat_list import ConversationList
from omni.shell.panes.wizard import Wizard
from omni.shell.reading import DoctorReading, LogReading
from tests.shell.fakes import fakes_of, screen_text, settled, shell
from tests.shell.throwing import (
    Thrown,
    classes,
)

DRAFT = "what somebody is writing,\nin two lines"
KINDS = pytest.mark.parametrize("explained", [False, True], ids=["unexpected", "explained"])
PATIENCE = 60.0  # machines are busy; only a failure waits for it


def sample_shell(root: Path) -> OmniApp:
    app = shell(root)
    fakes_of(app).fake_budget = SimpleNamespace(memory=20_200_000_000, free=20_200_000_000)
    return app


def chat_of(app: OmniApp) -> Any:
    return app.pane("chat")


def sheets(app: OmniApp) -> list[Screen[Any]]:
    """One of each kind that may lie over a pane."""

    async def nothing(_: str) -> None:
        pass

    services: Any = app.services
    return [
        Consent("Sure?", "Nothing happens.", parts=[("a", "b")], clock=services.clock),
        BrainChooser(services),
        AskPath("A path", "Any.", nothing),
        HelpScreen(app),
        LogReading("the shell", [services.home.logs / "shell.jsonl"]),
        ConversationList(services.chat, busy=lambda _: False, delete=nothing),
        DoctorReading(services),
    ]


@asynccontextmanager
async def everything(root: Path) -> AsyncIterator[tuple[OmniApp, Pilot[None]]]:
    """A shell in which one of each widget stands, with a draft in its composer."""
    app = sample_shell(root)
    with patch("omni.diagnostics.findings", all_is_well):
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await stand(app, pilot)
            yield app, pilot


async def all_is_well(_: object) -> list[object]:
    return []


async def stand(app: OmniApp, pilot: Pilot[None]) -> None:
    await settled(pilot)
    for pane in BUILT_IN:
        await app.show(pane.name)
    await settled(pilot)
    chat_of(app).composer.put(DRAFT)
    app._draw_pulls()
    home = app.pane("home")
    assert home is not None
    failed = FailedPane(app.services, BUILT_IN[0], "It did.", "Nothing helps.")
    await home.mount(Wizard(app.services), failed)
    for sheet in sheets(app):
        await app.push_screen(sheet)
    open_palette(app)
    await app.push_screen(Screen())  # nothing shines through it: each word is drawn in a moment
    await settled(pilot)
    app.clear_notifications()


def everybody(app: OmniApp) -> Iterator[object]:
    """The app, each node of each screen, and what of the shell they keep in their attributes."""
    known = tuple(classes())
    nodes: list[object] = [app, *(node for screen in app.screen_stack for node in screen.walk_children(with_self=True))]
    yield from nodes
    for one in nodes:
        yield from (each for each in vars(one).values() if isinstance(each, known))


def one_of(app: OmniApp, kind: type) -> Any:
    instance = next((each for each in everybody(app) if isinstance(each, kind)), None)
    assert instance is not None, f"no {kind.__name__} stands in `everything`: it must, so that things fail in it"
    return instance


async def until(pilot: Pilot[None], holds: Callable[[], object], what: object) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await pilot.pause(0)
    except TimeoutError:
        raise AssertionError(f"never: {what}") from None


def noted(log: pytest.LogCaptureFixture, error: Thrown) -> list[logging.LogRecord]:
    """What the log has of it."""
    return [each for each in log.records if each.exc_info and each.exc_info[1] is error.error]


async def seen(app: OmniApp, pilot: Pilot[None], error: Thrown, log: pytest.LogCaptureFixture, where: object) -> None:
    """The error stands on the screen, its stack in the log; draft and shell are as they were."""
    try:
        async with asyncio.timeout(PATIENCE):
            while error.mark not in screen_text(app):
                await pilot.pause(0)
    except TimeoutError:
        raise AssertionError(f"{where}: no words of {error.error!r} on the screen:\n{screen_text(app)}") from None
    explained = isinstance(error.error, OmniError)
    assert explained != ("Something in Omni failed" in screen_text(app)), where
    records = noted(log, error)
    assert [each.levelname for each in records] == ["WARNING" if explained else "ERROR"], where
    assert f'File "<{error.mark}>"' in log.handler.format(records[0]), f"{where}: no stack in the log"
    assert app.is_running, where
    assert app.crash is None, where
    assert chat_of(app).composer.text == DRAFT, where
    app.clear_notifications()
