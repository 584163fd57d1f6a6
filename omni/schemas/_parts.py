"""The parts of a document by numbers, so that what must hold together can be told by a few of them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from omni.schemas.costs import Costs
from omni.schemas.documents import Document, Schema, says_nothing
from omni.schemas.facts import Conjunction, Literal, Values, keyed, kind_of, kinds_of

_YES, _NO = 0, 1


class SchemaParts:
    """Numbers for parts; what is made here besides stands where that stands which it was made of."""

    def __init__(self, document: Document, costs: Costs) -> None:
        self._costs = costs
        self.document = document
        self._nodes: list[Schema] = [True, False]
        self._numbers: dict[int, int] = {}
        self._places: dict[int, str] = {}
        self._values: dict[tuple[int, str], Values] = {}

    def number(self, node: Schema) -> int:
        """The number of a part."""
        if isinstance(node, bool):
            return _YES if node else _NO
        if (number := self._numbers.get(id(node))) is None:
            number = self._numbers[id(node)] = len(self._nodes)
            self._nodes.append(node)
        return number

    def node(self, literal: Literal) -> Schema:
        """The part that a literal is about."""
        return self._nodes[literal.number]

    def place(self, literal: Literal) -> str:
        """Where it stands."""
        return self.place_of(self._nodes[literal.number])

    def place_of(self, node: Any) -> str:
        """Where a part stands."""
        return self._places.get(id(node)) or self.document.place(node)

    def is_made(self, literal: Literal) -> bool:
        """Whether a part does not stand in the document."""
        return id(self._nodes[literal.number]) in self._places

    def made(self, node: dict[str, Any], place: str) -> dict[str, Any]:
        """A part that does not stand in the document; equal ones are the same."""
        self._costs.count(10)
        self.number(node)  # which keeps it
        self._places[id(node)] = place
        return node

    def values(self, node: dict[str, Any], keyword: str) -> Values:
        """The values that a part names by `const`, or by `enum` or another keyword that lists them."""
        self.number(node)  # which keeps it
        key = id(node), keyword
        if key not in self._values:
            values = self._values[key] = keyed([node[keyword]] if keyword == "const" else node[keyword])
            self._costs.count(len(values))
        return self._values[key]

    def conjunction(self, literals: Iterable[Literal]) -> Conjunction | None:
        """What must hold together, without what says nothing; None when it cannot. References alone are followed."""
        required: set[Literal] = set()
        ahead, seen = list(literals), set[Literal]()
        while ahead:
            literal = ahead.pop()
            self._costs.count(2)
            node = self.node(literal)
            if isinstance(node, bool):
                if node != literal.holds:
                    return None
                continue
            if literal in seen:
                if "$ref" in node and literal not in required:
                    return None  # it is made of itself
                continue
            seen.add(literal)
            if says_nothing(node):
                if not literal.holds:
                    return None
            elif "$ref" in node and (self.document.draft <= 7 or says_nothing(node, besides=("$ref",))):
                ahead.append(Literal(self.number(self.document.target(node)), literal.holds))
            else:
                required.add(literal)
        if any(Literal(one.number, not one.holds) in required for one in required):
            return None
        return tuple(sorted(required))

    def listed(self, options: list[Schema], *, once: bool = False) -> tuple[dict[str, Any] | None, list[Schema]]:
        """Options that are mere values as one part, and the others. `once`: without values of more than one of them."""
        values: dict[str, Any] = {}
        often: Counter[str] = Counter()
        others: list[Schema] = []
        first: Schema | None = None
        for option in options:
            if (constants := _values(option)) is None:
                others.append(option)
                continue
            first = option if first is None else first
            keys = keyed(constants)
            often.update(keys.keys())
            for key, value in keys.items():
                values.setdefault(key, value)
        if first is None:
            return None, others
        kept = [value for key, value in values.items() if not once or often[key] == 1]
        return self.made({"enum": kept}, self.place_of(first)), others


def _values(option: Schema) -> list[Any] | None:
    """The values of a part that says nothing else; None for any other."""
    if not isinstance(option, dict) or not says_nothing(option, besides=("const", "enum", "type")):
        return None
    values: Any = [option["const"]] if "const" in option else option.get("enum")
    if not isinstance(values, list) or ("const" in option and "enum" in option):
        return None
    if "type" in option:
        kinds = option["type"] if isinstance(option["type"], list) else [option["type"]]
        if not all(_is(value, kinds) for value in values):
            return None
    return values if all(not isinstance(value, dict | list) for value in values) else None


def _is(value: Any, kinds: list[str]) -> bool:
    return any(kind_of(value) in kinds_of(name) for name in kinds)
