"""Anthropic's messages: every event and field, and what is refused."""

import json
from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.core.messages import Message, ToolCallPart, ToolResultPart
from omni.engine import Reply, ScriptedEngine
from omni.server.anthropic.stops import Stops
from tests.server.server_tools import brain

ASK: dict[str, Any] = {"model": "@omni/test", "max_tokens": 100, "messages": [{"role": "user", "content": "one two"}]}
WEATHER = {
    "name": "weather",
    "description": "The weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CALL = '{"name": "weather", "arguments": {"city": "Rome"}}'


def events_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        event, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert events[-1]["type"] == event.removeprefix("event: ")
    return events


async def post(bench: Any, body: dict[str, Any], path: str = "/v1/messages") -> Any:
    return await bench.client.post(path, json=body)


async def test_a_whole_answer(serving: Any) -> None:
    async with serving(ScriptedEngine(["A word or two."])) as bench:
        message = (await post(bench, ASK)).json()
        assert message.pop("id").startswith("msg_")
        assert message == {
            "type": "message",
            "role": "assistant",
            "model": "@omni/test",
            "content": [{"type": "text", "text": "A word or two."}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {
                "input_tokens": 3,
                "output_tokens": 4,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
            },
        }
        again = (await post(bench, ASK)).json()["usage"]
        assert (again["input_tokens"], again["cache_read_input_tokens"]) == (1, 2)
        short = (await post(bench, ASK | {"max_tokens": 2})).json()
        assert (short["content"][0]["text"], short["stop_reason"]) == ("A word", "max_tokens")


async def test_a_stream(serving: Any) -> None:
    reply = Reply(reasoning="Hm.", text="A word.")
    async with serving(ScriptedEngine([reply])) as bench:
        body = ASK | {"stream": True, "thinking": {"type": "enabled", "budget_tokens": 1024}}
        start, *events = events_of(await post(bench, body))
        assert start["message"].pop("id").startswith("msg_")
        assert start["message"]["usage"]["input_tokens"] == 3
        assert (start["message"]["content"], start["message"]["stop_reason"]) == ([], None)
        thought, text = {"type": "thinking", "thinking": "", "signature": ""}, {"type": "text", "text": ""}
        assert events == [
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": thought},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "content_block_start", "index": 1, "content_block": text},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "A"}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": " word."}},
            {"type": "content_block_stop", "index": 1},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {
                    "input_tokens": 3,
                    "output_tokens": 3,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                },
            },
            {"type": "message_stop"},
        ]


async def test_reasoning_that_nobody_wants_is_not_sent(serving: Any) -> None:
    engine = ScriptedEngine([Reply(reasoning="Hm.", text="Yes.")])
    async with serving(engine) as bench:
        for thinking in (None, {"type": "disabled"}):
            message = (await post(bench, ASK | {"thinking": thinking})).json()
            assert message["content"] == [{"type": "text", "text": "Yes."}]
            assert engine.requests[-1].thinking is False
        message = (await post(bench, ASK | {"thinking": {"type": "adaptive"}})).json()
        assert message["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": ""}
        assert engine.requests[-1].thinking is True


@pytest.mark.parametrize("choice", [None, {"type": "auto"}, {"type": "any"}, {"type": "tool", "name": "weather"}])
async def test_calls(serving: Any, choice: dict[str, str] | None) -> None:
    engine = ScriptedEngine([CALL])
    async with serving(engine) as bench:
        body = ASK | {"tools": [WEATHER], "tool_choice": choice}
        message = (await post(bench, body)).json()
        (call,) = message["content"]
        assert call.pop("id").startswith("toolu_")
        assert call == {"type": "tool_use", "name": "weather", "input": {"city": "Rome"}}
        assert message["stop_reason"] == "tool_use"
        events = events_of(await post(bench, body | {"stream": True}))
        start = next(event for event in events if event["type"] == "content_block_start")
        assert start["content_block"] | {"id": ""} == {"type": "tool_use", "id": "", "name": "weather", "input": {}}
        pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
        assert json.loads("".join(pieces)) == {"city": "Rome"}
        assert events[-2]["delta"]["stop_reason"] == "tool_use"
        wanted = "auto" if choice is None or choice["type"] == "auto" else "required"
        assert engine.requests[-1].tool_choice == wanted


async def test_no_tool_may_be_called(serving: Any) -> None:
    async with serving(ScriptedEngine([CALL])) as bench:
        message = (await post(bench, ASK | {"tools": [WEATHER], "tool_choice": {"type": "none"}})).json()
        assert message["content"] == [{"type": "text", "text": CALL}]


