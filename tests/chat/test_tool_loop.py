"""The tool loop: rounds of calls, what is stored and sent of them, and every way in which they end."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from itertools import groupby
from typing import Any

import pytest

from omni.chat import WorkLimits
from omni.core.errors import ContextOverflow
from omni.core.events import (
    ContextCompacted,
    TextDelta,
    ToolCallDelta,
    ToolEvent,
    ToolOutcome,
    ToolReturned,
    ToolStarted,
    TurnEnded,
)
from omni.core.messages import TextPart, ToolCallPart, ToolResultPart
from omni.engine import Reply, ScriptedEngine, Tool
from tests.chat.turn_tools import kinds
from tests.waiting import until

LOOK = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {"at": {"type": "string"}}})
CHANGE = Tool(name="change", parameters={"type": "object", "properties": {"to": {"type": "string"}}})


def call(name: str, **arguments: str) -> str:
    """A call as the scripted brain writes it."""
    return json.dumps({"name": name, "arguments": arguments})


class Tools:
    """Two tools: one that only looks, and one that changes something; `answers` says what a call returns."""

    offered = (LOOK, CHANGE)

    def __init__(
        self,
        returns: Callable[[str, dict[str, str]], str] = lambda name, given: f"{name} {given}",
        *,
        forced: bool = False,
        limits: WorkLimits | None = None,
        outcome: ToolOutcome = "done",
    ) -> None:
        self.forced, self.limits = forced, limits or WorkLimits()
        self.returns, self.outcome = returns, outcome
        self.running = self.most = 0
        self.ran: list[str] = []
        self.hold: asyncio.Event | None = None
        self.closed = 0
        self.check: ToolCallPart | None = None
        self.opening: tuple[ToolCallPart, ...] = ()

    async def is_free(self, call: ToolCallPart) -> bool:
        return call.name == "look"

    async def run(self, call: ToolCallPart) -> AsyncGenerator[ToolEvent]:
        yield ToolStarted(call=call.id, name=call.name, arguments=call.arguments)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await (self.hold.wait() if self.hold is not None else asyncio.sleep(0))
            self.ran.append(call.name)
            text = self.returns(call.name, json.loads(call.arguments))
            yield ToolReturned(call=call.id, name=call.name, text=text, outcome=self.outcome)
        except asyncio.CancelledError:
            self.closed += 1
            raise
        finally:
            self.running -= 1


async def test_calls_are_done_and_what_they_return_is_read(bench: Any, collect: Any, text_of: Any) -> None:
    service = bench.open(ScriptedEngine(["Let me see. " + call("look", at="a"), "It is blue."]))
    made = await service.create()
    events = await collect(service.ask(made.id, "What colour?", tools=Tools(lambda *_: "blue")))
    assert [kind for kind, _ in groupby(kinds(events))] == [
        "TurnStarted",
        *("PromptCounted", "PromptProgress", "TextDelta", "ToolCallDelta", "ToolStarted", "ToolReturned", "TextDelta"),
        *("PromptCounted", "PromptProgress", "TextDelta", "TurnEnded"),
    ]
    assert text_of(events) == "Let me see. \n\nIt is blue."
    first, second = bench.engine.requests
    assert [tool.name for tool in first.tools] == ["look", "change"]
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "tool"]
    assert second.messages[2].calls[0].name == "look"
    assert second.messages[3].result == ToolResultPart(
        parts=(TextPart(text="blue"),), call_id=second.messages[2].calls[0].id, name="look", outcome="done"
    )
    ended = events[-1]
    assert isinstance(ended, TurnEnded)
    assert ended.reason == "stop"
    assert ended.usage.completion_tokens > 3  # of both rounds
    answer = (await service.messages(made.id))[-1]
    assert [type(part).__name__ for part in answer.parts] == ["TextPart", "ToolCallPart", "ToolResultPart", "TextPart"]
    assert answer.text == "Let me see. \n\nIt is blue."
    assert answer.usage == ended.usage


async def test_a_later_turn_reads_calls_and_results_of_an_earlier_one(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a") + call("look", at="b"), "Done.", "Yes."]))
    made = await service.create()
    await collect(service.ask(made.id, "Look at both.", tools=Tools(lambda _, given: given["at"] * 2)))
    await collect(service.ask(made.id, "Sure?"))
    messages = bench.engine.requests[-1].messages
    assert [message.role for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "assistant",
        "user",
    ]
    assert [message.text for message in messages[3:]] == ["aa", "bb", "Done.", "Sure?"]
    assert [one.id for one in messages[2].calls] == [message.result.call_id for message in messages[3:5]]


async def test_calls_that_only_look_run_side_by_side_and_others_in_their_order(bench: Any, collect: Any) -> None:
    service = bench.open(
        ScriptedEngine(
            [call("look", at="a") + call("look", at="b"), call("look", at="c") + call("change", to="d"), "x"]
        )
    )
    tools, made = Tools(), await service.create()
    tools.hold = asyncio.Event()
    task = asyncio.create_task(collect(service.ask(made.id, "Go", tools=tools)))
    await until(lambda: tools.running == 2)
    tools.hold.set()
    tools.hold = None
    await task
    assert tools.most == 2
    assert tools.ran == ["look", "look", "look", "change"]


async def test_the_pieces_of_a_call_are_told_and_counted_through_all_rounds(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a"), call("look", at="b"), "x"]))
    made = await service.create()
    events = await collect(service.ask(made.id, "Go", tools=Tools()))
    deltas = [event for event in events if isinstance(event, ToolCallDelta) and event.name]
    assert [event.index for event in deltas] == [0, 1]
    assert len({event.id for event in deltas}) == 2
    assert [part.arguments for part in (await service.messages(made.id))[-1].calls] == ['{"at": "a"}', '{"at": "b"}']


async def test_where_every_step_is_a_call_the_tool_answer_ends_the_turn(bench: Any, collect: Any, text_of: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a"), call("answer", text="It is blue.")]))
    made = await service.create()
    events = await collect(service.ask(made.id, "What colour?", tools=Tools(forced=True)))
    assert {request.tool_choice for request in bench.engine.requests} == {"required"}
    assert [tool.name for tool in bench.engine.requests[0].tools] == ["look", "change", "answer"]
    assert text_of(events) == "It is blue."
    assert events[-1].reason == "stop"
    answer = (await service.messages(made.id))[-1]
    assert [one.name for one in answer.calls] == ["look"]
    assert answer.text == "It is blue."


@pytest.mark.parametrize(
    ("limits", "outcome", "returns", "why"),
    [
        (WorkLimits(), "done", "same", "the same call returned the same again and again"),
        (WorkLimits(), "failed", "", "the last 5 calls failed or were refused"),
        (WorkLimits(steps=2), "done", "", "the 2 steps of this task are used up"),
        (WorkLimits(tokens=10), "done", "", "the 10 tokens of this task are used up"),
        (WorkLimits(seconds=60), "done", "", "the 60 seconds of this task are over"),
    ],
)
@pytest.mark.parametrize("forced", [False, True])
async def test_a_brain_that_does_not_end_is_told_to_and_answers_in_words(
    bench: Any,
    clock: Any,
    collect: Any,
    text_of: Any,
    limits: WorkLimits,
    outcome: ToolOutcome,
    returns: str,
    why: str,
    forced: bool,
) -> None:
    def said(request: Any) -> str:
        clock.time += 25.0
        number = 0 if returns else len(bench.engine.requests)
        if request.tool_choice == "none":
            return "This is left."
        return (
            call("answer", text="This is left.")
            if request.tool_choice == "answer"
            else call("look", at=f"place {number}")
        )

    service = bench.open(ScriptedEngine(said))
    tools = Tools(lambda _, given: f"{returns}{given}", forced=forced, limits=limits, outcome=outcome)
    made = await service.create()
    events = await collect(service.ask(made.id, "Go", tools=tools))
    assert why in bench.engine.requests[-1].messages[-1].text
    assert len(bench.engine.requests) <= 7
    assert text_of(events).strip() == "This is left."
    assert (await service.messages(made.id))[-1].state == "complete"


async def test_a_call_that_finds_no_end_is_told_and_made_anew(bench: Any, collect: Any, text_of: Any) -> None:
    endless = Reply(text='{"name": "look", "arguments": {"at": "a a', endless=True)
    service = bench.open(ScriptedEngine([endless, call("answer", text="Short.")]))
    made = await service.create()
    events = await collect(service.ask(made.id, "Go", tools=Tools(forced=True)))
    assert text_of(events) == "Short."
    assert "was cut off" in bench.engine.requests[-1].messages[-1].text


async def test_a_brain_that_repeats_itself_is_told_once_before_it_is_stopped(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a"), call("look", at="a"), "Else."]))
    made = await service.create()
    await collect(service.ask(made.id, "Go", tools=Tools()))
    results = [message.text for message in bench.engine.requests[-1].messages if message.role == "tool"]
    assert "Do something else" not in results[0]
    assert "Do something else" in results[1]


async def test_a_turn_that_is_stopped_ends_its_tool_and_the_next_one_knows(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("change", to="a"), "Yes."]))
    tools, made = Tools(), await service.create()
    tools.hold = asyncio.Event()
    async with aclosing(service.ask(made.id, "Go", tools=tools)) as events:
        async for event in events:
            if isinstance(event, ToolStarted):
                break
        waiting = asyncio.ensure_future(anext(events))
        await until(lambda: tools.running == 1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert (tools.closed, tools.running) == (1, 0)
    answer = (await service.messages(made.id))[-1]
    assert (answer.state, [one.name for one in answer.calls]) == ("cancelled", ["change"])
    await collect(service.ask(made.id, "What did you do?"))
    results = [message for message in bench.engine.requests[-1].messages if message.role == "tool"]
    assert len(results) == 1
    assert "interrupted" in results[0].text


async def test_old_results_make_room_and_the_task_stays(bench: Any, collect: Any) -> None:
    texts = iter([call("look", at=str(number)) for number in range(6)] + ["Done."])
    engine = ScriptedEngine(lambda _: next(texts), context=1200)
    service = bench.open(engine)
    made = await service.create()
    events = await collect(
        service.ask(made.id, "Count the words.", tools=Tools(lambda _, given: f"{given['at']} " * 200))
    )
    compacted = [event for event in events if isinstance(event, ContextCompacted)]
    assert compacted
    assert all(event.left_out_turns == 0 and event.left_out_tokens > 0 for event in compacted)
    last = engine.requests[-1].messages
    assert last[1].text.endswith("Count the words.")
    results = [message.text for message in last if message.role == "tool"]
    assert len(results) == 6
    assert results[0].startswith("[look: its result of 400 characters is left out")
    assert results[-1] == "5 " * 200
    stored = [part for part in (await service.messages(made.id))[-1].parts if isinstance(part, ToolResultPart)]
    assert all("left out" not in part.parts[0].text for part in stored)  # type: ignore[union-attr] # they are texts


async def test_of_a_new_result_that_does_not_fit_the_middle_is_left_out(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a"), "Done."], context=1000))
    made = await service.create()
    await collect(service.ask(made.id, "Go", tools=Tools(lambda *_: "first " + "word " * 1500 + "last")))
    result = bench.engine.requests[-1].messages[-1].text
    assert result.startswith("first")
    assert result.endswith("last")
    assert "are left out here to make room" in result


async def test_a_task_that_fits_nowhere_with_its_results_is_said(bench: Any, collect: Any) -> None:
    rounds = iter([*("word " * 60 + call("look", at=str(number)) for number in range(9)), "Never."])
    service = bench.open(ScriptedEngine(lambda _: next(rounds), context=800))
    made = await service.create()
    with pytest.raises(ContextOverflow, match="What was done so far takes"):
        await collect(service.ask(made.id, "Go", tools=Tools(lambda *_: "short")))
    assert (await service.messages(made.id))[-1].state == "failed"


async def test_an_answer_counts_once_the_check_succeeds(bench: Any, collect: Any, text_of: Any) -> None:
    service = bench.open(
        ScriptedEngine([call("answer", text="Done."), call("change", to="b"), call("answer", text="Now.")])
    )
    made, tools = await service.create(), Tools(forced=True)
    tools.check = ToolCallPart(id="check", name="check", arguments="{}")
    checks: Iterator[ToolOutcome] = iter(("failed", "done"))

    def returns(name: str, _: object) -> str:
        tools.outcome = next(checks) if name == "check" else "done"
        return f"{name} {tools.outcome}"

    tools.returns = returns
    events = await collect(service.ask(made.id, "Go", tools=tools))
    assert tools.ran == ["check", "change", "check"]
    assert "but the check fails:\n\ncheck failed" in bench.engine.requests[1].messages[-1].text
    assert text_of(events) == "Now."
    parts = (await service.messages(made.id))[-1].parts
    assert [part.name for part in parts if isinstance(part, ToolCallPart)] == ["check", "change", "check"]


async def test_calls_are_done_before_the_brain_is_asked(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(["I see."]))
    made, tools = await service.create(), Tools(lambda *_: "seen")
    tools.opening = (ToolCallPart(id="a", name="look", arguments="{}"),)
    await collect(service.ask(made.id, "Go", tools=tools))
    assert [message.text for message in bench.engine.requests[0].messages[1:]] == ["Go", "", "seen"]
    assert [one.name for one in (await service.messages(made.id))[-1].calls] == ["look"]


@pytest.mark.parametrize("forced", [False, True])
async def test_a_check_that_never_succeeds_is_told_with_the_answer(
    bench: Any, collect: Any, text_of: Any, forced: bool
) -> None:
    service = bench.open(ScriptedEngine([call("answer", text="All is well.") if forced else "All is well."]))
    made, tools = await service.create(), Tools(forced=forced, outcome="failed")
    tools.check = ToolCallPart(id="check", name="check", arguments="{}")
    events = await collect(service.ask(made.id, "Go", tools=tools))
    assert tools.ran == ["check"] * 4
    assert text_of(events).endswith("All is well.\n\n[This is not finished: the check that was to succeed fails.]")
    assert events[-1].reason == "stop"


async def test_without_tools_a_turn_is_what_it_was(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a")]))
    made = await service.create()
    events = await collect(service.ask(made.id, "Say a call"))
    assert not [event for event in events if isinstance(event, ToolCallDelta)]
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == call("look", at="a")


async def test_an_interrupted_answer_with_calls_goes_on_after_its_results(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine([call("look", at="a"), "Half of", "the rest."]))
    tools, made = Tools(), await service.create()
    async with aclosing(service.ask(made.id, "Go", tools=tools)) as events:
        async for event in events:
            if isinstance(event, TextDelta) and "Half" in event.text:
                break
    answer = (await service.messages(made.id))[-1]
    assert answer.state == "cancelled"
    await collect(service.resume(made.id, answer.id, tools=tools))
    assert [message.role for message in bench.engine.requests[-1].messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert (await service.messages(made.id))[-1].text.endswith("the rest.")
