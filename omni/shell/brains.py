"""Brains as the panes show them: each with what to expect of it on this machine."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from omni.core.words import size_words
from omni.shell.listing import Group, Row
from omni.shell.widgets import Part, bar, ink, speed_words, token_words

if TYPE_CHECKING:
    from textual.content import Content

    from omni.app import Services
    from omni.cartridges import Brain
    from omni.hardware import Fit


class BrainFit(Struct, frozen=True, kw_only=True):
    """A brain, and whether and how it fits; None where nobody can tell yet."""

    brain: "Brain"
    fit: "Fit | None" = None

    @property
    def speed(self) -> str:
        """How fast it answers, in words."""
        return speed_words(self.fit.speed, measured=self.fit.measured) if self.fit else ""


async def known_brains(services: "Services") -> list[BrainFit]:
    """All brains, in the library's order."""
    return [await offer_of(services, brain) for brain in await services.library.brains()]


async def offer_of(services: "Services", brain: "Brain") -> BrainFit:
    """One brain with what to expect of it; before it is here by what its manifest says."""
    fit = await services.fit(brain)
    if fit is None and brain.size and brain.state == "available":
        from omni.hardware import BaseFacts

        facts = brain.manifest.base if brain.manifest else None
        share = 1.0
        if active := getattr(facts, "active_parameters", 0):
            share = active / (getattr(facts, "parameters", 0) or active)
        fit = (await services.budget()).fit(
            BaseFacts(
                name=brain.name,
                weights_bytes=brain.size,
                active_bytes=round(brain.size * share),
                context_max=brain.context_max,
                layers=getattr(facts, "layers", 0),
                kv_heads=getattr(facts, "kv_heads", 0),
                head_dim=getattr(facts, "head_dim", 0),
            )
        )
    return BrainFit(brain=brain, fit=fit)


def matches(brain: "Brain", text: str) -> bool:
    """Whether every word of the filter stands somewhere in what is known of the brain."""
    known = f"{brain.name} {brain.title} {brain.summary} {brain.about} {brain.licence} {brain.state} {brain.origin}"
    return all(word in known.lower() for word in text.lower().split())


def chooser_groups(offers: Sequence[BrainFit], text: str) -> Iterable[Group]:
    """Those that can be asked now."""
    rows = tuple(
        Row(
            key=offer.brain.name,
            cells=(
                (offer.brain.name, "text"),
                (base_words(offer.brain), "second"),
                (offer.speed, "second"),
                (offer.brain.about, "third"),
            ),
        )
        for offer in offers
        if offer.brain.usable and matches(offer.brain, text)
    )
    return [Group(titles=("brain", "base", "speed", "good for"), rows=rows)]


def base_words(brain: "Brain") -> str:
    """What people call its base: here, in the status line and wherever else it is named."""
    header = brain.base.header if brain.base else None
    return brain.base_title or (header.name or header.architecture if header else brain.title)


_ORIGINS = {
    "": "Omni",
    "blob": "Omni",
    "file": "a file of yours",
    "folder": "a folder of yours",
    "ollama": "Ollama",
    "lm studio": "LM Studio",
    "hugging face": "Hugging Face",
    "gpt4all": "GPT4All",
    "jan": "Jan",
}


def origin_words(brain: "Brain") -> str:
    """In which program's store it was found."""
    return _ORIGINS.get(brain.origin, brain.origin)


def state_words(brain: "Brain") -> Part:
    """The state in one or two words and its colour."""
    match brain.state:
        case "ready":
            return "ready", "accent"
        case "installed":
            return "installed", "second"
        case "available":
            return "to pull", "third"
        case "gone":
            return "file is gone", "amber"
        case "unreadable":
            return "not readable", "amber"
        case "unloadable":
            return "not loadable", "amber"
        case "corrupt":
            return "damaged", "red"
        case _:
            return "not for chat", "third"


def expected_cells(offer: BrainFit, fastest: float) -> tuple["Content", Part]:
    """A bar beside the others, and the figure."""
    fit = offer.fit
    if fit is None or not fit.speed or (not offer.brain.usable and offer.brain.state != "available"):
        return ink(""), ""
    if not fit.fits:
        return ink(""), ("too big", "amber")
    slow = fit.speed < 8  # slower than one reads
    return bar(8, fit.speed / max(fastest, fit.speed), style="amber" if slow else "accent"), (
        f"{fit.speed:.0f} tok/s",
        "text",
    )


def size_cell(brain: "Brain") -> Part:
    """Bytes on the disk, `shared` for a brain that borrows its base."""
    if brain.shares:
        return "shared", "third"
    return f"{'≈ ' if brain.size_is_estimate else ''}{size_words(brain.size) if brain.size else ''}", "second"


def why_words(offer: BrainFit) -> str:
    """What else one wants to know before a pull, on one line."""
    brain, fit = offer.brain, offer.fit
    facts = [brain.licence or "licence unknown"]
    if brain.context_max:
        given = (
            f", {token_words(fit.context)} given" if fit and fit.context and fit.context != brain.context_max else ""
        )
        facts.append(f"context up to {token_words(brain.context_max)}{given}")
    if fit and fit.memory:
        facts.append(f"needs {size_words(fit.memory)} of memory")
    if brain.verified:
        facts.append(brain.verified)
    return " · ".join(facts)
