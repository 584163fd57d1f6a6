"""Calls of tools in words: what a brain is told, what it may say, and what is read out of its answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.errors import UsageError
from omni.core.events import EngineEvent, ReasoningDelta, TextDelta, ToolCallDelta, TurnEnded, Usage
from omni.engine import ChatRequest, Message, Sampling, Tool, ToolCall
from omni.engine.bounded import bounded_schema, longest
from omni.engine.calling import CallReader, Cut, call_schema, told, written
from omni.engine.histories import fitted
from omni.engine.scripted import TRAITS

READ = Tool(name="read", parameters={"type": "object", "properties": {"path": {"type": "string"}}})
END = TurnEnded(reason="stop", usage=Usage())


def read(pieces: list[str], *, forced: bool = False, end: TurnEnded = END) -> list[EngineEvent]:
    reader = CallReader((READ,), forced=forced)
    events: list[EngineEvent] = [TextDelta(text=piece) for piece in pieces]
    return [found for event in [*events, end] for found in reader.read(event)]


def text_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "<tool_call>\n{}\n</tool_call>", "\n  {}\n"])
def test_an_answer_that_is_a_call_is_one(around: str) -> None:
    said = around.replace("{}", '{"name": "read", "arguments": {"path": "a.py"}}')
    first, second, end = read(list(said))
    assert isinstance(first, ToolCallDelta)
    assert isinstance(second, ToolCallDelta)
    assert (first.name, json.loads(second.arguments)) == ("read", {"path": "a.py"})
    assert isinstance(end, TurnEnded)
    assert end.reason == "tool_calls"


@pytest.mark.parametrize(
    "said",
    [
        "Hello.",
        '{"name": "remove", "arguments": {}}',
        '{"name": "read", "arguments": "all"}',
        '{"name": "read", "arguments": {}} is what I would do',
        '{"name": "read", "argu',
        "{",
        "<b>bold</b>",
        "``` ```",
        "",
    ],
)
def test_any_other_answer_is_the_text_that_it_is(said: str) -> None:
    events = read(list(said))
    assert text_of(events) == said
    assert events[-1] == END


@given(st.lists(st.text(st.sampled_from('{}"`<>ntol_call name:read,arguments \n')), max_size=12))
def test_no_character_is_lost(pieces: list[str]) -> None:
    events = read(pieces)
    if not any(isinstance(event, ToolCallDelta) for event in events):
        assert text_of(events) == "".join(pieces)


def test_text_streams_as_soon_as_it_is_known_to_be_text() -> None:
    reader = CallReader((READ,), forced=False)
    assert list(reader.read(ReasoningDelta(text="hm"))) == [ReasoningDelta(text="hm")]
    assert list(reader.read(TextDelta(text=" \n"))) == []
    assert list(reader.read(TextDelta(text="I "))) == [TextDelta(text=" \nI ")]
    assert list(reader.read(TextDelta(text="{"))) == [TextDelta(text="{")]


def test_a_forced_call_without_an_end_is_cut() -> None:
    with pytest.raises(Cut):
        read(
            ['{"name": "read", "arguments": {"path": "aaaa'], forced=True, end=TurnEnded(reason="length", usage=Usage())
        )


def test_tools_calls_and_results_become_words() -> None:
    request = ChatRequest(
        messages=(
            Message(role="system", content="Be brief."),
            Message(role="user", content="Read a.py"),
            Message(role="assistant", content="", calls=(ToolCall(id="1", name="read", arguments='{"path": "a.py"}'),)),
            Message(role="tool", content="x = 1", call_id="1"),
            Message(role="user", content="And?"),
        ),
        tools=(READ,),
    )
    said = told(request, template=False)
    messages = fitted(said.messages, TRAITS)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0].content.startswith("Be brief.\n\nYou can call these tools:")
    assert messages[2].content == written(request.messages[2].calls[0])
    assert messages[3].content == "The tool read returned:\nx = 1\n\nAnd?"
    assert not said.tools
    assert said.schema is None


def test_a_forced_call_is_a_schema_and_its_definitions_move_along() -> None:
    kind = {"$defs": {"Kind": {"enum": [1]}}, "type": "object", "properties": {"kind": {"$ref": "#/$defs/Kind"}}}
    schema = call_schema((READ, Tool(name="sort", parameters=kind)))
    assert [call["properties"]["name"] for call in schema["anyOf"]] == [{"const": "read"}, {"const": "sort"}]
    assert schema["anyOf"][1]["properties"]["arguments"]["properties"] == {"kind": {"$ref": "#/$defs/t1_0"}}
    assert schema["$defs"] == {"t1_0": {"enum": [1]}}


def test_references_are_followed_wherever_they_point() -> None:
    parameters = {
        "type": "object",
        "properties": {
            "definitions": {"type": "string"},
            "same": {"$ref": "#/properties/definitions"},
            "all": {"$ref": "#"},
        },
        "$defs": {"a/b": {"type": "integer"}},
        "anyOf": [{"$ref": "#/$defs/a~1b"}],
    }
    schema = call_schema((Tool(name="x", parameters=parameters),))
    found = schema["properties"]["arguments"]
    assert found["properties"] == {
        "definitions": {"type": "string"},
        "same": {"$ref": "#/$defs/t0_0"},
        "all": {"$ref": "#/$defs/t0_1"},
    }
    assert schema["$defs"]["t0_0"] == {"type": "string"}
    assert schema["$defs"]["t0_1"] == found
    assert schema["$defs"]["t0_2"] == {"type": "integer"}
    with pytest.raises(UsageError, match="not in it"):
        call_schema((Tool(name="x", parameters={"properties": {"a": {"$ref": "#/nowhere"}}}),))


def test_a_forced_call_that_is_not_as_wanted_is_asked_for_again() -> None:
    tool = Tool(name="x", parameters={"type": "object", "properties": {"a": {"type": "number", "maximum": 1}}})
    said = TextDelta(text='{"name": "x", "arguments": {"a": 7.5}}')
    strict = CallReader((tool,), forced=True, strict=True)
    assert list(strict.read(said)) == []
    with pytest.raises(Cut):
        list(strict.read(END))
    assert bounded_schema(call_schema((tool,)), 200)["properties"]["arguments"]["properties"]["a"] == {
        "type": "integer",
        "maximum": 1,
    }


NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["name"],
}


def bounded(parameters: Any, characters: int) -> Any:
    """The arguments of a call of a tool with these parameters, and the definitions that they use."""
    found = bounded_schema(call_schema((Tool(name="x", parameters=parameters),)), characters)
    return found["properties"]["arguments"], found.get("$defs", {})


def test_a_bounded_schema_ends() -> None:
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "short": {"type": "string", "maxLength": 3},
            "long": {"type": ["string", "null"], "minLength": 40, "maxLength": 10_000},
            "list": {"type": "array", "items": {"type": "string"}, "minItems": 6},
            "many": {"type": "array", "items": {"type": "integer"}, "maxItems": 1000},
            "pair": {"prefixItems": [{"type": "string"}, {"type": "integer"}]},
            "free": {"type": "object"},
            "any": {},
            "number": {"type": "integer"},
            "const": {"const": "c"},
        },
    }
    found = bounded(parameters, 1)[0]["properties"]
    assert found["text"]["maxLength"] == 8
    assert found["short"]["maxLength"] == 3
    assert [one["type"] for one in found["long"]["anyOf"]] == ["string", "null"]
    assert found["long"]["anyOf"][0]["maxLength"] == 40
    assert found["list"]["maxItems"] == 6
    assert found["many"] == {"const": []}
    assert found["pair"]["prefixItems"][0]["maxLength"] == 8
    assert bounded(parameters, 10_000)[0]["properties"]["many"]["maxItems"] == 4
    assert found["free"]["additionalProperties"] is False
    assert found["any"]["type"] == "string"
    assert found["number"] == {"type": "integer"}
    assert "maxLength" not in parameters["properties"]["text"]


@pytest.mark.parametrize("characters", [40_000, 4000, 1200, 400])
def test_what_holds_itself_comes_to_an_end(characters: int) -> None:
    tree = {"$defs": {"node": NODE}, "type": "object", "properties": {"root": {"$ref": "#/$defs/node"}}}
    schema = bounded_schema(call_schema((Tool(name="x", parameters=tree),)), characters)
    assert longest(schema) <= characters
    last = schema["$defs"][max(schema["$defs"])]
    assert last["properties"]["children"] == {"const": []}
    assert "$ref" not in json.dumps(last)


def test_of_what_holds_itself_only_what_can_end_is_left() -> None:
    def rule(*, back: bool) -> dict[str, Any]:
        either = {"anyOf": [{"$ref": "#/$defs/sum"}, *([] if back else [{"type": "integer"}])]}
        of = {"type": "object", "properties": {"of": either, "default": {"$ref": "#/$defs/sum"}}, "required": ["of"]}
        return {"$defs": {"sum": of}, "type": "object", "properties": {"sum": {"$ref": "#/$defs/sum"}}}

    arguments, definitions = bounded({**rule(back=False), "required": ["sum"]}, 1)
    assert arguments["properties"]["sum"]["$ref"].removeprefix("#/$defs/") in definitions
    assert [one["properties"] for one in definitions.values()] == [{"of": {"anyOf": [{"type": "integer"}]}}]
    arguments, definitions = bounded({**rule(back=True), "required": ["sum"]}, 1)
    assert definitions  # no value of it ends: it stays as it was
    arguments, definitions = bounded(rule(back=True), 1)
    assert arguments["properties"] == {}
    assert definitions == {}


def test_a_request_without_tools_stays_as_it_is() -> None:
    request = ChatRequest(messages=(Message(role="user", content="Hi"),), sampling=Sampling())
    assert told(request, template=False) is request
