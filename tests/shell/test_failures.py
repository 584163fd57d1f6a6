"""Whatever fails in the shell becomes words on the screen and a stack in the log; the draft stays, and the shell goes on."""

import asyncio
import gc
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

from omni.core.errors import EngineError, OmniError
from omni.core.events import TextDelta
from omni.core.paths import Home
from omni.core.settings import Settings, Ui
from omni.keeper import Change
from omni.shell.app import OmniApp
from omni.shell.foreign import FailedPane
from omni.shell.help import HelpScreen
from omni.shell.modals import AskPath, BrainChooser, Consent
from omni.shell.palette import open_palette
from omni.shell.panes import BUILT_IN
from omni.shell.panes.chat_list import ConversationList
from omni.shell.panes.wizard import Wizard
from omni.shell.reading import DoctorReading, LogReading
from omni.shell.widgets import Paint
from tests.ordinary import ordinary_user
from tests.shell.chat_tools import stage
from tests.shell.fakes import fakes_of, said, sample_services, screen_text, settled, shell
from tests.shell.throwing import (
    DRAWS,
    Thrown,
    classes,
    handlers,
    message_of,
    nodes,
    other_ways,
    starts,
    thrown,
)

pytestmark = pytest.mark.usefixtures("fails_on_purpose")

DRAFT = "what somebody is writing,\nin two lines"
KINDS = pytest.mark.parametrize("explained", [False, True], ids=["unexpected", "explained"])
PATIENCE = 60.0  # machines are busy; only a failure waits for it


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO)
    return caplog


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
    with patch("omni.checkup.findings", all_is_well):
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
    found: list[object] = [app, *(node for screen in app.screen_stack for node in screen.walk_children(with_self=True))]
    yield from found
    for one in found:
        yield from (each for each in vars(one).values() if isinstance(each, known))


def one_of(app: OmniApp, kind: type) -> Any:
    found = next((each for each in everybody(app) if isinstance(each, kind)), None)
    assert found is not None, f"no {kind.__name__} stands in `everything`: it must, so that things fail in it"
    return found


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


