"""A JSON Schema as a document: its dialect, its parts by their places, and what its references point at.

Nothing is fetched: a reference out of the document is refused. Nothing is taken to be small: depth, parts and bytes are
bounded before anything else looks at it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urldefrag, urljoin

from omni.core.errors import nearest
from omni.schemas._errors import SchemaRefused
from omni.schemas.dialects import MAPS, dialect_of, is_known, shown

Schema = dict[str, Any] | bool

DEEPEST = 128  # levels
MOST_PARTS = 100_000  # objects and lists
LONGEST = 2 << 20  # bytes

DATA = ("const", "enum", "default", "examples", "example")  # what holds values, and no schemas
_MAY_BE_NULL = ("const", "default", "example")
# Keywords that only stand in parts made here: kinds of values, values that it is not, a pattern that it is not like.
KINDS, NOT, EXCEPT = "\0kinds", "\0not", "\0except"
SAYING = frozenset({  # every other keyword is a note for people
    "$ref", "$dynamicRef", "$recursiveRef", "type", "const", "enum", "multipleOf", "minimum", "maximum",
    "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern", "format", "items", "prefixItems",
    "additionalItems", "minItems", "maxItems", "uniqueItems", "contains", "minContains", "maxContains",
    "unevaluatedItems", "properties", "patternProperties", "additionalProperties", "required", "minProperties",
    "maxProperties", "propertyNames", "dependencies", "dependentRequired", "dependentSchemas",
    "unevaluatedProperties", "allOf", "anyOf", "oneOf", "not", "if", "then", "else",
    KINDS, NOT, EXCEPT,
})  # fmt: skip
_FEWER = "Send a simpler schema, or leave out what only describes."
_WITHIN = "Within a schema it leads to # (the whole) or to #/$defs/NAME."


class Document:
    """A schema without what its dialect does not know: keywords of other drafts, which are notes for people there, and
    fields that are null.

    `draft` is 2020, 2019, 7, 6 or 4: what `$schema` names, else the newest of which it is a valid schema.
    """

    def __init__(self, schema: Any) -> None:
        _check_size(schema)
        if not isinstance(schema, dict | bool):
            raise SchemaRefused(
                f"A schema is an object, true or false; {shown(schema)} was sent.",
                keyword="",
                place="#",
                hint='{"type": "object"} is one.',
            )
        clean: Schema = cleaned(schema)
        self.draft, self.address = dialect_of(clean)
        # The draft is that of all its parts, whatever they say themselves.
        self.root: Schema = understood(clean, self.draft)
        self._places: dict[int, str] = {}
        self._bases: dict[int, str] = {}
        self._named: dict[str, Any] = {}  # what has an address of its own
        self._targets: dict[tuple[int, str], Schema] = {}
        self._walk(self.root, "#", "", schema=True)
        self._named[""] = self.root

    def place(self, node: Any) -> str:
        """Where a part of the document stands."""
        return self._places.get(id(node), "#")

    def target(self, node: dict[str, Any], keyword: str = "$ref") -> Schema:
        """What the reference of `node` points at. Raises SchemaRefused."""
        key = id(node), keyword
        if key not in self._targets:
            self._targets[key] = self._target(node, keyword)
        return self._targets[key]

    def _target(self, node: dict[str, Any], keyword: str) -> Schema:
        ref, here = node[keyword], self.place(node)
        if not isinstance(ref, str):
            raise SchemaRefused(
                f"It is no JSON Schema: `{keyword}` at {here} must be a text; {shown(ref)} was sent.",
                keyword=keyword,
                place=here,
                hint=_WITHIN,
            )
        target = self._target_of(ref, self._bases.get(id(node), ""))
        if isinstance(target, dict | bool):
            return target
        if _is_elsewhere(ref) or urldefrag(ref)[0] not in ("", self._id()):
            raise SchemaRefused(
                f"`{keyword}` at {here} leads out of the schema, to {ref[:200]!r}, and nothing is fetched.",
                keyword=keyword,
                place=here,
                hint="Put what it leads to under `$defs`.",
            )
        raise SchemaRefused(
            f"`{keyword}` at {here} leads to {ref[:200]!r}, where no schema is.",
            keyword=keyword,
            place=here,
            hint=nearest(ref, self._places.values()) or _WITHIN,
        )

    def check_references(self) -> None:
        """Raises SchemaRefused for a reference to nothing in any part that the whole leads to."""
        for _ in self.reached():
            pass

    def reached(self) -> Iterator[dict[str, Any]]:
        """All parts that the whole leads to. Raises SchemaRefused for a reference to nothing."""
        seen: set[int] = set()
        ahead: list[Any] = [self.root]
        while ahead:
            node = ahead.pop()
            if isinstance(node, list):
                ahead += node
            if not isinstance(node, dict) or id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            if isinstance(node.get("$ref"), str):
                ahead.append(self.target(node))
                if self.draft <= 7:
                    continue  # what stands beside it means nothing there
            for key, part in node.items():
                if key in MAPS and isinstance(part, dict):
                    ahead += part.values() if key not in ("$defs", "definitions") else ()
                elif key in SAYING and key not in DATA and key != "$ref":
                    ahead.append(part)

    def _id(self) -> str:
        name = "id" if self.draft == 4 else "$id"
        ident = self.root.get(name) if isinstance(self.root, dict) else None
        return ident if isinstance(ident, str) else ""

    def _target_of(self, ref: str, base: str) -> Any:
        whole = urljoin(base, ref) if base or _is_elsewhere(ref) else ref
        address, fragment = urldefrag(whole)
        if whole in self._named:
            return self._named[whole]
        if (start := self._named.get(address)) is None:
            return None
        if not fragment:
            return start
        fragment = unquote(fragment)
        if not fragment.startswith("/"):
            return self._named.get(f"{address}#{fragment}")
        return self._pointed(start, fragment)

    def _pointed(self, start: Any, pointer: str) -> Any:
        node, place, base = start, self.place(start), self._bases.get(id(start), "")
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isdecimal() and int(name) < len(node):
                node = node[int(name)]
            elif isinstance(node, dict) and name in node:
                node = node[name]
            else:
                return None
            place += "/" + part
        if isinstance(node, dict) and id(node) not in self._places:
            self._walk(node, place, base, schema=True)
        return node

    def _walk(self, value: Any, place: str, base: str, *, schema: bool) -> None:
        """Note where everything stands, and what has a name."""
        if isinstance(value, list):
            for at, part in enumerate(value):
                self._walk(part, f"{place}/{at}", base, schema=schema)
        if not isinstance(value, dict) or id(value) in self._places:
            return
        self._places[id(value)] = place
        if schema:
            base = self._name(value, base)
        self._bases[id(value)] = base
        for key, part in value.items():
            if schema and key in DATA:
                continue
            self._walk(part, f"{place}/{_escaped(key)}", base, schema=not schema or key not in MAPS)

    def _name(self, value: dict[str, Any], base: str) -> str:
        """Give a schema its names; returns the address that references in it begin from."""
        ident = value.get("id" if self.draft == 4 else "$id")
        if isinstance(ident, str) and ident and (self.draft > 7 or "$ref" not in value):
            address, fragment = urldefrag(urljoin(base, ident))
            if fragment and self.draft <= 7:
                self._named.setdefault(f"{address}#{fragment}", value)
            if address and address != base:
                base = address
                self._named.setdefault(base, value)
        for anchor in ("$anchor", "$dynamicAnchor"):
            if not isinstance(name := value.get(anchor), str):
                continue
            if self._named.setdefault(f"{base}#{name}", value) is not value and anchor == "$anchor":
                raise SchemaRefused(
                    f"It is no JSON Schema: `$anchor` at {self.place(value)} is {name!r}, and so is another one.",
                    keyword="$anchor",
                    place=self.place(value),
                    hint="Give each part a name of its own.",
                )
        return base


def cleaned(schema: Any) -> Any:
    """The same without keywords that are null."""
    if isinstance(schema, list):
        return [cleaned(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if (value is None and key not in _MAY_BE_NULL) or key.startswith("\0"):
            continue
        if key in DATA:
            kept[key] = value
        elif key == "$ref" and isinstance(value, str):
            kept[key] = quote(value, safe="%/:=&?~#+!$,;'@()*")  # as addresses are written
        elif key in MAPS and isinstance(value, dict):
            kept[key] = {name: cleaned(part) for name, part in value.items() if part is not None}
        else:
            kept[key] = cleaned(value)
    return kept


def understood(schema: Any, draft: int) -> Any:
    """The same without keywords that its draft does not know. Draft 4 takes 1.0 for no integer, though it equals 1: of the
    values that are listed there such a one is written as 1, which is both."""
    if isinstance(schema, list):
        return [understood(part, draft) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$schema" or not is_known(key, draft):
            continue
        if key in DATA:
            kept[key] = _whole(value) if draft == 4 and key == "enum" else value
        elif key in MAPS and isinstance(value, dict):
            kept[key] = {name: understood(part, draft) for name, part in value.items()}
        else:
            kept[key] = understood(value, draft)
    return kept


def _whole(value: Any) -> Any:
    """The same with whole numbers that are written as such."""
    match value:
        case list():
            return [_whole(part) for part in value]
        case dict():
            return {name: _whole(part) for name, part in value.items()}
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def says_nothing(schema: dict[str, Any], *, besides: tuple[str, ...] = ()) -> bool:
    """Whether a schema, `besides` these keywords, has only notes for people."""
    return not any(key in SAYING and key not in besides for key in schema)


def _check_size(schema: Any) -> None:
    """Raises SchemaRefused for one that is too much to look at."""
    level, seen, deep = ([schema] if isinstance(schema, dict | list) else []), 0, 0
    while level:
        seen += len(level)
        deep += 1
        if seen > MOST_PARTS:
            raise SchemaRefused(
                f"A schema may have {MOST_PARTS:,} parts (objects and lists); this one has more.",
                keyword="",
                place="#",
                hint=_FEWER,
            )
        if deep > DEEPEST:
            raise SchemaRefused(
                f"A schema may be {DEEPEST} levels deep; this one is deeper.", keyword="", place="#", hint=_FEWER
            )
        level = [part for value in level for part in _held(value)]
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass"))
    except (TypeError, ValueError) as error:
        raise SchemaRefused("A schema must be JSON; this one is not.", keyword="", place="#") from error
    if size > LONGEST:
        raise SchemaRefused(
            f"A schema may have {LONGEST:,} bytes; this one has {size:,}.", keyword="", place="#", hint=_FEWER
        )


def _held(value: Any) -> Iterator[Any]:
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield part


def _is_elsewhere(ref: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*:|//", ref) is not None


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
