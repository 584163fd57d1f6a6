"""Chat: one conversation on the screen, as many as one likes answering behind it."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, assert_never

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.worker import Worker, WorkerState, WorkType

from omni.core.errors import OmniError, UsageError
from omni.core.events import (
    BrainLoading,
    ChatEvent,
    ContextCompacted,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    TurnEnded,
    TurnQueued,
    TurnStarted,
)
from omni.shell.completion import Choice
from omni.shell.composer import Composer
from omni.shell.glyphs import glyphs
from omni.shell.pane import Pane
from omni.shell.panes.chat_commands import COMMANDS, parse_command, run_command
from omni.shell.panes.chat_editor import edit_outside
from omni.shell.panes.chat_entries import clock_time, compacted_words, entries_of, waiting_words
from omni.shell.panes.chat_turn import Ask, Running
from omni.shell.transcript import Entry, Transcript
from omni.shell.widgets import Keys, Lines, ink

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.chat import ChatMessage, Conversation
    from omni.keeper import Change

LONGEST_NAME = 60


class ChatPane(Pane):
    """Title, transcript, what is queued, composer, keys."""

    DEFAULT_CSS = """
    ChatPane { padding: 1 1 0 2; }
    ChatPane > #chat-title { margin-bottom: 1; }
    ChatPane > Transcript { height: 1fr; width: 100%; }
    ChatPane > #chat-teach { height: 1fr; padding: 0 3; }
    ChatPane > #chat-queue { padding: 0 3; display: none; }
    ChatPane > Composer { margin: 0 1 0 0; }
    ChatPane > #chat-keys { padding: 0 1 0 3; }
    Screen.-narrow ChatPane { padding: 0 0 0 1; }
    Screen.-low ChatPane { padding: 0 0 0 1; }
    Screen.-low ChatPane > #chat-title { margin: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+t",
            "conversations",
            "conversations",
            id="chat.list",
            tooltip="Other conversations: find, open, rename, delete",
        ),
        Binding("ctrl+n", "new", "new", id="chat.new", tooltip="Begin a conversation"),
        Binding("ctrl+r", "retry", "retry", id="chat.retry", show=False, tooltip="Have the last answer written again"),
    ]

    class Status(Message):
        """What the status line shows: the brain, its base, context used of allocated, tokens per second, a word."""

        def __init__(
            self, *, brain: str, base: str, used: int | None, allocated: int | None, speed: float | None, state: str
        ) -> None:
            super().__init__()
            self.brain, self.base = brain, base
            self.used, self.allocated, self.speed, self.state = used, allocated, speed, state

    def __init__(self, services: "Services") -> None:
        super().__init__(services)
        self.conversation: Conversation | None = None
        self.brain = ""
        self._base = ""
        self.system = ""
        self._used: int | None = None
        self._allocated: int | None = None
        self._speed: float | None = None
        self._turns: dict[str, Running] = {}
        self._queues: dict[str, list[str]] = {}
        self._known: dict[str, tuple[ChatMessage, list[Entry]]] = {}
        self.messages: list[ChatMessage] = []
        self._failures: dict[str, OmniError] = {}
        self._edited: str | None = None
        self._count = 0
        self._reading = asyncio.Lock()
        self._glyphs = glyphs(services.settings.ui.glyphs)
        self.transcript = Transcript(glyphs=self._glyphs)
        self.composer = Composer(
            commands=lambda: [Choice(f"/{one.name}", one.about, bool(one.takes)) for one in COMMANDS],
            complete=self._complete,
        )
        self._title = Lines(ink(("New conversation", "bold text")), id="chat-title")
        self._teach = Lines(id="chat-teach")
        self._queue = Lines(id="chat-queue")
        self._keys = Keys(id="chat-keys")

    # ---- what the frame asks for

    @property
    def project(self) -> Path:
        """The folder that Omni was started in."""
        return Path(getattr(self.app, "project", None) or Path.cwd())

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield self._title
        yield self._teach
        yield self.transcript
        yield self._queue
        yield self.composer
        yield self._keys

    def on_mount(self) -> None:
        """An empty conversation; its brain is looked up behind the first frame."""
        self.brain = getattr(self.app, "wanted_brain", "") or self.services.settings.chat.brain
        self._show_empty()
        self._show_keys()
        self._work(self._know_brain, "brain of the conversation")

    def take_focus(self) -> None:
        """Writing is what one comes for."""
        self.composer.field.focus()

    def heard(self, change: "Change") -> None:
        """Another front end changed something."""
        if change.topic == "conversation":
            value = change.value
            found = value.get("conversation", "") if isinstance(value, dict) else str(value)
            self.refresh_conversation(found)
        elif change.topic in ("library", "processes"):
            self._work(self._know_brain, "brain of the conversation")

    def refresh_conversation(self, conversation: str) -> None:
        """Read a conversation again if it is on the screen; the view stays where it is."""
        if self.conversation is not None and self.conversation.id == conversation and conversation not in self._turns:
            self._work(self._reload, "read the conversation again")

    def stop_answer(self) -> bool:
        """Stop the answer of the conversation on the screen; False when nothing is being written."""
        running = self._shown_turn()
        if running is None or running.worker is None or running.stopped:
            return False
        running.stopped = True
        running.worker.cancel()
        return True

    async def use_brain(self, brain: str) -> None:
        """The next answers come from this brain."""
        self.brain = brain
        if self.conversation is not None:
            self.conversation = await self.services.chat.choose(self.conversation.id, brain=brain)
        self._used = self._allocated = self._speed = None
        await self._know_brain()
        self.take_focus()

    async def new_conversation(self, brain: str = "") -> None:
        """An empty conversation; it is stored with its first question."""
        self.conversation = None
        self.brain = brain or self.brain
        self.system = ""
        self.messages, self._known, self._edited = [], {}, None
        self._used = self._allocated = self._speed = None
        self.composer.put("")
        self.transcript.show([])
        self.show_title()
        self._show_empty()
        self._show_queue()
        self._show_keys()
        await self._know_brain()
        self.take_focus()

    async def open_conversation(self, conversation: str) -> None:
        """Show a stored conversation at its end."""
        self.conversation = await self.services.chat.conversation(conversation)
        self.brain = self.conversation.brain or self.brain
        self.messages, self._known, self._edited = [], {}, None
        self._used = self._allocated = self._speed = None
        await self._reload(keep=False)
        self._learn_usage()
        self._show_queue()
        await self._know_brain()
        self.take_focus()

    # ---- what is shown

    def _work(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        explained: WorkType[None] = partial(self._explained, work)
        self.run_worker(explained, name=name, group="chat", exit_on_error=True)

    async def _explained(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await work()
        except OmniError as error:
            self._complain(error)

    def _complain(self, error: OmniError) -> None:
        self.notify(f"{error.message}\n{error.hint}".strip(), severity="error", markup=False, timeout=8)

    def say(self, text: str) -> None:
        """A word that goes away by itself."""
        self.notify(text, markup=False, timeout=3)

    def _shown_turn(self) -> Running | None:
        return self._turns.get(self.conversation.id) if self.conversation else self._turns.get("")

    async def _know_brain(self) -> None:
        """Find out what the brain stands on, and which one it is when nobody chose."""
        brain: Brain | None = None
        library = self.services.library
        try:
            brain = await library.get(self.brain) if self.brain else await library.best()
        except OmniError:
            brain = None  # said when a question is asked
        if brain is not None:
            self.brain = brain.name
            self._base = (brain.base.header.name if brain.base is not None else "") or brain.title
        else:
            self._base = ""
        self._show_empty()
        self._post_status()

    def _post_status(self) -> None:
        running = self._shown_turn()
        self.post_message(
            self.Status(
                brain=self.brain,
                base=self._base,
                used=self._used,
                allocated=self._allocated,
                speed=self._speed,
                state=running.state if running else "",
            )
        )

    def show_title(self) -> None:
        """Title, project, turns; where it is narrow the title gives."""
        one = self.conversation
        place = self.project.name if one is None else Path(one.project).name if one.project else ""
        turns = sum(entry.kind == "person" for entry in self.transcript.entries)
        count = f"{turns} turn{'s' * (turns != 1)}" if one is not None else ""
        title = Content((one.title if one is not None else "") or "New conversation")
        room = self._title.size.width - sum(len(part) + 3 for part in (place, count) if part)
        if 12 <= room < title.cell_length:
            title = title.truncate(room, ellipsis=True)
        self._title.show(
            ink(
                (title.plain, "bold text"),
                (f"   {place}" if place else "", "second"),
                (f"   {count}" if count else "", "third"),
            )
        )

    def on_resize(self) -> None:
        """The title takes the room that there is."""
        self.show_title()

    def _show_empty(self) -> None:
        empty = not self.transcript.entries
        self._teach.display = empty
        self.transcript.display = not empty
        if not empty:
            return
        who = self.brain or "a brain"
        lines = [
            ink(("Ask ", "second"), (who, "accent bold" if self.brain else "second"), (" something below.", "second")),
            ink(("What is said stays on this machine.", "third")),
            ink(),
            ink(
                ("@", "text"),
                (" puts a file of the project into the question   ", "third"),
                ("/", "text"),
                (" lists commands", "third"),
            ),
            ink(
                ("ctrl+t", "text"),
                (" earlier conversations   ", "third"),
                ("ctrl+o", "text"),
                (" another brain", "third"),
            ),
        ]
        self._teach.show(*lines)

    def _show_queue(self) -> None:
        waiting = self._queues.get(self.conversation.id if self.conversation else "", [])
        self.composer.queued = len(waiting)
        self._queue.display = bool(waiting)
        rows = []
        for at, text in enumerate(waiting):
            first = " ".join(text.split())
            hint = (f"   {self._glyphs.up} takes it back", "third") if at == len(waiting) - 1 else ("", "third")
            rows.append(
                ink(
                    ("queued  ", "amber"),
                    (first[:LONGEST_NAME] + (self._glyphs.ellipsis if len(first) > LONGEST_NAME else ""), "second"),
                    hint,
                )
            )
        self._queue.show(*rows)

    def _show_keys(self) -> None:
        if self.transcript.has_focus:
            entry = self.transcript.focused_entry
            person = entry is not None and entry.kind == "person"
            first = [("e", "edit", "e")] if person else [("r", "retry", "r")]
            code = [("y", "code", "y")] if entry is not None and entry.codes() else []
            keys = [("c", "copy", "c"), *first, *code, ("u", "undo", "u"), ("enter", "fold", "enter")]
            if entry is not None and entry.branch[1] > 1:
                keys.insert(0, ("[ ]", "branch", ""))
            if entry is not None and any("o go on" in text for text, _ in entry.foot):
                keys.insert(0, ("o", "go on", "o"))
            self._keys.show(*keys, ("shift+tab", "up", "shift+tab"), ("esc", "back", "escape"))
            return
        running = self._shown_turn()
        if self._edited is not None:
            keys = [("enter", "ask on a new branch", "enter"), ("esc", "leave the old question", "escape")]
        else:
            keys = [
                ("enter", "queue" if running else "send", "enter"),
                ("ctrl+j", "line", "ctrl+j"),
                *([("esc", "stop", "escape")] if running else []),
                ("shift+tab", "read", "shift+tab"),
                ("ctrl+t", "chats", "ctrl+t"),
                ("ctrl+o", "brain", "ctrl+o"),
                ("ctrl+p", "everything", "ctrl+p"),
            ]
        self._keys.show(*keys)

    async def _reload(self, *, keep: bool = True) -> None:
        """Read the conversation and show it; entries that did not change stay the same objects."""
        async with self._reading:
            one = self.conversation
            if one is None:
                return
            found = await self.services.chat.conversation(one.id)
            messages = await self.services.chat.messages(one.id)
            if self.conversation is None or self.conversation.id != one.id:
                return  # the person went on while this was read
            self.conversation, self.messages = found, messages
            running = self._turns.get(one.id)
            entries: list[Entry] = []
            for message in messages:
                if running is not None and message.id == running.answer:
                    entries += self._live_entry(running, message)
                else:
                    entries += self._entries(message)
            if running is not None and not running.answer:
                entries += [
                    one for one in self.transcript.entries if one.id in (running.question, f"answer {running.question}")
                ]
            ids = {message.id for message in messages}
            self._known = {key: value for key, value in self._known.items() if key in ids}
            self.transcript.show(entries, keep=keep)
            self.show_title()
            self._show_empty()
            self._show_keys()

    def _entries(self, message: "ChatMessage") -> list[Entry]:
        known = self._known.get(message.id)
        if known is not None and known[0] == message:
            return known[1]
        entries = entries_of(message)
        if (failure := self._failures.get(message.id)) is not None and message.state == "failed":
            entries[-1].foot = ((failure.message, "red"), (f"{failure.hint}   r retry".strip(), "second"))
        old = known[1][-1] if known else self.transcript.entry(message.id)
        new = entries[-1]
        if (
            old is not None
            and not old.writing
            and old.kind == new.kind
            and old.text == new.text
            and old.reasoning == new.reasoning
        ):
            old.facts, old.foot, old.branch, old.name = new.facts, new.foot, new.branch, new.name
            old.thinking_seconds = new.thinking_seconds or old.thinking_seconds
            old.touch()
            old.height_stamp = -1
            entries[-1] = old
        self._known[message.id] = (message, entries)
        return entries

    def _live_entry(self, running: Running, message: "ChatMessage") -> list[Entry]:
        """The answer that is being written, with what came, not with what was stored."""
        old = self.transcript.entry(running.answer)
        if old is not None and old.writing:
            return [old]
        entry = entries_of(message)[-1]
        made = Entry(
            running.answer,
            entry.kind,
            entry.name,
            running.text,
            facts=(clock_time(message.time), running.state),
            reasoning=running.reasoning,
            foot=running.foot,
            branch=entry.branch,
            writing=True,
        )
        return [made]

    def _learn_usage(self) -> None:
        for message in reversed(self.messages):
            if message.usage is not None:
                self._speed = message.usage.speed or None
                return

    # ---- asking

    @on(Composer.Submitted)
    async def _submitted(self, event: Composer.Submitted) -> None:
        event.stop()
        text = event.text
        try:
            if (command := parse_command(text)) is not None:
                self.composer.accept(text)
                await run_command(self, *command)
                return
            if self._edited is not None:
                await self._ask_anew(text)
                return
            await self._ask(text)
        except OmniError as error:
            self._complain(error)

    async def _ask(self, text: str) -> None:
        """Send a question, or queue it while an answer is written."""
        key = self.conversation.id if self.conversation else ""
        queue = self._queues.setdefault(key, [])
        if self._shown_turn() is not None:
            queue.append(text)
            self.composer.accept(text)
            self._show_queue()
            return
        if not text.strip():
            if not queue:
                return
            text = queue.pop(0)
            self._show_queue()
        from omni.chat import expand  # not needed for the first frame

        sent, attachments = await asyncio.to_thread(expand, text, self.project)
        chat = self.services.chat
        self.composer.accept(text)
        if self.conversation is None:
            self.conversation = await chat.create(project=self.project, brain=self.brain, system=self.system)
        conversation = self.conversation.id
        facts = (clock_time(self.services.clock.now()), *(f"{one.path} {one.lines:,} lines" for one in attachments))
        running = self.begin_turn(conversation, sent, facts=facts)
        self.start_turn(
            running, partial(chat.ask, conversation, sent, brain=self.brain, attachments=attachments), unsent=text
        )

    def begin_turn(self, conversation: str, question: str | None, *, facts: tuple[str, ...] = ()) -> Running:
        """Show a turn before anything was stored."""
        self._count += 1
        running = Running(conversation, self.brain)
        running.question = f"asked {self._count}"
        self._turns[conversation] = running
        if question is not None:
            self.transcript.add(Entry(running.question, "person", "you", question, facts=facts))
        self.transcript.add(
            Entry(
                f"answer {running.question}",
                "brain",
                self.brain or "brain",
                facts=(clock_time(self.services.clock.now()), "asking"),
                writing=True,
            )
        )
        self.transcript.action_tail()
        if self.transcript.has_focus:
            self.transcript.focus_entry(len(self.transcript.entries) - 1)
        self.show_title()
        self._show_empty()
        return running

    def start_turn(self, running: Running, ask: Ask, *, unsent: str = "") -> None:
        """Hand a turn to a worker of its own; `unsent` is given back when nothing of it is stored."""
        running.unsent = unsent
        running.worker = self.run_worker(
            partial(self._turn, running, ask),
            name=f"turn in {running.conversation}",
            group="turns",
            exit_on_error=True,
        )
        self._show_keys()
        self._post_status()

    async def _turn(self, running: Running, ask: Ask) -> None:
        """Receive one turn to its end, whatever the end is; then the next in the queue."""
        failure: OmniError | None = None
        whole = False
        try:
            async with aclosing(ask()) as events:
                async for event in events:
                    self._receive(running, event)
                    whole = whole or isinstance(event, TurnEnded)
        except OmniError as error:
            failure = error
            if running.answer:
                self._failures[running.answer] = error
        finally:
            self._turns.pop(running.conversation, None)
            if self.is_attached:
                shown = self.conversation is not None and self.conversation.id == running.conversation
                if shown:
                    self.transcript.finish(running.answer or f"answer {running.question}")
                self.call_later(self._after, running, failure, whole and not running.stopped)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A turn that was stopped before it began never came to its own end."""
        if event.state is not WorkerState.CANCELLED:
            return
        for running in list(self._turns.values()):
            if running.worker is event.worker:
                del self._turns[running.conversation]
                self.transcript.finish(running.answer or f"answer {running.question}")
                self.call_later(self._after, running, None, False)

    async def _after(self, running: Running, failure: OmniError | None, go_on: bool) -> None:
        """The turn is over: show what was stored of it."""
        shown = self.conversation is not None and self.conversation.id == running.conversation
        try:
            if shown:
                await self._reload()
                if failure is not None and not running.answer:
                    self._refused(failure, running.unsent)
            elif failure is not None:
                self._complain(failure)
            self._post_status()
            self._show_keys()
            queue = self._queues.get(running.conversation)
            if queue and go_on and shown:
                text = queue.pop(0)
                self._show_queue()
                await self._send_queued(text)
        except OmniError as error:
            self._complain(error)

    async def _send_queued(self, text: str) -> None:
        draft = self.composer.text
        try:
            await self._ask(text)
        except OmniError:
            self._queues.setdefault(self.conversation.id if self.conversation else "", []).insert(0, text)
            self._show_queue()
            raise
        finally:
            if draft:
                self.composer.put(draft)

    def _refused(self, failure: OmniError, unsent: str) -> None:
        """Nothing was stored: say why where the answer would stand, and give the text back."""
        self._count += 1
        key = f"refused {self._count}"
        foot = [(failure.message, "red")] + ([(failure.hint, "second")] if failure.hint else [])
        self.transcript.add(Entry(key, "note", "not asked", facts=(clock_time(self.services.clock.now()),), foot=foot))
        if unsent and not self.composer.text:
            self.composer.put(unsent)
        self._show_empty()

    def _receive(self, running: Running, event: ChatEvent) -> None:
        """One event of a turn; what is not on the screen is only remembered."""
        shown = self.conversation is not None and self.conversation.id == running.conversation
        transcript = self.transcript
        match event:
            case TurnStarted(question=question, answer=answer, brain=brain):
                if shown:
                    transcript.rename_entry(running.question, question)
                    transcript.rename_entry(f"answer {running.question}", answer)
                    if (entry := transcript.entry(answer)) is not None and brain:
                        entry.name = brain
                running.answer = answer
                running.brain = brain or running.brain
                self._state(running, "asking", shown)
            case TurnQueued() | BrainLoading() | PromptProgress():
                self._state(running, waiting_words(event), shown)
            case ContextCompacted():
                running.foot = [compacted_words(event)]
                if shown and (entry := transcript.entry(running.answer)) is not None:
                    entry.foot = tuple(running.foot)
                    transcript.touch(running.answer)
            case ReasoningDelta(text=text):
                running.thoughts.append(text)
                now = self.services.clock.monotonic()
                running.began_thinking = now if running.began_thinking is None else running.began_thinking
                if shown:
                    self._state(running, "thinking", shown)
                    transcript.think(running.answer, text)
            case TextDelta(text=text):
                running.texts.append(text)
                if running.began_thinking is not None and not running.thinking_seconds:
                    running.thinking_seconds = self.services.clock.monotonic() - running.began_thinking
                    if shown and (entry := transcript.entry(running.answer)) is not None:
                        entry.thinking_seconds = running.thinking_seconds
                self._state(running, "writing", shown)
                if shown:
                    transcript.write(running.answer, text)
            case TurnEnded(usage=usage, context_used=used, context_allocated=allocated):
                if shown:
                    self._used, self._allocated = used or None, allocated or None
                    self._speed = usage.speed or self._speed
                running.state = "ended"
            case _:
                assert_never(event)

    def _state(self, running: Running, state: str, shown: bool) -> None:
        if running.state == state:
            return
        running.state = state
        if shown:
            key = running.answer or f"answer {running.question}"
            if (entry := self.transcript.entry(key)) is not None:
                entry.facts = (*entry.facts[:1], state)
                self.transcript.touch(key)
            self._post_status()

    def must_be_idle(self) -> None:
        """Raises where the branch cannot be changed because an answer is being written on it."""
        if self._shown_turn() is not None:
            raise UsageError("An answer is being written here.", hint="esc stops it.")

    # ---- acts on blocks

    @on(Transcript.Act)
    async def _act(self, event: Transcript.Act) -> None:
        event.stop()
        try:
            await self._do(event.act, event.entry)
        except OmniError as error:
            self._complain(error)

    async def _do(self, act: str, key: str) -> None:
        entry = self.transcript.entry(key)
        message = next((one for one in self.messages if one.id == key), None)
        if act == "copy" and entry is not None:
            await self.copy_text(entry.text, "the block")
            return
        if act == "undo":
            await self.undo()
            return
        if message is None or self.conversation is None:
            return
        if act == "edit":
            self._edit(message)
        elif act == "retry":
            await self._retry(message)
        elif act == "resume":
            self.resume(message)
        elif act in ("older", "newer") and len(message.siblings) > 1:
            self.must_be_idle()
            at = message.siblings.index(message.id) + (-1 if act == "older" else 1)
            if 0 <= at < len(message.siblings):
                await self.services.chat.switch(self.conversation.id, message.siblings[at])
                await self._reload()
                self._focus_message(message.siblings[at])

    def _focus_message(self, key: str) -> None:
        ids = [entry.id for entry in self.transcript.entries]
        if key in ids and self.transcript.has_focus:
            self.transcript.focus_entry(ids.index(key))

    def _edit(self, message: "ChatMessage") -> None:
        self.must_be_idle()
        question: ChatMessage | None = message
        if message.role != "user":
            question = next((one for one in self.messages if one.id == message.parent and one.role == "user"), None)
        if question is None:
            return
        self._edited = question.id
        self.composer.put(question.text)
        self.take_focus()
        self._show_keys()

    async def _ask_anew(self, text: str) -> None:
        """The edited question goes out on a branch of its own."""
        self.must_be_idle()
        assert self.conversation is not None
        assert self._edited is not None
        from omni.chat import expand

        edited, conversation, chat = self._edited, self.conversation.id, self.services.chat
        message = next(one for one in self.messages if one.id == edited)
        sent, attachments = await asyncio.to_thread(expand, text, self.project)
        given = {one.path: one for one in (*message.attachments, *attachments)}
        kept = tuple(given.values()) if attachments else None
        self._edited = None
        self.composer.accept(text)
        self.transcript.cut(edited)
        running = self.begin_turn(conversation, sent, facts=(clock_time(self.services.clock.now()),))
        self.start_turn(
            running,
            partial(chat.edit, conversation, edited, sent, brain=self.brain, attachments=kept),
            unsent=text,
        )

    async def _retry(self, message: "ChatMessage") -> None:
        self.must_be_idle()
        assert self.conversation is not None
        conversation = self.conversation.id
        answer = message if message.role != "user" else None
        following = next((one for one in self.messages if one.parent == message.id), None) if answer is None else answer
        if following is not None:
            self.transcript.cut(following.id)
        running = self.begin_turn(conversation, None)
        self.start_turn(running, partial(self.services.chat.regenerate, conversation, message.id, brain=self.brain))

    def resume(self, message: "ChatMessage") -> None:
        """Go on with an answer that is not whole."""
        self.must_be_idle()
        if message.role == "user" or (message.state == "whole" and message.reason != "length"):
            raise UsageError("This answer is whole.", hint="r has it written again.")
        assert self.conversation is not None
        running = Running(self.conversation.id, message.brain, base_text=message.text, base_reasoning=message.reasoning)
        running.question, running.answer = message.parent or "", message.id
        self._turns[self.conversation.id] = running
        entries = list(self.transcript.entries)
        at = next(at for at, entry in enumerate(entries) if entry.id == message.id)
        entries[at] = Entry(
            message.id,
            entries[at].kind,
            entries[at].name,
            message.text,
            facts=(clock_time(message.time), "asking"),
            reasoning=message.reasoning,
            thinking_seconds=message.reasoning_seconds,
            branch=entries[at].branch,
            writing=True,
        )
        self.transcript.show(entries, keep=True)
        self.transcript.action_tail()
        self.start_turn(running, partial(self.services.chat.resume, self.conversation.id, message.id))

    async def undo(self) -> None:
        """Take the last question back into the composer."""
        self.must_be_idle()
        if self.conversation is None or not self.messages:
            raise UsageError("Nothing was asked here yet.")
        text = await self.services.chat.undo(self.conversation.id)
        await self._reload()
        if not self.composer.text:
            self.composer.put(text)
        self.take_focus()
        self.say("The question is back in the composer; its branch is kept.")

    # ---- copying, opening, reading

    @on(Transcript.Copy)
    async def _copy_code(self, event: Transcript.Copy) -> None:
        event.stop()
        await self.copy_text(event.text, event.what)

    async def copy_text(self, text: str, what: str) -> None:  # noqa: ARG002  the words say how much, which is enough
        """Copy, and say where to."""
        from omni.shell.clipboard import copy

        try:
            self.say(await copy(text, app=self.app, home=self.services.home))
        except OmniError as error:
            self._complain(error)

    @on(Transcript.Open)
    async def _open_link(self, event: Transcript.Open) -> None:
        event.stop()
        address = event.address
        starter = self.services.starter
        if starter is None or not address.lower().startswith(("http://", "https://")):
            self.say(address)
            return
        if not await starter.open(address):
            await self.copy_text(address, "the address")

    @on(Composer.Read)
    def _read(self, event: Composer.Read) -> None:
        event.stop()
        if self.transcript.entries:
            self.transcript.focus()

    @on(Transcript.Leave)
    def _left(self, event: Transcript.Leave) -> None:
        event.stop()
        self.take_focus()

    @on(Transcript.Focused)
    def _focused(self, event: Transcript.Focused) -> None:
        event.stop()
        self._show_keys()

    @on(Composer.Scroll)
    def _scroll(self, event: Composer.Scroll) -> None:
        event.stop()
        self.transcript.action_page(event.pages)

    @on(Composer.Escaped)
    def _escaped(self, event: Composer.Escaped) -> None:
        event.stop()
        if self._edited is not None:
            self._edited = None
            self.composer.put("")
            self._show_keys()
        elif self.transcript.searching:
            self.transcript.search("")
        else:
            self.stop_answer()

    @on(Composer.TakeBack)
    def _take_back(self, event: Composer.TakeBack) -> None:
        event.stop()
        queue = self._queues.get(self.conversation.id if self.conversation else "", [])
        if queue:
            self.composer.put(queue.pop())
            self._show_queue()

    @on(Composer.Editor)
    def _editor(self, event: Composer.Editor) -> None:
        event.stop()
        self._work(partial(edit_outside, self), "write in the editor")

    def _complete(self, prefix: str) -> list[str]:
        from omni.chat import complete_path

        return complete_path(prefix, self.project)

    # ---- keys and commands

    def action_new(self) -> None:
        """Begin a conversation."""
        self._work(self.new_conversation, "a new conversation")

    def action_retry(self) -> None:
        """Have the last answer written again."""
        self._work(self.retry_last, "retry")

    async def retry_last(self) -> None:
        """Have the last answer written again."""
        if not self.messages:
            raise UsageError("Nothing was asked here yet.")
        await self._retry(self.messages[-1])

    def action_conversations(self) -> None:
        """Other conversations."""
        from omni.shell.panes.chat_list import NEW, ConversationList

        def chosen(found: str | None) -> None:
            if found == NEW:
                self.action_new()
            elif found and (self.conversation is None or found != self.conversation.id):
                self._work(partial(self.open_conversation, found), "open a conversation")
            else:
                self._work(self._reload, "read the conversation again")

        self.app.push_screen(
            ConversationList(
                self.services.chat,
                busy=self._turns.__contains__,
                delete=self._delete,
                current=self.conversation.id if self.conversation else "",
            ),
            chosen,
        )

    async def _delete(self, conversation: str) -> None:
        running = self._turns.get(conversation)
        if running is not None and running.worker is not None:
            running.stopped = True
            running.worker.cancel()
            await asyncio.wait([running.worker._task] if running.worker._task else [])
        await self.services.chat.delete(conversation)
        self._queues.pop(conversation, None)
        if self.conversation is not None and self.conversation.id == conversation:
            await self.new_conversation()

    def stored(self) -> "Conversation":
        """The conversation, which must have been stored. Raises UsageError."""
        if self.conversation is None:
            raise UsageError("Nothing was asked here yet.")
        return self.conversation
