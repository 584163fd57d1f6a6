"""What a conversation tells whoever shows it, and what it asks of what it stands in."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Literal, Protocol

from omni.core.errors import OmniError

Change = Literal["opened", "messages", "began", "answer", "queue", "title", "status", "keys"]
"""What is to be shown anew: another conversation; its messages, and with them all that is told of it; a question that was
just asked; what an answer does; what waits; the title; figures; what the keys do now."""


class Arrivals(Protocol):
    """The brains that are on their way."""

    def runs(self, name: str) -> bool:
        """Whether this one is being fetched."""

    def over(self, name: str) -> Awaitable[object]:
        """Wait until it is here, or will not come."""


class ConversationView(Protocol):
    """Who shows a conversation. It is told what changed, and reads from the model how that is now."""

    @property
    def project(self) -> Path:
        """The folder that Omni was started in."""

    @property
    def arrivals(self) -> Arrivals | None:
        """What is being fetched; None when nothing is."""

    async def warm(self) -> None:
        """Wait until what stands behind the services is imported."""

    def known(self, error: Exception) -> OmniError:
        """A failure as what can be explained; its stack is in the log from now on."""

    def failed(self, error: Exception) -> None:
        """Say what failed where nobody waits for it."""

    def changed(self, what: Change) -> None:
        """Show this as it is now."""

    def grew(self, text: str, reasoning: str) -> None:
        """The answer on the screen has so much more text, or thoughts."""

    def say(self, text: str, *, warning: bool = False) -> None:
        """A word that goes away by itself."""

    # ---- where one writes

    def accepted(self, text: str) -> None:
        """What was written is on its way."""

    def write(self, text: str) -> None:
        """Put this where one writes."""

    def give_back(self, text: str) -> bool:
        """The same, unless something else is being written by now; whether it stands there."""
