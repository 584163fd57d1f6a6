"""All shapes that the values of a schema can have, each conjunction by itself, and a shortest value of each.

A conjunction without any value is found by what it takes to write its shortest one: that which can never be finished,
because it holds itself again and again, costs without end.
"""

import json
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omni.schemas._cases import Cases, Disjunction
from omni.schemas._errors import FALSE, Endless, Impossible, SchemaRefused, TooMuch
from omni.schemas.costs import Costs
from omni.schemas.documents import Document
from omni.schemas.facts import Conjunction, KeywordPlace, Literal
from omni.schemas.languages import Languages, TooLong
from omni.schemas.loads import Loads
from omni.schemas.numbers import DIGITS
from omni.schemas.shapes import Member, Number, Sequence, Shape, Shaped, Shapes, Tail, Text, Words

MOST = 12_000  # conjunctions
LONGEST = 1_000_000  # characters of a shortest value
ENDLESS = 1 << 40
UNKNOWN = 64  # characters of a text whose shortest form nobody found


@dataclass(slots=True)
class Form:
    """The shapes of a conjunction, and the conjunctions that are cases of it."""

    shapes: list[Shaped]
    links: list[Conjunction]
    reasons: list[Impossible]
    cost: int | None = None  # characters of its shortest value
    best: "Shape | Conjunction | None" = None
    users: list[Conjunction] = field(default_factory=list)


class _Cost(NamedTuple):
    characters: int
    way: "Shape | Conjunction"


