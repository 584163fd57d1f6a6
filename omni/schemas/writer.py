"""Writes the forms of a schema as rules of a grammar, at will with an end to every text, list and recursion."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from omni.schemas._errors import TooMuch
from omni.schemas._regexes import Expressions
from omni.schemas.facts import Conjunction
from omni.schemas.forms import Forms
from omni.schemas.languages import Language, TooLong
from omni.schemas.lark import Grammar
from omni.schemas.numbers import Bounds
from omni.schemas.shapes import Member, Number, Sequence, Shape, Tail, Text, Words

MOST_OPTIONAL = 600  # members that may be left out: at each place the engine looks at all that may come next
CROWD = 300  # members of all objects that a value may be: with more of them those that are needed come first
MOST_COUNTED = 16  # members whose number is kept in mind
MOST_AT_ONCE = 600  # members that may come next: each is three of what the engine looks at, and with 2,000 it gives up
_SHORTEST = -1  # the level at which only the shortest value is written
_NUMBER = 24  # characters of the longest number, about
ENDLESS = 1 << 40  # characters of what has no end


class GrammarLimits(NamedTuple):
    """An end to what has none: characters of a text, items of a list, and how often what holds itself may do so."""

    text: int
    items: int
    deep: int


class GrammarWriter:
    """Writes the forms of one schema into `grammar`."""

    def __init__(self, grammar: Grammar, forms: Forms, limits: GrammarLimits | None = None) -> None:
        self._grammar, self._forms, self._limits = grammar, forms, limits
        self._quoted, self._bare = Expressions(quoted=True), Expressions(quoted=False)
        self._names: dict[tuple[Conjunction, int], str] = {}
        self._ahead: list[tuple[Conjunction, int]] = []
        self._sizes: dict[tuple[Conjunction, int], int] = {}
        self._circles = forms.circles() if limits else {}
        self._crowded = {each for one in forms for each in self._crowd(one)}

    def _crowd(self, conjunction: Conjunction) -> list[Conjunction]:
        """All cases of a conjunction, where very many members may come next: the engine would look at too many at once."""
        cases = self._forms.closure(conjunction)
        objects = [
            one.shape
            for each in cases
            for one in self._forms[each].shapes
            if isinstance(one.shape, Sequence) and one.shape.is_object
        ]
        return cases if len(objects) > 1 and sum(len(shape.members) for shape in objects) > CROWD else []

    def start(self) -> str:
        """The name of the rule of the whole."""
        name = self._rule(self._forms.root, 0)
        while self._ahead:
            key = self._ahead.pop()
            if not (alternatives := list(self._alternatives(*key))):  # it would be one that admits nothing at all
                raise TooMuch("has values, and none that a grammar can write").refusal(self._forms.place(key[0]))
            self._grammar.define(self._names[key], alternatives)
        return name

    def longest(self) -> int:
        """About how many characters a value can have."""
        return self._size(self._forms.root, 0) if self._limits else ENDLESS

    def _rule(self, conjunction: Conjunction, level: int) -> str:
        key = conjunction, level
        if key not in self._names:
            self._names[key] = self._grammar.reserve()
            self._ahead.append(key)
        return self._names[key]

    def _alternatives(self, conjunction: Conjunction, level: int) -> Iterator[str]:
        for way in self._ways(conjunction, level):
            if isinstance(way, tuple):
                yield self._rule(way, self._level(conjunction, way, level))
            elif (expression := self._shape(way, conjunction, level)) is not None:
                yield expression

    def _ways(self, conjunction: Conjunction, level: int) -> Iterator[Shape | Conjunction]:
        """The shapes of a conjunction, and the others that are cases of it; of those in a circle with it their shapes."""
        form = self._forms[conjunction]
        if level == _SHORTEST:
            assert form.best is not None
            yield form.best
            return
        best = form.best
        left = MOST_AT_ONCE - (0 if best is None else self._width(best))
        for way in self._all_ways(conjunction):
            width = 0 if way == best else self._width(way)
            if width <= left:
                left -= width
                yield way
            elif way == best:
                yield way

    def _all_ways(self, conjunction: Conjunction) -> Iterator[Shape | Conjunction]:
        seen, ahead = {conjunction}, [conjunction]
        while ahead:
            form = self._forms[ahead.pop()]
            yield from (one.shape for one in form.shapes if self._forms.cost_of(one.shape) is not None)
            for link in form.links:
                if link in seen or self._forms.cost(link) is None:
                    continue
                seen.add(link)
                if self._forms.leads(link, conjunction):
                    ahead.append(link)
                else:
                    yield link

    def _width(self, way: Shape | Conjunction) -> int:
        """How many members may come first."""
        if isinstance(way, tuple):
            shapes = [one.shape for each in self._forms.closure(way) for one in self._forms[each].shapes]
            return sum(self._width(shape) for shape in shapes)
        if not isinstance(way, Sequence) or not way.is_object:
            return 1
        if any(member.needed for member in way.members):
            return 1 + next(at for at, member in enumerate(way.members) if member.needed)
        return min(len(way.members), MOST_OPTIONAL) + len(way.tails)

    def _level(self, above: Conjunction, below: Conjunction, level: int) -> int:
        """How often what holds itself has done so, one step further down."""
        if self._limits is None or level == _SHORTEST:
            return level
        circle = self._circles.get(above)
        if circle is None or self._circles.get(below) != circle:
            return 0
        return level + 1 if level < self._limits.deep else _SHORTEST

    def _shape(self, shape: Shape, conjunction: Conjunction, level: int) -> str | None:
        match shape:
            case Words(values=values):
                chosen = values[:1] if level == _SHORTEST else values
                texts = [json.dumps(_text_of(value), ensure_ascii=False) for value in chosen]
                return self._grammar.terminal(texts[0] if len(texts) == 1 else f"({' | '.join(texts)})")
            case Text(language=language):
                return self._grammar.terminal(f'"\\"" {self._quoted.written(self._bounded(language))} "\\""')
            case Number(language=None):
                return self._grammar.rule(self._multiples(shape))
            case Number(language=language):
                assert language is not None
                return self._grammar.terminal(self._bare.written(language))
            case Sequence():
                return _SequenceWriter(self, shape, conjunction, level).written()

    def _multiples(self, shape: Number) -> Iterator[str]:
        """Multiples from 0 up, and those below it after a minus, since the engine has none below."""
        assert shape.step is not None
        for sign, bounds in (("", shape.bounds), ("-", shape.bounds.mirrored())):  # the ends of which are within
            some = bounds.both(Bounds(least=Decimal(0), above=bool(sign))).multiples(shape.step)
            if some is not None:
                rule = self._grammar.rule([f"%json {json.dumps(_multiples(shape.step, some, whole=shape.whole))}"])
                yield f"{self._grammar.literal(sign)} {rule}" if sign else rule

    def _bounded(self, language: Language | None) -> Language:
        """A language with an end, where that is not too much for an engine."""
        shorter = self._shorter(language)
        if self._limits is None or not self._forms.loads.are_too_much(shorter):
            return shorter
        return self._forms.languages.any_text if language is None else language

    def _shorter(self, language: Language | None) -> Language:
        make = self._forms.languages
        unlimited = make.any_text if language is None else language
        if self._limits is None:
            return unlimited
        shorter = make.every(unlimited, make.times(make.any_character, 0, self._limits.text))
        try:
            text = make.short(unlimited)
            if text is not None and len(text) > self._limits.text:  # perhaps not the shortest
                text = make.short(shorter)
            return unlimited if text is None else shorter
        except TooLong:
            return unlimited

    # -- sizes

    def _size(self, conjunction: Conjunction, level: int) -> int:
        key = conjunction, level
        if key not in self._sizes:
            self._sizes[key] = 0
            self._sizes[key] = max(
                (
                    self._size(way, self._level(conjunction, way, level))
                    if isinstance(way, tuple)
                    else self._shape_size(way, conjunction, level)
                    for way in self._ways(conjunction, level)
                ),
                default=0,
            )
        return self._sizes[key]

    def _shape_size(self, shape: Shape, conjunction: Conjunction, level: int) -> int:
        match shape:
            case Words(values=values):
                return max(len(_text_of(value)) for value in values)
            case Text(language=language):
                return 2 + _longest(self._shorter(language))
            case Number():
                return _NUMBER
            case Sequence():
                return _SequenceWriter(self, shape, conjunction, level).size()


class _SequenceWriter:
    """Writes one list or object."""

    def __init__(self, writer: GrammarWriter, shape: Sequence, conjunction: Conjunction, level: int) -> None:
        self._writer, self._shape, self._conjunction, self._level = writer, shape, conjunction, level
        self._grammar, self._forms = writer._grammar, writer._forms
        self._most: int | None
        if level == _SHORTEST:
            parts = [part for part, count in self._forms.least(shape) or () for _ in range(count)]
            self._members = [part._replace(needed=True) for part in parts if isinstance(part, Member)]
            self._tails = [part for part in parts if isinstance(part, Tail)]
            self._least = self._most = len(parts)
            return
        members = [member for member in shape.members if self._forms.cost(member.value) is not None]
        if not shape.skips:  # one that cannot be there ends the list before it
            whole = next(
                (at for at, one in enumerate(shape.members) if self._forms.cost(one.value) is None), len(members)
            )
            members = members[:whole]
        optional = [member for member in members if not member.needed]
        if len(optional) > MOST_OPTIONAL:
            surplus = set(optional[MOST_OPTIONAL:])
            members = [member for member in members if member not in surplus]
        if shape.is_object and conjunction in writer._crowded:  # then what is needed comes first, and tells them apart
            members.sort(key=lambda member: (not member.needed, not self._forms.is_word(member.value)))
        self._members = members
        self._tails = [tail for tail in shape.tails if self._forms.cost(tail.value) is not None]
        if not shape.skips and len(members) < len(shape.members):
            self._tails = []
        self._least = shape.least
        self._most = shape.most
        if shape.skips:
            self._count_less()
        if (limits := writer._limits) is not None and self._tails:
            needed = max(self._least, sum(member.needed for member in members))
            more = max(needed, len(members) + limits.items if limits.items else needed)
            self._most = more if self._most is None else min(self._most, more)

    def _count_less(self) -> None:
        """Where many members would have to be counted, the first ones are there, or may be, and no others."""
        needed = sum(member.needed for member in self._members)
        if self._least - needed > MOST_COUNTED:
            more = self._least - needed
            for at, member in enumerate(self._members):
                if more and not member.needed:
                    self._members[at] = member._replace(needed=True)
                    more -= 1
        elif self._most is not None and MOST_COUNTED < self._most < len(self._members):
            left = self._most - needed
            chosen: list[Member] = []
            for member in self._members:
                if member.needed or left > 0:
                    chosen.append(member)
                    left -= not member.needed
            self._members, self._tails, self._most = chosen, [], None

    def written(self) -> str | None:
        """The list or object; None when it cannot be finished."""
        signs = "{}" if self._shape.is_object else "[]"
        inner = self._skipping() if self._shape.skips else self._nested()
        if inner is None:
            return None
        return f"{self._grammar.opening(signs[0])} {inner} {self._grammar.closing(signs[1])}".replace("  ", " ")

    def size(self) -> int:
        """Characters of the longest one, about."""
        total = 2
        sizes = [self._part_size(member) for member in self._members]
        most = len(sizes) if self._most is None else self._most
        total += sum(sizes if most >= len(sizes) else sorted(sizes)[-most:] if most else [])
        left = 0 if self._most is None else max(0, self._most - sum(member.needed for member in self._members))
        return total + left * max(map(self._part_size, self._tails), default=0)

    def _part_size(self, part: Member | Tail) -> int:
        size = self._writer._size(part.value, self._below(part)) + 2
        if isinstance(part, Member):
            return size + (len(json.dumps(part.name)) + 2 if part.name is not None else 0)
        return size + (_longest(self._writer._shorter(part.names)) + 4 if self._shape.is_object else 0)

    def _below(self, part: Member | Tail) -> int:
        return self._writer._level(self._conjunction, part.value, self._level)

    def _part(self, part: Member | Tail) -> str:
        value = self._writer._rule(part.value, self._below(part))
        if not self._shape.is_object:
            return value
        if isinstance(part, Member):
            return f"{self._grammar.name(json.dumps(_text_of(part.name), ensure_ascii=False))} {value}"
        names = self._writer._quoted.written(self._writer._bounded(part.names))
        return f"{self._grammar.name(f'{_QUOTE} {names} {_QUOTE}')} {value}"

    def _any_tail(self) -> str:
        parts = [self._part(tail) for tail in dict.fromkeys(self._tails)]
        return parts[0] if len(parts) == 1 and " " not in parts[0] else self._grammar.rule(parts)

    def _rest(self, count: int) -> str | None:
        """What may follow `count` parts; None when too few are there and no more can be."""
        least, most = max(0, self._least - count), None if self._most is None else max(0, self._most - count)
        if not self._tails or most == 0:
            return "" if least == 0 else None
        tail, comma = self._any_tail(), self._grammar.comma()
        if count:
            return self._times(f"{comma} {tail}", least, most)
        more = self._times(f"{comma} {tail}", max(0, least - 1), None if most is None else most - 1)
        return f"{tail} {more}".strip() if least else f"({tail} {more})?".replace(" )", ")")

    def _times(self, part: str, least: int, most: int | None) -> str:
        if most == 0:
            return ""
        if (least, most) == (1, 1):
            return part
        return f"({part}){{{least},{'' if most is None else most}}}" if (least, most) != (0, None) else f"({part})*"

    def _nested(self) -> str | None:
        """Items one after the other; each that is not needed may be the one before which the list ends."""
        members = self._members if self._most is None else self._members[: self._most]
        whole = len(members) == len(self._members)
        nested = self._rest(len(members)) if whole else ""
        for at in range(len(members) - 1, -1, -1):
            comma = f"{self._grammar.comma()} " if at else ""
            here = None if nested is None else f"{comma}{self._part(members[at])} {nested}".strip()
            nested = ("" if here is None else f"({here})?") if at >= self._least else here
            if nested is not None and len(nested) > 200:
                nested = self._grammar.rule([nested])
        return nested

    def _skipping(self) -> str | None:
        """Members in their order, any of which that is not needed may be left out; so many in all as there must be."""
        members = self._members
        needed = sum(member.needed for member in members)
        bounded = self._most is not None and (self._most < len(members) or bool(self._tails))
        highest = self._most if bounded and self._most is not None else max(self._least, 1)
        if self._least <= needed and not bounded:
            highest, self._least = 1, 0  # enough are there anyhow: whether there was one before is all that matters
        # What follows when so many (at most `highest`) are there already.
        after: list[str | None] = [self._rest(count) for count in range(highest + 1)]
        for member in reversed(members):
            part, comma = self._part(member), self._grammar.comma()
            here: list[str | None] = []
            for count in range(highest + 1):
                alternatives = []
                following = min(count + 1, highest)
                full = bounded and count + 1 > highest
                if not full and (rest := after[following]) is not None:
                    alternatives.append(f"{comma + ' ' if count else ''}{part} {rest}".strip())
                if not member.needed and (rest := after[count]) is not None:
                    alternatives.append(rest)
                here.append(self._grammar.rule(alternatives) if alternatives else None)
            after = here
        return after[0]


_QUOTE = '"\\""'


def _text_of(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _multiples(step: Decimal, bounds: Bounds, *, whole: bool) -> dict[str, Any]:
    """The JSON Schema of multiples, which LLGuidance makes a grammar of itself."""
    schema: dict[str, Any] = {"type": "integer" if whole else "number", "multipleOf": _number(step)}
    if bounds.least is not None:
        schema["minimum"] = _number(bounds.least)
    if bounds.most is not None:
        schema["maximum"] = _number(bounds.most)
    return schema | {"x-guidance": {"whitespace_flexible": False}}


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _longest(language: Language) -> int:
    """Characters of its longest text, as far as its form tells."""
    match language.kind:
        case "one":
            return 1
        case "then":
            return min(ENDLESS, sum(map(_longest, language.parts)))
        case "either":
            return max(map(_longest, language.parts))
        case "every":
            return min(map(_longest, language.parts))
        case "times":
            return ENDLESS if language.most is None else min(ENDLESS, language.most * _longest(language.parts[0]))
        case "other":
            return ENDLESS
        case _:
            return 0
