"""Cartridges: every brain that is here, was found, or can be pulled, and all that one does to them."""

from collections.abc import Iterable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Input

from omni.core.errors import OmniError
from omni.core.paths import own_path
from omni.core.words import size_words
from omni.shell.brains import BrainFit, base_words, known_brains, matches, size_cell, state_words
from omni.shell.listing import Column, Group, Listing, Row
from omni.shell.pane import Pane
from omni.shell.pull_lines import pulling_lines
from omni.shell.rail import WIDE
from omni.shell.widgets import (
    Folded,
    Keys,
    Line,
    Lines,
    Part,
    home_path,
    ink,
    job,
    speed_words,
    token_words,
)

if TYPE_CHECKING:
    from omni.cartridges import PullStatus
    from omni.keeper import KeeperChange

FOUND = "found here"
FACT = 12  # cells that the name of a detail has


class CartridgesPane(Pane):
    """A table, what is being fetched, the details of the row with the bar."""

    DEFAULT_CSS = """
    CartridgesPane > #brains-title { margin-bottom: 1; }
    CartridgesPane > Input, CartridgesPane > Input:focus {
        border: none; height: 1; padding: 0; margin-bottom: 1; background: $omni-background; color: $omni-text; }
    CartridgesPane > Input { display: none; }
    CartridgesPane > #brains-pulls { margin-top: 1; }
    CartridgesPane > #brains-detail { margin-top: 1; margin-bottom: 1; }
    Screen.-middle CartridgesPane > #brains-detail { min-height: 7; max-height: 10; }
    Screen.-low CartridgesPane > #brains-detail { max-height: 2; }
    Screen.-low CartridgesPane > #brains-pulls, Screen.-low CartridgesPane > #brains-title,
    Screen.-low CartridgesPane > #brains-detail, Screen.-low CartridgesPane > Input { margin: 0; }
    """
    SCOPED_CSS: ClassVar[bool] = False
    BINDINGS: ClassVar = [
        Binding("p", "pull", "Pull", id="cartridges.pull", tooltip="Download this brain, or go on with it"),
        Binding(
            "x", "cancel", "Cancel", id="cartridges.cancel", tooltip="End the download of this row, or of the last"
        ),
        Binding(
            "r", "again", "Try again", id="cartridges.again", show=False, tooltip="Go on with a download that ended"
        ),
        Binding("v", "verify", "Verify", id="cartridges.verify", tooltip="Read the whole file and compare its hash"),
        Binding("u", "unload", "Unload", id="cartridges.unload", tooltip="Give back the memory of a loaded brain"),
        Binding("delete", "remove", "Remove", id="cartridges.remove", tooltip="Remove this brain, after a question"),
        Binding("s", "save", "Save", id="cartridges.save", tooltip="Copy this brain to a folder, for another machine"),
        Binding("o", "other", "Add", id="cartridges.add", tooltip="Take in a file or a folder where it lies"),
        Binding("slash", "filter", "Filter", id="cartridges.filter", tooltip="Show only what has these words"),
        Binding("escape", "clear", "Clear", id="cartridges.clear", show=False, tooltip="End the filter"),
    ]

    def compose(self) -> ComposeResult:
        """Top to bottom."""
        yield Lines(ink(("Cartridges", "bold text")), id="brains-title")
        yield Input(placeholder="filter by name, use, licence or state", select_on_focus=False)
        yield Listing(
            Column(most=34),
            Column(leaves=4, most=27),
            Column(leaves=1, align="right"),
            Column(leaves=5),
            Column(leaves=2, align="right"),
            Column(leaves=6, most=20),
            Column(leaves=0, most=20),
            empty="Looking …",
        )
        yield Lines(id="brains-pulls")
        yield Lines(id="brains-detail")
        yield Keys()

    def on_mount(self) -> None:
        """Read what is known, then look around."""
        self._offers: list[BrainFit] = []
        self._text = ""
        self._looking = True
        self._loaded: dict[str, str] = {}
        self._kept: dict[str, int] = {}
        self.query_one("#brains-pulls").display = False
        self.omni.pulls.listen(self._pull_moved)
        self._draw_keys()
        self.run_worker(job(self._look), name="brains", exclusive=True, group="look", description="list the brains")

    async def _look(self) -> None:
        with self.omni.going_on(self):
            await self._read()
            await self.services.library.scan()
        self._looking = False
        self._fill()
        await self._read()

    async def _read(self) -> None:
        self._offers = await known_brains(self.services)
        self._kept = {one.name: one.size for one in await self.services.library.unfinished()}
        try:
            keeper = await self.services.keeper()
            workers = [one for one in await keeper.processes() if one.kind == "worker"]
            self._loaded = {worker.base: worker.name for worker in workers}
            await self.omni.pulls.look()
        except OmniError:
            self._loaded = {}  # the status line says what is wrong with the keeper
        self._fill()

    @property
    def shows_pulls(self) -> bool:
        """Below the table."""
        return True

    # -- drawing

    def _fill(self) -> None:
        rows: dict[str, list[Row]] = {"brain": [], FOUND: [], "to pull": []}
        for offer in self._offers:
            brain = offer.brain
            if not matches(brain, self._text):
                continue
            place = "to pull" if brain.state == "available" else FOUND if brain.origin not in ("", "blob") else "brain"
            rows[place].append(self._row(offer))
        titles = ("base", "size", "context", "speed", "licence", "state")
        listing = self.query_one(Listing)
        listing.say_when_empty(
            "Nothing has these words; esc ends the filter."
            if self._text
            else "Looking …"
            if self._looking
            else "No brains."
        )
        groups = [(name, tuple(members)) for name, members in rows.items() if members]
        listing.fill(
            Group(titles=(name, *(titles if index == 0 else ())), rows=members)
            for index, (name, members) in enumerate(groups)
        )
        self._draw_title()
        self._draw_detail()
        self._draw_keys()

    def _row(self, offer: BrainFit) -> Row:
        brain = offer.brain
        return Row(
            key=brain.name,
            cells=(
                (brain.name, "text"),
                (base_words(brain), "second"),
                size_cell(brain),
                (token_words(brain.context_max) if brain.context_max else "", "second"),
                (offer.speed if brain.usable or brain.state == "available" else "", "second"),
                (brain.licence or "unknown", "second" if brain.licence else "third"),
                self._state(offer),
            ),
        )

    def _state(self, offer: BrainFit) -> Part:
        brain = offer.brain
        pulling = self.omni.pulls.all.get(brain.name)
        if pulling is not None and pulling.running:
            return (f"{pulling.fraction:.0%}" if pulling.total else "asking …"), "accent"
        if brain.state == "available" and (kept := self._kept.get(brain.name)):
            return (f"{kept / brain.size:.0%} is here" if brain.size > kept else "begun"), "amber"
        if self._worker(brain.name):
            return "loaded", "accent"
        if offer.fit is not None and not offer.fit.fits and brain.state in ("available", "installed", "ready"):
            return "too big here", "amber"
        return state_words(brain)

    def _worker(self, name: str) -> str:
        offer = self._offer(name)
        return self._loaded.get(offer.brain.base.id, "") if offer is not None and offer.brain.base is not None else ""

    def _draw_title(self) -> None:
        here = [offer.brain for offer in self._offers if offer.brain.usable]
        size = sum(brain.size for brain in here if not brain.shares)
        words = f"{len(here)} installed, {size_words(size)}" if here else "none installed yet"
        if self._looking:
            words += ", still looking around"
        self.query_one("#brains-title", Lines).show(
            (ink(("Cartridges", "bold text")), ink((words, "second")), ink(("/", "second"), (" filter", "third")))
        )

    def _offer(self, name: str) -> BrainFit | None:
        return next((offer for offer in self._offers if offer.brain.name == name), None)

    def _draw_detail(self) -> None:
        offer = self._offer(self.query_one(Listing).key)
        lines = list(self._detail(offer)) if offer else []
        self.query_one("#brains-detail", Lines).show(*lines)

    def _detail(self, offer: BrainFit) -> Iterable[Line]:
        brain, fit = offer.brain, offer.fit
        manifest = brain.manifest
        head = "   ".join(part for part in (manifest.version if manifest else "", brain.summary or brain.title) if part)
        yield Folded(head=ink((brain.name, "bold text"), "   "), text=head, style="second", indent=FACT)
        if brain.reason:
            yield fact("Why not", brain.reason, "amber")
            if brain.command:
                yield fact("What helps", brain.command)
        if brain.base is not None:
            base = brain.base
            digest = f", sha256 {base.sha256[:4]}…{base.sha256[-4:]}" if base.sha256 else ""
            name = " ".join(part for part in (base_words(brain), brain.quantisation) if part)
            yield fact("Base", f"{name}{digest}{', ' + brain.verified if brain.verified else ''}")
        elif manifest is not None:
            source = getattr(manifest.base, "project", "") or getattr(manifest.base, "repository", "")
            if (parts := getattr(manifest.base, "parts", 1)) > 1:
                source = f"{source.partition('{')[0]}1 to {parts}"
            kind = {"project": "package index", "repository": "Hugging Face"}
            where = next((words for field, words in kind.items() if getattr(manifest.base, field, "")), "")
            if where:
                yield fact("From", f"{where}, {source}{', ' + brain.verified if brain.verified else ''}")
        if brain.can:
            yield fact("Can", brain.can)
        if brain.adapter is not None:
            yield fact("Adapter", f"{Path(brain.adapter.path).name}, scale {brain.adapter.scale:g}")
        if fit is not None and fit.memory:
            yield fact("Memory", f"{size_words(fit.memory)}: {fit.why}", "text" if fit.fits else "amber")
        if fit is not None and fit.speed:
            how = "measured here" if fit.measured else "expected from the speed of this memory"
            yield fact("Speed", f"{speed_words(fit.speed, measured=fit.measured)} {how}")
        if brain.shares:
            yield fact("Shares", f"its base with {brain.shares}: one loaded model serves both")
        if brain.base is not None:
            yield fact("File", home_path(brain.base.path))

    def _draw_keys(self) -> None:
        offer = self._offer(self.query_one(Listing).key)
        keys: list[tuple[str, str, str]] = []
        if offer is not None:
            brain = offer.brain
            pulling = self.omni.pulls.all.get(brain.name)
            busy = pulling is not None and pulling.running
            if brain.usable:
                keys.append(("enter", "chat", "enter"))
            if brain.state in ("available", "corrupt", "gone") and not busy:
                keys.append(("p", "go on" if brain.name in self._kept else "pull", "p"))
            if self._ended_early() and not busy:
                keys.append(("r", "try again", "r"))
            if busy:
                keys.append(("x", "cancel", "x"))
            if brain.usable and not busy:
                keys.append(("v", "verify", "v"))
            if self._worker(brain.name):
                keys.append(("u", "unload", "u"))
            if brain.usable or brain.state in ("corrupt", "gone"):
                keys.append(("del", "remove", "delete"))
            if brain.usable:
                keys.append(("s", "save to a folder", "s"))
        keys += [("o", "add a file or folder", "o"), ("/", "filter", "slash")]
        if self._text:
            keys.insert(0, ("esc", "show all", "escape"))
        self.query_one(Keys).show(*keys)

    def _pull_moved(self, pulling: "PullStatus") -> None:
        if not self.is_attached:
            return
        if not pulling.running:
            self.run_worker(job(self._read), name="brains", exclusive=True, group="look", description="list the brains")
        shown = [one for one in self.omni.pulls.all.values() if one.running or one.error is not None or one is pulling]
        width = max(30, self.content_size.width or self.app.size.width - WIDE - 6)
        lines = []
        for one in shown[-3:]:
            lines += pulling_lines(one, width, *((("r", "try again"),) if one.kind == "pull" else ()))
        self._show_pulls(lines)
        self._fill()

    def _show_pulls(self, lines: list[Content]) -> None:
        shown = self.query_one("#brains-pulls", Lines)
        shown.display = bool(lines)
        shown.show(*lines)

    def _ended_early(self) -> str:
        """The download to go on with: that of this row, else the last that failed or was cancelled."""
        pulls = self.omni.pulls.all
        ended = [one.name for one in pulls.values() if one.kind == "pull" and one.state in ("failed", "cancelled")]
        name = self.query_one(Listing).key
        return name if name in ended else ended[-1] if ended else ""

    # -- moving

    def on_listing_highlighted(self, message: Listing.Highlighted) -> None:
        """Say what is known of the row."""
        message.stop()
        if all(not one.running and one.error is None for one in self.omni.pulls.all.values()):
            self._show_pulls([])  # what came well was seen
        self._draw_detail()
        self._draw_keys()

    async def on_listing_chosen(self, message: Listing.Chosen) -> None:
        """Talk to it; pull it first where it is not here."""
        message.stop()
        offer = self._offer(message.key)
        if offer is None:
            return
        if offer.brain.usable:
            await self.omni.chat_with(offer.brain.name)
        elif offer.brain.state == "available":
            self.action_pull()
        else:
            self.app.bell()  # why not stands below

    def action_filter(self) -> None:
        """Type words."""
        line = self.query_one(Input)
        line.display = True
        line.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter at once."""
        self._text = event.value
        self._fill()

    def on_input_submitted(self) -> None:
        """Into what is left."""
        self.query_one(Listing).focus()

    def action_clear(self) -> None:
        """Show all again."""
        line = self.query_one(Input)
        line.value, line.display = "", False
        self.query_one(Listing).focus()

    def take_focus(self) -> None:
        """The table."""
        self.query_one(Listing).focus()

    def heard(self, change: "KeeperChange") -> None:
        """Another front end pulled, removed or loaded something."""
        if change.topic in ("library", "processes"):
            self.run_worker(job(self._read), name="brains", exclusive=True, group="look", description="list the brains")

    # -- acting on the row

    def action_pull(self) -> None:
        """Fetch it."""
        offer = self._offer(self.query_one(Listing).key)
        if offer is None or offer.brain.state not in ("available", "corrupt", "gone"):
            return
        if offer.fit is not None and not offer.fit.fits:
            self._ask(
                f"Pull {offer.brain.name} although it does not fit?",
                f"It {offer.fit.why}.",
                "pull",
                lambda: self.omni.pulls.start(offer.brain.name),
            )
        else:
            self.omni.pulls.start(offer.brain.name)

    def action_again(self) -> None:
        """Go on with a download that failed or was cancelled."""
        if name := self._ended_early():
            self.omni.pulls.start(name)

    def action_cancel(self) -> None:
        """End a download."""
        running = {pulling.name for pulling in self.omni.pulls.running}
        name = self.query_one(Listing).key
        if name not in running and running:
            name = self.omni.pulls.running[-1].name
        cancel = partial(self.omni.pulls.cancel, name)
        self.run_worker(job(cancel), name="cancel", description="end a download")

    def action_verify(self) -> None:
        """Compare the hash."""
        offer = self._offer(self.query_one(Listing).key)
        if offer is not None and offer.brain.usable:
            self.omni.pulls.verify(offer.brain.name)

    def action_unload(self) -> None:
        """End its worker."""
        if worker := self._worker(self.query_one(Listing).key):
            self.run_worker(self._unload(worker), name="unload", description="end a worker")

    async def _unload(self, worker: str) -> None:
        await (await self.services.keeper()).stop(worker)
        await self._read()

    def action_remove(self) -> None:
        """Remove it, after a question."""
        offer = self._offer(self.query_one(Listing).key)
        if offer is None or not (offer.brain.usable or offer.brain.state in ("corrupt", "gone")):
            return
        brain = offer.brain
        ours = brain.origin in ("", "blob") and not brain.shares
        text = (
            f"Frees {size_words(brain.size)}. It can be pulled again."
            if ours and brain.size
            else "Its base stays: others use it, or it lies where you put it. Only the entry goes."
        )
        self._ask(f"Remove {brain.name}?", text, "remove", lambda: self._remove(brain.name), harm=True)

    def _remove(self, name: str) -> None:
        async def work() -> None:
            freed = await self.services.remove(name)
            self.notify(f"{name} is removed; {size_words(freed)} are free again.", markup=False)
            await self._read()

        self.run_worker(job(work), name="remove", description="remove a brain")

    def action_save(self) -> None:
        """Copy it to a folder."""
        offer = self._offer(self.query_one(Listing).key)
        if offer is None or not offer.brain.usable:
            return
        from omni.cartridges import begin_export
        from omni.shell.modals import AskPath

        name = offer.brain.name

        async def save(path: str) -> None:
            folder = own_path(path)
            export = begin_export(self.services.jobs, self.services.library.export, [name], folder)
            async with aclosing(export.events()) as events:
                async for _ in events:
                    pass
            if export.state == "stopped":
                raise OmniError("Another window stopped this.", hint="Saving it again begins anew.")
            self.notify(f"{name} lies in {folder}.", markup=False)

        text = "A folder, for example on a USB stick. On the other machine: o adds it, or `omni pull FOLDER`."
        self.app.push_screen(AskPath(f"Save {name}", text, save, done="save", busy="Copying …"))

    def action_other(self) -> None:
        """A file or folder of one's own."""
        from omni.shell.modals import AskPath

        text = "A GGUF file, a folder that holds some, or a folder that was saved here. It is used where it lies."
        self.app.push_screen(AskPath("Add a brain", text, self._add, done="add"))

    async def _add(self, path: str) -> None:
        brain = await self.services.library.add(own_path(path))
        self.action_clear()
        await self._read()
        self.query_one(Listing).put(brain.name)

    def _ask(self, title: str, text: str, yes: str, act: object, *, harm: bool = False) -> None:
        from omni.shell.modals import Consent

        def answered(sure: bool | None) -> None:
            if sure:
                act()  # type: ignore[operator]

        self.app.push_screen(Consent(title, text, yes=yes, harm=harm, clock=self.services.clock), answered)


def fact(name: str, words: str, style: str = "text") -> Folded:
    """One of the details."""
    return Folded(head=ink((f"{name:<{FACT}}", "second")), text=words, style=style)