class Forms:
    """The forms of a document. Raises SchemaRefused for one that nothing can satisfy, or that is too much."""

    def __init__(self, document: Document, costs: Costs, *, spoken: bool = True) -> None:
        self.languages, self.costs = Languages(costs), costs
        self.cases = Cases(document, self.languages, costs)
        self.loads = Loads(self.languages)
        self._shapes = Shapes(self.cases, self.languages, self.loads, spoken=spoken)
        self._forms: dict[Conjunction, Form] = {}
        parts = self.cases.parts
        root = parts.conjunction([Literal(parts.number(document.root))])
        if root is None:
            reason = Impossible("leads to false, which allows nothing", "$ref") if document.root else Impossible(FALSE)
            raise reason.refusal("#")
        self.root: Conjunction = root
        self._gather(deque([root]))
        self._reckon()
        while self._loosen():
            self._reckon()
        while self._loosen(self._missing()):
            self._reckon()
        if (cost := self._forms[root].cost) is None:
            raise self._refusal()
        if cost > LONGEST:
            raise self._longest().refusal("#")

    def forget(self) -> None:
        """Let go of what only finding them needed."""
        self.cases.forget()
        for form in self._forms.values():
            form.reasons.clear()
            form.users.clear()

    def __getitem__(self, conjunction: Conjunction) -> Form:
        return self._forms[conjunction]

    def cost(self, conjunction: Conjunction) -> int | None:
        """Characters of the shortest value; None where there is none."""
        return self._forms[conjunction].cost

    def reached(self) -> Iterator[Shaped]:
        """All shapes that a value of the whole may have in it."""
        seen, ahead = {self.root}, [self.root]
        while ahead:
            form = self._forms[ahead.pop()]
            yield from (shaped for shaped in form.shapes if self.cost_of(shaped.shape) is not None)
            for each in _uses(form):
                if each not in seen and self._forms[each].cost is not None:
                    seen.add(each)
                    ahead.append(each)

    def __iter__(self) -> Iterator[Conjunction]:
        return iter(self._forms)

    def closure(self, conjunction: Conjunction) -> list[Conjunction]:
        """A conjunction, and all that are cases of it."""
        reached = {conjunction: None}
        ahead = [conjunction]
        while ahead:
            links = self._forms[ahead.pop()].links
            self.costs.count(1 + len(links) // 4)
            for link in links:
                if link not in reached:
                    reached[link] = None
                    ahead.append(link)
        return list(reached)

    def is_word(self, conjunction: Conjunction) -> bool:
        """Whether it is one of few values that are told."""
        form = self._forms[conjunction]
        return bool(form.shapes) and all(isinstance(one.shape, Words) for one in form.shapes)

    def leads(self, link: Conjunction, conjunction: Conjunction) -> bool:
        """Whether one is a case of the other, by itself or by others in between."""
        return conjunction in self.closure(link)

    def circles(self) -> dict[Conjunction, int]:
        """Those that hold themselves, each with the number of the circle it stands in."""
        return _circles({one: list(_uses(form)) for one, form in self._forms.items()})

    # -- gathering

    def _gather(self, ahead: deque[Conjunction]) -> None:
        while ahead:
            conjunction = ahead.popleft()
            if conjunction in self._forms:
                continue
            if len(self._forms) >= MOST:
                raise TooMuch(
                    f"leads to more than {MOST:,} different parts, counting what is joined of several"
                ).refusal("#")
            form = self._forms[conjunction] = self._form(self.cases.of(conjunction))
            ahead.extend(_uses(form))
        for form in self._forms.values():
            form.users.clear()
        for conjunction, form in self._forms.items():
            for each in set(_uses(form)):
                self._forms[each].users.append(conjunction)

    def _form(self, outcome: Disjunction) -> Form:
        shapes: list[Shaped] = []
        reasons = list(outcome.reasons)
        for facts in outcome.cases:
            for shaped in self._shapes.of(facts):
                if isinstance(shaped, Impossible):
                    reasons.append(shaped)
                elif shaped not in shapes:
                    shapes.append(shaped)
        return Form(shapes, outcome.links, reasons)

    def _missing(self) -> set[Conjunction]:
        """What there is no value of, and what keeps a part of the schema itself from having one."""
        missing: set[Conjunction] = set()
        ahead = [one for one, form in self._forms.items() if form.cost is None and not self.cases.is_made(one)]
        while ahead:
            conjunction = ahead.pop()
            if conjunction not in missing and self._forms[conjunction].cost is None:
                missing.add(conjunction)
                ahead.extend(_uses(self._forms[conjunction]))
        self.costs.count(len(self._forms) + len(missing))
        return missing

    def _loosen(self, made: Collection[Conjunction] = ()) -> bool:
        """Leave to the proof what cannot be said otherwise, wherever that leaves no value; whether there was any. Of parts
        that were made to deny others only in those of `made`: what is denied may be so in another way."""
        ahead = deque[Conjunction]()
        for conjunction, form in self._forms.items():
            if form.cost is not None or (self.cases.is_made(conjunction) and conjunction not in made):
                continue
            if (loosened := self.cases.loosen(conjunction)) is not None:
                self._forms[conjunction] = form = self._form(loosened)
                ahead.extend(_uses(form))
                ahead.append(conjunction)
        if not ahead:
            return False
        self._gather(ahead)
        return True

    # -- reckoning

    def _reckon(self) -> None:
        ahead, waiting = deque(self._forms), set(self._forms)
        while ahead:
            conjunction = ahead.popleft()
            waiting.discard(conjunction)
            form = self._forms[conjunction]
            self.costs.count(1 + len(form.links) + sum(_size(one.shape) for one in form.shapes))
            cheapest = min(self._ways(form), key=lambda one: one.characters, default=None)
            if cheapest is not None and (form.cost is None or cheapest.characters < form.cost):
                form.cost, form.best = cheapest
                for user in form.users:
                    if user not in waiting:
                        waiting.add(user)
                        ahead.append(user)

    def _ways(self, form: Form) -> Iterator[_Cost]:
        for shaped in form.shapes:
            if (cost := self.cost_of(shaped.shape)) is not None:
                yield _Cost(cost, shaped.shape)
        for link in form.links:
            if (cost := self._forms[link].cost) is not None:
                yield _Cost(cost, link)

    def cost_of(self, shape: Shape) -> int | None:
        """Characters of the shortest value of a shape; None where there is none."""
        if not isinstance(shape, Sequence):
            return len(json.dumps(self._value(shape)))
        parts = self.least(shape)
        if parts is None:
            return None
        return min(ENDLESS, 2 + sum((self._part_cost(part) or 0) * count for part, count in parts))

    def _part_cost(self, part: Member | Tail) -> int | None:
        cost = self._forms[part.value].cost
        if cost is None:
            return None
        if isinstance(part, Member):
            return cost + 2 + (len(json.dumps(part.name)) + 2 if part.name is not None else 0)
        return cost + 2 + (len(self._name(part)) + 4 if part.names is not None else 0)

    def least(self, shape: Sequence) -> list[tuple[Member | Tail, int]] | None:
        """The parts of a shortest value, and how often each is there; None where there is none."""
        members: list[Member | Tail] = [member for member in shape.members if member.needed]
        if any(self._forms[part.value].cost is None for part in members):
            return None
        if shape.skips:
            free = [
                (cost, at) for at, one in enumerate(shape.members) if not one.needed and (cost := self._part_cost(one))
            ]
            free.sort()
            chosen = {at for _, at in free[: max(0, shape.least - len(members))]}
            members = [one for at, one in enumerate(shape.members) if one.needed or at in chosen]
        parts: list[tuple[Member | Tail, int]] = [(part, 1) for part in members]
        if (missing := shape.least - len(members)) > 0:
            tails = [(cost, at) for at, tail in enumerate(shape.tails) if (cost := self._part_cost(tail)) is not None]
            if not tails:
                return None
            parts.append((shape.tails[min(tails)[1]], missing))
        return parts

    def _value(self, shape: Words | Text | Number) -> Any:
        """A short value, from which the characters are counted."""
        match shape:
            case Words(values=values):
                return min(values, key=lambda one: len(json.dumps(one)))
            case Text(language=language):
                return "" if language is None else self._text(language)
            case Number(language=None, bounds=bounds):
                nearest = bounds.nearest()
                return int(nearest) if nearest == nearest.to_integral_value() else float(nearest)
            case Number(language=language):
                text = self._text(language, unknown="9" * DIGITS)
                return float(text) if any(sign in text for sign in ".eE") else int(text)

    def _name(self, tail: Tail) -> str:
        return "" if tail.names is None else self._text(tail.names)

    def _text(self, language: Any, unknown: str = "?" * UNKNOWN) -> str:
        """A short text of a language; `unknown` where nobody found one."""
        try:
            return self.languages.short(language) or ""
        except TooLong:
            return unknown

    # -- refusing

    def heaviest(self) -> KeywordPlace:
        """What makes the grammar large, or hard to follow, more than all else, as far as one keyword does."""
        each = [
            (_heft(one.shape), conjunction, one.shape)
            for conjunction, form in self._forms.items()
            for one in form.shapes
        ]
        _, conjunction, shape = max(each, key=lambda one: one[0])
        parts, wanted = self.cases.parts, _WANTING[type(shape)]
        for literal in conjunction:
            node = parts.node(literal)
            for keyword in wanted:
                if isinstance(node, dict) and keyword in node:
                    return KeywordPlace(keyword, parts.place(literal))
        return KeywordPlace(wanted[0], self.place(conjunction))

    def place(self, conjunction: Conjunction) -> str:
        """Where it stands, as far as that is one place."""
        parts = self.cases.parts
        return next((place for one in conjunction if (place := parts.place(one)) != "#"), "#")

    def _refusal(self) -> SchemaRefused:
        """Why the whole has no value: the first cause that is found below it."""
        seen, ahead = {self.root}, deque([self.root])
        while ahead:
            conjunction = ahead.popleft()
            form = self._forms[conjunction]
            if form.reasons and not form.shapes:
                return form.reasons[0].refusal(self.place(conjunction))
            if self.cases.of(conjunction).narrowed and not form.shapes:
                return TooMuch("has more alternatives than can be looked at").refusal(self.place(conjunction))
            for each in _uses(form):
                if each not in seen and self._forms[each].cost is None:
                    seen.add(each)
                    ahead.append(each)
        return Endless("leads to what holds it, and so on without end", "$ref").refusal(self._circle())

    def _circle(self) -> str:
        """Where a reference stands that leads to what has no value."""
        parts = self.cases.parts
        for node in parts.document.reached():
            if "$ref" in node:
                target = parts.conjunction([Literal(parts.number(parts.document.target(node)))])
                if target in self._forms and self._forms[target].cost is None:
                    return parts.place_of(node)
        return "#"

    def _longest(self) -> TooMuch:
        """What makes a shortest value too long: the part of it that takes the most."""
        conjunction, cost = self.root, self._forms[self.root].cost
        why = f"asks for {cost:,} characters at least, which no context holds"
        while True:
            place, best = self.place(conjunction), self._forms[conjunction].best
            match best:
                case tuple():
                    conjunction = best
                case Sequence() if parts := self.least(best):
                    each = [(count * (self._part_cost(part) or 0), count, part.value) for part, count in parts]
                    _, count, conjunction = max(each, key=lambda one: one[0])
                    if count > 1:
                        return TooMuch(why, "minProperties" if best.is_object else "minItems", place)
                case Text():
                    return TooMuch(why, "minLength", place)
                case _:
                    return TooMuch(why, "enum" if isinstance(best, Words) else "", place)


_WANTING: dict[type[Shape], tuple[str, ...]] = {
    Words: ("enum", "const"),
    Text: ("pattern", "format", "maxLength", "minLength", "not", "type"),
    Number: ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "type"),
    Sequence: ("patternProperties", "properties", "prefixItems", "items", "type"),
}


