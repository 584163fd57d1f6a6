"""What can be done to a block of the transcript: edit, retry, go on, undo, another branch, copy."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from omni.core.errors import UsageError
from omni.shell.panes.chat_entries import asked_facts, clock_time
from omni.shell.panes.chat_turn import RunningAnswer
from omni.shell.transcript import Entry

if TYPE_CHECKING:
    from omni.chat import ChatMessage
    from omni.shell.panes.chat_turns import RunningAnswers
    from omni.shell.panes.chat_view import ChatView


class MessageActions:
    """The acts of one pane. `edited` is the question that stands in the composer to be asked differently."""

    def __init__(self, pane: "ChatView", turns: "RunningAnswers") -> None:
        self._pane, self._turns = pane, turns
        self.edited: str | None = None

    async def do(self, act: str, key: str) -> None:
        """What a letter means on a block. Raises OmniError."""
        pane = self._pane
        entry = pane.transcript.entry(key)
        message = next((one for one in pane.messages if one.id == key), None)
        if act == "copy" and entry is not None:
            await pane.copy_text(entry.text)
        elif act == "undo":
            await self.undo()
        elif message is None or pane.conversation is None:
            return
        elif act == "edit":
            self.edit(message)
        elif act == "retry":
            self.retry(message)
        elif act == "resume":
            self.resume(message)
        elif act in ("older", "newer") and len(message.siblings) > 1:
            await self._switch(message, -1 if act == "older" else 1)

    async def _switch(self, message: "ChatMessage", step: int) -> None:
        """Show another branch."""
        pane = self._pane
        self._turns.must_be_idle()
        at = message.siblings.index(message.id) + step
        if 0 <= at < len(message.siblings):
            await pane.services.chat.switch(pane.stored().id, message.siblings[at])
            await pane.reload(whole=True)  # the other branch may be longer than what was read of this one
            ids = [entry.id for entry in pane.transcript.entries]
            if message.siblings[at] in ids and pane.transcript.has_focus:
                pane.transcript.focus_entry(ids.index(message.siblings[at]))

    def edit(self, message: "ChatMessage") -> None:
        """Put a question into the composer; sent, it goes out on a branch of its own."""
        pane = self._pane
        self._turns.must_be_idle()
        question: ChatMessage | None = message
        if message.role != "user":
            question = next((one for one in pane.messages if one.id == message.parent and one.role == "user"), None)
        if question is None:
            return
        self.edited = question.id
        pane.composer.put(question.text)
        pane.take_focus()
        pane.show_keys()

    def leave_edit(self) -> bool:
        """The old question stays as it is; False when none was being edited."""
        if self.edited is None:
            return False
        self.edited = None
        self._pane.composer.put("")
        self._pane.show_keys()
        return True

    async def ask_anew(self, text: str) -> None:
        """The edited question goes out on a branch of its own."""
        pane = self._pane
        self._turns.must_be_idle()
        assert self.edited is not None
        from omni.chat import expand

        edited, conversation, chat = self.edited, pane.stored().id, pane.services.chat
        message = next(one for one in pane.messages if one.id == edited)
        sent, attachments = await asyncio.to_thread(expand, text, pane.project)
        given = {one.path: one for one in (*message.attachments, *attachments)}
        kept = tuple(given.values()) if attachments else None
        pane.composer.accept(text)
        pane.transcript.cut(edited)
        facts = asked_facts(pane.services.clock.now(), kept or message.attachments)
        running = self._turns.begin(conversation, sent, facts=facts)
        self.edited = None
        self._turns.start(
            running,
            partial(chat.edit, conversation, edited, sent, brain=pane.brain, attachments=kept),
            unsent=text,
        )

    def retry(self, message: "ChatMessage") -> None:
        """Have an answer, or the answer of a question, written again."""
        pane = self._pane
        self._turns.must_be_idle()
        conversation = pane.stored().id
        answer = message if message.role != "user" else None
        following = next((one for one in pane.messages if one.parent == message.id), None) if answer is None else answer
        if following is not None:
            pane.transcript.cut(following.id)
        running = self._turns.begin(conversation, None)
        self._turns.start(running, partial(pane.services.chat.regenerate, conversation, message.id, brain=pane.brain))

    def retry_last(self) -> None:
        """Have the last answer written again."""
        if not self._pane.messages:
            raise UsageError("Nothing was asked here yet.")
        self.retry(self._pane.messages[-1])

    def resume(self, message: "ChatMessage") -> None:
        """Go on with an answer that is not whole."""
        pane = self._pane
        self._turns.must_be_idle()
        if message.role == "user" or (message.state == "complete" and message.reason != "length"):
            raise UsageError("This answer is whole.", hint="ctrl+r has it written again.")
        conversation = pane.stored().id
        running = RunningAnswer(conversation, message.brain, base_text=message.text, base_reasoning=message.reasoning)
        running.question, running.answer = message.parent or "", message.id
        entries = list(pane.transcript.entries)
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
        pane.transcript.show(entries, keep=True)
        pane.transcript.action_tail()
        self._turns.start(running, partial(pane.services.chat.resume, conversation, message.id))

    def resume_last(self) -> None:
        """Go on with the last answer."""
        if not self._pane.messages:
            raise UsageError("Nothing was asked here yet.")
        self.resume(self._pane.messages[-1])

    async def undo(self) -> None:
        """Take the last question back into the composer."""
        pane = self._pane
        self._turns.must_be_idle()
        if pane.conversation is None or not pane.messages:
            raise UsageError("Nothing was asked here yet.")
        text = await pane.services.chat.undo(pane.conversation.id)
        await pane.reload()
        if not pane.composer.text:
            pane.composer.put(text)
        pane.take_focus()
        pane.say("The question is back in the composer; its branch is kept.")
