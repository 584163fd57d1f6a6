"""What the status line says of a conversation: its brain, what it stands on, context used, speed."""

from typing import TYPE_CHECKING

from textual.message import Message

from omni.core.events import TurnEnded, Usage

if TYPE_CHECKING:
    from omni.shell.panes.chat_turn import RunningAnswer


class Status(Message, namespace="chat_pane"):
    """The brain, its base, context used of allocated, tokens per second, a word, and whether anything is answered."""

    def __init__(
        self,
        *,
        brain: str,
        base: str,
        used: int | None,
        allocated: int | None,
        speed: float | None,
        state: str,
        busy: bool,
    ) -> None:
        super().__init__()
        self.brain, self.base = brain, base
        self.used, self.allocated, self.speed, self.state = used, allocated, speed, state
        self.busy = busy


class Gauge:
    """The last known figures of the conversation on the screen; while an answer is written, its own stand for them."""

    def __init__(self) -> None:
        self.base = ""
        self._used = self._allocated = 0
        self._speed = 0.0

    def clear(self) -> None:
        """Another conversation, or another brain."""
        self._used = self._allocated = 0
        self._speed = 0.0

    def learn(self, usage: Usage | None) -> None:
        """What the last answer took, whoever asked for it."""
        if usage is not None:
            self._used = usage.prompt_tokens + usage.completion_tokens
            self._speed = usage.speed or self._speed

    def ended(self, event: TurnEnded) -> None:
        """What was measured when an answer was whole."""
        self._used, self._allocated = event.context_used, event.context_allocated
        self._speed = event.usage.speed or self._speed

    def status(self, brain: str, running: "RunningAnswer | None", *, busy: bool) -> Status:
        """The figures as they are now."""
        used, allocated, speed = self._used, self._allocated, self._speed
        if running is not None:
            speed = running.pace.speed  # nothing, until it can be told: an old figure beside a new answer is not true
            if running.prompt_tokens:  # from when the prompt is counted, and rising with what is written
                used = running.prompt_tokens + running.pace.tokens
                allocated = running.allocated or allocated
        return Status(
            brain=brain,
            base=self.base,
            used=used or None,
            allocated=allocated or None,
            speed=speed or None,
            state=running.state if running else "",
            busy=busy,
        )
