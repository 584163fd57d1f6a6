"""Which of several brains is the best one for this machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from omni.cartridges.brains import Brain
from omni.cartridges.facts import facts_of
from omni.cartridges.manifest import Facts

if TYPE_CHECKING:
    from omni.hardware import Budget

_ROOM = 8192  # tokens of context that a conversation about a project needs
_SMALL = 1_500_000_000  # bytes read for each token that every machine manages quickly


def ranking(budget: "Budget", *, pleasant: float) -> Callable[[Brain], tuple[float, ...]]:
    """Larger is better: fits, is no starter, answers at `pleasant` tokens a second or more, and then the most capable."""

    def rank(brain: Brain) -> tuple[float, ...]:
        facts = facts_of(brain)
        fit = budget.fit(facts)
        speed = fit.speed
        quick = speed >= pleasant if speed is not None else (facts.active_bytes or facts.weights_bytes) < _SMALL
        parameters = _parameters(brain)
        roomy = fit.context >= min(_ROOM, facts.context_max or _ROOM)
        return (fit.fits, not brain.starter, roomy, quick, parameters if quick else -parameters, brain.state == "ready")

    return rank


def _parameters(brain: Brain) -> int:
    if brain.base is not None:
        return brain.base.header.parameters
    facts = brain.manifest.base if brain.manifest is not None else None
    return facts.parameters if isinstance(facts, Facts) else 0
