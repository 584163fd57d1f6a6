"""A failure in a conversation loses nothing of what somebody wrote."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from shutil import rmtree
from types import SimpleNamespace
from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.core.events import TextDelta
from omni.core.paths import Home
from tests.ordinary import ordinary_user
from tests.shell.chat_tools import stage
from tests.shell.failing import DRAFT, chat_of, sample_shell, seen, until
from tests.shell.fakes import fakes_of, settled
from tests.shell.throwing import (
    thrown,
)

pytestmark = pytest.mark.usefixtures("fails_on_purpose")


@pytest.mark.parametrize(
    "place",
    [
        "conversation.model.ConversationModel._turn",
        "conversation.model.ConversationModel._send",
        "conversation.turns.Turns.start",
        "panes.chat_entries.Entries.of",
    ],
)
async def test_a_question_that_cannot_be_asked_is_written_again(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    app, error = sample_shell(tmp_path), thrown(1, explained=False)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await settled(pilot)
        monkeypatch.setattr(f"omni.shell.{place}", error.throw)
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
        assert not one.pane.model.turns


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
            await one.until(lambda: words in one.notes)  # noqa: B023 - waited for in the same round
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
