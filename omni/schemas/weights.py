"""How much work a validator has with a schema: it looks at every part again each time that another leads to it, so that
a few lines can keep it busy for ever. Counted here, where each is looked at once."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from omni.schemas._errors import SchemaRefused
from omni.schemas.documents import Document, Schema

MOST_LOOKS = 20_000  # at one value, by one part and all that it leads to
MOST_VISITS = 3_000_000  # in one proof
MOST_COUNTED = 300_000  # parts and values that are gone through to find out how many that are
_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLE = ("not", "if", "then", "else")
_LEADING = frozenset({  # keywords by which a part leads to others
    "$ref", "$dynamicRef", "$recursiveRef", *_LISTS, *_SINGLE, "dependentSchemas", "dependencies", "properties",
    "patternProperties", "additionalProperties", "propertyNames", "unevaluatedProperties", "items", "additionalItems",
    "contains", "unevaluatedItems", "prefixItems",
})  # fmt: skip


def check_weight(document: Document) -> None:
    """Raises SchemaRefused for a schema that holds itself in place, or the work with which has no end."""
    _Looks(document).of(document.root)


class _Looks:
    """Counts looks at one value."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._known: dict[int, int] = {}
        self._open: set[int] = set()

    def of(self, root: Schema) -> None:
        """Count for all parts that `root` leads to."""
        later: list[Any] = [root]
        while later:
            later += self._count(later.pop())

    def _count(self, root: Any) -> list[Any]:
        """Count for all that is in place of one part; returns what lies below. Without recursion: chains may be long."""
        below: list[Any] = []
        ahead: list[tuple[Any, bool]] = [(root, False)]
        while ahead:
            node, again = ahead.pop()
            if not isinstance(node, dict) or (id(node) in self._known and not again):
                continue
            inside = list(in_place(self._document, node))
            if not again:
                if id(node) in self._open:
                    raise self._refusal(node, "leads back to itself")
                self._open.add(id(node))
                ahead.append((node, True))
                ahead += [(part, False) for part in inside]
                continue
            self._open.discard(id(node))
            self._known[id(node)] = 1 + sum(self._known.get(id(part), 1) for part in inside)
            if self._known[id(node)] > MOST_LOOKS:
                raise self._refusal(node, f"leads to more than {MOST_LOOKS:,} parts, to some of them again and again")
            below += _below(node)
        return below

    def _refusal(self, node: dict[str, Any], what: str) -> SchemaRefused:
        place = self._document.place(node)
        keyword = next((key for key in ("$ref", "$dynamicRef", *_LISTS, *_SINGLE) if key in node), "")
        return SchemaRefused(
            f"The schema cannot be kept: `{keyword}` at {place} {what}.",
            keyword=keyword,
            place=place,
            hint="Say each thing once, in a part that leads no further.",
        )


class Visits:
    """How often a validator looks at the parts of values of one document. What one value costs is found by few steps:
    parts that lead no further are counted together, all others once for each value that they are led to."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._inside: dict[int, tuple[int, list[dict[str, Any]]]] = {}

    def are_too_many(self, value: Any) -> bool:
        """Whether the proof of a value, or counting what it takes, is more than one should wait for."""
        try:
            return _Count(self).of(self._document.root, value) > MOST_VISITS
        except _TooMany:
            return True

    def inside(self, node: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
        """How many parts in place of a part lead no further, and those that do."""
        if id(node) not in self._inside:
            parts = list(in_place(self._document, node))
            leading = [part for part in parts if isinstance(part, dict) and _leads(part)]
            self._inside[id(node)] = len(parts) - len(leading), leading
        return self._inside[id(node)]


class _Inside(NamedTuple):
    """What a part leads to: so many looks that lead no further, and parts with the values that they look at."""

    leaves: int
    leading: list[tuple[dict[str, Any], Any]]


class _TooMany(Exception):
    """There is more to count than is worth it."""


class _Count:
    """Counts the looks at one value and all that is in it."""

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._known: dict[tuple[int, int], int] = {}
        self._steps = 0

    def of(self, root: Schema, whole: Any) -> int:
        """The looks at `whole` by `root` and all that it leads to. Without recursion: chains may be long."""
        if not _leads(root):
            return 1
        ahead: list[tuple[Any, Any, _Inside | None]] = [(root, whole, None)]
        while ahead:
            node, value, inside = ahead.pop()
            key = id(node), id(value)
            if inside is not None:
                self._known[key] = inside.leaves + sum(
                    self._known[id(part), id(inner)] for part, inner in inside.leading
                )
            elif key not in self._known:
                self._known[key] = 1
                inside = self._inside(node, value)
                ahead.append((node, value, inside))
                ahead += [(part, inner, None) for part, inner in inside.leading]
        return self._known[id(root), id(whole)]

    def _inside(self, node: dict[str, Any], value: Any) -> "_Inside":
        self._step()
        leaves, parts = self._visits.inside(node)
        leaves, leading = leaves + 1, [(part, value) for part in parts]
        for part, inner in _pairs(node, value):
            self._step()
            if isinstance(part, dict) and _leads(part):
                leading.append((part, inner))
            else:
                leaves += 1
        return _Inside(leaves, leading)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_COUNTED:
            raise _TooMany


def _leads(node: Schema) -> bool:
    return not isinstance(node, bool) and not _LEADING.isdisjoint(node)


def in_place(document: Document, node: dict[str, Any]) -> Iterator[Schema]:
    """The parts that say something of the same value as `node`."""
    for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
        if keyword in node:
            yield document.target(node, keyword)
    if "$ref" in node and document.draft <= 7:
        return
    for keyword in _LISTS:
        yield from node.get(keyword, ())
    for keyword in _SINGLE:
        if keyword in node:
            yield node[keyword]
    for keyword in ("dependentSchemas", "dependencies"):
        yield from (part for part in node.get(keyword, {}).values() if not isinstance(part, list))


def _below(node: dict[str, Any]) -> Iterator[Schema]:
    for keyword in ("properties", "patternProperties"):
        yield from node.get(keyword, {}).values()
    for keyword in (
        "additionalProperties", "propertyNames", "unevaluatedProperties", "items", "additionalItems", "contains",
        "unevaluatedItems", "prefixItems",
    ):  # fmt: skip
        part = node.get(keyword)
        yield from part if isinstance(part, list) else () if part is None else (part,)


def _pairs(node: dict[str, Any], value: Any) -> Iterator[tuple[Schema, Any]]:
    """The parts that say something of what is in a value, each with that."""
    if isinstance(value, dict):
        named = node.get("properties", {})
        others = [*node.get("patternProperties", {}).values()]
        others += [node[key] for key in ("additionalProperties", "unevaluatedProperties") if key in node]
        for name, inner in value.items():
            if name in named:
                yield named[name], inner
            for part in others:
                yield part, inner
    elif isinstance(value, list):
        parts = [node.get(key) for key in ("items", "additionalItems", "contains", "unevaluatedItems")]
        first = node.get("prefixItems", parts[0] if isinstance(parts[0], list) else ())
        for at, inner in enumerate(value):
            if at < len(first):
                yield first[at], inner
            for part in parts:
                if part is not None and not isinstance(part, list):
                    yield part, inner
