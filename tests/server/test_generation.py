"""Admission of one answer: names, places, the count before anything is sent, and a place that never leaks."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from omni.cartridges.brains import BrainAdapter
from omni.core.errors import ContextOverflow, EngineError, NotFound, UsageError
from omni.core.events import TextDelta, TurnEnded
from omni.core.messages import Message
from omni.engine import Adapter, Reply, ScriptedEngine
from omni.server.errors import BadParameter, Busy, Stopping
from omni.server.fair_queue import FairQueue
from omni.server.generation import GenerationRequest, begin, request_of, whole
from tests.server.server_tools import brain


def wish(text: str = "Hi", **more: Any) -> GenerationRequest:
    return GenerationRequest(brain=brain("@omni/test"), messages=(Message.of("user", text),), **more)


async def settled() -> None:
    """Everything has come to where it waits for somebody else."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_a_request_says_how_strongly_the_adapter_of_a_brain_applies() -> None:
    asked = wish(adapter_scale=0.5)
    with pytest.raises(BadParameter, match="@omni/test has no adapter"):
        request_of(asked)
    pirate = brain("@me/pirate", adapter=BrainAdapter(path="/a.gguf", scale=2.0))
    for said, scale in ((None, 2.0), (0.5, 0.5), (0.0, 0.0)):
        for prompt in (None, "Once"):
            request = request_of(msgspec.structs.replace(asked, brain=pirate, adapter_scale=said, prompt=prompt))
            assert request.adapter == Adapter(path="/a.gguf", scale=scale)


def test_places_go_to_the_lane_with_the_fewest() -> None:
    places = FairQueue(2, 8)
    first, second = places.enter("a"), places.enter("a")
    third, person = places.enter("a"), places.enter("b")
    assert [ticket.waits for ticket in (first, second, third, person)] == [False, False, True, True]
    with first:
        pass
    assert (third.waits, person.waits) == (True, False)
    with second, person:
        pass
    assert not third.waits
    with third:
        pass
    assert (places.running, places.queued) == (0, 0)


def test_a_full_queue_turns_away_and_one_that_leaves_makes_room() -> None:
    places = FairQueue(1, 1)
    running, waiting = places.enter("a"), places.enter("a")
    with pytest.raises(Busy) as refused:
        places.enter("b")
    assert refused.value.retry_after >= 1
    with waiting:
        pass
    with places.enter("b") as other:
        assert other.waits
    with running:
        pass


async def test_the_prompt_is_counted_before_anything_happens(serving: Any) -> None:
    async with serving(ScriptedEngine(["A word or two."])) as bench:
        generation = await begin(bench.server, "me", wish("one two"))
        assert generation.counted.tokens == 3
        assert bench.server.load() == (1, 0)
        events, end = await whole(generation)
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "A word or two."
        assert end.reason == "stop"
        assert bench.server.load() == (0, 0)


async def test_what_is_refused_leaves_no_place_taken(serving: Any) -> None:
    async with serving(ScriptedEngine(context=64)) as bench:
        with pytest.raises(ContextOverflow):
            await begin(bench.server, "me", wish("word " * 100))
        with pytest.raises(UsageError):
            await begin(bench.server, "me", wish(sampling={"temperature": -1}))
        assert bench.server.load() == (0, 0)


async def test_an_alias_means_a_brain(serving: Any) -> None:
    async with serving() as bench:
        bench.services.set("serve", aliases={"gpt-4o": "@omni/test"})
        bench.services.library.known.append(brain("@me/test", state="available"))
        for name in ("gpt-4o", "gpt-4o:latest", "@omni/test:latest", "test", "test:latest", ""):
            assert (await bench.server.names.find(name)).name == "@omni/test"
        with pytest.raises(NotFound, match="Installed: @omni/test"):
            await bench.server.names.find("gpt-3")


