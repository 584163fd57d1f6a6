"""What an answer is bound to as one JSON Schema, for engines that were built without LLGuidance: llama.cpp's own converter
makes a grammar of it. That one keeps less than Omni's, and now and then what was not meant: what it is busy with for ever is
left out (`offered`), and whether the answer follows is known by proof alone."""

from collections.abc import Mapping
from typing import Any

from omni.engine.offered import easy

SHARE = 8  # of the characters that an answer may have, for one text in it
SHORTEST = 4  # characters that a text may always have


def converted(
    schema: dict[str, Any] | None, tools: Mapping[str, dict[str, Any]], characters: int | None = None
) -> dict[str, Any]:
    """The schema of an answer that follows `schema`, or calls one of `tools` (parameters by name). With `characters`, of one
    that has about so many: texts and lists without an end fill what room there is."""
    made = _converted(schema, tools)
    return made if characters is None else _bounded(made, max(SHORTEST, characters // SHARE))


def _bounded(part: Any, most: int) -> Any:
    """A part whose texts have an end, and whose lists have."""
    if isinstance(part, list):
        return [_bounded(one, most) for one in part]
    if not isinstance(part, dict):
        return part
    bounded = {key: _bounded(value, most) for key, value in part.items()}
    match part.get("type"):
        case "string" if not {"enum", "const", "format"} & part.keys():
            bounded.setdefault("maxLength", max(most, part.get("minLength", 0)))
        case "array":
            bounded.setdefault("maxItems", max(SHORTEST, part.get("minItems", 0)))
    return bounded


def _converted(schema: dict[str, Any] | None, tools: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    if schema is not None and not tools:
        return easy(schema)
    parts = {f"answer{at}": easy(part) for at, part in enumerate([*tools.values(), *([schema] if schema else [])])}
    forms: list[dict[str, Any]] = [
        {
            "type": "object",
            "properties": {"name": {"const": name}, "arguments": {"$ref": f"#/$defs/answer{at}"}},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for at, name in enumerate(tools)
    ]
    if schema is not None:
        forms.append({"$ref": f"#/$defs/answer{len(tools)}"})
    definitions = {name: _moved(part, f"#/$defs/{name}") for name, part in parts.items()}
    return {**(forms[0] if len(forms) == 1 else {"anyOf": forms}), "$defs": definitions}


def _moved(part: Any, root: str) -> Any:
    """A part whose references are to what lies below `root` now."""
    if isinstance(part, list):
        return [_moved(one, root) for one in part]
    if not isinstance(part, dict):
        return part
    return {
        key: root + value[1:] if key == "$ref" and isinstance(value, str) else _moved(value, root)
        for key, value in part.items()
    }
