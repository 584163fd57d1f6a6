"""The tool loop: a brain calls tools and reads what they return, until it answers or a limit ends it.

Each round is one answer of the engine. Its calls are done in their order, those that only look at something side by side, and their
results go into the next round. However it ends, the last thing is an answer in words.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import msgspec
from msgspec.structs import replace

from omni.chat.context import reserve
from omni.chat.tooling import ANSWER, TurnTools
from omni.core.clock import Clock
from omni.core.errors import ContextOverflow
from omni.core.events import (
    ChatEvent,
    ContextCompacted,
    EngineEvent,
    TextDelta,
    ToolCallDelta,
    ToolEvent,
    ToolReturned,
    TurnEnded,
    Usage,
)
from omni.core.messages import Message, Part, TextPart, ToolCallPart, ToolResultPart, fold, returned
from omni.engine import CallUnfinished, ChatRequest, Engine, Tool

SAME_CALLS = 3  # the same call with the same result, after which the brain is going round in a circle
FAILED_CALLS = 5  # in a row
MOST_CHECKS = 4  # of what a brain says is done
KEPT_ROUNDS = 2  # whose results stay when the context gets full
SHORT = 300  # characters of a result that stays as it is
LEFT_OUT = "[{name}: its result of {size:,} characters is left out to make room; call it again if it is needed.]"
HALVED = "\n[… {size:,} characters are left out here to make room …]\n"
ANSWERING = Tool(
    name=ANSWER,
    description="End the work: tell the person what you did or found out. Call it when the task is done, or cannot be done.",
    parameters={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
CHECK_FAILS = "This is not finished: the check that was to succeed fails."
_COMPLAINT = "You said that you are done, but the check fails:\n\n{result}\n\nGo on until it succeeds."
_CUT = "Your last call was too long and was cut off. Make a shorter one."
_STOPPED = "You have to stop here: {reason}. Do not call tools any more. Tell in a few sentences what was done and what is left to do."


class ToolLoop:
    """The rounds of one turn. `prior` is what the answer had before, where a turn goes on with one."""

    def __init__(self, engine: Engine, tools: TurnTools, clock: Clock, prior: Sequence[Part] = ()) -> None:
        self._engine, self._tools, self._clock = engine, tools, clock
        self._began = clock.monotonic()
        self._ids = {part.id for part in prior if isinstance(part, ToolCallPart)}
        self._called = sum(isinstance(part, ToolCallPart) for part in prior)
        self._usage = Usage()
        self._same: Counter[str] = Counter()
        self._failed = self._steps = self._checks = 0
        self._passed, self._stop = True, ""  # why no more calls are made

    async def run(self, request: ChatRequest) -> AsyncGenerator[ChatEvent]:
        """All that happens until the answer is there. Raises what the engine raises."""
        messages = list(request.messages)
        opening = tuple(replace(call, id=f"first_{number}") for number, call in enumerate(self._tools.opening))
        if opening and not self._called:
            async with aclosing(self._worked(Message.of("assistant"), opening, messages, shown=True)) as events:
                async for event in events:
                    yield event
        while True:
            asked = self._request(request, messages)
            if self._steps and (compacted := await self._made_room(asked, messages)) is not None:
                yield compacted
                asked = self._request(request, messages)
            answer, ended = Message.of("assistant"), None
            try:
                async with aclosing(self._engine.chat(asked)) as events:
                    async for event in events:
                        if isinstance(event, TurnEnded):
                            ended = event
                            continue
                        answer = fold(answer, event := self._identified(event))
                        if not isinstance(event, ToolCallDelta):
                            yield event
                        elif not self._tools.forced:  # else they are told once none of them is the answer
                            yield replace(event, index=event.index + self._called)
            except CallUnfinished:
                if self._stop:
                    raise
                self._cut(messages)
                continue
            if ended is None:
                return
            self._usage = _sum(self._usage, ended.usage)
            calls = answer.calls if self._tools.forced or not self._stop else ()
            closing = next((call for call in calls if call.name == ANSWER), None) if self._tools.forced else None
            after = (
                self._worked(answer, calls, messages, shown=self._tools.forced) if calls and closing is None else None
            )
            after = after or self._answered(answer, closing, ended, messages)
            async with aclosing(after) as happening:
                async for happened in happening:
                    yield happened
                    if isinstance(happened, TurnEnded):
                        return

    def _cut(self, messages: list[Message]) -> None:
        """Go on after a call that found no end: small brains repeat themselves."""
        self._steps += 1
        self._failed += 1
        messages.append(Message.of("user", _CUT))
        self._stop = self._over()

    async def _worked(
        self, answer: Message, calls: Sequence[ToolCallPart], messages: list[Message], *, shown: bool
    ) -> AsyncGenerator[ChatEvent]:
        """Do the calls of a round, which are to be `shown` first; they and their results are what the next round reads."""
        if shown:
            for place, call in enumerate(calls):
                yield _whole(call, self._called + place)
        results: dict[str, ToolResultPart] = {}
        async with aclosing(self._done(calls)) as events:
            async for event in events:
                if isinstance(event, ToolReturned):
                    event = self._noted(event, calls)
                    results[event.call] = returned(event)
                yield event
        self._called += len(calls)
        self._steps += 1
        messages.append(Message.of("assistant", answer.text, *calls))
        messages += [Message.of("tool", results[call.id]) for call in calls]
        self._stop = self._over()
        if answer.text:
            yield TextDelta(text="\n\n")  # what is said next begins anew

    async def _answered(
        self, answer: Message, closing: ToolCallPart | None, ended: TurnEnded, messages: list[Message]
    ) -> AsyncGenerator[ChatEvent]:
        """End the turn with an answer, unless what must succeed before fails: then the brain reads that and goes on."""
        said = _answer_of(closing) if closing is not None else answer.text
        check = self._tools.check
        if check is not None:
            complaint = ""
            async with aclosing(self._checked(check)) as events:
                async for event in events:
                    if isinstance(event, ToolReturned):
                        complaint = _COMPLAINT.format(result=event.text)
                    yield event
            if not self._passed and not self._stop and self._checks < MOST_CHECKS:
                messages += [Message.of("assistant", said or "Done."), Message.of("user", complaint)]
                self._stop = self._over()
                return
        if closing is not None:
            yield TextDelta(text=said)
        if not self._passed:
            yield TextDelta(text=f"\n\n[{CHECK_FAILS}]")
        reason = "stop" if ended.reason == "tool_calls" else ended.reason
        yield replace(ended, reason=reason, usage=self._usage)

    async def _checked(self, check: ToolCallPart) -> AsyncGenerator[ChatEvent]:
        """Do what must succeed before an answer counts, as a call that nobody asked for; remember what came of it."""
        check = replace(check, id=f"check_{self._checks}")
        self._checks += 1
        yield _whole(check, self._called)
        self._called += 1
        async with aclosing(self._tools.run(check)) as events:
            async for event in events:
                if isinstance(event, ToolReturned):
                    self._passed = event.outcome == "done"
                yield event

    def _request(self, request: ChatRequest, messages: list[Message]) -> ChatRequest:
        """The request of a round. A brain that has to stop is bound to answer, in the way that it is used to."""
        forced, tools = self._tools.forced, tuple(self._tools.offered)
        choice = "required" if forced else "auto"
        if self._stop:
            messages = [*messages, Message.of("user", _STOPPED.format(reason=self._stop))]
            choice = ANSWER if forced else "none"
        return replace(
            request, messages=tuple(messages), tools=(*tools, ANSWERING) if forced else tools, tool_choice=choice
        )

    def _identified(self, event: EngineEvent) -> EngineEvent:
        """The first piece of a call with an id that no other call of this turn has; all else as it is."""
        if not isinstance(event, ToolCallDelta) or not event.name:
            return event
        call = event.id if event.id and event.id not in self._ids else f"call_{len(self._ids)}"
        self._ids.add(call)
        return replace(event, id=call)

    async def _done(self, calls: Sequence[ToolCallPart]) -> AsyncGenerator[ToolEvent]:
        """Do the calls: side by side where all of them only look, else one after the other, each judged when its turn comes."""
        if len(calls) > 1 and all([await self._tools.is_free(call) for call in calls]):
            async with aclosing(_beside([self._tools.run(call) for call in calls])) as events:
                async for event in events:
                    yield event
            return
        for call in calls:
            async with aclosing(self._tools.run(call)) as events:
                async for event in events:
                    yield event

    def _noted(self, event: ToolReturned, calls: Sequence[ToolCallPart]) -> ToolReturned:
        """Count what goes wrong and what is done again, and tell the brain of the latter."""
        call = next(one for one in calls if one.id == event.call)
        self._failed = 0 if event.outcome == "done" else self._failed + 1
        key = json.dumps([call.name, _canonical(call.arguments), event.text])
        self._same[key] += 1
        if self._same[key] < SAME_CALLS - 1:
            return event
        return replace(event, text=f"{event.text}\n[The same call returned the same before. Do something else.]")

    def _over(self) -> str:
        """Why no more calls are made; "" while they may go on."""
        limits = self._tools.limits
        if self._same and max(self._same.values()) >= SAME_CALLS:
            return "the same call returned the same again and again"
        if self._failed >= FAILED_CALLS:
            return f"the last {self._failed} calls failed or were refused"
        if self._steps >= limits.steps:
            return f"the {limits.steps} steps of this task are used up"
        if self._usage.completion_tokens >= limits.tokens:
            return f"the {limits.tokens:,} tokens of this task are used up"
        if self._clock.monotonic() - self._began >= limits.seconds:
            return f"the {limits.seconds:,.0f} seconds of this task are over"
        return ""

    async def _made_room(self, request: ChatRequest, messages: list[Message]) -> ContextCompacted | None:
        """Leave out old results while prompt and answer do not fit; the task and the last rounds stay. Raises ContextOverflow."""
        allocated = (await self._engine.capabilities()).context
        kept = reserve(request.sampling.max_tokens, allocated)
        if sum(len(message.text.encode("utf-8", "replace")) + 64 for message in messages) + kept < allocated:
            return None  # no tokenizer makes more tokens than there are bytes

        async def count() -> int:
            told = messages + list(request.messages[len(messages) :])
            return await self._engine.count_tokens(told, request.tools)

        before = tokens = await count()
        rounds = [place for place, message in enumerate(messages) if message.calls]
        recent = rounds[-KEPT_ROUNDS] if len(rounds) > KEPT_ROUNDS else 0
        long = [place for place, message in enumerate(messages) if message.result and len(message.text) > SHORT]
        for place in (place for place in long if place < recent):
            if tokens + kept <= allocated:
                break
            _left_out(messages, place)
            tokens = await count()
        long = [place for place in long if place >= recent]
        while tokens + kept > allocated and long:  # then of those the longest one, half by half
            place = max(long, key=lambda one: len(messages[one].text))
            if len(messages[place].text) <= SHORT:
                break
            _halved(messages, place)
            tokens = await count()
        if tokens + kept > allocated:
            raise ContextOverflow(
                f"What was done so far takes {tokens:,} tokens and the answer {kept:,}; {allocated:,} are allocated.",
                hint="Ask for a smaller task, or allocate more (`omni config set engine.context N`).",
                needed=tokens + kept,
                allocated=allocated,
            )
        if tokens == before:
            return None
        return ContextCompacted(
            left_out_turns=0, left_out_tokens=before - tokens, kept_tokens=tokens, allocated=allocated
        )


def _left_out(messages: list[Message], place: int) -> None:
    result = messages[place].result
    assert result is not None
    _replace(messages, place, LEFT_OUT.format(name=result.name, size=len(messages[place].text)))


def _halved(messages: list[Message], place: int) -> None:
    """Take away the middle of a result."""
    text = messages[place].text
    quarter = len(text) // 4
    _replace(messages, place, text[:quarter] + HALVED.format(size=len(text) - 2 * quarter) + text[-quarter:])


def _replace(messages: list[Message], place: int, text: str) -> None:
    result = messages[place].result
    assert result is not None
    messages[place] = Message.of("tool", replace(result, parts=(TextPart(text=text),)))


async def _beside(runs: Sequence[AsyncGenerator[ToolEvent]]) -> AsyncGenerator[ToolEvent]:
    """The events of several calls as they come."""
    queue: asyncio.Queue[ToolEvent | BaseException | None] = asyncio.Queue()

    async def follow(run: AsyncGenerator[ToolEvent]) -> None:
        ended: BaseException | None = None
        try:
            async with aclosing(run) as events:
                async for event in events:
                    queue.put_nowait(event)
        except Exception as error:  # noqa: BLE001 - it is raised where the events are read
            ended = error
        queue.put_nowait(ended)

    tasks = [asyncio.create_task(follow(run)) for run in runs]
    try:
        running = len(tasks)
        while running:
            happened = await queue.get()
            if isinstance(happened, BaseException):
                raise happened
            if happened is None:
                running -= 1
            else:
                yield happened
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _whole(call: ToolCallPart, index: int) -> ToolCallDelta:
    return ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments)


def _answer_of(call: ToolCallPart) -> str:
    try:
        text = msgspec.json.decode(call.arguments, type=dict[str, object]).get("text", "")
    except msgspec.DecodeError:
        return call.arguments
    return text if isinstance(text, str) else str(text)


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments


def _sum(one: Usage, other: Usage) -> Usage:
    """What both took; the first token is the first one's."""
    added = {
        name: getattr(one, name) + getattr(other, name)
        for name in Usage.__struct_fields__
        if name != "first_token_seconds"
    }
    return Usage(**added, first_token_seconds=one.first_token_seconds or other.first_token_seconds)
