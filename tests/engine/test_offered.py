"""What of a tool goes to the engine that makes a grammar of its own, and when it is told in words instead."""

from typing import Any

from omni.engine import Tool
from omni.engine.offered import bearable, offered


def parameters(schema: dict[str, Any]) -> dict[str, Any]:
    offered_schema: dict[str, Any] = offered(Tool(name="x", parameters=schema))["function"]["parameters"]
    return offered_schema


def test_what_a_brain_reads_stays() -> None:
    schema = {
        "type": "object",
        "description": "Where to look.",
        "properties": {
            "city": {"type": "string", "description": "A city", "maxLength": 40, "examples": ["Oslo"]},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "unit": {"enum": ["c", "f"], "default": "c"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "node": {"$ref": "#/$defs/node"},
        },
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
    }
    offered_schema = parameters(schema)
    assert {key: value for key, value in offered_schema.items() if key != "$defs"} == {
        key: value for key, value in schema.items() if key != "$defs"
    }


def test_what_keeps_the_engine_busy_or_makes_it_give_up_is_left_out() -> None:
    offered_schema = parameters(
        {
            "properties": {
                "a": {"type": "string", "pattern": "^(a{1,900}){900}$", "maxLength": 100_000},
                "b": {"type": "array", "maxItems": 1_000_000, "uniqueItems": True},
                "c": {"type": "number", "minimum": 0.5},
                "d": False,
                "e": {"not": {"type": "string"}, "$ref": "#/nowhere"},
                "f": {"allOf": [{"properties": {"x": {}}}, {"properties": {"y": {}}, "required": ["y"]}]},
                "g": None,
            },
            "required": ["z"],
        }
    )
    assert offered_schema["properties"] == {
        "a": {"type": "string"},
        "b": {"type": "array"},
        "c": {"type": "number"},
        "e": {},
        "f": {"properties": {"x": {}, "y": {}}, "required": ["y"]},
        "g": {},
        "z": {},
    }


def test_a_tool_without_parameters_takes_an_object() -> None:
    assert parameters({}) == {"type": "object", "properties": {}}


def test_tools_that_would_keep_everybody_waiting_are_told_in_words() -> None:
    def optional(count: int) -> Tool:
        return Tool(name="x", parameters={"type": "object", "properties": {f"p{at}": {} for at in range(count)}})

    assert bearable(())
    assert bearable((optional(100),))
    assert not bearable((optional(101),))
    assert not bearable([Tool(name=f"t{at}", parameters={"enum": list(range(50))}) for at in range(5000)])
    assert not bearable((Tool(name="x", parameters={"properties": {"a": {"enum": list(range(601))}}}),))
