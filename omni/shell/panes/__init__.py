"""The panes of the shell, as a table: what stands in the rail, under which key, and where its widget is."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from textual.widget import Widget


class PaneSpec(Struct, frozen=True, kw_only=True):
    """One pane. `target` is `module:Class` and is imported when the pane is first shown, or later in a thread.

    A pane of Omni's own has a fixed function `key` and a `number` for alt + number; one of a plug-in has a `letter`,
    pressed after `g`. Its class takes the shell's services and nothing else. `group` sets apart in the rail.
    """

    name: str
    title: str
    target: str
    key: str = ""
    number: int = 0
    letter: str = ""
    group: int = 9
    about: str = ""

    @property
    def sentence(self) -> str:
        """What its key does, as the help says it."""
        return f"{self.title}: {self.about}" if self.about else f"Go to {self.title}"

    def load(self) -> "type[Widget]":
        """Import the pane's module and return its class."""
        module, _, name = self.target.partition(":")
        pane_class: type[Widget] = getattr(import_module(module), name)
        return pane_class

    def make(self, services: Any) -> "Widget":
        """The pane itself."""
        return self.load()(services)


HOME = PaneSpec(
    name="home",
    title="Home",
    target="omni.shell.panes.home:HomePane",
    key="f2",
    number=1,
    group=0,
    about="the machine, its brains, what you did last",
)
CHAT = PaneSpec(
    name="chat",
    title="Chat",
    target="omni.shell.panes.chat:ChatPane",
    key="f3",
    number=2,
    group=1,
    about="talk to a brain",
)
CARTRIDGES = PaneSpec(
    name="cartridges",
    title="Cartridges",
    target="omni.shell.panes.cartridges:CartridgesPane",
    key="f5",
    number=4,
    group=1,
    about="brains: found, installed, to be pulled",
)
SYSTEM = PaneSpec(
    name="system",
    title="System",
    target="omni.shell.panes.system:SystemPane",
    key="f10",
    number=9,
    group=3,
    about="everything that runs, and what it costs",
)

# Keys and numbers are fixed for all nine panes to come; one that does not work yet is not here and leaves its key free.
BUILT_IN = (HOME, CHAT, CARTRIDGES, SYSTEM)
