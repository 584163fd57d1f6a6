"""`/v1/responses`: items and their events, tools, what is kept and gone on from, and what agents send."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from omni.core.errors import EngineError, StorageError
from omni.core.events import EngineEvent, TextDelta, TokenAlternative, TokenLogprob, TurnEnded, Usage
from omni.engine import ChatRequest, Reply, ScriptedEngine
from omni.server.guard import Guard
from omni.server.keys import ApiKeys
from omni.server.openai import responses_types as shown
from omni.server.openai.responses_store import NothingBefore, NotKept, ResponseStore, StoredTurn
from omni.server.openai.responses_writer import ResponseWriter
from omni.server.protocol import RELAY
from omni.server.sessions import Sessions

WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
CALL = '{"name": "weather", "arguments": {"city": "Oslo"}}'


def told(body: str) -> Iterator[dict[str, Any]]:
    """The events of a stream, whose names and numbers are right."""
    for number, block in enumerate(block for block in body.split("\n\n") if block and not block.startswith(":")):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        yield event


async def post(bench: Any, **body: Any) -> Any:
    return await bench.client.post("/v1/responses", json={"model": "@omni/test", **body})


def said(engine: ScriptedEngine) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in engine.requests[-1].messages]


# -- answers


async def test_an_answer_is_items_and_says_what_was_asked(serving: Any) -> None:
    engine = ScriptedEngine([Reply(reasoning="let me see", text="It is four.")])
    async with serving(engine) as bench:
        response = (
            await post(bench, input="2 + 2?", instructions="Be brief.", temperature=0, metadata={"a": "b"}, user="me")
        ).json()
    assert said(engine) == [("system", "Be brief."), ("user", "2 + 2?")]
    assert engine.requests[0].sampling.temperature == 0
    thought, message = response["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "let me see"}]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")
    assert message["content"] == [{"type": "output_text", "text": "It is four.", "annotations": [], "logprobs": []}]
    assert response["usage"]["output_tokens_details"] == {"reasoning_tokens": 3}
    assert response["usage"]["total_tokens"] == response["usage"]["input_tokens"] + 6
    assert (response["status"], response["object"], response["store"], response["metadata"]) == (
        "completed",
        "response",
        True,
        {"a": "b"},
    )
    assert response["completed_at"] >= response["created_at"]
    assert (response["instructions"], response["temperature"], response["truncation"]) == ("Be brief.", 0, "disabled")


async def test_the_events_of_a_stream(serving: Any) -> None:
    async with serving(ScriptedEngine([Reply(reasoning="well well", text="It is")])) as bench:
        answer = await post(bench, input="Hi", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = list(told(answer.text))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["delta"] for event in events if event["type"].endswith("output_text.delta")] == ["It", " is"]
    assert {event["response"]["id"] for event in events if "response" in event} == {events[0]["response"]["id"]}
    assert (events[0]["response"]["status"], events[0]["response"]["output"]) == ("in_progress", [])
    last = events[-1]["response"]
    assert last["output"] == [event["item"] for event in events if event["type"].endswith("item.done")]
    assert last["usage"]["output_tokens"] == 4
    ids = {event["output_index"]: event["item_id"] for event in events if "item_id" in event}
    assert ids == dict(enumerate(item["id"] for item in last["output"]))


async def test_calls_come_in_pieces_and_as_a_whole(serving: Any) -> None:
    engine = ScriptedEngine([CALL])
    async with serving(engine) as bench:
        events = list(told((await post(bench, input="Oslo?", tools=[WEATHER], stream=True)).text))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    added, more, done, item, last = events[2:]
    assert (added["item"]["name"], added["item"]["arguments"]) == ("weather", "")
    assert json.loads(more["delta"]) == json.loads(done["arguments"]) == {"city": "Oslo"}
    assert last["response"]["output"] == [item["item"]]
    assert last["response"]["tools"] == [WEATHER]


async def test_an_answer_that_is_cut_says_so(serving: Any) -> None:
    async with serving(ScriptedEngine([Reply(text="on ", endless=True)])) as bench:
        response = (await post(bench, input="Hi", max_output_tokens=3)).json()
        events = list(told((await post(bench, input="Hi", max_output_tokens=3, stream=True)).text))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert (response["output"][0]["status"], response["completed_at"]) == ("incomplete", None)
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["usage"]["output_tokens"] == 3


async def test_a_failure_is_a_status_before_and_an_event_after_the_first_word(serving: Any) -> None:
    reply = Reply(text="one two three", error=EngineError("It died."), fail_after=1)
    async with serving(ScriptedEngine([reply], context=64)) as bench:
        whole = await post(bench, input="Hi")
        events = list(told((await post(bench, input="Hi", stream=True)).text))
        overflow = await post(bench, input="word " * 100, truncation="auto", stream=True)
        assert bench.server.load() == (0, 0)
    assert (whole.status_code, whole.json()["error"]["message"]) == (500, "It died.")
    assert events[-1]["type"] == "response.failed"
    assert events[-1]["response"]["status"] == "failed"
    assert events[-1]["response"]["error"] == {"code": "server_error", "message": "It died."}
    assert (overflow.status_code, overflow.json()["error"]["code"]) == (400, "context_length_exceeded")


async def test_an_empty_answer_is_a_message(serving: Any) -> None:
    async with serving(ScriptedEngine([""])) as bench:
        response = (await post(bench, input="Hi")).json()
    assert [item["content"][0]["text"] for item in response["output"]] == [""]


async def test_schemas_and_thinking_reach_the_engine(serving: Any) -> None:
    engine = ScriptedEngine(["{}"], schema=True)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    async with serving(engine) as bench:
        form = {"type": "json_schema", "name": "x", "strict": True, "schema": schema}
        response = (await post(bench, input="Hi", text={"format": form}, reasoning={"effort": "minimal"})).json()
        await post(bench, input="Hi", text={"format": {"type": "json_object"}}, reasoning={"effort": "high"})
        await post(bench, input="Hi", text={"format": {"type": "text"}, "verbosity": "low"})
    assert [request.schema for request in engine.requests] == [schema, {"type": "object"}, None]
    assert [request.thinking for request in engine.requests] == [False, True, None]
    assert response["text"]["format"] == form


def test_likelihoods_go_with_their_text() -> None:
    writer = ResponseWriter(_answer(), top=1)
    token = TokenLogprob(chosen=TokenAlternative(token="a", logprob=-0.5, bytes=(97,)))
    end = TurnEnded(reason="stop", usage=Usage())
    said: list[EngineEvent] = [TextDelta(text="a"), token, TextDelta(text="b"), TextDelta(text="c"), token, end]
    events = [told for event in said for told in writer.read(event)]
    deltas = [(event.delta, len(event.logprobs)) for event in events if isinstance(event, shown.TextMore)]
    assert deltas == [("a", 1), ("b", 0), ("c", 1)]
    (item,) = writer.answer.output
    assert isinstance(item, shown.MessageItem)
    assert (item.content[0].text, len(item.content[0].logprobs)) == ("abc", 2)


def _answer() -> shown.ResponseObject:
    return shown.ResponseObject(
        id="resp_1",
        created_at=0,
        status="in_progress",
        model="m",
        output=[],
        store=False,
        tools=[],
        tool_choice="auto",
        parallel_tool_calls=True,
        text=shown.TextIn(),
        reasoning=shown.ReasoningIn(),
        temperature=1.0,
        top_p=1.0,
        metadata={},
    )


# -- what agents send


async def test_a_turn_of_codex(serving: Any) -> None:
    """Tools that only a cloud has, context before the question, calls and reasoning sent back, nothing kept."""
    engine = ScriptedEngine(["Done."])
    context = {"type": "input_text", "text": "<environment_context>here</environment_context>"}
    async with serving(engine) as bench:
        answer = await post(
            bench,
            instructions="You are a coding agent.",
            input=[
                {
                    "type": "message",
                    "role": "developer",
                    "content": [{"type": "input_text", "text": "Mind the rules."}],
                },
                {"type": "message", "role": "user", "content": [context]},
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count the files."}]},
                {"type": "reasoning", "summary": [], "content": None, "encrypted_content": None},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
                {"type": "function_call", "name": "shell", "arguments": '{"command":["ls"]}', "call_id": "call_1"},
                {"type": "function_call_output", "call_id": "call_1", "output": "a b"},
            ],
            tools=[
                {**WEATHER, "name": "shell"},
                {"type": "web_search", "external_web_access": True},
                {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}},
                {"type": "local_shell"},
            ],
            tool_choice="auto",
            parallel_tool_calls=False,
            reasoning={"effort": "medium", "summary": "auto"},
            store=False,
            stream=True,
            include=["reasoning.encrypted_content"],
            prompt_cache_key="0198",
        )
        assert list(told(answer.text))[-1]["type"] == "response.completed"
    request = engine.requests[0]
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "You are a coding agent.\n\nMind the rules."),
        ("user", context["text"]),
        ("user", "Count the files."),
        ("assistant", "I look."),
        ("assistant", ""),
        ("tool", "a b"),
    ]
    assert [call.id for call in request.messages[4].calls] == ["call_1"]
    assert [tool.name for tool in request.tools] == ["shell"]
    assert not request.parallel_calls


async def test_a_choice_is_enforced(serving: Any) -> None:
    engine = ScriptedEngine([CALL])
    other = {**WEATHER, "name": "news"}
    async with serving(engine) as bench:
        for choice in ({"type": "function", "name": "weather"}, "required"):
            answer = (await post(bench, input="Hi", tools=[WEATHER, other], tool_choice=choice)).json()
            assert answer["output"][0]["name"] == "weather"
            assert answer["tool_choice"] == choice
        allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}]}
        await post(bench, input="Hi", tools=[WEATHER, other], tool_choice=allowed)
        assert [tool.name for tool in engine.requests[-1].tools] == ["weather"]
        for choice in ({"type": "function", "name": "wether"}, {"type": "web_search"}, {"type": "allowed_tools"}):
            wrong = await post(bench, input="Hi", tools=[WEATHER], tool_choice=choice)
            assert wrong.status_code == 400
        nothing = await post(bench, input="Hi", tools=[{"type": "web_search"}], tool_choice="required")
        assert "none of the request's can be here" in nothing.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].id"),
        ({"input": [{"type": "hologram"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": "x"}, {"type": "compaction_trigger"}]}, "input[1].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content[0]"),
        ({"input": "x", "background": True}, "background"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"input": "x", "max_output_tokens": -2}, "max_output_tokens"),
        ({"input": "x", "temperature": 3}, "temperature"),
        ({"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
    ],
)
async def test_what_is_wrong_is_named(serving: Any, body: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        response = await post(bench, **body)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"] or "") == ("invalid_request_error", param)


# -- what is kept


async def test_an_answer_is_gone_on_from_fetched_and_forgotten(serving: Any) -> None:
    engine = ScriptedEngine([CALL, "It is cold.", "You are welcome."])
    async with serving(engine) as bench:
        first = (await post(bench, input="Oslo?", instructions="Be kind.", tools=[WEATHER])).json()
        result: Any = {"type": "function_call_output", "call_id": first["output"][0]["call_id"], "output": "-3"}
        second = (await post(bench, input=[result], previous_response_id=first["id"])).json()
        third = (await post(bench, input="Thanks", previous_response_id=second["id"])).json()
        assert said(engine) == [
            ("user", "Oslo?"),
            ("assistant", ""),
            ("tool", "-3"),
            ("assistant", "It is cold."),
            ("user", "Thanks"),
        ]
        assert third["previous_response_id"] == second["id"]
        kept = await bench.client.get(f"/v1/responses/{second['id']}")
        assert kept.json() == second
        gone = await bench.client.delete(f"/v1/responses/{second['id']}")
        assert gone.json() == {"id": second["id"], "object": "response", "deleted": True}
        for method in ("GET", "DELETE"):
            lost = await bench.client.request(method, f"/v1/responses/{second['id']}")
            assert (lost.status_code, lost.json()["error"]["param"]) == (404, "response_id")
        lost = await post(bench, input="And?", previous_response_id=third["id"])
        assert lost.status_code == 400
        assert "no longer kept" in lost.json()["error"]["message"]
        assert bench.server.load() == (0, 0)


async def test_one_that_is_unknown_or_was_not_kept(serving: Any) -> None:
    async with serving() as bench:
        first = (await post(bench, input="Hi", store=False)).json()
        assert not first["store"]
        for ident in (first["id"], "resp_x", "\0", "x" * 100_000):
            lost = await post(bench, input="Hi", previous_response_id=ident)
            error = lost.json()["error"]
            assert (lost.status_code, error["type"]) == (400, "invalid_request_error")
            assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")
        again = await bench.client.get(f"/v1/responses/{first['id']}?stream=true")
        assert again.status_code == 400


async def test_nothing_is_kept_for_a_page_of_elsewhere(serving: Any, tmp_path: Path) -> None:
    async with serving() as bench:
        table = bench.app.state.routes
        bench.guard = Guard(bench.app, table, keys=ApiKeys(tmp_path / "keys"), sessions=Sessions(), uid=1)
        mine = (await guarded(bench, "POST", uid=1)).json()
        assert mine["store"]
        theirs = await guarded(bench, "POST", uid=1, origin="app://obsidian.md")
        assert (theirs.status_code, theirs.json()["store"]) == (200, False)
        lost = await guarded(bench, "POST", uid=1, origin="app://obsidian.md", previous_response_id=mine["id"])
        assert lost.status_code == 400
        counting = await guarded(bench, "POST", "/input_tokens", uid=1, origin="app://obsidian.md")
        assert counting.json()["input_tokens"] > 0
        counting = await guarded(
            bench, "POST", "/input_tokens", uid=1, origin="app://obsidian.md", previous_response_id=mine["id"]
        )
        assert counting.status_code == 400
        for method, what in (("GET", "/input_items"), ("POST", "/cancel")):
            path = f"/{mine['id']}{what}"
            assert (await guarded(bench, method, path, uid=1, origin="app://obsidian.md")).status_code == 403
            assert (await guarded(bench, method, path, uid=None)).status_code == 401
        for method in ("GET", "DELETE"):
            path = f"/{mine['id']}"
            assert (await guarded(bench, method, path, uid=1, origin="app://obsidian.md")).status_code == 403
            assert (await guarded(bench, method, path, uid=None)).status_code == 401
            assert (await guarded(bench, method, path, uid=1)).status_code == 200


async def guarded(
    bench: Any, method: str, path: str = "", *, uid: int | None, origin: str = "", **body: Any
) -> httpx.Response:
    """The answer behind the guard, to somebody on this machine."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        local = ("127.0.0.1", 11434)
        scope["extensions"] = {RELAY: {"uid": uid, "loopback": True, "tls": False, "local": local}}
        await bench.guard(scope, receive, send)

    base = "http://127.0.0.1:11434"
    headers = {"origin": origin} if origin else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as client:
        content: dict[str, Any] = {"json": {"input": "Hi", **body}} if method == "POST" else {}
        return await client.request(method, f"/v1/responses{path}", headers=headers, **content)


