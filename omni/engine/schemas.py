"""JSON Schema as llama.cpp's grammars understand it, and whether a value follows a schema.

A grammar cannot say everything: bounds of fractions, for one, are checked when a forced call is whole.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from omni.engine.patterns import plain_pattern

_PARTS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions", "patternProperties")
DATA = ("const", "enum", "default", "examples")  # what holds values, and not schemas
_NOTES = {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "nullable", "$comment"}
_DEEPEST = 100
_STEPS = 20_000  # of one check
_BACKTRACKS = re.compile(r"[*+?{|(]")


def plain(schema: Any) -> Any:
    """The same schema without what no grammar is made of: `true` and `false` as schemas, fields that are null,
    required properties that nothing describes, and what patterns have besides the simplest signs."""
    if not isinstance(schema, dict):
        return {} if schema is True or schema is None else schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if (value is None and key not in ("const", "default")) or (key == "required" and not isinstance(value, list)):
            continue
        if key in _MAPS and isinstance(value, dict):
            found[key] = {name: plain(part) for name, part in value.items() if part is not False}
        elif key in _LISTS and isinstance(value, list):
            found[key] = [plain(part) for part in value if part is not False]
        elif key == "items" and isinstance(value, list):  # as it was written until 2020
            found["prefixItems"] = [plain(part) for part in value]
        elif key == "additionalItems":
            if isinstance(value, dict) and isinstance(schema.get("items"), list):
                found["items"] = plain(value)
        elif key == "items" and isinstance(value, bool):
            if value and "prefixItems" not in schema:
                found[key] = {}
        elif key in _PARTS and isinstance(value, dict):
            found[key] = plain(value)
        elif key == "pattern" and isinstance(value, str):
            if (pattern := plain_pattern(value)) is not None:
                found[key] = pattern
        else:
            found[key] = value
    alone = found.get("allOf")
    if isinstance(alone, list) and len(alone) == 1 and found.keys() - _NOTES == {"allOf"}:
        return alone[0]  # a reference with words beside it, as it had to be written once
    required = found.get("required")
    if isinstance(required, list) and (isinstance(found.get("properties"), dict) or found.get("type") == "object"):
        described = found.setdefault("properties", {})
        for name in required:
            if isinstance(name, str):
                described.setdefault(name, {})
    return found


def parts_of(schema: Any) -> Iterator[Any]:
    """A schema and all that it holds."""
    yield schema
    if isinstance(schema, dict | list):
        for part in schema.values() if isinstance(schema, dict) else schema:
            yield from parts_of(part)


def whole_numbers(schema: Any) -> Any:
    """The same with whole numbers where fractions have bounds: those a grammar keeps to."""
    if isinstance(schema, list):
        return [whole_numbers(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: value if key in DATA else whole_numbers(value) for key, value in schema.items()}
    if found.get("type") != "number":
        return found
    low, high = found.get("minimum"), found.get("maximum")
    above, below = found.get("exclusiveMinimum"), found.get("exclusiveMaximum")
    least = max(
        math.ceil(low) if _is_number(low) else -math.inf, math.floor(above) + 1 if _is_number(above) else -math.inf
    )
    most = min(
        math.floor(high) if _is_number(high) else math.inf, math.ceil(below) - 1 if _is_number(below) else math.inf
    )
    if least > most or (least, most) == (-math.inf, math.inf):
        return found
    bounds = {"minimum": least} if least > -math.inf else {}
    return {"type": "integer", **bounds, **({"maximum": most} if most < math.inf else {})}


def follows(value: Any, schema: Any) -> bool:
    """Whether `value` is as `schema` says, as far as this knows its words; what it does not know is no obstacle, and
    neither is what would take long to find out: patterns that may backtrack are kept by a grammar, or by nobody."""
    try:
        return _Check(schema).follows(value, schema, 0)
    except (TypeError, ValueError, AttributeError, ArithmeticError, _TooLong):  # it is no schema, or too much of one
        return True


class _TooLong(Exception):
    """A check takes more steps than it is worth."""


class _Check:
    """One check of one value."""

    def __init__(self, root: Any) -> None:
        self._root, self._steps = root, 0

    def follows(self, value: Any, schema: Any, depth: int) -> bool:
        self._steps += 1
        if self._steps > _STEPS:
            raise _TooLong
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return True
        return self._keys(value, schema, depth)

    def _keys(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        def also(part: Any, of: Any = None) -> bool:
            return self.follows(value if of is None else of[0], part, depth + 1)

        if isinstance(ref := schema.get("$ref"), str):
            try:
                if not also(pointed(self._root, ref)):
                    return False
            except LookupError:
                pass
        if "const" in schema and not _same(value, schema["const"]):
            return False
        if isinstance(schema.get("enum"), list) and not any(_same(value, one) for one in schema["enum"]):
            return False
        kinds = schema.get("type")
        if kinds is not None and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
            return False
        for key, enough in (("allOf", all), ("anyOf", any), ("oneOf", any)):
            if isinstance(parts := schema.get(key), list) and parts and not enough(also(part) for part in parts):
                return False
        if isinstance(value, str):
            return _text(value, schema)
        if _is_number(value):
            return _number(value, schema)
        if isinstance(value, list):
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
                return False
            first = schema.get("prefixItems") or []
            rest = schema.get("items", {})
            return all(also(first[at] if at < len(first) else rest, (one,)) for at, one in enumerate(value))
        if isinstance(value, dict):
            described, others = schema.get("properties") or {}, schema.get("additionalProperties", True)
            if any(name not in value for name in schema.get("required") or ()):
                return False
            return all(also(described.get(name, others), (one,)) for name, one in value.items())
        return True


def pointed(root: Any, ref: str) -> Any:
    """What `ref` points at in the document `root`. Raises LookupError."""
    if not ref.startswith("#"):
        raise LookupError(ref)
    found = root
    for part in ref[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = found[int(name)] if isinstance(found, list) and name.isdecimal() else found[name]
    return found


def _text(value: str, schema: Mapping[str, Any]) -> bool:
    if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
        return False
    pattern = schema.get("pattern")
    if not isinstance(pattern, str) or _BACKTRACKS.search(pattern):
        return True
    try:
        return re.search(pattern, value) is not None
    except (re.error, RecursionError):
        return True


def _number(value: float, schema: Mapping[str, Any]) -> bool:
    if (step := schema.get("multipleOf")) and abs(value / step - round(value / step)) > 1e-9:
        return False
    return (
        value >= schema.get("minimum", value)
        and value <= schema.get("maximum", value)
        and not (_is_number(above := schema.get("exclusiveMinimum")) and value <= above)
        and not (_is_number(below := schema.get("exclusiveMaximum")) and value >= below)
    )


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is(value: Any, kind: Any) -> bool:
    match kind:
        case "integer":
            return _is_number(value) and float(value).is_integer()
        case "number":
            return _is_number(value)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return True


def _same(value: Any, other: Any) -> bool:
    return json.dumps(value, sort_keys=True) == json.dumps(other, sort_keys=True)
