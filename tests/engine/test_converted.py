"""What an answer is bound to as one schema, for engines without our grammars."""

import json

import msgspec

from omni.engine.converted import converted
from omni.schemas import compile_schema

PLACE = {"type": "object", "properties": {"city": {"$ref": "#/$defs/Name"}}, "$defs": {"Name": {"type": "string"}}}
ADD = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def test_a_call_of_any_tool_follows_and_nothing_else() -> None:
    schema = compile_schema(converted(None, {"place": PLACE, "add": ADD}))
    for good in ('{"name": "place", "arguments": {"city": "Oslo"}}', '{"name": "add", "arguments": {"a": 1}}'):
        assert schema.fault_of(good) is None
    for bad in (
        '{"name": "other", "arguments": {}}',
        '{"name": "add", "arguments": {}}',
        '{"name": "place", "arguments": {"city": 3}}',
        '{"city": "Oslo"}',
    ):
        assert schema.fault_of(bad) is not None, bad


def test_one_tool_and_a_schema_are_either() -> None:
    schema = compile_schema(converted(PLACE, {"add": ADD}))
    assert schema.fault_of('{"city": "Oslo"}') is None
    assert schema.fault_of('{"name": "add", "arguments": {"a": 1}}') is None


def test_what_the_converter_cannot_bear_is_left_out() -> None:
    heavy = {"type": "object", "properties": {"x": {"type": "string", "pattern": "(a+)+$"}}, "not": {"required": ["y"]}}
    text = json.dumps(converted(heavy, {}))
    assert "pattern" not in text
    assert '"not"' not in text


def test_with_little_room_texts_and_lists_have_an_end() -> None:
    open_ended = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "long": {"type": "string", "minLength": 90},
            "unit": {"type": "string", "enum": ["c"]},
            "all": {"type": "array", "items": {"type": "string"}},
        },
    }
    properties = converted(open_ended, {}, 80)["properties"]
    assert properties["name"]["maxLength"] == 10
    assert properties["long"]["maxLength"] == 90
    assert "maxLength" not in properties["unit"]
    assert properties["all"]["maxItems"] == 4
    assert properties["all"]["items"]["maxLength"] == 10
    assert "maxLength" not in msgspec.json.encode(converted(open_ended, {})).decode().replace('"minLength"', "")
