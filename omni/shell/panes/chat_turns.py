"""The turns of a chat pane: each is received to its end, on the screen or behind it, and then the next one is asked."""

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, assert_never

from textual.worker import Worker, WorkerState

from omni.core.errors import OmniError, StorageError, UsageError
from omni.core.events import (
    BrainLoading,
    BrainReplaced,
    ChatEvent,
    ContextCompacted,
    PromptCounted,
    PromptProgress,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    TurnEnded,
    TurnQueued,
    TurnStarted,
)
from omni.shell.panes.chat_entries import clock_time, compacted_words, replaced_words, waiting_words
from omni.shell.panes.chat_turn import Ask, RunningAnswer
from omni.shell.transcript import Entry

if TYPE_CHECKING:
    from omni.shell.panes.chat_view import ChatView

READABLE = 10.0  # seconds that a sentence about a brain stays, which goes from the answer when it is whole


class RunningAnswers:
    """What is being answered, at most one turn in each conversation of this shell."""

    def __init__(self, pane: "ChatView") -> None:
        self._pane = pane
        self._running: dict[str, RunningAnswer] = {}
        self.failures: dict[str, OmniError] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._running)

    def __contains__(self, conversation: object) -> bool:
        return conversation in self._running

    def get(self, conversation: str) -> RunningAnswer | None:
        """The turn of a conversation."""
        return self._running.get(conversation)

    @property
    def shown(self) -> RunningAnswer | None:
        """The turn of the conversation on the screen."""
        return self._running.get(self._pane.shown_id)

    @property
    def unsent(self) -> list[str]:
        """What was asked and is not stored yet."""
        return [running.unsent for running in self._running.values() if not running.answer]

    @property
    def speed(self) -> float:
        """Tokens a second of all that is being written."""
        return sum(running.pace.speed for running in self._running.values())

    def must_be_idle(self) -> None:
        """Raises where the branch cannot be changed because an answer is being written on it."""
        if self.shown is not None:
            raise UsageError("An answer is being written here.", hint="esc stops it.")

    def _is_shown(self, running: RunningAnswer) -> bool:
        return self._pane.shown_id == running.conversation

    # ---- beginning

    def begin(
        self, conversation: str, question: str | None, *, facts: tuple[str, ...] = (), brain: str = ""
    ) -> RunningAnswer:
        """A turn, shown before anything of it was stored; `question` is None when it only has an answer."""
        self._count += 1
        running = RunningAnswer(conversation, brain or self._pane.brain)
        running.question = f"asked {self._count}"
        if self._is_shown(running):
            self._show(running, question, facts)
        return running

    def _show(self, running: RunningAnswer, question: str | None, facts: tuple[str, ...]) -> None:
        pane = self._pane
        transcript = pane.transcript
        if question is not None:
            transcript.add(Entry(running.question, "person", "you", question, facts=facts))
        now = clock_time(pane.services.clock.now())
        name = running.brain or "brain"
        transcript.add(Entry(running.entry, "brain", name, facts=(now, "asking"), writing=True))
        transcript.action_tail()
        if transcript.has_focus:
            transcript.focus_entry(len(transcript.entries) - 1)
        pane.show_title()
        pane.show_empty()

    def start(self, running: RunningAnswer, ask: Ask, *, unsent: str = "") -> None:
        """Hand a turn to a worker of its own; `unsent` is given back when nothing of it is stored."""
        self._running[running.conversation] = running
        self.failures.pop(running.answer, None)  # what is gone on with is not what it was
        running.unsent = unsent
        running.worker = self._pane.run_worker(
            partial(self._receive_all, running, ask), name=f"turn in {running.conversation}", group="turns"
        )
        self._pane.show_keys()
        self._pane.post_status()

    # ---- receiving

    async def _receive_all(self, running: RunningAnswer, ask: Ask) -> None:
        """Watch one turn to its end, whatever the end is; then the next in the queue. Who leaves ends no turn."""
        from omni.chat import begin_turn

        failure: OmniError | None = None
        whole = False
        try:
            await self._arrival(running)
            running.job = begin_turn(self._pane.services.jobs, running.conversation, ask())
            async with aclosing(running.job.events()) as events:
                async for event in events:
                    self._receive(running, event)
                    whole = whole or isinstance(event, TurnEnded)
        except Exception as error:  # noqa: BLE001 - said where the answer stands, or would
            failure = self._pane.omni.known(error)
            if running.answer:
                self.failures[running.answer] = failure
        finally:
            self._over(running, failure, go_on=whole and not running.stopped)

    async def _arrival(self, running: RunningAnswer) -> None:
        """A brain that is on its way is waited for; when it does not come, asking says why."""
        pulls = getattr(self._pane.app, "pulls", None) if getattr(self._pane.app, "pulls_running", ()) else None
        if pulls is not None and pulls.runs(running.brain):
            self._say(running, "waiting for the download")
            await pulls.over(running.brain)

    def worker_changed(self, event: Worker.StateChanged) -> None:
        """A turn that was stopped before it began never came to its own end."""
        if event.state is WorkerState.CANCELLED:
            for running in [one for one in self._running.values() if one.worker is event.worker]:
                self._over(running, None, go_on=False)

    def _over(self, running: RunningAnswer, failure: OmniError | None, *, go_on: bool) -> None:
        if self._running.get(running.conversation) is running:
            del self._running[running.conversation]
        if self._pane.is_attached:
            if self._is_shown(running):
                self._pane.transcript.finish(running.entry)
            self._pane.call_later(self._pane.turn_over, running, failure, go_on)

    def _receive(self, running: RunningAnswer, event: ChatEvent) -> None:
        """One event of a turn; what is not on the screen is only remembered."""
        shown = self._is_shown(running)
        transcript, clock = self._pane.transcript, self._pane.services.clock
        match event:
            case TurnStarted(question=question, answer=answer, brain=brain):
                running.brain = brain or running.brain
                self._stored()
                if shown:
                    transcript.rename_entry(running.question, question)
                    transcript.rename_entry(running.entry, answer)
                    if (entry := transcript.entry(answer)) is not None and brain:
                        entry.name = brain
                running.answer = answer
                self._say(running, "asking")
                if shown:
                    self._pane.learn_title()
            case TurnQueued() | BrainLoading():
                self._say(running, waiting_words(event))
            case PromptProgress(total=total):
                running.prompt_tokens = total
                self._say(running, waiting_words(event))
            case BrainReplaced(brain=brain):
                running.brain = brain
                running.replaced.append(replaced_words(event))
                running.foot = list(running.replaced)
                self._pane.notify(running.replaced[-1][0], markup=False, severity="warning", timeout=READABLE)
                if shown and (entry := transcript.entry(running.answer)) is not None:
                    entry.name, entry.foot = brain, tuple(running.foot)
                    transcript.touch(running.answer)
            case ContextCompacted():
                running.foot = [*running.replaced, compacted_words(event)]
                if shown and (entry := transcript.entry(running.answer)) is not None:
                    entry.foot = tuple(running.foot)
                    transcript.touch(running.answer)
            case ReasoningDelta(text=text):
                running.thoughts.append(text)
                now = clock.monotonic()
                running.began_thinking = now if running.began_thinking is None else running.began_thinking
                self._came(running, "thinking", now)
                if shown:
                    transcript.think(running.answer, text)
            case TextDelta(text=text):
                running.texts.append(text)
                now = clock.monotonic()
                if running.began_thinking is not None and not running.thinking_seconds:
                    running.thinking_seconds = now - running.began_thinking
                    if shown and (entry := transcript.entry(running.answer)) is not None:
                        entry.thinking_seconds = running.thinking_seconds
                self._came(running, "writing", now)
                if shown:
                    transcript.write(running.answer, text)
            case PromptCounted(tokens=tokens, allocated=allocated):
                running.prompt_tokens, running.allocated = tokens, allocated
                if shown:
                    self._pane.post_status()
            case TokenLogprob() | ToolCallDelta():
                pass
            case TurnEnded():
                if shown:
                    self._pane.gauge.ended(event)
                running.state = "ended"
            case _:
                assert_never(event)

    def _stored(self) -> None:
        """A question was stored, and with it what a full disk had kept in memory."""
        for answer in [key for key, failure in self.failures.items() if isinstance(failure, StorageError)]:
            del self.failures[answer]

    def _came(self, running: RunningAnswer, state: str, now: float) -> None:
        """A token came: say what is going on when that is new, and how fast when that can be told."""
        anew = running.pace.saw(now)
        if running.state != state:
            self._say(running, state)
        elif anew and self._is_shown(running):
            self._pane.post_status()

    def _say(self, running: RunningAnswer, state: str) -> None:
        if running.state == state:
            return
        running.state = state
        if self._is_shown(running):
            if (entry := self._pane.transcript.entry(running.entry)) is not None:
                entry.facts = (*entry.facts[:1], state)
                self._pane.transcript.touch(running.entry)
            self._pane.post_status()
