"""Going on with an answer, branches of a conversation, and summaries."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from omni.core.errors import EngineError, OmniError
from omni.core.events import (
    ContextCompacted,
)
from omni.core.messages import FilePart, Message
from omni.engine import Reply, ScriptedEngine
from tests.chat.turn_tools import seen, until


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_an_answer_goes_on_from_its_partial_text(bench: Any, collect: Any, text_of: Any, how: str) -> None:
    gate = asyncio.Event()
    first = (
        Reply(text="one two", gates={1: gate})
        if how == "cancelled"
        else Reply(text="one", error=EngineError("x"), fail_after=1)
    )
    service = bench.open(ScriptedEngine([first, Reply(text=" three four")]))
    made = await service.create()
    if how == "cancelled":
        async with aclosing(service.ask(made.id, "Count")) as events:
            await until(events, "one")
    else:
        with pytest.raises(EngineError):
            await collect(service.ask(made.id, "Count"))
    answer = (await service.messages(made.id))[1]
    assert answer.state == how
    added = await collect(service.resume(made.id, answer.id))
    assert text_of(added) == " three four"
    asked = bench.engine.requests[-1].messages
    assert [(message.role, message.text) for message in asked] == [
        ("system", "Be brief."),
        ("user", "Count"),
        ("assistant", "one"),
    ]
    assert seen(await service.messages(made.id)) == [
        ("user", "complete", "Count"),
        ("assistant", "complete", "one three four"),
    ]
    assert (await service.messages(made.id))[1].id == answer.id


async def test_an_answer_without_text_is_asked_for_anew(bench: Any, collect: Any) -> None:
    failure = Reply(reasoning="hm hm", error=EngineError("x"), fail_after=1)
    service = bench.open(ScriptedEngine([failure, Reply(text="fine", reasoning="better")]))
    made = await service.create()
    with pytest.raises(EngineError):
        await collect(service.ask(made.id, "Hi"))
    answer = (await service.messages(made.id))[1]
    assert answer.reasoning == "hm"
    await collect(service.resume(made.id, answer.id))
    assert bench.engine.requests[-1].messages[-1].text == "Hi"
    answer = (await service.messages(made.id))[1]
    assert (answer.text, answer.reasoning, answer.state) == ("fine", "better", "complete")


async def test_editing_makes_a_branch_and_switching_returns(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(lambda request: f"to {request.messages[-1].text}"))
    made = await bench.talk(service, "a", "b")
    first = await service.messages(made)
    await collect(service.edit(made, first[2].id, "c"))
    second = await service.messages(made)
    assert [said.text for said in second] == ["a", "to a", "c", "to c"]
    assert second[2].siblings == (first[2].id, second[2].id)
    await service.switch(made, first[2].id)
    assert [said.id for said in await service.messages(made)] == [said.id for said in first]
    await collect(service.edit(made, first[0].id, "d"))
    assert [said.text for said in await service.messages(made)] == ["d", "to d"]


async def test_an_edit_keeps_what_was_attached(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    file = FilePart(path="a.txt", bytes=3, lines=1, text="abc")
    await collect(service.ask(made.id, "What?", attachments=[file]))
    question = (await service.messages(made.id))[0]
    assert question.attachments == (FilePart(path="a.txt", bytes=3, lines=1),)
    await collect(service.edit(made.id, question.id, "Why?"))
    assert bench.engine.requests[-1].messages == (
        bench.engine.requests[0].messages[0],
        Message.of("user", "a.txt\n```\nabc\n```\n\nWhy?"),
    )
    await collect(service.edit(made.id, question.id, "Why not?", attachments=()))
    assert bench.engine.requests[-1].messages[-1].text == "Why not?"


async def test_taking_back_returns_the_question(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await bench.talk(service, "a", "b")
    assert await service.undo(made) == "b"
    assert [said.text for said in await service.messages(made)] == ["a", "A scripted answer."]
    await collect(service.ask(made, "c"))
    assert len((await service.messages(made))[2].siblings) == 2


async def test_a_summary_stands_for_what_was_before(bench: Any, collect: Any) -> None:
    service = bench.open(ScriptedEngine(["one", "two", "The gist.", "three"]))
    made = await bench.talk(service, "a", "b")
    events = await collect(service.compact(made))
    assert events[0].question == ""
    assert not any(isinstance(event, ContextCompacted) for event in events)
    assert seen(await service.messages(made))[-1] == ("summary", "complete", "The gist.")
    assert bench.engine.requests[-1].messages[-1].text.startswith("Sum up")
    await collect(service.ask(made, "c"))
    asked = bench.engine.requests[-1].messages
    assert [message.role for message in asked] == ["system", "user"]
    assert "The gist." in asked[-1].text
    assert asked[-1].text.endswith("c")
    assert len(await service.messages(made)) == 7
    assert await service.undo(made) == "c"
    assert await service.undo(made) == ""  # the summary
    assert await service.undo(made) == "b"


async def test_a_summary_is_refused_where_there_is_nothing_to_sum_up(bench: Any, collect: Any) -> None:
    service = bench.open()
    made = await service.create()
    with pytest.raises(OmniError, match="nothing to sum up"):
        await collect(service.compact(made.id))
    await collect(service.ask(made.id, "a"))
    await collect(service.compact(made.id))
    with pytest.raises(OmniError, match="since the last summary"):
        await collect(service.compact(made.id))


async def test_a_summary_that_was_stopped_stands_for_nothing(bench: Any, collect: Any) -> None:
    gate = asyncio.Event()
    service = bench.open(ScriptedEngine(["one", Reply(text="The gist", gates={1: gate}), "two"]))
    made = await bench.talk(service, "a")
    async with aclosing(service.compact(made)) as events:
        await until(events, "The")
    await collect(service.ask(made, "b"))
    assert [message.text for message in bench.engine.requests[-1].messages] == ["Be brief.", "a", "one", "b"]
