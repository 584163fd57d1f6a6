"""Ollama's chat, generate and embed: every field, whole and in lines."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from omni.core.errors import EngineError
from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import Reply, ScriptedEngine
from omni.engine.histories import Traits, fitted
from tests.server.server_tools import base, brain
from tests.waiting import until

FIGURES = {
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ASK: dict[str, Any] = {"model": "@omni/test", "messages": [{"role": "user", "content": "one two"}]}


def lines_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.content.endswith(b"\n")
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def test_a_chat_is_a_stream_of_lines_unless_told_otherwise(serving: Any) -> None:
    async with serving(ScriptedEngine(["A word or two."])) as bench:
        lines = lines_of(await bench.client.post("/api/chat", json=ASK))
        assert [line["message"]["content"] for line in lines] == ["A", " word", " or", " two.", ""]
        assert [line["done"] for line in lines] == [False] * 4 + [True]
        assert all(set(line) == {"model", "created_at", "message", "done"} for line in lines[:-1])
        assert all(line["model"] == "@omni/test" and line["message"]["role"] == "assistant" for line in lines)
        last = lines[-1]
        assert set(last) == {"model", "created_at", "message", "done", "done_reason"} | FIGURES
        assert all(type(last[name]) is int for name in FIGURES)
        assert (last["done_reason"], last["prompt_eval_count"], last["eval_count"]) == ("stop", 3, 4)
        whole = (await bench.client.post("/api/chat", json=ASK | {"stream": False})).json()
        assert whole["message"] == {"role": "assistant", "content": "A word or two."}
        assert set(whole) == set(last)
        assert whole["done"] is True


async def test_generate_says_the_same_in_its_own_field(serving: Any) -> None:
    engine = ScriptedEngine(["A word."])
    async with serving(engine) as bench:
        body = {"model": "@omni/test:latest", "prompt": "Hi", "system": "Be brief."}
        lines = lines_of(await bench.client.post("/api/generate", json=body))
        assert [line["response"] for line in lines] == ["A", " word.", ""]
        assert set(lines[-1]) == {"model", "created_at", "response", "done", "done_reason"} | FIGURES
        assert lines[-1]["model"] == "@omni/test:latest"
        assert [(m.role, m.text) for m in engine.requests[0].messages] == [("system", "Be brief."), ("user", "Hi")]
        raw = {"model": "@omni/test", "prompt": "def f(", "raw": True, "stream": False}
        assert (await bench.client.post("/api/generate", json=raw)).json()["response"] == "A word."
        filled = {"model": "@omni/test", "prompt": "def f(", "suffix": "\n", "stream": False}
        assert (await bench.client.post("/api/generate", json=filled)).json()["response"] == "A word."


async def test_what_is_thought_has_a_field_of_its_own(serving: Any) -> None:
    engine = ScriptedEngine([Reply(reasoning="Hm. Well.", text="Yes.")])
    async with serving(engine) as bench:
        lines = lines_of(await bench.client.post("/api/chat", json=ASK | {"think": True}))
        assert [line["message"].get("thinking") for line in lines] == ["Hm.", " Well.", None, None]
        for level, wanted in (("high", True), (False, False), (None, None)):
            body = {"model": "@omni/test", "prompt": "Hi", "stream": False, "think": level}
            generated = (await bench.client.post("/api/generate", json=body)).json()
            assert (generated["thinking"], generated["response"]) == ("Hm. Well.", "Yes.")
            assert engine.requests[-1].thinking is wanted
        assert (await bench.client.post("/api/chat", json=ASK | {"think": "a lot"})).status_code == 400
        bench.services.library.known = [brain("@omni/test", base=base())]
        refused = await bench.client.post("/api/chat", json=ASK | {"think": True})
        assert refused.status_code == 400
        assert refused.json()["error"].startswith('"@omni/test" does not support thinking')


async def test_calls_are_whole_and_their_arguments_objects(serving: Any) -> None:
    call = '{"name": "weather", "arguments": {"city": "Łódź"}}'
    engine = ScriptedEngine([call])
    async with serving(engine) as bench:
        for stream in (True, False):
            answer = await bench.client.post("/api/chat", json=ASK | {"tools": [WEATHER], "stream": stream})
            lines = lines_of(answer) if stream else [answer.json()]
            (tool_call,) = next(line["message"]["tool_calls"] for line in lines if "tool_calls" in line["message"])
            assert tool_call["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Łódź"}}
            assert tool_call["id"].startswith("call_")
            assert lines[-1]["done_reason"] == "stop"
        assert engine.requests[0].tools[0].parameters["required"] == ["city"]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        (None, "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "weather"}, "weather"),
        ({"type": "function", "function": {"name": "weather"}}, "weather"),
    ],
)
async def test_a_choice_of_tools_is_kept(serving: Any, choice: Any, wanted: str) -> None:
    engine = ScriptedEngine(['{"name": "weather", "arguments": {"city": "Rome"}}'])
    async with serving(engine) as bench:
        answer = await bench.client.post("/api/chat", json=ASK | {"tools": [WEATHER], "tool_choice": choice})
        assert answer.status_code == 200
        assert engine.requests[0].tool_choice == wanted
        assert ("tool_calls" in answer.text) == (choice != "none")


async def test_calls_without_ids_find_their_results(serving: Any) -> None:
    engine = ScriptedEngine()
    function = {"name": "weather", "arguments": {"city": "Rome"}}
    messages = [
        {"role": "user", "content": "Both?"},
        {
            "role": "assistant",
            "content": None,
            "thinking": "…",
            "tool_calls": [
                {"function": function},
                {"function": {"name": "time", "arguments": '{"zone": 1}'}},
                {"id": "mine", "function": function},
            ],
        },
        {"role": "tool", "content": "noon", "tool_name": "time"},
        {"role": "tool", "content": "sun", "tool_call_id": "mine"},
        {"role": "tool", "content": "rain"},
    ]
    async with serving(engine) as bench:
        await bench.client.post("/api/chat", json={"model": "@omni/test", "messages": messages, "stream": False})
    takes_all = Traits(users=True, later=True, first=True, calls="beside", several="together", after=True, empty=True)
    _, asked, *results = fitted(engine.requests[0].messages, takes_all)
    assert asked.calls == (
        ToolCallPart(id="call", name="weather", arguments='{"city": "Rome"}'),
        ToolCallPart(id="call_2", name="time", arguments='{"zone": 1}'),
        ToolCallPart(id="mine", name="weather", arguments='{"city": "Rome"}'),
    )
    assert results == [
        Message.of("tool", ToolResultPart.of("rain", call_id="call", name="weather")),
        Message.of("tool", ToolResultPart.of("noon", call_id="call_2", name="time")),
        Message.of("tool", ToolResultPart.of("sun", call_id="mine", name="weather")),
    ]


async def test_options_become_sampling(serving: Any) -> None:
    engine = ScriptedEngine()
    options = {
        "num_ctx": 1_000_000,
        "num_predict": 7.0,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "min_p": 0.1,
        "seed": 42,
        "stop": ["a", ""],
        "repeat_penalty": 1.1,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.3,
        "num_gpu": 99,
    }
    async with serving(engine) as bench:
        for format_, schema in (("json", {"type": "object"}), ({"type": "array"}, {"type": "array"}), ("", None)):
            await bench.client.post("/api/chat", json=ASK | {"options": options, "format": format_, "stream": False})
            assert engine.requests[-1].schema == schema
        assert msgspec.to_builtins(engine.requests[0].sampling) == {
            "temperature": 0.0,
            "top_p": 0.5,
            "top_k": 3,
            "min_p": 0.1,
            "seed": 42,
            "stop": ("a",),
            "repeat_penalty": 1.1,
            "presence_penalty": 0.2,
            "frequency_penalty": 0.3,
            "max_tokens": 7,
            "logit_bias": (),
        }
        for unlimited in (-1, -2, 0):
            await bench.client.post("/api/chat", json=ASK | {"options": {"num_predict": unlimited, "seed": -1}})
            assert engine.requests[-1].sampling.max_tokens > 1 << 20
            assert engine.requests[-1].sampling.seed is None


async def test_a_short_answer_says_that_it_was_cut(serving: Any) -> None:
    async with serving(ScriptedEngine(["one two three"])) as bench:
        body = ASK | {"options": {"num_predict": 2}, "stream": False}
        reply = (await bench.client.post("/api/chat", json=body)).json()
        assert (reply["message"]["content"], reply["done_reason"]) == ("one two", "length")


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("chat", {"messages": [{"role": "user", "content": "word " * 5000}]}, "4,096"),
        ("chat", ASK | {"model": ""}, "model"),
        ("chat", ASK | {"format": "xml"}, "format"),
        ("chat", ASK | {"options": {"top_k": 1.5}}, "top_k"),
        ("chat", ASK | {"options": {"temperature": "hot"}}, "temperature"),
        ("chat", ASK | {"options": {"stop": ["x"] * 65}}, "options.stop"),
        ("generate", {"prompt": "Hi", "options": {"stop": "x" * 1001}}, "options.stop"),
        ("chat", {"messages": [{"role": "user", "content": "Look", "images": ["aGk="]}]}, "cannot see"),
        ("chat", {"messages": [{"role": "nobody", "content": "Hi"}]}, "messages[0].role"),
        ("chat", ASK | {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]}, "object"),
        ("chat", ASK | {"tools": [WEATHER], "tool_choice": {"name": "wether"}}, "'wether'"),
        ("chat", ASK | {"tool_choice": "required"}, "names none"),
        ("chat", ASK | {"tools": [WEATHER], "tool_choice": "any"}, "tool_choice"),
        ("generate", {"prompt": "Hi", "template": "{{ .Prompt }}"}, "template"),
        ("generate", {"prompt": "Hi", "context": [1, 2]}, "context"),
        ("generate", {"prompt": "Hi", "raw": True, "system": "x"}, "system"),
        ("generate", {"prompt": "Hi", "images": ["aGk="]}, "cannot see"),
        ("embed", {"input": ["a", ""]}, "A text is empty"),
        ("embed", {"input": ["a"] * 2049}, "2048 texts"),
        ("embed", {"input": "a", "dimensions": 99}, "dimensions"),
        ("embed", {"input": 7}, "input"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_before_anything_else(
    serving: Any, path: str, body: dict[str, Any], words: str
) -> None:
    async with serving() as bench:
        answer = await bench.client.post(f"/api/{path}", json={"model": "@omni/test"} | body)
        assert answer.status_code == 400
        assert set(answer.json()) == {"error"}
        assert words in answer.json()["error"]
        assert bench.server.load() == (0, 0)


async def test_an_overflow_says_how_many_tokens_too_many(serving: Any) -> None:
    async with serving(ScriptedEngine(context=64)) as bench:
        body = {"model": "@omni/test", "messages": [{"role": "user", "content": "word " * 99}]}
        for path in ("/api/chat", "/v1/messages"):
            answer = await bench.client.post(path, json=body | {"max_tokens": 64})
            assert answer.status_code == 400
            assert "That is 53 tokens too many" in answer.text  # 101, and 16 for the answer


@pytest.mark.parametrize(("path", "field"), [("/api/nothing", ""), ("/v1/messages/batches", "type"), ("/v1/x", "code")])
async def test_a_path_that_is_not_there_is_said_in_the_words_of_its_protocol(
    serving: Any, path: str, field: str
) -> None:
    async with serving() as bench:
        answer = await bench.client.get(path)
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert field in error if field else isinstance(error, str)
        assert "Nothing answers to GET" in str(error)


async def test_unknown_models_list_the_known_ones(serving: Any) -> None:
    async with serving() as bench:
        for path in ("chat", "generate", "embed"):
            answer = await bench.client.post(
                f"/api/{path}", json=ASK | {"model": "llama3", "prompt": "a", "input": "a"}
            )
            assert answer.status_code == 404
            assert "Installed: @omni/test" in answer.json()["error"]


async def test_a_brain_that_cannot_fill_in_says_so(serving: Any) -> None:
    async with serving() as bench:
        bench.services.library.known = [brain("@omni/test", base=base())]
        answer = await bench.client.post("/api/generate", json={"model": "@omni/test", "prompt": "a", "suffix": "b"})
        assert answer.status_code == 400
        assert "does not support insert" in answer.json()["error"]


async def test_a_failure_in_mid_answer_is_the_last_line(serving: Any) -> None:
    reply = Reply(text="one two three", error=EngineError("It died.", hint="Ask again."), fail_after=1)
    async with serving(ScriptedEngine([reply])) as bench:
        lines = lines_of(await bench.client.post("/api/chat", json=ASK))
        assert lines[-1] == {"error": "It died. Ask again."}
        assert lines[0]["message"]["content"] == "one"
        whole = await bench.client.post("/api/chat", json=ASK | {"stream": False})
        assert (whole.status_code, whole.json()) == (500, {"error": "It died. Ask again."})


async def test_vectors(serving: Any) -> None:
    async with serving() as bench:
        embedded = (await bench.client.post("/api/embed", json={"model": "@omni/test", "input": ["a b", "c"]})).json()
        assert set(embedded) == {"model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"}
        assert [len(vector) for vector in embedded["embeddings"]] == [8, 8]
        assert embedded["prompt_eval_count"] == 3
        body = {"model": "@omni/test", "input": "a b", "dimensions": 3}
        (cut,) = (await bench.client.post("/api/embed", json=body)).json()["embeddings"]
        assert len(cut) == 3
        assert sum(value * value for value in cut) == pytest.approx(1)
        empty = (await bench.client.post("/api/embed", json={"model": "@omni/test", "input": ""})).json()
        assert empty["embeddings"] == []
        old = (await bench.client.post("/api/embeddings", json={"model": "@omni/test", "prompt": "a b"})).json()
        assert old == {"embedding": embedded["embeddings"][0]}


async def test_a_client_that_leaves_ends_its_answer(live: Any) -> None:
    gate = asyncio.Event()
    engine = ScriptedEngine([Reply(text="one two three", gates={1: gate})])
    async with live(engine) as bench, httpx.AsyncClient(base_url=bench.url) as client:
        async with client.stream("POST", "/api/chat", json=ASK) as answer:
            async for line in answer.aiter_lines():
                assert msgspec.json.decode(line)["message"]["content"] == "one"
                break
        await until(lambda: bench.server.load() == (0, 0))
        assert engine.cancelled == 1


async def test_a_quiet_brain_is_heard_as_an_empty_line(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from omni.server import streams

    monkeypatch.setattr(
        streams.Streamed.__init__, "__kwdefaults__", {**(streams.Streamed.__init__.__kwdefaults__ or {}), "every": 0.01}
    )
    gate = asyncio.Event()
    engine = ScriptedEngine([Reply(text="one", gates={0: gate})])
    async with live(engine) as bench, httpx.AsyncClient(base_url=bench.url) as client:
        lines = []
        async with client.stream("POST", "/api/chat", json=ASK) as answer:
            async for line in answer.aiter_lines():
                lines.append(msgspec.json.decode(line))
                gate.set()  # not before the brain was heard to be quiet
        assert len(lines) > 2
        assert lines[0] | {"created_at": ""} == {
            "model": "@omni/test",
            "created_at": "",
            "message": {"role": "assistant", "content": ""},
            "done": False,
        }
