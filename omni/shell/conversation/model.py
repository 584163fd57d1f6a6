"""One conversation as one has it: what was said, what is being answered, what waits, and what can be done to it."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from omni.core.errors import OmniError, UsageError
from omni.core.events import BrainReplaced, ChatEvent, ReasoningDelta, TextDelta, TurnEnded, TurnStarted
from omni.shell.conversation.answer import Ask, Asked, RunningAnswer
from omni.shell.conversation.figures import Figures
from omni.shell.conversation.tasks import Tasks
from omni.shell.conversation.turns import Turns
from omni.shell.conversation.view import Change, ConversationView
from omni.shell.conversation.words import replaced_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.chat import ChatMessage, Conversation
    from omni.keeper import KeeperChange

FIRST_SHOWN = 40  # messages that a long conversation opens with
IN_A_TURN = 2  # messages that come with a turn
MORE = 3  # times as much is read, when somebody goes up in it
MOST_FROM_END = 500  # messages; where it is to be more, all is read, which takes less for each


class ConversationModel:
    """The conversation on the screen, while as many as one likes are answered behind it.

    `messages` are those of its branch, with `partly` only its end. `edited` is the question that is being asked
    differently, `refusal` why the last one could not be asked, and when. What is done raises OmniError. `tasks` is what
    is done while nobody waits: turns are watched there, and go on when these end.
    """

    def __init__(self, services: "Services", view: ConversationView) -> None:
        self._services, self._view = services, view
        self.tasks = Tasks(view.failed)
        self.turns = Turns(services, view, self.tasks, heard=self._heard, over=self._over)
        self.conversation: Conversation | None = None
        self.messages: list[ChatMessage] = []
        self.partly = False
        self.brain = self.system = ""
        self.known_brain: Brain | None = None
        self.edited = ""
        self.refusal: tuple[OmniError, float] | None = None
        self._figures = Figures()
        self._queues: dict[str, list[str]] = {}
        self._reading, self._asking = asyncio.Lock(), asyncio.Lock()
        self._ending: set[str] = set()  # conversations of which a turn is over, and what waited is about to be asked
        self._on_the_way: list[str] = []  # what waited and is just being asked
        self._count = 0

    # ---- how it stands

    @property
    def shown_id(self) -> str:
        """The id of the conversation on the screen, "" before it is stored."""
        return self.conversation.id if self.conversation is not None else ""

    @property
    def answering(self) -> RunningAnswer | None:
        """The turn of the conversation on the screen."""
        return self.turns.get(self.shown_id)

    @property
    def figures(self) -> Figures:
        """Those of the conversation on the screen; while an answer is written, its own stand for them."""
        running = self.answering
        return self._figures if running is None else self._figures.during(running)

    @property
    def waiting(self) -> Sequence[str]:
        """What waits here for an answer to end."""
        return self._queues.get(self.shown_id, ())

    @property
    def unsent(self) -> list[str]:
        """What was asked and is not stored, and what waits, in all conversations."""
        return [*self.turns.unsent, *self._on_the_way, *(text for queue in self._queues.values() for text in queue)]

    @property
    def questions(self) -> list[str]:
        """What was asked here."""
        return [one.text for one in self.messages if one.role == "user"]

    @property
    def branch(self) -> "Sequence[ChatMessage]":
        """The messages with what is being written: that stands there before it is stored, and what it replaces does not."""
        return self.messages if self.answering is None else self.answering.on(self.messages)

    @property
    def turn_count(self) -> int | None:
        """How often was asked on this branch; None before anything was, and where only its end was read."""
        if self.conversation is None or self.partly:
            return None
        return sum(one.role == "user" for one in self.branch)

    def message(self, message: str) -> "ChatMessage | None":
        """A message of the branch, looked for from its end."""
        return next((one for one in reversed(self.messages) if one.id == message), None) if message else None

    def stored(self) -> "Conversation":
        """The conversation, which must have been stored. Raises UsageError."""
        if self.conversation is None:
            raise UsageError("Nothing was asked here yet.")
        return self.conversation

    def must_be_idle(self) -> None:
        """Raises where the branch cannot be changed because an answer is being written on it."""
        if self.answering is not None:
            raise UsageError("An answer is being written here.", hint="esc stops it.")

    # ---- which one is shown

    async def new(self, brain: str = "") -> None:
        """An empty conversation; it is stored with its first question."""
        self.conversation = None
        self.brain = brain or self.brain
        self.system = ""
        self._leave()
        self._view.changed("opened")
        await self.know_brain()

    async def open(self, conversation: str) -> None:
        """A stored conversation, at its end."""
        self.conversation = await self._services.chat.conversation(conversation)
        self.brain = self.conversation.brain or self.brain
        self._leave()
        await self.reload(opened=True)
        await self.know_brain()

    def _leave(self) -> None:
        """Nothing of the conversation that was on the screen is meant any more."""
        self.messages, self.partly, self.edited, self.refusal = [], False, "", None
        self._figures = Figures()

    async def reload(self, *, opened: bool = False, times: int = 1, whole: bool = False) -> None:
        """Read it anew: of a long one only what was read before, or so many times as much of it, and what came since."""
        async with self._reading:
            one, chat, known = self.conversation, self._services.chat, self.messages
            if one is None:
                return
            latest = await chat.conversation(one.id)
            end = max(len(known) * times + IN_A_TURN, FIRST_SHOWN)
            last = None if whole or (known and not self.partly) or end > MOST_FROM_END else end
            messages = await chat.messages(one.id, last=last)
            if self.shown_id != one.id:
                return  # the person went on while this was read
            if last is not None and known and times == 1:
                messages = messages[next((at for at, each in enumerate(messages) if each.id == known[0].id), 0) :]
            self.conversation, self.messages = latest, messages
            self.partly = last is not None and bool(messages) and messages[0].parent is not None
            usage = next((each.usage for each in reversed(messages) if each.usage is not None), None)
            self._figures = self._figures.learned(usage) if usage is not None else self._figures
            self._view.changed("opened" if opened else "messages")

    async def read_more(self, *, whole: bool = False) -> bool:
        """Read what stands above the messages that are there, so much that one can go on, or all; False where nothing does."""
        if not self.partly:
            return False
        await self.reload(times=MORE, whole=whole)
        return True

    async def delete(self, conversation: str) -> None:
        """Delete a conversation; its answer is stopped before."""
        if self.shown_id == conversation:
            await self.new()  # before anything of it is read again
        await self.turns.stopped(conversation)
        await self._services.chat.delete(conversation)
        self._queues.pop(conversation, None)

    def heard(self, change: "KeeperChange") -> None:
        """Another front end changed something."""
        if change.topic == "conversation":
            value = change.value
            conversation = value.get("conversation", "") if isinstance(value, dict) else str(value)
            if conversation == self.shown_id and self.conversation is not None and conversation not in self.turns:
                self.tasks.start(self.reload(), "read the conversation again")
        elif change.topic in ("library", "processes"):
            self.tasks.start(self.know_brain(), "brain of the conversation")

    # ---- its brain, its title

    async def know_brain(self) -> None:
        """Find out what the brain stands on, and which one it is when nobody chose."""
        await self._view.warm()
        library, wanted = self._services.library, self.brain
        known: Brain | None = None
        try:
            known = await library.get(wanted) if wanted else await library.best()
        except OmniError:
            pass  # said when a question is asked
        if self.brain != wanted:
            return  # another one was chosen while this one was looked up
        self.known_brain = known
        if self.known_brain is not None:
            self.brain = self.known_brain.name
        self._view.changed("status")

    async def use_brain(self, brain: str) -> None:
        """The next answers come from this brain."""
        self.brain = brain
        if self.conversation is not None:
            self.conversation = await self._services.chat.choose(self.conversation.id, brain=brain)
        self._figures = Figures()
        await self.know_brain()

    async def instruct(self, text: str) -> None:
        """What the brain reads before every question."""
        if self.conversation is not None:
            self.conversation = await self._services.chat.instruct(self.conversation.id, text)
        self.system = text

    async def set_title(self, title: str) -> None:
        """Give it another title."""
        chat = self._services.chat
        self.conversation = await chat.rename(self.stored().id, title)
        self._view.changed("title")

    async def _learn_title(self, conversation: str) -> None:
        latest = await self._services.chat.conversation(conversation)
        if self.shown_id == conversation:
            self.conversation = latest
            self._view.changed("title")

    # ---- asking

    async def submit(self, text: str) -> None:
        """What was written is asked, in the place of the question that is being edited where one is."""
        await (self._ask_anew(text) if self.edited else self.ask(text))

    async def ask(self, text: str, *, conversation: str | None = None) -> None:
        """Ask what was written, or queue it while an answer is written, or what waited for one is asked. With the id of a
        `conversation` ("": a new one) it was written by nobody."""
        await self._view.warm()
        async with self._asking:  # who asks next sees that this was asked
            written = conversation is None
            where = self.shown_id if conversation is None else conversation
            if where not in self.turns and where not in self._ending:
                await self._send(where, text, written=written)
                return
        self._queues.setdefault(where, []).append(text)
        if written:
            self._view.accepted(text)
        self._view.changed("queue")

    async def _send(self, conversation: str, text: str, *, written: bool) -> None:
        from omni.chat import expand  # not needed for the first frame

        chat, project = self._services.chat, self._view.project
        sent, attachments = await asyncio.to_thread(expand, text, project)
        brain = self.brain if conversation == self.shown_id else ""  # behind the screen the conversation knows its own
        if not conversation:
            made = await chat.create(project=project, brain=brain, system=self.system)
            conversation = made.id
            if not self.shown_id:
                self.conversation = made
        if written:
            self._view.accepted(text)
        ask = partial(chat.ask, conversation, sent, brain=brain, attachments=attachments)
        self._begin(self._turn(conversation, brain, Asked(sent, tuple(attachments), text)), ask)

    def take_back(self) -> None:
        """The last one that waits is written again."""
        if queue := self._queues.get(self.shown_id):
            self._view.write(queue.pop())
            self._view.changed("queue")

    async def _next(self, conversation: str) -> None:
        """Ask what waited for the turn that is over."""
        async with self._asking:
            queue = self._queues.get(conversation)
            if not queue or conversation in self.turns:
                return
            text = queue.pop(0)
            self._on_the_way.append(text)
            self._view.changed("queue")
            try:
                await self._send(conversation, text, written=False)
            except Exception:
                self._wait_again(conversation, text)
                raise
            finally:
                self._on_the_way.remove(text)

    def _wait_again(self, conversation: str, text: str) -> None:
        """What could not be asked waits, first of all, until an answer has ended or it is taken back."""
        self._queues.setdefault(conversation, []).insert(0, text)
        self._view.changed("queue")

    # ---- doing something to a message

    def edit(self, message: str) -> None:
        """Write a question again, or that of an answer; sent, it goes out on a branch of its own."""
        self.must_be_idle()
        question = self.message(message)
        if question is not None and question.role != "user":
            question = self.message(question.parent or "")
        if question is not None and question.role == "user":
            self.edited = question.id
            self._view.write(question.text)
            self._view.changed("keys")

    def leave_edit(self) -> bool:
        """The old question stays as it is; False when none was being edited."""
        if not self.edited:
            return False
        self.edited = ""
        self._view.write("")
        self._view.changed("keys")
        return True

    async def _ask_anew(self, text: str) -> None:
        self.must_be_idle()
        from omni.chat import expand

        edited, conversation, chat = self.edited, self.stored().id, self._services.chat
        if (before := self.message(edited)) is None:  # another window took it back
            self.edited = ""
            await self.ask(text)
            return
        sent, attachments = await asyncio.to_thread(expand, text, self._view.project)
        given = {one.path: one for one in (*before.attachments, *attachments)}
        kept = tuple(given.values()) if attachments else None
        self._view.accepted(text)
        running = self._turn(conversation, asked=Asked(sent, kept or before.attachments, text))
        running.instead_of = edited
        self._begin(running, partial(chat.edit, conversation, edited, sent, brain=self.brain, attachments=kept))
        self.edited = ""

    def retry(self, message: str = "") -> None:
        """Have an answer, or the answer of a question, written again; that of the last one where none is given."""
        self.must_be_idle()
        if (one := self._meant(message)) is None:
            return
        following = one if one.role != "user" else next((each for each in self.messages if each.parent == one.id), None)
        running = self._turn(self.stored().id)
        running.instead_of = following.id if following is not None else ""
        again = self._services.chat.regenerate
        self._begin(running, partial(again, running.conversation, one.id, brain=self.brain))

    def resume(self, message: str = "") -> None:
        """Go on with an answer that is not whole; with the last one where none is given."""
        self.must_be_idle()
        if (one := self._meant(message)) is None:
            return
        if one.role == "user" or (one.state == "complete" and one.reason != "length"):
            raise UsageError("This answer is whole.", hint="ctrl+r has it written again.")
        running = self._turn(self.stored().id, one.brain)
        running.question, running.answer, running.began = one.parent or "", one.id, one.time
        running.texts, running.thoughts = [one.text], [one.reasoning]
        self._begin(running, partial(self._services.chat.resume, running.conversation, one.id))

    def compact(self) -> None:
        """Have the brain sum up what was said."""
        conversation = self.stored().id
        self.must_be_idle()
        summarise = self._services.chat.compact
        self._begin(self._turn(conversation), partial(summarise, conversation, brain=self.brain))

    async def undo(self) -> None:
        """Take the last question back."""
        self.must_be_idle()
        if self.conversation is None or not self.messages:
            raise UsageError("Nothing was asked here yet.")
        text = await self._services.chat.undo(self.conversation.id)
        await self.reload()
        if self._view.give_back(text):
            self._view.say("The question is back in the composer; its branch is kept.")
        else:
            self._view.say("The question is taken back; its branch is kept, and so is what you are writing.")

    async def switch(self, message: str, step: int) -> str:
        """Go to the branch before or after the one through this message; returns the message in its place, "" for none."""
        one = self.message(message)
        if one is None or len(one.siblings) < 2:
            return ""
        self.must_be_idle()
        at = one.siblings.index(one.id) + step
        if not 0 <= at < len(one.siblings):
            return ""
        await self._services.chat.switch(self.stored().id, one.siblings[at])
        await self.reload(whole=True)  # the other branch may be longer than what was read of this one
        return one.siblings[at]

    def _meant(self, message: str) -> "ChatMessage | None":
        if not message and not self.messages:
            raise UsageError("Nothing was asked here yet.")
        return self.message(message) if message else self.messages[-1]

    # ---- turns

    def stop(self) -> bool:
        """Stop the answer on the screen, whoever writes it; False when nothing is being written."""
        running = self.answering
        if running is None and self.messages and self.messages[-1].state == "writing":
            self.tasks.start(self._stop_elsewhere(self.messages[-1].id), "stop an answer of another window")
            return True
        return running is not None and running.stop()

    async def _stop_elsewhere(self, answer: str) -> None:
        from omni.chat import turn_elsewhere

        await (await turn_elsewhere(self._services.jobs, answer=answer)).stop()

    def _turn(self, conversation: str, brain: str = "", asked: Asked | None = None) -> RunningAnswer:
        self._count += 1
        now = self._services.clock.now()
        return RunningAnswer(conversation, brain or self.brain, key=f"asked {self._count}", began=now, asked=asked)

    def _begin(self, running: RunningAnswer, ask: Ask) -> None:
        """It is shown before anything of it is stored, and not begun where it cannot be shown."""
        self.turns.add(running)
        try:
            if running.conversation == self.shown_id:
                self.refusal = None
                self._view.changed("began")
            self.turns.start(running, ask)
        except Exception:
            self.turns.drop(running)
            raise

    def _heard(self, running: RunningAnswer, event: ChatEvent) -> None:
        """One event of a turn; what is not on the screen is only remembered."""
        changes = running.receive(event, self._services.clock.monotonic())
        if isinstance(event, BrainReplaced):
            self._view.say(replaced_words(event), warning=True)
        if running.conversation != self.shown_id:
            return
        self._tell(*changes)
        match event:
            case TurnStarted() if self.conversation is not None and not self.conversation.turns:
                self.tasks.start(self._learn_title(running.conversation), "title of the conversation")
            case TextDelta(text=text):
                self._view.grew(text, "")
            case ReasoningDelta(text=text):
                self._view.grew("", text)
            case TurnEnded():
                self._figures = self._figures.ended(event)

    async def _over(self, running: RunningAnswer) -> None:
        """Show what was stored of a turn that is over; then what waited for it is asked."""
        if running.whole:
            self._ending.add(running.conversation)
        try:
            await self._show_end(running)
            if running.whole:
                await self._next(running.conversation)
        finally:
            self._ending.discard(running.conversation)

    async def _show_end(self, running: RunningAnswer) -> None:
        shown, failure = self.shown_id == running.conversation, running.failure
        try:
            if shown:
                await self.reload()
        finally:
            if shown and failure is not None and not running.answer:
                self.refusal = failure, self._services.clock.now()
                self._view.changed("messages")
            unstored = failure is not None or (shown and running.stopped)
            if unstored and not running.answer and running.asked is not None:
                typed = running.asked.typed
                if self.shown_id != running.conversation or not self._view.give_back(typed):
                    self._wait_again(running.conversation, typed)
            self._tell("status", "keys")
        if not shown and failure is not None:
            self._view.failed(failure)

    def _tell(self, *changes: Change) -> None:
        for change in changes:
            self._view.changed(change)
