"""Twenty tools as different as those of real clients, each with a question; and whether a call of one is valid."""

import json
from typing import Any

import jsonschema_rs


def _object(required: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


TEXT = {"type": "string"}
VARIED: list[tuple[str, dict[str, Any], str]] = [
    ("get_weather", _object(city=TEXT), "What is the weather in Paris?"),
    ("get_time", {"type": "object", "properties": {}}, "What time is it?"),
    ("no_schema_at_all", {}, "Do it."),
    (
        "set_light",
        _object(room={"enum": ["kitchen", "hall"]}, on={"type": "boolean"}),
        "Switch on the light in the kitchen.",
    ),
    ("add", _object(a={"type": "integer"}, b={"type": "integer"}), "How much is 3 and 4?"),
    ("rate", _object(stars={"type": "integer", "minimum": 1, "maximum": 5}, text=TEXT), "Rate this film."),
    ("buy", _object(items={"type": "array", "items": TEXT, "minItems": 1}), "Buy milk and bread."),
    (
        "book_flight",
        _object(
            start=_object(city=TEXT, date={"type": "string", "format": "date"}),
            passengers={"type": "array", "items": _object(name=TEXT, age={"type": "integer"}), "maxItems": 3},
        ),
        "Book a flight from Rome on the 3rd of May 2025 for Ann, who is 30.",
    ),
    ("find", _object(["query"], query=TEXT, limit={"type": ["integer", "null"], "default": 10}), "Find the sea."),
    ("move", _object(by={"anyOf": [{"type": "number"}, _object(x={"type": "number"}, y={"type": "number"})]}), "Up!"),
    (
        "tree",
        {
            "$defs": {
                "node": _object(["name"], name=TEXT, children={"type": "array", "items": {"$ref": "#/$defs/node"}})
            },
            **_object(root={"$ref": "#/$defs/node"}),
        },
        "Make a tree with a root and two leaves.",
    ),
    ("label", _object(labels={"type": "object", "additionalProperties": TEXT}), "Label the box: colour red."),
    ("call_number", _object(number={"type": "string", "pattern": "^[0-9]{3}-[0-9]{4}$"}), "Call 555-1234."),
    ("name_it", _object(name={"type": "string", "minLength": 3, "maxLength": 12}), "Name the dog."),
    (
        "mcp__files__read-file",
        {"$schema": "http://json-schema.org/draft-07/schema#", **_object(path=TEXT)},
        "Read a.txt.",
    ),
    ("größe_messen", _object(länge={"type": "number"}, einheit={"enum": ["cm", "m"]}), "Miss 3 Meter."),
    ("choose", _object(kind={"const": "fast"}, level={"enum": [1, 2, 3, None]}), "Choose a fast one."),
    ("pair", _object(point={"type": "array", "prefixItems": [TEXT, {"type": "integer"}], "items": False}), "A and 1."),
    (
        "closed",
        {**_object(["a"], a=TEXT, b={"type": "boolean"}), "additionalProperties": False, "title": "Closed"},
        "Say a.",
    ),
    (
        "edit_file",
        _object(path=TEXT, edits={"type": "array", "items": _object(old=TEXT, new=TEXT)}),
        "In main.py replace `foo` by `bar`.",
    ),
]


def tools_of(*varied: tuple[str, dict[str, Any], str]) -> Any:
    """Tools as a request of any client holds them."""
    return [
        {"type": "function", "function": {"name": name, "description": f"Use it for: {question}", "parameters": schema}}
        for name, schema, question in varied
    ]


def fault_of(name: str, arguments: str) -> str:
    """What is wrong with a call of one of `VARIED`; "" when it is valid."""
    schema = next((schema for known, schema, _ in VARIED if known == name), None)
    if schema is None:
        return f"no tool has the name {name!r}"
    try:
        jsonschema_rs.validate(schema, json.loads(arguments))
    except (ValueError, jsonschema_rs.ValidationError) as error:
        return f"{arguments}: {error}"
    return ""