async def test_what_cannot_be_kept_is_answered_all_the_same(serving: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: Any, **__: Any) -> None:
        raise StorageError("The disk is full.")

    monkeypatch.setattr(ResponseStore, "put", full)
    async with serving() as bench:
        response = await post(bench, input="Hi")
    assert response.status_code == 200
    assert response.json()["store"] is False


async def test_a_store_is_bounded_and_each_key_has_its_own(home: Any) -> None:
    now = [0.0]
    store = ResponseStore(home.responses, most=3, most_bytes=1000, days=1, now=lambda: now[0])
    turn = StoredTurn(b"[]", b"[]")
    try:
        await store.put("a", "", turn, b"{}", previous=None)
        for at, name in enumerate("bcd"):
            now[0] = at + 1.0
            await store.turns("a", "")  # what is used stays
            await store.put(name, "", turn, b"{}", previous="a")
        with pytest.raises(NotKept):
            await store.get("b", "")
        assert len(await store.turns("d", "")) == 2
        with pytest.raises(NotKept):
            await store.get("a", "bob")
        await store.put("e", "bob", turn, b"x" * 995, previous=None)
        with pytest.raises(NotKept):
            await store.get("d", "")
        assert await store.get("e", "bob") == b"x" * 995
        now[0] += 90_000
        with pytest.raises(NothingBefore):
            await store.turns("e", "bob")
    finally:
        await store.close()
    again = ResponseStore(home.responses)
    try:
        with pytest.raises(NotKept):
            await again.delete("e", "ann")
    finally:
        await again.close()


