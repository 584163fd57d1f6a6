"""The first run: what this machine is, which brain comes first, how it shall look; then straight into a conversation."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from omni.core.errors import OmniError
from omni.core.paths import own_path
from omni.shell.listing import Column, Group, Listing, Row
from omni.shell.machine import MachineFacts
from omni.shell.pane import frame_of
from omni.shell.panes.wizard_words import (
    Arrival,
    Step,
    brain_groups,
    brain_lines,
    can_be_first,
    ready_lines,
    steps_line,
    too_big,
)
from omni.shell.pull_lines import pulling_lines
from omni.shell.widgets import Folded, Keys, Line, Lines, home_path, ink, job

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import PullStatus
    from omni.hardware import HardwareProfile
    from omni.shell.brains import BrainFit
    from omni.shell.frame import Frame
    from omni.shell.theme import ThemeFile

NARROW = 60


class Wizard(Vertical, can_focus=True):
    """Four steps; Esc leaves it for later at any of them, and nothing chosen is lost."""

    DEFAULT_CSS = """
    Wizard { height: 1fr; }
    Wizard > Lines, Wizard > MachineFacts { margin-bottom: 1; }
    Wizard > #wizard-question { margin-bottom: 0; }
    Wizard > Listing { margin-bottom: 1; }
    Screen.-low Wizard > Listing, Screen.-low Wizard > Lines { margin-bottom: 0; }
    Screen.-low Wizard > #wizard-detail { max-height: 2; }
    Screen.-middle Wizard.-brain > #wizard-detail { min-height: 5; max-height: 6; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [
        Binding("escape", "later", "Later", id="wizard.later", tooltip="Leave the first steps for another time"),
        Binding("enter", "begin", "Begin", id="wizard.begin", show=False, tooltip="Go into the conversation"),
        Binding("o", "other", "Another file", id="wizard.other", tooltip="Use a GGUF file or a folder of your own"),
        Binding("l", "link", "Link omni", id="wizard.link", tooltip="Make `omni` a command in ~/.local/bin"),
        Binding("left", "back", "Back", id="wizard.back", show=False, tooltip="The step before"),
        Binding("x", "cancel", "Cancel", id="wizard.cancel", show=False, tooltip="End the download"),
        Binding("r", "again", "Try again", id="wizard.again", show=False, tooltip="Go on with the download"),
    ]

    class Done(Message):
        """The wizard is over. `brain` is what to begin with, "" for none; `ready` when it was gone through to its end."""

        def __init__(self, brain: str, *, ready: bool) -> None:
            super().__init__()
            self.brain, self.ready = brain, ready

    def __init__(self, services: "Services") -> None:
        super().__init__()
        self._services = services
        self._step: Step = "Machine"
        self._profile: HardwareProfile | None = None
        self._offers: list[BrainFit] = []
        self._best = ""
        self._brain = ""
        self._refused = ""
        self._searching = True
        self._themes: dict[str, ThemeFile] = {}
        self._linked: Content | None = None
        self._failure: OmniError | None = None
        self._status_before = ("", "")  # a brain and its base

    @property
    def omni(self) -> "Frame":
        """The app, as what may be asked of it."""
        return frame_of(self.app)

    def compose(self) -> ComposeResult:
        """Welcome, the steps, the machine, one question at a time."""
        yield Lines((ink(("Welcome to omni", "bold text")), ink(("your own brains, on your own machine", "second"))))
        yield Lines(steps_line(self._step, narrow=self.app.size.width < NARROW), id="wizard-steps")
        yield MachineFacts(id="wizard-machine")
        yield Lines(id="wizard-question")
        yield Listing(
            Column(most=28),
            Column(leaves=3, align="right"),
            Column(leaves=4),
            Column(leaves=1, align="right"),
            Column(leaves=5, most=44),
            Column(leaves=2, most=30),
            empty="Looking for brains that are here already …",
        )
        yield Lines(id="wizard-detail")
        yield Lines(id="wizard-pull")
        yield Keys()

    def on_mount(self) -> None:
        """Look at the machine and for brains behind the frame."""
        self._status_before = (self.omni.status.state.brain, self.omni.status.state.base)
        self.query_one(Listing).display = False
        self._draw()
        self.run_worker(job(self._look_at_machine), name="machine", description="look at the machine")
        self.run_worker(job(self._look_for_brains), name="scan", description="look for brains that are here already")
        self.call_after_refresh(lambda: self.omni.pulls.listen(self._pull_moved))

    # -- what is found

    async def _look_at_machine(self) -> None:
        await self.omni.warmed.wait()
        with self.omni.going_on(self):
            self._profile = await self._services.hardware()
        self.query_one(MachineFacts).give_up()
        if self._step == "Machine":
            self._to_brain()
        self._draw()
        if self._profile is not None and self._profile.bandwidth is None:
            self._profile = await self._services.measured_hardware()
            await self._read_brains()
            self._fill_brains()

    async def _read_brains(self) -> None:
        from omni.shell.brains import known_brains

        self._offers = await known_brains(self._services)
        library = self._services.library
        best = await library.best()
        if best is None or best.starter:  # a starter only proves that all works
            best = await library.recommended() or best
        self._best = best.name if best else ""

    async def _look_for_brains(self) -> None:
        await self.omni.warmed.wait()
        with self.omni.going_on(self):
            await self._read_brains()
            self._fill_brains()
            await self._services.library.scan()
            await self._read_brains()
        self._searching = False
        self._fill_brains()

    def complain(self, error: OmniError) -> None:
        """Below the question."""
        self._failure = error
        self._draw()

    def _offer(self, name: str) -> "BrainFit | None":
        return next((offer for offer in self._offers if offer.brain.name == name), None)

    def _pulling(self) -> "PullStatus | None":
        return self.omni.pulls.all.get(self._brain) if self._brain and self.omni.warmed.is_set() else None

    def _arrival(self) -> Arrival:
        """How far the brain is that was chosen."""
        offer, pulling = self._offer(self._brain), self._pulling()
        if offer is None:
            return "none"
        if pulling is not None and pulling.running:
            return "coming"
        if offer.brain.usable or (pulling is not None and pulling.state == "done"):
            return "here"
        return "failed"

    # -- drawing

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self.query_one("#wizard-steps", Lines).show(steps_line(self._step, narrow=self.app.size.width < NARROW))
        machine = self.query_one(MachineFacts)
        if self._profile is not None:
            machine.show(self._profile)
        machine.display = self._step == "Machine" or (self._step != "Look" and self.screen.has_class("-high"))
        self.query_one(Listing).display = self._step in ("Brain", "Look")
        self.set_class(self._step == "Brain", "-brain")  # the table keeps its height while the bar moves
        question, detail = self.query_one("#wizard-question", Lines), self.query_one("#wizard-detail", Lines)
        match self._step:
            case "Machine":
                question.show()
                detail.show()
            case "Brain":
                question.show(self._brain_question())
                offer = self._offer(self.query_one(Listing).key)
                best = offer is not None and offer.brain.name == self._best
                detail.show(*(brain_lines(offer, best=best, rate=self.omni.pulls.rate) if offer else ()))
            case "Look":
                own = f"your own go into {home_path(str(self._services.home.themes()))}/"
                question.show((ink(("How shall it look?", "bold text")), ink((own, "second"))))
                detail.show(ink(("What you see now is the theme with the bar.", "second")))
            case "Ready":
                question.show(*ready_lines(self._offer(self._brain), self._arrival()))
                detail.show(*((self._linked,) if self._linked else ()))
        question.display, detail.display = self._step != "Machine", self._step != "Machine"
        if self._step in ("Look", "Ready"):
            self._tell_status()
        self._draw_pull()
        self._draw_keys()

    def _tell_status(self) -> None:
        """The brain that was chosen stands in the status line too once it is here; until then what stood there before."""
        brain, base = self._status_before
        offer = self._offer(self._brain)
        if offer is not None and self._arrival() == "here":
            from omni.shell.brains import base_words

            brain, base = offer.brain.name, base_words(offer.brain)
        self.omni.status.show(brain=brain, base=base)

    def _brain_question(self) -> tuple[Content, ...]:
        if self._refused:
            offer = self._offer(self._refused)
            name = (offer.brain.title if offer else "") or self._refused
            why = "is too big here" if offer is not None and too_big(offer) else "cannot be used"
            smaller = offer is not None and offer.brain.usable and offer.brain.unquantised and too_big(offer)
            way = f"`omni quantise {self._refused}` makes it smaller." if smaller else "Choose another one."
            return ink((f"{name} {why}.", "bold amber")), ink((way, "second"))
        looking = "still looking for those that are here already"
        note = looking if self._searching else "you can add others at any time"
        return ink(("Which brain shall be the first?", "bold text")), ink((note, "second"))

    def _draw_pull(self) -> None:
        pulling = self._pulling()
        lines: list[Line] = []
        if pulling is not None and pulling.kind == "pull":
            lines += pulling_lines(pulling, self.size.width, ("r", "try again"), ("←", "choose another"))
        if self._step == "Ready" and self._arrival() == "here":
            lines = []  # said already
        if self._failure is not None:
            lines.append(Folded(head=Content(), text=self._failure.message, style="red"))
            lines.append(Folded(head=Content(), text=self._failure.hint, style="second"))
        line = self.query_one("#wizard-pull", Lines)
        line.show(*lines)
        line.display = bool(lines)

    def _draw_keys(self) -> None:
        keys, later = self.query_one(Keys), ("esc", "later", "escape")
        arrival = self._arrival()
        cancel = [("x", "cancel the download", "x")] if arrival == "coming" else []
        match self._step:
            case "Machine":
                keys.show(later)
            case "Brain":
                offer = self._offer(self.query_one(Listing).key)
                fetch = offer is not None and offer.brain.state == "available"
                go = "fetch it and go on" if fetch else "use it and go on"
                take = [("enter", go, "enter")] if offer is not None and can_be_first(offer) else []
                keys.show(*take, ("↑↓", "choose", ""), ("o", "another file or folder", "o"), *cancel, later)
            case "Look":
                keys.show(("enter", "keep it", "enter"), ("↑↓", "try on", ""), ("←", "back", "left"), *cancel, later)
            case "Ready":
                go = {"here": "begin", "coming": "wait there", "failed": "try again", "none": "choose one"}[arrival]
                back = ("←", "choose another" if arrival == "failed" else "back", "left")
                link = [("l", "link omni into ~/.local/bin", "l")] if self._linked is None else []
                keys.show(("enter", go, "enter"), *cancel, back, *link, later)

    def _fill_brains(self) -> None:
        if self._step not in ("Machine", "Brain"):
            self._draw()
            return
        listing = self.query_one(Listing)
        listing.fill(brain_groups(self._offers, self._best), key="" if listing.key else self._best)
        self._draw()
        self.take_focus()

    # -- acting

    def on_listing_highlighted(self, message: Listing.Highlighted) -> None:
        """Say more about the brain, or put the theme on."""
        message.stop()
        if self._step == "Look":
            self.run_worker(self._try_on(message.key), exclusive=True, group="look", description="show a theme")
        else:
            self._refused = ""
            self._draw()

    async def _try_on(self, name: str) -> None:
        await self.omni.preview_theme(name)

    async def on_listing_chosen(self, message: Listing.Chosen) -> None:
        """Take it and go on."""
        message.stop()
        self._failure = None
        if self._step == "Brain":
            offer = self._offer(message.key)
            if offer is None or not can_be_first(offer):
                self._refused = message.key  # why stands below
                self.app.bell()
                self._draw()
                return
            self._brain = offer.brain.name
            if offer.brain.state == "available":
                self.omni.pulls.start(self._brain)
            await self._to_look()
        elif self._step == "Look":
            await self._set("ui.theme", message.key)
            self._step = "Ready"
            self._draw()
            self.take_focus()

    def _to_brain(self) -> None:
        self._step, self._refused = "Brain", ""
        listing = self.query_one(Listing)
        listing.fill(brain_groups(self._offers, self._best), key=self._brain or self._best)
        self._draw()
        self.take_focus()

    async def _to_look(self) -> None:
        self._step = "Look"
        if not self._themes:
            self._themes = await self.omni.theme_files()
        rows = tuple(
            Row(
                key=name,
                cells=((file.title, "text"), "", "", "", ("dark" if file.dark else "light", "second"), (name, "third")),
            )
            for name, file in self._themes.items()
        )
        listing = self.query_one(Listing)
        listing.fill([Group(titles=("theme", "", "", "", "", ""), rows=rows)], key=self.app.theme)
        self._draw()
        listing.focus()

    async def action_back(self) -> None:
        """One step back; to the brains when the one that was chosen did not come."""
        if self._step == "Look" or (self._step == "Ready" and self._arrival() in ("failed", "none")):
            self._to_brain()
        elif self._step == "Ready":
            await self._to_look()

    def action_later(self) -> None:
        """Leave; the palette and the dashboard offer it again."""
        self.post_message(self.Done(self._brain, ready=False))

    async def action_begin(self) -> None:
        """Into the conversation, where one waits for a brain that is on its way."""
        if self._step != "Ready":
            return
        match self._arrival():
            case "failed":
                self.action_again()
            case "none":
                self._to_brain()
            case _:
                await self._set("ui.ready", True)
                await self._set("chat.brain", self._brain)
                self.post_message(self.Done(self._brain, ready=True))

    async def _set(self, key: str, value: object) -> None:
        with self.omni.going_on(self):  # what cannot be kept is no reason not to begin
            await self._services.change_setting(key, value)

    def action_cancel(self) -> None:
        """End the download."""
        cancel = partial(self.omni.pulls.cancel, self._brain)
        self.run_worker(job(cancel), name="cancel", description="end a download")

    def action_again(self) -> None:
        """Go on with the download."""
        if self._arrival() == "failed":
            self.omni.pulls.start(self._brain)

    def _pull_moved(self, pulling: "PullStatus") -> None:
        if self.is_attached and pulling.name == self._brain:
            self._draw()

    def action_other(self) -> None:
        """A file or folder of one's own."""
        if self._step != "Brain":
            return
        from omni.shell.modals import AskPath

        text = "A GGUF file, or a folder that holds some. It is used where it lies."
        self.app.push_screen(AskPath("A brain of your own", text, self._add))

    async def _add(self, path: str) -> None:
        brain = await self._services.library.add(own_path(path))
        await self._read_brains()
        self._fill_brains()
        self.query_one(Listing).put(brain.name)

    def action_link(self) -> None:
        """Make `omni` a command."""
        if self._step == "Ready":
            self.run_worker(job(self._link), name="link", description="link omni into ~/.local/bin")

    async def _link(self) -> None:
        from omni.environment import link_command

        try:
            linked = await asyncio.to_thread(link_command, self._services.home)
        except OmniError as error:
            self._linked = ink((error.message, "amber"), "  ", (error.hint, "second"))
        else:
            note = "from now on `omni` opens this" if linked.on_path else f"add {linked.path.parent} to your PATH"
            self._linked = ink(("linked  ", "accent"), (f"{linked.path}: {note}", "second"))
        self._draw()

    def take_focus(self) -> None:
        """The step's own thing; nothing is taken from another pane or a question above this one."""
        if self.omni.rail.active != "home" or len(self.app.screen_stack) > 1:
            return
        listing = self.query_one(Listing)
        (listing if listing.display else self).focus()
