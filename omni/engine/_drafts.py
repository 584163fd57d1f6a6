"""What may draft for a brain: a layer of its own that was made for it, or a smaller one that has the very same tokens. Neither keeps
anything that cannot be taken back."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from omni.cartridges import read_vocabulary
from omni.core.errors import OmniError
from omni.engine._specs import guesses
from omni.runtimes import ABILITIES, EngineChoice, Tuning, best_draft

if TYPE_CHECKING:
    from omni.cartridges import Base, Brain

SMALLER = 2  # times: what is hardly smaller takes as long to draft as the other one to answer
MOST = 2  # that are measured for one brain
OWN = "mtp"  # the brain's own layer, where another one would be named


def drafts_for(base: "Base", brains: "Iterable[Brain]") -> "list[Base]":
    """The bases that may draft for `base`, the smallest first. Blocking: the heads of files are read."""
    bases = {brain.base.id: brain.base for brain in brains if brain.usable and brain.base is not None}
    sorted_ones = sorted(bases.values(), key=lambda one: one.size)
    return [one for one in sorted_ones if one.size * SMALLER <= base.size and not why_not(one, base)][:MOST]


def why_not(draft: "Base", base: "Base") -> str:
    """Why a base cannot draft for another one; "" where it can. Blocking: the heads of their files are read."""
    if base.projector is not None:
        return "sees, and what it sees cannot be drafted from"
    if not guesses(base.header) or not guesses(draft.header):
        return "keeps a state from which nothing can be taken back"
    try:
        alike = draft.header.tokens == base.header.tokens and read_vocabulary(draft.path) == read_vocabulary(base.path)
    except OmniError as error:
        return error.message.rstrip(".")
    return "" if alike and draft.header.kind == "model" else "has other tokens"


def has_heads(base: "Base") -> bool:
    """Whether a layer of its own may draft for a base."""
    return base.header.drafts_ahead and not base.header.sliding_window and base.projector is None


def with_draft(
    choice: EngineChoice, base: "Base", brains: "Sequence[Brain]", wanted: str, tuning: Tuning | None
) -> EngineChoice:
    """A choice with what drafts for `base`, by the setting `engine.draft`, which is `wanted`: a name, "mtp": a layer of its own where
    it has one, "off", or "auto": what measured better. Layers on devices, and engines that check no guesses, answer alone. Blocking."""
    if wanted == "off" or choice.devices or "speculation" not in ABILITIES[choice.kind]:
        return choice
    if wanted == OWN:
        return choice._replace(heads=has_heads(base))
    if wanted == "auto":
        ident = best_draft(tuning.drafts) if tuning is not None else ""
        if ident == OWN:
            return choice._replace(heads=has_heads(base))
        return choice._replace(draft=next((one.base for one in brains if one.base and one.base.id == ident), None))
    named = next((one.base for one in brains if one.name == wanted and one.usable), None)
    if named is None:
        return choice._replace(undrafted=f"no brain is here that is named {wanted!r}, as engine.draft says")
    if named.id == base.id or named.size > base.size:
        return choice  # it answers by itself
    if reason := why_not(named, base):
        return choice._replace(undrafted=f"{wanted} does not draft for {base.header.name or base.id}, which {reason}")
    return choice._replace(draft=named)
