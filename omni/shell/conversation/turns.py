"""The turns of a shell: each is received to its end, on the screen or behind it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from omni.core.errors import OmniError, StorageError
from omni.core.events import ChatEvent, TurnStarted
from omni.shell.conversation.answer import Ask, RunningAnswer
from omni.shell.conversation.tasks import Tasks
from omni.shell.conversation.view import ConversationView

if TYPE_CHECKING:
    from omni.app import Services


class Turns:
    """What is being answered, at most one turn in each conversation of this shell.

    `heard` is told each event, and `over` that a turn is over. `failures` are those of stored answers, by their ids.
    """

    def __init__(
        self,
        services: "Services",
        view: ConversationView,
        tasks: Tasks,
        *,
        heard: Callable[[RunningAnswer, ChatEvent], None],
        over: Callable[[RunningAnswer], Awaitable[None]],
    ) -> None:
        self._services, self._view, self._tasks = services, view, tasks
        self._heard, self._over = heard, over
        self._running: dict[str, RunningAnswer] = {}
        self.failures: dict[str, OmniError] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    def __contains__(self, conversation: object) -> bool:
        return conversation in self._running

    def get(self, conversation: str) -> RunningAnswer | None:
        """The turn of a conversation."""
        return self._running.get(conversation)

    @property
    def unsent(self) -> list[str]:
        """What was asked and is not stored yet."""
        return [one.asked.typed for one in self._running.values() if one.asked is not None and not one.answer]

    @property
    def speed(self) -> float:
        """Tokens a second of all that is being written."""
        return sum(running.pace.speed for running in self._running.values())

    def add(self, running: RunningAnswer) -> None:
        """It is about to begin."""
        self._running[running.conversation] = running
        self.failures.pop(running.answer, None)  # what is gone on with is not what it was

    def drop(self, running: RunningAnswer) -> None:
        """It is over, or did not begin."""
        if self._running.get(running.conversation) is running:
            del self._running[running.conversation]

    def start(self, running: RunningAnswer, ask: Ask) -> None:
        """Let a turn that was added run."""
        name = f"turn in {running.conversation}"
        running.receiving = self._tasks.start(self._receive(running, ask), name)
        self._tasks.start(self._watch(running, running.receiving), f"watch the {name}")

    async def stopped(self, conversation: str) -> None:
        """Stop the turn of a conversation and return when what came of it is stored."""
        running = self._running.get(conversation)
        if running is not None and running.receiving is not None:
            running.stop()
            await asyncio.wait({running.receiving})

    async def _watch(self, running: RunningAnswer, receiving: "asyncio.Task[None]") -> None:
        await asyncio.wait({receiving})  # a turn that is stopped before it begins never comes to its own end
        self.drop(running)
        await self._over(running)

    async def _receive(self, running: RunningAnswer, ask: Ask) -> None:
        from omni.chat import begin_turn  # not needed for the first frame

        try:
            arrivals = self._view.arrivals
            if arrivals is not None and arrivals.runs(running.brain):  # when it does not come, asking says why
                for change in running.does("waiting for the download"):
                    self._view.changed(change)
                await arrivals.over(running.brain)
            running.job = begin_turn(self._services.jobs, running.conversation, ask())
            async with aclosing(running.job.events()) as events:
                async for event in events:
                    if isinstance(event, TurnStarted):
                        self._forget_full_disk()
                    self._heard(running, event)
        except Exception as error:  # noqa: BLE001 - said where the answer stands, or would
            running.failure = self._view.known(error)
            if running.answer:
                self.failures[running.answer] = running.failure

    def _forget_full_disk(self) -> None:
        """A question was stored, and with it what a full disk had kept in memory."""
        for answer in [key for key, failure in self.failures.items() if isinstance(failure, StorageError)]:
            del self.failures[answer]
