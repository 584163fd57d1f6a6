"""What can be seen of a part at a glance: its kinds, its values, the properties it needs. Enough to see that two parts
cannot both hold, which saves looking at all that would follow if they did."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from omni.schemas._parts import SchemaParts
from omni.schemas.costs import Costs
from omni.schemas.documents import KINDS, NOT, SAYING, Schema
from omni.schemas.facts import EVERY_KIND, Conjunction, Constraints, Literal, Values, kind_of, kinds_of

_DEEPEST = 4  # references and parts that are followed


class Brief(NamedTuple):
    """`values`: the only ones (None: any). `needed`: properties that must be there. `closed`: no others may be."""

    kinds: frozenset[str] = EVERY_KIND
    values: Values | None = None
    without: Mapping[str, Any] = {}
    needed: Mapping[str, "Brief"] = {}
    barred: frozenset[str] = frozenset()
    closed: frozenset[str] | None = None

    @property
    def weight(self) -> int:
        """About how many things are looked at to join it with another."""
        weight = 1 + len(self.values or ()) + len(self.without) + len(self.barred)
        for brief in self.needed.values():
            weight += brief.weight if brief is not ANYTHING else 1
        return weight

    def both(self, other: "Brief") -> "Brief":
        """What is seen of what is as both."""
        values = self.values
        if values is None:
            values = other.values
        elif other.values is not None:
            few, many = sorted((values, other.values), key=len)
            values = {key: value for key, value in few.items() if key in many}
        needed = dict(self.needed)
        for name, brief in other.needed.items():
            needed[name] = needed[name].both(brief) if name in needed else brief
        closed = (
            self.closed if other.closed is None else other.closed if self.closed is None else self.closed & other.closed
        )
        return Brief(
            kinds=self.kinds & other.kinds,
            values=values,
            without=_joined(self.without, other.without),
            needed=needed,
            barred=self.barred | other.barred,
            closed=closed,
        ).clear()

    def clear(self) -> "Brief":
        """The same without kinds and values that are none."""
        kinds, values = self.kinds, self.values
        if values is not None:
            values = {
                key: value for key, value in values.items() if kind_of(value) in kinds and key not in self.without
            }
            kinds &= {kind_of(value) for value in values.values()}
        missing = self.needed.keys() & self.barred or (self.closed is not None and self.needed.keys() - self.closed)
        if missing or any(not brief.kinds for brief in self.needed.values()):
            kinds -= {"object"}
        return self if kinds == self.kinds and values is self.values else self._replace(kinds=kinds, values=values)


NOTHING = Brief(kinds=frozenset())
ANYTHING = Brief()


class Briefs:
    """Looks at parts."""

    def __init__(self, parts: SchemaParts, costs: Costs) -> None:
        self._parts, self._costs = parts, costs
        self._known: dict[tuple[Literal, int], Brief] = {}

    def forget(self) -> None:
        """Let go of all that was seen."""
        self._known.clear()

    def of(self, conjunction: Conjunction, deep: int = 0) -> Brief:
        """What is seen of a conjunction; with no kinds nothing can be so."""
        brief = ANYTHING
        for literal in conjunction:
            brief = self._both(brief, self._literal(literal, deep))
        return brief

    def may_hold(self, option: Conjunction, known: Brief) -> bool:
        """Whether an option may hold besides what is known."""
        for literal in option:
            if not known.kinds:
                break
            known = self._both(known, self._literal(literal, 0))
        return bool(known.kinds)

    def are_apart(self, one: Schema, other: Schema) -> bool:
        """Whether nothing is as both say, for all that is seen."""
        literals = (Literal(self._parts.number(node)) for node in (one, other))
        first, second = (self._literal(literal, 0) for literal in literals)
        return not self._both(first, second).kinds

    def facts(self, facts: Constraints) -> Brief:
        """What is seen of what was gathered."""
        needed = {}
        for name in facts.required:
            brief = ANYTHING
            for rule in facts.objects:
                if name in rule.named:
                    brief = self._both(brief, self._schema(rule.named[name], 1))
            needed[name] = brief
        barred = frozenset(name for rule in facts.objects for name, part in rule.named.items() if part is False)
        combined = Brief(facts.kinds, facts.values, facts.not_values, needed, barred)
        for rule in facts.objects:
            if rule.rest is False and not rule.patterns:
                combined = self._both(combined, Brief(closed=frozenset(rule.named)))
        return combined.clear()

    def _both(self, one: Brief, other: Brief) -> Brief:
        """What is seen of what is as both."""
        if one is ANYTHING or other is ANYTHING:
            self._costs.count()
            return other if one is ANYTHING else one
        self._costs.count(14 + (one.weight + other.weight) // 2)
        return one.both(other)

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
        brief = ANYTHING
        if "$ref" in node:
            brief = self._schema(self._parts.document.target(node), deep + 1)
            if self._parts.document.draft <= 7:
                return brief
        brief = self._both(self._both(brief, self._own(node)), self._object(node, deep))
        for part in node.get("allOf", ()):
            brief = self._both(brief, self._schema(part, deep + 1))
        if "not" in node:
            brief = self._both(brief, self._literal(Literal(self._parts.number(node["not"]), holds=False), deep + 1))
        for keyword in ("anyOf", "oneOf"):
            if node.get(keyword):
                brief = self._both(brief, self._either(self._schema(part, deep + 1) for part in node[keyword]))
        return brief

    def _own(self, node: dict[str, Any]) -> Brief:
        """By `type`, `const` and `enum`."""
        values = next((self._parts.values(node, keyword) for keyword in ("const", "enum") if keyword in node), None)
        without = self._parts.values(node, NOT) if NOT in node else {}
        return Brief(kinds=_kinds(node) & node.get(KINDS, EVERY_KIND), values=values, without=without).clear()

    def _either(self, briefs: Iterable[Brief]) -> Brief:
        """What is seen of what is as one of them."""
        options = list(briefs)
        kinds = frozenset(kind for brief in options for kind in brief.kinds)
        if any(brief.values is None for brief in options):
            return Brief(kinds=kinds)
        values: dict[str, Any] = {}
        for brief in options:
            self._costs.count(1 + len(brief.values or ()))
            values.update(brief.values or {})
        return Brief(kinds=kinds, values=values)

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
            case "const" | "enum" as keyword:
                return Brief(without=self._parts.values(node, keyword))
            case "type":
                return Brief(kinds=EVERY_KIND - _kinds(node))
            case _:
                return ANYTHING


def _kinds(node: dict[str, Any]) -> frozenset[str]:
    """Those that `type` names."""
    if (named := node.get("type")) is None:
        return EVERY_KIND
    return frozenset(kind for name in ([named] if isinstance(named, str) else named) for kind in kinds_of(name))


def _joined(some: Values, others: Values) -> Values:
    return {**some, **others} if some and others else some or others
