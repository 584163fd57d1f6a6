"""Jobs: heard whole by whoever watches, however late; ended by nobody who leaves; reached from another process."""

import asyncio
import gc
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import pytest

from omni.core.clock import SystemClock
from omni.core.errors import EngineError, NotFound, OmniError, UsageError
from omni.core.events import PromptProgress, ReasoningDelta, TextDelta
from omni.core.paths import Home
from omni.jobs import Job, Jobs, Question, RemoteJob
from omni.jobs.remote import listed
from omni.keeper.values import ProcessInfo
from tests.waiting import until

Event = PromptProgress | TextDelta | ReasoningDelta


class ListingKeeper:
    """Knows one client, and the socket that it offers."""

    def __init__(self) -> None:
        self.socket = ""
        self.told = asyncio.Event()

    async def offer(self, socket: str) -> None:
        self.socket = socket
        self.told.set()

    async def processes(self) -> list[ProcessInfo]:
        return [ProcessInfo(name="shell-1", kind="client", pid=1, confined="seccomp", since=0.0, jobs=self.socket)]


class Work:
    """Work that goes on as a test lets it."""

    def __init__(self) -> None:
        self.go: asyncio.Queue[Any] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def run(self, job: Job[Any]) -> AsyncGenerator[Event]:
        try:
            while (step := await self.go.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Question):
                    yield TextDelta(text=await job.ask(step))
                else:
                    yield step
        finally:
            self.closed.set()


@pytest.fixture
async def keeper() -> ListingKeeper:
    return ListingKeeper()


@pytest.fixture
async def jobs(tmp_path: Path, keeper: ListingKeeper) -> AsyncIterator[Jobs]:
    async def known() -> Any:
        return keeper

    owner = Jobs(Home(tmp_path), known, SystemClock())
    yield owner
    await owner.close()


@pytest.fixture
async def others(tmp_path: Path, keeper: ListingKeeper) -> AsyncIterator[Jobs]:
    """Those of another front end."""

    async def known() -> Any:
        return keeper

    other = Jobs(Home(tmp_path), known, SystemClock())
    yield other
    await other.close()


async def heard(events: Any) -> list[Any]:
    async with aclosing(events) as coming:
        return [event async for event in coming]


def text(*words: str) -> list[TextDelta]:
    return [TextDelta(text=word) for word in words]


async def test_who_comes_late_hears_all_of_it(jobs: Jobs) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    early = asyncio.create_task(heard(job.events()))
    for event in text("a", "b"):
        work.go.put_nowait(event)
    late = asyncio.create_task(heard(job.events()))
    work.go.put_nowait(TextDelta(text="c"))
    work.go.put_nowait(None)
    assert await early == await late == text("a", "b", "c")
    assert await heard(job.events(2)) == text("c")
    assert (job.state, job.snapshot().number) == ("done", 3)
    assert jobs.running == []


async def test_leaving_ends_nothing_and_stopping_closes_the_work(jobs: Jobs) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    work.go.put_nowait(TextDelta(text="a"))
    async with aclosing(job.events()) as events:
        assert await anext(events) == TextDelta(text="a")
    assert jobs.find("turn", about="c1") is job
    await job.stop()
    assert work.closed.is_set()
    assert (job.state, await heard(job.events())) == ("stopped", text("a"))
    assert jobs.find("turn", about="c1") is None


async def test_of_progress_only_the_last_in_a_row_is_kept(jobs: Jobs) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run, latest=(PromptProgress,))
    steps = [PromptProgress(done=done, total=3) for done in (1, 2, 3)]
    for event in (*steps, TextDelta(text="a"), None):
        work.go.put_nowait(event)
    await job.wait()
    assert await heard(job.events()) == [steps[-1], TextDelta(text="a")]
    assert job.snapshot().number == 4


async def test_who_watches_hears_each_step_that_comes(jobs: Jobs) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run, latest=(PromptProgress,))
    async with aclosing(job.events()) as events:
        for done in (1, 2, 3):
            work.go.put_nowait(step := PromptProgress(done=done, total=3))
            assert await anext(events) == step


