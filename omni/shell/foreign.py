"""Panes of plug-ins: which of them may stand in the rail; and what is shown of a pane that failed."""

import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec
from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget

from omni.shell.pane import Pane
from omni.shell.panes import PaneSpec
from omni.shell.widgets import Folded, Keys, Lines, ink

if TYPE_CHECKING:
    from omni.app import Services


def admitted(offered: Iterable[object], here: Mapping[str, PaneSpec]) -> tuple[list[PaneSpec], list[str]]:
    """The panes that can be shown beside those `here`, and why the others cannot. Function keys are Omni's own."""
    panes: dict[str, PaneSpec] = {}
    complaints = []
    for offer in offered:
        if not isinstance(offer, PaneSpec):
            complaints.append(f"A plug-in offers {offer!r}, which is no PaneSpec.")
            continue
        taken = {each.letter: each for each in [*here.values(), *panes.values()] if each.letter}
        if offer.name in here or offer.name in panes or not offer.name.isidentifier():
            complaints.append(f"The pane {offer.title} of a plug-in is left out: another one is named {offer.name!r}.")
        elif len(offer.letter) != 1 or not offer.letter.isalpha():
            complaints.append(f"The pane {offer.title} of a plug-in is left out: {offer.letter!r} is no letter.")
        elif offer.letter in taken:
            other = taken[offer.letter].title
            complaints.append(f"The pane {offer.title} of a plug-in is left out: g {offer.letter} shows {other}.")
        else:
            panes[offer.name] = msgspec.structs.replace(offer, key="", number=0, group=9)
    return list(panes.values()), complaints


def pane_of(node: object, panes: Mapping[str, PaneSpec]) -> PaneSpec | None:
    """The pane that this widget is or stands in."""
    ids = {f"pane-{pane.name}": pane for pane in panes.values()}
    around = node.ancestors_with_self if isinstance(node, Widget) else ()
    return next((ids[each.id] for each in around if each.id in ids), None)


def at_fault(error: Exception, panes: Mapping[str, PaneSpec]) -> PaneSpec | None:
    """The plug-in's pane in whose code `error` was raised, whoever called it: a message, a key, a worker, a timer."""
    foreign = {pane.name: pane for pane in panes.values() if pane.letter}
    frames = traceback.walk_tb(error.__traceback__) if foreign else ()
    specs = (pane_of(frame.f_locals.get("self"), foreign) for frame, _ in frames)
    return next((spec for spec in specs if spec is not None), None)


class FailedPane(Pane):
    """Stands where a pane would be, and says what happened to it."""

    can_focus = True

    def __init__(self, services: "Services", spec: PaneSpec, reason: str, hint: str) -> None:
        super().__init__(services)
        self._spec, self._lines = spec, [reason, hint]

    def compose(self) -> ComposeResult:
        """Name, error, what helps."""
        lines = self._lines
        if self._spec.letter:
            lines = [*lines, f"It is a pane of a plug-in ({self._spec.target}): update the plug-in, or uninstall it."]
        yield Lines(
            ink((f"{self._spec.title} failed", "bold red")),
            Content(""),
            *(
                Folded(head=Content(), text=line, style="text" if at == 0 else "second")
                for at, line in enumerate(lines)
            ),
        )
        yield Keys(("ctrl+p", "everything", "ctrl+p"), ("f2", "home", "f2"))

    def take_focus(self) -> None:
        """Keys go on working."""
        self.focus()
