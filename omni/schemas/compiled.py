"""A JSON Schema as a grammar that keeps it, and the proof that an answer follows it."""

from functools import lru_cache
from threading import Lock
from typing import Any

import msgspec

from omni.schemas._duplicates import DuplicateNames
from omni.schemas._errors import SchemaRefused
from omni.schemas._sieves import Items, Sieve
from omni.schemas.costs import Costs
from omni.schemas.documents import Document
from omni.schemas.facts import KeywordPlace, Loose
from omni.schemas.forms import Forms
from omni.schemas.keeping import LruCache
from omni.schemas.lark import Grammar, TooLarge
from omni.schemas.proofs import NO_JSON, TOO_LARGE, Fault, Proof
from omni.schemas.shapes import Sequence
from omni.schemas.weights import Visits, check_weight
from omni.schemas.writer import GrammarLimits, GrammarWriter

MOST_SYMBOLS = 80_000  # of a grammar: the engine reads it anew for every answer
MOST_KEPT = 4_000_000  # bytes, symbols and steps of all schemas that are kept compiled

_LADDER = (
    GrammarLimits(10_000, 8, 2),
    GrammarLimits(4000, 8, 2),
    GrammarLimits(1500, 4, 2),
    GrammarLimits(500, 4, 2),
    GrammarLimits(120, 4, 1),
    GrammarLimits(60, 3, 1),
    GrammarLimits(30, 2, 1),
    GrammarLimits(12, 1, 0),
    GrammarLimits(8, 0, 0),
)


class Compiled:
    """A schema whose values a grammar writes.

    `loose` are the keywords that the grammar does not keep, with their places: whether an answer follows them is known
    only when it is whole. `sifts_items`: a list may hold something once only, which no grammar keeps. Can be used by several threads.
    """

    def __init__(self, schema: Any) -> None:
        self.document = Document(schema)
        self.document.check_references()
        check_weight(self.document)
        self._proof, self._visits = Proof(self.document), Visits(self.document)
        costs = Costs()
        try:
            self._forms = Forms(self.document, costs)
        except SchemaRefused:  # what says nothing of types may have no value of those that its keywords speak of
            self._forms = Forms(self.document, costs, spoken=False)
        shapes = list(self._forms.reached())
        loose = {one for shaped in shapes for one in shaped.loose}
        self.loose: tuple[Loose, ...] = tuple(sorted(loose, key=lambda one: (one.place, one.keyword)))
        sequences = [shaped.shape for shaped in shapes if isinstance(shaped.shape, Sequence)]
        self.sifts_items = any(shape.unique for shape in sequences)
        self._sifts_names = any(shape.is_object and shape.tails for shape in sequences)
        grammar = Grammar(most=MOST_SYMBOLS)
        try:
            GrammarWriter(grammar, self._forms).start()
        except TooLarge as error:
            raise SchemaRefused(
                f"The schema cannot be kept: it makes a grammar of more than {MOST_SYMBOLS:,} symbols.",
                keyword="",
                place="#",
                hint="Ask for fewer alternatives, or for less in them.",
            ) from error
        self._forms.forget()
        self._writing = Lock()  # of one grammar at a time: what is written once is found again by the next
        self.size = costs.steps + grammar.size  # what is kept, about

    def rule(self, grammar: Grammar, characters: int | None = None) -> str:
        """Write it into `grammar`; returns the name of its rule. With `characters` its values have about so many at
        most, or as few as there can be."""
        with self._writing:
            self._forms.costs.renew()
            limits = None if characters is None else self._limits(characters)
            self._forms.languages.renew()
            self._forms.loads.renew()
            return GrammarWriter(grammar, self._forms, limits).start()

    def _limits(self, characters: int) -> GrammarLimits:
        """Those with which a value has so many characters at most, or as few as there can be."""
        for limits in _LADDER:
            self._forms.languages.renew()
            if GrammarWriter(Grammar(), self._forms, limits).longest() <= characters:
                return limits
        return _LADDER[-1]

    @property
    def heaviest(self) -> KeywordPlace:
        """What an engine has the most to do with."""
        return self._forms.heaviest()

    def sieve(self) -> Sieve | None:
        """What an answer passes while it comes; None where nothing has to be left out."""
        if not (self.sifts_items or self._sifts_names):
            return None
        return Sieve(DuplicateNames() if self._sifts_names else None, Items(self._forms) if self.sifts_items else None)

    def fault(self, value: Any) -> Fault | None:
        """Where a value does not follow the schema; None when it does; `TOO_LARGE` when it takes too long to find out."""
        if self._visits.are_too_many(value):
            return TOO_LARGE
        return self._proof.fault(value)

    def fault_of(self, text: str) -> Fault | None:
        """The same for the JSON of a value."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return NO_JSON
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
    return _kept().of(text)


@lru_cache(maxsize=1)
def _kept() -> LruCache[Compiled]:
    return LruCache(
        lambda text: Compiled(msgspec.json.decode(text)), lambda text, made: len(text) + made.size, MOST_KEPT
    )
