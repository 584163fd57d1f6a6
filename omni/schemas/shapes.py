"""The forms that the values of a case can have: words, texts, numbers, and sequences of what other conjunctions allow."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any, NamedTuple

from omni.schemas._cases import Cases
from omni.schemas._errors import Impossible, TooMuch
from omni.schemas._texts import Texts
from omni.schemas.documents import Schema
from omni.schemas.facts import (
    Conjunction,
    Constraints,
    Contained,
    KeywordPlace,
    ListRule,
    Literal,
    Loose,
    ObjectRule,
    key_of,
    keyed,
    kind_of,
)
from omni.schemas.languages import Language, Languages
from omni.schemas.loads import Loads
from omni.schemas.numbers import UNBOUNDED, Bounds, Numbers, plain

MOST_UNIQUE = 64  # values of a list that has none twice
MOST_PLACES = 8  # where an item is put that a list must contain
MOST_PATTERNS = 3  # of names, all combinations of which are looked at
LONGEST_LIST = 10_000  # items that are worth counting
MOST_MULTIPLES = 1000  # of a step whose multiples no engine follows
HARDEST = 1000  # digits of a step, read as one number, whose multiples an engine follows: with 3,333 it may give up


@dataclass(frozen=True, slots=True)
class Words:
    """One of these values."""

    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of `language`; None: any text."""

    language: Language | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number whose text is in `language`; or, with a `step`, a multiple of it within `bounds`."""

    language: Language | None
    whole: bool
    step: Decimal | None = None
    bounds: Bounds = UNBOUNDED


class Member(NamedTuple):
    """An item, or a property by its name."""

    name: str | None
    value: Conjunction
    needed: bool


class Tail(NamedTuple):
    """Items, or properties whose names are in `names` (None: any)."""

    names: Language | None
    value: Conjunction


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list, or an object: `members` in this order, then any of `tails` again and again; from `least` to `most` in all.

    `skips`: each member that is not needed may be left out; else it ends where one is left out. `unique`: no two items
    are equal, which a grammar cannot keep.
    """

    is_object: bool
    members: tuple[Member, ...]
    tails: tuple[Tail, ...]
    least: int
    most: int | None
    skips: bool
    unique: bool = False


Shape = Words | Text | Number | Sequence


class Shaped(NamedTuple):
    """A shape, and what of its case it does not keep."""

    shape: Shape
    loose: frozenset[Loose]


