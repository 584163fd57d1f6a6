"""What the tests of agents share: a project, a place of work in it, and calls."""

import json
import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omni.agents import Toolbox
from omni.core.events import ConsentNeeded, ToolEvent, ToolReturned
from omni.core.messages import ToolCallPart
from omni.core.paths import Home
from omni.hands import (
    Artifacts,
    ChangeLog,
    ConsentJudge,
    HandTool,
    ToolSandbox,
    Workplace,
    all_tools,
    consent_record,
    policy_for,
    rule_of,
)


class Person:
    """Answers what is asked with what it was told to, and remembers the questions."""

    def __init__(self, *answers: str) -> None:
        self.meanwhile: Callable[[], object] = lambda: None  # what happens while they think
        self.answers, self.asked = list(answers), list[tuple[str, tuple[str, ...]]]()

    async def ask(self, question: str, text: str, choices: Sequence[str]) -> str:
        assert question
        self.asked.append((text, tuple(choices)))
        self.meanwhile()
        return self.answers.pop(0) if self.answers else "no"


class Work:
    """A place of work and its tools."""

    def __init__(self, home: Home, project: Path, keeper: Any = None, *, longest: int = 8000) -> None:
        self.home, self.project = home, project
        self.person = Person()
        self.judge = ConsentJudge(home)
        self.changes = ChangeLog(home)
        scratch = project.parent / "scratch"
        scratch.mkdir(exist_ok=True)
        self.place = Workplace(
            project,
            project,
            judge=self.judge,
            sandbox=ToolSandbox(keeper),
            policy=lambda seconds: policy_for(
                project, scratch, home=project.parent, omni=home.root, outside=dict(os.environ), seconds=seconds
            ),
            changes=self.changes,
            agent="tester",
            conversation="talk",
        )
        self.artifacts = Artifacts(home)
        self.box = self.boxed(longest=longest)

    def boxed(self, *, tools: Sequence[HandTool] = (), **options: Any) -> Toolbox:
        """These tools, or all, from now on in this box."""
        self.box = Toolbox(
            tools or list(all_tools().values()), self.place, ask=self.person.ask, artifacts=self.artifacts, **options
        )
        return self.box

    def allow(self, tool: str, pattern: str, verdict: Any = "allow") -> None:
        """A rule for always."""
        self.judge.book.keep(rule_of(verdict, tool, pattern, made=datetime(2026, 12, 1, tzinfo=UTC)))

    async def events(self, name: str, **arguments: Any) -> list[ToolEvent]:
        """All events of a call."""
        call = ToolCallPart(id="call_0", name=name, arguments=json.dumps(arguments))
        async with aclosing(self.box.run(call)) as events:
            return [event async for event in events]

    async def call(self, name: str, **arguments: Any) -> ToolReturned:
        """How a call ended."""
        last = (await self.events(name, **arguments))[-1]
        assert isinstance(last, ToolReturned)
        return last

    def recorded(self) -> list[dict[str, Any]]:
        """The lines of the record."""
        lines = [line for path in consent_record(self.home).files() for line in path.read_bytes().splitlines()]
        return [json.loads(line) for line in lines]

    async def consent(self, name: str, **arguments: Any) -> ConsentNeeded:
        """What is asked of the person for a call."""
        return next(event for event in await self.events(name, **arguments) if isinstance(event, ConsentNeeded))
