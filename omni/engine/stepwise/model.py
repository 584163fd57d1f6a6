"""What a model must be able to do, so that a worker can answer with it: one token after the other."""

from array import array
from collections.abc import Sequence
from typing import Protocol


class NoRoom(Exception):
    """The cache that all slots share has no room for what was to be read."""


class StepModel(Protocol):
    """A model whose steps are taken by one thread. What each slot has read lies in a cache of its own, or in a part of one.

    `context` is the most tokens that one slot may have. `template` is that of its file ("": it has none), `marks` the texts of
    the tokens that templates know by name (`bos_token`, `eos_token`). `endings` are the tokens that end an answer, `end` the
    one of them that its makers mean.
    """

    name: str
    context: int
    vocabulary: int
    template: str
    marks: dict[str, str]
    begins: bool  # texts begin with the mark of a beginning
    end: int
    endings: frozenset[int]

    def tokens(self, text: str, *, special: bool, beginning: bool) -> list[int]:
        """The tokens of a text; `special`: marks in it count as such, `beginning`: with what the model expects first."""
        ...

    def piece(self, token: int) -> bytes:
        """What a token is in an answer; nothing where it is a mark."""
        ...

    def words(self) -> list[bytes]:
        """What every token is, marks with the byte 255 before them."""
        ...

    def keep(self, slot: int, count: int) -> bool:
        """Forget what a slot has read after the first `count` tokens; False where that cannot be, and all is forgotten."""
        ...

    def read(self, slot: int, at: int, tokens: Sequence[int]) -> "array[float]":
        """Read tokens behind the first `at`; how likely each token is next, as logits. Raises NoRoom."""
        ...

    def vector(self, tokens: Sequence[int]) -> list[float]:
        """The vector of a text."""
        ...
