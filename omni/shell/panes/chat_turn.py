"""A turn that runs, whether or not its conversation is on the screen."""

from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from omni.core.events import ChatEvent

if TYPE_CHECKING:
    from textual.worker import Worker

Ask = Callable[[], AsyncGenerator[ChatEvent]]


class Running:
    """What came so far of an answer, and the worker that receives it.

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
        self.began_thinking: float | None = None
        self.thinking_seconds = 0.0
        self.worker: Worker[None] | None = None
        self.stopped = False
        self.unsent = ""

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self.texts)

    @property
    def reasoning(self) -> str:
        """All thoughts so far."""
        return "".join(self.thoughts)