class Shapes:
    """Finds the shapes of cases. `spoken`: what says nothing of types is of those that its keywords speak of."""

    def __init__(self, cases: Cases, languages: Languages, loads: Loads, *, spoken: bool = True) -> None:
        self._cases, self._parts, self._languages, self._spoken = cases, cases.parts, languages, spoken
        self._loads, self._numbers, self._texts = loads, Numbers(languages), Texts(cases, languages, loads)
        self._nothing = self._parts.conjunction([Literal(self._parts.number({"not": {}}))]) or ()

    def of(self, facts: Constraints) -> Iterator[Shaped | Impossible]:
        """The shapes of one case, and why others are none."""
        kinds = facts.kinds
        if self._spoken and not facts.typed and facts.values is None and kinds & facts.spoken:
            kinds &= facts.spoken
        if facts.values is not None:
            yield from self._words(facts, kinds)
            return
        makers = {
            "string": self._text,
            "array": self._lists,
            "object": self._objects,
        }
        for kind, known in (("null", (None,)), ("boolean", (True, False))):
            words = tuple(one for one in known if key_of(one) not in facts.not_values)
            if kind in kinds and words:
                yield Shaped(Words(words), facts.loose)
            elif kind in kinds:
                yield Impossible("denies all that the rest of it allows", *facts.by("not"))
        if numbers := kinds & {"integer", "fraction"}:
            yield from _tried(self._number(facts, numbers))
        for kind, make in makers.items():
            if kind in kinds:
                yield from _tried(make(facts))

    # -- values to choose from, texts, numbers

    def _words(self, facts: Constraints, kinds: frozenset[str]) -> Iterator[Shaped | Impossible]:
        assert facts.values is not None
        values = tuple(
            value for key, value in facts.values.items() if kind_of(value) in kinds and key not in facts.not_values
        )
        plain = Constraints(kinds=facts.kinds, typed=facts.typed, values=facts.values, not_values=facts.not_values)
        told: dict[frozenset[Loose], list[Any]] = {frozenset(facts.loose): list(values)}
        if facts != plain and values:
            self._cases.costs.count(sum(200 if isinstance(value, dict | list) else 10 for value in values))
            told = {}
            for value in values:
                if (loose := self._fits(value, facts)) is not None:
                    told.setdefault(loose, []).append(value)
        if any(told.values()):
            yield from (Shaped(Words(tuple(offered)), loose) for loose, offered in told.items())
        else:
            yield Impossible("names no value that the rest of it allows", *facts.by("enum"))

    def _fits(self, value: Any, facts: Constraints) -> frozenset[Loose] | None:
        """What nobody can tell of a value besides that it is as a case says; None for one that is not."""
        match value:
            case _ if key_of(value) in facts.not_values or kind_of(value) not in facts.kinds:
                return None
            case str():
                return facts.loose if self._texts.hold(value, facts) else None
            case bool() | None:
                return facts.loose
            case int() | float():
                number = Decimal(str(value))
                return (
                    facts.loose if facts.bounds.hold(number) and not any(number % one for one in facts.steps) else None
                )
        self._cases.costs.count(1 + len(value))
        loose = self._fits_object(value, facts) if isinstance(value, dict) else self._fits_list(value, facts)
        return None if loose is None else loose | facts.loose

    def _fits_object(self, value: dict[str, Any], facts: Constraints) -> frozenset[Loose] | None:
        most = len(value) if facts.most_properties is None else facts.most_properties
        needed = {*facts.required, *(need for name in value for need in facts.depends.get(name, ()))}
        if not facts.least_properties <= len(value) <= most or needed - value.keys():
            return None
        names = self._names(facts)
        named = _together(self.told(conjunction, name) for conjunction in names for name in value)
        parts = ((self._property(facts, name), part) for name, part in value.items())
        fit = _together(None if wanted is None else self.told(wanted, part) for wanted, part in parts)
        if fit is None and any(
            self._cases.language(one, "#") is None for rule in facts.objects for one in rule.patterns
        ):
            fit = frozenset({Loose(*facts.by("enum"))})  # nobody can tell which names are meant
        return None if named is None or fit is None else named | fit

    def _fits_list(self, value: list[Any], facts: Constraints) -> frozenset[Loose] | None:
        most = len(value) if facts.most_items is None else facts.most_items
        if not facts.least_items <= len(value) <= most:
            return None
        if facts.unique and len({key_of(one) for one in value}) < len(value):
            return None
        verdicts: list[frozenset[Loose] | None] = []
        within: list[list[tuple[Schema, bool]]] = [[] for _ in value]  # what an item is contained as
        for one in facts.contained:
            conjunction = self._joined([(one.schema, True)])
            told = [None if conjunction is None else self.told(conjunction, part) for part in value]
            sure = sum(each == frozenset() for each in told)
            may_be = sum(each is not None for each in told)
            if may_be < one.least or (one.most is not None and sure > one.most):
                return None
            if sure < one.least or (one.most is not None and may_be > one.most):
                verdicts.append(frozenset({Loose("contains", one.place)}))
            for at, each in enumerate(told):
                within[at] += [(one.schema, True)] if each is not None else []
        for at, part in enumerate(value):
            wanted = self._items(facts, at, within[at])
            verdicts.append(None if wanted is None else self.told(wanted, part))
        return _together(verdicts)

    def told(self, conjunction: Conjunction, value: Any) -> frozenset[Loose] | None:
        """What nobody can tell of a value besides that it is as a conjunction says; None for one that is not."""
        ahead, seen, cases = [conjunction], {conjunction}, list[Constraints]()
        while ahead:
            expansion = self._cases.of(ahead.pop())
            cases += expansion.cases
            ahead += [link for link in expansion.links if link not in seen]
            seen.update(expansion.links)
        listed = (facts for facts in cases if facts.values is None or key_of(value) in facts.values)
        return _least(self._fits(value, facts) for facts in listed)

    def _text(self, facts: Constraints) -> Iterator[Shaped]:
        language, loose = self._texts.of(facts)
        yield Shaped(Text(None if language is self._languages.any_text else language), loose)

    def _number(self, facts: Constraints, kinds: frozenset[str]) -> Iterator[Shaped]:
        make, bounds = self._languages, facts.bounds.tame()
        if bounds is None:
            raise TooMuch("is beyond what can be written out", *_bounding(facts))
        whole = kinds == {"integer"}
        step = _common((*facts.steps, Decimal(1)) if whole and facts.steps else facts.steps)
        if step is not None and step == step.to_integral_value():
            if kinds == {"fraction"}:
                raise Impossible("allows whole numbers only, the rest of it none", *facts.by("multipleOf"))
            whole = True
        self._cases.costs.count(1 + len(facts.not_values))
        unwanted = [
            Decimal(str(value)) for value in facts.not_values.values() if kind_of(value) in ("integer", "fraction")
        ]
        places = _places(step)
        if step is not None and places is None:
            if (inside := bounds.multiples(step) and bounds.readable(step).multiples(step)) is None:
                told = " and ".join(plain(one) for one in facts.steps)
                kind = "whole number" if kinds == {"integer"} and any(one % 1 for one in facts.steps) else "number"
                raise Impossible(
                    f"leaves no {kind}: {bounds.said()} there is no multiple of {told}", *facts.by("multipleOf")
                )
            if _is_easy(step):
                loose = facts.loose | ({Loose(*facts.by("not"))} if unwanted or kinds == {"fraction"} else set())
                yield Shaped(Number(None, whole, step, inside), loose)
            else:
                yield Shaped(Words(_multiples(step, inside, kinds, unwanted)), facts.loose)
            return
        if whole:
            language = self._numbers.integers(bounds)
        else:
            language = self._numbers.fractions(bounds, only=kinds == {"fraction"}, places=places)
        language = make.every(language, *(make.other(self._numbers.same(value)) for value in unwanted))
        if not self._languages.may_be(language):
            number = "whole number" if whole else "number"
            raise Impossible(
                f"leaves no {number}: {bounds.said() or 'besides those denied'} there is none", *_bounding(facts)
            )
        yield Shaped(Number(language, whole), facts.loose)

    # -- lists

    def _lists(self, facts: Constraints) -> Iterator[Shaped | Impossible]:
        contained = [one for one in facts.contained if one.least or one.most is not None]
        offsets = (
            range(min(MOST_PLACES, max((len(rule.first) for rule in facts.lists), default=0) + 1))
            if contained
            else (0,)
        )
        for offset in offsets:
            yield from _tried(self._list(facts, contained, offset))

    def _list(self, facts: Constraints, contained: list[Contained], offset: int) -> Iterator[Shaped]:
        if (count := sum(one.least for one in contained)) > LONGEST_LIST:
            raise TooMuch(f"asks for {count:,} items, and {LONGEST_LIST:,} can be kept", *self._asking(facts, count))
        extra, count, others = _placed(contained, offset)
        first = max((len(rule.first) for rule in facts.lists), default=0)
        least, most = max(facts.least_items, count), facts.most_items
        if least > LONGEST_LIST:
            raise TooMuch(f"asks for {least:,} items, and {LONGEST_LIST:,} can be kept", *self._asking(facts, least))
        rest = self._items(facts, None, others)
        self._cases.costs.count((1 + max(first, count)) * (1 + len(facts.lists)))
        items = []
        for at in range(min(max(first, count), most if most is not None else first + count)):
            conjunction = self._items(facts, at, extra.get(at, others))
            if conjunction is None:
                if at in extra:
                    raise Impossible(
                        "asks for an item that the rest of it does not allow", "contains", contained[0].place
                    )
                most = at if most is None else min(most, at)
                break
            items.append(conjunction)
        if rest is None:
            most = len(items) if most is None else min(most, len(items))
        if most is not None and most < least:
            raise Impossible(f"asks for {least:,} items, and there can be {most:,}", *self._asking(facts, least))
        loose, unique = facts.loose, bool(facts.unique) and (most is None or most > 1)
        if unique and not items and rest is not None and (values := self._finite(rest)) is not None:
            yield Shaped(self._chosen(values, least, most, facts.unique), loose)
            return
        if unique and least > 1:
            loose |= {Loose("uniqueItems", facts.unique)}  # when what is there twice is left out, too few may be left
        if any(isinstance(value, list) for value in facts.not_values.values()):
            loose |= {Loose(*facts.by("not"))}
        members = tuple(Member(None, value, at < least) for at, value in enumerate(items))
        tails = () if rest is None else (Tail(None, rest),)
        yield Shaped(Sequence(False, members, tails, least, most, skips=False, unique=unique), loose)

    def _asking(self, facts: Constraints, least: int) -> KeywordPlace:
        """What asks for so many items."""
        if least > facts.least_items:
            return KeywordPlace("contains", next(one.place for one in facts.contained if one.least))
        return facts.by("minItems")

    def _items(self, facts: Constraints, at: int | None, extra: list[tuple[Schema, bool]]) -> Conjunction | None:
        """What the item number `at` must be (None: those after the first ones); None when none can be there."""
        wanted = [(part, True) for rule in facts.lists if (part := _item(rule, at)) is not None]
        for rest in facts.rest_items:
            rules = [rule for rule in facts.lists if rest.scope in rule.scopes]
            contained = [one.schema for one in facts.contained if rest.scope in one.scopes]
            if any(holds and any(part is one for one in contained) for part, holds in extra):
                continue
            if not any(rule.rest is not None or (at is not None and at < len(rule.first)) for rule in rules):
                wanted.append((rest.schema, True))
        return self._joined([*wanted, *extra])

    def _joined(self, wanted: Iterable[tuple[Schema, bool]]) -> Conjunction | None:
        conjunction = self._parts.conjunction(Literal(self._parts.number(node), holds) for node, holds in wanted)
        return None if conjunction is None or not self._cases.briefs.of(conjunction).kinds else conjunction

    def _finite(self, conjunction: Conjunction) -> list[Any] | None:
        """All values of a conjunction, when they are few."""
        expansion, values = self._cases.of(conjunction), list[Any]()
        if expansion.narrowed:
            return None
        for link in expansion.links:
            if (more := self._finite(link)) is None:
                return None
            values += more
        for facts in expansion.cases:
            if facts.values is None and not facts.kinds <= {"null", "boolean"}:
                return None
            for shaped in self.of(facts):
                if isinstance(shaped, Shaped):
                    assert isinstance(shaped.shape, Words)
                    values += shaped.shape.values
        different = list(keyed(values).values())
        return different if len(different) <= MOST_UNIQUE else None

    def _chosen(self, values: list[Any], least: int, most: int | None, place: str) -> Sequence:
        """Some of these values, none twice, in their order."""
        if len(values) < least:
            raise Impossible(f"asks for {least:,} different items, and there are {len(values):,}", "uniqueItems", place)
        members = []
        for value in values:
            part = self._parts.made({"const": value}, "#")
            members.append(Member(None, (Literal(self._parts.number(part)),), needed=False))
        return Sequence(
            False, tuple(members), (), least, None if most is None or most >= len(values) else most, skips=True
        )

    # -- objects

    def _objects(self, facts: Constraints) -> Iterator[Shaped | Impossible]:
        self._cases.costs.count(len(facts.depends) ** 2)
        for present in _chosen_dependents(facts):
            yield from _tried(self._object(facts, present))

    def _object(self, facts: Constraints, present: dict[str, bool]) -> Iterator[Shaped]:
        required = dict(facts.required) | {name: "" for name, there in present.items() if there}
        names = dict.fromkeys(name for rule in facts.objects for name in rule.named) | dict.fromkeys(required)
        said = 1 + sum(1 + len(rule.patterns) for rule in facts.objects)
        self._cases.costs.count((1 + len(names)) * said * (1 + len(facts.rest_properties)))
        members, loose = [], facts.loose
        for name in names:
            if present.get(name) is False:
                continue
            value = self._property(facts, name)
            named = _together(self.told(conjunction, name) for conjunction in self._names(facts))
            if value is not None and named is not None:
                loose |= named
                members.append(Member(name, value, name in required))
            elif name in required:
                raise Impossible(f"names {name[:100]!r}, which cannot be there", "required", required[name])
        least, most = facts.least_properties, facts.most_properties
        if least > LONGEST_LIST:
            raise TooMuch(
                f"asks for {least:,} properties, and {LONGEST_LIST:,} can be kept", *facts.by("minProperties")
            )
        needed = sum(member.needed for member in members)
        if most is not None and most < max(needed, least):
            raise Impossible(f"is {most:,}, and {max(needed, least):,} must be there", *facts.by("maxProperties"))
        tails = tuple(self._tails(facts, names, present, few=least > len(members)))
        if least > len(members) and not tails:
            raise Impossible(f"asks for {least:,}, and there can be {len(members):,}", *facts.by("minProperties"))
        if tails and least - needed > 1:
            loose |= {Loose(*facts.by("minProperties"))}  # two may have one name
        if any(isinstance(value, dict) for value in facts.not_values.values()):
            loose |= {Loose(*facts.by("not"))}
        yield Shaped(Sequence(True, tuple(members), tails, least, most, skips=True), loose)

    def _property(self, facts: Constraints, name: str) -> Conjunction | None:
        """What a property of this name must be; None when it cannot be there."""
        wanted = [(part, True) for rule in facts.objects for part in self._said(rule, name)]
        for rest in facts.rest_properties:
            rules = [rule for rule in facts.objects if rest.scope in rule.scopes]
            if not any(rule.rest is not None or self._speaks(rule, name) for rule in rules):
                wanted.append((rest.schema, True))
        return self._joined(wanted)

    def _speaks(self, rule: ObjectRule, name: str) -> bool:
        """Whether a rule surely says something of a name by itself."""
        languages = (self._cases.language(pattern, "#") for pattern in rule.patterns)
        return name in rule.named or any(one is not None and self._languages.accepts(one, name) for one in languages)

    def _said(self, rule: ObjectRule, name: str) -> Iterator[Schema]:
        if name in rule.named:
            yield rule.named[name]
        matched = False
        for pattern, part in rule.patterns.items():
            language = self._cases.language(pattern, "#")
            if language is None:
                yield part  # it may be meant, and so may the rest
            elif self._languages.accepts(language, name):
                matched = True
                yield part
        if rule.rest is not None and name not in rule.named and not matched:
            yield rule.rest

    def _names(self, facts: Constraints) -> list[Conjunction]:
        conjunctions = (self._parts.conjunction([Literal(self._parts.number(schema))]) for schema in facts.names)
        return [self._nothing if one is None else one for one in conjunctions]

    def _tails(self, facts: Constraints, named: Iterable[str], barred: Iterable[str], *, few: bool) -> Iterator[Tail]:
        """Properties by patterns, and all others: where something is said of them, or nothing at all of any property.
        Those that are `named`, or `barred`, are not among them."""
        make = self._languages
        known = {pattern: None for rule in facts.objects for pattern in rule.patterns}
        patterns = {
            pattern: compiled for pattern in known if (compiled := self._cases.language(pattern, "#")) is not None
        }
        allowed = self._names_allowed(facts, (*named, *barred))
        if allowed is None or len(patterns) < len(known):  # whether a name is like a pattern, nobody knows
            return
        closed = any(rule.rest is False and not rule.patterns for rule in facts.objects)
        if closed and len(facts.objects) == 1:
            return
        said = few or not any(True for _ in named) or any(rule.rest is not None for rule in facts.objects)
        for chosen in _subsets(list(patterns)):
            if not chosen and not said:
                continue
            names = make.every(
                allowed,
                *(patterns[pattern] for pattern in chosen),
                *(make.other(language) for pattern, language in patterns.items() if pattern not in chosen),
            )
            value = self._tail_value(facts, chosen)
            if value is not None and make.may_be(names) and not self._loads.are_too_much(names):
                yield Tail(None if names is make.any_text else names, value)

    def _tail_value(self, facts: Constraints, chosen: tuple[str, ...]) -> Conjunction | None:
        wanted: list[tuple[Schema, bool]] = []
        for rule in facts.objects:
            parts = [rule.patterns[pattern] for pattern in chosen if pattern in rule.patterns]
            if not parts and rule.rest is not None:
                parts = [rule.rest]
            wanted += [(part, True) for part in parts]
        for rest in facts.rest_properties:
            rules = [rule for rule in facts.objects if rest.scope in rule.scopes]
            if not any(rule.rest is not None or rule.patterns.keys() & set(chosen) for rule in rules):
                wanted.append((rest.schema, True))
        return self._joined(wanted)

    def _names_allowed(self, facts: Constraints, named: Iterable[str]) -> Language | None:
        """The names that properties may have besides those that are named; None for none, or where nobody can tell."""
        make = self._languages
        parts = [make.other(make.either(*(make.text(name) for name in named)))]
        for conjunction in self._names(facts):
            expansion = self._cases.of(conjunction)
            texts = []
            for facts_of in expansion.cases:
                for shaped in self.of(facts_of):
                    if isinstance(shaped, Shaped) and not shaped.loose:
                        if isinstance(shaped.shape, Text):
                            texts.append(shaped.shape.language or make.any_text)
                        elif isinstance(shaped.shape, Words):
                            texts += [make.text(value) for value in shaped.shape.values if isinstance(value, str)]
            parts.append(make.either(*texts))
        language = make.every(*parts)
        return language if make.may_be(language) else None