async def test_what_the_work_raises_is_raised_to_each(jobs: Jobs) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    work.go.put_nowait(EngineError("It died.", hint="Again."))
    for _ in range(2):
        with pytest.raises(EngineError, match="It died"):
            await heard(job.events())
    assert job.state == "failed"


async def test_a_question_waits_for_its_answer(jobs: Jobs) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    work.go.put_nowait(Question(id="q", text="Write the file?", choices=("yes", "no")))
    while job.state != "asking":
        await job.changed()
    with pytest.raises(UsageError, match="no answer"):
        job.answer("q", "perhaps")
    job.answer("q", "yes")
    with pytest.raises(NotFound, match="not being asked"):
        job.answer("q", "no")
    work.go.put_nowait(None)
    assert await heard(job.events()) == text("yes")


async def test_another_front_end_lists_watches_answers_and_stops(
    jobs: Jobs, others: Jobs, keeper: ListingKeeper
) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    job.facts["answer"] = "a1"
    await keeper.told.wait()
    remote = await others.find_other("turn", answer="a1")
    assert remote.info == job.snapshot()
    async with aclosing(remote.events(Event)) as events:
        for event in (TextDelta(text="a"), ReasoningDelta(text="hm")):
            work.go.put_nowait(event)
            assert await anext(events) == event
        work.go.put_nowait(Question(id="q", text="Go on?"))
        while job.state != "asking":
            await job.changed()
        assert (await others.find_other("turn", about="c1")).info.question == Question(id="q", text="Go on?")
        await remote.answer("q", "yes")
        assert await anext(events) == TextDelta(text="yes")
        await remote.stop()
        assert await heard(events) == []
    assert work.closed.is_set()
    with pytest.raises(NotFound, match="over"):
        await remote.stop()
    with pytest.raises(NotFound, match="No such work"):
        await others.find_other("turn", about="c1")


async def test_a_failure_is_the_same_one_on_the_other_side(jobs: Jobs, others: Jobs, keeper: ListingKeeper) -> None:
    work = Work()
    jobs.begin("turn", "c1", work.run)
    await keeper.told.wait()
    (remote,) = await others.others()
    async with aclosing(remote.events(Event)) as events:
        work.go.put_nowait(TextDelta(text="a"))
        assert await anext(events) == TextDelta(text="a")
        work.go.put_nowait(EngineError("It died.", hint="Again."))
        with pytest.raises(EngineError, match="It died") as ended:
            await anext(events)
    assert ended.value.hint == "Again."


async def test_any_failure_is_said_on_the_other_side(
    jobs: Jobs, others: Jobs, keeper: ListingKeeper, capfd: pytest.CaptureFixture[str]
) -> None:
    for failure in (OSError(28, "No space left"), ValueError("a bug"), RuntimeError("another")):
        work = Work()
        jobs.begin("turn", "c1", work.run)
        await keeper.told.wait()
        (remote,) = await others.others()
        async with aclosing(remote.events(Event)) as events:
            work.go.put_nowait(TextDelta(text="a"))
            assert await anext(events) == TextDelta(text="a")
            work.go.put_nowait(failure)
            with pytest.raises(OmniError, match=str(failure.args[-1])):
                await anext(events)
    assert "never retrieved" not in capfd.readouterr().err


