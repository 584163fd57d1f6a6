"""Work that runs in a task of its own. Whoever watches it hears all of it, however late and slowly; who leaves ends nothing."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from operator import itemgetter
from typing import Generic, Literal, TypeVar

import msgspec

from omni.core.errors import NotFound, UsageError

E = TypeVar("E")
JobState = Literal["running", "asking", "done", "stopped", "failed"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a job wants to know before it goes on; `choices` are the answers that it takes, none: any text."""

    id: str
    text: str
    choices: tuple[str, ...] = ()


class JobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands: what `about` (a conversation, a brain), since when in seconds of the clock, how many events it
    has told. `facts` are what others need to find it by, such as the id of an answer."""

    id: str
    kind: str
    about: str
    began: float
    state: JobState = "running"
    number: int = 0
    question: Question | None = None
    facts: dict[str, str] = {}


class Job(Generic[E]):
    """One piece of work: what `events` yields, kept as long as anybody holds the job.

    Of events of the types in `latest` only the last in a row is kept: an hour of progress is one line. The job ends
    "done" when they end, "failed" with what they raise, and "stopped" when it was told to stop; then they are closed.
    """

    def __init__(
        self,
        job_id: str,
        kind: str,
        about: str,
        events: "Callable[[Job[E]], AsyncGenerator[E]]",
        *,
        began: float,
        latest: tuple[type, ...] = (),
    ) -> None:
        self.id, self.kind, self.about, self.began = job_id, kind, about, began
        self.facts: dict[str, str] = {}
        self._latest = latest
        self._told: list[tuple[int, E]] = []
        self._number = 0
        self._error: Exception | None = None
        self._stopping = False
        self._question: Question | None = None
        self._answer: asyncio.Future[str] | None = None
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._run(events), name=f"{kind} {about}")
        self._task.add_done_callback(lambda _: self._ring())

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self._task.done()

    @property
    def stopping(self) -> bool:
        """Whether it was told to end, and may still be at it."""
        return self._stopping

    @property
    def state(self) -> JobState:
        """How it stands."""
        if not self.over:
            return "asking" if self._question is not None else "running"
        return "failed" if self._error is not None else "stopped" if self._task.cancelled() else "done"

    def snapshot(self) -> JobInfo:
        """What it is and how it stands."""
        return JobInfo(
            id=self.id,
            kind=self.kind,
            about=self.about,
            began=self.began,
            state=self.state,
            number=self._number,
            question=self._question,
            facts=dict(self.facts),
        )

    async def events(self, after: int = 0) -> AsyncGenerator[E]:
        """What it told after its event number `after`, and all that it tells from now on. Raises what the work raised."""
        async with aclosing(self.numbered(after)) as numbered:
            async for _, event in numbered:
                yield event

    async def numbered(self, after: int = 0) -> AsyncGenerator[tuple[int, E]]:
        """The same, each with its number."""
        while True:
            news = self._news
            for number, event in self._told[bisect_right(self._told, after, key=itemgetter(0)) :]:
                after = number
                yield number, event
            if self._number > after:  # more was told while these were read
                continue
            if self.over:
                break
            await news.wait()
        if self._error is not None:
            raise self._error

    def cancel(self) -> None:
        """Tell it to end."""
        if not self._stopping:  # a second time would break off the storing
            self._stopping = True
            self._task.cancel()

    async def stop(self) -> None:
        """End it, and return when what came of it is stored."""
        self.cancel()
        await self.wait()

    async def wait(self) -> None:
        """Return when it is over, whatever the end is."""
        await asyncio.wait({self._task})

    async def ask(self, question: Question) -> str:
        """Put a question to whoever watches, and wait for the answer. For the work itself, one question at a time."""
        self._question, self._answer = question, asyncio.get_running_loop().create_future()
        self._ring()
        try:
            return await self._answer
        finally:
            self._question = self._answer = None
            self._ring()

    def answer(self, question: str, value: str) -> None:
        """Answer the question with this id. Raises NotFound when it is not being asked (any more), UsageError when the
        value is none of its choices."""
        asked, future = self._question, self._answer
        if asked is None or asked.id != question or future is None or future.done():
            raise NotFound("This question is not being asked any more.", hint="It may have been answered elsewhere.")
        if asked.choices and value not in asked.choices:
            raise UsageError(f"{value!r} is no answer to this.", hint=f"It takes: {', '.join(asked.choices)}.")
        future.set_result(value)

    def when_over(self, call: Callable[[], object]) -> None:
        """Call this when it is over."""
        self._task.add_done_callback(lambda _: call())

    async def changed(self) -> None:
        """Return when it tells, asks or ends."""
        if not self.over:
            await self._news.wait()

    async def _run(self, events: "Callable[[Job[E]], AsyncGenerator[E]]") -> None:
        try:
            async with aclosing(events(self)) as coming:
                async for event in coming:
                    self._tell(event)
        except Exception as error:  # noqa: BLE001 - it is raised where the job is watched
            self._error = error

    def _tell(self, event: E) -> None:
        self._number += 1
        if isinstance(event, self._latest) and self._told and type(self._told[-1][1]) is type(event):
            self._told.pop()
        self._told.append((self._number, event))
        self._ring()

    def _ring(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
