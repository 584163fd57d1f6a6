"""What a part must not be, said otherwise: as options, one of which holds whenever it is not as the part says.

What cannot be said otherwise is left out, so that fewer values are allowed than might be.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from omni.schemas._parts import SchemaParts
from omni.schemas.documents import EXCEPT, KINDS, NOT, SAYING, Schema
from omni.schemas.facts import EVERY_KIND, kinds_of
from omni.schemas.formats import FORMATS

Option = list[tuple[Schema, bool]]
_MOST_PAIRS = 20
# Each means the same whatever stands beside it.
_ALONE = {"type", "format", "multipleOf", "pattern", "minLength", "maxLength", "minimum", "maximum", "required",
          "uniqueItems", "patternProperties", "propertyNames", "dependentRequired"}  # fmt: skip
_OF_THE_REST = ("additionalItems", "unevaluatedItems", "unevaluatedProperties")
_UNDENIED = ("dependencies", "dependentRequired", "dependentSchemas", "multipleOf", "patternProperties", "propertyNames",
             "$dynamicRef", "$recursiveRef")  # fmt: skip


def denied(parts: SchemaParts, node: dict[str, Any], place: str, names: Iterable[str] = ()) -> Iterator[Option]:
    """The options of what is not as `node` says. `names`: properties that may be there."""
    if "$ref" in node:
        yield [(parts.document.target(node), False)]
        if parts.document.draft <= 7:
            return
    for made in chain(_otherwise(node), _besides(node, names)):
        for part in [
            *made.get("properties", {}).values(),
            *made.get("prefixItems", ()),
            made.get("items"),
            made.get("contains"),
        ]:
            if isinstance(part, dict):
                parts.made(part, place)
        yield [(parts.made(made, place), True)]
    yield from _logic(node)


def implies(node: Schema, other: dict[str, Any]) -> bool:
    """Whether all that `other` says stands in `node`, too, as far as that is seen at a glance."""
    if not isinstance(node, dict) or node == other:
        return node == other
    saying = {key: value for key, value in other.items() if key in SAYING}
    return saying.keys() <= _ALONE and all(key in node and node[key] == value for key, value in saying.items())


def is_whole(node: dict[str, Any], draft: int, *, closed: bool) -> bool:
    """Whether the options are all that there are: whatever is not as `node` says is as one of them. `closed`: no other
    properties than those known may be there."""
    if draft <= 7 and "$ref" in node:
        return True
    return not (
        any(node.get(keyword, True) not in (True, {}) for keyword in _OF_THE_REST)
        or (not closed and node.get("additionalProperties", True) not in (True, {}))
        or any(keyword in node for keyword in _UNDENIED)
        or node.get("uniqueItems") is True
        or node.get("format") in FORMATS
        or ("items" in node and ("prefixItems" in node or isinstance(node["items"], list)))
        or ("contains" in node and bool({"minContains", "maxContains"} & node.keys()))
        or len(node.get("oneOf", ())) ** 2 > 2 * _MOST_PAIRS
    )


def _logic(node: dict[str, Any]) -> Iterator[Option]:
    if "not" in node:
        yield [(node["not"], True)]
    for part in node.get("allOf", ()):
        yield [(part, False)]
    if "anyOf" in node:
        yield [(part, False) for part in node["anyOf"]]
    if "oneOf" in node:
        options = node["oneOf"]
        yield [(part, False) for part in options]
        pairs = [(one, other) for at, one in enumerate(options) for other in options[at + 1 :]]
        for one, other in pairs[:_MOST_PAIRS]:
            yield [(one, True), (other, True)]
    if "if" in node:
        if "then" in node:
            yield [(node["if"], True), (node["then"], False)]
        if "else" in node:
            yield [(node["if"], False), (node["else"], False)]


def _otherwise(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Parts that say the opposite of one keyword each."""
    if (kinds := node.get("type")) is not None:
        names = [kinds] if isinstance(kinds, str) else kinds
        if others := EVERY_KIND - {kind for name in names for kind in kinds_of(name)}:
            yield {KINDS: others}
    for values in ([node["const"]] if "const" in node else None, node.get("enum")):
        if values is not None:
            yield {NOT: tuple(values)}
    for name in node.get("required", ()):
        yield {"type": "object", "properties": {name: False}}
    yield from _numbers(node)
    yield from _sizes(node)
    if "pattern" in node:
        yield {"type": "string", EXCEPT: node["pattern"]}
    for name, part in node.get("properties", {}).items():
        yield {"type": "object", "required": [name], "properties": {name: {"not": part}}}
    first, rest = node.get("prefixItems", ()), node.get("items")
    if isinstance(rest, list):
        first, rest = rest, None
    for at, part in enumerate(first):
        yield {"type": "array", "minItems": at + 1, "prefixItems": [True] * at + [{"not": part}]}
    if rest is not None and not first:
        yield {"type": "array", "contains": {"not": rest}}
    if "contains" in node and not {"minContains", "maxContains"} & node.keys():
        yield {"type": "array", "items": {"not": node["contains"]}}


def _besides(node: dict[str, Any], names: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Parts with a property that may not be so besides those that are named."""
    if "additionalProperties" in node and not node.get("patternProperties"):
        for name in names:
            if name not in node.get("properties", {}):
                value = {"not": node["additionalProperties"]}
                yield {"type": "object", "required": [name], "properties": {name: value}}


def _numbers(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for keyword, opened, turned, opened_turned in (
        ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"),
        ("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
    ):
        if keyword in node:
            excludes = node.get(opened) is True
            yield {"type": "number", (turned if excludes else opened_turned): node[keyword]}
        if opened in node and not isinstance(node[opened], bool):
            yield {"type": "number", turned: node[opened]}


def _sizes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, ending in (("string", "Length"), ("array", "Items"), ("object", "Properties")):
        if node.get(f"min{ending}", 0) > 0:
            yield {"type": kind, f"max{ending}": node[f"min{ending}"] - 1}
        if f"max{ending}" in node:
            yield {"type": kind, f"min{ending}": node[f"max{ending}"] + 1}
