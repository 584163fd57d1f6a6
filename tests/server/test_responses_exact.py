"""Every answer and event of `/v1/responses`, against the types of OpenAI's own client, read strictly, and against what
OpenAI's and the Open Responses' documents call required."""

import base64
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter

from omni.cartridges import Brain, Projector
from omni.core.errors import EngineError
from omni.core.events import TokenAlternative, TokenLogprob
from omni.engine import Reply, ScriptedEngine
from tests.image_tools import png
from tests.server.real_tools import real_server
from tests.server.server_tools import base, brain
from tests.server.test_responses import CALL, WEATHER, post, told

EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
SCHEMA = jsonschema_rs.Draft202012Validator(Response.model_json_schema())
# What must be there in every answer, `null` where there is nothing: of the Open Responses' document, which is stricter.
REQUIRED = {
    "id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "previous_response_id",
    "instructions", "output", "error", "tools", "tool_choice", "truncation", "parallel_tool_calls", "text", "top_p",
    "presence_penalty", "frequency_penalty", "top_logprobs", "temperature", "reasoning", "user", "usage", "max_output_tokens",
    "max_tool_calls", "store", "background", "service_tier", "metadata", "safety_identifier", "prompt_cache_key",
}  # fmt: skip
ELSEWHERE = {"presence_penalty", "frequency_penalty", "store"}  # which are not in the types of the client


def checked(answer: dict[str, Any]) -> dict[str, Any]:
    """The same answer, if it is one by all three."""
    assert set(answer) >= REQUIRED, REQUIRED - set(answer)
    assert set(answer) <= set(Response.model_fields) | ELSEWHERE, set(answer) - set(Response.model_fields)
    SCHEMA.validate(answer)
    read = Response.model_validate_json(json.dumps(answer), strict=True)
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        assert isinstance(answer[name], float)
    for item, shown in zip(answer["output"], read.output, strict=True):
        assert shown.type == item["type"]
        assert set(item) <= set(type(shown).model_fields)
    assert [tool.type for tool in read.tools] == ["function"] * len(answer["tools"])
    assert (answer["completed_at"] is None) == (answer["status"] != "completed")
    assert (answer["usage"] is None) == (answer["status"] in ("in_progress", "failed"))
    return answer


def events_of(text: str) -> Iterator[dict[str, Any]]:
    """The events of a stream, each read strictly."""
    for event in told(text):
        shown = EVENTS.validate_json(json.dumps(event), strict=True)
        assert shown.type == event["type"]
        assert set(event) <= set(type(shown).model_fields) | {"name"}  # of a call, in older versions of the type
        if "response" in event:
            checked(event["response"])
        yield event


def known(**more: Any) -> Brain:
    return brain("@omni/test", **more)


