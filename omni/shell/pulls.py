"""Downloads of brains. They belong to the shell, not to a pane, and go on whatever pane is shown."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from textwrap import wrap
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from msgspec import Struct
from textual.content import Content
from textual.worker import Worker

from omni.core.errors import OmniError
from omni.shell.widgets import bar, ink, size_words, time_words

if TYPE_CHECKING:
    from omni.shell.themed_app import ThemedApp

T = TypeVar("T")


class PullStatus(Struct, kw_only=True):
    """One download, or one verification, as far as it is. `end` is "" while it runs."""

    name: str
    kind: Literal["pull", "verify"] = "pull"
    checking: bool = False
    done: int = 0
    total: int | None = None
    rate: float = 0.0
    seconds_left: float | None = None
    failure: OmniError | None = None
    end: Literal["", "here", "verified", "cancelled", "failed"] = ""

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return not self.end

    @property
    def fraction(self) -> float:
        """How much is done, 0 while nobody knows of how much."""
        return self.done / self.total if self.total else 0.0


class ShellPulls:
    """All that run. Who listens is told about every step, and decides how much of it it draws; `moved` is told last."""

    def __init__(self, app: "ThemedApp", moved: Callable[[PullStatus], None]) -> None:
        self._app, self._moved = app, moved
        self._workers: dict[str, Worker[None]] = {}
        self._listeners: list[Callable[[PullStatus], None]] = []
        self.all: dict[str, PullStatus] = {}
        self.rate = 0.0  # bytes a second of what came last; 0 before anything did

    @property
    def running(self) -> list[PullStatus]:
        """Those that are not finished."""
        return [pulling for pulling in self.all.values() if pulling.running]

    def runs(self, name: str) -> bool:
        """Whether this brain is being fetched or checked."""
        return name in self.all and self.all[name].running

    async def over(self, name: str) -> None:
        """Wait until this brain is fetched, or will not be."""
        if (worker := self._workers.get(name)) is not None and worker._task is not None:
            await asyncio.wait([worker._task])

    def listen(self, listener: Callable[[PullStatus], None]) -> None:
        """Tell `listener` from now on."""
        self._listeners.append(listener)

    def start(self, name: str) -> PullStatus:
        """Begin, unless it runs already; one that was interrupted goes on where it stopped."""
        return self._start(PullStatus(name=name), self._pull)

    def verify(self, name: str) -> PullStatus:
        """Read the whole file and compare its hash."""
        return self._start(PullStatus(name=name, kind="verify", checking=True), self._verify)

    def cancel(self, name: str) -> None:
        """End it; what came so far is kept for the next try."""
        if (worker := self._workers.get(name)) is not None:
            worker.cancel()

    def forget(self, name: str) -> None:
        """What became of it is of no interest any more."""
        if not self.runs(name) and (pulling := self.all.pop(name, None)) is not None:
            self._tell(pulling)

    def _start(self, pulling: PullStatus, work: Callable[[PullStatus], AsyncIterator[None]]) -> PullStatus:
        name = pulling.name
        if self.runs(name):
            return self.all[name]
        self.all[name] = pulling
        self._workers[name] = self._app.run_worker(
            self._run(pulling, work), name=f"pull {name}", group="pulls", description=f"fetch or check {name}"
        )
        self._tell(pulling)
        return pulling

    async def _run(self, pulling: PullStatus, work: Callable[[PullStatus], AsyncIterator[None]]) -> None:
        try:
            async with aclosing(_closable(work(pulling))) as steps:
                async for _ in steps:
                    self._tell(pulling)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not here
            pulling.failure, pulling.end = self._app.known(error), "failed"
        except asyncio.CancelledError:
            pulling.end = "cancelled"
            raise
        finally:
            pulling.end = pulling.end or ("here" if pulling.kind == "pull" else "verified")
            self._workers.pop(pulling.name, None)
            self._tell(pulling)

    async def _pull(self, pulling: PullStatus) -> AsyncIterator[None]:
        from omni.cartridges import PullProgress, PullStarted, PullVerifying

        async with aclosing(_closable(self._app.services.pull(pulling.name))) as events:
            async for event in events:
                match event:
                    case PullStarted(size=size):
                        pulling.total = size
                    case PullProgress(done=done, total=total, rate=rate, seconds_left=left):
                        pulling.checking = False
                        pulling.done, pulling.total = done, total
                        pulling.rate, pulling.seconds_left = rate, left
                        self.rate = rate or self.rate
                    case PullVerifying(done=done, total=total):
                        pulling.checking, pulling.done, pulling.total = True, done, total
                        pulling.rate, pulling.seconds_left = 0.0, None
                    case _:
                        pass  # it is here: the end says so
                yield

    async def _verify(self, pulling: PullStatus) -> AsyncIterator[None]:
        from omni.cartridges import PullVerifying, Verified

        async with aclosing(_closable(self._app.services.library.verify(pulling.name))) as events:
            async for event in events:
                match event:
                    case PullVerifying(done=done, total=total):
                        pulling.done, pulling.total = done, total
                    case Verified(ok=False, detail=detail):
                        again = (await self._app.services.library.get(pulling.name)).origin in ("", "blob")
                        hint = "p pulls it again." if again else "Put the right file back, or remove the entry."
                        raise OmniError(f"{detail[:1].upper()}{detail[1:]}.", hint=hint)
                yield

    def _tell(self, pulling: PullStatus) -> None:
        for listener in (*self._listeners, self._moved):
            self._app.attempt(listener, pulling)


def _closable(events: AsyncIterator[T]) -> AsyncGenerator[T]:
    """What the services yield from is a generator, whatever its annotation promises."""
    return cast("AsyncGenerator[T]", events)


def pulling_line(pulling: PullStatus, width: int, *, key: tuple[str, str] = ("x", "cancel")) -> Content:
    """One download on one line: how far, how fast, how long still, and the key that helps."""
    if pulling.failure is not None:
        failure = pulling.failure
        return ink((pulling.name, "text"), "  ", (failure.message, "red"), "  ", (failure.hint, "second"))
    if pulling.end:
        return ink((pulling.name, "text"), "  ", (pulling.end, "amber" if pulling.end == "cancelled" else "accent"))
    facts = []
    if pulling.total:
        of = f"{size_words(pulling.done)} of {size_words(pulling.total)}"
        facts.append(f"{pulling.fraction:.0%} checked" if pulling.checking else of)
    else:
        facts.append("checking" if pulling.checking else "asking where it lies")
    if pulling.rate:
        facts.append(f"{size_words(pulling.rate)}/s")
    if pulling.seconds_left is not None:
        facts.append(f"{time_words(pulling.seconds_left)} left")
    end = ink(("   ".join(facts), "second"), "   ", (key[0], "second"), (f" {key[1]}", "third"))
    room = width - len(pulling.name) - end.cell_length - 5
    middle = bar(min(30, room), pulling.fraction) if room >= 6 else Content("")
    return Content.assemble(ink((pulling.name, "text")), "  ", middle, "  " if middle else "", end)


def pulling_lines(pulling: PullStatus, width: int, *keys: tuple[str, str]) -> list[Content]:
    """The same where it can be acted on: one that ended early says below why, and which `keys` help."""
    if pulling.end not in ("failed", "cancelled"):
        return [pulling_line(pulling, width)]
    failure = pulling.failure
    message = failure.message if failure else "The download was cancelled; what came so far is kept."
    first = message if message.startswith(pulling.name) else f"{pulling.name}  {message}"
    lines = [ink((row, "red" if failure else "amber")) for row in wrap(first, max(20, width))]
    lines += [ink((row, "second")) for row in wrap(failure.hint if failure else "", max(20, width))]
    helps = [ink((key, "second"), (f" {meaning}", "third")) for key, meaning in keys]
    return [*lines, Content("   ").join(helps)] if helps else lines
