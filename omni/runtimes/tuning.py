"""What makes one base faster with one build on one machine: the figures of a measurement, and what follows from them.

Other programs work here, too, and one figure is half of the next one. So all that is compared takes turns, round by round, and
only what was ahead in every round is ahead.
"""

from collections.abc import Mapping, Sequence
from statistics import fmean

import msgspec

ROUNDS = 4
AHEAD = 1.05  # of the figure in the same round that it is compared with
LONGEST = (
    2.0  # seconds that a batch may take where it is larger than usual: a cancelled answer computes to the end of one
)


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """`batches`: tokens a second of reading a prompt in batches of so many tokens, a figure for each round that they were in.
    `drafts`: tokens a second of short answers, reading included, with drafts of another base, by its id, or
    of a layer of its own, "mtp"; "" without."""

    runtime: str  # its key
    machine: str
    base: str
    batches: dict[int, tuple[float, ...]] = {}
    drafts: dict[str, tuple[float, ...]] = {}


def is_ahead(figures: Sequence[float], usual: Sequence[float]) -> bool:
    """Whether these were better than the usual ones in every round."""
    return (
        bool(figures)
        and len(figures) == len(usual)
        and all(figure >= other * AHEAD for figure, other in zip(figures, usual, strict=True))
    )


def may_be_batch(size: int, figures: Mapping[int, Sequence[float]], usual: int) -> bool:
    """Whether batches of `size` were ahead of usual ones so far, and none of them keeps who cancels waiting."""
    mine = figures.get(size, ())
    return is_ahead(mine, figures.get(usual, ())) and (size <= usual or size <= LONGEST * min(mine))


def best_batch(figures: Mapping[int, Sequence[float]], usual: int) -> int:
    """The size that read fastest, ahead of the usual one in all rounds; 0 where none was."""
    ahead = [size for size, mine in figures.items() if len(mine) == ROUNDS and may_be_batch(size, figures, usual)]
    return max(ahead, key=lambda size: fmean(figures[size]), default=0)


def best_draft(figures: Mapping[str, Sequence[float]]) -> str:
    """The id of the base with whose drafts answers came fastest, ahead of those without in all rounds; "" where none was."""
    ahead = [base for base, mine in figures.items() if base and len(mine) == ROUNDS and is_ahead(mine, figures[""])]
    return max(ahead, key=lambda base: fmean(figures[base]), default="")