TOKEN = TokenLogprob(
    chosen=TokenAlternative(token="It", logprob=-0.5, bytes=(73, 116)),
    top=(TokenAlternative(token="It", logprob=-0.5, bytes=(73, 116)),),
)
ENDLESS = Reply(text="on ", endless=True)
THOUGHT = Reply(reasoning="let me see", text="It is four.")
FAILED = Reply(text="one two three", error=EngineError("It died."), fail_after=1)
CASES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "plain": (THOUGHT, {}, "completed"),
    "everything": (
        THOUGHT,
        {
            "instructions": "Be brief.", "temperature": 1, "top_p": 1, "metadata": {"a": "b"}, "user": "me",
            "safety_identifier": "s", "prompt_cache_key": "k", "max_tool_calls": 3, "service_tier": "flex", "store": False,
            "max_output_tokens": 50, "reasoning": {"effort": "low", "summary": "auto"}, "truncation": "auto",
            "text": {"format": {"type": "text"}, "verbosity": "low"}, "parallel_tool_calls": False, "top_logprobs": 3,
        },
        "completed",
    ),
    "a call": (CALL, {"tools": [WEATHER]}, "completed"),
    "a call that must be": (CALL, {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "weather"}}, "completed"),
    "one of some": (
        CALL,
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]}},
        "completed",
    ),
    "tools that say little": (THOUGHT, {"tools": [{"type": "function", "name": "f"}, {"type": "web_search"}], "tool_choice": "none"}, "completed"),
    "a schema": ('{"a": 1}', {"text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}}}, "completed"),
    "some object": ('{"a": 1}', {"text": {"format": {"type": "json_object"}}}, "completed"),
    "cut": (ENDLESS, {"max_output_tokens": 3}, "incomplete"),
    "nothing": (ENDLESS, {"max_output_tokens": 0}, "incomplete"),
    "likelihoods": (Reply(text="It", before=(TOKEN,)), {"top_logprobs": 1}, "completed"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_answers_and_events_are_openais_to_the_letter(serving: Any, case: str) -> None:
    reply, body, status = CASES[case]
    async with serving(ScriptedEngine([reply], schema=True)) as bench:
        whole = checked((await post(bench, input="2 + 2?", **body)).json())
        assert whole["status"] == status
        events = list(events_of((await post(bench, input="2 + 2?", stream=True, **body)).text))
        assert events[-1]["response"]["status"] == status
        if whole["store"]:
            kept = checked((await bench.client.get(f"/v1/responses/{whole['id']}")).json())
            assert kept == whole


async def test_a_failed_one_is_openais_too(serving: Any) -> None:
    async with serving(ScriptedEngine([FAILED])) as bench:
        *_, last = events_of((await post(bench, input="Hi", stream=True)).text)
    assert (last["type"], last["response"]["error"]["code"]) == ("response.failed", "server_error")


async def test_it_says_what_was_asked_and_what_is_really_used(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known = [known(sampling={"temperature": 0.25, "top_p": 0.5, "max_tokens": 800})]
        own = checked((await post(bench, input="Hi")).json())
        assert (own["temperature"], own["top_p"], own["max_output_tokens"]) == (0.25, 0.5, 800)
        asked = {"temperature": 0, "top_p": 1, "max_output_tokens": 9, "user": "me", "safety_identifier": "s"}
        asked |= {"prompt_cache_key": "k", "max_tool_calls": 2, "metadata": {"a": "b"}}
        answer = checked((await post(bench, input="Hi", truncation="auto", service_tier="priority", **asked)).json())
        assert {name: answer[name] for name in asked} == asked
        used = {"truncation": "disabled", "service_tier": "default", "background": False, "conversation": None}
        assert {name: answer[name] for name in used} == used
        bench.services.library.known = [known()]
        plain = checked((await post(bench, input="Hi", max_output_tokens=-1)).json())
        assert (plain["temperature"], plain["top_p"], plain["max_output_tokens"]) == (0.7, 0.95, None)


async def test_tools_come_back_as_they_were_sent(serving: Any) -> None:
    loose = {"type": "function", "name": "f", "description": None, "parameters": None, "strict": False}
    async with serving() as bench:
        answer = checked((await post(bench, input="Hi", tools=[WEATHER, loose, {"type": "web_search"}])).json())
        assert answer["tools"] == [WEATHER, loose]
        silent = {"type": "function", "name": "f"}
        answer = checked((await post(bench, input="Hi", tools=[silent])).json())
        assert answer["tools"] == [loose | {"strict": True}]


async def test_without_anything_new_there_is_nothing_to_answer(serving: Any) -> None:
    async with serving() as bench:
        first = (await post(bench, input="Hi")).json()
        bodies: list[dict[str, Any]] = [{}, {"input": None}, {"input": []}, {"previous_response_id": first["id"]}]
        for body in bodies:
            response = await post(bench, **body)
            assert (response.status_code, response.json()["error"]["param"]) == (400, "input")


# -- what an answer was made from


async def pages(bench: Any, ident: str, **query: Any) -> list[dict[str, Any]]:
    """All items, page by page."""
    items: list[dict[str, Any]] = []
    after: dict[str, Any] = {}
    while True:
        answer = await bench.client.get(f"/v1/responses/{ident}/input_items", params=query | after)
        assert answer.status_code == 200, answer.text
        page = ResponseItemList.model_validate_json(answer.text, strict=True)
        data = answer.json()["data"]
        assert [shown.type for shown in page.data] == [item["type"] for item in data]
        assert (page.first_id, page.last_id) == (data[0]["id"], data[-1]["id"])
        items += data
        if not page.has_more:
            return items
        after = {"after": page.last_id}


async def test_the_items_of_an_answer_are_all_that_led_to_it(serving: Any) -> None:
    async with serving(ScriptedEngine([CALL, "It is cold.", "You are welcome."])) as bench:
        first = (await post(bench, input="Oslo?", tools=[WEATHER], instructions="Be kind.")).json()
        (call,) = first["output"]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "-3"}
        second = (await post(bench, input=[result], previous_response_id=first["id"])).json()
        more = [
            {"role": "developer", "content": "Be brief."},
            {"role": "assistant", "content": "So?"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks"}]},
            {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "-4"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}]},
        ]
        third = (await post(bench, input=more, previous_response_id=second["id"])).json()
        items = await pages(bench, third["id"], order="asc")
        assert [item["type"] for item in items] == [
            "message", "function_call", "function_call_output", "message",
            "message", "message", "message", "function_call", "function_call_output", "reasoning",
        ]  # fmt: skip
        assert [item.get("role") for item in items if item["type"] == "message"] == [
            "user",
            "assistant",
            "developer",
            "assistant",
            "user",
        ]
        assert items[0]["content"] == [{"type": "input_text", "text": "Oslo?"}]
        assert items[1] == call
        assert (items[2]["output"], items[3]) == ("-3", second["output"][0])
        assert items[5]["content"][0]["type"] == "output_text"
        assert len({item["id"] for item in items}) == len(items)
        assert {item["status"] for item in items[:-1]} == {"completed"}
        for size in (1, 3, 10, 100):
            assert await pages(bench, third["id"], order="asc", limit=size) == items
            assert await pages(bench, third["id"], limit=size) == items[::-1]
        assert await pages(bench, first["id"]) == items[:1]
        last = await bench.client.get(f"/v1/responses/{third['id']}/input_items", params={"after": items[0]["id"]})
        assert last.json() == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        await bench.client.delete(f"/v1/responses/{second['id']}")
        assert await pages(bench, third["id"], order="asc") == items[4:]  # what is no longer kept is not there


async def test_a_page_has_twenty_items_where_nothing_is_said(serving: Any) -> None:
    asked = [{"role": "user", "content": f"number {number}"} for number in range(30)]
    async with serving() as bench:
        ident = (await post(bench, input=asked)).json()["id"]
        first = (await bench.client.get(f"/v1/responses/{ident}/input_items")).json()
        assert (len(first["data"]), first["has_more"]) == (20, True)
        assert first["data"][0]["content"][0]["text"] == "number 29"
        assert len(await pages(bench, ident)) == 30


async def test_images_of_an_answer_are_shown_to_who_asks_for_them(serving: Any) -> None:
    url = f"data:image/png;base64,{base64.b64encode(png()).decode()}"
    asked = [
        {"role": "user", "content": [{"type": "input_image", "image_url": url}, {"type": "input_text", "text": "?"}]}
    ]
    async with serving(ScriptedEngine(vision=True)) as bench:
        seeing = msgspec.structs.replace(base(), projector=Projector(path="/m.gguf", size=9))
        bench.services.library.known = [known(base=seeing)]
        answer = (await post(bench, input=asked)).json()
        (item,) = await pages(bench, answer["id"])
        assert item["content"][0] == {"type": "input_image", "detail": "auto", "image_url": None}
        for name in ("include", "include[]"):
            (item,) = await pages(bench, answer["id"], **{name: "message.input_image.image_url"})
            assert item["content"][0]["image_url"] == url


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"limit": "\u0663"}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "msg_unknown"}, "after"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(serving: Any, query: dict[str, str], param: str) -> None:
    async with serving() as bench:
        ident = (await post(bench, input="Hi")).json()["id"]
        response = await bench.client.get(f"/v1/responses/{ident}/input_items", params=query)
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)


