"""Whatever fails in the shell becomes words on the screen and a stack in the log; the draft stays, and the shell goes on."""

import asyncio
import gc
import itertools
from functools import partial
from pathlib import Path

import pytest
from textual.dom import DOMNode
from textual.pilot import Pilot
from textual.timer import Timer
from textual.widget import Widget

from omni.keeper import KeeperChange
from omni.shell.app import OmniApp
from omni.shell.modals import AskPath
from omni.shell.panes import BUILT_IN
from omni.shell.widgets import LineWidget
from tests.shell.failing import DRAFT, KINDS, chat_of, everything, noted, one_of, sample_shell, seen, sheets, until
from tests.shell.fakes import fakes_of, said, screen_text, settled, shell
from tests.shell.throwing import (
    DRAWS,
    classes,
    handlers,
    message_of,
    nodes,
    other_ways,
    starts,
    thrown,
)

pytestmark = pytest.mark.usefixtures("fails_on_purpose")


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
                assert isinstance(started, Timer)
                started.stop()
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
        if name in vars(owner)
        and owner is not LineWidget
        and (name == "render_lines" or "render_lines" not in vars(owner))
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
        chat.changed("status")
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


# --- those who are told, and what nobody waits for


async def test_one_pane_that_fails_to_hear_keeps_nothing_from_the_others(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omni.shell.app.METER_SECONDS", 3600.0)  # else a reading may come between
    async with everything(tmp_path) as (app, pilot):
        heard: list[str] = []
        for number, name in enumerate(app.panes):
            error, kind = thrown(number, explained=False), type(app.pane(name))
            with monkeypatch.context() as changed:
                for other in {type(app.pane(each)) for each in app.panes} - {kind}:
                    changed.setattr(other, "heard", lambda self, _: heard.append(type(self).__name__))
                changed.setattr(kind, "heard", error.throw)
                app.tell_panes(KeeperChange(topic="library", value={}))
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
        app.pulls.start("@omni/qwen3-4b")
        await until(pilot, lambda: not app.pulls.running, "the end")
        assert app.pulls.all["@omni/qwen3-4b"].state == "done"
        assert noted(log, drawn)
        app.pulls._listeners.clear()
        broken = thrown(2, explained=False)
        library.pull_events = [PullStarted(brain="x", size=5), broken.later]
        app.pulls.start("@omni/qwen3-30b")
        await until(pilot, lambda: not app.pulls.running, "the end")
        pulling = app.pulls.all["@omni/qwen3-30b"]
        assert pulling.state == "failed"
        assert pulling.error is not None
        assert broken.mark in pulling.error.message
        assert noted(log, broken)


async def test_the_answer_to_a_question_over_the_pane_may_fail(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    app, error = sample_shell(tmp_path), thrown(1, explained=False)
    others: list[int] = []
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
                ("omni.shell.conversation.model.ConversationModel", "submit", "enter"),
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
