"""OpenAI's endpoints word by word, over scripted brains: what is sent, in which order, and what is refused how."""

import asyncio
import base64
import json
import math
import struct
from typing import Any

import httpx
import pytest

from omni.core.errors import EngineError
from omni.core.events import BrainLoading, Likelihood, TokenChosen, TurnQueued
from omni.engine import Reply, ScriptedEngine
from omni.engine.types import ChatRequest
from tests.server.server_tools import brain
from tests.waiting import until

USER = [{"role": "user", "content": "Hi"}]
TOOL = {
    "type": "function",
    "function": {"name": "read", "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}},
}
CALL = '{"name": "read", "arguments": {"path": "a.py"}}'


def events_of(text: str) -> list[Any]:
    """The objects of an event stream, and "[DONE]"."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data: ")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def ask(bench: Any, path: str = "/v1/chat/completions", **body: Any) -> httpx.Response:
    response: httpx.Response = await bench.client.post(path, json=body)
    return response


async def test_an_answer_as_a_whole(serving: Any) -> None:
    async with serving(ScriptedEngine([Reply(text="Hello you.", reasoning="Hm, well.")])) as bench:
        found = (await ask(bench, model="@omni/test", messages=USER)).json()
        assert found.pop("id").startswith("chatcmpl-")
        assert found.pop("created") > 0
        assert found.pop("system_fingerprint").startswith("omni-")
        assert found == {
            "object": "chat.completion",
            "model": "@omni/test",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "Hello you.",
                        "refusal": None,
                        "reasoning_content": "Hm, well.",
                    },
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 2,
                "completion_tokens": 4,
                "total_tokens": 6,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
        }
        assert 'omni_tokens_total{brain="@omni/test",kind="answer"} 4' in (await bench.client.get("/metrics")).text


async def test_a_stream_says_who_then_what_then_why_then_how_much(serving: Any) -> None:
    before = (TurnQueued(place=1, reason="slot"), BrainLoading(brain="x", seconds=0.0))
    async with serving(ScriptedEngine([Reply(text="Hello you.", reasoning="Hm.", before=before)])) as bench:
        response = await ask(
            bench, model="@omni/test", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        assert response.headers["content-type"].startswith("text/event-stream")
        *chunks, done = events_of(response.text)
        assert done == "[DONE]"
        assert len({(chunk["id"], chunk["created"], chunk["model"], chunk["object"]) for chunk in chunks}) == 1
        *said, last = chunks
        assert [chunk["choices"][0]["delta"] for chunk in said] == [
            {"role": "assistant", "content": ""},
            {"reasoning_content": "Hm."},
            {"content": "Hello"},
            {"content": " you."},
            {},
        ]
        assert [chunk["choices"][0]["finish_reason"] for chunk in said] == [None] * 4 + ["stop"]
        assert [chunk["usage"] for chunk in said] == [None] * 5
        assert last["choices"] == []
        assert last["usage"]["completion_tokens"] == 3


async def test_without_being_asked_a_stream_tells_no_usage(serving: Any) -> None:
    async with serving() as bench:
        chunks = events_of((await ask(bench, messages=USER, stream=True)).text)
        assert all("usage" not in chunk for chunk in chunks[:-1])
        assert {chunk["model"] for chunk in chunks[:-1]} == {"@omni/test"}


async def test_a_failure_in_mid_stream_is_one_event_and_the_last(serving: Any) -> None:
    reply = Reply(text="one two three", error=EngineError("It died.", hint="Ask again."), fail_after=1)
    async with serving(ScriptedEngine([reply])) as bench:
        found = events_of((await ask(bench, messages=USER, stream=True)).text)
        assert found[-1] == {
            "error": {"message": "It died. Ask again.", "type": "server_error", "param": None, "code": None}
        }
        assert [each["choices"][0]["delta"].get("content") for each in found[:-1]] == ["", "one"]
        whole = await ask(bench, messages=USER)
        assert (whole.status_code, whole.json()["error"]["type"]) == (500, "server_error")
        assert bench.server.load() == (0, 0)


async def test_an_answer_that_is_cut_says_so(serving: Any) -> None:
    async with serving(ScriptedEngine(["one two three four"])) as bench:
        for limit in ({"max_tokens": 2}, {"max_completion_tokens": 2}, {"max_tokens": 9, "max_completion_tokens": 2}):
            choice = (await ask(bench, messages=USER, **limit)).json()["choices"][0]
            assert (choice["message"]["content"], choice["finish_reason"]) == ("one two", "length")
        assert (await ask(bench, messages=USER, max_tokens=-1)).json()["choices"][0]["finish_reason"] == "stop"


async def test_a_call_as_a_whole_and_in_a_stream(serving: Any) -> None:
    async with serving(ScriptedEngine([CALL])) as bench:
        choice = (await ask(bench, messages=USER, tools=[TOOL], tool_choice="required")).json()["choices"][0]
        (call,) = choice["message"]["tool_calls"]
        assert call.pop("id").startswith("call_")
        assert call == {"type": "function", "function": {"name": "read", "arguments": '{"path": "a.py"}'}}
        assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
        chunks = events_of((await ask(bench, messages=USER, tools=[TOOL], stream=True)).text)[:-1]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        ident = deltas[1]["tool_calls"][0].pop("id")
        assert ident
        assert deltas == [
            {"role": "assistant", "content": ""},
            {"tool_calls": [{"index": 0, "type": "function", "function": {"name": "read", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"path": "a.py"}'}}]},
            {},
        ]
        assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_functions_of_old_clients(serving: Any) -> None:
    async with serving(ScriptedEngine([CALL])) as bench:
        body = {"messages": USER, "functions": [TOOL["function"]], "function_call": {"name": "read"}}
        choice = (await ask(bench, **body)).json()["choices"][0]
        assert choice["message"]["function_call"] == {"name": "read", "arguments": '{"path": "a.py"}'}
        assert choice["finish_reason"] == "function_call"
        chunks = events_of((await ask(bench, stream=True, **body)).text)[:-1]
        assert chunks[1]["choices"][0]["delta"] == {"function_call": {"name": "read", "arguments": ""}}
        assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"


async def test_messages_of_all_roles_reach_the_brain(serving: Any) -> None:
    engine = ScriptedEngine()
    call = {"id": "1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a"}'}}
    async with serving(engine) as bench:
        await ask(
            bench,
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}]},
                {"role": "user", "content": "Hi", "name": "Ann"},
                {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Hm."},
                {"role": "tool", "tool_call_id": "1", "content": "x = 1"},
                {"role": "assistant", "content": None, "function_call": {"name": "read", "arguments": ""}},
                {"role": "function", "name": "read", "content": "y"},
            ],
            temperature=0.5, top_p=0.9, top_k=7, min_p=0.1, seed=2**40 + 3, stop="END", presence_penalty=1,
            frequency_penalty=-1, logit_bias={"5": -100}, max_tokens=9, reasoning_effort="none",
        )  # fmt: skip
    (request,) = engine.requests
    assert isinstance(request, ChatRequest)
    assert [(one.role, one.content) for one in request.messages] == [
        ("system", "Be brief.\n\nBe\nkind."),
        ("user", "Hi"),
        ("assistant", ""),
        ("tool", "x = 1"),
        ("assistant", ""),
        ("tool", "y"),
    ]
    assert request.messages[2].calls[0].arguments == '{"path": "a"}'
    assert request.messages[3].call_id == "1"
    assert request.messages[4].calls[0].arguments == "{}"
    assert (request.messages[5].call_id, request.messages[5].name) == ("read", "read")
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == (0.5, 0.9, 7, 0.1)
    assert (sampling.seed, sampling.stop, sampling.logit_bias, sampling.max_tokens) == (3, ("END",), ((5, -100.0),), 9)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (1, -1)
    assert request.thinking is False


async def test_choices_of_tools_as_the_engine_hears_them(serving: Any) -> None:
    engine = ScriptedEngine([CALL])
    other = {"type": "function", "function": {"name": "write", "description": None, "parameters": None}}
    named = {"type": "function", "function": {"name": "read"}}
    some = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    async with serving(engine) as bench:
        for choice in (None, "none", "auto", "required", named, some):
            await ask(bench, messages=USER, tools=[TOOL, other], tool_choice=choice, parallel_tool_calls=False)
    assert [(len(one.tools), one.tool_choice, one.parallel_calls) for one in engine.requests] == [
        (2, "auto", False),
        (2, "none", False),
        (2, "auto", False),
        (2, "required", False),
        (1, "required", False),
        (1, "required", False),
    ]


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_object", "schema": {"type": "object", "required": []}}, {"type": "object", "required": []}),
        ({"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": {"enum": [1]}}}, {"enum": [1]}),
    ],
)
async def test_formats_are_schemas(serving: Any, wanted: Any, schema: Any) -> None:
    engine = ScriptedEngine()
    async with serving(engine) as bench:
        await ask(bench, messages=USER, response_format=wanted)
    assert engine.requests[0].schema == schema


async def test_several_answers_have_numbers_and_seeds_of_their_own(serving: Any) -> None:
    engine = ScriptedEngine(["First one.", "Second."])
    async with serving(engine) as bench:
        found = (await ask(bench, messages=USER, n=2, seed=7)).json()
        assert [(one["index"], one["message"]["content"]) for one in found["choices"]] == [
            (0, "First one."),
            (1, "Second."),
        ]
        assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (2, 3)
        assert [request.sampling.seed for request in engine.requests] == [7, 8]
        chunks = events_of((await ask(bench, messages=USER, n=2, stream=True)).text)[:-1]
        for at in (0, 1):
            mine = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == at]
            assert mine[0]["delta"]["role"] == "assistant"
            assert mine[-1]["finish_reason"] == "stop"


async def test_several_answers_are_admitted_together_or_not_at_all(serving: Any) -> None:
    async with serving() as bench:
        bench.services.set("engine", slots=1)
        bench.services.set("serve", queue=1)
        with bench.server.places_of(await bench.server.names.find("")).enter("other"):
            refused = await ask(bench, messages=USER, n=2)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["type"] == "rate_limit_error"
            assert bench.server.load() == (1, 0)
        assert (await ask(bench, messages=USER, n=2)).status_code == 200


async def test_more_answers_than_there_will_ever_be_places_for_are_no_reason_to_try_again(serving: Any) -> None:
    async with serving() as bench:
        bench.services.set("engine", slots=1)
        bench.services.set("serve", queue=1)
        prompts = {"model": "@omni/test", "prompt": ["a", "b", "c"]}
        for refused, param in (
            (await ask(bench, messages=USER, n=3), "n"),
            (await ask(bench, messages=USER, n=3, stream=True), "n"),
            (await bench.client.post("/v1/completions", json=prompts), "prompt"),
        ):
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)
            assert "3 answers are asked for at once, and 2 can be had." in refused.json()["error"]["message"]
        assert bench.server.load() == (0, 0)


class Likely(ScriptedEngine):
    """Tells how likely its tokens are."""

    async def _said(self, *args: Any) -> Any:
        async for event in super()._said(*args):
            yield event
            if text := getattr(event, "text", ""):
                one = Likelihood(token=text, logprob=-0.5, bytes=tuple(text.encode()))
                yield TokenChosen(chosen=one, top=(one,))


async def test_likelihoods_go_with_their_text_and_not_with_reasoning(serving: Any) -> None:
    async with serving(Likely([Reply(text="Hello you.", reasoning="Hm.")])) as bench:
        asked = {"messages": USER, "logprobs": True, "top_logprobs": 1}
        content = (await ask(bench, **asked)).json()["choices"][0]["logprobs"]["content"]
        hello = {"token": "Hello", "logprob": -0.5, "bytes": list(b"Hello")}
        assert content[0] == {**hello, "top_logprobs": [hello]}
        assert [one["token"] for one in content] == ["Hello", " you."]
        chunks = [chunk["choices"][0] for chunk in events_of((await ask(bench, stream=True, **asked)).text)[:-1]]
        said = [
            (one["delta"].get("content"), [each["token"] for each in one["logprobs"]["content"]])
            for one in chunks
            if one["logprobs"]
        ]
        assert said == [("Hello", ["Hello"]), (" you.", [" you."])]
        bare = (await ask(bench, messages=USER, logprobs=True)).json()["choices"][0]["logprobs"]["content"]
        assert bare[0] == {**hello, "top_logprobs": []}
        old = (await ask(bench, "/v1/completions", prompt="Hi", logprobs=1)).json()["choices"][0]
        assert old["logprobs"]["tokens"][-2:] == ["Hello", " you."]
        assert old["logprobs"]["top_logprobs"][-1] == {" you.": -0.5}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"temperature": 3}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": "hot"}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"min_p": -1}, "min_p"),
    ({"top_k": -1}, "top_k"),
    ({"n": 0}, "n"),
    ({"n": 9}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": -2}, "max_completion_tokens"),
    ({"presence_penalty": 2.5}, "presence_penalty"),
    ({"frequency_penalty": -2.5}, "frequency_penalty"),
    ({"logit_bias": {"x": 1}}, "logit_bias"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"stop": [1]}, "stop[0]"),
    ({"seed": 1.5}, "seed"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "wizard", "content": ""}]}, "messages[0].role"),
    ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[0].content[0]"),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "raed"}}}, "tool_choice"),
    ({"tools": [{"type": "magic", "function": {"name": "x"}}]}, "tools[0].type"),
    (
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"type": "string"}}}]},
        "tools[0].function.parameters",
    ),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ({"modalities": ["text", "audio"]}, "modalities"),
]


@pytest.mark.parametrize(("wrong", "param"), WRONG)
async def test_what_is_wrong_is_named(serving: Any, wrong: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        found = await ask(bench, **{"messages": USER, **wrong})
        error = found.json()["error"]
        assert (found.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)
        assert error["message"]
        assert bench.server.load() == (0, 0)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b'{"messages": "x"}', b'{"messages":[{"role":"user","content":"\\ud800"}]}',
     b'{"temperature":NaN}', b'{"temperature":1e999}', b'{"seed":' + b"9" * 5000 + b"}", b"[" * 100_000],
)  # fmt: skip
async def test_no_body_breaks_the_server(serving: Any, body: bytes) -> None:
    async with serving() as bench:
        found = await bench.client.post("/v1/chat/completions", content=body)
        assert (found.status_code, found.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_schema_without_a_bottom_is_refused(serving: Any) -> None:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(70):
        schema = {"type": "object", "properties": {"a": schema}}
    async with serving() as bench:
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        found = await ask(bench, messages=USER, response_format=form)
        assert found.status_code == 400
        assert "levels" in found.json()["error"]["message"]


@pytest.mark.parametrize(
    ("part", "sense"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}, "see"),
        ({"type": "image_url", "image_url": "data:"}, "see"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "hear"),
    ],
)
async def test_a_brain_that_cannot_see_or_hear_says_so(serving: Any, part: Any, sense: str) -> None:
    async with serving() as bench:
        found = await ask(bench, messages=[{"role": "user", "content": [{"type": "text", "text": "What?"}, part]}])
        assert found.status_code == 400
        assert f"@omni/test cannot {sense}" in found.json()["error"]["message"]
        assert found.json()["error"]["param"] == "messages[0].content[1]"


async def test_calls_that_were_cut_are_not_passed_on(serving: Any) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "read", "arguments": '{"pa'}}
    async with serving() as bench:
        found = await ask(bench, messages=[*USER, {"role": "assistant", "tool_calls": [call]}])
        assert found.json()["error"]["param"] == "messages[1].tool_calls[0].function.arguments"


async def test_nulls_and_unknown_fields_are_nothing(serving: Any) -> None:
    names = ("temperature", "tools", "tool_choice", "stream", "stream_options", "stop", "n", "response_format", "seed",
             "max_tokens", "logprobs", "top_logprobs", "logit_bias", "parallel_tool_calls", "functions", "modalities")  # fmt: skip
    async with serving() as bench:
        found = await ask(bench, messages=USER, store=True, metadata={}, user="x", **dict.fromkeys(names))
        assert found.status_code == 200


async def test_an_overflow_is_told_before_anything_is_sent(serving: Any) -> None:
    async with serving(ScriptedEngine(context=64)) as bench:
        found = await ask(bench, messages=[{"role": "user", "content": "word " * 100}], stream=True)
        assert (found.status_code, found.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert "64 are allocated" in found.json()["error"]["message"]


async def test_models_and_their_other_names(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known.append(brain("llama3.2:3b", origin="ollama"))
        bench.services.set("serve", aliases={"gpt-4o": "@omni/test", "gone": "@no/brain"})
        found = (await bench.client.get("/v1/models")).json()
        assert found["object"] == "list"
        assert [(one["id"], one["owned_by"], one["root"]) for one in found["data"]] == [
            ("@omni/test", "omni", "@omni/test"),
            ("llama3.2:3b", "ollama", "llama3.2:3b"),
            ("gpt-4o", "omni", "@omni/test"),
        ]
        assert all(isinstance(one["created"], int) for one in found["data"])
        for name in ("@omni/test", "%40omni%2Ftest", "gpt-4o"):
            one = (await bench.client.get(f"/v1/models/{name}")).json()
            assert (one["object"], one["root"]) == ("model", "@omni/test")
        assert one["id"] == "gpt-4o"
        assert (await bench.client.get("/v1/models/")).json() == found
        nothing = (await bench.client.get("/v1/nothing")).json()["error"]
        assert (nothing["type"], nothing["code"]) == ("not_found_error", "unknown_url")
        missing = await bench.client.get("/v1/models/gpt-5")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
        assert (await ask(bench, model="gpt-5", messages=USER)).status_code == 404
        assert (await ask(bench, model="gpt-4o", messages=USER)).json()["model"] == "gpt-4o"


async def test_texts_are_gone_on_with(serving: Any) -> None:
    engine = ScriptedEngine(["and on."])
    async with serving(engine) as bench:
        found = (await ask(bench, "/v1/completions", prompt=["On", "Off we go"], n=2, echo=True, seed=1)).json()
        assert found["id"].startswith("cmpl-")
        assert [(one["index"], one["text"], one["finish_reason"]) for one in found["choices"]] == [
            (0, "Onand on.", "stop"),
            (1, "Onand on.", "stop"),
            (2, "Off we goand on.", "stop"),
            (3, "Off we goand on.", "stop"),
        ]
        assert (found["usage"]["prompt_tokens"], found["usage"]["completion_tokens"]) == (4, 8)
        response = await ask(
            bench, "/v1/completions", prompt="On", suffix="off", stream=True, stream_options={"include_usage": True}
        )
        *chunks, done = events_of(response.text)
        assert done == "[DONE]"
        assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in chunks[:-1]] == [
            ("and", None),
            (" on.", None),
            ("", "stop"),
        ]
        assert chunks[-1]["usage"]["total_tokens"] == 3


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": ["x"] * 65}, "prompt"),
        ({"prompt": "x", "best_of": 3}, "best_of"),
        ({"prompt": "x", "echo": True, "logprobs": 1}, "echo"),
        ({"prompt": "x", "suffix": "y", "echo": True}, "echo"),
        ({"prompt": "x", "logprobs": 99}, "logprobs"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
    ],
)
async def test_what_is_wrong_with_a_text_is_named(serving: Any, wrong: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        found = await ask(bench, "/v1/completions", **wrong)
        assert (found.status_code, found.json()["error"]["param"]) == (400, param)


async def test_vectors_as_numbers_and_as_bytes(serving: Any) -> None:
    async with serving() as bench:
        found = (await ask(bench, "/v1/embeddings", input=["one two", "three"], model="@omni/test")).json()
        assert [(one["object"], one["index"], len(one["embedding"])) for one in found["data"]] == [
            ("embedding", 0, 8),
            ("embedding", 1, 8),
        ]
        assert found["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
        short = (await ask(bench, "/v1/embeddings", input="one two", dimensions=3, encoding_format="base64")).json()
        packed = base64.b64decode(short["data"][0]["embedding"])
        vector = struct.unpack("<3f", packed)
        assert math.isclose(math.hypot(*vector), 1, rel_tol=1e-6)
        whole = found["data"][0]["embedding"]
        assert math.isclose(vector[0] / vector[1], whole[0] / whole[1], rel_tol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, ""),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": ["x"] * 2049}, "input"),
        ({"input": "x", "dimensions": 9}, "dimensions"),
        ({"input": "x", "dimensions": 0}, "dimensions"),
        ({"input": "x", "encoding_format": "int8"}, "encoding_format"),
    ],
)
async def test_what_is_wrong_with_a_vector_is_named(serving: Any, wrong: dict[str, Any], param: str) -> None:
    async with serving() as bench:
        found = await ask(bench, "/v1/embeddings", **wrong)
        assert (found.status_code, found.json()["error"]["param"] or "") == (400, param)
        assert bench.server.load() == (0, 0)


async def test_a_brain_without_vectors_says_what_to_install(serving: Any) -> None:
    engine = ScriptedEngine()
    engine._capabilities = type(engine._capabilities)(context=64, context_max=64, embeds=False)
    async with serving(engine) as bench:
        found = await ask(bench, "/v1/embeddings", input="x")
        assert found.status_code == 501
        assert "`omni pull " in found.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/audio/transcriptions", "/v1/audio/speech"])
async def test_there_is_no_voice_yet(serving: Any, path: str) -> None:
    async with serving() as bench:
        found = await bench.client.post(path, content=b"whatever")
        assert (found.status_code, found.json()["error"]["code"]) == (501, "not_implemented")
        assert found.headers["x-should-retry"] == "false"


async def test_health_counts_and_tokens(serving: Any) -> None:
    gate = asyncio.Event()
    async with serving(ScriptedEngine([Reply(text="one two", gates={1: gate})])) as bench:
        assert (await bench.client.get("/health")).json()["status"] == "ok"
        asking = asyncio.create_task(ask(bench, messages=USER))
        await until(lambda: bench.server.load() == (1, 0))
        busy = (await bench.client.get("/health")).json()
        assert (busy["running"], busy["queued"]) == (1, 0)
        gate.set()
        await asking
        assert "omni_running 0" in (await bench.client.get("/metrics")).text
        tokens = (await ask(bench, "/tokenize", content="one two")).json()
        assert (len(tokens["tokens"]), tokens["count"]) == (2, 2)
        assert (await ask(bench, "/tokenize")).status_code == 400
