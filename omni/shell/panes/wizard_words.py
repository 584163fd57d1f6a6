"""What the wizard says: the steps, the brains to choose from, why one is recommended, how far the first one is."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from textual.content import Content

from omni.core.words import size_words, time_words
from omni.shell.brains import expected_cells, origin_words, size_cell, state_words, why_words
from omni.shell.listing import Group, Row
from omni.shell.widgets import Folded, Line, ink

if TYPE_CHECKING:
    from omni.shell.brains import BrainFit

Step = Literal["Machine", "Brain", "Look", "Ready"]
STEPS: tuple[Step, ...] = ("Machine", "Brain", "Look", "Ready")
Arrival = Literal["none", "here", "coming", "failed"]
READING_SPEED = 8  # tokens a second; people read 5 to 8

TITLES_HERE = ("  on this machine", "size", "", "expected", "found in", "state")
TITLES_AWAY = ("  to download", "size", "", "expected", "good for", "licence")


def steps_line(now: Step, *, narrow: bool) -> Content:
    """All steps; where it is narrow only the present one has its name."""
    at = STEPS.index(now)
    parts = []
    for index, step in enumerate(STEPS):
        if index < at:
            parts.append(ink(("✓", "accent"), ("" if narrow else f" {step}", "text")))
        elif index == at:
            parts.append(ink(("● ", "accent"), (step, "bold text")))
        else:
            parts.append(ink(("○", "third"), ("" if narrow else f" {step}", "second")))
    gap = " " if narrow else "   "
    return ink((f"{gap}–{gap}", "third")).join(parts)


def too_big(offer: "BrainFit") -> bool:
    """Whether this machine has no room for it."""
    return offer.fit is not None and not offer.fit.fits


def can_be_first(offer: "BrainFit") -> bool:
    """Whether it can be the first brain: it is here or can be fetched, and it fits."""
    return (offer.brain.usable or offer.brain.state == "available") and not too_big(offer)


def brain_groups(offers: Sequence["BrainFit"], best: str) -> list[Group]:
    """What is here, then what can be downloaded; a dot marks the one that is recommended."""
    fastest = max((offer.fit.speed or 0 for offer in offers if offer.fit), default=1.0) or 1.0
    here: list[Row] = []
    away: list[Row] = []
    for offer in offers:
        brain = offer.brain
        fetched = brain.state == "available"
        if fetched and brain.shares:
            continue  # it comes with its base
        row_bar, speed = expected_cells(offer, fastest)
        mark = ("● ", "accent") if brain.name == best else "  "
        title = brain.title if fetched and brain.title else brain.name
        last = (brain.good_for, "second") if fetched else (origin_words(brain), "second")
        end = (brain.licence or "", "third") if fetched else state_words(brain)
        row = Row(key=brain.name, cells=(ink(mark, (title, "text")), size_cell(brain), row_bar, speed, last, end))
        (away if fetched else here).append(row)
    return [Group(titles=TITLES_HERE, rows=tuple(here)), Group(titles=TITLES_AWAY, rows=tuple(away))]


def brain_lines(offer: "BrainFit", *, best: bool, rate: float) -> list[Line]:
    """Why this one or why not, and what it costs; `rate` is how fast the last download came, 0 when nobody knows."""
    brain = offer.brain
    if brain.reason:
        return [_sentence(brain.reason, "amber"), _sentence(brain.command, "text")]
    if too_big(offer):
        why = offer.fit.why if offer.fit else ""
        return [Folded(head=ink(("Too big here: ", "bold amber")), text=why, style="amber", indent=0)]
    lines: list[Line] = []
    if best:
        lines.append(Folded(head=ink(("● Recommended  ", "accent")), text=_because(offer), style="second", indent=0))
    if brain.summary or brain.title:
        lines.append(_sentence(brain.summary or brain.title, "second"))
    cost = ""
    if brain.state == "available" and brain.size:
        about = f", about {time_words(brain.size / rate)}" if rate else ""
        cost = f"{'≈ ' if brain.size_is_estimate else ''}{size_words(brain.size)} to download{about} · "
    lines.append(_sentence(cost + why_words(offer), "third"))
    return lines


def _sentence(text: str, style: str) -> Folded:
    return Folded(head=Content(), text=text, style=style)


def _because(offer: "BrainFit") -> str:
    speed = offer.fit.speed if offer.fit else None
    fast = "answers faster than you read" if (speed or 0) >= READING_SPEED else "fits into this memory"
    if offer.brain.usable:
        return f"it is here already and {fast}"
    return f"the most capable that {fast}" if not offer.brain.starter else "a small one to begin with"


def ready_lines(offer: "BrainFit | None", arrival: Arrival) -> list[Line]:
    """Ready is only said when the brain is there."""
    if offer is None or arrival == "none":
        return [(ink(("No brain yet.", "bold text")), ink(("Enter goes back to choose one.", "second")))]
    name = ink((offer.brain.title or offer.brain.name, "accent"))
    known = (("F3", "the conversation"), ("F12", "shuts every door"), ("ctrl+p", "finds anything"), ("F1", "all keys"))
    keys = [ink(), *(ink((f"{key:<9}", "second"), (what, "third")) for key, what in known)]
    match arrival:
        case "here":
            return [(ink(("Ready.", "bold text")), name, ink(("Everything is here.", "second"))), *keys]
        case "coming":
            says = "It is on its way; enter waits for it in the conversation."
            return [(ink(("Almost ready.", "bold text")), name, ink((says, "second"))), *keys]
        case _:
            failed = ink(("It did not come.", "amber"))
            return [(ink(("Not ready yet.", "bold text")), name, failed), *keys]