# -- the official client


def script(request: ChatRequest) -> str:
    last = request.messages[-1]
    if last.role == "tool":
        return f"It is {last.text} degrees."
    if request.tools:
        return CALL
    return "A blue one." if len(request.messages) > 1 else "Red."


async def test_the_official_client(live: Any) -> None:
    async with live(ScriptedEngine(script)) as bench:
        await asyncio.to_thread(_talk, f"{bench.url}/v1")
        async with AsyncOpenAI(base_url=f"{bench.url}/v1", api_key="none") as client:
            answer = await client.responses.create(model="@omni/test", input="Which?")
            assert answer.output_text == "Red."


def _talk(url: str) -> None:
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        first = client.responses.create(model="@omni/test", input="Which?")
        second = client.responses.create(model="@omni/test", input="And?", previous_response_id=first.id)
        assert (first.output_text, second.output_text) == ("Red.", "A blue one.")
        assert client.responses.retrieve(first.id).output_text == "Red."

        with client.responses.stream(model="@omni/test", input="Which?") as stream:
            text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
            assert text == stream.get_final_response().output_text == "Red."

        with client.responses.stream(model="@omni/test", input="Oslo?", tools=[WEATHER]) as stream:
            final = stream.get_final_response()
        (call,) = final.output
        assert isinstance(call, ResponseFunctionToolCall)
        assert json.loads(call.arguments) == {"city": "Oslo"}
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "3"}
        answer = client.responses.create(model="@omni/test", input=[result], previous_response_id=final.id)
        assert answer.output_text == "It is 3 degrees."

        client.responses.delete(first.id)
        with pytest.raises(NotFoundError):
            client.responses.retrieve(first.id)
        with pytest.raises(BadRequestError):
            client.responses.create(model="@omni/test", input="x", background=True)


async def test_the_official_client_parses_schemas(live: Any) -> None:
    class Point(BaseModel):
        x: int

    def ask(url: str) -> Point | None:
        with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            return client.responses.parse(model="", input="Where?", text_format=Point).output_parsed

    engine = ScriptedEngine(['{"x": 3}'], schema=True)
    async with live(engine) as bench:
        assert await asyncio.to_thread(ask, bench.url) == Point(x=3)
    schema = engine.requests[0].schema
    assert schema is not None
    assert schema["required"] == ["x"]
