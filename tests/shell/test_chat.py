"""The chat pane: every event of a turn is seen, errors stand in place with the key that helps, and nothing is lost."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual import events

from omni.core.errors import EngineError, StorageError
from omni.core.events import BrainLoading, TurnQueued
from omni.engine.scripted import Reply
from omni.shell.composer import Composer
from omni.shell.transcript import Transcript
from tests.image_tools import png
from tests.shell.chat_tools import stage
from tests.shell.fakes import FakeClock

pytestmark = pytest.mark.usefixtures("all_of_omni_watched")


async def test_an_answer_is_streamed_and_kept(tmp_path: Path) -> None:
    async with stage(tmp_path, Reply(text="**Hello** there.", reasoning="hm so")) as one:
        assert one.transcript.display is False
        await one.say("Why is it slow?")
        await one.quiet()
        assert "Why is it slow?" in one.screen
        assert "Hello there." in one.screen
        assert "thought" in one.screen
        assert "5 tokens" in one.screen or "4 tokens" in one.screen
        assert one.composer.text == ""
        stored = await one.services.chat.messages(one.conversation.id)
        assert [message.text for message in stored] == ["Why is it slow?", "**Hello** there."]
        assert one.host.statuses[-1].brain == "@t/brain"
        assert one.host.statuses[-1].base == "Base 1B"
        assert one.host.statuses[-1].allocated == 4096
        assert [entry.id for entry in one.transcript.entries] == [message.id for message in stored]


async def test_waiting_and_loading_are_said(tmp_path: Path) -> None:
    gate = asyncio.Event()
    before = (TurnQueued(place=2, reason="memory"), BrainLoading(brain="b", seconds=1.2, fraction=0.4))
    async with stage(tmp_path, Reply(text="x y", before=before, gates={0: gate})) as one:
        await one.say("hi")
        await one.until(lambda: one.host.statuses[-1].state == "writing")
        gate.set()
        await one.quiet()
        told = [status.state for status in one.host.statuses if status.state not in ("", "asking")]
        assert told[:2] == ["waits for memory, place 2", "loading 40 %   1.2 s"]


async def test_what_is_sent_during_an_answer_is_queued_and_can_be_taken_back(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="first answer", gates={1: gate}), "second answer") as one:
        await one.say("one")
        await one.until(lambda: len(one.engine.requests) == 1)
        await one.say("two")
        await one.say("three")
        assert one.pane._queue.display
        await one.pilot.press("up")
        assert one.composer.text == "three"
        one.composer.put("")
        gate.set()
        await one.until(lambda: len(one.engine.requests) == 2)
        await one.quiet()
        texts = [entry.text for entry in one.transcript.entries]
        assert texts == ["one", "first answer", "two", "second answer"]
        assert not one.pane._queue.display


async def test_esc_stops_and_o_goes_on(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="half of it", gates={2: gate}), " and the rest") as one:
        await one.say("go")
        await one.until(lambda: "half of" in one.screen)
        await one.pilot.press("escape")
        await one.quiet()
        assert "stopped   ctrl+r retry   shift+tab o go on" in one.screen
        await one.pilot.press("shift+tab", "o")
        await one.quiet()
        assert "half of and the rest" in one.screen
        assert "stopped" not in one.screen


async def test_a_failed_answer_says_why_and_r_retries(tmp_path: Path) -> None:
    broken = Reply(text="some words", error=EngineError("The worker died.", hint="Ask again."), fail_after=2)
    async with stage(tmp_path, broken, "now it works") as one:
        await one.say("go")
        await one.quiet()
        assert "some words" in one.screen
        assert "The worker died." in one.screen
        assert "Ask again." in one.screen
        assert "ctrl+r retry" in one.screen
        await one.pilot.press("shift+tab", "r")
        await one.quiet()
        assert "now it works" in one.screen
        assert "2/2" in one.screen
        await one.pilot.press("left_square_bracket")
        await one.quiet()
        assert "The worker died." in one.screen


async def test_no_brain_gives_the_text_back_and_says_what_helps(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.services.library.brain = None
        await one.say("anybody there?")
        await one.quiet()
        assert "anybody there?" in one.screen or one.composer.text == "anybody there?"
        assert any(word in one.screen for word in ("No brain", "no brain", "brain"))


async def test_a_file_that_is_not_there_keeps_the_question(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say('look at @"src/missing.py"')
        await one.quiet()
        assert one.composer.text == 'look at @"src/missing.py"'
        assert "missing.py" in one.notes
        assert not one.engine.requests


async def test_files_go_along(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        (tmp_path / "shop" / "a.txt").write_text("inside the file")
        await one.say("look at @a.txt")
        await one.quiet()
        assert "inside the file" in str(one.engine.requests[0].messages)
        assert "a.txt 1 line" in one.screen


async def test_commands(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("/nwe")
        await one.quiet()
        assert "There is no command /nwe" in one.notes
        assert one.composer.text == "/nwe"
        await one.say("a question")
        await one.quiet()
        await one.say("/rename Better title")
        await one.quiet()
        assert one.conversation.title == "Better title"
        await one.say("/export")
        await one.until(lambda: "Wrote" in one.notes)
        assert "A whole answer." in (tmp_path / "shop" / "better-title.md").read_text()
        await one.say("/search whole")
        await one.quiet()
        assert "1 block with 'whole'" in one.notes
        await one.pilot.press("escape", "escape")
        await one.say("/system Be brief.")
        await one.say("again")
        await one.quiet()
        assert "Be brief." in str(one.engine.requests[-1].messages[0])
        await one.say("/new")
        await one.quiet()
        assert one.pane.model.conversation is None


async def test_copying_says_where_it_went(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("q")
        await one.quiet()
        await one.pilot.press("shift+tab", "c")
        await one.until(lambda: "OSC 52" in one.notes)
        assert one.host.clipboard == "A whole answer."


async def test_a_narrow_and_low_terminal_still_asks_and_answers(tmp_path: Path) -> None:
    async with stage(tmp_path, size=(40, 12)) as one:
        await one.say("hello")
        await one.quiet()
        assert "A whole answer." in one.screen
        assert one.host.query_one(Composer).region.bottom <= 12
        assert one.host.query_one(Transcript).region.width <= 40


async def test_the_editor_takes_the_text_and_gives_it_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        seen: list[str] = []

        async def editor(path: Path) -> int:
            seen.append(await asyncio.to_thread(path.read_text))
            await asyncio.to_thread(path.write_text, "from the editor\n")
            return 0

        one.services.starter = SimpleNamespace(editor=editor)
        one.composer.put("a draft")
        await one.pilot.press("ctrl+g")
        await one.until(lambda: one.composer.text == "from the editor")
        assert seen == ["a draft"]
        assert not list(one.services.home.root.glob("question-*"))


async def test_an_answer_that_never_stops_is_cut_and_says_how_to_change_that(tmp_path: Path) -> None:
    async with stage(tmp_path, Reply(text="on and ", endless=True)) as one:
        changed: dict[str, Any] = {}

        async def change_setting(key: str, value: Any) -> None:
            changed[key] = value

        one.services.change_setting = change_setting
        await one.say("go")
        await one.quiet()
        assert "tokens, the longest answer   shift+tab o go on" in one.screen
        assert "/longest TOKENS allows longer ones" in one.screen
        await one.say("/longest many")
        await one.until(lambda: "'many' is no number of tokens." in one.notes)
        await one.say("/longest 4,096")
        await one.until(lambda: "Answers may be 4,096 tokens long." in one.notes)
        assert changed == {"chat.max_completion_tokens": 4096}


async def test_a_question_that_is_too_long_says_so_in_place_and_the_next_one_works(tmp_path: Path) -> None:
    async with stage(tmp_path, "short again") as one:
        await one.say("word " * 5000)
        await one.quiet()
        assert "4,096" in one.screen
        assert "shift+tab u take the question back" in one.screen
        await one.pilot.press("shift+tab", "u")
        await one.until(lambda: one.composer.text.startswith("word"))
        one.composer.put("")
        await one.say("a short one")
        await one.quiet()
        assert "short again" in one.screen


async def test_an_image_for_a_brain_that_cannot_see_is_taken_back_and_the_next_question_works(tmp_path: Path) -> None:
    async with stage(tmp_path, "a whole answer") as one:
        picture = tmp_path / "out side.png"
        await asyncio.to_thread(picture.write_bytes, png(64, 48))
        await one.say(str(picture).replace(" ", "\\ "))
        await one.quiet()
        assert "out side.png 64 × 48" in one.screen
        assert "cannot see" in one.screen
        assert "shift+tab u take the question back" in one.screen  # asking again is in vain
        assert "retry" not in one.screen
        await one.say("and without it?")
        await one.quiet()
        assert "a whole answer" in one.screen


class TickingClock(FakeClock):
    """Each event of a turn comes a tenth of a second after the one before."""

    def monotonic(self) -> float:
        self.advance(0.1)
        return self.time


async def test_the_speed_and_that_something_is_written_are_told_while_it_streams(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="word " * 60, gates={40: gate}), clock=TickingClock()) as one:
        await one.say("go")
        await one.until(lambda: bool(one.host.statuses and one.host.statuses[-1].speed))
        assert one.host.statuses[-1].speed == pytest.approx(10.0)
        assert one.host.statuses[-1].busy
        told = len({status.speed for status in one.host.statuses})
        assert told <= 3, "once a second, so that it can be read"
        counted = [(status.used, status) for status in one.host.statuses if status.used]
        assert counted[0][1].state != "writing", "the meter stands before the first word of the first answer"
        assert all(status.allocated == 4096 for _, status in counted)
        assert counted[-1][0] > counted[0][0], "and rises while it is written"
        gate.set()
        await one.quiet()
        assert not one.host.statuses[-1].busy


async def test_an_answer_that_the_disk_does_not_take_is_kept_and_stored_with_the_next_question(tmp_path: Path) -> None:
    async with stage(tmp_path, "a whole answer", "the next") as one:
        store = one.services.chat._store
        finish = store._writing.finish

        def full(*_: Any) -> None:
            raise StorageError("The disk is full.", hint="Free some space.")

        store._writing.finish = full
        await one.say("go")
        await one.quiet()
        assert "a whole answer" in one.screen
        assert "The disk is full." in one.screen
        assert "kept in memory" in one.screen
        store._writing.finish = finish
        await one.say("again")
        await one.quiet()
        assert "a whole answer" in one.screen
        assert "kept in memory" not in one.screen


async def test_letters_right_behind_shift_tab_act_and_right_behind_esc_are_written(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("question")
        await one.quiet()
        for key in ("shift+tab", "c", "escape", "c"):
            one.host.post_message(events.Key(key, key if len(key) == 1 else None))
        await one.until(lambda: "OSC 52" in one.notes)
        await one.until(lambda: one.composer.text == "c")
        assert one.host.clipboard == "A whole answer."
