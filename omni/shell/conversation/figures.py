"""How much of its context a conversation uses, and how fast its answers come."""

from typing import NamedTuple

from omni.core.events import TurnEnded, Usage
from omni.shell.conversation.answer import RunningAnswer


class Figures(NamedTuple):
    """Tokens of the context that are used, those that there are, and tokens a second; 0 where it is not known."""

    used: int = 0
    allocated: int = 0
    speed: float = 0.0

    def learned(self, usage: Usage) -> "Figures":
        """With what an answer took, whoever asked for it."""
        return self._replace(used=usage.prompt_tokens + usage.completion_tokens, speed=usage.speed or self.speed)

    def ended(self, event: TurnEnded) -> "Figures":
        """With what was measured when an answer was whole."""
        return Figures(event.context_used, event.context_allocated, event.usage.speed or self.speed)

    def during(self, running: RunningAnswer) -> "Figures":
        """Those of an answer that is being written stand for the last ones: an old speed beside it would not be true."""
        if not running.prompt_tokens:
            return self._replace(speed=running.pace.speed)
        used = running.prompt_tokens + running.pace.tokens
        return Figures(used, running.allocated or self.allocated, running.pace.speed)
