"""What a quantisation kept: what llama-perplexity prints, and which types a file came to have."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from omni.core.errors import EngineError

if TYPE_CHECKING:
    from omni.cartridges import Tensor

WANTED = {  # quantisation -> the types that its weights shall have; what has others fell back, or is no weight
    "Q4_K_M": ("Q4_K", "Q5_K", "Q6_K"),
    "Q5_K_M": ("Q5_K", "Q6_K"),
    "Q8_0": ("Q8_0",),
}
SUPER_BLOCK = 256  # numbers of a row that K-quants take together

_LAYER = re.compile(r"^(blk\.)\d+\.")
_FINAL = re.compile(r"Final estimate: PPL = ([\d.]+) \+/- ([\d.]+)")
_FIGURE = re.compile(r"^(?P<name>[^:]+?)\s*:\s*(?P<value>-?[\d.]+)\s*%?(?:\s*±\s*(?P<error>[\d.]+))?\s*%?$")


class Perplexity(msgspec.Struct, frozen=True, kw_only=True):
    """How surprised a brain is by the held text, and the standard error of that."""

    value: float
    error: float


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """How far the likelihoods of the next token moved: Kullback and Leibler's divergence (mean with its standard error, the
    99th of 100, the largest, in nats), and in how many of 100 places the likeliest token is the same."""

    mean: float
    error: float
    p99: float
    largest: float
    same_top: float


class TensorGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Tensors of one name, all layers together: how many there are, how long a row is, what type they have, and whether that
    is another than was asked for because rows are no multiple of 256."""

    name: str
    count: int
    row: int
    type: str
    fell_back: bool


def perplexity(lines: Iterable[str]) -> Perplexity:
    """The estimate that stands at the end. Raises EngineError where none does."""
    for line in lines:
        if match := _FINAL.search(line):
            return Perplexity(value=float(match[1]), error=float(match[2]))
    raise EngineError("llama-perplexity ended without its estimate.", hint="Its log has all that it said.")


def divergence(lines: Iterable[str]) -> tuple[Perplexity, Divergence]:
    """The perplexity of the smaller file, and how far it is from the other. Raises EngineError where a figure is missing."""
    figures: dict[str, tuple[float, float]] = {}
    for line in lines:
        if match := _FIGURE.match(line.strip()):
            name = " ".join(match["name"].split())
            figures[name] = float(match["value"]), float(match["error"] or 0)
    try:
        mean, error = figures["Mean KLD"]
        return (
            Perplexity(value=figures["Mean PPL(Q)"][0], error=figures["Mean PPL(Q)"][1]),
            Divergence(
                mean=mean,
                error=error,
                p99=figures["99.0% KLD"][0],
                largest=figures["Maximum KLD"][0],
                same_top=figures["Same top p"][0],
            ),
        )
    except KeyError as missing:
        raise EngineError(
            f"llama-perplexity ended without the figure {missing}.", hint="Its log has all that it said."
        ) from missing


def groups(tensors: "Sequence[Tensor]", target: str) -> tuple[TensorGroup, ...]:
    """The tensors of a quantised file, those of one name, row and type together, the most common first."""
    wanted = WANTED[target]
    counted = Counter(
        (_LAYER.sub(r"\1", each.name), each.shape[0], each.type) for each in tensors if len(each.shape) > 1
    )
    return tuple(
        TensorGroup(
            name=name,
            count=count,
            row=row,
            type=kind,
            fell_back=bool(row % SUPER_BLOCK) and target.endswith("_M") and kind not in (*wanted, "F32"),
        )
        for (name, row, kind), count in counted.most_common()
    )
