"""A download, a check or an export as it stands: what its events came to."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from omni.cartridges.brains import (
    Exported,
    ExportEvent,
    PullDone,
    PullEvent,
    PullProgress,
    PullStarted,
    PullVerifying,
    Verified,
    VerifyEvent,
)
from omni.core.errors import BadFile, OmniError

PullKind = Literal["pull", "verify", "export"]
PullState = Literal["starting", "fetching", "verifying", "done", "cancelled", "failed"]
LibraryEvent = PullEvent | VerifyEvent | ExportEvent


class PullStatus(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, `rate` in bytes a second, `seconds_left` None while nobody can tell; `what` comes just now, `error`
    is why it failed."""

    name: str
    kind: PullKind = "pull"
    state: PullState = "starting"
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None
    what: str = ""
    error: OmniError | None = None

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self.state not in ("done", "cancelled", "failed")

    @property
    def checking(self) -> bool:
        """Whether a hash is being computed, and nothing fetched."""
        return self.state == "verifying" or (self.kind == "verify" and self.running)

    @property
    def fraction(self) -> float:
        """How much is done, 0 while nobody knows of how much."""
        return self.done / self.total if self.total else 0.0


def after(status: PullStatus, event: LibraryEvent) -> PullStatus:
    """The status after this event."""
    match event:
        case PullStarted(size=size):
            return replace(status, state="fetching", total=size)
        case PullProgress(done=done, total=total, rate=rate, seconds_left=left, what=what):
            return replace(status, state="fetching", done=done, total=total, rate=rate, seconds_left=left, what=what)
        case PullVerifying(done=done, total=total):
            return replace(status, state="verifying", done=done, total=total, rate=0.0, seconds_left=None)
        case Verified(brain=brain, ok=False, detail=detail):
            hint = "" if "omni pull" in detail else f"Fetch it again (omni pull {brain}), or put the right file back."
            return ended(status, "failed", BadFile(f"{brain} is not what it was: {detail}", hint=hint))
        case PullDone() | Verified() | Exported():
            return ended(status, "done")


def ended(
    status: PullStatus, state: Literal["done", "cancelled", "failed"], error: OmniError | None = None
) -> PullStatus:
    """The status when nothing more happens."""
    return replace(status, state=state, rate=0.0, seconds_left=None, error=error)


async def followed(
    status: PullStatus, events: AsyncGenerator[LibraryEvent], known: Callable[[Exception], OmniError]
) -> AsyncGenerator[PullStatus]:
    """The status after each event of a job; the last one says how it ended. `known` says a failure in Omni's words."""
    try:
        async with aclosing(events):
            async for event in events:
                status = after(status, event)
                if status.running:
                    yield status
        yield ended(status, "cancelled") if status.running else status
    except Exception as error:  # noqa: BLE001 - whatever it is, it is not here
        yield ended(status, "failed", known(error))
