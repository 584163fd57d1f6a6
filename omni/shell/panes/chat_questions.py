"""The way of a question: sent at once, or queued while an answer is written, and given back when it cannot be asked."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from omni.core.errors import OmniError
from omni.shell.panes.chat_entries import asked_facts, clock_time
from omni.shell.panes.chat_turn import RunningAnswer
from omni.shell.transcript import Entry

if TYPE_CHECKING:
    from omni.shell.panes.chat_turns import RunningAnswers
    from omni.shell.panes.chat_view import ChatView


class Questions:
    """What was sent and waits, by conversation."""

    def __init__(self, pane: "ChatView", turns: "RunningAnswers") -> None:
        self._pane, self._turns = pane, turns
        self._queues: dict[str, list[str]] = {}
        self._refusals = 0

    @property
    def waiting(self) -> list[str]:
        """What waits in the conversation on the screen."""
        return self._queues.get(self._pane.shown_id, [])

    def all_waiting(self) -> list[str]:
        """What waits in all conversations."""
        return [text for queue in self._queues.values() for text in queue]

    def forget(self, conversation: str) -> None:
        """The conversation is gone."""
        self._queues.pop(conversation, None)

    def take_back(self) -> None:
        """The last one that waits comes back into the composer."""
        if self.waiting:
            self._pane.composer.put(self.waiting.pop())
            self._pane.show_queue()

    async def ask(self, text: str) -> None:
        """Send a question of the conversation on the screen, or queue it while an answer is written. Raises OmniError."""
        pane = self._pane
        await pane.warm()
        if self._turns.shown is not None:
            self._queues.setdefault(pane.shown_id, []).append(text)
            pane.composer.accept(text)
            pane.show_queue()
            return
        await self._send(pane.shown_id, text)

    async def _send(self, conversation: str, text: str) -> None:
        from omni.chat import expand  # not needed for the first frame

        pane, chat = self._pane, self._pane.services.chat
        sent, attachments = await asyncio.to_thread(expand, text, pane.project)
        shown = conversation == pane.shown_id
        brain = pane.brain if shown else ""  # behind the screen the conversation knows its own
        if not conversation:
            pane.conversation = await chat.create(project=pane.project, brain=brain, system=pane.system)
            conversation = pane.conversation.id
        if shown:
            pane.composer.accept(text)
        facts = asked_facts(pane.services.clock.now(), attachments)
        running = self._turns.begin(conversation, sent, facts=facts, brain=brain)
        ask = partial(chat.ask, conversation, sent, brain=brain, attachments=attachments)
        self._turns.start(running, ask, unsent=text)

    async def next(self, conversation: str) -> None:
        """Send what waited for the turn that is over. Raises OmniError."""
        queue = self._queues.get(conversation)
        if not queue or conversation in self._turns:
            return
        text = queue.pop(0)
        self._pane.show_queue()
        draft = self._pane.composer.text
        try:
            await self._send(conversation, text)
        except Exception:
            self._queues.setdefault(conversation, []).insert(0, text)
            self._pane.show_queue()
            raise
        finally:
            if draft and self._pane.composer.text != draft:
                self._pane.composer.put(draft)

    def refused(self, running: RunningAnswer, failure: OmniError) -> None:
        """Nothing was stored: say why where the answer would stand, and give the text back."""
        pane = self._pane
        self._refusals += 1
        foot = [(failure.message, "red")] + ([(failure.hint, "second")] if failure.hint else [])
        now = clock_time(pane.services.clock.now())
        pane.transcript.add(Entry(f"refused {self._refusals}", "note", "not asked", facts=(now,), foot=foot))
        if running.unsent:
            pane.give_back(running.unsent)
        pane.show_empty()