def _tried(made: Iterator[Shaped | Impossible] | Iterator[Shaped]) -> Iterator[Shaped | Impossible]:
    try:
        yield from made
    except Impossible as error:
        yield error


def _least(told: Iterable[frozenset[Loose] | None]) -> frozenset[Loose] | None:
    """Of several ways in which something may be so, the one of which the most is known."""
    best: frozenset[Loose] | None = None
    for loose in told:
        if loose is not None and (best is None or len(loose) < len(best)):
            best = loose
        if best is not None and not best:
            break
    return best


def _together(told: Iterable[frozenset[Loose] | None]) -> frozenset[Loose] | None:
    """What nobody can tell of all."""
    union: frozenset[Loose] = frozenset()
    for loose in told:
        if loose is None:
            return None
        union |= loose
    return union


def _bounding(facts: Constraints) -> KeywordPlace:
    return facts.by("maximum" if facts.bounds.least is None else "minimum")


def _item(rule: ListRule, at: int | None) -> Schema | None:
    return rule.first[at] if at is not None and at < len(rule.first) else rule.rest


def _placed(
    contained: list[Contained], offset: int
) -> tuple[dict[int, list[tuple[Schema, bool]]], int, list[tuple[Schema, bool]]]:
    """What the items at some places must be besides, how many items there are at least, and what all others must be."""
    extra: dict[int, list[tuple[Schema, bool]]] = {}
    at = offset
    for one in contained:
        for _ in range(one.least):
            extra[at] = [(one.schema, True)]
            at += 1
    others = [(one.schema, False) for one in contained if one.most is not None]
    for place, wanted in extra.items():
        wanted += [each for each in others if each[0] is not extra[place][0][0]]
    return extra, at if extra else 0, others


