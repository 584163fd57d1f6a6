"""A turn that runs, whether or not its conversation is on the screen."""

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from omni.core.events import ChatEvent

if TYPE_CHECKING:
    from textual.worker import Worker

    from omni.jobs import Job

Ask = Callable[[], AsyncGenerator[ChatEvent]]

STEADY = 16  # tokens before a speed is told
STEADY_SECONDS = 0.5
LOOK_AGAIN = 1.0


class AnswerSpeed:
    """How fast an answer comes: tokens since the first one, told at most once a second so that it can be read."""

    def __init__(self) -> None:
        self.speed = 0.0
        self.tokens = 0
        self._first = self._told = 0.0

    def saw(self, now: float) -> bool:
        """One more token came; True when the speed is to be shown anew."""
        if not self.tokens:
            self._first = now
        self.tokens += 1
        took = now - self._first
        if self.tokens < STEADY or took < STEADY_SECONDS or now - self._told < LOOK_AGAIN:
            return False
        self._told, self.speed = now, (self.tokens - 1) / took
        return True


class RunningAnswer:
    """What came so far of an answer: the job that writes it, and the worker of the pane that watches that.

    `entry` is the id under which the transcript shows the answer: a made-up one until the turn is stored.
    """

    def __init__(self, conversation: str, brain: str, *, base_text: str = "", base_reasoning: str = "") -> None:
        self.conversation, self.brain = conversation, brain
        self.question = ""
        self.answer = ""
        self.texts: list[str] = [base_text] if base_text else []
        self.thoughts: list[str] = [base_reasoning] if base_reasoning else []
        self.state = "asking"
        self.foot: list[tuple[str, str]] = []
        self.replaced: list[tuple[str, str]] = []  # what is said of brains that could not be loaded
        self.began_thinking: float | None = None
        self.thinking_seconds = 0.0
        self.worker: Worker[None] | None = None
        self.job: Job[ChatEvent] | None = None
        self.stopped = False
        self.unsent = ""
        self.prompt_tokens = self.allocated = 0
        self.pace = AnswerSpeed()

    @property
    def entry(self) -> str:
        """The id of the answer in the transcript."""
        return self.answer or f"answer {self.question}"

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """All thoughts so far."""
        return "".join(self.thoughts)

    def stop(self) -> bool:
        """End it; False when there is nothing to end."""
        if self.worker is None or self.stopped:
            return False
        self.stopped = True
        if self.job is None:  # nothing was asked yet
            self.worker.cancel()
        else:
            self.job.cancel()
        return True
