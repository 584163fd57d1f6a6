"""Which of several brains is the best one for this machine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from omni.cartridges.brains import Brain
from omni.cartridges.manifest import Facts

if TYPE_CHECKING:
    from omni.hardware import BaseFacts, Budget

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


def facts_of(brain: Brain) -> "BaseFacts":
    """What a budget needs to know of a brain, from its file or, before a pull, from its manifest."""
    from omni.hardware import BaseFacts

    if brain.base is not None:
        header = brain.base.header
        share = header.experts_used / header.experts if header.experts and header.experts_used else 1.0
        return BaseFacts(
            id=brain.base.id,
            name=brain.name,
            weights_bytes=header.weights_bytes,
            active_bytes=int(header.weights_bytes * min(1.0, share + 0.1)) if share < 1 else 0,
            layers=header.layers,
            kv_heads=header.kv_heads,
            head_dim=header.head_dim,
            context_max=header.context_length,
        )
    facts = brain.manifest.base if brain.manifest is not None and isinstance(brain.manifest.base, Facts) else Facts()
    share = facts.active_parameters / facts.parameters if facts.active_parameters and facts.parameters else 0
    return BaseFacts(
        name=brain.name,
        weights_bytes=brain.size,
        active_bytes=int(brain.size * share),
        layers=facts.layers,
        kv_heads=facts.kv_heads,
        head_dim=facts.head_dim,
        context_max=brain.context_max,
    )


def _parameters(brain: Brain) -> int:
    if brain.base is not None:
        return brain.base.header.parameters
    facts = brain.manifest.base if brain.manifest is not None else None
    return facts.parameters if isinstance(facts, Facts) else 0