def _chosen_dependents(facts: Constraints) -> Iterator[dict[str, bool]]:
    """Which properties are there that need others: none, each by itself, and all."""
    open_ = {name: needs for name, needs in facts.depends.items() if name not in facts.required}
    always = dict.fromkeys((each for name in facts.required for each in _needs(name, facts)), True)
    free = [
        name
        for name in open_
        if name not in always and not set(_needs(name, facts)) <= always.keys() | facts.required.keys()
    ]
    if not free:
        yield always
        return
    yield dict.fromkeys(free, False) | always
    for name in free:
        there = dict.fromkeys((name, *_needs(name, facts)), True)
        yield dict.fromkeys(free, False) | always | there
    if len(free) > 1:
        yield always | {each: True for name in free for each in (name, *_needs(name, facts))}


def _needs(name: str, facts: Constraints) -> set[str]:
    """All that a property needs, and what that needs."""
    needed: set[str] = set()
    ahead = [name]
    while ahead:
        for each in facts.depends.get(ahead.pop(), ()):
            if each not in needed:
                needed.add(each)
                ahead.append(each)
    return needed - {name}


def _subsets(patterns: list[str]) -> Iterator[tuple[str, ...]]:
    most = len(patterns) if len(patterns) <= MOST_PATTERNS else 1
    for count in range(most + 1):
        yield from combinations(patterns, count)


