"""OpenAI's chat word by word, over scripted brains: what is sent, and in which order."""

from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.core.events import BrainLoading, TokenAlternative, TokenLogprob, TurnQueued
from omni.core.messages import ToolResultPart
from omni.engine import Reply, ScriptedEngine
from omni.engine.types import ChatRequest
from tests.server.openai_tools import CALL, TOOL, USER, ask, events_of


async def test_an_answer_as_a_whole(serving: Any) -> None:
    async with serving(ScriptedEngine([Reply(text="Hello you.", reasoning="Hm, well.")])) as bench:
        completion = (await ask(bench, model="@omni/test", messages=USER)).json()
        assert completion.pop("id").startswith("chatcmpl-")
        assert completion.pop("created") > 0
        assert completion.pop("system_fingerprint").startswith("omni-")
        assert completion == {
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
            {"role": "assistant", "content": None},
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
        events = events_of((await ask(bench, messages=USER, stream=True)).text)
        assert events[-1] == {
            "error": {"message": "It died. Ask again.", "type": "server_error", "param": None, "code": None}
        }
        assert [each["choices"][0]["delta"].get("content") for each in events[:-1]] == [None, "one"]
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
            {"role": "assistant", "content": None},
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
    assert [(one.role, one.text) for one in request.messages] == [
        ("system", "Be brief.\n\nBe\nkind."),
        ("user", "Hi"),
        ("assistant", ""),
        ("tool", "x = 1"),
        ("assistant", ""),
        ("tool", "y"),
    ]
    assert request.messages[2].calls[0].arguments == '{"path": "a"}'
    assert request.messages[3].result == ToolResultPart.of("x = 1", call_id="1")
    assert request.messages[4].calls[0].arguments == "{}"
    assert request.messages[5].result == ToolResultPart.of("y", call_id="read", name="read")
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
        ({"type": "json_schema", "schema": {"enum": [1]}}, {"enum": [1]}),
        ({"type": "json_schema", "schema": {}}, {}),
    ],
)
async def test_formats_are_schemas(serving: Any, wanted: Any, schema: Any) -> None:
    engine = ScriptedEngine()
    async with serving(engine) as bench:
        await ask(bench, messages=USER, response_format=wanted)
        await bench.client.post("/v1/completions", json={"prompt": "Hi", "response_format": wanted})
    assert [request.schema for request in engine.requests] == [schema, schema]


@pytest.mark.parametrize("body", [{"messages": USER}, {"prompt": "Hi"}])
async def test_a_schema_may_be_written_as_llama_cpp_has_it(serving: Any, body: dict[str, Any]) -> None:
    engine, path = ScriptedEngine(), "/v1/chat/completions" if "messages" in body else "/v1/completions"
    async with serving(engine) as bench:
        await bench.client.post(path, json={**body, "json_schema": {"enum": [1]}})
        form = {"type": "json_object"}
        await bench.client.post(
            path, json={**body, "json_schema": {"enum": [1]}, "grammar": "", "response_format": form}
        )
        for bond in ("grammar", "guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs"):
            response = await bench.client.post(path, json={**body, bond: {} if bond == "guided_json" else ["x"]})
            assert (response.status_code, response.json()["error"]["param"]) == (400, bond)
    assert [request.schema for request in engine.requests] == [{"enum": [1]}] * 2


async def test_several_answers_have_numbers_and_seeds_of_their_own(serving: Any) -> None:
    engine = ScriptedEngine(["First one.", "Second."])
    async with serving(engine) as bench:
        completion = (await ask(bench, messages=USER, n=2, seed=7)).json()
        assert [(one["index"], one["message"]["content"]) for one in completion["choices"]] == [
            (0, "First one."),
            (1, "Second."),
        ]
        assert (completion["usage"]["prompt_tokens"], completion["usage"]["completion_tokens"]) == (2, 3)
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
                one = TokenAlternative(token=text, logprob=-0.5, bytes=tuple(text.encode()))
                yield TokenLogprob(chosen=one, top=(one,))


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


async def test_nulls_and_unknown_fields_are_nothing(serving: Any) -> None:
    names = ("temperature", "tools", "tool_choice", "stream", "stream_options", "stop", "n", "response_format", "seed",
             "max_tokens", "logprobs", "top_logprobs", "logit_bias", "parallel_tool_calls", "functions", "modalities")  # fmt: skip
    async with serving() as bench:
        response = await ask(bench, messages=USER, store=True, metadata={}, user="x", **dict.fromkeys(names))
        assert response.status_code == 200
