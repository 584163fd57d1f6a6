"""Schemas and calls as clients of every protocol meet them: what is refused, what follows, what is called, and what is said
when no answer follows."""

import json
from typing import Any

import pytest

from omni.engine import Reply, ScriptedEngine
from omni.server.schemas import unkept
from tests.server.openai_tools import CALL, TOOL, USER

NAMED = {"type": "object", "properties": {"name": {"type": "string"}, "a": {"type": "integer"}}, "required": ["name"]}
LOOSE: dict[str, Any] = {"type": "object", "properties": {"tags": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}}, "required": ["tags"]}  # fmt: skip
NEVER = {"type": "object", "properties": {"a": {"type": "string", "minLength": 3, "maxLength": 2}}, "required": ["a"]}
FEW, MANY = '{"tags": {"x": 1}}', '{"tags": {"x": 1, "y": 2}}'
SAID = '{"name": "read"}'
TRIAL = '{"a": 1}'  # what a worker says first under a grammar: Omni tries there how its template frames an answer
WHERE = {
    "/v1/chat/completions": "response_format.json_schema.schema",
    "/v1/responses": "text.format.schema",
    "/v1/messages": "output_config.format.schema",
    "/api/chat": "format",
    "/api/generate": "format",
}
CHATS = ("/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat")
PARAMETERS = TOOL["function"]["parameters"]


def asking(path: str, schema: Any = None, *, stream: bool = False, **more: Any) -> dict[str, Any]:
    """A request to `path`, with a schema where one is given."""
    form = {"type": "json_schema", "name": "x", "schema": schema}
    body: dict[str, Any] = {"model": "@omni/test", "stream": stream}
    match path:
        case "/v1/chat/completions":
            body |= {"messages": USER, "response_format": {"type": "json_schema", "json_schema": form}}
        case "/v1/responses":
            body |= {"input": "Hi", "text": {"format": form}}
        case "/v1/messages":
            body |= {"messages": USER, "max_tokens": 500, "output_config": {"format": form}}
        case "/api/chat":
            body |= {"messages": USER, "format": schema}
        case _:
            body |= {"prompt": "Hi", "format": schema}
    if schema is None:
        for name in ("response_format", "text", "output_config", "format"):
            body.pop(name, None)
    return body | more


def tool(path: str, name: str = "read", parameters: Any = PARAMETERS) -> dict[str, Any]:
    match path:
        case "/v1/responses":
            return {"type": "function", "name": name, "parameters": parameters}
        case "/v1/messages":
            return {"name": name, "input_schema": parameters}
        case _:
            return {"type": "function", "function": {"name": name, "parameters": parameters}}


