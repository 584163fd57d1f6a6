"""What may draft for a brain: a layer of its own that was made for it, or a smaller one that has the very same tokens. Neither keeps
anything that cannot be taken back."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from omni.cartridges import read_vocabulary
from omni.core.errors import OmniError, nearest
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
    if not _same_tokens(draft, base):
        return "it has other tokens"
    if base.projector is not None:
        return "what that one sees cannot be drafted from"
    if not guesses(base.header) or not guesses(draft.header):
        return "one of the two keeps a state from which nothing can be taken back"
    return ""


def _same_tokens(draft: "Base", base: "Base") -> bool:
    """Whether two models that write have the very same tokens, as far as their files tell."""
    if {draft.header.kind, base.header.kind} != {"model"} or draft.header.tokens != base.header.tokens:
        return False
    with suppress(OmniError):
        return read_vocabulary(draft.path) == read_vocabulary(base.path)
    return False


def has_heads(base: "Base") -> bool:
    """Whether a layer of its own may draft for a base."""
    return base.header.drafts_ahead and not base.header.sliding_window and base.projector is None


def with_draft(
    choice: EngineChoice, base: "Base", brains: "Sequence[Brain]", wanted: str, tuning: Tuning | None
) -> EngineChoice:
    """A choice with what drafts for `base`, by the setting `engine.draft`, which is `wanted`: a name, "mtp": a layer of its own where
    it has one, "off", or "auto": what measured better. Layers on devices, and engines that check no guesses, answer alone. Blocking."""
    if wanted == "off" or choice.devices or "speculation" not in ABILITIES[choice.kind] or base.header.kind != "model":
        return choice
    if wanted == OWN:
        return choice._replace(heads=has_heads(base))
    if wanted != "auto":
        return _with_named(choice, base, brains, wanted)
    ident = best_draft(tuning.drafts) if tuning is not None else ""
    if ident == OWN:
        return choice._replace(heads=has_heads(base))
    measured = next((one.base for one in brains if one.usable and one.base and one.base.id == ident), None)
    return choice._replace(draft=measured) if measured is not None and not why_not(measured, base) else choice


def _with_named(choice: EngineChoice, base: "Base", brains: "Sequence[Brain]", name: str) -> EngineChoice:
    """A choice with the brain that a person named, or why that does not draft where it is meant to: for larger brains with the same
    tokens. Of others nothing is said, unless there is none that it is meant for."""
    named = next((one for one in brains if one.name == name), None)
    if named is None:
        hint = nearest(name, [one.name for one in brains if one.usable])
        return choice._replace(
            undrafted=f"engine.draft names {name!r}, and no brain here is called that. {hint}".rstrip()
        )
    if named.base is None or not named.usable:
        why = named.reason or "it is not on this machine"
        return choice._replace(undrafted=f"{name}, which engine.draft names, cannot be used: {why}")
    draft = named.base
    larger = [one.base for one in brains if one.usable and one.base is not None and one.base.size > draft.size]
    if not any(_same_tokens(draft, one) for one in larger):
        words = f"{name}, which engine.draft names, drafts for nobody: no larger brain with its tokens is here"
        return choice._replace(undrafted=words)
    if base.id == draft.id or base.size < draft.size or not _same_tokens(draft, base):
        return choice
    if reason := why_not(draft, base):
        return choice._replace(undrafted=f"{name} does not draft for {base.header.name or base.id}: {reason}")
    return choice._replace(draft=draft)
