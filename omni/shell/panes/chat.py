"""Chat: one conversation on the screen, as many as one likes answering behind it."""

from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from omni.core.errors import OmniError, UsageError
from omni.shell.completion import CompletionItem
from omni.shell.composer import FAR, Composer
from omni.shell.conversation.commands import Commands
from omni.shell.conversation.figures import Figures
from omni.shell.conversation.model import ConversationModel
from omni.shell.conversation.slash_commands import ChatCommand, parse_command, with_plugins
from omni.shell.conversation.view import Arrivals, Change
from omni.shell.glyphs import glyphs
from omni.shell.pane import Pane
from omni.shell.panes.chat_entries import Entries
from omni.shell.panes.chat_look import queue_lines, reading_keys, teaching, title_line, writing_keys
from omni.shell.transcript import Transcript
from omni.shell.widgets import Keys, Lines, ink, job

if TYPE_CHECKING:
    from omni.app import Services
    from omni.keeper import KeeperChange

WORD_SECONDS = 3.0
WARNING_SECONDS = 10.0  # what is said of a brain goes from the answer when that is whole


class Status(Message, namespace="chat_pane"):
    """What the status line tells: the brain, what it stands on, figures, what an answer does, whether anything is answered."""

    def __init__(self, *, brain: str, base: str, figures: Figures, state: str, busy: bool) -> None:
        super().__init__()
        self.brain, self.base, self.state, self.busy = brain, base, state, busy
        self.used, self.allocated, self.speed = figures