# -- what else there is, and what is not


@pytest.mark.parametrize("what", ["input_items", "cancel"])
async def test_what_is_not_kept_has_no_items_and_no_end(serving: Any, what: str) -> None:
    method = "GET" if what == "input_items" else "POST"
    async with serving() as bench:
        for ident in ("resp_x", (await post(bench, input="Hi", store=False)).json()["id"]):
            response = await bench.client.request(method, f"/v1/responses/{ident}/{what}")
            assert (response.status_code, response.json()["error"]["code"]) == (404, "response_not_found")


async def test_an_answer_with_a_connection_is_not_cancelled(serving: Any) -> None:
    async with serving() as bench:
        ident = (await post(bench, input="Hi")).json()["id"]
        response = await bench.client.post(f"/v1/responses/{ident}/cancel")
        assert (response.status_code, "`background`" in response.json()["error"]["message"]) == (400, True)
        assert (await bench.client.get(f"/v1/responses/{ident}")).json()["status"] == "completed"


async def test_the_tokens_of_a_prompt_are_counted(serving: Any) -> None:
    engine = ScriptedEngine(["A word.", "A word.", "A word.", "{}"])
    form = {"type": "json_schema", "name": "any", "schema": {"type": "object", "description": "as you like it"}}
    async with serving(engine) as bench:
        body: dict[str, Any] = {
            "input": "one two",
            "instructions": "Be brief.",
            "tools": [WEATHER],
            "model": "@omni/test",
        }
        first = (await post(bench, **body)).json()
        for more in ({}, {"previous_response_id": first["id"]}, {"text": {"format": form}}):  # a form is told, too
            counted = (await bench.client.post("/v1/responses/input_tokens", json=body | more)).json()
            used = (await post(bench, **body, **more)).json()["usage"]["input_tokens"]
            assert counted == {"object": "response.input_tokens", "input_tokens": used}
        less = (await bench.client.post("/v1/responses/input_tokens", json=body | {"tool_choice": "none"})).json()
        assert less["input_tokens"] < used
        asked = len(engine.requests)
        await bench.client.post("/v1/responses/input_tokens", json=body)
        assert len(engine.requests) == asked
        for wrong, param in (({}, "input"), ({"input": "x", "background": True}, "background")):
            response = await bench.client.post("/v1/responses/input_tokens", json=wrong)
            assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/v1/responses", "WebSocket"),
        ("POST", "/v1/responses/compact", "summary"),
        ("POST", "/v1/conversations", "previous_response_id"),
        ("GET", "/v1/conversations/conv_1", "previous_response_id"),
        ("DELETE", "/v1/conversations/conv_1", "previous_response_id"),
        ("GET", "/v1/conversations/conv_1/items", "previous_response_id"),
        ("POST", "/v1/conversations/conv_1/items/x", "previous_response_id"),
    ],
)
async def test_what_is_not_there_says_so_and_is_not_tried_again(
    serving: Any, method: str, path: str, words: str
) -> None:
    async with serving() as bench:
        response = await bench.client.request(method, path, headers={"upgrade": "websocket", "connection": "upgrade"})
        error = response.json()["error"]
        assert (response.status_code, error["code"], response.headers["x-should-retry"]) == (
            501,
            "not_implemented",
            "false",
        )
        assert words in error["message"]


