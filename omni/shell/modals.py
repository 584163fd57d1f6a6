"""Questions over the pane: consent, the choice of a brain, a path to type."""

from collections.abc import Awaitable, Callable, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Click, Key
from textual.screen import ModalScreen
from textual.widgets import Input

from omni.core.clock import Clock
from omni.core.errors import OmniError
from omni.shell.listing import Column, Listing
from omni.shell.widgets import Folded, Keys, Lines, Part, Prose, ink, job

if TYPE_CHECKING:
    from omni.app import Services

QUIET_SECONDS = 0.5
NARROW = 64  # columns; below that the answers stand alone


class Sheet(ModalScreen[str]):
    """What all of them look like: a raised sheet with a bar at its left edge."""

    DEFAULT_CSS = """
    Sheet, Consent { align: center middle; }
    .sheet { width: 84; max-width: 94%; height: auto; max-height: 90%; background: $omni-raised;
             border-left: outer $omni-accent; padding: 1 3; }
    .sheet.-harm { border-left: outer $omni-red; }
    .sheet Lines, .sheet Prose { margin-bottom: 1; }
    .sheet Listing { background: $omni-raised; padding: 0; height: 16; margin-bottom: 1; }
    .sheet Keys { dock: none; }
    .sheet Input, .sheet Input:focus { background: $omni-background; border: none; height: 1; padding: 0 1; margin-bottom: 1;
                   color: $omni-text; }
    Screen.-low .sheet { padding: 0 1; max-height: 100%; }
    Screen.-low .sheet Listing { height: 5; margin-bottom: 0; }
    Screen.-low .sheet Lines, Screen.-low .sheet Prose, Screen.-low .sheet Input { margin-bottom: 0; }
    """
    SCOPED_CSS: ClassVar[bool] = False


class Consent(ModalScreen[bool]):
    """A question that stands on "no" and takes no key until half a second has passed without one.

    What was typed for something else can so never answer it. `parts` are lines of (what, what it does);
    `harm` paints the bar red.
    """

    DEFAULT_CSS = Sheet.DEFAULT_CSS
    SCOPED_CSS: ClassVar[bool] = False

    def __init__(
        self,
        title: str,
        text: str = "",
        *,
        yes: str = "yes",
        no: str = "no",
        parts: Sequence[tuple[str, str]] = (),
        harm: bool = False,
        clock: Clock,
    ) -> None:
        super().__init__()
        self._title, self._text, self._parts = title, text, parts
        self._yes, self._no, self._harm = yes, no, harm
        self._clock = clock
        self._last_key = clock.monotonic()
        self._on_yes = False

    def compose(self) -> ComposeResult:
        """Title, what it is about, the answers."""
        with Vertical(classes="sheet -harm" if self._harm else "sheet"):
            yield Lines(Folded(head=Content(), text=self._title, style="bold text"))
            if self._text:
                yield Prose(self._text)
            if self._parts:
                room = max(len(what) for what, _ in self._parts)
                yield Lines(*(ink((f"{what:<{room}}  ", "text"), (does, "second")) for what, does in self._parts))
            yield Lines(self._answers(), id="answers")

    def _answers(self) -> Content:
        def answer(key: str, word: str, *, here: bool, style: str) -> Content:
            mark: Part = ("▌ ", style) if here else "  "
            return ink(mark, (key, "bold text" if here else "second"), "  ", (word, "bold text" if here else "third"))

        both = [
            answer("n", self._no, here=not self._on_yes, style="accent"),
            answer(self._yes[:1], self._yes, here=self._on_yes, style="red" if self._harm else "amber"),
        ]
        enter = ink(("enter", "second"), (" takes the one with the bar", "third"))
        return Content("     ").join([*both, enter] if self.app.size.width >= NARROW else both)

    def on_key(self, event: Key) -> None:
        """Every key comes here; none counts that follows another too soon."""
        event.stop()
        event.prevent_default()
        now = self._clock.monotonic()
        quiet, self._last_key = now - self._last_key >= QUIET_SECONDS, now
        if not quiet:
            return
        if event.key in ("n", "escape"):
            self.dismiss(False)
        elif event.key == self._yes[:1]:
            self.dismiss(True)
        elif event.key == "enter":
            self.dismiss(self._on_yes)
        elif event.key in ("left", "right", "tab", "shift+tab", "up", "down"):
            self._on_yes = not self._on_yes
            self._last_key = float("-inf")  # moving the bar was meant; the next key may follow at once
            self.query_one("#answers", Lines).show(self._answers())

    def on_click(self, event: Click) -> None:
        """An answer that is clicked is taken; a click made before the question was there is not."""
        if self._clock.monotonic() - self._last_key < QUIET_SECONDS:
            return
        answers = self.query_one("#answers", Lines)
        if event.screen_y != answers.region.y:
            return
        x = event.screen_x - answers.region.x
        plain = self._answers().plain
        start = plain.index(f"{self._yes[:1]}  {self._yes}") - 2
        if start <= x < start + len(self._yes) + 5:
            self.dismiss(True)
        elif x < start:
            self.dismiss(False)


