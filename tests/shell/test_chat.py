"""The chat pane: every event of a turn is seen, errors stand in place with the key that helps, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx
from msgspec import structs
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.theme import Theme
from textual.widgets import Input
from textual.worker import WorkerCancelled

from omni.cartridges.brains import Base, Brain
from omni.cartridges.gguf import GgufHeader
from omni.chat import ChatMessage, ChatService, ChatStore
from omni.chat.export import to_json
from omni.core.clock import SystemClock
from omni.core.errors import EngineError, NotFound, StorageError
from omni.core.events import BrainLoading, TurnQueued
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine.scripted import Reply, ScriptedEngine
from omni.shell.composer import Composer
from omni.shell.panes.chat import FIRST_SHOWN, ChatPane
from omni.shell.panes.chat_list import ConversationList
from omni.shell.transcript import Transcript
from tests.shell.fakes import FakeClock

COLOURS = [
    "background",
    "rail",
    "panel",
    "raised",
    "line",
    "text",
    "second",
    "third",
    "accent",
    "person",
    "amber",
    "red",
    "chosen",
]


@pytest.fixture(autouse=True)
def _no_blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockBuster]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("TMUX", raising=False)
    with blockbuster_ctx("omni") as blocker:
        yield blocker


class Library:
    """One brain, or none."""

    def __init__(self) -> None:
        header = GgufHeader(version=3, architecture="llama", kind="model", name="Base 1B")
        base = Base(id="sha256-b", path="/b", parts=("/b",), size=1, header=header, origin="file")
        self.brain: Any = Brain(name="@t/brain", state="ready", title="Brain", context_max=4096, base=base)

    async def get(self, name: str) -> Any:
        if self.brain is None or (name and name != self.brain.name):
            raise NotFound(f"No brain is named {name!r}.", hint="Press ctrl+o.")
        return self.brain

    async def best(self) -> Any:
        return self.brain


class Host(App[None]):
    """The pane alone."""

    AUTO_FOCUS = None

    def __init__(self, services: Any, project: Path) -> None:
        super().__init__()
        self.project = project
        self.pane = ChatPane(services)
        self.statuses: list[ChatPane.Status] = []
        own = {f"omni-{name}": "#808080" for name in COLOURS}
        self.register_theme(Theme(name="plain", primary="#808080", variables=own))
        self.theme = "plain"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {f"omni-{name}": "#808080" for name in COLOURS}

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.pane.take_focus()

    def on_chat_pane_status(self, message: ChatPane.Status) -> None:
        self.statuses.append(message)


class Stage:
    """What a test has in its hands."""

    def __init__(self, host: Host, pilot: Pilot[None], engine: ScriptedEngine, services: Any) -> None:
        self.host, self.pilot, self.engine, self.services = host, pilot, engine, services
        self.pane, self.transcript, self.composer = host.pane, host.pane.transcript, host.pane.composer

    @property
    def screen(self) -> str:
        """All that is drawn in the transcript."""
        rows = self.transcript.render_lines(self.transcript.size.region)
        return "\n".join(strip.text.rstrip() for strip in rows)

    @property
    def notes(self) -> str:
        return "\n".join(note.message for note in self.host._notifications)

    async def say(self, text: str) -> None:
        self.composer.put(text)
        await self.pilot.press("enter")

    async def quiet(self) -> None:
        """Until no turn runs and all that follows from it is shown."""
        for _ in range(3):
            with suppress(WorkerCancelled):  # a stopped turn is one
                await self.host.workers.wait_for_complete()
            await self.pilot.pause()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await self.pilot.pause()

    async def hears(self, told: Callable[[], None], text: str) -> None:
        """Tell of a change until its text is on the screen."""
        async with asyncio.timeout(10):
            while text not in self.screen:
                told()
                await self.pilot.pause()


@asynccontextmanager
async def stage(
    tmp_path: Path, *replies: str | Reply, size: tuple[int, int] = (100, 40), clock: Any = None
) -> AsyncIterator[Stage]:
    home = await asyncio.to_thread(_home, tmp_path)
    project = tmp_path / "shop"
    engine = ScriptedEngine(replies or ("A whole answer.",), tokens_per_chunk=2)
    library = Library()
    store = ChatStore(home.root / "chat.db")
    chat = ChatService(store, SimpleNamespace(open=lambda _brain: _ready(engine)), library)
    services: Any = SimpleNamespace(
        chat=chat, library=library, settings=Settings(), clock=clock or SystemClock(), home=home, starter=None
    )
    host = Host(services, project)
    async with host.run_test(size=size) as pilot:
        await pilot.pause()
        yield Stage(host, pilot, engine, services)
        host.workers.cancel_all()
        await pilot.pause()
    await chat.close()


def _home(folder: Path) -> Home:
    (folder / "shop").mkdir()
    return Home(folder / "home").ensure()


async def _ready(engine: ScriptedEngine) -> ScriptedEngine:
    return engine


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
        stored = await one.services.chat.messages(one.pane.conversation.id)
        assert [message.text for message in stored] == ["Why is it slow?", "**Hello** there."]
        assert one.host.statuses[-1].brain == "@t/brain"
        assert one.host.statuses[-1].base == "Base 1B"
        assert one.host.statuses[-1].allocated == 4096
        assert [entry.id for entry in one.transcript.entries] == [message.id for message in stored]


async def test_waiting_and_loading_are_said_in_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = asyncio.Event()
    before = (TurnQueued(place=2, reason="memory"), BrainLoading(brain="b", seconds=1.2, fraction=0.4))
    async with stage(tmp_path, Reply(text="x y", before=before, gates={0: gate})) as one:
        seen: list[str] = []
        say = one.pane.turns._say

        def remember(running: Any, words: str) -> None:
            seen.append(words)
            say(running, words)

        monkeypatch.setattr(one.pane.turns, "_say", remember)
        await one.say("hi")
        await one.until(lambda: "writing" in seen)
        gate.set()
        await one.quiet()
        assert [words for words in seen if words != "asking"][:2] == [
            "waits for memory, place 2",
            "loading 40 %   1.2 s",
        ]


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


async def test_editing_a_question_asks_on_a_new_branch_and_brackets_switch(tmp_path: Path) -> None:
    async with stage(tmp_path, "first", "second") as one:
        await one.say("old words")
        await one.quiet()
        await one.pilot.press("shift+tab", "shift+tab", "e")
        await one.until(lambda: one.composer.text == "old words")
        await one.say("new words")
        await one.quiet()
        assert [entry.text for entry in one.transcript.entries] == ["new words", "second"]
        await one.pilot.press("shift+tab", "shift+tab", "left_square_bracket")
        await one.quiet()
        assert [entry.text for entry in one.transcript.entries] == ["old words", "first"]


async def test_esc_leaves_an_edit_without_a_trace(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("old words")
        await one.quiet()
        await one.pilot.press("shift+tab", "e", "escape")
        await one.until(lambda: one.composer.text == "")
        await one.say("more")
        await one.quiet()
        assert len(one.transcript.entries) == 4


async def test_undo_gives_the_question_back(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("take me back")
        await one.quiet()
        await one.say("/undo")
        await one.quiet()
        assert one.composer.text == "take me back"
        assert not one.transcript.entries


async def test_an_answer_goes_on_while_another_conversation_is_shown(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="slow but whole", gates={1: gate}), "quick") as one:
        await one.say("first")
        await one.until(lambda: len(one.engine.requests) == 1)
        first = one.pane.conversation.id
        await one.pilot.press("ctrl+n")
        await one.until(lambda: one.pane.conversation is None)
        await one.say("second")
        await one.until(lambda: "quick" in one.screen)
        gate.set()
        await one.quiet()
        assert "slow" not in one.screen
        await one.pane.open_conversation(first)
        assert "slow but whole" in one.screen


async def test_coming_back_to_a_running_answer_shows_all_of_it(tmp_path: Path) -> None:
    gates = {2: asyncio.Event(), 4: asyncio.Event()}
    async with stage(tmp_path, Reply(text="a b c d e f", gates=gates)) as one:
        await one.say("first")
        await one.until(lambda: "a b" in one.screen)
        conversation = one.pane.conversation.id
        await one.pane.new_conversation()
        gates[2].set()
        await one.pilot.pause()
        await one.pane.open_conversation(conversation)
        gates[4].set()
        await one.quiet()
        assert "a b c d e f" in one.screen


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
        assert one.pane.conversation.title == "Better title"
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
        assert one.pane.conversation is None


async def test_copying_says_where_it_went(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("q")
        await one.quiet()
        await one.pilot.press("shift+tab", "c")
        await one.until(lambda: "OSC 52" in one.notes)
        assert one.host.clipboard == "A whole answer."


async def test_a_change_by_another_front_end_is_read(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("mine")
        await one.quiet()
        kept = list(one.transcript.entries)
        other = one.services.chat
        async for _ in other.ask(one.pane.conversation.id, "theirs"):
            pass
        one.pane.heard(SimpleNamespace(topic="conversation", value={"conversation": one.pane.conversation.id}))
        await one.until(lambda: "theirs" in one.screen)
        assert list(one.transcript.entries)[:2] == kept


async def test_the_list_finds_renames_deletes_and_opens(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        for text in ("apples are red", "pears are green"):
            await one.say(text)
            await one.quiet()
            await one.pane.new_conversation()
        await one.pilot.press("ctrl+t")
        await one.until(lambda: isinstance(one.host.screen, ConversationList))
        sheet = one.host.screen
        assert isinstance(sheet, ConversationList)
        await one.until(lambda: len(sheet._found) == 2)
        sheet.query_one(Input).value = "apples"
        await one.until(lambda: len(sheet._found) == 1)
        await one.pilot.press("ctrl+r")
        sheet.query_one(Input).value = "Fruit"
        await one.pilot.press("enter")
        await one.until(lambda: any(found.title == "Fruit" for found in sheet._found))
        while sheet._chosen() != next(found.id for found in sheet._found if found.title != "Fruit"):
            await one.pilot.press("down")
        await one.pilot.press("delete")
        assert sheet.has_class("-harm")
        assert len(sheet._found) == 2
        await one.pilot.press("delete")
        await one.until(lambda: [found.title for found in sheet._found] == ["Fruit"])
        await one.pilot.press("enter")
        await one.until(lambda: one.pane.conversation is not None)
        await one.quiet()
        assert "apples are red" in one.screen


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


async def test_stopping_at_once_leaves_nothing_running(tmp_path: Path) -> None:
    async with stage(tmp_path, Reply(text="never", gates={0: asyncio.Event()})) as one:
        await one.say("go")
        assert one.pane.stop_answer() or not one.pane.turns
        await one.quiet()
        assert not one.pane.turns
        await one.pane.questions.ask("again")
        assert one.pane.turns
        one.pane.stop_answer()
        await one.quiet()
        assert not one.pane.turns


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
        assert changed == {"chat.answer_tokens": 4096}


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


async def test_what_is_queued_is_asked_though_another_conversation_is_shown(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="first answer", gates={1: gate}), "second answer") as one:
        await one.say("one")
        await one.until(lambda: len(one.engine.requests) == 1)
        await one.say("two")
        first = one.pane.conversation.id
        await one.pane.new_conversation()
        one.composer.put("a draft")
        gate.set()
        await one.until(lambda: len(one.engine.requests) == 2)
        await one.until(lambda: not one.pane.turns)
        assert one.composer.text == "a draft"
        assert not one.transcript.entries
        await one.pane.open_conversation(first)
        assert [entry.text for entry in one.transcript.entries] == ["one", "first answer", "two", "second answer"]


async def test_the_speed_and_that_something_is_written_are_told_while_it_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    clock = FakeClock()
    async with stage(tmp_path, Reply(text="word " * 60, gates={40: gate}), clock=clock) as one:
        receive = one.pane.turns._receive

        def later(running: Any, event: Any) -> None:
            clock.advance(0.1)  # 2 words a chunk, a chunk each tenth of a second
            receive(running, event)

        monkeypatch.setattr(one.pane.turns, "_receive", later)
        await one.say("go")
        await one.until(lambda: bool(one.host.statuses and one.host.statuses[-1].speed))
        assert one.host.statuses[-1].speed == pytest.approx(10.0)
        assert one.host.statuses[-1].busy
        told = len({status.speed for status in one.host.statuses})
        assert told <= 3, "once a second, so that it can be read"
        counted = [status for status in one.host.statuses if status.used]
        assert counted[0].state != "writing", "the meter stands before the first word of the first answer"
        assert all(status.allocated == 4096 for status in counted)
        assert counted[-1].used > counted[0].used, "and rises while it is written"
        gate.set()
        await one.quiet()
        assert not one.host.statuses[-1].busy


async def test_the_title_stands_while_the_first_answer_is_written(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with stage(tmp_path, Reply(text="some words", gates={1: gate})) as one:
        await one.say("Why is it slow?")
        await one.until(lambda: one.pane.conversation is not None and one.pane.conversation.title == "Why is it slow?")
        gate.set()
        await one.quiet()


async def test_an_answer_of_another_omni_grows_in_place(tmp_path: Path) -> None:
    gates = {2: asyncio.Event(), 4: asyncio.Event()}
    async with stage(tmp_path, "mine", Reply(text="a b c d e f", gates=gates)) as one:
        await one.say("first")
        await one.quiet()
        conversation = one.pane.conversation.id

        async def theirs() -> None:
            async for _ in one.services.chat.ask(conversation, "theirs"):
                pass

        def heard() -> None:
            one.pane.heard(SimpleNamespace(topic="conversation", value={"conversation": conversation}))

        asking = asyncio.create_task(theirs())
        await one.hears(heard, "a b")
        growing = one.transcript.entries[-1]
        assert growing.writing
        gates[2].set()
        await one.hears(heard, "a b c d")
        gates[4].set()
        await asking
        await one.hears(heard, "a b c d e f")
        assert one.transcript.entries[-1] is growing
        assert not growing.writing


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


async def test_a_long_conversation_opens_at_its_end_and_is_there_as_a_whole(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        count = 3 * FIRST_SHOWN
        messages = tuple(
            ChatMessage(id=str(at), parent=str(at - 1) if at else None, role="assistant" if at % 2 else "user",
                        text=f"message {at}", time=0.0)
            for at in range(count)
        )  # fmt: skip
        made = await one.services.chat.create()
        head = structs.replace(made, title="Long", head=str(count - 1))
        long = await one.services.chat.load(to_json(head, messages))
        await one.pane.open_conversation(long.id)
        await one.until(lambda: len(one.transcript.entries) == count)
        await one.quiet()
        assert f"message {count - 1}" in one.screen
        assert one.transcript.following
        assert one.composer.history[0] == "message 0"
        one.transcript.action_top()
        await one.pilot.pause()
        assert "message 0" in one.screen


async def test_letters_right_behind_shift_tab_act_and_right_behind_esc_are_written(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("question")
        await one.quiet()
        for key in ("shift+tab", "c", "escape", "c"):
            one.host.post_message(events.Key(key, key if len(key) == 1 else None))
        await one.until(lambda: "OSC 52" in one.notes)
        await one.until(lambda: one.composer.text == "c")
        assert one.host.clipboard == "A whole answer."


async def test_up_recalls_the_questions_of_the_conversation_that_was_opened(tmp_path: Path) -> None:
    async with stage(tmp_path) as one:
        await one.say("an old question")
        await one.quiet()
        conversation = one.pane.conversation.id
        one.composer.history.clear()
        await one.pane.new_conversation()
        await one.pane.open_conversation(conversation)
        await one.pilot.press("up")
        assert one.composer.text == "an old question"
