"""How much work a validator has with a schema: it looks at every part again each time that another leads to it, so that
a few lines can keep it busy for ever. Counted here, where each is looked at once."""

from collections.abc import Iterator
from typing import Any

from omni.schemas.documents import Document, Schema
from omni.schemas.errors import SchemaRefused

MOST_LOOKS = 20_000  # at one value, by one part and all that it leads to
MOST_VISITS = 3_000_000  # in one proof
_LISTS = ("allOf", "anyOf", "oneOf")
_SINGLE = ("not", "if", "then", "else")


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


def visits(document: Document, value: Any) -> int:
    """About how many times a validator looks at the parts of `value`; no more than a little over MOST_VISITS."""
    known: dict[tuple[int, int], int] = {}

    def count(node: Any, value: Any, deep: int) -> int:
        if not isinstance(node, dict) or deep > 900:
            return 1
        key = id(node), id(value)
        if key not in known:
            known[key] = 1
            found = 1
            for part in in_place(document, node):
                found += count(part, value, deep + 1)
            for part, inner in _pairs(node, value):
                found += count(part, inner, deep + 1)
                if found > MOST_VISITS:
                    break
            known[key] = min(found, MOST_VISITS + 1)
        return known[key]

    return count(document.root, value, 0)


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