class BrainChooser(Sheet):
    """Ctrl+O: the brains that can be asked, filtered as one types."""

    BINDINGS: ClassVar = [
        Binding("escape", "dismiss('')", "Back", id="brains.back", tooltip="Keep the brain that is there"),
        Binding("down", "move(1)", "Down", show=False, priority=True, id="brains.down", tooltip="The next brain"),
        Binding("up", "move(-1)", "Up", show=False, priority=True, id="brains.up", tooltip="The brain before"),
    ]

    def __init__(self, services: "Services") -> None:
        super().__init__()
        self._services = services

    def compose(self) -> ComposeResult:
        """A line to type in, the brains, the keys."""
        with Vertical(classes="sheet"):
            yield Lines(ink(("Which brain shall answer?", "bold text")))
            yield Input(placeholder="type to filter", select_on_focus=False)
            yield Listing(
                Column(),
                Column(leaves=2),
                Column(leaves=1, align="right"),
                Column(leaves=3),
                empty="Looking …",
                lit=True,
            )
            yield Keys(("↑↓", "choose", ""), ("enter", "use it", "enter"), ("esc", "back", "escape"))

    def on_mount(self) -> None:
        """Read the brains behind the frame."""
        self.query_one(Input).focus()
        self.run_worker(job(self._read), name="brains", description="list the brains that can be asked")

    async def _read(self) -> None:
        from omni.shell.brains import known_brains

        try:
            self._brains = await known_brains(self._services)
        except Exception:
            self.dismiss("")
            raise
        self._fill("")

    def _fill(self, text: str) -> None:
        from omni.shell.brains import chooser_groups

        listing = self.query_one(Listing)
        listing.say_when_empty("Nothing is called that." if text else "No brain is here yet: F5 has some to pull.")
        listing.fill(chooser_groups(self._brains, text))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter."""
        if hasattr(self, "_brains"):
            self._fill(event.value)

    def action_move(self, by: int) -> None:
        """Move in the list while the focus stays in the line."""
        self.query_one(Listing).action_move(by)

    def on_input_submitted(self) -> None:
        """Take the one with the bar."""
        self.query_one(Listing).action_choose()

    def on_listing_chosen(self, message: Listing.Chosen) -> None:
        """Done."""
        self.dismiss(message.key)


class AskPath(Sheet):
    """A path to type or paste. It stays until `act` has done what was wanted with it, or says why that cannot be."""

    BINDINGS: ClassVar = [Binding("escape", "dismiss('')", "Back", id="path.back", tooltip="Do nothing")]

    def __init__(
        self, title: str, text: str, act: Callable[[str], Awaitable[None]], *, done: str = "take it", busy: str = ""
    ) -> None:
        super().__init__()
        self._title, self._text, self._act, self._done = title, text, act, done
        self._busy = busy or "Looking at it …"

    def compose(self) -> ComposeResult:
        """Title, explanation, line, what is wrong with it, keys."""
        with Vertical(classes="sheet"):
            yield Lines(ink((self._title, "bold text")))
            yield Prose(self._text)
            yield Input(placeholder="a path; ~ is your home", select_on_focus=False)
            yield Lines(id="path-answer")
            yield Keys(("enter", self._done, "enter"), ("esc", "back", "escape"))

    def on_mount(self) -> None:
        """Type at once."""
        self._say()
        self.query_one(Input).focus()

    def _say(self, *lines: Content) -> None:
        answer = self.query_one("#path-answer", Lines)
        answer.display = bool(lines)
        answer.show(*lines)

    def on_input_changed(self) -> None:
        """Another path, another answer."""
        self._say()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do it."""
        if path := event.value.strip():
            self.run_worker(self._do(path), exclusive=True, name="path", description="use the path that was typed")

    async def _do(self, path: str) -> None:
        self._say(ink((self._busy, "third")))
        await self._act(path)
        self.dismiss(path)

    def complain(self, error: OmniError) -> None:
        """Below the line, where it is corrected."""
        width = max(20, self.query_one(Input).size.width)
        lines = [ink((line, "red")) for line in wrap(error.message, width)]
        self._say(*lines, *(ink((line, "second")) for line in wrap(error.hint, width)))
