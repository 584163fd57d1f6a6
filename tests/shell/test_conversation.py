"""The conversation without anything that draws: what it does, and what it tells of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omni.cartridges.brains import Base, Brain
from omni.cartridges.gguf import GgufHeader
from omni.chat import ChatService, ChatStore
from omni.core.clock import SystemClock
from omni.core.errors import EngineError, NotFound, OmniError, StorageError, UsageError
from omni.core.events import BrainReplaced
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine.scripted import Reply, ScriptedEngine
from omni.jobs import Jobs
from omni.keeper import KeeperChange
from omni.shell.conversation.commands import Commands
from omni.shell.conversation.model import FIRST_SHOWN, ConversationModel
from omni.shell.conversation.slash_commands import parse_command
from omni.shell.conversation.view import Change


class Downloads:
    """One brain that is on its way."""

    def __init__(self, name: str) -> None:
        self._name, self.here = name, asyncio.Event()

    def runs(self, name: str) -> bool:
        return name == self._name

    async def over(self, name: str) -> None:
        await self.here.wait()


class View:
    """What a conversation told, and a place to write."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.arrivals: Downloads | None = None
        self.changes: list[Change] = []
        self.text = self.written = ""
        self.words: list[str] = []
        self.failures: list[Exception] = []
        self.model: ConversationModel
        self.states: list[str] = []
        self.news = asyncio.Event()

    async def warm(self) -> None:
        pass

    def known(self, error: Exception) -> OmniError:
        return error if isinstance(error, OmniError) else OmniError(f"unexpected: {error}")

    def failed(self, error: Exception) -> None:
        self.failures.append(error)

    def changed(self, what: Change) -> None:
        self.news.set()
        self.changes.append(what)
        if what == "answer" and self.model.answering is not None:
            self.states.append(self.model.answering.state)

    def grew(self, text: str, reasoning: str) -> None:
        self.news.set()
        self.text += text

    def say(self, text: str, *, warning: bool = False) -> None:
        self.words.append(text)

    def accepted(self, text: str) -> None:
        assert text == self.written
        self.written = ""

    def write(self, text: str) -> None:
        self.written = text

    def give_back(self, text: str) -> bool:
        free = not self.written
        self.written = self.written or text
        return free


class Stage:
    """What a test has in its hands."""

    def __init__(self, model: ConversationModel, view: View, engine: ScriptedEngine, services: Any) -> None:
        self.model, self.view, self.engine, self.services = model, view, engine, services

    async def type(self, text: str) -> None:
        """Write it and press Enter."""
        self.view.written = text
        await self.model.submit(text)

    async def ask(self, text: str) -> None:
        await self.type(text)
        await self.model.tasks.settled()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                self.view.news.clear()
                await self.view.news.wait()

    @property
    def told(self) -> list[str]:
        return [one.text for one in self.model.branch]


def brain(name: str) -> Brain:
    header = GgufHeader(version=3, architecture="llama", kind="model", name="Base 1B")
    base = Base(id="sha256-b", path="/b", parts=("/b",), size=1, header=header, origin="file")
    return Brain(name=name, state="ready", context_max=4096, base=base)


class Library:
    """The brains that there are."""

    def __init__(self) -> None:
        self.names = ["@t/one", "@t/two"]

    async def get(self, name: str) -> Any:
        if name not in self.names:
            raise NotFound(f"No brain is named {name!r}.")
        return brain(name)

    async def best(self, **_: Any) -> Any:
        return brain(self.names[0]) if self.names else None


@asynccontextmanager
async def stage(tmp_path: Path, *replies: str | Reply) -> AsyncIterator[Stage]:
    home = Home(tmp_path / "home").ensure()
    engine, library = ScriptedEngine(replies or ("An answer.",)), Library()

    async def opened(_: object) -> ScriptedEngine:
        return engine

    chat = ChatService(ChatStore(home.root / "chat.db"), SimpleNamespace(open=opened), library)
    services: Any = SimpleNamespace(
        chat=chat, library=library, settings=Settings(), clock=SystemClock(), jobs=Jobs(home, None, SystemClock())
    )
    view = View(tmp_path)
    model = view.model = ConversationModel(services, view)
    await model.know_brain()
    yield Stage(model, view, engine, services)
    await model.tasks.close()
    await services.jobs.close()
    await chat.close()