async def test_an_owner_that_is_suspended_is_not_waited_for(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its kernel still takes connections, and it never reads them."""
    monkeypatch.setattr("omni.jobs.remote.STOPPING", 0.01)
    monkeypatch.setattr("omni.jobs.remote.PATIENCE", 0.01)
    path = str(Home(tmp_path).ensure_sockets() / "suspended")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        assert await listed(path) == []
        for order in ("stop", "answer"):
            with pytest.raises(EngineError, match="has not answered"):
                await _told(path, order)


async def test_sockets_of_processes_that_were_killed_are_removed(
    jobs: Jobs, tmp_path: Path, keeper: ListingKeeper
) -> None:
    folder = Home(tmp_path).ensure_sockets()
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    left, young = folder / f"jobs-{gone.pid}-00", folder / f"jobs-{os.getpid()}-00"
    for path in (left, young):  # bound, and nobody listens
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    work = Work()
    jobs.begin("turn", "c1", work.run)
    await keeper.told.wait()
    assert sorted(folder.glob("jobs-*")) == sorted([Path(keeper.socket), young])


def has_news(line: socket.socket) -> bool:
    """Whether something can be read; nothing is."""
    try:
        return bool(line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


async def test_who_never_reads_keeps_nobody_waiting(jobs: Jobs, others: Jobs, keeper: ListingKeeper) -> None:
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    await keeper.told.wait()
    deaf = [socket.socket(socket.AF_UNIX) for _ in range(80)]
    for line in deaf:
        line.connect(keeper.socket)
        line.sendall(b'{"do": "watch", "job": "%s"}\n' % job.id.encode())
    (remote,) = await others.others()
    async with aclosing(remote.events(Event)) as events:
        work.go.put_nowait(TextDelta(text="first"))
        assert await anext(events) == TextDelta(text="first")
        await until(lambda: all(map(has_news, deaf)))  # each is being told by now, and none is just being accepted
        for _ in range(500):
            work.go.put_nowait(TextDelta(text="x" * 1000))
        work.go.put_nowait(None)
        await job.wait()
        assert len(await heard(events)) == 500
    await jobs.close()
    for line in deaf:
        line.close()


async def test_an_owner_that_ends_is_said(jobs: Jobs, others: Jobs, keeper: ListingKeeper) -> None:
    work = Work()
    jobs.begin("turn", "c1", work.run)
    await keeper.told.wait()
    (remote,) = await others.others()
    async with aclosing(remote.events(Event)) as events:
        work.go.put_nowait(TextDelta(text="a"))
        assert await anext(events) == TextDelta(text="a")
        await jobs.close()
        assert await heard(events) == []
    with pytest.raises(NotFound):
        await remote.stop()
    assert await others.others() == []


async def test_who_sends_what_is_no_request_disturbs_nobody(jobs: Jobs, others: Jobs, keeper: ListingKeeper) -> None:
    work = Work()
    jobs.begin("turn", "c1", work.run)
    await keeper.told.wait()
    for junk in (b"\n", b"[]\n", b'{"do": 7}\n', b"\xff" * 2_000_000 + b"\n", b'{"do": "list"'):
        reader, writer = await asyncio.open_unix_connection(keeper.socket)
        writer.write(junk)
        if junk.endswith(b"\n"):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        writer.close()
    for order in ("fly", "stop"):
        with pytest.raises((UsageError, NotFound)):
            await _told(keeper.socket, order)
    assert [remote.info.about for remote in await others.others()] == ["c1"]


async def _told(socket: str, order: str) -> None:
    from omni.jobs.job import JobInfo

    remote = RemoteJob(socket, JobInfo(id="none", kind="turn", about="x", began=0.0))
    await (remote.stop() if order == "stop" else remote.answer("q", "v"))


async def test_without_a_keeper_jobs_run_all_the_same(tmp_path: Path) -> None:
    async def none() -> Any:
        raise NotFound("No keeper is running.")

    alone = Jobs(Home(tmp_path), none, SystemClock())
    work = Work()
    job = alone.begin("turn", "c1", work.run)
    work.go.put_nowait(None)
    await alone.idle()
    assert job.state == "done"
    await alone.close()


async def test_who_closes_while_the_socket_is_made_leaves_none_behind(jobs: Jobs, tmp_path: Path) -> None:
    sockets = Home(tmp_path).sockets
    work = Work()
    job = jobs.begin("turn", "c1", work.run)
    await job.stop()
    async with asyncio.timeout(10):
        while not list(sockets.glob("jobs-*")):  # noqa: ASYNC110 - a longer pause would miss the moment before its owner knows
            await asyncio.sleep(0)
    await jobs.close()
    gc.collect()  # a socket that nobody closed is a warning, and that is an error here
    assert not list(sockets.glob("jobs-*"))
