"""The first run: what this machine is, which brain comes first, how it shall look; then straight into a conversation."""

import asyncio
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from omni.core.errors import OmniError
from omni.shell.listing import Column, Group, Listing, Row
from omni.shell.machine import machine_lines
from omni.shell.pulls import Pulling, pulling_line
from omni.shell.widgets import Keys, Lines, ink, own_path

if TYPE_CHECKING:
    from omni.app import Services
    from omni.hardware import HardwareProfile
    from omni.shell.app import OmniApp
    from omni.shell.brains import Offer
    from omni.shell.theme import ThemeFile

Step = Literal["Machine", "Brain", "Look", "Ready"]
READING_SPEED = 12  # tokens a second; people read 5 to 8
SOON_BYTES = 3_000_000_000
STEPS: tuple[Step, ...] = ("Machine", "Brain", "Look", "Ready")


class Wizard(Vertical):
    """Four steps; Esc leaves it for later at any of them, and nothing chosen is lost."""

    DEFAULT_CSS = """
    Wizard { height: 1fr; }
    Wizard > Lines { margin-bottom: 1; }
    Wizard > #wizard-question { margin-bottom: 0; }
    Wizard > Listing { margin-bottom: 1; }
    Screen.-low Wizard > Listing, Screen.-low Wizard > Lines { margin-bottom: 0; }
    Screen.-low Wizard > #wizard-detail { max-height: 2; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [
        Binding("escape", "later", "Later", id="wizard.later", tooltip="Leave the first steps for another time"),
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
        self._offers: list[Offer] = []
        self._best = ""
        self._brain = ""
        self._searching = True
        self._themes: dict[str, ThemeFile] = {}
        self._waits = False
        self._linked: Content | None = None
        self._failure: OmniError | None = None

    @property
    def omni(self) -> "OmniApp":
        """The app, by its own type."""
        from typing import cast

        return cast("OmniApp", self.app)

    def compose(self) -> ComposeResult:
        """Welcome, the steps, the machine, one question at a time."""
        yield Lines((ink(("Welcome to omni", "bold text")), ink(("your own brains, on your own machine", "second"))))
        yield Lines(self._steps(), id="wizard-steps")
        yield Lines(ink(("Looking at this machine …", "third")), id="wizard-machine")
        yield Lines(id="wizard-question")
        yield Listing(
            Column(most=26),
            Column(leaves=3, align="right"),
            Column(leaves=4),
            Column(leaves=1, align="right"),
            Column(leaves=5, most=18),
            Column(leaves=2, most=22),
            empty="Looking for brains that are here already …",
        )
        yield Lines(id="wizard-detail")
        yield Lines(id="wizard-pull")
        yield Keys()

    def on_mount(self) -> None:
        """Look at the machine and for brains behind the frame."""
        self.query_one(Listing).display = False
        self._draw()
        self.run_worker(self._look_at_machine(), name="machine", description="look at the machine")
        self.run_worker(self._look_for_brains(), name="scan", description="look for brains that are here already")
        self.call_after_refresh(lambda: self.omni.pulls.listen(self._pull_moved))

    # -- what is found

    async def _look_at_machine(self) -> None:
        await self.omni.warmed.wait()
        try:
            self._profile = await self._services.hardware()
        except OmniError as error:
            self._failure = error
        if self._step == "Machine":
            self._step = "Brain"
        self._draw()
        if self._profile is not None and self._profile.bandwidth is None:
            self._profile = await self._services.measured_hardware()
            await self._read_brains()
            self._fill_brains()
            self._draw()

    async def _read_brains(self) -> None:
        from omni.shell.brains import known_brains

        self._offers = await known_brains(self._services)

    async def _look_for_brains(self) -> None:
        await self.omni.warmed.wait()
        try:
            await self._read_brains()
            best = await self._services.library.best()
            self._best = best.name if best else self._recommended()
            self._fill_brains(first=True)
            await self._services.library.scan()
            await self._read_brains()
        except OmniError as error:
            self._failure = error
        self._searching = False
        if self._step == "Brain":
            self._fill_brains()
        self._draw()

    def _recommended(self) -> str:
        """When the library has nothing to propose: what is soon here, answers faster than one reads, and was checked."""

        def worth(offer: "Offer") -> tuple[bool, bool, bool, int]:
            brain = offer.brain
            checked = brain.manifest is not None and bool(getattr(brain.manifest.base, "sha256", None))
            fast = offer.fit is not None and (offer.fit.speed or 0) >= READING_SPEED
            return not brain.starter, fast, checked, brain.size

        fitting = [
            offer
            for offer in self._offers
            if (offer.brain.usable or offer.brain.state == "available") and not (offer.fit and not offer.fit.fits)
        ]
        soon = [offer for offer in fitting if offer.brain.size <= SOON_BYTES] or fitting
        chosen = max(soon, key=worth, default=None)
        return chosen.brain.name if chosen else ""

    # -- drawing

    def _steps(self) -> Content:
        at = STEPS.index(self._step)
        narrow = self.app.size.width < 60
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

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self.query_one("#wizard-steps", Lines).show(self._steps())
        machine = self.query_one("#wizard-machine", Lines)
        if self._profile is not None:
            machine.show(*machine_lines(self._profile, max(30, self.size.width)))
        machine.display = self._step == "Machine" or (self._step != "Look" and self.screen.has_class("-high"))
        listing = self.query_one(Listing)
        listing.display = self._step in ("Brain", "Look")
        question, detail = self.query_one("#wizard-question", Lines), self.query_one("#wizard-detail", Lines)
        match self._step:
            case "Machine":
                question.show()
                detail.show()
            case "Brain":
                note = (
                    "still looking for those that are here already"
                    if self._searching
                    else "you can add others at any time"
                )
                question.show((ink(("Which brain shall be the first?", "bold text")), ink((note, "second"))))
                detail.show(*self._brain_detail())
            case "Look":
                question.show(
                    (ink(("How shall it look?", "bold text")), ink(("your own go into ~/.omni/themes/", "second")))
                )
                detail.show(ink(("What you see now is the theme with the bar.", "second")))
            case "Ready":
                question.show(*self._ready_lines())
                detail.show(*((self._linked,) if self._linked else ()))
        question.display, detail.display = self._step != "Machine", self._step != "Machine"
        self._draw_pull()
        self._draw_keys()

    def _draw_keys(self) -> None:
        keys = self.query_one(Keys)
        later = ("esc", "later", "escape")
        match self._step:
            case "Machine":
                keys.show(later)
            case "Brain":
                brain = self._offer(self.query_one(Listing).key)
                fetch = brain is not None and brain.brain.state == "available"
                go = "fetch it and go on" if fetch else "use it and go on"
                keys.show(("enter", go, "enter"), ("↑↓", "choose", ""), ("o", "another file or folder", "o"), later)
            case "Look":
                keys.show(("enter", "keep it", "enter"), ("↑↓", "try on", ""), ("←", "back", "left"), later)
            case "Ready":
                begin = ("enter", "begin", "enter") if not self._waits else ("x", "cancel the download", "x")
                link = (("l", "link omni into ~/.local/bin", "l"),) if self._linked is None else ()
                keys.show(begin, *link, ("←", "back", "left"), later)

    def _draw_pull(self) -> None:
        pulling = self.omni.pulls.all.get(self._brain) if self._brain and self.omni.warmed.is_set() else None
        line = self.query_one("#wizard-pull", Lines)
        lines = [pulling_line(pulling, self.size.width)] if pulling is not None else []
        if pulling is not None and pulling.failure is not None:
            lines = [
                ink((pulling.name, "text"), "  ", (pulling.failure.message, "red")),
                ink((pulling.failure.hint, "second"), "   ", ("r", "second"), (" try again", "third")),
            ]
        elif self._failure is not None:
            lines.append(ink((self._failure.message, "red"), "  ", (self._failure.hint, "second")))
        line.show(*lines)
        line.display = bool(lines)

    def _offer(self, name: str) -> "Offer | None":
        return next((offer for offer in self._offers if offer.brain.name == name), None)

    def _brain_detail(self) -> list[Content]:
        offer = self._offer(self.query_one(Listing).key)
        if offer is None:
            return []
        from omni.shell.brains import why_words

        brain = offer.brain
        if brain.reason:
            return [ink((brain.reason, "amber")), ink((brain.command, "text"))]
        lines = []
        summary = brain.summary or brain.title
        if brain.name == self._best:
            because = summary[:1].lower() + summary[1:] if summary else "it is the most that this memory runs well"
            lines.append(ink(("Recommended", "accent"), (f"  {because}", "second")))
        elif summary:
            lines.append(ink((summary, "second")))
        if offer.fit is not None and not offer.fit.fits:
            lines.append(ink((offer.fit.why, "amber")))
        lines.append(ink((why_words(offer), "third")))
        return lines

    def _ready_lines(self) -> list[Content]:
        offer = self._offer(self._brain)
        if offer is None:
            return [ink(("Ready.", "bold text"), "   ", ("No brain was chosen; F5 has some to pull.", "second"))]
        pulling = self.omni.pulls.all.get(self._brain)
        if pulling is not None and not pulling.finished:
            says = "The conversation begins by itself when it is here." if self._waits else "It comes while you go on."
        else:
            says = "Everything is here."
        return [
            ink(
                ("Ready.", "bold text"),
                "   ",
                (offer.brain.title or offer.brain.name, "accent"),
                (f"   {says}", "second"),
            ),
            ink(("F3 is the conversation, F12 shuts every door, ctrl+p finds anything, F1 shows all keys.", "third")),
        ]

    def _fill_brains(self, *, first: bool = False) -> None:
        from omni.shell.brains import expected_cells, size_cell, state_words

        if self._step != "Brain" and not first:
            return
        fastest = max((offer.fit.speed or 0 for offer in self._offers if offer.fit), default=1.0) or 1.0
        here: list[Row] = []
        away: list[Row] = []
        by_size = sorted(self._offers, key=lambda offer: offer.brain.size if offer.brain.state == "available" else 0)
        for offer in by_size:
            brain = offer.brain
            if brain.state == "available" and brain.shares:
                continue  # it comes with its base
            row_bar, speed = expected_cells(offer, fastest)
            title = brain.title if brain.state == "available" and brain.title else brain.name
            away_ = brain.state == "available"
            last = (brain.good_for, "second") if away_ else (brain.origin or "library", "second")
            end = (brain.licence or "", "third") if away_ else state_words(brain)
            row = Row(key=brain.name, cells=((title, "text"), size_cell(brain), row_bar, speed, last, end))
            (away if away_ else here).append(row)
        listing = self.query_one(Listing)
        listing.fill(
            [
                Group(titles=("on this machine", "size", "expected", "", "found in", "state"), rows=tuple(here)),
                Group(titles=("to download", "size", "expected", "", "good for", "licence"), rows=tuple(away)),
            ],
            key="" if listing.key else self._best,
        )
        self._draw()
        if self.omni.rail.active == "home" and not self.screen.is_modal:
            listing.focus()

    # -- acting

    def on_listing_highlighted(self, message: Listing.Highlighted) -> None:
        """Say more about the brain, or put the theme on."""
        message.stop()
        if self._step == "Look":
            self.run_worker(self._try_on(message.key), exclusive=True, group="look", description="show a theme")
        else:
            self._draw()

    async def _try_on(self, name: str) -> None:
        try:
            await self.omni.preview_theme(name)
        except OmniError as error:
            self.omni.explain(error)

    async def on_listing_chosen(self, message: Listing.Chosen) -> None:
        """Take it and go on."""
        message.stop()
        if self._step == "Brain":
            offer = self._offer(message.key)
            if offer is None or not (offer.brain.usable or offer.brain.state == "available"):
                self.app.bell()  # the reason stands below
                return
            self._brain = offer.brain.name
            if offer.brain.state == "available":
                self.omni.pulls.start(self._brain)
            await self._to_look()
        elif self._step == "Look":
            await self._set("ui.theme", message.key)
            self._step = "Ready"
            self._draw()
            self.query_one("#wizard-ready", _Begin).focus() if self.query(
                "#wizard-ready"
            ) else await self._mount_begin()

    async def _mount_begin(self) -> None:
        await self.mount(_Begin(id="wizard-ready"))
        self.query_one(_Begin).focus()

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
        """One step back."""
        if self._step == "Look":
            self._step = "Brain"
            self._fill_brains()
        elif self._step == "Ready":
            self._waits = False
            await self._to_look()

    def action_later(self) -> None:
        """Leave; the dashboard offers it again."""
        self.post_message(self.Done(self._brain, ready=False))

    async def begin(self) -> None:
        """Straight into the conversation, or when the brain is here."""
        pulling = self.omni.pulls.all.get(self._brain)
        if pulling is not None and not pulling.finished:
            self._waits = True
            self._draw()
            return
        if pulling is not None and (pulling.failure is not None or pulling.what == "cancelled"):
            self.action_again()
            self._waits = True
            self._draw()
            return
        await self._finish()

    async def _finish(self) -> None:
        await self._set("ui.ready", True)
        if self._brain:
            await self._set("chat.brain", self._brain)
        self.post_message(self.Done(self._brain, ready=True))

    async def _set(self, key: str, value: object) -> None:
        try:
            await self._services.change_setting(key, value)
        except OmniError as error:
            self.omni.explain(error)

    def action_cancel(self) -> None:
        """End the download."""
        self._waits = False
        self.omni.pulls.cancel(self._brain)

    def action_again(self) -> None:
        """Go on with the download."""
        pulling = self.omni.pulls.all.get(self._brain)
        if pulling is not None and pulling.finished and pulling.what != "here":
            self.omni.pulls.start(self._brain)

    def _pull_moved(self, pulling: Pulling) -> None:
        if not self.is_attached or pulling.name != self._brain:
            return
        if self._waits and pulling.finished:
            if pulling.what == "here" and pulling.failure is None:
                self._waits = False
                self.run_worker(self._finish(), name="begin", description="go into the conversation")
                return
            self._waits = False
        self._draw()

    def action_other(self) -> None:
        """A file or folder of one's own."""
        from omni.shell.modals import AskPath

        def given(path: str | None) -> None:
            if path:
                self.run_worker(self._add(path), name="add", description="take in a file or folder")

        self.app.push_screen(
            AskPath("A brain of your own", "A GGUF file, or a folder that holds some. It is used where it lies."), given
        )

    async def _add(self, path: str) -> None:
        try:
            brain = await self._services.library.add(own_path(path))
            await self._read_brains()
        except OmniError as error:
            self.omni.explain(error)
            return
        self._step = "Brain"
        self._fill_brains()
        self.query_one(Listing).put(brain.name)

    def action_link(self) -> None:
        """Make `omni` a command."""
        if self._step == "Ready":
            self.run_worker(self._link(), name="link", description="link omni into ~/.local/bin")

    async def _link(self) -> None:
        from omni.sandbox import link_command

        try:
            linked = await asyncio.to_thread(link_command, self._services.home)
        except OmniError as error:
            self._linked = ink((error.message, "amber"), "  ", (error.hint, "second"))
        else:
            note = "from now on `omni` opens this" if linked.on_path else f"add {linked.path.parent} to your PATH"
            self._linked = ink(("linked  ", "accent"), (f"{linked.path}: {note}", "second"))
        self._draw()

    def take_focus(self) -> None:
        """The step's own thing."""
        begin = self.query("#wizard-ready")
        if self._step == "Ready" and begin:
            begin.first().focus()
        else:
            self.query_one(Listing).focus()


class _Begin(Lines, can_focus=True):
    """Takes Enter in the last step; there is nothing to see of it."""

    DEFAULT_CSS = "_Begin { height: 0; }"
    BINDINGS: ClassVar = [
        Binding("enter", "begin", "Begin", id="wizard.begin", tooltip="Go into the conversation"),
    ]

    async def action_begin(self) -> None:
        """Enter."""
        wizard = self.parent
        if isinstance(wizard, Wizard):
            await wizard.begin()