async def test_the_brains_prompt_stands_before_the_clients(serving: Any) -> None:
    engine = ScriptedEngine()
    async with serving(engine) as bench:
        pirate = brain("@omni/test", prompt="You are a pirate.")
        messages = tuple(
            Message.of(role, text)  # type: ignore[arg-type] # one of the engine's
            for role, text in (("system", "Be brief."), ("system", " "), ("user", "Hi"), ("system", "Be kind."))
        )
        await whole(await begin(bench.server, "me", GenerationRequest(brain=pirate, messages=messages)))
    assert [(message.role, message.text) for message in engine.requests[0].messages] == [
        ("system", "You are a pirate.\n\nBe brief."),
        ("user", "Hi"),
        ("system", "Be kind."),
    ]


async def test_one_that_waits_gets_its_place_and_one_that_leaves_gives_it_back(serving: Any) -> None:
    gate = asyncio.Event()
    async with serving(ScriptedEngine([Reply(text="one two", gates={1: gate})])) as bench:
        bench.services.set("engine", slots=1)
        first = await begin(bench.server, "a", wish())
        reading = asyncio.create_task(whole(first))
        second = await begin(bench.server, "b", wish())
        third = await begin(bench.server, "c", wish())
        assert bench.server.load() == (1, 2)
        await second.close()
        assert bench.server.load() == (1, 1)
        gate.set()
        await reading
        async with third, aclosing(third.events()) as events:
            assert isinstance([event async for event in events][-1], TurnEnded)
        assert bench.server.load() == (0, 0)


async def test_an_answer_that_is_written_holds_no_place_until_it_is_read(serving: Any) -> None:
    async with serving(ScriptedEngine(["A word or two."])) as bench:
        bench.services.set("engine", slots=1)
        async with await begin(bench.server, "slow", wish()) as slow, aclosing(slow.events()) as events:
            async for event in events:
                if isinstance(event, TurnEnded):
                    break
            _, end = await whole(await begin(bench.server, "quick", wish()))
            assert end.reason == "stop"


async def test_a_client_that_does_not_read_holds_nobody_up(serving: Any, serve: Any) -> None:
    long = "word " * 8000  # two megabytes as a stream: far more than the socket holds
    body = b'{"messages": [{"role": "user", "content": "Hi"}], "stream": true}'
    ask = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with serving(ScriptedEngine([long, "Soon."], context=1 << 20)) as bench:
        bench.services.set("engine", slots=1)
        served = await serve(bench.app)
        reader, writer = await served.dial()
        writer.write(ask)
        await reader.readline()
        writer.transport.pause_reading()
        _, end = await asyncio.wait_for(whole(await begin(bench.server, "quick", wish())), 20)
        assert end.reason == "stop"
        writer.transport.resume_reading()
        words = 0
        async with asyncio.timeout(20):
            while (line := await reader.readline()) != b"data: [DONE]\n":
                words += b"word" in line
        assert words == 8000
        writer.close()


async def test_who_is_told_of_the_end_while_it_waits_is_told_at_once(serving: Any) -> None:
    gate = asyncio.Event()
    engine = ScriptedEngine([Reply(text="one two", gates={1: gate})] * 2)
    async with serving(engine) as bench:
        bench.services.set("engine", slots=1)
        for count in range(2):  # one that is being written, one that waits for its place
            tasks = [asyncio.ensure_future(whole(await begin(bench.server, "me", wish()))) for _ in range(count + 1)]
            await settled()
            bench.server.stop()
            for each in tasks:
                with pytest.raises(Stopping):
                    await each
            assert bench.server.load() == (0, 0)


async def test_a_task_that_is_cancelled_while_the_server_ends_is_cancelled(serving: Any) -> None:
    gate = asyncio.Event()
    async with serving(ScriptedEngine([Reply(text="one two", gates={1: gate})])) as bench:
        reading = asyncio.ensure_future(whole(await begin(bench.server, "me", wish())))
        await settled()
        bench.server.stop()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert bench.server.load() == (0, 0)


async def test_a_failure_in_mid_answer_is_raised_where_it_is_read(serving: Any) -> None:
    reply = Reply(text="one two three", error=EngineError("It died."), fail_after=1)
    async with serving(ScriptedEngine([reply])) as bench:
        with pytest.raises(EngineError, match="It died"):
            await whole(await begin(bench.server, "me", wish()))
        assert bench.server.load() == (0, 0)