async def test_text_before_a_call_is_a_block_of_its_own(serving: Any) -> None:
    from omni.core.events import PromptCounted, TextDelta, ToolCallDelta, TurnEnded, Usage

    class Calling(ScriptedEngine):
        async def chat(self, request: Any) -> Any:
            yield PromptCounted(tokens=1, max_completion_tokens=9, allocated=10)
            yield TextDelta(text="Let me see.")
            for at, city in enumerate(("Rome", "Oslo")):
                yield ToolCallDelta(index=at, id=f"call_{at}", name="weather")
                yield ToolCallDelta(index=at, arguments=json.dumps({"city": city}))
            yield TurnEnded(reason="tool_calls", usage=Usage())

    async with serving(Calling()) as bench:
        body = ASK | {"tools": [WEATHER]}
        message = (await post(bench, body)).json()
        assert message["content"] == [
            {"type": "text", "text": "Let me see."},
            {"type": "tool_use", "id": "toolu_call_0", "name": "weather", "input": {"city": "Rome"}},
            {"type": "tool_use", "id": "toolu_call_1", "name": "weather", "input": {"city": "Oslo"}},
        ]
        events = events_of(await post(bench, body | {"stream": True}))
        order = [(event["type"], event["index"]) for event in events if "index" in event]
        assert [index for _, index in order] == sorted(index for _, index in order)
        assert [kind for kind, index in order if index == 1] == [
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
        ]
        ollama = {"model": "@omni/test", "messages": ASK["messages"], "stream": False}
        calls = (await post(bench, ollama, "/api/chat")).json()["message"]["tool_calls"]
        assert [call["function"]["arguments"] for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
        assert [call["function"]["index"] for call in calls] == [0, 1]


async def test_a_conversation_as_engines_know_it(serving: Any) -> None:
    engine = ScriptedEngine()
    body = ASK | {
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=12ab3;"},
            {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
        ],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Both?"}, {"type": "text", "text": "Please."}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "Let me see."},
                    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}},
                    {"type": "tool_use", "id": "toolu_2", "name": "time", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "sun"}]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no clock", "is_error": True},
                    {"type": "tool_result", "tool_use_id": "toolu_3"},
                    {"type": "text", "text": "And now?"},
                ],
            },
            {"role": "assistant", "content": "It is"},
        ],
    }
    async with serving(engine) as bench:
        await post(bench, body)
        counted = (await post(bench, body | {"tools": [WEATHER]}, "/v1/messages/count_tokens")).json()
        generated = (await post(bench, body | {"tools": [WEATHER]})).json()["usage"]
        assert counted == {"input_tokens": generated["input_tokens"] + generated["cache_read_input_tokens"]}
    rome = ToolCallPart(id="toolu_1", name="weather", arguments='{"city": "Rome"}')
    assert engine.requests[0].messages == (
        Message.of("system", "Be brief."),
        Message.of("user", "Both?\n\nPlease."),
        Message.of("assistant", "Let me see.", rome, ToolCallPart(id="toolu_2", name="time")),
        Message.of("tool", ToolResultPart.of("sun", call_id="toolu_1")),
        Message.of("tool", ToolResultPart.of("Error: no clock", call_id="toolu_2")),
        Message.of("tool", ToolResultPart.of(call_id="toolu_3")),
        Message.of("user", "And now?"),
        Message.of("assistant", "It is"),
    )


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stop_sequence_is_named_and_not_sent(serving: Any, stream: bool) -> None:
    async with serving(ScriptedEngine(["one two three four"])) as bench:
        body = ASK | {"stop_sequences": ["o thr", "never"], "stream": stream}
        answer = await post(bench, body)
        if stream:
            events = events_of(answer)
            text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
            end = events[-2]["delta"] | {"usage": events[-2]["usage"]}
        else:
            end = answer.json()
            text = end["content"][0]["text"]
        assert text == "one tw"
        assert (end["stop_reason"], end["stop_sequence"]) == ("stop_sequence", "o thr")
        assert end["usage"]["output_tokens"] == 3
        assert bench.server.load() == (0, 0)
        assert 'kind="answer"} 3' in bench.server.metrics.text(running=0, queued=0)
        whole = (await post(bench, ASK | {"stop_sequences": ["four!"]})).json()
        assert whole["content"][0]["text"] == "one two three four"
        assert whole["stop_reason"] == "end_turn"


def test_stops_hold_back_only_what_may_be_one() -> None:
    stops = Stops(["END", "EN"])
    assert [stops.read(text) for text in ("a E", "x ", "E", "N", "D")] == ["a ", "Ex ", "", "", ""]
    assert stops.sequence == "EN"
    plain = Stops(["</s>"])
    assert [plain.read("a<"), plain.read("/b"), plain.read("<"), plain.rest()] == ["a", "</b", "", "<"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "word " * 5000}]}, "4,096"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]}, "cannot see"),
        ({"messages": [{"role": "user", "content": [{"type": "document", "source": {}}]}]}, "cannot open files"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "hologram"),
        ({"messages": [{"role": "nobody", "content": "Hi"}]}, "messages[0].role"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}], "tool_choice": {"type": "any"}}, "none of the request's"),
        ({"tool_choice": {"type": "any"}}, "names none"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "wether"}}, "weather"),
        ({"temperature": -1}, "temperature"),
        ({"stop_sequences": ["x"] * 65}, "stop_sequences"),
        ({"stop_sequences": ["x" * 1001]}, "stop_sequences"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said_before_anything_else(serving: Any, change: dict[str, Any], words: str) -> None:
    async with serving() as bench:
        body = {key: value for key, value in (ASK | {"stream": True} | change).items() if value is not None}
        answer = await post(bench, body)
        assert answer.status_code == 400
        error = answer.json()
        assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
        assert words in error["error"]["message"]
        assert bench.server.load() == (0, 0)


async def test_other_failures_have_their_own_types(serving: Any) -> None:
    reply = Reply(text="one two three", error=EngineError("It died."), fail_after=1)
    async with serving(ScriptedEngine([reply])) as bench:
        bench.services.library.known = [brain("@omni/test")]
        missing = await post(bench, ASK | {"model": "claude"})
        assert (missing.status_code, missing.json()["error"]["type"]) == (404, "not_found_error")
        died = await post(bench, ASK)
        assert (died.status_code, died.json()["error"]) == (500, {"type": "api_error", "message": "It died."})
        last = events_of(await post(bench, ASK | {"stream": True}))[-1]
        assert last == {"type": "error", "error": {"type": "api_error", "message": "It died."}}
        bench.services.set("engine", slots=1)
        bench.services.set("serve", queue=0)
        with bench.server.places_of(brain("@omni/test")).enter("else"):
            busy = await post(bench, ASK)
        assert (busy.status_code, busy.json()["error"]["type"]) == (429, "rate_limit_error")
        assert busy.headers["retry-after"]