def meant(path: str, body: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """The text, the calls and the end of an answer."""
    match path:
        case "/v1/chat/completions":
            (choice,) = body["choices"]
            called = [one["function"] for one in choice["message"].get("tool_calls") or ()]
            calls = [(one["name"], json.loads(one["arguments"])) for one in called]
            return choice["message"]["content"] or "", calls, choice["finish_reason"]
        case "/v1/responses":
            texts = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
            called = [item for item in body["output"] if item["type"] == "function_call"]
            calls = [(one["name"], json.loads(one["arguments"])) for one in called]
            return "".join(texts), calls, body["status"]
        case "/v1/messages":
            text = "".join(one["text"] for one in body["content"] if one["type"] == "text")
            return (
                text,
                [(one["name"], one["input"]) for one in body["content"] if one["type"] == "tool_use"],
                body["stop_reason"],
            )
        case "/api/chat":
            called = [one["function"] for one in body["message"].get("tool_calls") or ()]
            return body["message"]["content"], [(one["name"], one["arguments"]) for one in called], body["done_reason"]
        case _:
            return body["response"], [], body["done_reason"]


def failure(body: Any) -> str:
    error = body["error"]
    return str(error if isinstance(error, str) else error["message"])


@pytest.mark.parametrize("path", WHERE)
async def test_a_schema_that_nothing_follows_is_refused_before_anything_is_computed(serving: Any, path: str) -> None:
    engine = ScriptedEngine(["{}"])
    async with serving(engine) as bench:
        for stream in (False, True):
            response = await bench.client.post(path, json=asking(path, NEVER, stream=stream))
            assert response.status_code == 400
            said = "Nothing can be as the schema says: `maxLength` at #/properties/a is 2, and `minLength` at #/properties/a is 3."
            assert failure(response.json()).startswith(said)
            if path.startswith("/v1/") and path != "/v1/messages":
                assert response.json()["error"]["param"] == WHERE[path]
    assert engine.requests == []


@pytest.mark.parametrize("path", WHERE)
async def test_an_answer_that_does_not_follow_is_asked_for_again(over: Any, path: str) -> None:
    async with over(bound=f"{TRIAL}\n{FEW}\n{FEW}\n{MANY}") as bench:
        response = await bench.client.post(path, json=asking(path, LOOSE))
        assert (response.status_code, meant(path, response.json())[0]) == (200, MANY)
        assert "x-omni-schema-not-kept" not in response.headers


@pytest.mark.parametrize("path", WHERE)
async def test_after_three_tries_it_is_a_500_that_names_the_keyword_and_its_place(over: Any, path: str) -> None:
    said = "The brain's answer does not follow the schema: `minProperties` at #/properties/tags is not kept, since at #/tags of the answer"
    async with over(bound=f"{TRIAL}\n{FEW}\n{FEW}\n{FEW}\n{MANY}") as bench:
        response = await bench.client.post(path, json=asking(path, LOOSE))
        assert response.status_code == 500
        assert failure(response.json()).startswith(said)
        assert response.headers["x-should-retry"] == "false"  # that has been done
        assert bench.server.load() == (0, 0)
    async with over(bound=FEW) as bench:
        response = await bench.client.post(path, json=asking(path, LOOSE, stream=True))
        assert said in response.text
        assert '"tags' not in response.text.replace(r"\"", '"')


async def test_a_text_without_a_template_is_asked_for_once(over: Any) -> None:
    async with over(bound=f"{FEW}\n{MANY}") as bench:
        body = {"model": "@omni/test", "prompt": "Hi", "raw": True, "stream": False, "format": LOOSE}
        response = await bench.client.post("/api/generate", json=body)
        assert response.status_code == 500
        assert "`minProperties` at #/properties/tags" in failure(response.json())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_who_wants_no_strictness_is_told_what_may_not_be_kept(over: Any, path: str) -> None:
    def loosely(schema: Any, *, stream: bool) -> dict[str, Any]:
        body = asking(path, schema, stream=stream)
        form = body["text"]["format"] if path == "/v1/responses" else body["response_format"]["json_schema"]
        form["strict"] = False
        return body

    async with over(bound=FEW) as bench:
        for stream in (False, True):
            response = await bench.client.post(path, json=loosely(LOOSE, stream=stream))
            assert response.status_code == 200
            assert response.headers["x-omni-schema-not-kept"] == "minProperties at #/properties/tags"
        if path == "/v1/chat/completions":  # the schema beside the type, as in the other's form
            flat = {"type": "json_schema", "schema": LOOSE, "strict": False}
            response = await bench.client.post(path, json=asking(path) | {"response_format": flat})
            assert response.headers["x-omni-schema-not-kept"] == "minProperties at #/properties/tags"
        response = await bench.client.post(path, json=loosely({"type": "object"}, stream=False))
        assert (response.status_code, "x-omni-schema-not-kept" in response.headers) == (200, False)


def test_a_header_that_would_be_long_says_how_much_it_leaves_out() -> None:
    tags = {f"tag\u00e9{at}": LOOSE["properties"]["tags"] for at in range(90)}
    (told,) = unkept({"type": "object", "properties": tags}).values()
    named, _, rest = told.rpartition(", and ")
    assert len(told) < 1020
    assert named.count("minProperties at #/properties/tag\\xe9") + int(rest.removesuffix(" more")) == 90


@pytest.mark.parametrize("path", WHERE)
async def test_what_a_list_holds_twice_is_left_out(serving: Any, path: str) -> None:
    unique = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    async with serving(ScriptedEngine(['["a", "b", "a"]'])) as bench:
        answer = (await bench.client.post(path, json=asking(path, unique))).json()
        assert json.loads(meant(path, answer)[0]) == ["a", "b"]


@pytest.mark.parametrize("path", WHERE)
async def test_an_answer_that_is_cut_says_so_and_is_not_said_to_follow(serving: Any, path: str) -> None:
    limits: dict[str, dict[str, Any]] = {
        "/v1/responses": {"max_output_tokens": 1},
        "/api/chat": {"options": {"num_predict": 1}},
        "/api/generate": {"options": {"num_predict": 1}},
    }
    limit = limits.get(path, {"max_tokens": 1})
    ends = {"/v1/responses": "incomplete", "/v1/messages": "max_tokens"}
    async with serving(ScriptedEngine([SAID])) as bench:
        for schema in (NAMED, LOOSE):
            response = await bench.client.post(path, json=asking(path, schema, **limit))
            assert response.status_code == 200
            assert meant(path, response.json()) == ('{"name":', [], ends.get(path, "length"))


async def test_a_stop_text_cuts_no_answer_in_a_form(serving: Any) -> None:
    async with serving(ScriptedEngine([SAID])) as bench:
        answer = (
            await bench.client.post("/v1/messages", json=asking("/v1/messages", NAMED, stop_sequences=["read"]))
        ).json()
        assert (meant("/v1/messages", answer)[0], answer["stop_reason"]) == (SAID, "end_turn")
        free = (await bench.client.post("/v1/messages", json=asking("/v1/messages", stop_sequences=["read"]))).json()
        assert (meant("/v1/messages", free)[0], free["stop_reason"]) == ('{"name": "', "stop_sequence")


async def test_a_brain_thinks_first_and_then_answers_by_the_schema(serving: Any) -> None:
    async with serving(ScriptedEngine([Reply(text=SAID, reasoning="Hm. {no} schema here.")])) as bench:
        answer = (await bench.client.post("/v1/chat/completions", json=asking("/v1/chat/completions", NAMED))).json()
        message = answer["choices"][0]["message"]
        assert (message["reasoning_content"], message["content"]) == ("Hm. {no} schema here.", SAID)


async def test_the_brain_is_not_told_of_the_schema(serving: Any) -> None:
    async with serving(ScriptedEngine([SAID])) as bench:
        paths = "/v1/chat/completions"
        counts = [
            (await bench.client.post(paths, json=asking(paths, schema))).json()["usage"]["prompt_tokens"]
            for schema in (None, NAMED)
        ]
        assert counts[0] == counts[1]


# -- calls


@pytest.mark.parametrize("path", CHATS)
async def test_a_call_is_read_wherever_it_stands(serving: Any, path: str) -> None:
    call = ("read", {"path": "a.py"})
    text_of_arguments = CALL.replace('{"path": "a.py"}', r'"{\"path\": \"a.py\"}"')
    async with serving(ScriptedEngine()) as bench:
        for said, text, calls in (
            (f"Let me look.\n{CALL}", "Let me look.\n", [call]),
            (f"```json\n{CALL}\n```", "", [call]),
            (f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>", "", [call, call]),
            (f"[{CALL}, {CALL}]", "", [call, call]),
            (text_of_arguments, "", [call]),
            ('{"name": "read"}', "", [("read", {})]),
            ('{"name": "remove", "arguments": {}}', '{"name": "remove", "arguments": {}}', []),
            ('{"name": "read", "age": 3}', '{"name": "read", "age": 3}', []),
            (CALL.replace('"a.py"', "7"), "", [("read", {"path": 7})]),  # nobody checks it
        ):
            bench.services.engine = ScriptedEngine([said])
            answer = (await bench.client.post(path, json=asking(path, tools=[tool(path)]))).json()
            assert meant(path, answer)[:2] == (text, calls), said


@pytest.mark.parametrize("path", CHATS[:3])
async def test_who_wants_one_call_gets_the_first(serving: Any, path: str) -> None:
    alone: dict[str, Any] = {"parallel_tool_calls": False}
    if path == "/v1/messages":
        alone = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    other = CALL.replace("a.py", "b.py")
    async with serving(ScriptedEngine([f"{CALL}\n{other}"])) as bench:
        answer = (await bench.client.post(path, json=asking(path, tools=[tool(path)], **alone))).json()
        assert meant(path, answer)[1] == [("read", {"path": "a.py"})]
        both = (await bench.client.post(path, json=asking(path, tools=[tool(path)]))).json()
        assert [given["path"] for _, given in meant(path, both)[1]] == ["a.py", "b.py"]


@pytest.mark.parametrize("path", CHATS)
async def test_with_tools_and_a_schema_the_brain_calls_or_answers(serving: Any, path: str) -> None:
    async with serving(ScriptedEngine([f"<tool_call>{CALL}</tool_call>", SAID])) as bench:
        body = asking(path, NAMED, tools=[tool(path)])
        text, calls, end = meant(path, (await bench.client.post(path, json=body)).json())
        assert (text, calls) == ("", [("read", {"path": "a.py"})])
        assert end in ("tool_calls", "tool_use", "completed", "stop")
        assert meant(path, (await bench.client.post(path, json=body)).json())[:2] == (SAID, [])


async def test_a_forced_call_leaves_no_room_for_the_schema_and_none_no_room_for_calls(serving: Any) -> None:
    path = CHATS[0]
    async with serving(ScriptedEngine([CALL, SAID])) as bench:
        for choice, expected in (("required", ("", [("read", {"path": "a.py"})])), ("none", (SAID, []))):
            body = asking(path, NAMED, tools=[tool(path)], tool_choice=choice)
            assert meant(path, (await bench.client.post(path, json=body)).json())[:2] == expected


@pytest.mark.parametrize("path", CHATS)
async def test_two_tools_of_one_name_are_refused(serving: Any, path: str) -> None:
    async with serving() as bench:
        response = await bench.client.post(path, json=asking(path, tools=[tool(path), tool(path)]))
        assert response.status_code == 400
        assert failure(response.json()).startswith("Two tools are named 'read': nobody could tell which one is called.")


@pytest.mark.parametrize("path", CHATS)
async def test_parameters_that_nothing_follows_are_refused_though_nobody_must_call(serving: Any, path: str) -> None:
    async with serving() as bench:
        for wrong, said in (
            (NEVER, "`maxLength` at #/properties/a is 2"),
            (
                {"type": "object", "properties": {"a": {"$ref": "https://example.com/a"}}},
                "`$ref` at #/properties/a leads out of the schema",
            ),
            ({"type": "array"}, "The arguments of a tool are an object."),
        ):
            response = await bench.client.post(path, json=asking(path, tools=[tool(path, parameters=wrong)]))
            assert response.status_code == 400
            assert said in failure(response.json())


async def test_a_call_that_must_come_is_asked_for_three_times(over: Any) -> None:
    path = CHATS[0]
    wrong = CALL.replace('"a.py"', "7")
    body = asking(path, tools=[tool(path)], tool_choice="required")
    async with over(bound=f"{TRIAL}\n{wrong}\n{wrong}\n{CALL}") as bench:
        response = await bench.client.post(path, json=body)
        assert meant(path, response.json()) == ("", [("read", {"path": "a.py"})], "tool_calls")
    async with over(bound=f"{TRIAL}\n{wrong}\n{wrong}\n{wrong}\n{CALL}") as bench:
        response = await bench.client.post(path, json=body)
        assert response.status_code == 500
        assert "`type` at #/properties/path is not kept" in failure(response.json())
    cut = CALL[:-3]
    async with over(bound=f"{TRIAL}\n{cut}\n{cut}\n{cut}\n{CALL}") as bench:
        response = await bench.client.post(path, json=body)
        assert response.status_code == 400
        assert "did not finish its call" in failure(response.json())
