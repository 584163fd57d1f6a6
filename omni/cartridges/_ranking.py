"""Which of several brains is the best one for this machine: of those that are here, and of those that could be had."""

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from omni.cartridges._facts import facts_of
from omni.cartridges.brains import Brain
from omni.cartridges.manifest import Facts

if TYPE_CHECKING:
    from omni.hardware import BaseFacts, Budget

READING = 4.0  # tokens a second: slower than people read
SOON = 6_000_000_000  # bytes: eight minutes at 100 Mbit/s

_ROOM = 8192  # tokens of context that a conversation about a project needs
_SMALL = 1_500_000_000  # bytes read for each token that every machine manages quickly
_MODEST = 0.7 / 0.8  # of the budget, which is 80 % of the memory: what is proposed takes at most 70 % of it
_FEWEST = 400_000_000  # weights; the smallest brains that answer sensibly have 490 million
_SHORTEST = 2048  # tokens of context for which it was trained
_RAW = re.compile(r"\b(base|pt|pretrained)\b", re.IGNORECASE)  # in the names of models that only go on with texts
_MADE = re.compile(r"\b(instruct|chat|it|assistant)\b", re.IGNORECASE)
_OPEN = ("Apache-2.0", "MIT")
_CHECKED = 4.0  # a file whose hash somebody here compared counts as much as one of so many times its weights


def best_here(budget: "Budget") -> Callable[[Brain], tuple[float, ...]]:
    """For brains that are here; larger is better.

    Fits, is no toy, has room to talk, answers as fast as people read, and then the most capable: of toys the largest,
    since each of them is fast.
    """

    def rank(brain: Brain) -> tuple[float, ...]:
        facts = facts_of(brain)
        fit = budget.fit(facts)
        able = capable(brain)
        quick = not able or _as_fast_as(READING, fit.speed, facts)
        parameters = _parameters(brain)
        roomy = fit.context >= min(_ROOM, facts.context_max or _ROOM)
        return (fit.fits, able, roomy, quick, parameters if quick else -parameters, brain.state == "ready")

    return rank


def capable(brain: Brain) -> bool:
    """Whether answers of it are of use, as far as anybody can tell without asking: it was made to answer, can listen to
    more than a few sentences, and has weights enough. A starter, a model for stories and a base model are none."""
    header = brain.base.header if brain.base else None
    short = header is not None and 0 < header.context_length < _SHORTEST
    raw = header is not None and _RAW.search(header.name) is not None and _MADE.search(header.name) is None
    return not brain.starter and not short and not raw and _parameters(brain) >= _FEWEST


def quality(brain: Brain) -> tuple[float, ...]:
    """Larger is better, whatever the machine: no toy, then the most weights."""
    return (capable(brain), _parameters(brain))


def first_to_pull(budget: "Budget") -> Callable[[Brain], tuple[float, ...]]:
    """For brains that somebody new here could fetch; larger is better.

    Takes at most 70 % of the memory with room to talk, keeps up with a reader, is no starter, answers quickly, is here
    in minutes, and then the most capable, where a checked file outweighs one that is somewhat larger. Where nothing is
    quick, the smallest is.
    """
    from omni.hardware import PLEASANT

    modest = msgspec.structs.replace(budget, memory=int(budget.memory * _MODEST))

    def rank(brain: Brain) -> tuple[float, ...]:
        facts = facts_of(brain)
        fit = modest.fit(facts)
        roomy = fit.context >= min(_ROOM, facts.context_max or _ROOM)
        quick = _as_fast_as(PLEASANT, fit.speed, facts)
        worth = _worth(brain) * (_CHECKED if _checked(brain) else 1.0)
        return (
            fit.fits and roomy,
            _as_fast_as(READING, fit.speed, facts),
            not brain.starter,
            quick,
            brain.size <= SOON,
            worth if quick else -facts.weights_bytes,
        )

    return rank


def fits_modestly(budget: "Budget", brain: Brain) -> bool:
    """Whether it takes no more of the memory than may be proposed to anybody."""
    return msgspec.structs.replace(budget, memory=int(budget.memory * _MODEST)).fit(facts_of(brain)).fits


def _as_fast_as(wanted: float, speed: float | None, facts: "BaseFacts") -> bool:
    """By its measured or expected speed; where nobody knows it, by its size."""
    return speed >= wanted if speed is not None else (facts.active_bytes or facts.weights_bytes) < _SMALL


def _checked(brain: Brain) -> bool:
    return (
        brain.manifest is not None and isinstance(brain.manifest.base, Facts) and brain.manifest.base.sha256 is not None
    )


def may_be_proposed(brain: Brain) -> bool:
    """Whether somebody who does not know it yet may be led to it: it can be had, answers, and its licence has no terms that one
    would have to read first."""
    return brain.state == "available" and brain.makes == "answers" and not brain.shares and brain.licence in _OPEN


def _worth(brain: Brain) -> float:
    """Weights; of a mixture of experts as many as a model without them would need for its answers, by the usual rule of thumb."""
    facts = brain.manifest.base if brain.manifest is not None else None
    active = facts.active_parameters if isinstance(facts, Facts) else 0
    return math.sqrt(_parameters(brain) * (active or _parameters(brain)))


def _parameters(brain: Brain) -> int:
    if brain.base is not None:
        return brain.base.header.parameters
    facts = brain.manifest.base if brain.manifest is not None else None
    return facts.parameters if isinstance(facts, Facts) else 0
