"""A schema as cases: what a value must be, without `anyOf`, `oneOf`, `not`, `if` and references.

A case says enough, and never too little: a value that is as a case says is as the schema says. Where a schema has more
cases than can be written down, or denies what cannot be said otherwise, some values are left out; none is let in.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from omni.schemas._briefs import ANYTHING, Briefs
from omni.schemas._errors import FALSE, Impossible, TooMuch, Wrong
from omni.schemas._negations import denied, implies, is_whole
from omni.schemas._parts import SchemaParts
from omni.schemas.costs import Costs
from omni.schemas.documents import EXCEPT, KINDS, NOT, Document, Schema, says_nothing
from omni.schemas.expressions import BadPattern, Unkept
from omni.schemas.facts import (
    EVERY_KIND,
    Conjunction,
    Constraints,
    Contained,
    KeywordPlace,
    ListRule,
    Literal,
    Loose,
    ObjectRule,
    Unevaluated,
    kinds_of,
    number_of,
    told_kinds,
)
from omni.schemas.languages import Language, Languages
from omni.schemas.numbers import Bounds
from omni.schemas.patterns import matching

NO_LIMIT = 1_000_000  # more than any answer has of characters, items or properties: the proof keeps it
_DENYING = re.compile(r"(.*)/(not|if|oneOf)(?:/.*)?")
MOST_CASES = 64  # of one conjunction
MOST_DENYING = 12  # of one that denies something in several ways
MOST_DENIED = 6  # ways in which a value is not as it must not be, the simplest ones
MOST_STEPS = 6000  # parts and options looked at for one conjunction
MOST_COUNTS = 3000  # repetitions of what is itself repeated: an engine that follows more of them gives up
MOST_ALL = 100_000  # for all of them


@dataclass(slots=True)
class Disjunction:
    """The cases of a conjunction, and other conjunctions that are cases, too. `reasons`: why others are none."""

    cases: list[Constraints]
    links: list[Conjunction]
    reasons: list[Impossible]
    narrowed: bool = False
    partly: bool = False  # whether something was to be denied that can be said otherwise in part only


class _PendingLiteral(NamedTuple):
    """A literal that is still to be looked at. `chain`: the parts within which it stands; `scopes`: those of them for
    which what it says of items and properties counts, which is none outside a part that must not hold."""

    literal: Literal
    chain: frozenset[int]
    scopes: frozenset[int]


class _Branch(NamedTuple):
    """One of `options` must hold, each of which is several literals."""

    options: tuple[Conjunction, ...]
    chain: frozenset[int]
    scopes: frozenset[int]
    keyword: str
    place: str


class Cases:
    """Finds the cases of conjunctions of the parts of a document."""

    def __init__(self, document: Document, languages: Languages, costs: Costs) -> None:
        self.costs = costs
        self.parts = SchemaParts(document, costs)
        self.briefs = Briefs(self.parts, costs)
        self._languages = languages
        self._disjunctions: dict[Conjunction, Disjunction] = {}
        self._patterns: dict[str, Language | str] = {}
        self.deniers: dict[int, KeywordPlace] = {}  # by the number of what is denied
        self.steps = MOST_ALL

    def is_made(self, conjunction: Conjunction) -> bool:
        """Whether a part of it was made here, to deny another."""
        return any(self.parts.is_made(literal) for literal in conjunction)

    def loosen(self, conjunction: Conjunction) -> Disjunction | None:
        """Cases that leave to the proof what cannot be said otherwise, from now on; None where there is nothing such."""
        if not self._disjunctions[conjunction].partly:
            return None
        loosened = self._disjunctions[conjunction] = _Search(self, conjunction, loosely=True).run()
        loosened.partly = False  # once is enough
        return loosened

    def of(self, conjunction: Conjunction) -> Disjunction:
        """The cases of a conjunction."""
        if conjunction not in self._disjunctions:
            self._disjunctions[conjunction] = _Search(self, conjunction).run()
        return self._disjunctions[conjunction]

    def forget(self) -> None:
        """Let go of all that was found."""
        self._disjunctions.clear()
        self.briefs.forget()

    def denies(self, options: Iterable[Conjunction], denier: KeywordPlace) -> None:
        """Note who denies what."""
        for literal in (one for option in options for one in option if not one.holds):
            self.deniers.setdefault(literal.number, denier)

    def language(self, pattern: str, place: str) -> Language | None:
        """The texts that a pattern is found in; None where no grammar keeps it. Raises Impossible for what is none."""
        if pattern not in self._patterns:
            try:
                language = matching(self._languages, pattern)
                self._patterns[pattern] = "counts within counts" if _weight(language) > MOST_COUNTS else language
            except (Unkept, RecursionError) as error:
                self._patterns[pattern] = str(error)
            except BadPattern as error:
                raise Wrong(f"is no regular expression: {error}", "pattern", place) from error
        cached = self._patterns[pattern]
        return cached if isinstance(cached, Language) else None


class _Search:
    """One search for the cases of one conjunction."""

    def __init__(self, cases: Cases, conjunction: Conjunction, *, loosely: bool = False) -> None:
        self._all, self._parts, self._loosely = cases, cases.parts, loosely
        self._strictly = cases.is_made(conjunction)
        self._disjunction = Disjunction([], [], [])
        self._steps = MOST_STEPS
        self._begin = conjunction

    def run(self) -> Disjunction:
        ahead = [_PendingLiteral(literal, frozenset(), frozenset()) for literal in self._begin]
        self._look(ahead, Constraints(), [], set())
        return self._disjunction

    def _look(
        self, ahead: list[_PendingLiteral], facts: Constraints, branches: list[_Branch], seen: set[Literal]
    ) -> None:
        """Gather what holds in any case, then try the options of one branch after the other."""
        try:
            while ahead:
                at = next((at for at, one in enumerate(ahead) if one.literal.holds), 0)  # then more is known
                self._take(ahead.pop(at), ahead, facts, branches, seen)
            if not facts.kinds:
                raise Impossible("leaves no type that a value could be of", "type")
            branch = self._next(branches, facts)
        except Impossible as error:
            self._disjunction.reasons.append(error)
            return
        if branch is None:
            if len(self._disjunction.cases) < MOST_CASES:
                self._disjunction.cases.append(facts)
            else:
                self._disjunction.narrowed = True
            return
        if len(branches) == 1 and facts == Constraints():
            self._disjunction.links = list(dict.fromkeys([*self._disjunction.links, *branch.options]))
            return
        others = [one for one in branches if one is not branch]
        most = MOST_DENYING if any(one.keyword == "not" for one in branches) else MOST_CASES
        for option in branch.options:
            if self._steps <= 0 or self._all.steps <= 0 or len(self._disjunction.cases) >= most:
                self._disjunction.narrowed = True
                return
            self._try(option, branch, facts, others, seen)

    def _try(
        self, option: Conjunction, branch: _Branch, facts: Constraints, others: list[_Branch], seen: set[Literal]
    ) -> None:
        """Look at an option; at one that has no case once more, leaving to the proof what cannot be said otherwise."""
        known, partly = len(self._disjunction.cases), self._disjunction.partly
        self._disjunction.partly = False
        for loosely in (self._loosely, True):
            before, self._loosely = self._loosely, loosely
            ahead = [_PendingLiteral(literal, branch.chain, branch.scopes) for literal in option]
            self._all.costs.count(20 + len(option) + len(others) + (len(seen) + facts.weight) // 4)
            self._look(ahead, facts.copy(), list(others), set(seen))
            self._loosely = before
            if loosely or self._strictly or not self._disjunction.partly or len(self._disjunction.cases) > known:
                break
        self._disjunction.partly |= partly

    def _next(self, branches: list[_Branch], facts: Constraints) -> _Branch | None:
        """The branch with the fewest options that may hold at all. Raises Impossible when one has none."""
        best: _Branch | None = None
        known = self._all.briefs.facts(facts) if branches else ANYTHING
        for at, branch in enumerate(branches):
            self._steps -= len(branch.options)
            self._all.steps -= len(branch.options)
            fit = tuple(option for option in branch.options if self._all.briefs.may_hold(option, known))
            if branch.keyword == "not":
                fit = fit[:MOST_DENIED]
            if not fit:
                raise Impossible(_ruled_out(branch.keyword), branch.keyword, branch.place)
            branches[at] = branch = branch._replace(options=fit)
            if best is None or len(fit) < len(best.options):
                best = branch
        return best

    def _take(
        self,
        ahead: _PendingLiteral,
        more: list[_PendingLiteral],
        facts: Constraints,
        branches: list[_Branch],
        seen: set[Literal],
    ) -> None:
        literal, chain, scopes = ahead
        self._steps -= 1
        node, place = self._parts.node(literal), self._parts.place(literal)
        if isinstance(node, bool):
            if node != literal.holds:
                raise Impossible(FALSE, "", place)
            return
        if literal.number in chain:
            raise Impossible("leads back to itself", "$ref", place)
        if literal in seen:
            return
        if Literal(literal.number, not literal.holds) in seen:
            raise Impossible("denies what must hold", *denying(place))
        seen.add(literal)
        chain |= {literal.number}
        if literal.holds:
            here = _PendingLiteral(literal, chain, scopes | {literal.number})
            _Taking(self._all, node, place, here, facts=facts, more=more, branches=branches).take()
            return
        denier = self._all.deniers.setdefault(literal.number, denying(place))
        names = dict.fromkeys(name for rule in facts.objects for name in rule.named)
        closed = any(rule.rest is False and not rule.patterns for rule in facts.objects)
        if not is_whole(node, self._parts.document.draft, closed=closed):
            self._disjunction.partly = True
            if self._loosely:
                if any(one.holds and implies(self._parts.node(one), node) for one in seen):
                    raise Impossible("denies what must hold", *denier)
                facts.loose |= {Loose(*denier)}
                return
        options = tuple(
            conjunction
            for option in denied(self._parts, node, place, names)
            if (conjunction := self._option(option)) is not None
        )
        if not options:
            if says_nothing(node):
                raise Impossible("denies everything", *denier)
            raise TooMuch("denies what cannot be said otherwise", *denier)
        self._all.denies(options, denier)
        if len(options) == 1:
            more += [_PendingLiteral(each, chain, frozenset()) for each in options[0]]
        else:
            branches.append(_Branch(options, chain, frozenset(), "not", place))

    def _option(self, option: Iterable[tuple[Schema, bool]]) -> Conjunction | None:
        return self._parts.conjunction(Literal(self._parts.number(node), holds) for node, holds in option)


class _Taking:
    """Takes in what one part says, keyword by keyword."""

    def __init__(
        self,
        cases: Cases,
        node: dict[str, Any],
        place: str,
        here: _PendingLiteral,
        *,
        facts: Constraints,
        more: list[_PendingLiteral],
        branches: list[_Branch],
    ) -> None:
        self._all, self._parts, self._node, self._place, self._here = cases, cases.parts, node, place, here
        self._facts, self._more, self._branches = facts, more, branches

    def take(self) -> None:
        node, facts = self._node, self._facts
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in node:
                self._hold(self._parts.document.target(node, keyword))
                if self._parts.document.draft <= 7 and keyword == "$ref":
                    return  # what stands beside it means nothing there
        facts.speak(node)
        self._take_values()
        self._take_numbers()
        self._take_texts()
        self._take_lists()
        self._take_objects()
        self._take_logic()

    def _hold(self, node: Schema, *, holds: bool = True) -> None:
        self._more.append(self._here._replace(literal=Literal(self._parts.number(node), holds)))

    def _take_values(self) -> None:
        node, facts, parts = self._node, self._facts, self._parts
        if (kinds := node.get("type")) is not None:
            names = [kinds] if isinstance(kinds, str) else kinds
            wanted = {kind for name in names for kind in kinds_of(name)}
            if not wanted & facts.kinds and facts.kinds < EVERY_KIND:
                others = told_kinds(facts.kinds)
                raise Impossible(f"allows {' or '.join(names)}, the rest of it only {others}", "type", self._place)
            facts.kinds &= wanted
            facts.typed = True
        if KINDS in node:
            facts.kinds &= node[KINDS]
            if not facts.kinds:
                raise Impossible("denies every type that the rest of it allows", *denying(self._place))
            facts.typed = True
        for keyword in ("const", "enum"):
            if keyword not in node:
                continue
            values, known = parts.values(node, keyword), facts.values
            facts.values = values if known is None else {key: value for key, value in values.items() if key in known}
            if not facts.values:
                raise Impossible("names no value that the rest of it allows", keyword, self._place)
            facts.said["enum"] = KeywordPlace(keyword, self._place)
        if NOT in node:
            facts.not_values = {**facts.not_values, **parts.values(node, NOT)}
            facts.said["not"] = denying(self._place)

    def _take_numbers(self) -> None:
        node, facts = self._node, self._facts
        for keyword, open_keyword, least in (
            ("minimum", "exclusiveMinimum", True),
            ("maximum", "exclusiveMaximum", False),
        ):
            opened = node.get(open_keyword)
            if keyword in node:
                self._bound(keyword, _bound(node[keyword], least=least, open_=opened is True), keyword)
            if opened is not None and not isinstance(opened, bool):
                self._bound(keyword, _bound(opened, least=least, open_=True), open_keyword)
        if "multipleOf" in node and (step := abs(number_of(node["multipleOf"]))) and step not in facts.steps:
            facts.steps += (step,)
            self._note("multipleOf")

    def _bound(self, usual: str, bounds: Bounds, keyword: str) -> None:
        facts = self._facts
        if (both := facts.bounds.both(bounds)) != facts.bounds:
            facts.bounds = both
            facts.said[usual] = KeywordPlace(keyword, self._place)

    def _note(self, keyword: str) -> None:
        self._facts.said[keyword] = KeywordPlace(keyword, self._place)

    def _at_least(self, keyword: str, known: int) -> int:
        """What is known already, or what the keyword says when that is more."""
        value = int(self._node.get(keyword, 0))
        if value > known:
            self._note(keyword)
        return max(known, value)

    def _at_most(self, keyword: str, known: int | None) -> int | None:
        most = self._node.get(keyword)
        bound = known if most is not None and most >= NO_LIMIT else _less(known, most)
        if bound != known:
            self._note(keyword)
        return bound

    def _take_texts(self) -> None:
        node, facts = self._node, self._facts
        facts.shortest = self._at_least("minLength", facts.shortest)
        facts.longest = self._at_most("maxLength", facts.longest)
        for keyword in ("pattern", EXCEPT):
            if keyword not in node:
                continue
            texts = self._all.language(node[keyword], self._place)
            if texts is None:
                self._loosen("pattern")
            else:
                language = texts if keyword == "pattern" else self._all._languages.other(texts)
                facts.texts += ((language, self._place),)
        if isinstance(name := node.get("format"), str):
            facts.formats += ((name, self._place),)

    def _take_lists(self) -> None:
        node, facts = self._node, self._facts
        first, rest = node.get("prefixItems", ()), node.get("items")
        if isinstance(rest, list):
            first, rest = rest, node.get("additionalItems")
        if first or rest is not None:
            facts.lists += (ListRule(tuple(first), rest, self._here.scopes),)
        facts.least_items = self._at_least("minItems", facts.least_items)
        facts.most_items = self._at_most("maxItems", facts.most_items)
        if node.get("uniqueItems") is True:
            facts.unique = facts.unique or self._place
        if "contains" in node:
            least, most = int(node.get("minContains", 1)), node.get("maxContains")
            most = None if most is None else int(most)
            scopes = self._here.scopes if self._parts.document.draft >= 2020 else frozenset[int]()
            facts.contained += (Contained(node["contains"], least, most, self._place, scopes),)
        if "unevaluatedItems" in node:
            facts.rest_items += (Unevaluated(node["unevaluatedItems"], self._parts.number(node)),)

    def _take_objects(self) -> None:
        node, facts = self._node, self._facts
        named, patterns = node.get("properties", {}), node.get("patternProperties", {})
        rest = node.get("additionalProperties")
        if named or patterns or rest is not None:
            facts.objects += (ObjectRule(named, patterns, rest, self._here.scopes),)
        for name in node.get("required", ()):
            facts.required.setdefault(name, self._place)
        facts.least_properties = self._at_least("minProperties", facts.least_properties)
        facts.most_properties = self._at_most("maxProperties", facts.most_properties)
        if "propertyNames" in node:
            facts.names += (node["propertyNames"],)
        for name, needs in {**node.get("dependentRequired", {}), **node.get("dependencies", {})}.items():
            if isinstance(needs, list):
                facts.depends[name] = (*facts.depends.get(name, ()), *needs)
        if "unevaluatedProperties" in node:
            facts.rest_properties += (Unevaluated(node["unevaluatedProperties"], self._parts.number(node)),)

    def _take_logic(self) -> None:
        node, parts = self._node, self._parts
        for part in node.get("allOf", ()):
            self._hold(part)
        if "not" in node:
            self._hold(node["not"], holds=False)
        if "anyOf" in node:
            self._branch("anyOf", self._any_of(node["anyOf"]))
        if "oneOf" in node:
            self._branch("oneOf", self._one_of(node["oneOf"]))
        if "if" in node and ("then" in node or "else" in node):
            then, otherwise = node.get("then", True), node.get("else", True)
            self._branch("if", [[(node["if"], True), (then, True)], [(node["if"], False), (otherwise, True)]])
        dependents = {**node.get("dependentSchemas", {}), **node.get("dependencies", {})}
        for name, schema in dependents.items():
            if isinstance(schema, dict | bool):
                without = parts.made({"properties": {name: False}}, self._place)
                needed = parts.made({"type": "object", "required": [name]}, self._place)
                self._branch("dependentSchemas", [[(without, True)], [(needed, True), (schema, True)]])

    def _branch(self, keyword: str, options: Iterable[Iterable[tuple[Schema, bool]]]) -> None:
        conjunctions = tuple(
            conjunction
            for option in options
            if (
                conjunction := self._parts.conjunction(
                    Literal(self._parts.number(node), holds) for node, holds in option
                )
            )
            is not None
        )
        if not conjunctions:
            raise Impossible("has no option that anything can be as", keyword, self._place)
        self._all.denies(conjunctions, KeywordPlace(keyword, self._place))
        if () not in conjunctions:
            self._branches.append(_Branch(conjunctions, self._here.chain, self._here.scopes, keyword, self._place))

    def _any_of(self, options: list[Schema]) -> Iterator[list[tuple[Schema, bool]]]:
        listed, others = self._parts.listed(options)
        if listed is not None:
            yield [(listed, True)]
        for option in others:
            yield [(option, True)]

    def _one_of(self, options: list[Schema]) -> Iterator[list[tuple[Schema, bool]]]:
        listed, others = self._parts.listed(options, once=True)
        if not others and listed is not None:
            yield [(listed, True)]
            return
        for at, option in enumerate(options):
            clashing = [
                (other, False)
                for number, other in enumerate(options)
                if number != at and not self._all.briefs.are_apart(option, other)
            ]
            yield [(option, True), *clashing]

    def _loosen(self, keyword: str) -> None:
        self._facts.loose |= {Loose(keyword, self._place)}


def _ruled_out(keyword: str) -> str:
    if keyword == "not":
        return "denies all that the rest of it allows"
    return "has no option that the rest of it allows"


def denying(place: str) -> KeywordPlace:
    """What denies the part at `place`: `not`, or another option of `oneOf`, or an `if` that does not hold."""
    match = _DENYING.fullmatch(place)
    return KeywordPlace(match[2], match[1]) if match else KeywordPlace("not", place)


def _bound(value: Any, *, least: bool, open_: bool) -> Bounds:
    number = number_of(value)
    return Bounds(least=number, above=open_) if least else Bounds(most=number, below=open_)


def _less(known: int | None, value: Any) -> int | None:
    if value is None:
        return known
    return int(value) if known is None else min(known, int(value))


def _weight(language: Language) -> int:
    """How often what is repeated at all is repeated by all that stands around it."""
    inner = max((_weight(part) for part in language.parts), default=0)
    if language.kind != "times":
        return inner
    count = max(1, language.most or language.least)
    return count if inner == 0 else inner * count
