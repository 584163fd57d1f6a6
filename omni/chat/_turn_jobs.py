"""Turns as jobs: they go on when who asked has left, and any front end may read on, and stop them."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from omni.core.events import BrainLoading, ChatEvent, PromptProgress, TurnQueued, TurnStarted
from omni.jobs import Job, Jobs, RemoteJob

KIND = "turn"


def begin_turn(
    jobs: Jobs,
    conversation: str,
    events: AsyncGenerator[ChatEvent] | Callable[[Job[ChatEvent]], AsyncGenerator[ChatEvent]],
) -> Job[ChatEvent]:
    """Let a turn run; one whose tools ask the person gets the job, which puts the questions. Its facts name the `answer` and the
    `brain` as soon as there is one."""

    async def run(job: Job[ChatEvent]) -> AsyncGenerator[ChatEvent]:
        async with aclosing(events(job) if callable(events) else events) as told:
            async for event in told:
                if isinstance(event, TurnStarted):
                    job.facts |= {"answer": event.answer, "brain": event.brain}
                yield event

    return jobs.begin(KIND, conversation, run, latest=(PromptProgress, BrainLoading, TurnQueued))


def turn_here(jobs: Jobs, **facts: str) -> Job[object] | None:
    """The turn of this process with this `answer`, or `about` this conversation."""
    return jobs.find(KIND, **facts)


async def turn_elsewhere(jobs: Jobs, **facts: str) -> RemoteJob:
    """The turn of another front end with this `answer`, or `about` this conversation. Raises NotFound."""
    return await jobs.find_other(KIND, **facts)
