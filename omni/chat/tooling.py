"""What a turn asks of the tools that its brain may call. `omni.hands` has such tools; tests have others."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from msgspec import Struct

from omni.core.events import ToolEvent
from omni.core.messages import ToolCallPart
from omni.engine import Tool

ANSWER = "answer"  # the tool that ends the turn, where every step is a call


class WorkLimits(Struct, frozen=True, kw_only=True):
    """What one turn may take with tools: rounds of calls, tokens that are written, seconds of the clock."""

    steps: int = 30
    tokens: int = 30_000
    seconds: float = 1800.0


class TurnTools(Protocol):
    """The tools of one turn.

    With `forced` every step of the brain is a call, made valid by a grammar, and the tool "answer" ends the turn: small brains
    call tools reliably in no other way.
    """

    limits: WorkLimits
    forced: bool
    opening: Sequence[ToolCallPart]
    """Calls that are done before the brain is asked, as if it had made them."""

    @property
    def check(self) -> ToolCallPart | None:
        """A call that must succeed before an answer counts, such as running the tests; None where there is none, or nothing was
        changed since it succeeded."""
        ...

    @property
    def offered(self) -> Sequence[Tool]:
        """What the brain may call."""
        ...

    async def is_free(self, call: ToolCallPart) -> bool:
        """Whether a call only looks at what may be looked at without asking, so that it may run beside others."""
        ...

    def run(self, call: ToolCallPart) -> AsyncGenerator[ToolEvent]:
        """Do a call, with the person's consent where it is needed; the last event is `ToolReturned`, whatever happens. Closing it
        ends what it started."""
        ...