@pytest.mark.parametrize("path", ["files", "batches", "fine_tuning/jobs", "assistants", "threads", "vector_stores"])
async def test_what_else_openai_has_answers_to_nobody(serving: Any, path: str) -> None:
    async with serving() as bench:
        for method in ("GET", "POST"):
            response = await bench.client.request(method, f"/v1/{path}")
            assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize(
    ("name", "instead"),
    [("background", "`stream`"), ("conversation", "`previous_response_id`"), ("prompt", "`instructions`")],
)
async def test_fields_for_what_is_not_there_are_refused_with_what_there_is_instead(
    serving: Any, name: str, instead: str
) -> None:
    value: Any = True if name == "background" else {"id": "x"}
    async with serving() as bench:
        response = await post(bench, input="Hi", **{name: value})
        error = response.json()["error"]
        assert (response.status_code, error["param"], instead in error["message"]) == (400, name, True)


@pytest.mark.real
async def test_the_official_client_over_a_real_brain(tmp_path: Path, starter_gguf: Path) -> None:
    async with (
        real_server(tmp_path / "home", starter_gguf) as real,
        openai.AsyncOpenAI(base_url=f"{real.url}/v1", api_key="none", max_retries=0) as client,
    ):
        asked: dict[str, Any] = {"model": real.brain, "input": "Say hello.", "instructions": "Be brief."}
        counted = await client.responses.input_tokens.count(**asked)
        first = await client.responses.create(**asked, max_output_tokens=5)
        assert first.usage is not None
        assert counted.input_tokens == first.usage.input_tokens
        checked(json.loads((await client.responses.with_raw_response.retrieve(first.id)).text))
        second = await client.responses.create(
            model=real.brain, input="Again.", previous_response_id=first.id, max_output_tokens=5
        )
        items = [item async for item in client.responses.input_items.list(second.id, order="asc", limit=1)]
        assert [item.type for item in items] == ["message"] * 3
        with pytest.raises(openai.BadRequestError, match="background"):
            await client.responses.cancel(second.id)
        raw = await client.responses.with_raw_response.create(**asked, max_output_tokens=5, stream=True)
        (text,) = [await raw.http_response.aread()]
        assert [event["type"] for event in events_of(text.decode())][-1] in (
            "response.completed",
            "response.incomplete",
        )
        for ask in (
            client.conversations.create,
            partial(client.responses.compact, model=real.brain, input="x"),
        ):
            with pytest.raises(openai.InternalServerError) as refused:
                await ask()
            assert refused.value.status_code == 501
