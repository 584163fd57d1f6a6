"""Pulls, checks and exports as jobs: one status for all, joined in one process, watched and stopped from another."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import (
    Brain,
    Exported,
    ExportEvent,
    LibraryJobs,
    PullDone,
    PullEvent,
    PullProgress,
    PullStarted,
    PullStatus,
    PullVerifying,
    Verified,
    VerifyEvent,
    after,
    begin_export,
    begin_pull,
    begin_verify,
)
from omni.core.clock import SystemClock
from omni.core.errors import BadFile, NetworkBlocked, OmniError
from omni.core.paths import Home
from omni.jobs import Jobs
from omni.keeper.values import ProcessInfo

QWEN = "@omni/qwen3-4b"
DONE = PullDone(brain=Brain(name=QWEN, state="installed"))


class ListingKeeper:
    """Knows the sockets on which jobs are offered."""

    def __init__(self) -> None:
        self.listed: list[ProcessInfo] = []
        self.told = asyncio.Event()

    async def offer(self, socket: str) -> None:
        number = len(self.listed)
        self.listed.append(
            ProcessInfo(name=f"shell-{number}", kind="client", pid=number, confined="seccomp", since=0.0, jobs=socket)
        )
        self.told.set()

    async def processes(self) -> list[ProcessInfo]:
        return self.listed


class Front:
    """A front end: its jobs, what a test lets its library do, and what it shows."""

    def __init__(self, home: Home, keeper: ListingKeeper) -> None:
        async def known() -> Any:
            return keeper

        self.jobs = Jobs(home, known, SystemClock())
        self.go: asyncio.Queue[Any] = asyncio.Queue()
        self.begun: list[str] = []
        self.shown: list[PullStatus] = []
        self.moved = asyncio.Event()
        self.pulls = LibraryJobs(self, self._show, self._known)

    def _show(self, status: PullStatus) -> None:
        self.shown.append(status)
        self.moved.set()

    def _known(self, error: Exception) -> OmniError:
        return error if isinstance(error, OmniError) else OmniError(f"It broke: {error}")

    async def pull(self, name: str) -> AsyncGenerator[PullEvent]:
        self.begun.append(f"pull {name}")
        while (step := await self.go.get()) is not None:
            if isinstance(step, Exception):
                raise step
            yield step

    async def verify(self, name: str) -> AsyncGenerator[VerifyEvent]:
        self.begun.append(f"verify {name}")
        yield Verified(brain=name, ok=False, detail="its bytes are not what they were")

    async def export(self, names: Sequence[str], folder: str) -> AsyncGenerator[ExportEvent]:
        self.begun.append(f"export {' '.join(names)} {folder}")
        yield PullProgress(done=1, total=2)
        yield Exported(folder=folder)

    async def until(self, state: str) -> PullStatus:
        """The first status shown in this state."""
        async with asyncio.timeout(10):
            while not (at := [status for status in self.shown if status.state == state]):
                self.moved.clear()
                await self.moved.wait()
        return at[0]


@pytest.fixture
def keeper() -> ListingKeeper:
    return ListingKeeper()


@pytest.fixture
async def here(tmp_path: Path, keeper: ListingKeeper) -> AsyncIterator[Front]:
    front = Front(Home(tmp_path), keeper)
    yield front
    await front.pulls.close()
    await front.jobs.close()


@pytest.fixture
async def elsewhere(tmp_path: Path, keeper: ListingKeeper) -> AsyncIterator[Front]:
    front = Front(Home(tmp_path), keeper)
    yield front
    await front.pulls.close()
    await front.jobs.close()


def test_the_status_of_a_pull_is_what_its_events_came_to() -> None:
    status = PullStatus(name=QWEN)
    assert (status.running, status.checking, status.fraction) == (True, False, 0.0)
    status = after(status, PullStarted(brain=QWEN, size=100))
    assert status == PullStatus(name=QWEN, state="fetching", total=100)
    status = after(status, PullProgress(done=30, total=100, rate=7.0, seconds_left=10.0, what="part 1 of 2"))
    assert status == PullStatus(
        name=QWEN, state="fetching", done=30, total=100, rate=7.0, seconds_left=10.0, what="part 1 of 2"
    )
    assert status.fraction == 0.3
    status = after(status, PullVerifying(done=50, total=100))
    assert (status.state, status.checking, status.done, status.rate, status.seconds_left) == (
        "verifying",
        True,
        50,
        0.0,
        None,
    )
    status = after(status, DONE)
    assert (status.state, status.running, status.checking, status.error) == ("done", False, False, None)


def test_a_file_that_is_not_what_it_was_is_a_check_that_failed() -> None:
    status = PullStatus(name=QWEN, kind="verify")
    assert status.checking
    assert after(status, Verified(brain=QWEN, ok=True, detail="sha256 ab")).state == "done"
    failed = after(after(status, PullVerifying(done=5, total=10)), Verified(brain=QWEN, ok=False, detail="it differs"))
    assert (failed.state, failed.checking, failed.done) == ("failed", False, 5)
    assert isinstance(failed.error, BadFile)
    assert failed.error.message == f"{QWEN} is not what it was: it differs"
    assert f"omni pull {QWEN}" in failed.error.hint


async def test_asking_twice_joins_what_runs(here: Front) -> None:
    first, second = (begin_pull(here.jobs, here.pull, QWEN) for _ in range(2))
    other = begin_pull(here.jobs, here.pull, "@omni/coder")
    assert first is second
    assert other is not first
    assert (first.kind, first.about) == ("pull", QWEN)
    assert here.pulls.start(QWEN) == here.pulls.start(QWEN)
    for event in (PullStarted(brain=QWEN, size=9), DONE, None):
        here.go.put_nowait(event)
    assert (await here.until("done")).total == 9
    assert here.begun == [f"pull {QWEN}", "pull @omni/coder"]
    assert [kind.about for kind in here.jobs.running] == ["@omni/coder"]


async def test_a_check_and_an_export_are_jobs_that_tell_of_their_end(here: Front) -> None:
    here.pulls.verify(QWEN)
    assert (await here.until("failed")).kind == "verify"
    export = begin_export(here.jobs, here.export, [QWEN, "@omni/coder"], Path("/usb"))
    assert begin_export(here.jobs, here.export, [QWEN, "@omni/coder"], "/usb") is export
    assert begin_export(here.jobs, here.export, [QWEN, "@omni/coder"], "/stick") is not export
    assert (export.kind, export.about) == ("export", f"{QWEN}, @omni/coder")
    assert [event async for event in export.events()] == [PullProgress(done=1, total=2), Exported(folder="/usb")]
    check = begin_verify(here.jobs, here.verify, QWEN)
    assert [type(event) async for event in check.events()] == [Verified]


async def test_another_process_watches_a_pull_to_its_end(here: Front, elsewhere: Front, keeper: ListingKeeper) -> None:
    here.pulls.start(QWEN)
    await keeper.told.wait()
    await elsewhere.pulls.look()
    await elsewhere.pulls.look()  # twice is once
    assert [status.name for status in elsewhere.pulls.running] == [QWEN]
    here.go.put_nowait(PullProgress(done=3, total=9, rate=1.0))
    assert (await elsewhere.until("fetching")).done == 3
    for event in (DONE, None):
        here.go.put_nowait(event)
    await elsewhere.until("done")
    assert not elsewhere.pulls.runs(QWEN)
    assert elsewhere.begun == []
    await elsewhere.pulls.look()
    assert elsewhere.pulls.running == []


async def test_another_process_cancels_it_and_who_began_it_goes_on(
    here: Front, elsewhere: Front, keeper: ListingKeeper
) -> None:
    here.pulls.start(QWEN)
    here.go.put_nowait(PullProgress(done=3, total=9, rate=1.0))
    await keeper.told.wait()
    await elsewhere.pulls.look()
    await elsewhere.until("fetching")
    await elsewhere.pulls.cancel(QWEN)
    assert elsewhere.pulls.all[QWEN].state == "cancelled"
    cancelled = await here.until("cancelled")
    assert (cancelled.done, cancelled.rate) == (3, 0.0)
    here.pulls.start(QWEN)
    for event in (DONE, None):
        here.go.put_nowait(event)
    await here.until("done")


async def test_why_it_failed_is_the_same_elsewhere(here: Front, elsewhere: Front, keeper: ListingKeeper) -> None:
    here.pulls.start(QWEN)
    await keeper.told.wait()
    await elsewhere.pulls.look()
    here.go.put_nowait(PullProgress(done=3, total=9))
    await elsewhere.until("fetching")
    here.go.put_nowait(NetworkBlocked("The doors are shut.", hint="F12."))
    for front in (here, elsewhere):
        error = (await front.until("failed")).error
        assert isinstance(error, NetworkBlocked)
        assert (error.message, error.hint) == ("The doors are shut.", "F12.")


async def test_watching_no_more_ends_nothing(here: Front) -> None:
    here.pulls.start(QWEN)
    await here.pulls.close()
    (job,) = here.jobs.running
    assert not job.over
    for event in (DONE, None):
        here.go.put_nowait(event)
    await here.jobs.idle()
    assert job.state == "done"
