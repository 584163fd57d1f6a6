"""What cannot go on ends the shell loudly: terminal and draft are kept, the stack is in the log, and nothing of what was
written is printed."""

import asyncio
import io
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Never

import pytest
from rich.console import Console
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.app import App

from omni.core.errors import SetupError
from omni.core.paths import Home
from omni.jobs import Job
from omni.shell.app import OmniApp
from omni.shell.drafts import keep_draft
from tests.shell.fakes import settled, shell

pytestmark = pytest.mark.usefixtures("fails_on_purpose")

SECRET = "the words of a person"


def fail(*_: object, **__: object) -> Never:
    question = SECRET + " in a local variable"
    raise ValueError(f"went wrong with {len(question)} characters")


async def crashed(app: OmniApp, then: Callable[[], None] = lambda: None) -> str:
    """What the terminal would show when the shell has ended, which it must."""
    printed = io.StringIO()
    app.error_console = Console(file=printed, width=120)
    with suppress(ValueError):
        async with app.run_test(size=(120, 36), notifications=True) as pilot:
            await settled(pilot)
            chat: Any = app.pane("chat")
            chat.composer.put(SECRET)
            await pilot.pause()
            then()
            async with asyncio.timeout(60):
                await app._exception_event.wait()
    assert isinstance(app.crash, ValueError)
    return printed.getvalue()


@pytest.mark.parametrize("method", ["compose", "on_mount"])
async def test_a_frame_that_cannot_be_made_names_the_place_and_no_local_variable(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(OmniApp, method, fail)
    app = shell(tmp_path)
    printed = io.StringIO()
    app.error_console = Console(file=printed, width=120)
    with pytest.raises(ValueError, match="went wrong"):
        async with app.run_test(size=(120, 36)) as pilot:
            await pilot.pause()
    text = printed.getvalue()
    assert "went wrong with" in text
    assert "question = SECRET" in text, "the line of code, not what it held"
    assert SECRET not in text
    assert SECRET not in caplog.text
    assert "in fail" in caplog.text, "the stack"
    assert isinstance(app.crash, ValueError)


@pytest.mark.parametrize("where", ["render_update", "reflow", "render_segments"])
async def test_a_screen_that_cannot_be_drawn_ends_with_what_was_being_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    app = shell(tmp_path)

    def then() -> None:
        if where == "render_segments":  # what is drawn cannot be sent to the terminal
            monkeypatch.setattr(App, "is_headless", False)
            monkeypatch.setattr(ChopsUpdate, where, fail)
            monkeypatch.setattr(LayoutUpdate, where, fail)
        else:
            monkeypatch.setattr(app.screen._compositor, where, fail)
            monkeypatch.setattr(app.screen._compositor, "render_full_update", fail)
        app.screen.refresh(layout=True)

    text = await crashed(app, then)
    assert "went wrong with" in text
    assert SECRET not in text
    assert SECRET not in caplog.text
    assert "in fail" in caplog.text
    assert app.draft == SECRET


def test_the_draft_is_in_a_file_of_its_own_whose_name_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = Home(tmp_path)
    for text in (SECRET, f"{SECRET} \ud800"):
        keep_draft(home, text)
        said = capsys.readouterr().err
        (path,) = [each for each in tmp_path.iterdir() if str(each) in said]
        assert path.read_text("utf-8").startswith(SECRET)
        assert path.stat().st_mode & 0o777 == 0o600
        assert SECRET not in said
    keep_draft(home, " \n")
    assert capsys.readouterr().err == ""
    assert len(list(tmp_path.iterdir())) == 2


def test_where_no_file_can_be_written_the_draft_is_not_lost_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep_draft(Home(tmp_path / "gone"), SECRET)
    said = capsys.readouterr().err
    assert "cannot be kept" in said
    assert SECRET in said


def test_the_end_of_a_shell_says_where_draft_and_log_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from omni.shell import start

    for crash in (ValueError("boom"), SetupError("The terminal is gone.")):

        def run(self: OmniApp, crash: Exception = crash, **_: object) -> None:
            self.crash, self.draft = crash, SECRET

        monkeypatch.setattr(OmniApp, "run", run)
        monkeypatch.setattr("omni.core.logs.log_to_file", lambda *_: None)
        home = Home(tmp_path).ensure()
        if isinstance(crash, SetupError):
            with pytest.raises(SetupError):
                start._shell(home, None, "", tmp_path, plugins=False)
        else:
            assert start._shell(home, None, "", tmp_path, plugins=False) == 1
        said = capsys.readouterr().err
        assert f"What you were writing is in {tmp_path}/draft-" in said
        assert ("shell.jsonl" in said) == isinstance(crash, ValueError)


async def test_a_lost_window_keeps_what_was_written_before_it_waits_for_what_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = shell(tmp_path)
    going_on = asyncio.Event()

    async def work(_job: Job[str]) -> AsyncGenerator[str]:
        await going_on.wait()
        yield "done"

    def drafts() -> list[str]:
        return [path.read_text("utf-8") for path in app.services.home.root.glob("draft*") if path.stat().st_size]

    async def kept() -> list[str]:
        try:
            async with asyncio.timeout(10):
                while not (texts := await asyncio.to_thread(drafts)):
                    pass
            assert not job.over
            return texts
        finally:
            going_on.set()

    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        chat: Any = app.pane("chat")
        chat.composer.put(SECRET)
        await pilot.pause()
        job = app.services.jobs.begin("turn", "c1", work)
        monkeypatch.setattr(app, "exit", lambda: None)  # the end of this block is its end
        app.lose_window()
        watching = asyncio.create_task(kept())
    assert await watching == [SECRET]
    assert app.draft == "", "it is kept once"
