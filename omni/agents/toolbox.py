"""The tools of one turn: each call is proved, planned, judged, asked about where it must be, done, and written down."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from omni.agents.types import Decided
from omni.chat import WorkLimits
from omni.core.errors import OmniError, UsageError, nearest
from omni.core.events import (
    ConsentNeeded,
    PersonAsked,
    QuestionAnswered,
    ToolEvent,
    ToolOutcome,
    ToolOutput,
    ToolReturned,
    ToolStarted,
)
from omni.core.messages import ToolCallPart
from omni.engine import Tool
from omni.hands import (
    LONGEST_RESULT,
    Artifacts,
    HandTool,
    Judgement,
    PersonQuestion,
    ToolPlan,
    ToolResult,
    Workplace,
    all_tools,
    trimmed,
)
from omni.schemas import expected, parameters_of, proved_arguments

NO = "no"
CHECKS = "run_command"  # the tool that runs the check
SHOWN = 64_000  # characters of output that are shown while a tool runs

# Puts a question to the person and returns the answer.
Asker = Callable[[str, str, Sequence[str]], Awaitable[str]]


class Toolbox:
    """What a brain may do at one place of work; see `TurnTools`. `ask` gets a question's id, its text and its answers, `check` is a
    command line that must succeed before an answer counts."""

    def __init__(
        self,
        tools: Sequence[HandTool],
        place: Workplace,
        *,
        ask: Asker,
        artifacts: Artifacts,
        forced: bool = True,
        limits: WorkLimits | None = None,
        longest: int = LONGEST_RESULT,
        check: str = "",
        checks_first: bool = False,
    ) -> None:
        self.forced, self.limits = forced, limits or WorkLimits()
        self._tools = {tool.name: tool for tool in tools}
        if check:  # which is done whether or not the brain may run commands
            self._tools |= {CHECKS: all_tools()[CHECKS]}
        self._place, self._ask, self._artifacts, self._longest = place, ask, artifacts, longest
        self._check, self._unchecked = check, bool(check)
        self.opening: Sequence[ToolCallPart] = (self._checking(),) if check and checks_first else ()
        self.offered = tuple(
            Tool(name=tool.name, description=tool.about, parameters=parameters_of(tool)) for tool in tools
        )

    @property
    def check(self) -> ToolCallPart | None:
        """The command that must succeed before an answer counts."""
        return self._checking() if self._unchecked else None

    def _checking(self) -> ToolCallPart:
        return ToolCallPart(id="check", name=CHECKS, arguments=json.dumps({"command": self._check}))

    async def is_free(self, call: ToolCallPart) -> bool:
        """Whether a call only looks at what may be looked at without asking."""
        tool = self._tools.get(call.name)
        if tool is None or tool.touches != ("read",):
            return False
        try:
            planned = await asyncio.to_thread(self._planned, call)
        except OmniError:
            return True  # it fails, whatever else happens
        return planned.judgement is None or planned.judgement.verdict == "allow"

    async def run(self, call: ToolCallPart) -> AsyncGenerator[ToolEvent]:
        """Do a call; the last event is `ToolReturned`."""
        yield ToolStarted(call=call.id, name=call.name, arguments=call.arguments)
        began = time.monotonic()
        try:
            planned = await asyncio.to_thread(self._planned, call)
            async with aclosing(self._done(call, planned)) as events:
                async for event in events:
                    if isinstance(event, ToolReturned):
                        self._follow(call, planned.tool, event)
                        event = await self._kept(event, began)
                    yield event
        except OmniError as error:
            yield await self._kept(_returned(call, f"{error.message} {error.hint}".strip(), "failed"), began)
        except OSError as error:
            yield await self._kept(_returned(call, f"It failed: {error}.", "failed"), began)

    def _planned(self, call: ToolCallPart) -> Decided:
        """What a call would do, and what is said of it. Raises OmniError; blocking."""
        tool = self._tools.get(call.name)
        if tool is None:
            hint = nearest(call.name, self._tools) or f"There is: {', '.join(self._tools)}."
            raise UsageError(f"There is no tool {call.name!r}.", hint=hint)
        plan = tool.plan(_arguments(tool, call.arguments), self._place)
        return Decided(tool, plan, None if plan.act is None else self._place.judge.judge(plan.act))

    async def _done(self, call: ToolCallPart, planned: Decided) -> AsyncGenerator[ToolEvent]:
        plan, judge = planned.plan, self._place.judge
        if plan.act is not None and planned.judgement is not None:
            if planned.judgement.verdict == "ask":
                needed = _consent_needed(call, plan, planned.judgement)
                yield needed
                answer = await self._ask(needed.question, needed.act, needed.answers)
                yield QuestionAnswered(question=needed.question, answer=answer)
                if answer not in planned.judgement.answers:
                    await asyncio.to_thread(judge.refuse, plan.act)
                    yield _returned(call, "The person does not want this. Do something else, or ask.", "refused")
                    return
                await asyncio.to_thread(judge.grant, answer, plan.act)
            entered = await asyncio.to_thread(judge.enter, plan.act)
            if entered.verdict != "allow":
                yield _returned(call, f"This is not allowed: {entered.reason}.", "denied")
                return
        async with aclosing(self._ran(call, plan)) as events:
            async for event in events:
                yield event

    async def _within(self, call: ToolCallPart, plan: ToolPlan) -> AsyncGenerator[ToolEvent]:
        """Do what a tool wants to do besides what was judged before it began."""
        assert plan.act is not None
        judgement = await asyncio.to_thread(self._place.judge.judge, plan.act)
        async with aclosing(self._done(call, Decided(self._tools[call.name], plan, judgement))) as events:
            async for event in events:
                yield event

    async def _ran(self, call: ToolCallPart, plan: ToolPlan) -> AsyncGenerator[ToolEvent]:
        """Do what was planned. However it ends, the record says how."""
        outcome, shown = "stopped", 0
        try:
            async with aclosing(plan.run()) as progress:
                sent: Any = None
                while True:
                    step = await progress.asend(sent)
                    sent = None
                    match step:
                        case str() if shown < SHOWN:
                            shown += len(step)
                            yield ToolOutput(call=call.id, text=step[:SHOWN])
                        case PersonQuestion(text=text, choices=choices):
                            asked = PersonAsked(question=_new_id(), call=call.id, text=text, choices=choices)
                            yield asked
                            sent = await self._ask(asked.question, text, choices)
                            yield QuestionAnswered(question=asked.question, answer=sent)
                        case ToolPlan():
                            async with aclosing(self._within(call, step)) as events:
                                async for event in events:
                                    if isinstance(event, ToolReturned):
                                        sent = ToolResult(text=event.text, failed=event.outcome != "done")
                                    else:
                                        yield event
                        case ToolResult():
                            outcome = step.outcome
                            yield _returned(call, step.text, "failed" if step.failed else "done")
                            return
        except OmniError as error:
            outcome = f"failed: {type(error).__name__}"
            raise
        finally:
            if plan.act is not None:
                self._place.judge.outcome(plan.act, outcome)

    def _follow(self, call: ToolCallPart, tool: HandTool, event: ToolReturned) -> None:
        """Know whether the check succeeded since the last change."""
        if tool.name == CHECKS and json.loads(call.arguments).get("command") == self._check:
            self._unchecked = event.outcome != "done"
        elif self._check and set(tool.touches) & {"write", "shell"}:
            self._unchecked = True

    async def _kept(self, event: ToolReturned, began: float) -> ToolReturned:
        """A result as a brain reads it; what is too long for it is kept whole."""
        name = ""
        if len(event.text) > self._longest:
            name = await asyncio.to_thread(self._artifacts.keep, event.text)
        text = trimmed(event.text, name, self._longest) if name else event.text
        return msgspec.structs.replace(event, text=text, artifact=name, seconds=time.monotonic() - began)


def _arguments(tool: HandTool, arguments: str) -> Any:
    """The arguments of a call. Raises UsageError, which says what the tool takes."""
    try:
        value = json.loads(arguments or "{}")
    except ValueError as error:
        raise UsageError(f"The arguments are no JSON: {error}.", hint=f"{tool.name} takes {expected(tool)}.") from error
    return proved_arguments(tool, value)


def _consent_needed(call: ToolCallPart, plan: ToolPlan, judgement: Judgement) -> ConsentNeeded:
    asked = [part for part in judgement.parts if part.verdict == "ask"]
    return ConsentNeeded(
        question=_new_id(),
        call=call.id,
        tool=call.name,
        act=plan.line,
        shown=plan.shown,
        reasons=tuple(f"{part.text}: {part.reason}" for part in asked),
        answers=(NO, *judgement.answers),
        destroys=any(part.destroys for part in asked),
    )


def _returned(call: ToolCallPart, text: str, outcome: ToolOutcome) -> ToolReturned:
    return ToolReturned(call=call.id, name=call.name, text=text, outcome=outcome)


def _new_id() -> str:
    return uuid.uuid4().hex
