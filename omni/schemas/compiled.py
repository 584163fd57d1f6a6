"""A JSON Schema as a grammar that keeps it, and the proof that an answer follows it."""

from functools import lru_cache
from typing import Any

import msgspec

from omni.schemas.documents import Document
from omni.schemas.errors import SchemaRefused
from omni.schemas.facts import Loose
from omni.schemas.forms import Forms
from omni.schemas.lark import Grammar, TooLarge
from omni.schemas.proofs import Fault, Proof
from omni.schemas.sieves import Sieve
from omni.schemas.weights import MOST_VISITS, check_weight, visits
from omni.schemas.writer import Limits, Writer

KEPT = 64  # schemas that are kept compiled
MOST_SYMBOLS = 80_000  # of a grammar: the engine reads it anew for every answer

_LADDER = (
    Limits(10_000, 8, 2),
    Limits(4000, 8, 2),
    Limits(1500, 4, 2),
    Limits(500, 4, 2),
    Limits(120, 4, 1),
    Limits(60, 3, 1),
    Limits(30, 2, 1),
    Limits(12, 1, 0),
    Limits(8, 0, 0),
)


class Compiled:
    """A schema whose values a grammar writes.

    `loose` are the keywords that the grammar does not keep, with their places: whether an answer follows them is known
    only when it is whole.
    """

    def __init__(self, schema: Any) -> None:
        self.document = Document(schema)
        self.document.check_references()
        check_weight(self.document)
        self._proof = Proof(self.document)
        try:
            self._forms = Forms(self.document)
        except SchemaRefused:  # what says nothing of types may have no value of those that its keywords speak of
            self._forms = Forms(self.document, spoken=False)
        shapes = list(self._forms.reached())
        loose = {one for shaped in shapes for one in shaped.loose}
        self.loose: tuple[Loose, ...] = tuple(sorted(loose, key=lambda one: (one.place, one.keyword)))
        self._sifts = any(getattr(shaped.shape, "unique", False) for shaped in shapes)
        try:
            self.rule(Grammar(most=MOST_SYMBOLS))
        except TooLarge as error:
            raise SchemaRefused(
                f"The schema cannot be kept: it makes a grammar of more than {MOST_SYMBOLS:,} symbols.",
                keyword="",
                place="#",
                hint="Ask for fewer alternatives, or for less in them.",
            ) from error

    def rule(self, grammar: Grammar, characters: int | None = None) -> str:
        """Write it into `grammar`; returns the name of its rule. With `characters` its values have about so many at
        most, or as few as there can be."""
        limits = None
        if characters is not None:
            limits = next(
                (one for one in _LADDER if Writer(Grammar(), self._forms, one).longest() <= characters), _LADDER[-1]
            )
        return Writer(grammar, self._forms, limits).start()

    def sieve(self) -> Sieve | None:
        """What an answer passes while it comes; None where nothing has to be left out."""
        return Sieve(self._forms) if self._sifts else None

    def fault(self, value: Any) -> Fault | None:
        """Where a value does not follow the schema; None when it does."""
        if visits(self.document, value) > MOST_VISITS:
            return Fault(keyword="", place="#", at="#", message="it is too much to be proved")
        return self._proof.fault(value)

    def fault_of(self, text: str) -> Fault | None:
        """The same for the JSON of a value."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return Fault(keyword="", place="#", at="#", message="it is no JSON")
        return self.fault(value)


def compile_schema(schema: Any) -> Compiled:
    """Compile a schema, or take the compiled one of the same. Blocking: a large one takes a second.

    Raises SchemaRefused for what is no schema, refers to what is not there, is more than can be kept, or what no value
    can satisfy, with the keyword and its place.
    """
    try:
        text = msgspec.json.encode(schema)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise SchemaRefused("A schema must be JSON; this one is not.", keyword="", place="#") from error
    return _compiled(text)


@lru_cache(maxsize=KEPT)
def _compiled(text: bytes) -> Compiled:
    return Compiled(msgspec.json.decode(text))
