"""A task for an agent: a turn in a conversation of its own, as a job that any front end may watch, stop and answer."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from omni.agents.asking import ask_brain
from omni.agents.attempts import Attempts
from omni.agents.candidates import mendable
from omni.agents.checks import check_of
from omni.agents.spec import ASK_BRAIN, MEND, AgentSpec, tools_named
from omni.agents.toolbox import Toolbox
from omni.chat import BrainSource, ChatService, WorkLimits, begin_turn
from omni.core.events import ChatEvent
from omni.core.paths import Home
from omni.engine import ChatRequest, Engine, adapter_of, sampling_of
from omni.hands import (
    Artifacts,
    ChangeLog,
    ConsentJudge,
    ConsentRule,
    ToolSandbox,
    Workplace,
    policy_here,
    project_of,
    scratch_folder,
)
from omni.jobs import Job, Jobs, Question

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.keeper import KeeperClient

ATTEMPT_TOKENS = 1500


class WorkServices(Protocol):
    """The part of `omni.app.Services` that work needs."""

    home: Home

    @property
    def chat(self) -> ChatService:
        """The conversations."""
        ...

    @property
    def jobs(self) -> Jobs:
        """The work of this process."""
        ...

    @property
    def library(self) -> BrainSource:
        """The brains."""
        ...

    async def open(self, brain: "Brain") -> Engine:
        """The engine for a brain."""
        ...

    async def keeper(self) -> "KeeperClient":
        """The keeper, which starts the sandbox."""
        ...


async def begin_work(
    services: WorkServices,
    agent: AgentSpec,
    task: str,
    *,
    folder: Path,
    brain: "Brain",
    rules: Sequence[ConsentRule] = (),
    limits: WorkLimits | None = None,
    check: str = "",
) -> Job[ChatEvent]:
    """Let an agent work on a task in a folder. `rules` hold for this work; what they do not allow is asked by the job. `check` is a
    command line that must succeed before an answer counts; "" for the agent's own.

    Raises what the conversation raises, and NotFound for a folder that is not there.
    """
    project = await asyncio.to_thread(project_of, folder)
    conversation = (await services.chat.create(project=folder, brain=brain.name, system=agent.prompt)).id
    command = check or (await asyncio.to_thread(check_of, project) if agent.check == "auto" else agent.check)
    judge = ConsentJudge(services.home)
    judge.book.remember(conversation, *rules)
    sandbox = ToolSandbox(await services.keeper())

    async def work(job: Job[ChatEvent]) -> AsyncGenerator[ChatEvent]:
        async def ask(question: str, text: str, choices: Sequence[str]) -> str:
            return await job.ask(Question(id=question, text=text, choices=tuple(choices)))

        with scratch_folder() as scratch:
            place = Workplace(
                folder,
                project,
                judge=judge,
                sandbox=sandbox,
                policy=lambda seconds: policy_here(services.home, folder, scratch, seconds=seconds),
                changes=ChangeLog(services.home),
                agent=agent.name,
                conversation=conversation,
            )
            chosen = tools_named(agent.tools, agent.name)
            if MEND in agent.tools and command:
                attempts = Attempts(
                    lambda: services.open(brain),
                    ChatRequest(
                        messages=(),
                        sampling=sampling_of(brain, max_tokens=ATTEMPT_TOKENS),
                        adapter=adapter_of(brain),
                        priority="agent",
                    ),
                    check=command,
                    candidates=await asyncio.to_thread(mendable, project),
                    scratch=scratch,
                    policy=lambda at, seconds: policy_here(services.home, at, scratch, read=[project], seconds=seconds),
                )
                chosen = (*chosen, attempts.tool)
            if ASK_BRAIN in agent.tools:
                chosen = (*chosen, ask_brain(services.library.get, services.open))
            tools = Toolbox(
                chosen,
                place,
                ask=ask,
                artifacts=Artifacts(services.home),
                forced=agent.forced,
                limits=limits or WorkLimits(steps=agent.steps, seconds=agent.minutes * 60),
                check=command,
                checks_first=agent.checks_first,
            )
            turn = services.chat.ask(conversation, task, brain=brain.name, tools=tools)
            async with aclosing(turn) as events:
                async for event in events:
                    yield event

    job = begin_turn(services.jobs, conversation, work)
    job.facts["agent"] = agent.name
    return job
