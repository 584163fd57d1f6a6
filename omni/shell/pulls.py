"""Downloads of brains. They belong to the shell, not to a pane, and go on whatever pane is shown."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, TypeVar, cast

from msgspec import Struct
from textual.content import Content
from textual.worker import Worker

from omni.core.errors import OmniError
from omni.shell.widgets import bar, ink, size_words, time_words

if TYPE_CHECKING:
    from omni.shell.app import OmniApp

T = TypeVar("T")


class Pulling(Struct, kw_only=True):
    """One download, or one verification, as far as it is."""

    name: str
    what: str = ""
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None
    failure: OmniError | None = None
    finished: bool = False

    @property
    def fraction(self) -> float:
        """How much is done, 0 while nobody knows of how much."""
        return self.done / self.total if self.total else 0.0


class Pulls:
    """All that run. `listen` is told about every step; the listener decides how much of it it draws."""

    def __init__(self, app: "OmniApp") -> None:
        self._app = app
        self._workers: dict[str, Worker[None]] = {}
        self._listeners: list[Callable[[Pulling], None]] = []
        self.all: dict[str, Pulling] = {}

    @property
    def running(self) -> list[Pulling]:
        """Those that are not finished."""
        return [pulling for pulling in self.all.values() if not pulling.finished]

    def listen(self, listener: Callable[[Pulling], None]) -> None:
        """Tell `listener` from now on."""
        self._listeners.append(listener)

    def start(self, name: str) -> Pulling:
        """Begin, unless it runs already; one that was interrupted goes on where it stopped."""
        return self._start(name, self._pull(name))

    def verify(self, name: str) -> Pulling:
        """Read the whole file and compare its hash."""
        return self._start(name, self._verify(name), what="checking")

    def cancel(self, name: str) -> None:
        """End it; what came so far is kept for the next try."""
        if (worker := self._workers.get(name)) is not None:
            worker.cancel()

    def _start(self, name: str, work: object, what: str = "") -> Pulling:
        known = self.all.get(name)
        if known is not None and not known.finished:
            work.close()  # type: ignore[attr-defined]
            return known
        pulling = self.all[name] = Pulling(name=name, what=what)
        self._workers[name] = self._app.run_worker(
            work,  # type: ignore[arg-type]
            name=f"pull {name}",
            group="pulls",
            description=f"fetch or check {name}",
        )
        self._tell(pulling)
        return pulling

    async def _pull(self, name: str) -> None:
        from omni.cartridges import PullProgress, PullStarted, PullVerifying

        pulling = self.all[name]
        try:
            async with aclosing(_closable(self._app.services.pull(name))) as events:
                async for event in events:
                    match event:
                        case PullStarted(size=size):
                            pulling.total = size
                        case PullProgress(done=done, total=total, rate=rate, seconds_left=left):
                            pulling.what = ""
                            pulling.done, pulling.total = done, total
                            pulling.rate, pulling.seconds_left = rate, left
                        case PullVerifying(done=done, total=total):
                            pulling.what, pulling.done, pulling.total = "checking", done, total
                            pulling.rate, pulling.seconds_left = 0.0, None
                        case _:
                            pulling.what = "here"
                    self._tell(pulling)
        except OmniError as error:
            pulling.failure = error
        except asyncio.CancelledError:
            pulling.what = "cancelled"
            raise
        finally:
            self._finish(pulling)

    async def _verify(self, name: str) -> None:
        from omni.cartridges import PullVerifying, Verified

        pulling = self.all[name]
        try:
            async with aclosing(_closable(self._app.services.library.verify(name))) as events:
                async for event in events:
                    match event:
                        case PullVerifying(done=done, total=total):
                            pulling.done, pulling.total = done, total
                        case Verified(ok=ok, detail=detail):
                            pulling.what = "verified" if ok else "differs"
                            if not ok:
                                pulling.failure = OmniError(
                                    f"{name} is not what it was: {detail}", hint="Remove it and pull it again."
                                )
                    self._tell(pulling)
        except OmniError as error:
            pulling.failure = error
        except asyncio.CancelledError:
            pulling.what = "cancelled"
            raise
        finally:
            self._finish(pulling)

    def _finish(self, pulling: Pulling) -> None:
        pulling.finished = True
        self._workers.pop(pulling.name, None)
        self._tell(pulling)

    def _tell(self, pulling: Pulling) -> None:
        for listener in self._listeners:
            listener(pulling)


def _closable(events: AsyncIterator[T]) -> AsyncGenerator[T]:
    """What the services yield from is a generator, whatever its annotation promises."""
    return cast("AsyncGenerator[T]", events)


def pulling_line(pulling: Pulling, width: int, *, cancel_key: str = "x") -> Content:
    """One download on one line: how far, how fast, how long still, how to stop it."""
    if pulling.failure is not None:
        return ink(
            (pulling.name, "text"), "  ", (pulling.failure.message, "red"), "  ", (pulling.failure.hint, "second")
        )
    if pulling.what in ("here", "verified", "cancelled", "differs"):
        return ink((pulling.name, "text"), "  ", (pulling.what, "accent" if pulling.what != "cancelled" else "amber"))
    facts = []
    if pulling.total:
        facts.append(
            f"{pulling.fraction:.0%} checked"
            if pulling.what == "checking"
            else f"{size_words(pulling.done)} of {size_words(pulling.total)}"
        )
    else:
        facts.append("checking" if pulling.what == "checking" else "asking where it lies")
    if pulling.rate:
        facts.append(f"{size_words(pulling.rate)}/s")
    if pulling.seconds_left is not None:
        facts.append(f"{time_words(pulling.seconds_left)} left")
    end = ink(("   ".join(facts), "second"), "   ", (cancel_key, "second"), (" cancel", "third"))
    room = width - len(pulling.name) - end.cell_length - 5
    middle = bar(min(30, room), pulling.fraction) if room >= 6 else Content("")
    return Content.assemble(ink((pulling.name, "text")), "  ", middle, "  " if middle else "", end)