def _heft(shape: Shape) -> int:
    """About how much an engine has to follow."""
    match shape:
        case Text(language=language):
            return 0 if language is None else language.size * (10 if language.cut else 1)
        case _:
            return 10 * _size(shape)


def _size(shape: Shape) -> int:
    """About how many things are looked at to find its shortest value."""
    match shape:
        case Words(values=values):
            return len(values)
        case Sequence(members=members, tails=tails):
            return 1 + len(members) + len(tails)
        case _:
            return 1


def _uses(form: Form) -> Iterator[Conjunction]:
    yield from form.links
    for shaped in form.shapes:
        if isinstance(shaped.shape, Sequence):
            yield from (member.value for member in shaped.shape.members)
            yield from (tail.value for tail in shaped.shape.tails)


def _circles(below: dict[Conjunction, list[Conjunction]]) -> dict[Conjunction, int]:
    """Strongly connected parts of a graph that have an edge within (Tarjan 1972, without recursion)."""
    circles: dict[Conjunction, int] = {}
    order: dict[Conjunction, int] = {}
    low: dict[Conjunction, int] = {}
    path: list[Conjunction] = []
    on_path: set[Conjunction] = set()
    for root, first in below.items():
        if root in order:
            continue
        work = [(root, iter(first))]
        order[root] = low[root] = len(order)
        path.append(root)
        on_path.add(root)
        while work:
            here, more = work[-1]
            after = next(more, None)
            if after is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[here])
                if low[here] == order[here]:
                    circle: list[Conjunction] = []
                    while not circle or circle[-1] != here:
                        circle.append(path.pop())
                        on_path.discard(circle[-1])
                    if len(circle) > 1 or here in below[here]:
                        circles.update(dict.fromkeys(circle, order[here]))
            elif after not in order:
                order[after] = low[after] = len(order)
                path.append(after)
                on_path.add(after)
                work.append((after, iter(below[after])))
            elif after in on_path:
                low[here] = min(low[here], order[after])
    return circles
