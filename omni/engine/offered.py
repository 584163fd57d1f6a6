"""Tools as a template tells a brain of them, and as llama.cpp can make a grammar of them when the brain decides to call.

Its grammar is made of the same schema that the brain reads, and some keywords keep it busy without end. What it cannot
bear is left out here; a call that must be right is forced by Omni's own grammar, which keeps all of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omni.engine.types import Tool

MOST_PARTS = 4000  # of all tools together
MOST_OPTIONAL = 100  # properties of one object: the work grows with the third power
MOST_VALUES = 600
LONGEST = 200  # items or characters that are counted
_TOLD = ("title", "description", "default", "examples", "type", "enum", "const")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_FORMATS = ("date", "time", "date-time", "uuid")


def offered(tool: Tool) -> dict[str, Any]:
    """A tool as it goes to the worker."""
    parameters = _Offered(tool.parameters).part(tool.parameters)
    parameters.setdefault("type", "object")
    parameters.setdefault("properties", {})
    function = {"name": tool.name, "description": tool.description, "parameters": parameters}
    return {"type": "function", "function": function}


def easy(schema: Any) -> dict[str, Any]:
    """A schema without what llama.cpp's converter cannot bear."""
    return _Offered(schema if isinstance(schema, dict) else {}).part(schema)


def bearable(tools: Sequence[Tool]) -> bool:
    """Whether llama.cpp can make a grammar of tools without keeping everybody waiting."""
    parts = [part for tool in tools for part in _parts(tool.parameters)]
    return len(parts) <= MOST_PARTS and all(
        len(part.get("properties") or {}) - len(part.get("required") or ()) <= MOST_OPTIONAL
        and sum(len(part.get(key) or ()) for key in ("enum", "anyOf", "oneOf")) <= MOST_VALUES
        for part in parts
    )


def _parts(schema: Any) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    ahead = [schema]
    while ahead and len(parts) <= MOST_PARTS:
        part = ahead.pop()
        if isinstance(part, dict):
            parts.append(part)
            ahead += part.values()
        elif isinstance(part, list):
            ahead += part
    return parts


class _Offered:
    """What is left of the parameters of one tool."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._definitions = {
            f"#/{key}/{name}"
            for key in ("$defs", "definitions")
            if isinstance(root.get(key), Mapping)
            for name in root[key]
        }

    def part(self, schema: Any) -> dict[str, Any]:
        """One part: its words for the brain, and what is easily counted."""
        if not isinstance(schema, Mapping):
            return {}
        keywords: dict[str, Any] = {}
        for key, value in schema.items():
            if value is not None:
                self._keyword(keywords, key, value, whole=schema.get("type") == "integer")
        required = keywords.get("required")
        if isinstance(required, list) and ("properties" in keywords or keywords.get("type") == "object"):
            described = keywords.setdefault("properties", {})
            for name in required:
                described.setdefault(name, {})
        return keywords

    def _keyword(self, keywords: dict[str, Any], key: str, value: Any, *, whole: bool) -> None:
        match key:
            case "properties" | "$defs" | "definitions" if isinstance(value, Mapping):
                keywords[key] = {name: self.part(part) for name, part in value.items() if part is not False}
            case "anyOf" | "oneOf" if isinstance(value, list):
                keywords["anyOf"] = [self.part(part) for part in value if part is not False]
            case "allOf" if isinstance(value, list):
                self._join(keywords, [self.part(part) for part in value])
            case "items" | "prefixItems" if isinstance(value, list):
                keywords["prefixItems"] = [self.part(part) for part in value]
            case "items" | "additionalProperties" if isinstance(value, Mapping):
                keywords[key] = self.part(value)
            case "additionalProperties" if isinstance(value, bool):
                keywords[key] = value
            case "$ref":
                if value in self._definitions:
                    keywords[key] = value
            case "required":
                if isinstance(value, list):
                    keywords[key] = value
            case "format":
                if value in _FORMATS:
                    keywords[key] = value
            case _ if (
                key in _TOLD
                or (key in _COUNTS and isinstance(value, int) and value <= LONGEST)
                or (key in _BOUNDS and isinstance(value, int) and whole)
            ):
                keywords[key] = value

    def _join(self, keywords: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        """What must hold together, as one: properties of objects are put together, of all else the first word counts."""
        for part in parts:
            for key, value in part.items():
                if key == "properties":
                    keywords.setdefault(key, {}).update(value)
                elif key == "required":
                    keywords[key] = [*keywords.get(key, ()), *value]
                elif key != "$ref" or len(parts) == 1:
                    keywords.setdefault(key, value)
