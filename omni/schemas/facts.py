"""What a value must be in one case of a schema, gathered keyword by keyword, a set of facts for each kind of value."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from omni.schemas.documents import Schema
from omni.schemas.languages import Language
from omni.schemas.numbers import UNBOUNDED, Bounds

KINDS = (
    "null",
    "boolean",
    "integer",
    "fraction",
    "string",
    "array",
    "object",
)  # "fraction": a number that is not whole
EVERY_KIND = frozenset(KINDS)
_SPOKEN = {
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "additionalItems",
              "unevaluatedItems"),
    "object": ("properties", "patternProperties", "additionalProperties", "required", "minProperties", "maxProperties",
               "propertyNames", "dependencies", "dependentRequired", "dependentSchemas", "unevaluatedProperties"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}  # fmt: skip


class Literal(NamedTuple):
    """A part of the document, by its number, that a value must be as it says (`holds`), or must not."""

    number: int
    holds: bool = True


Conjunction = tuple[Literal, ...]  # sorted, each once
Values = Mapping[str, Any]  # JSON values by their keys (`key_of`): so two are compared at once, however large they are


class Loose(NamedTuple):
    """A keyword that no grammar keeps, and where it stands."""

    keyword: str
    place: str


class KeywordPlace(NamedTuple):
    """A keyword, and where the part stands that has it."""

    keyword: str
    place: str

    def __str__(self) -> str:
        return f"`{self.keyword}` at {self.place}" if self.place else f"`{self.keyword}`"


class Contained(NamedTuple):
    """Some items, so many of them, must be as `schema` says. `scopes`: for which parts these are spoken of."""

    schema: Schema
    least: int
    most: int | None
    place: str
    scopes: frozenset[int]


@dataclass(frozen=True, slots=True)
class ListRule:
    """What one part says of the items: the first ones each by itself, and the rest. `scopes`: for which parts it counts."""

    first: tuple[Schema, ...]
    rest: Schema | None
    scopes: frozenset[int]


@dataclass(frozen=True, slots=True)
class ObjectRule:
    """What one part says of the properties: by name, by pattern, and of all others (None: nothing)."""

    named: dict[str, Schema]
    patterns: dict[str, Schema]
    rest: Schema | None
    scopes: frozenset[int]


class Unevaluated(NamedTuple):
    """What is said of all that nothing within the part `scope` speaks of."""

    schema: Schema
    scope: int


@dataclass(slots=True)
class Constraints:
    """All that is known of a value. What is None is not bounded."""

    kinds: frozenset[str] = EVERY_KIND
    typed: bool = False  # whether anything said of which kind it is
    spoken: frozenset[str] = frozenset()  # kinds that keywords speak of
    values: Values | None = None
    not_values: Values = field(default_factory=dict)
    bounds: Bounds = UNBOUNDED
    steps: tuple[Decimal, ...] = ()
    texts: tuple[tuple[Language, str], ...] = ()  # and their places
    formats: tuple[tuple[str, str], ...] = ()  # names and places
    shortest: int = 0
    longest: int | None = None
    lists: tuple[ListRule, ...] = ()
    least_items: int = 0
    most_items: int | None = None
    unique: str = ""  # the place that says so
    contained: tuple[Contained, ...] = ()
    rest_items: tuple[Unevaluated, ...] = ()
    objects: tuple[ObjectRule, ...] = ()
    required: dict[str, str] = field(default_factory=dict)  # names and places
    names: tuple[Schema, ...] = ()
    least_properties: int = 0
    most_properties: int | None = None
    depends: dict[str, tuple[str, ...]] = field(default_factory=dict)
    rest_properties: tuple[Unevaluated, ...] = ()
    loose: frozenset[Loose] = frozenset()
    said: dict[str, "KeywordPlace"] = field(
        default_factory=dict, compare=False
    )  # what the last word of each kind was said by

    def copy(self) -> "Constraints":
        """One that can be changed by itself."""
        return replace(self, required=dict(self.required), depends=dict(self.depends), said=dict(self.said))

    @property
    def weight(self) -> int:
        """About how many things it holds."""
        return 1 + len(self.required) + len(self.not_values) + len(self.depends) + len(self.objects) + len(self.lists)

    def by(self, keyword: str) -> "KeywordPlace":
        """What said a fact, whose usual keyword is `keyword`."""
        return self.said.get(keyword, KeywordPlace(keyword, ""))

    def speak(self, schema: dict[str, Any]) -> None:
        """Note of which kinds of values the keywords of `schema` speak."""
        names = [kind for kind, keywords in _SPOKEN.items() if any(keyword in schema for keyword in keywords)]
        if names:
            kinds = {kind for name in names for kind in kinds_of(name)}
            self.spoken |= kinds


def kinds_of(name: str) -> Iterable[str]:
    """The kinds that a `type` means."""
    return ("integer", "fraction") if name == "number" else (name,)


def told_kinds(kinds: Iterable[str]) -> str:
    """Kinds in the words of `type`."""
    names = set(kinds)
    if "fraction" in names:
        names = names - {"fraction", "integer"} | {"number"}
    return " or ".join(sorted(names))


def kind_of(value: Any) -> str:
    """The kind of a value."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float() | Decimal():
            return "integer" if value == value.__trunc__() else "fraction"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def key_of(value: Any) -> str:
    """A text that equal JSON values have in common, and no others: 1 is 1.0 and not true, objects have no order.

    A text, since sets of them cannot be slowed down by whoever chooses the values: their hashes are secret.
    """
    match value:
        case str() | bool() | None:
            return json.dumps(value)
        case list():
            return f"[{','.join(map(key_of, value))}]"
        case dict():
            return f"{{{','.join(f'{json.dumps(name)}:{key_of(value[name])}' for name in sorted(value))}}}"
        case _:
            return hex(int(value)) if value == value.__trunc__() else repr(float(value))


def keyed(values: Iterable[Any]) -> Values:
    """Values by their keys, the first of those that are equal."""
    by_key: dict[str, Any] = {}
    for value in values:
        by_key.setdefault(key_of(value), value)
    return by_key


def number_of(value: Any) -> Decimal:
    """A bound, exactly as it was written."""
    return Decimal(str(value))
