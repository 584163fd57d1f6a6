"""Home: the wizard on the first run, then the place to begin from."""

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding

from omni.core.errors import OmniError
from omni.core.words import clock_words, size_words
from omni.shell.listing import Column, Group, Listing, Row
from omni.shell.machine import MachineFacts
from omni.shell.pane import Pane
from omni.shell.panes.wizard import Wizard
from omni.shell.widgets import Keys, Line, Lines, Part, home_path, ink, job

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain
    from omni.chat import Conversation
    from omni.hardware import HardwareProfile, MachineSample
    from omni.keeper import KeeperChange
    from omni.shell.brains import BrainFit

RECENT = 12


class HomePane(Pane):
    """What to do next: the best brain for this memory, the last conversations, the state of machine and doors."""

    DEFAULT_CSS = """
    HomePane > Lines, HomePane > MachineFacts { margin-bottom: 1; }
    HomePane > Listing { margin-bottom: 1; }
    Screen.-low HomePane > #home-machine, Screen.-low HomePane > #home-doors { display: none; }
    Screen.-low HomePane > Lines, Screen.-low HomePane > Listing { margin-bottom: 0; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [
        Binding("n", "new", "New conversation", id="home.new", tooltip="Begin a conversation"),
        Binding("w", "wizard", "First steps", id="home.wizard", tooltip="Go through the first steps again"),
    ]

    def __init__(self, services: "Services") -> None:
        super().__init__(services)
        self._profile: HardwareProfile | None = None
        self._offer: BrainFit | None = None
        self._recent: list[Conversation] = []
        self._looked = self._chosen = False

    def compose(self) -> ComposeResult:
        """The dashboard, or the wizard where nothing was ever there; where that must be looked up, nothing yet."""
        if self.services.settings.ui.ready:
            yield from self._dashboard()
        elif self.omni.new_here:
            yield Wizard(self.services)
        else:
            self.run_worker(
                job(self._decide), name="decide", group="decide", description="look for a brain that is here"
            )

    def on_mount(self) -> None:
        """Follow what the machine does."""
        self.omni.watch_meters(self._measured)

    async def _decide(self) -> None:
        """Whoever has a brain needs no first steps."""
        await self.omni.warmed.wait()
        here = False
        with self.omni.going_on(self):
            here = await self.services.library.best() is not None
        await self.mount_all(self._dashboard() if here else [Wizard(self.services)])
        if self.omni.rail.active == "home" and len(self.app.screen_stack) == 1:
            self.take_focus()

    @property
    def shows_pulls(self) -> bool:
        """The wizard does."""
        return bool(self.query(Wizard))

    def _dashboard(self) -> ComposeResult:
        project = self.omni.project
        path = home_path(str(project))
        yield Lines((ink(("Home", "bold text")), ink((project.name, "second")), ink((path, "third"))))
        yield Listing(
            Column(most=60, least=30, gives=True),
            Column(leaves=1, most=24),
            Column(leaves=2, most=30, least=10),
            Column(leaves=3, most=30),
            id="home-list",
            empty="Looking …",
        )
        yield MachineFacts(id="home-machine")
        yield Lines(id="home-doors")
        yield Keys(
            ("enter", "open", "enter"),
            ("↑↓", "choose", ""),
            ("n", "new conversation", "n"),
            ("F5", "brains", "f5"),
            ("w", "first steps", "w"),
        )
        self.run_worker(job(self._look), name="home", exclusive=True, group="home", description="read what Home shows")

    def _measured(self, reading: "MachineSample") -> None:
        if self.is_attached and self.display:
            for machine in self.query("#home-machine").results(MachineFacts):
                machine.measured(reading)

    async def on_wizard_done(self, message: Wizard.Done) -> None:
        """Into the conversation, or to the dashboard."""
        message.stop()
        await self.query(Wizard).remove()
        await self.mount_all(self._dashboard())
        if message.ready and message.brain:
            await self.omni.chat_with(message.brain)
        else:
            self.take_focus()

    async def action_wizard(self) -> None:
        """Again."""
        if not self.query(Wizard):
            await self.query("HomePane > *").remove()
            await self.mount(Wizard(self.services))
            self.take_focus()

    def action_new(self) -> None:
        """Enter on the first row."""
        if self.query("#home-list"):
            self.run_worker(self._begin("new"), name="open", description="open a conversation")

    async def _look(self) -> None:
        from omni.shell.brains import base_words, offer_of

        await self.omni.warmed.wait()
        with self.omni.going_on(self):
            (brain, self._chosen), self._recent, self._profile = await asyncio.gather(
                self._brain_to_offer(),
                self.services.chat.conversations(limit=RECENT),
                self.services.hardware(),
            )
            self._offer = await offer_of(self.services, brain) if brain else None
        if self.omni.pane("chat") is None:  # which tells it by itself, once there is one
            self.omni.status.show(brain=brain.name if brain else "", base=base_words(brain) if brain else "")
        self._looked = True
        self._draw()
        if self._profile is not None and self._profile.bandwidth is None:
            self._profile = await self.services.measured_hardware()
            self._draw()

    async def _brain_to_offer(self) -> "tuple[Brain | None, bool]":
        """The brain that was chosen in the conversation or in the settings, else the best; and whether it was chosen."""
        library = self.services.library
        best = await library.best()
        in_chat = self.omni.status.state.brain if self.omni.pane("chat") is not None else ""
        name = in_chat or self.services.settings.chat.brain
        if name and (best is None or name != best.name):
            try:
                brain = await library.get(name)
            except OmniError:
                return best, False  # it was removed since
            if brain.usable:
                return brain, True
        return best, False

    def _draw(self) -> None:
        if not self._looked or not self.query("#home-list"):
            return
        groups = [Group(titles=("begin", "", "", ""), rows=tuple(self._first_rows()))]
        rows = tuple(
            Row(
                key=f"chat {one.id}",
                cells=(
                    (one.title or "untitled", "text"),
                    (ago_words(self.services.clock.now() - one.updated, one.updated), "second"),
                    (one.brain, "third"),
                    (_name(one.project), "third"),
                ),
            )
            for one in self._recent
        )
        groups.append(Group(titles=("recent conversations", "", "", ""), rows=rows))
        self.query_one("#home-list", Listing).fill(groups)
        machine = self.query_one(MachineFacts)
        if self._profile is not None:
            machine.show(self._profile)
        else:
            machine.give_up()
        self.query_one("#home-doors", Lines).show(self._doors())

    def _first_rows(self) -> list[Row]:
        best: list[Row] = []
        if self._offer is not None:
            brain = self._offer.brain
            size = size_words(brain.size) if brain.size else ""
            name: Part = ink(("Talk to ", "text"), (brain.title or brain.name, "accent"))
            why = "the one you chose" if self._chosen else "best for this memory"
            best.append(Row(key="new", cells=(name, (why, "second"), (self._offer.speed, "second"), (size, "second"))))
        else:
            best.append(
                Row(
                    key="pull",
                    cells=(
                        ("Pull a first brain", "text"),
                        ("none is installed yet", "second"),
                        ("F5 lists them", "third"),
                    ),
                )
            )
        return best

    def _doors(self) -> Line:
        def line(state: str, style: str, *notes: str) -> Line:
            first = ink((f"{'Doors':<12}", "second"), (state, style))
            return (first, *(ink((note, "third")) for note in notes))

        doors = self.omni.doors
        if doors is None:
            return line("not known yet", "third")
        if doors.air_gap:
            return line("air gap", "accent", "nothing can be pulled", "F12 opens them")
        if doors.open and not any(door.outward for door in doors.open):
            where = ", ".join(door.host for door in doors.open)
            return line("none out", "text", f"a server listens on {where}, for you alone", "F12 shuts it, too")
        if doors.open:
            what = ", ".join(f"{door.purpose} {door.host}" for door in doors.open)
            return line(what, "amber", "F12 shuts every door")
        return line("all shut", "text", "one opens only while you pull or install", "F12 keeps them shut")

    async def on_listing_chosen(self, message: Listing.Chosen) -> None:
        """Open it."""
        message.stop()
        await self._begin(message.key)

    async def _begin(self, key: str) -> None:
        if key == "new" and self._offer is not None:
            await self.omni.chat_with(self._offer.brain.name, new=True)
        elif key.startswith("chat "):
            await self.omni.open_conversation(key.removeprefix("chat "))
        else:
            await self.omni.show("cartridges")

    def take_focus(self) -> None:
        """The list, or the wizard's own."""
        for wizard in self.query(Wizard):
            wizard.take_focus()
            return
        for listing in self.query("#home-list"):
            listing.focus()

    def on_show(self) -> None:
        """Much may have happened since: another brain was chosen, conversations went on."""
        if self._looked:
            self.run_worker(
                job(self._look), name="home", exclusive=True, group="home", description="read what Home shows"
            )

    def heard(self, change: "KeeperChange") -> None:
        """Conversations and brains come and go in other front ends too."""
        if change.topic == "doors":
            self._draw()
        elif self._looked and self.display and change.topic in ("conversation", "library"):
            self.run_worker(
                job(self._look), name="home", exclusive=True, group="home", description="read what Home shows"
            )


def ago_words(seconds: float, moment: float) -> str:
    """How long ago: `5 min ago`, `14:02`, `yesterday`, `12 Nov`."""
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 86_400:
        return clock_words(moment)
    when = time.localtime(moment)
    return "yesterday" if seconds < 172_800 else f"{when.tm_mday} {time.strftime('%b', when)}"


def _name(project: str | None) -> str:
    return project.rstrip("/").rpartition("/")[2] if project else ""