class ChatPane(Pane):
    """Title, transcript, what is queued, composer, keys: the view of one `ConversationModel`."""

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
        self.model = ConversationModel(services, self)
        self._commands = Commands(services, self.model, self)
        self._entries = Entries()
        self._glyphs = glyphs(services.settings.ui.glyphs)
        self.transcript = Transcript(glyphs=self._glyphs)
        self.composer = Composer(
            commands=lambda: [CompletionItem(f"/{one.name}", one.about, bool(one.takes)) for one in self._offered],
            complete=self._complete,
        )
        self.composer.reader, self.transcript.writer = self.transcript, self.composer.field
        self._title = Lines(ink(("New conversation", "bold text")), id="chat-title")
        self._teach = Lines(id="chat-teach")
        self._queue = Lines(id="chat-queue")
        self._keys = Keys(id="chat-keys")

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
        self.model.brain = self.omni.wanted_brain or self.services.settings.chat.brain
        self._show_empty()
        self._show_keys()
        self._work(self.model.know_brain, "brain of the conversation")

    async def on_unmount(self) -> None:
        """Turns go on without being watched here."""
        await self.model.tasks.close()

    def on_resize(self) -> None:
        """The title takes the room that there is."""
        self._show_title()

    # ---- what the frame asks for

    @property
    def unsent(self) -> str:
        """What was asked and is not stored, what waits for an answer to end, and what is being written."""
        return "\n\n".join(text for text in (*self.model.unsent, *self.composer.drafts) if text.strip())

    @property
    def answer_speed(self) -> float:
        """Tokens a second of all that is being written."""
        return self.model.turns.speed

    def take_focus(self) -> None:
        """Writing is what one comes for."""
        self.composer.field.focus()

    def heard(self, change: "KeeperChange") -> None:
        """Another front end changed something."""
        self.model.heard(change)

    def stop_answer(self) -> bool:
        """Stop the answer of the conversation on the screen, whoever writes it; False when nothing is being written."""
        return self.model.stop()

    async def use_brain(self, brain: str) -> None:
        """The next answers come from this brain."""
        await self.model.use_brain(brain)
        self.take_focus()

    async def new_conversation(self, brain: str = "") -> None:
        """An empty conversation; it is stored with its first question."""
        self.composer.put("")
        await self.model.new(brain)
        self.take_focus()

    async def open_conversation(self, conversation: str) -> None:
        """Show a stored conversation at its end."""
        await self.model.open(conversation)
        self.take_focus()

    # ---- what the conversation asks for

    @property
    def project(self) -> Path:
        """The folder that Omni was started in."""
        return self.omni.project

    @property
    def arrivals(self) -> Arrivals | None:
        """The downloads that run."""
        return self.omni.pulls if self.omni.pulls_running else None

    async def warm(self) -> None:
        """Wait until what stands behind the services is imported: that happens in a thread, behind the first frame."""
        await self.omni.warmed.wait()

    def known(self, error: Exception) -> OmniError:
        """A failure as what can be explained."""
        return self.omni.known(error)

    def failed(self, error: Exception) -> None:
        """Say what failed where nobody waits for it."""
        self.omni.explain(error, self)

    def say(self, text: str, *, warning: bool = False) -> None:
        """A word that goes away by itself."""
        if warning:
            self.notify(text, markup=False, severity="warning", timeout=WARNING_SECONDS)
        else:
            self.notify(text, markup=False, timeout=WORD_SECONDS)

    def accepted(self, text: str) -> None:
        """What was written is on its way."""
        self.composer.accept(text)

    def write(self, text: str) -> None:
        """Put this where one writes."""
        self.composer.put(text)

    def give_back(self, text: str) -> bool:
        """The same, unless something else is being written by now; whether it stands there."""
        free = not self.composer.text
        if free:
            self.composer.put(text)
        return free

    def grew(self, text: str, reasoning: str) -> None:
        """The answer on the screen has so much more text, or thoughts."""
        if (entry := self._entries.answer) is None:
            return
        if reasoning:
            self.transcript.think(entry.id, reasoning)
        if text:
            self.transcript.write(entry.id, text)

    def changed(self, what: Change) -> None:
        """Show this as it is now."""
        match what:
            case "opened":
                self._entries.forget()
                self._show_messages(keep=False)
                self.composer.remember(self.model.questions)
                self._show_queue()
            case "messages":
                self._show_messages()
            case "began":
                self._show_messages()
                self.transcript.action_tail()
                if self.transcript.has_focus:
                    self.transcript.focus_entry(len(self.transcript.entries) - 1)
            case "answer":
                if (entry := self._entries.answer) is not None:
                    self._entries.update()
                    self.transcript.touch(entry.id)
            case "queue":
                self._show_queue()
            case "title":
                self._show_title()
            case "status":
                self._show_empty()
                self._post_status()
            case "keys":
                self._show_keys()

    def _show_messages(self, *, keep: bool = True) -> None:
        self.transcript.flush()
        entries = self._entries.of(self.model, self.transcript)
        self.transcript.show(entries, keep=keep, more_above=self.model.partly)
        self._show_title()
        self._show_empty()
        self._show_keys()
        self._post_status()

    def _show_title(self) -> None:
        one = self.model.conversation
        place = self.project.name if one is None else Path(one.project).name if one.project else ""
        title = one.title if one is not None else ""
        self._title.show(title_line(title, place, self.model.turn_count, self._title.size.width))

    def _show_empty(self) -> None:
        """Where nothing was said yet it stands what can be done."""
        empty = not self.transcript.entries
        self._teach.display = empty
        self.transcript.display = not empty
        if empty:
            self._teach.show(*teaching(self.model.brain))

    def _show_queue(self) -> None:
        waiting = self.model.waiting
        self.composer.queued = len(waiting)
        self._queue.display = bool(waiting)
        self._queue.show(*queue_lines(waiting, self._glyphs))

    def _show_keys(self) -> None:
        """The keys of where the keyboard is."""
        if self.transcript.has_focus:
            self._keys.show(*reading_keys(self.transcript.focused_entry))
        else:
            self._keys.show(*writing_keys(answering=self.model.answering is not None, editing=bool(self.model.edited)))

    def _post_status(self) -> None:
        model, base = self.model, ""
        if model.known_brain is not None:
            from omni.shell.brains import base_words

            base = base_words(model.known_brain)
        state = model.answering.state if model.answering is not None else ""
        self.post_message(
            Status(brain=model.brain, base=base, figures=model.figures, state=state, busy=bool(model.turns))
        )

    # ---- reading

    async def _read_more(self, *, whole: bool) -> None:
        if await self.model.read_more(whole=whole):
            self.composer.remember(self.model.questions, keep=True)

    @on(Transcript.Earlier)
    def _earlier(self, event: Transcript.Earlier) -> None:
        event.stop()
        self._work(partial(self._read_more, whole=event.whole), "read more of the conversation")

    @on(Composer.Recalling)
    def _recalling(self, event: Composer.Recalling) -> None:
        event.stop()
        self._work(partial(self._read_more, whole=True), "read all of the conversation")

    @on(Transcript.Act)
    async def _act(self, event: Transcript.Act) -> None:
        """What a letter means on a block."""
        event.stop()
        model, entry = self.model, self.transcript.entry(event.entry)
        match event.act:
            case "copy" if entry is not None:
                await self._copy(entry.text)
            case "undo":
                await model.undo()
                self.take_focus()
            case "edit":
                model.edit(event.entry)
                if model.edited:
                    self.take_focus()
            case "retry":
                model.retry(event.entry)
            case "resume":
                model.resume(event.entry)
            case "older" | "newer":
                there = await model.switch(event.entry, -1 if event.act == "older" else 1)
                ids = [one.id for one in self.transcript.entries]
                if there in ids and self.transcript.has_focus:
                    self.transcript.focus_entry(ids.index(there))

    @on(Transcript.Copy)
    async def _copy_code(self, event: Transcript.Copy) -> None:
        event.stop()
        await self._copy(event.text)

    async def _copy(self, text: str) -> None:
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
        elif not await starter.open(address):
            await self._copy(address)

    @on(Transcript.Focused)
    def _focused(self, event: Transcript.Focused) -> None:
        event.stop()
        self._show_keys()

    # ---- writing

    @on(Composer.Submitted)
    async def _submitted(self, event: Composer.Submitted) -> None:
        event.stop()
        text = event.text
        try:
            if (command := parse_command(text, self._offered)) is not None:
                self.composer.accept(text)
                await self._run_command(*command)
            else:
                await self.model.submit(text)
        except Exception:
            self.give_back(text)
            raise

    @property
    def _offered(self) -> tuple[ChatCommand, ...]:
        """What can be typed after `/`: the frame learns those of plug-ins behind the first frame."""
        return with_plugins(self.omni.slash_offers)

    async def _run_command(self, command: ChatCommand, words: str) -> None:
        if await self._commands.run(command, words):
            return
        match command.name:
            case "new":
                await self.new_conversation()
            case "brain":
                await self.app.run_action("brains")
            case "help":
                await self.app.run_action("help")
            case "list":
                self.action_conversations()
            case "delete":
                self.model.stored()
                self.action_conversations()
                self.say("del deletes the conversation that is marked.")
            case "copy":
                answer = next((one for one in reversed(self.model.messages) if one.role == "assistant"), None)
                if answer is None:
                    raise UsageError("There is no answer yet.")
                await self._copy(answer.text)
            case "search":
                await self._read_more(whole=True)
                if count := self.transcript.search(words):
                    self.transcript.focus()
                    self.say(f"{count} block{'s' * (count != 1)} with {words!r}; n and N go on, esc ends.")
                else:
                    self.say(f"{words!r} stands nowhere here; ctrl+t finds in all conversations.")

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
        if self.model.leave_edit():
            return
        if self.transcript.searching:
            self.transcript.search("")
        else:
            self.model.stop()

    @on(Composer.TakeBack)
    def _take_back(self, event: Composer.TakeBack) -> None:
        event.stop()
        self.model.take_back()

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

    # ---- keys

    def _work(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self.run_worker(job(work), name=name, group="chat")

    def action_new(self) -> None:
        """Begin a conversation."""
        self._work(self.new_conversation, "a new conversation")

    def action_retry(self) -> None:
        """Have the last answer written again."""
        self.model.retry()

    def action_conversations(self) -> None:
        """Other conversations."""
        from omni.shell.panes.chat_list import NEW, ConversationList

        def chosen(choice: str | None) -> None:
            if choice == NEW:
                self.action_new()
            elif choice and choice != self.model.shown_id:
                self._work(partial(self.open_conversation, choice), "open a conversation")
            else:
                self._work(self.model.reload, "read the conversation again")

        model = self.model
        self.app.push_screen(
            ConversationList(
                self.services.chat, busy=model.turns.__contains__, delete=self._delete, current=model.shown_id
            ),
            chosen,
        )

    async def _delete(self, conversation: str) -> None:
        shown = conversation == self.model.shown_id
        await self.model.delete(conversation)
        if shown:
            self.composer.put("")
