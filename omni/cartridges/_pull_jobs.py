"""Pulls, checks and exports as jobs: they go on when who asked has left, and any front end may watch and stop them."""

from collections.abc import AsyncGenerator, Callable, Sequence
from os import PathLike, fspath
from typing import TypeVar, cast

from omni.cartridges._pull_status import PullKind
from omni.cartridges.brains import ExportEvent, PullEvent, PullProgress, PullVerifying, VerifyEvent
from omni.jobs import Job, Jobs

E = TypeVar("E")


KEPT = "kept"  # the fact of a job that a person asked for: it goes on when no program waits for it


def begin_pull(
    jobs: Jobs, pull: Callable[[str], AsyncGenerator[PullEvent]], name: str, *, kept: bool = True
) -> Job[PullEvent]:
    """Let `pull` fetch this brain, or join the job of this process that does; `kept`: it shall go on when who asked leaves."""
    job = _begin(jobs, "pull", name, lambda: pull(name))
    if kept:
        job.facts[KEPT] = "yes"
    return job


def begin_verify(jobs: Jobs, verify: Callable[[str], AsyncGenerator[VerifyEvent]], name: str) -> Job[VerifyEvent]:
    """Let `verify` check this brain, or join the job of this process that does."""
    return _begin(jobs, "verify", name, lambda: verify(name))


def begin_export(
    jobs: Jobs,
    export: Callable[[Sequence[str], str], AsyncGenerator[ExportEvent]],
    names: Sequence[str],
    folder: str | PathLike[str],
) -> Job[ExportEvent]:
    """Let `export` write these brains to `folder`, or join the job of this process that does."""
    target = fspath(folder)
    return _begin(jobs, "export", ", ".join(names), lambda: export(names, target), folder=target)


def _begin(jobs: Jobs, kind: PullKind, about: str, events: Callable[[], AsyncGenerator[E]], **facts: str) -> Job[E]:
    if (running := jobs.find(kind, about=about, **facts)) is not None and not running.stopping:
        return cast("Job[E]", running)
    job = jobs.begin(kind, about, lambda _: events(), latest=(PullProgress, PullVerifying))
    job.facts |= facts
    return job