def half(gate: asyncio.Event) -> Reply:
    return Reply(text="half of it", gates={1: gate})


async def test_a_question_is_asked_answered_and_stored(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        assert one.model.brain == "@t/one"
        await one.type("Why is it slow?")
        assert one.view.written == "", "it is on its way"
        assert one.told == ["Why is it slow?", ""], "it is shown before it is stored"
        assert one.model.turn_count == 1
        await one.model.tasks.settled()
        assert one.told == ["Why is it slow?", "An answer."]
        assert one.view.text == "An answer."
        assert one.model.stored().title == "Why is it slow?"
        assert one.model.turn_count == 1
        assert one.model.figures.allocated == 4096
        assert one.view.changes.index("began") < one.view.changes.index("messages")
        assert not one.model.turns


async def test_what_is_sent_during_an_answer_waits_and_can_be_taken_back(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, half(gate), "second") as one:
        await one.type("one")
        await one.type("two")
        await one.type("three")
        assert list(one.model.waiting) == ["two", "three"]
        assert one.model.unsent[-2:] == ["two", "three"]
        one.model.take_back()
        assert one.view.written == "three"
        gate.set()
        await one.model.tasks.settled()
        assert one.told == ["one", "half of it", "two", "second"]
        assert one.view.written == "three", "what is being written meanwhile stays"
        assert not one.model.unsent


async def test_stopping_ends_what_waits_too_and_an_answer_can_go_on(tmp_path: Path) -> None:
    async with stage(tmp_path, half(asyncio.Event()), " and the rest") as one:
        await one.type("one")
        await one.type("two")
        await one.until(lambda: one.view.text)
        assert one.model.stop()
        assert not one.model.stop(), "once is enough"
        await one.model.tasks.settled()
        assert one.model.messages[-1].state == "cancelled"
        assert list(one.model.waiting) == ["two"], "who stops wants to say something else"
        assert not one.model.stop()
        one.model.resume()
        await one.model.tasks.settled()
        assert one.told[:2] == ["one", "half and the rest"]


async def test_a_turn_that_is_stopped_before_it_begins_leaves_nothing_running(tmp_path: Path) -> None:
    async with stage(tmp_path, half(asyncio.Event())) as one:
        await one.type("one")
        assert one.model.stop()
        await one.model.tasks.settled()
        assert not one.model.turns
        assert not one.engine.requests
        await one.type("again")
        assert one.model.turns
        assert one.model.stop()
        await one.model.tasks.settled()
        assert not one.model.turns


async def test_what_is_asked_while_what_waited_is_being_asked_comes_after_it(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, half(gate), "second", "third") as one:
        await one.type("one")
        await one.type("two")
        reads = one.services.chat.messages

        async def read(*args: Any, **named: Any) -> Any:
            if one.model.answering is None:  # the answer is over, and "two" not yet on its way
                one.services.chat.messages = reads
                await one.type("three")
            return await reads(*args, **named)

        one.services.chat.messages = read
        gate.set()
        await one.model.tasks.settled()
        assert one.told == ["one", "half of it", "two", "second", "three", "third"]
        assert not one.model.unsent


async def test_a_question_that_is_stopped_before_it_is_stored_is_given_back_or_waits(tmp_path: Path) -> None:
    async with stage(tmp_path, half(asyncio.Event())) as one:
        await one.type("one")
        assert one.model.stop()
        await one.model.tasks.settled()
        assert one.view.written == "one"
        await one.type("again")
        one.view.written = "a draft"
        assert one.model.stop()
        await one.model.tasks.settled()
        assert one.view.written == "a draft"
        assert list(one.model.waiting) == ["again"]
        assert one.model.unsent == ["again"]


async def test_what_a_plug_in_asks_leaves_what_is_being_written(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.view.written = "a draft"
        await one.model.ask("of a plug-in", conversation="")
        await one.model.tasks.settled()
        assert one.view.written == "a draft"
        assert one.told == ["of a plug-in", "An answer."]


async def test_an_edited_question_that_is_gone_by_then_is_asked_as_a_new_one(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.ask("first")
        await one.ask("second")
        one.model.edit(one.model.messages[2].id)
        await one.services.chat.undo(one.model.shown_id)  # in another window
        await one.model.reload()
        await one.ask("in other words")
        assert one.told == ["first", "An answer.", "in other words", "An answer."]
        assert not one.model.edited


async def test_a_brain_that_is_looked_up_late_does_not_replace_one_that_was_chosen(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path) as one:
        whole = one.services.library.get

        async def get(name: str) -> Any:
            if name == "@t/one":
                await gate.wait()
            return await whole(name)

        one.services.library.get = get
        one.model.heard(KeeperChange(topic="processes", value={}))
        await one.model.use_brain("@t/two")
        gate.set()
        await one.model.tasks.settled()
        assert one.model.brain == "@t/two"


async def test_deleting_what_is_being_answered_fails_nowhere(tmp_path: Path) -> None:
    async with stage(tmp_path, half(asyncio.Event())) as one:
        await one.type("one")
        await one.until(lambda: one.view.text)
        await one.model.delete(one.model.shown_id)
        await one.model.tasks.settled()
        assert (one.model.shown_id, one.told, one.view.failures) == ("", [], [])
        assert await one.services.chat.conversations() == []


async def test_an_edited_question_goes_out_on_a_branch_of_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path, "first", "second") as one:
        await one.ask("old words")
        one.model.edit(one.model.messages[1].id)  # from its answer
        assert one.view.written == "old words"
        await one.type("new words")
        assert one.told == ["new words", ""], "what is asked anew is not shown any more"
        await one.model.tasks.settled()
        assert one.told == ["new words", "second"]
        assert not one.model.edited
        question = one.model.messages[0].id
        assert await one.model.switch(question, 1) == ""
        there = await one.model.switch(question, -1)
        assert one.told == ["old words", "first"]
        assert there == one.model.messages[0].id


async def test_an_edit_that_is_left_leaves_no_trace(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.ask("old words")
        one.model.edit(one.model.messages[0].id)
        assert one.model.leave_edit()
        assert one.view.written == ""
        assert not one.model.leave_edit()
        await one.ask("more")
        assert len(one.told) == 4


async def test_a_failed_answer_is_written_again_beside_the_first(tmp_path: Path) -> None:
    broken = Reply(text="some words", error=EngineError("The worker died."), fail_after=2)
    async with stage(tmp_path, broken, "now it works") as one:
        await one.ask("go")
        failed = one.model.messages[-1]
        assert failed.state == "failed"
        assert one.model.turns.failures[failed.id].message == "The worker died."
        one.model.retry(failed.id)
        assert one.told == ["go", ""]
        await one.model.tasks.settled()
        assert one.told == ["go", "now it works"]
        assert len(one.model.messages[-1].siblings) == 2


async def test_nothing_is_done_to_a_branch_that_is_being_written(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, "first", half(gate)) as one:
        await one.ask("go")
        await one.type("again")
        for act in (one.model.retry, one.model.resume, one.model.compact, lambda: one.model.edit("x")):
            with pytest.raises(UsageError, match="being written"):
                act()
        with pytest.raises(UsageError, match="being written"):
            await one.model.undo()
        gate.set()


async def test_what_is_taken_back_is_written_again_unless_something_else_is(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.ask("first")
        await one.ask("second")
        await one.model.undo()
        assert (one.view.written, one.told) == ("second", ["first", "An answer."])
        await one.model.undo()
        assert (one.view.written, one.told) == ("second", [])
        with pytest.raises(UsageError, match="Nothing was asked"):
            await one.model.undo()


async def test_the_brain_that_was_chosen_answers_from_then_on(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.ask("who?")
        await one.model.use_brain("@t/two")
        assert one.model.figures == (0, 0, 0.0)
        await one.ask("and now?")
        assert [one.model.messages[at].brain for at in (1, 3)] == ["@t/one", "@t/two"]
        conversation = one.model.shown_id
        await one.model.new("@t/one")
        await one.model.open(conversation)
        assert one.model.brain == "@t/two"


async def test_what_changes_elsewhere_is_read_and_an_own_answer_is_not_disturbed(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, "first", half(gate)) as one:
        await one.ask("go")
        await one.services.chat.rename(one.model.shown_id, "Another title")
        one.model.heard(KeeperChange(topic="conversation", value={"conversation": one.model.shown_id}))
        await one.model.tasks.settled()
        assert one.model.stored().title == "Another title"
        await one.type("more")
        read = one.view.changes.count("messages")
        one.model.heard(KeeperChange(topic="conversation", value={"conversation": one.model.shown_id}))
        one.model.heard(KeeperChange(topic="conversation", value={"conversation": "another"}))
        assert one.view.changes.count("messages") == read
        one.services.library.names = ["@t/one", "@t/new"]
        one.model.brain = ""
        one.model.heard(KeeperChange(topic="library", value={}))
        await one.until(lambda: one.model.brain == "@t/one")
        gate.set()


async def test_a_question_that_could_not_be_stored_is_given_back_with_the_reason(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        whole = one.services.chat.ask

        disk = SimpleNamespace(full=True)

        async def ask(*args: Any, **named: Any) -> AsyncIterator[Any]:
            if disk.full:
                raise StorageError("The disk is full.")
            async with aclosing(whole(*args, **named)) as events:
                async for event in events:
                    yield event

        one.services.chat.ask = ask
        await one.ask("anybody there?")
        assert one.view.written == "anybody there?"
        refusal = one.model.refusal
        assert refusal is not None
        assert str(refusal[0]) == "The disk is full."
        assert one.told == []
        assert not one.model.turns
        disk.full = False
        await one.ask("again?")
        assert one.model.refusal is None
        assert one.told == ["again?", "An answer."]


async def test_a_file_that_is_not_there_leaves_the_question_where_it_is(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        with pytest.raises(OmniError, match=r"missing\.py"):
            await one.type("look at @./missing.py")
        assert one.view.written == "look at @./missing.py"
        assert one.model.conversation is None
        assert not one.model.turns


async def test_a_question_that_waited_and_cannot_be_asked_waits_on(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, half(gate), "second") as one:
        (tmp_path / "a.txt").write_text("words")
        await one.type("one")
        await one.type("look at @./a.txt")
        (tmp_path / "a.txt").unlink()
        gate.set()
        await one.model.tasks.settled()
        assert list(one.model.waiting) == ["look at @./a.txt"]
        assert "a.txt" in str(one.view.failures[0])


async def test_an_answer_goes_on_behind_the_screen_and_what_waits_there_is_asked(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, half(gate), "second") as one:
        await one.type("one")
        await one.type("two")
        await one.until(lambda: one.view.text)
        first = one.model.shown_id
        await one.model.new()
        assert (one.model.answering, one.told, list(one.model.waiting)) == (None, [], [])
        assert first in one.model.turns
        gate.set()
        await one.model.tasks.settled()
        assert one.view.text == "half", "what comes behind the screen is not shown"
        await one.model.open(first)
        assert one.told == ["one", "half of it", "two", "second"]


async def test_coming_back_to_a_running_answer_shows_all_that_came(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, half(gate)) as one:
        await one.type("one")
        await one.until(lambda: one.view.text)
        first = one.model.shown_id
        await one.model.new()
        await one.model.open(first)
        assert one.told == ["one", "half"]
        gate.set()


async def test_a_failure_behind_the_screen_is_said(tmp_path: Path) -> None:
    gate = asyncio.Event()
    broken = Reply(text="some words", gates={1: gate}, error=EngineError("The worker died."), fail_after=1)
    async with stage(tmp_path, broken) as one:
        await one.type("one")
        await one.until(lambda: one.view.text)
        await one.model.new()
        gate.set()
        await one.model.tasks.settled()
        assert [str(error) for error in one.view.failures] == ["The worker died."]


async def test_a_conversation_is_deleted_with_its_answer_and_what_waits(tmp_path: Path) -> None:
    async with stage(tmp_path, half(asyncio.Event())) as one:
        await one.type("one")
        await one.type("two")
        await one.until(lambda: one.view.text)
        first = one.model.shown_id
        await one.model.delete(first)
        await one.model.tasks.settled()
        assert (one.model.conversation, one.model.messages, one.model.unsent) == (None, [], [])
        assert not one.model.turns
        with pytest.raises(NotFound):
            await one.services.chat.conversation(first)


async def test_a_brain_that_is_on_its_way_is_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        one.view.arrivals = downloads = Downloads("@t/one")
        await one.type("go")
        await one.until(lambda: "waiting for the download" in one.view.states)
        assert not one.engine.requests
        downloads.here.set()
        await one.model.tasks.settled()
        assert one.told == ["go", "An answer."]


async def test_who_answers_instead_is_said(tmp_path: Path) -> None:
    replaced: Any = BrainReplaced(brain="@t/two", failed="@t/one", reason="It has no layers.")
    async with stage(tmp_path, Reply(text="Hello", before=(replaced,))) as one:
        await one.ask("go")
        assert one.view.words == ["@t/one cannot be loaded, so that @t/two answers: It has no layers."]


async def test_what_fails_while_nobody_waits_is_said(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.ask("go")

        async def conversation(_: str) -> None:
            raise StorageError("The disk is gone.")

        one.services.chat.conversation = conversation
        one.model.heard(KeeperChange(topic="conversation", value={"conversation": one.model.shown_id}))
        await one.model.tasks.settled()
        assert [str(error) for error in one.view.failures] == ["The disk is gone."]


async def test_closing_leaves_the_turns_running(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, half(gate)) as one:
        await one.type("one")
        await one.until(lambda: one.view.text)
        conversation = one.model.shown_id
        await one.model.tasks.close()
        gate.set()
        await one.services.jobs.idle()
        assert [each.text for each in await one.services.chat.messages(conversation)] == ["one", "half of it"]


async def test_of_a_long_conversation_only_the_end_is_read_until_more_is_wanted(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        turns = FIRST_SHOWN // 2 + 5
        for number in range(turns):
            await one.ask(f"question {number}")
        conversation = one.model.shown_id
        await one.model.new()
        await one.model.open(conversation)
        assert (len(one.model.messages), one.model.partly, one.model.turn_count) == (FIRST_SHOWN, True, None)
        await one.ask("one more")
        assert (len(one.model.messages), one.model.partly) == (FIRST_SHOWN + 2, True)
        await one.model.read_more(whole=True)
        assert (one.told[0], one.model.partly, one.model.turn_count) == ("question 0", False, turns + 1)


async def test_commands_do_what_they_say(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        commands = Commands(one.services, one.model, one.view)

        async def run(text: str) -> bool:
            command = parse_command(text)
            assert command is not None
            return await commands.run(*command)

        with pytest.raises(UsageError, match="Nothing was asked"):
            await run("/rename A title")
        await one.ask("go")
        assert await run("/rename A better title")
        assert await run("/export")
        assert "An answer." in (tmp_path / "a-better-title.md").read_text()
        with pytest.raises(UsageError, match="already there"):
            await run("/export")
        assert await run("/system Be brief.")
        assert await run("/brain @t/two")
        await one.ask("again")
        assert "Be brief." in str(one.engine.requests[-1].messages[0])
        assert one.model.messages[-1].brain == "@t/two"
        assert await run("/compact")
        await one.model.tasks.settled()
        assert one.model.messages[-1].role == "summary"
        for name in ("new", "brain", "copy", "search x", "list", "delete", "help"):
            assert not await run(f"/{name}"), "that is for who shows the conversation"
