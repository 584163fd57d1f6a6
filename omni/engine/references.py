"""References within a JSON Schema, for schemas that become parts of others, and for what llama.cpp does not follow."""

from typing import Any

from omni.core.errors import UsageError
from omni.engine.schemas import DATA, parts_of, plain, pointed


def followable(schema: Any) -> Any:
    """`schema` made plain, and without references to the whole of it, which llama.cpp refuses: the whole becomes one of
    its definitions. Raises UsageError for a reference to nothing."""
    found = plain(schema)
    if not any(isinstance(part, dict) and part.get("$ref") == "#" for part in parts_of(found)):
        return found
    definitions: dict[str, Any] = {}
    try:
        whole = Hoisting(found, "r", definitions).whole()
    except RecursionError as error:
        raise UsageError("The parts of a schema refer to each other too often.", hint="Send a simpler one.") from error
    return {**whole, "$defs": definitions}


class Hoisting:
    """Makes a schema a part of another: what its references point at moves to the definitions at the other's root."""

    def __init__(self, schema: dict[str, Any], prefix: str, definitions: dict[str, Any]) -> None:
        self._root = schema or {"type": "object", "properties": {}}
        self._prefix, self._definitions = prefix, definitions
        self._names: dict[str, str] = {}

    def whole(self) -> Any:
        """The schema as the part that it becomes. Raises UsageError for a reference to nothing."""
        return self._moved(self._root)

    def _moved(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._moved(part) for part in schema]
        if not isinstance(schema, dict):
            return schema
        found: dict[str, Any] = {}
        for key, value in schema.items():
            if key in ("properties", "patternProperties") and isinstance(value, dict):
                found[key] = {name: self._moved(part) for name, part in value.items()}
            elif key in DATA:
                found[key] = value
            elif key not in ("$defs", "definitions", "$ref"):
                found[key] = self._moved(value)
        if isinstance(ref := schema.get("$ref"), str):
            found["$ref"] = f"#/$defs/{self._name(ref)}"
        return found

    def _name(self, ref: str) -> str:
        if ref not in self._names:
            name = self._names[ref] = f"{self._prefix}{len(self._names)}"
            try:
                self._definitions[name] = self._moved(pointed(self._root, ref))
            except (LookupError, TypeError) as error:
                raise UsageError(f"The schema of a tool refers to {ref!r}, which is not in it.") from error
        return self._names[ref]