@KINDS
async def test_what_a_handler_an_action_or_a_watcher_raises(
    tmp_path: Path, log: pytest.LogCaptureFixture, explained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()
    async with everything(tmp_path) as (app, pilot):
        for handler in handlers():
            error, node = thrown(next(numbers), explained), one_of(app, handler.owner)
            with monkeypatch.context() as changed:
                changed.setattr(handler.owner, handler.name, error.throw)
                if (decorated := vars(handler.owner).get("_decorated_handlers")) and handler.message in decorated:
                    changed.setitem(decorated, handler.message, [(error.throw, {})])
                if handler.message is not None:
                    assert node.post_message(message_of(handler.message, node)), handler
                elif "action_" in handler.name:
                    node.call_later(node.run_action, handler.name.partition("action_")[2])
                else:
                    node.call_later(getattr(node, handler.name), 0, 1)
                await seen(app, pilot, error, log, handler)
            log.clear()


@KINDS
async def test_what_a_worker_a_timer_or_a_callback_raises(
    tmp_path: Path, log: pytest.LogCaptureFixture, explained: bool
) -> None:
    numbers = itertools.count()
    kinds = {each.__name__: each for each in classes()}
    async with everything(tmp_path) as (app, pilot):
        assert app.pulls is not None  # made when it is first asked for
        for start in starts():
            error, owner = thrown(next(numbers), explained), one_of(app, kinds[start.owner])
            node = owner if isinstance(owner, DOMNode) else app
            with node._context():  # as if one of its handlers made the call
                started = start.run(owner, {"app": app, "pane": chat_of(app)}, error)
            await seen(app, pilot, error, log, start)
            if start.way == "set_interval":
                assert isinstance(started, object)
                started.stop()  # type: ignore[attr-defined]
            log.clear()


def test_nothing_is_done_later_past_what_catches_failures() -> None:
    assert other_ways() == []


@KINDS
async def test_what_a_widget_raises_while_it_is_drawn(
    tmp_path: Path, log: pytest.LogCaptureFixture, explained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()
    wanted = {
        (owner, name)
        for owner in nodes()
        for name in DRAWS
        if name in vars(owner) and owner is not Paint and (name == "render_lines" or "render_lines" not in vars(owner))
    }
    drawn: set[tuple[type, str]] = set()

    async def draw(app: OmniApp, pilot: Pilot[None]) -> None:
        for node in [node for node in app.screen.walk_children(Widget) if node.size and node.is_on_screen]:
            for owner, name in sorted(wanted - drawn, key=str):
                if not isinstance(node, owner):
                    continue
                error = thrown(next(numbers), explained)
                with monkeypatch.context() as changed:
                    changed.setattr(owner, name, error.throw)
                    node._styles_cache.clear()
                    node._content_height_cache = node._content_width_cache = (None, 0)
                    node.refresh(layout=True)
                    await until(pilot, partial(noted, log, error), (owner, name))
                    await pilot.pause(0)
                    assert app.is_running
                    if name.startswith(("render", "lines")):
                        assert "cann" in screen_text(app), (owner, name)  # the rail has no more room
                drawn.add((owner, name))
                node._styles_cache.clear()
                node.refresh(layout=True)
                await pilot.pause(0)
                log.clear()

    app = shell(tmp_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await settled(pilot)
        for pane in BUILT_IN:
            await app.show(pane.name)
            await settled(pilot)
            await draw(app, pilot)
        chat = chat_of(app)
        await app.show("chat")
        await pilot.press("/")
        await settled(pilot)
        await draw(app, pilot)
        chat.composer.put(DRAFT)
        from omni.shell.transcript import Entry

        chat.transcript.add(Entry("1", "person", "you", "a question"))
        chat.show_empty()
        await settled(pilot)
        await draw(app, pilot)
        for sheet in sheets(app):
            await app.push_screen(sheet)
            await settled(pilot)
            await draw(app, pilot)
            app.pop_screen()
        assert chat.composer.text == DRAFT
        assert app.crash is None
        assert wanted - drawn == set()


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


# --- those who are told, and what nobody waits for


async def test_one_pane_that_fails_to_hear_keeps_nothing_from_the_others(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with everything(tmp_path) as (app, pilot):
        heard: list[str] = []
        for number, name in enumerate(app.panes):
            error, kind = thrown(number, explained=False), type(app.pane(name))
            with monkeypatch.context() as changed:
                for other in {type(app.pane(each)) for each in app.panes} - {kind}:
                    changed.setattr(other, "heard", lambda self, _: heard.append(type(self).__name__))
                changed.setattr(kind, "heard", error.throw)
                app.tell_panes(Change(topic="library", value={}))
                await seen(app, pilot, error, log, kind)
            assert len(heard) == 3
            heard.clear()
        error = thrown(90, explained=False)
        monkeypatch.setattr(app, "_meter_watchers", [error.throw, heard.append])
        await app._measure()
        await seen(app, pilot, error, log, "meters")
        assert len(heard) == 1


async def test_a_download_goes_on_whoever_cannot_draw_it_and_one_that_fails_is_never_here(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    from omni.cartridges import PullStarted

    async with everything(tmp_path) as (app, pilot):
        library = fakes_of(app).library
        drawn = thrown(1, explained=False)
        app.pulls.listen(drawn.throw)
        library.pull_events = [PullStarted(brain="x", size=5)]
        pulling = app.pulls.start("@omni/qwen3-4b")
        await until(pilot, lambda: bool(pulling.end), "the end")
        assert pulling.end == "here"
        assert noted(log, drawn)
        app.pulls._listeners.clear()
        broken = thrown(2, explained=False)
        library.pull_events = [PullStarted(brain="x", size=5), broken.later]
        pulling = app.pulls.start("@omni/qwen3-30b")
        await until(pilot, lambda: bool(pulling.end), "the end")
        assert pulling.end == "failed"
        assert pulling.failure is not None
        assert broken.mark in pulling.failure.message
        assert noted(log, broken)


async def test_the_answer_to_a_question_over_the_pane_may_fail(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    app, error, others = sample_shell(tmp_path), thrown(1, explained=False), []
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        chat_of(app).composer.put(DRAFT)
        question = sheets(app)[0]
        app.push_screen(question, error.throw)
        await settled(pilot)
        app.call_next(error.throw)
        app.call_next(others.append, 1)
        question.dismiss(False)
        await seen(app, pilot, error, log, "the answer")
        assert others == [1]


async def test_a_task_and_a_callback_of_the_loop_that_nobody_waits_for(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    async with everything(tmp_path) as (app, pilot):
        error, called = thrown(1, explained=False), thrown(2, explained=False)
        task = asyncio.create_task(error.later())
        await pilot.pause(0)
        del task
        gc.collect()
        await seen(app, pilot, error, log, "a task")
        asyncio.get_running_loop().call_soon(called.throw)
        await seen(app, pilot, called, log, "a callback")


async def test_the_palettes_own_search_is_no_exception(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Textual notes what a provider of commands raises where nobody looks."""
    app = sample_shell(tmp_path)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        chat_of(app).composer.put(DRAFT)
        for number, name in enumerate(("theme_files", "bell")):
            error = thrown(number, explained=False)
            with monkeypatch.context() as changed:
                if name == "theme_files":
                    changed.setattr(app, name, error.later)
                else:
                    changed.setattr("omni.shell.palette.OmniCommands._commands", error.throw)
                await pilot.press("ctrl+p")
                await seen(app, pilot, error, log, name)
                await pilot.press("escape")


async def test_a_key_whose_action_fails(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sample_shell(tmp_path)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        chat_of(app).composer.put(DRAFT)
        for number, (owner, name, *keys) in enumerate(
            [
                ("omni.shell.app.OmniApp", "action_help", "f1"),
                ("omni.shell.panes.chat.ChatPane", "action_conversations", "ctrl+t"),
                ("omni.shell.composer.Composer", "key", "enter"),
                ("omni.shell.composer.Composer", "_submit", "enter"),
                ("omni.shell.app.OmniApp", "action_air_gap", "ctrl+x", "k"),
                ("omni.shell.panes.chat_questions.Questions", "ask", "enter"),
            ]
        ):
            error = thrown(number, explained=False)
            with monkeypatch.context() as changed:
                changed.setattr(f"{owner}.{name}", error.throw)
                await pilot.press(*keys)
                await seen(app, pilot, error, log, name)


# --- nothing goes round in circles


async def test_what_fails_again_and_again_is_said_once_and_noted_seldom(
    tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    async with everything(tmp_path) as (app, pilot):
        error, times = thrown(1, explained=False), itertools.count()

        def fail() -> None:
            next(times)
            error.throw()

        for _ in range(5):  # in one breath, as terminals send keys
            app.call_later(fail)
        timer = app.set_interval(0.001, fail)
        await until(pilot, lambda: next(times) > 100, "a hundred failures")
        timer.stop()
        assert app.is_running
        assert len(app._notifications) == 1
        assert len(noted(log, error)) == 1


async def test_a_failure_of_the_words_themselves_ends_in_the_log(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = sample_shell(tmp_path)
    error, place, toast = (thrown(number, explained=False) for number in range(3))
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        sheet = sheets(app)[2]
        await app.push_screen(sheet)
        await settled(pilot)
        monkeypatch.setattr(AskPath, "complain", place.throw)
        sheet.call_later(error.throw)
        await until(pilot, lambda: error.mark in said(app), "the toast instead")
        monkeypatch.setattr(app, "_refresh_notifications", toast.throw)
        sheet.call_later(thrown(4, explained=False).throw)
        await until(pilot, lambda: toast.mark in log.text, "the log")
        assert app.is_running
        for each in (error, place, toast):
            assert f'File "<{each.mark}>"' in log.text


async def test_a_toast_that_cannot_be_made_brings_no_other(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from textual.widgets._toast import Toast

    app, error, made = sample_shell(tmp_path), thrown(1, explained=False), itertools.count()

    def fail(_: object, __: object = None) -> None:
        next(made)
        error.throw()

    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        monkeypatch.setattr(Toast, "_on_mount", fail)
        app.call_later(thrown(2, explained=False).throw)
        await until(pilot, lambda: error.mark in log.text, "the log")
        for _ in range(20):
            await pilot.pause()
        assert next(made) <= 3
        assert app.is_running


def test_what_ends_a_program_is_not_kept(tmp_path: Path) -> None:
    app = shell(tmp_path)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        app.attempt(interrupted)


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
    services = sample_services(tmp_path, settings=Settings(ui=Ui(ready=True)))
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


async def test_what_fails_to_hear_of_the_keyboard_has_it_all_the_same(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with everything(tmp_path) as (app, pilot):
        while len(app.screen_stack) > 1:
            app.pop_screen()
        await app.show("cartridges")
        listing = app.screen.query_one("CartridgesPane Listing", Widget)
        await until(pilot, lambda: listing.has_focus, "it has the focus")
        app.set_focus(None)
        await until(pilot, lambda: not listing.has_focus, "it has it no more")
        error = thrown(1, explained=False)
        monkeypatch.setattr("omni.shell.listing.Listing.on_focus", error.throw)
        listing.focus()
        await seen(app, pilot, error, log, "focus")
        assert listing.has_focus
        await pilot.press("down")
        assert app.is_running


@pytest.mark.parametrize("place", ["Turns.begin", "Turns._show", "Turns.start", "Questions._send"])
async def test_a_question_that_cannot_be_asked_is_written_again(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    app, error = sample_shell(tmp_path), thrown(1, explained=False)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        module = {"Turns": "chat_turns", "Questions": "chat_questions"}[place.partition(".")[0]]
        monkeypatch.setattr(f"omni.shell.panes.{module}.{place}", error.throw)
        chat_of(app).composer.put(DRAFT)
        await pilot.press("enter")
        await seen(app, pilot, error, log, place)
        monkeypatch.undo()
        await pilot.press("enter")
        await until(pilot, lambda: not chat_of(app).composer.text, "it is asked")
        assert fakes_of(app).chat.asked == [DRAFT]


# --- what a conversation stands on


@pytest.mark.parametrize("begun", [False, True], ids=["before it is stored", "in its middle"])
async def test_a_turn_that_fails_says_so_where_its_answer_stands(
    tmp_path: Path, log: pytest.LogCaptureFixture, begun: bool
) -> None:
    async with stage(tmp_path, "A whole answer, which nobody will see the end of.") as one:
        whole = one.services.chat.ask

        async def ask(*args: Any, **named: Any) -> AsyncIterator[Any]:
            async with aclosing(whole(*args, **named)) as events:
                async for event in events:
                    if not begun or isinstance(event, TextDelta):
                        raise RuntimeError("out of order")
                    yield event

        one.services.chat.ask = ask
        await one.say("a question")
        await one.until(lambda: "out of order" in one.screen)
        await one.quiet()
        assert "Something in Omni failed (RuntimeError: out of order)" in one.screen
        assert one.composer.text == ("" if begun else "a question")
        assert ("not asked" in one.screen) != begun
        assert "in ask" in log.text
        assert not one.pane.turns


async def test_what_an_editor_wrote_is_kept_where_it_cannot_be_read_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        kept: list[Path] = []

        async def editor(path: Path) -> int:
            kept.append(path)
            await asyncio.to_thread(path.write_text, "from the editor")
            if one.composer.text == "unreadable":
                await asyncio.to_thread(path.rename, path.with_suffix(".bak"))
            else:
                raise EngineError("The editor is gone.", hint="Look.")
            return 0

        one.services.starter = SimpleNamespace(editor=editor)
        for text, words in (("unreadable", "cannot be read"), ("gone", "The editor is gone.")):
            one.composer.put(text)
            await one.pilot.press("ctrl+g")
            await one.until(lambda: words in one.notes)  # noqa: B023
            assert one.composer.text == text
        assert str(kept[0]) in one.notes.replace("\n", "")
        assert await asyncio.to_thread(kept[1].read_text) == "from the editor"


async def test_an_editor_needs_a_file_and_an_export_a_folder(tmp_path: Path) -> None:
    with ordinary_user():  # before there is a thread
        async with stage(tmp_path) as one:
            await one.say("hello")
            await one.quiet()
            closed = tmp_path / "shop" / "closed"
            await asyncio.to_thread(closed.mkdir, 0)
            await one.say("/export closed/in.md")
            await one.until(lambda: "cannot be written" in one.notes)
            assert one.composer.text == "/export closed/in.md", "to be corrected"
            one.host.clear_notifications()
            await one.say(f"/export {'x' * 300}.md")
            await one.until(lambda: "cannot be written" in one.notes)
            one.host.clear_notifications()
            one.services.starter = SimpleNamespace()
            one.services.home = Home(closed)
            one.composer.put(DRAFT)
            await one.pilot.press("ctrl+g")
            await one.until(lambda: "cannot be written" in one.notes)
            assert one.composer.text == DRAFT
            await asyncio.to_thread(closed.chmod, 0o755)


async def test_a_file_that_cannot_be_read_leaves_the_question_where_it_is(tmp_path: Path) -> None:
    with ordinary_user():
        async with stage(tmp_path) as one:
            closed = tmp_path / "shop" / "closed.txt"
            await asyncio.to_thread(closed.write_text, "x")
            await asyncio.to_thread(closed.chmod, 0)
            await one.pilot.press(*"see @clo")
            await one.until(lambda: one.composer.popup.open)
            await one.pilot.press("enter")
            await one.say("see @closed.txt")
            await one.until(lambda: "Permission denied" in one.notes)
            assert one.composer.text == "see @closed.txt"
            await asyncio.to_thread(rmtree, tmp_path / "shop")  # the folder goes away under the shell
            one.composer.put("")
            await one.pilot.press(*"see @clo")
            await one.quiet()
            assert not one.composer.popup.open
            await one.say("see @./closed.txt")
            await one.until(lambda: "There is no file" in one.notes)
            assert one.composer.text == "see @./closed.txt"
