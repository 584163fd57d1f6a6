"""What an answer is bound to as one JSON Schema, for engines that were built without LLGuidance: llama.cpp's own converter
makes a grammar of it. That one keeps less than Omni's, and now and then what was not meant: what it is busy with for ever is
left out (`offered`), and whether the answer follows is known by proof alone."""

from collections.abc import Mapping
from typing import Any

from omni.engine.offered import easy


def converted(schema: dict[str, Any] | None, tools: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of an answer that follows `schema`, or calls one of `tools` (parameters by name)."""
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