def _common(steps: tuple[Decimal, ...]) -> Decimal | None:
    """The least number that is a multiple of all."""
    from math import lcm

    if not steps:
        return None
    scale = max(0, *(-int(step.as_tuple().exponent) for step in steps))
    return Decimal(lcm(*(int(step.scaleb(scale)) for step in steps))).scaleb(-scale)


def _places(step: Decimal | None) -> int | None:
    """How many digits after the point multiples have, where that is all that a step says (1, 0.1, 0.01, …)."""
    if step is None:
        return None
    whole = step.normalize()
    sign, digits, exponent = whole.as_tuple()
    return -int(exponent) if (sign, digits) == (0, (1,)) and int(exponent) <= 0 else None


def _multiples(step: Decimal, bounds: Bounds, kinds: frozenset[str], unwanted: list[Decimal]) -> tuple[Any, ...]:
    """The multiples next to 0."""
    first = bounds.nearest()
    near = [first, *(first + sign * count * step for count in range(1, MOST_MULTIPLES // 2) for sign in (1, -1))]
    numbers = [one for one in near if bounds.hold(one) and one not in unwanted]
    values = (int(one) if one == one.to_integral_value() else float(one) for one in numbers)
    if not (multiples := tuple(value for value in values if kind_of(value) in kinds)):
        raise TooMuch(f"leaves only multiples of {step} that are far from 0", "multipleOf")
    return multiples


def _is_easy(step: Decimal) -> bool:
    """Whether an engine can follow the multiples: it keeps in mind what is left when the digits so far are divided."""
    scaled = float(step)
    while scaled % 1 and scaled < HARDEST:  # as the engine reads it, which is exact for few fractions
        scaled *= 10
    return scaled <= HARDEST and Decimal(scaled) == step.scaleb(max(0, -int(step.normalize().as_tuple().exponent)))
