"""What a JSON Schema may ask of an engine: one that is too much keeps a worker, and all who wait for it, busy for
minutes, or ends it."""

import json
from collections.abc import Iterator
from typing import Any

from omni.core.errors import UsageError
from omni.engine.patterns import choices, plain_pattern
from omni.engine.schemas import DATA, plain, pointed

DEEPEST = 64  # levels
MOST_PARTS = 5000  # objects, lists and listed values
MOST_VALUES = 1000  # to choose from, of all lists of values and of parts together
MOST_CHOICES = 500  # of all patterns together: see patterns.py
MOST_OPTIONAL = 128  # properties of one object: the work grows with the third power
MOST_REFERENCES = 100  # that are different
MOST_WRITTEN = 20_000  # parts, with what stands for references
LONGEST = 1 << 17  # bytes


def check_schema(schema: Any) -> None:
    """Raises UsageError for a schema that no engine can bear, with what was found and what may be."""
    _within(sum(1 for _ in _parts(schema)), MOST_PARTS, "parts")
    schema = plain(schema)
    objects = [part for part in _parts(schema) if isinstance(part, dict)]
    lists = [part.get(key) for part in objects for key in ("enum", "anyOf", "oneOf")]
    _within(sum(len(one) for one in lists if isinstance(one, list)), MOST_VALUES, "values to choose from")
    patterns = {part["pattern"] for part in objects if isinstance(part.get("pattern"), str)}
    _within(sum(choices(one) for one in patterns if plain_pattern(one)), MOST_CHOICES, "optional parts in its patterns")
    for part in objects:
        properties, required = part.get("properties"), part.get("required")
        if isinstance(properties, dict):
            needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
            _within(len(properties.keys() - needed), MOST_OPTIONAL, "optional properties in one object")
    references = {part["$ref"] for part in objects if isinstance(part.get("$ref"), str)}
    _within(len(references), MOST_REFERENCES, "different references")
    if references:
        _within(_Written(schema).size(schema), MOST_WRITTEN, "parts, references followed")
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError("A schema must be JSON.") from error
    _within(size, LONGEST, "bytes")


def _within(found: int, most: int, what: str) -> None:
    if found > most:
        raise UsageError(f"A schema may have {most:,} {what}; this one has {found:,}.", hint="Send a simpler one.")


def _parts(schema: Any) -> Iterator[Any]:
    """The schema, all that it holds, and the values of its lists, level by level; at most one level and one part more
    than there may be."""
    level, seen = [schema], 0
    for _ in range(DEEPEST):
        yield from level
        seen += len(level)
        if seen > MOST_PARTS:
            return
        level = [
            part
            for value in level
            if isinstance(value, dict | list)
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, dict | list) or isinstance(value, list)
        ]
        if not level:
            return
    raise UsageError(f"A schema may be {DEEPEST} levels deep; this one is deeper.", hint="Send a simpler one.")


class _Written:
    """How large a grammar becomes. llama.cpp writes what a reference points at once, as a rule of its own; but what
    must hold all at once (`allOf`) it writes in place, each time anew, and for ever where that comes back to itself."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._sizes: dict[tuple[int, bool], int] = {}
        self._open: set[tuple[int, bool]] = set()

    def size(self, part: Any, *, joined: bool = False) -> int:
        """Parts as they are written; `joined`: together with others. Raises UsageError for a part that holds itself."""
        if isinstance(part, list):
            return sum(self.size(one, joined=joined) for one in part)
        if not isinstance(part, dict):
            return 1
        key = id(part), joined
        if key in self._open or len(self._open) > DEEPEST * 2:
            raise UsageError("A schema holds itself by `$ref` and `allOf`, which no grammar can be made of.")
        if key not in self._sizes:
            self._open.add(key)
            self._sizes[key] = 1 + sum(self._sizes_within(part, joined=joined))
            self._open.remove(key)
        return self._sizes[key]

    def _sizes_within(self, part: dict[str, Any], *, joined: bool) -> Iterator[int]:
        if isinstance(ref := part.get("$ref"), str):
            try:
                target = pointed(self._root, ref)
            except (LookupError, TypeError, ValueError):
                return  # said where it is used
            if joined or (isinstance(target, dict) and "$ref" in target):
                yield self.size(target, joined=joined)
        for key, value in part.items():
            if key in ("properties", "patternProperties", "$defs", "definitions") and isinstance(value, dict):
                yield sum(self.size(one) for one in value.values())
            elif key == "allOf":
                yield self.size(value, joined=True)
            elif key not in DATA and key != "$ref":
                yield self.size(value, joined=joined and key in ("anyOf", "oneOf"))
