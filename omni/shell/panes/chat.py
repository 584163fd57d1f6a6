"""Chat: one conversation on the screen, as many as one likes answering behind it."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.worker import Worker

from omni.core.errors import OmniError, UsageError
from omni.shell.completion import CompletionItem
from omni.shell.composer import FAR, Composer
from omni.shell.glyphs import glyphs
from omni.shell.pane import Pane
from omni.shell.panes.chat_commands import run_command
from omni.shell.panes.chat_entries import Entries
from omni.shell.panes.chat_gauge import Gauge
from omni.shell.panes.chat_look import queue_lines, reading_keys, teaching, title_line, writing_keys
from omni.shell.panes.chat_questions import Questions
from omni.shell.panes.chat_turn import RunningAnswer
from omni.shell.panes.chat_turns import RunningAnswers
from omni.shell.panes.message_actions import MessageActions
from omni.shell.panes.slash_commands import ChatCommand, parse_command, with_plugins
from omni.shell.transcript import Transcript
from omni.shell.widgets import Keys, Lines, ink, job

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.chat import ChatMessage, Conversation
    from omni.keeper import KeeperChange

FIRST_SHOWN = 40  # messages that a long conversation opens with
IN_A_TURN = 2  # messages that come with a turn


class ChatPane(Pane):
    """Title, transcript, what is queued, composer, keys."""

    DEFAULT_CSS = """
    ChatPane { padding: 1 1 0 2; }
    ChatPane > #chat-title { margin-bottom: 1; }
    ChatPane > Transcript { height: 1fr; width: 100%; }
    ChatPane > #chat-teach { height: 1fr; padding: 0 3; }
    ChatPane > #chat-queue { padding: 0 3; display: none; }
    ChatPane > Composer { margin: 0 1 0 0; max-width: 103; }
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

    def __init__(self, services: "Services") -> None:
        super().__init__(services)
        self.conversation: Conversation | None = None
        self.messages: list[ChatMessage] = []
        self.partly = False  # whether messages above these are not read yet
        self.brain = self.system = ""
        self.gauge = Gauge()
        self.turns = RunningAnswers(self)
        self.acts = MessageActions(self, self.turns)
        self.questions = Questions(self, self.turns)
        self._entries = Entries(self.turns.failures)
        self._reading = asyncio.Lock()
        self._glyphs = glyphs(services.settings.ui.glyphs)
        self.transcript = Transcript(glyphs=self._glyphs)
        self.composer = Composer(
            commands=lambda: [CompletionItem(f"/{one.name}", one.about, bool(one.takes)) for one in self._commands],
            complete=self._complete,
        )
        self.composer.reader, self.transcript.writer = self.transcript, self.composer.field
        self._title = Lines(ink(("New conversation", "bold text")), id="chat-title")
        self._teach = Lines(id="chat-teach")
        self._queue = Lines(id="chat-queue")
        self._keys = Keys(id="chat-keys")

    # ---- what the frame asks for

    @property
    def project(self) -> Path:
        """The folder that Omni was started in."""
        return Path(getattr(self.app, "project", None) or Path.cwd())

    @property
    def _commands(self) -> tuple[ChatCommand, ...]:
        """What can be typed after `/`: the frame learns those of plug-ins behind the first frame."""
        return with_plugins(getattr(self.app, "slash_offers", ()))

    @property
    def shown_id(self) -> str:
        """The id of the conversation on the screen, "" before it is stored."""
        return self.conversation.id if self.conversation is not None else ""

    @property
    def unsent(self) -> str:
        """What was asked and is not stored, what waits for an answer to end, and what is being written."""
        texts = (*self.turns.unsent, *self.questions.all_waiting(), *self.composer.drafts)
        return "\n\n".join(text for text in texts if text.strip())

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
        self.show_empty()
        self.show_keys()
        self._work(self._know_brain, "brain of the conversation")

    async def warm(self) -> None:
        """Wait until what stands behind the services is imported: that happens in a thread, behind the first frame."""
        warmed: asyncio.Event | None = getattr(self.app, "warmed", None)
        if warmed is not None:
            await warmed.wait()

    def take_focus(self) -> None:
        """Writing is what one comes for."""
        self.composer.field.focus()

    def heard(self, change: "KeeperChange") -> None:
        """Another front end changed something."""
        if change.topic == "conversation":
            value = change.value
            conversation = value.get("conversation", "") if isinstance(value, dict) else str(value)
            self.refresh_conversation(conversation)
        elif change.topic in ("library", "processes"):
            self._work(self._know_brain, "brain of the conversation")

    def refresh_conversation(self, conversation: str) -> None:
        """Read a conversation again if it is on the screen; the view stays where it is."""
        if self.conversation is not None and self.shown_id == conversation and conversation not in self.turns:
            self._work(self.reload, "read the conversation again")

    def stop_answer(self) -> bool:
        """Stop the answer of the conversation on the screen, whoever writes it; False when nothing is being written."""
        running = self.turns.shown
        if running is None and self.messages and self.messages[-1].state == "writing":
            self._work(partial(self._stop_elsewhere, self.messages[-1].id), "stop an answer of another window")
            return True
        return running is not None and running.stop()

    async def _stop_elsewhere(self, answer: str) -> None:
        from omni.chat import turn_elsewhere

        await (await turn_elsewhere(self.services.jobs, answer=answer)).stop()

    async def use_brain(self, brain: str) -> None:
        """The next answers come from this brain."""
        self.brain = brain
        if self.conversation is not None:
            self.conversation = await self.services.chat.choose(self.conversation.id, brain=brain)
        self.gauge.clear()
        await self._know_brain()
        self.take_focus()

    async def new_conversation(self, brain: str = "") -> None:
        """An empty conversation; it is stored with its first question."""
        self.conversation = None
        self.brain = brain or self.brain
        self.system = ""
        self._leave()
        self.composer.put("")
        self.transcript.show([])
        self.show_title()
        self.show_empty()
        self.show_queue()
        self.show_keys()
        await self._know_brain()
        self.take_focus()

    async def open_conversation(self, conversation: str) -> None:
        """Show a stored conversation at its end."""
        self.conversation = await self.services.chat.conversation(conversation)
        self.brain = self.conversation.brain or self.brain
        self._leave()
        await self.reload(keep=False)
        self.composer.remember(self._questions)
        self.show_queue()
        await self._know_brain()
        self.take_focus()

    async def read_whole(self) -> None:
        """Read what stands above the messages that a long conversation opened with, where something does."""
        if self.partly:
            await self.reload(whole=True)
            self.composer.remember(self._questions, keep=True)

    @property
    def _questions(self) -> list[str]:
        return [one.text for one in self.messages if one.role == "user"]

    @on(Transcript.Earlier)
    @on(Composer.Recalling)
    def _more_is_wanted(self, event: Transcript.Earlier | Composer.Recalling) -> None:
        event.stop()
        if self.partly:
            self._work(self.read_whole, "read all of the conversation")

    def _leave(self) -> None:
        """Nothing of the conversation that was on the screen is meant any more."""
        self._entries.forget()
        self.messages, self.partly = [], False
        self.acts.edited = None
        self.gauge.clear()

    # ---- what is shown

    def _work(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self.run_worker(job(work), name=name, group="chat")

    def do_beside(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """Do what may take long, while the pane goes on."""
        self._work(work, name)

    def say(self, text: str) -> None:
        """A word that goes away by itself."""
        self.notify(text, markup=False, timeout=3)

    async def _know_brain(self) -> None:
        """Find out what the brain stands on, and which one it is when nobody chose."""
        await self.warm()
        brain: Brain | None = None
        library = self.services.library
        try:
            brain = await library.get(self.brain) if self.brain else await library.best()
        except OmniError:
            brain = None  # said when a question is asked
        self.gauge.base = ""
        if brain is not None:
            from omni.shell.brains import base_words

            self.brain = brain.name
            self.gauge.base = base_words(brain)
        self.show_empty()
        self.post_status()

    def post_status(self) -> None:
        """Tell the status line."""
        self.post_message(self.gauge.status(self.brain, self.turns.shown, busy=bool(self.turns)))

    def show_title(self) -> None:
        """Title, project, turns."""
        one = self.conversation
        place = self.project.name if one is None else Path(one.project).name if one.project else ""
        title = one.title if one is not None else ""
        count = one.turns if one is not None and self.partly else None
        if one is not None and not self.partly:
            count = sum(entry.kind == "person" for entry in self.transcript.entries)
        self._title.show(title_line(title, place, count, self._title.size.width))

    def learn_title(self) -> None:
        """The first question gave the conversation its title."""
        if self.conversation is not None and self.conversation.turns == 0:
            self._work(partial(self._learn_title, self.conversation.id), "title of the conversation")

    async def _learn_title(self, conversation: str) -> None:
        latest = await self.services.chat.conversation(conversation)
        if self.shown_id == conversation:
            self.conversation = latest
            self.show_title()

    def on_resize(self) -> None:
        """The title takes the room that there is."""
        self.show_title()

    def show_empty(self) -> None:
        """Where nothing was said yet it stands what can be done."""
        empty = not self.transcript.entries
        self._teach.display = empty
        self.transcript.display = not empty
        if empty:
            self._teach.show(*teaching(self.brain))

    def show_queue(self) -> None:
        """What was sent during an answer."""
        waiting = self.questions.waiting
        self.composer.queued = len(waiting)
        self._queue.display = bool(waiting)
        self._queue.show(*queue_lines(waiting, self._glyphs))

    def show_keys(self) -> None:
        """The keys of where the keyboard is."""
        if self.transcript.has_focus:
            self._keys.show(*reading_keys(self.transcript.focused_entry))
        else:
            answering, editing = self.turns.shown is not None, self.acts.edited is not None
            self._keys.show(*writing_keys(answering=answering, editing=editing))

    async def reload(self, *, keep: bool = True, whole: bool = False) -> None:
        """Read the conversation and show it, of a long one only what was shown before and what came since; entries that
        did not change stay the same."""
        async with self._reading:
            one = self.conversation
            if one is None:
                return
            latest = await self.services.chat.conversation(one.id)
            known = self.messages
            last = None if whole or (known and not self.partly) else max(len(known) + IN_A_TURN, FIRST_SHOWN)
            messages = await self.services.chat.messages(one.id, last=last)
            if self.shown_id != one.id:
                return  # the person went on while this was read
            if last is not None and known:
                above = next((at for at, message in enumerate(messages) if message.id == known[0].id), 0)
                messages = messages[above:]
            self.conversation, self.messages = latest, messages
            self.partly = last is not None and bool(messages) and messages[0].parent is not None
            running = self.turns.get(one.id)
            entries = self._entries.of(messages, running, self.transcript)
            self.transcript.show(entries, keep=keep, more_above=self.partly)
            self.gauge.learn(next((one.usage for one in reversed(messages) if one.usage is not None), None))
            self.post_status()
            self.show_title()
            self.show_empty()
            self.show_keys()

    # ---- asking

    @on(Composer.Submitted)
    async def _submitted(self, event: Composer.Submitted) -> None:
        event.stop()
        text = event.text
        try:
            if (command := parse_command(text, self._commands)) is not None:
                self.composer.accept(text)
                await run_command(*command, pane=self, turns=self.turns, acts=self.acts)
            elif self.acts.edited is not None:
                await self.acts.ask_anew(text)
            else:
                await self.questions.ask(text)
        except Exception:
            self.give_back(text)
            raise

    async def ask(self, text: str) -> None:
        """Ask what somebody else wrote for the person, or queue it while an answer is written. Raises OmniError."""
        await self.questions.ask(text)

    def give_back(self, text: str) -> None:
        """What could not be sent is written again, unless something else is being written by now."""
        if not self.composer.text:
            self.composer.put(text)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Turns are workers of this pane."""
        self.turns.worker_changed(event)

    async def turn_over(self, running: RunningAnswer, failure: OmniError | None, go_on: bool) -> None:
        """Show what was stored of a turn that is over; then what waited for it is asked."""
        shown = self.shown_id == running.conversation
        try:
            if shown:
                await self.reload()
        finally:
            if shown and failure is not None and not running.answer:
                self.questions.refused(running, failure)
        if not shown and failure is not None:
            self.omni.complain(failure)
        self.post_status()
        self.show_keys()
        if go_on:
            await self.questions.next(running.conversation)

    # ---- acts on blocks

    @on(Transcript.Act)
    async def _act(self, event: Transcript.Act) -> None:
        event.stop()
        await self.acts.do(event.act, event.entry)

    # ---- copying, opening, reading

    @on(Transcript.Copy)
    async def _copy_code(self, event: Transcript.Copy) -> None:
        event.stop()
        await self.copy_text(event.text)

    async def copy_text(self, text: str) -> None:
        """Copy, and say where to."""
        from omni.shell.clipboard import copy

        self.say(await copy(text, app=self.app, home=self.services.home))

    @on(Transcript.Open)
    async def _open_link(self, event: Transcript.Open) -> None:
        event.stop()
        address = event.address
        starter = self.services.starter
        if starter is None or not address.lower().startswith(("http://", "https://")):
            self.say(address)
            return
        if not await starter.open(address):
            await self.copy_text(address)

    @on(Transcript.Focused)
    def _focused(self, event: Transcript.Focused) -> None:
        event.stop()
        self.show_keys()

    @on(Composer.Scroll)
    def _scroll(self, event: Composer.Scroll) -> None:
        event.stop()
        if event.pages == -FAR:
            self.transcript.action_top()
        else:
            self.transcript.action_page(event.pages)

    @on(Composer.Escaped)
    def _escaped(self, event: Composer.Escaped) -> None:
        event.stop()
        if self.acts.leave_edit():
            return
        if self.transcript.searching:
            self.transcript.search("")
        else:
            self.stop_answer()

    @on(Composer.TakeBack)
    def _take_back(self, event: Composer.TakeBack) -> None:
        event.stop()
        self.questions.take_back()

    @on(Composer.Editor)
    def _editor(self, event: Composer.Editor) -> None:
        event.stop()
        self._work(self._edit_outside, "write in the editor")

    async def _edit_outside(self) -> None:
        from omni.shell.panes.chat_editor import edit_outside

        await edit_outside(self.composer, app=self.app, services=self.services)
        self.take_focus()

    def _complete(self, prefix: str) -> list[str]:
        from omni.chat import complete_path

        return complete_path(prefix, self.project)

    # ---- keys and commands

    def action_new(self) -> None:
        """Begin a conversation."""
        self._work(self.new_conversation, "a new conversation")

    def action_retry(self) -> None:
        """Have the last answer written again."""
        self.acts.retry_last()

    def action_conversations(self) -> None:
        """Other conversations."""
        from omni.shell.panes.chat_list import NEW, ConversationList

        def chosen(choice: str | None) -> None:
            if choice == NEW:
                self.action_new()
            elif choice and (self.conversation is None or choice != self.conversation.id):
                self._work(partial(self.open_conversation, choice), "open a conversation")
            else:
                self._work(self.reload, "read the conversation again")

        self.app.push_screen(
            ConversationList(
                self.services.chat,
                busy=self.turns.__contains__,
                delete=self._delete,
                current=self.shown_id,
            ),
            chosen,
        )

    async def _delete(self, conversation: str) -> None:
        running = self.turns.get(conversation)
        if running is not None and running.worker is not None:
            running.stop()
            await asyncio.wait([running.worker._task] if running.worker._task else [])
        await self.services.chat.delete(conversation)
        self.questions.forget(conversation)
        if self.shown_id == conversation:
            await self.new_conversation()

    def stored(self) -> "Conversation":
        """The conversation, which must have been stored. Raises UsageError."""
        if self.conversation is None:
            raise UsageError("Nothing was asked here yet.")
        return self.conversation
