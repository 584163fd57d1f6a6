"""What can be seen of a part at a glance: its kinds, its values, the properties it needs. Enough to see that two parts
cannot both hold, which saves looking at all that would follow if they did."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from omni.schemas.documents import KINDS, NOT, SAYING, Schema
from omni.schemas.facts import EVERY_KIND, Conjunction, Facts, Literal, kind_of, kinds_of, same
from omni.schemas.parts import Parts

_DEEPEST = 4  # references and parts that are followed


class Brief(NamedTuple):
    """`values`: the only ones (None: any). `needed`: properties that must be there. `closed`: no others may be."""

    kinds: frozenset[str] = EVERY_KIND
    values: tuple[Any, ...] | None = None
    without: tuple[Any, ...] = ()
    needed: Mapping[str, "Brief"] = {}
    barred: frozenset[str] = frozenset()
    closed: frozenset[str] | None = None

    def both(self, other: "Brief") -> "Brief":
        """What is seen of what is as both."""
        values = self.values
        if values is None:
            values = other.values
        elif other.values is not None:
            values = tuple(one for one in values if any(same(one, each) for each in other.values))
        needed = dict(self.needed)
        for name, brief in other.needed.items():
            needed[name] = needed[name].both(brief) if name in needed else brief
        closed = (
            self.closed if other.closed is None else other.closed if self.closed is None else self.closed & other.closed
        )
        return Brief(
            kinds=self.kinds & other.kinds,
            values=values,
            without=self.without + other.without,
            needed=needed,
            barred=self.barred | other.barred,
            closed=closed,
        ).clear()

    def clear(self) -> "Brief":
        """The same without kinds and values that are none."""
        kinds, values = self.kinds, self.values
        if values is not None:
            values = tuple(
                one for one in values if kind_of(one) in kinds and not any(same(one, other) for other in self.without)
            )
            kinds &= {kind_of(one) for one in values}
        missing = self.needed.keys() & self.barred or (self.closed is not None and self.needed.keys() - self.closed)
        if missing or any(not brief.kinds for brief in self.needed.values()):
            kinds -= {"object"}
        return self._replace(kinds=kinds, values=values)


NOTHING = Brief(kinds=frozenset())
ANYTHING = Brief()


class Briefs:
    """Looks at parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: dict[tuple[Literal, int], Brief] = {}

    def of(self, conjunction: Conjunction, deep: int = 0) -> Brief:
        """What is seen of a conjunction; with no kinds nothing can be so."""
        found = ANYTHING
        for literal in conjunction:
            found = found.both(self._literal(literal, deep))
        return found

    def may_hold(self, option: Conjunction, known: Brief) -> bool:
        """Whether an option may hold besides what is known."""
        for literal in option:
            known = known.both(self._literal(literal, 0))
        return bool(known.kinds)

    def are_apart(self, one: Schema, other: Schema) -> bool:
        """Whether nothing is as both say, for all that is seen."""
        literals = (Literal(self._parts.number(node)) for node in (one, other))
        first, second = (self._literal(literal, 0) for literal in literals)
        return not first.both(second).kinds

    def facts(self, facts: Facts) -> Brief:
        """What is seen of what was gathered."""
        needed = {}
        for name in facts.required:
            brief = ANYTHING
            for rule in facts.objects:
                if name in rule.named:
                    brief = brief.both(self._schema(rule.named[name], 1))
            needed[name] = brief
        barred = frozenset(name for rule in facts.objects for name, part in rule.named.items() if part is False)
        found = Brief(facts.kinds, facts.values, facts.not_values, needed, barred)
        for rule in facts.objects:
            if rule.rest is False and not rule.patterns:
                found = found.both(Brief(closed=frozenset(rule.named)))
        return found.clear()

    def _schema(self, node: Schema, deep: int) -> Brief:
        return self._literal(Literal(self._parts.number(node)), deep)

    def _literal(self, literal: Literal, deep: int) -> Brief:
        key = literal, deep
        if key not in self._known:
            self._known[key] = ANYTHING  # should it hold itself
            self._known[key] = self._seen(self._parts.node(literal), deep, holds=literal.holds).clear()
        return self._known[key]

    def _seen(self, node: Schema, deep: int, *, holds: bool) -> Brief:
        if isinstance(node, bool):
            return ANYTHING if node == holds else NOTHING
        if deep > _DEEPEST:
            return ANYTHING
        return self._positive(node, deep) if holds else self._negative(node, deep)

    def _positive(self, node: dict[str, Any], deep: int) -> Brief:
        found = ANYTHING
        if "$ref" in node:
            found = self._schema(self._parts.document.target(node), deep + 1)
            if self._parts.document.draft <= 7:
                return found
        found = found.both(_own(node)).both(self._object(node, deep))
        for part in node.get("allOf", ()):
            found = found.both(self._schema(part, deep + 1))
        if "not" in node:
            found = found.both(self._literal(Literal(self._parts.number(node["not"]), holds=False), deep + 1))
        for keyword in ("anyOf", "oneOf"):
            if node.get(keyword):
                found = found.both(_either(self._schema(part, deep + 1) for part in node[keyword]))
        return found

    def _object(self, node: dict[str, Any], deep: int) -> Brief:
        named = node.get("properties", {})
        needed = {
            name: self._schema(named[name], deep + 1) if name in named else ANYTHING
            for name in node.get("required", ())
        }
        barred = frozenset(name for name, part in named.items() if part is False)
        closed = None
        if node.get("additionalProperties") is False and "patternProperties" not in node:
            closed = frozenset(named)
        return Brief(needed=needed, barred=barred, closed=closed).clear()

    def _negative(self, node: dict[str, Any], deep: int) -> Brief:
        """Only of what has one keyword that says something."""
        saying = [key for key in node if key in SAYING]
        if len(saying) != 1:
            return ANYTHING
        match saying[0]:
            case "$ref":
                target = self._parts.number(self._parts.document.target(node))
                return self._literal(Literal(target, holds=False), deep + 1)
            case "not":
                return self._schema(node["not"], deep + 1)
            case "const":
                return Brief(without=(node["const"],))
            case "enum":
                return Brief(without=tuple(node["enum"]))
            case "type":
                return Brief(kinds=EVERY_KIND - _own(node).kinds)
            case _:
                return ANYTHING


def _own(node: dict[str, Any]) -> Brief:
    """By `type`, `const` and `enum`."""
    kinds, values = EVERY_KIND, None
    if (named := node.get("type")) is not None:
        kinds = frozenset(kind for name in ([named] if isinstance(named, str) else named) for kind in kinds_of(name))
    kinds &= node.get(KINDS, EVERY_KIND)
    if "const" in node:
        values = (node["const"],)
    elif "enum" in node:
        values = tuple(node["enum"])
    return Brief(kinds=kinds, values=values, without=tuple(node.get(NOT, ()))).clear()


def _either(briefs: Iterable[Brief]) -> Brief:
    """What is seen of what is as one of them."""
    found = list(briefs)
    kinds = frozenset(kind for brief in found for kind in brief.kinds)
    values: tuple[Any, ...] | None = ()
    for brief in found:
        values = None if values is None or brief.values is None else values + brief.values
    return Brief(kinds=kinds, values=values)
