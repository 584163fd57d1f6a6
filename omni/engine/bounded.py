"""Schemas none of whose values is long: for a forced call that has to be whole within its tokens."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from omni.engine.schemas import DATA, whole_numbers

Schema = dict[str, Any]

_UNIONS = ("anyOf", "oneOf")
_DEEPEST = 12  # a definition that holds itself, at least so often, holds itself for ever
_NUMBER = 20  # characters of the longest number that a grammar admits, about
_PATTERN = 40  # and of what a pattern or a format admits
_SPACE = 2  # around every part


class _Bounds(NamedTuple):
    text: int  # characters
    items: int
    deeper: int  # than a definition that holds itself must


_LADDER = (
    _Bounds(10_000, 8, 2),
    _Bounds(4000, 8, 2),
    _Bounds(1500, 4, 2),
    _Bounds(500, 4, 2),
    _Bounds(120, 4, 1),
    _Bounds(60, 3, 1),
    _Bounds(30, 2, 1),
    _Bounds(12, 1, 0),
)
_LAST = _Bounds(8, 0, 0)


def bounded_schema(schema: Schema, characters: int) -> Schema:
    """The same with an end to every text, list, object and recursion, so that the JSON of a value has about so many
    characters at most; where no value is that short, with the nearest ends. Fractions with bounds become whole
    numbers, which a grammar keeps to. A schema whose values have no end at all stays without one."""
    schema = whole_numbers(schema)
    deep = next((deep for deep in range(_DEEPEST) if _Bounding(schema, _LAST, deep).whole() is not None), None)
    if deep is None:
        return schema
    found = schema
    for bounds in (*_LADDER, _LAST):
        found = _Bounding(schema, bounds, deep).whole() or schema
        if longest(found) <= characters:
            break
    return found


def longest(schema: Schema) -> int:
    """About how many characters the JSON of the longest value has that a bounded schema admits."""
    definitions: Schema = schema.get("$defs", {})
    known: dict[str, int] = {}

    def of_ref(ref: str) -> int:
        if ref not in known:
            known[ref] = of(definitions.get(ref.removeprefix("#/$defs/"), {}))
        return known[ref]

    def of(part: Schema) -> int:
        if "$ref" in part:
            return of_ref(part["$ref"])
        if (values := _values(part)) is not None:
            return max((len(json.dumps(value)) for value in values), default=0)
        for key in _UNIONS:
            if part.get(key):
                return max(map(of, part[key]))
        whole = sum(map(of, part.get("allOf", ())))
        match part.get("type"):
            case "object":
                return (
                    whole
                    + 2
                    + sum(len(name) + 4 + _SPACE + of(one) for name, one in part.get("properties", {}).items())
                )
            case "array":
                first = part.get("prefixItems", [])
                more = max(0, part.get("maxItems", len(first)) - len(first))
                rest = of(part.get("items", {})) + _SPACE if more else 0
                return whole + 2 + sum(of(one) + _SPACE for one in first) + int(more * rest)
            case "string":
                return whole + 2 + int(part.get("maxLength", _PATTERN))
            case _:
                return whole or _NUMBER

    return of(schema)


class _Bounding:
    """Builds a schema with ends. A part is None when no value is short enough for it."""

    def __init__(self, schema: Schema, bounds: _Bounds, deep: int) -> None:
        self._schema, self._bounds, self._deep = schema, bounds, deep + bounds.deeper
        self._given: Schema = schema.get("$defs", {})
        self._recursive = {name for name in self._given if name in _reached(name, self._given)}
        self._made: dict[str, Schema | None] = {}

    def whole(self) -> Schema | None:
        """The schema, its definitions once for every level."""
        found = self._part({key: value for key, value in self._schema.items() if key != "$defs"}, 0)
        definitions = {name: made for name, made in self._made.items() if made is not None}
        return found if found is None or not definitions else {**found, "$defs": definitions}

    def _part(self, schema: Schema, level: int) -> Schema | None:
        if isinstance(ref := schema.get("$ref"), str):
            return self._referred(ref.removeprefix("#/$defs/"), level)
        if _values(schema) is not None:
            return schema
        if isinstance(kinds := schema.get("type"), list):
            return self._part({"anyOf": [{**schema, "type": kind} for kind in kinds]}, level)
        found: Schema | None = dict(schema)
        for key in ("anyOf", "oneOf", "allOf"):
            if found is not None and key in schema:
                found = self._joined(found, key, level)
        if found is None or any(key in schema for key in ("anyOf", "oneOf", "allOf")):
            return found
        return self._bounder(schema)(found, level)

    def _bounder(self, schema: Schema) -> Callable[[Schema, int], Schema | None]:
        kind = schema.get("type")
        if kind == "object" or (kind is None and "properties" in schema):
            return self._object
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return self._array
        return self._text if kind in ("string", None) else lambda found, _: found

    def _referred(self, name: str, level: int) -> Schema | None:
        level += name in self._recursive
        if level > self._deep or name not in self._given:
            return None
        made = f"{name}_{level}" if name in self._recursive else name
        if name not in self._recursive:
            level = 0  # on its own it holds nothing that holds itself, or begins anew
        if made not in self._made:
            self._made[made] = self._part(self._given[name], level)
        return None if self._made[made] is None else {"$ref": f"#/$defs/{made}"}

    def _joined(self, found: Schema, key: str, level: int) -> Schema | None:
        parts = [self._part(part, level) for part in found[key]]
        fit = [part for part in parts if part is not None]
        enough = len(fit) == len(parts) if key == "allOf" else bool(fit)
        return {**found, key: fit} if enough else None

    def _object(self, found: Schema, level: int) -> Schema | None:
        parts = {name: self._part(part, level) for name, part in found.get("properties", {}).items()}
        if any(parts.get(name, found) is None for name in found.get("required", ())):
            return None
        fit = {name: part for name, part in parts.items() if part is not None}
        return {**found, "type": "object", "properties": fit, "additionalProperties": False}

    def _array(self, found: Schema, level: int) -> Schema | None:
        first = [self._part(part, level) for part in found.get("prefixItems", ())]
        if None in first:
            return None
        if "prefixItems" in found:
            return {**found, "type": "array", "prefixItems": first}
        part, least = self._part(found.get("items", {}), level), int(found.get("minItems", 0))
        most = max(least, min(int(found.get("maxItems", self._bounds.items)), self._bounds.items))
        if part is None or most == 0:
            return None if least else {"const": []}
        return {**found, "type": "array", "items": part, "maxItems": most}

    def _text(self, found: Schema, _level: int) -> Schema:
        if "pattern" in found or "format" in found:
            return found
        least, most = int(found.get("minLength", 0)), int(found.get("maxLength", self._bounds.text))
        return {**found, "type": "string", "maxLength": max(least, min(most, self._bounds.text))}


def _values(schema: Schema) -> list[Any] | None:
    """All values, where a schema lists them."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _reached(name: str, definitions: Schema) -> set[str]:
    """What a definition refers to, itself or by others."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for ref in _refs(definitions.get(ahead.pop(), {})):
            if ref not in found:
                found.add(ref)
                ahead.append(ref)
    return found


def _refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from _refs(part)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value.removeprefix("#/$defs/")
            elif key == "properties" and isinstance(value, dict):
                yield from _refs(list(value.values()))
            elif key not in DATA:
                yield from _refs(value)
