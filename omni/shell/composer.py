"""Where a person writes: several lines, history, commands and files completed, long pastes folded."""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea
from textual.widgets.text_area import Selection
from textual.worker import WorkType

from omni.shell.transcript.clean import clean

PASTE_LINES, PASTE_SIZE = 10, 2000
POPUP_ROWS = 8
FAR = 1_000_000  # pages
_WORD = re.compile(r"(?:^|(?<=\s))@(\"?)([^\s\"'`]*)\Z")
_COMMAND = re.compile(r"/[\w-]*\Z")


class Choice(NamedTuple):
    """Something that may be completed: what is inserted, what is shown beside it, whether more is to be typed."""

    text: str
    about: str = ""
    more: bool = False


def fuzzy(wanted: str, name: str) -> int | None:
    """How well the letters of `wanted` are found in `name` in their order: less is better, None is not at all."""
    wanted, low = wanted.lower(), name.lower()
    if low.startswith(wanted):
        return 0
    at, gaps = -1, 1
    for letter in wanted:
        found = low.find(letter, at + 1)
        if found < 0:
            return None
        gaps += found - at - 1
        at = found
    return gaps


class Popup(Widget):
    """The list of completions above the composer."""

    DEFAULT_CSS = """
    Popup { overlay: screen; width: auto; max-width: 90%; height: auto; background: $omni-raised; display: none; }
    """

    class Picked(Message):
        """A row was clicked."""

    def __init__(self) -> None:
        super().__init__()
        self.choices: list[Choice] = []
        self.at = 0

    @property
    def open(self) -> bool:
        """Whether it is seen."""
        return bool(self.choices)

    @property
    def choice(self) -> Choice:
        """The one that Enter takes."""
        return self.choices[self.at]

    def show(self, choices: Sequence[Choice]) -> None:
        """Show these; none closes it."""
        name = self.choices[self.at].text if self.choices else ""
        self.choices = list(choices)
        self.at = next((at for at, one in enumerate(self.choices) if one.text == name), 0)
        self.display = bool(self.choices)
        if self.choices:
            above = self.parent.styles.padding.top if isinstance(self.parent, Widget) else 0
            self.styles.offset = (-2, -min(len(self.choices), POPUP_ROWS) - above)
            self.refresh(layout=True)

    def move(self, step: int) -> None:
        """Another row."""
        self.at = (self.at + step) % len(self.choices)
        self.refresh()

    def _first(self) -> int:
        return max(0, min(self.at - POPUP_ROWS // 2, len(self.choices) - POPUP_ROWS))

    def _wide(self) -> int:
        return max((len(one.text) for one in self.choices), default=0)

    def render(self) -> Content:
        """The rows around the chosen one."""
        wide = self._wide()
        width = self.size.width
        first = self._first()
        rows = []
        for at, one in enumerate(self.choices[first : first + POPUP_ROWS], first):
            chosen = at == self.at
            row = Content.assemble(
                "  ",
                (one.text.ljust(wide), "bold $omni-accent" if chosen else "$omni-text"),
                (f"   {one.about}" if one.about else "", "$omni-second" if chosen else "$omni-third"),
            ).truncate(width, ellipsis=True)
            row = row.pad_right(max(width - row.cell_length, 0))
            rows.append(row.stylize("on $omni-line") if chosen else row)
        return Content("\n").join(rows)

    def get_content_width(self, container: object, viewport: object) -> int:  # noqa: ARG002
        """The widest row."""
        about = max((len(one.about) for one in self.choices), default=0)
        return self._wide() + (about + 3 if about else 0) + 4

    def get_content_height(self, container: object, viewport: object, width: int) -> int:  # noqa: ARG002
        """One row a choice."""
        return min(len(self.choices), POPUP_ROWS)

    def on_click(self, event: events.Click) -> None:
        """Take the row."""
        event.stop()
        if event.y < len(self.choices):
            self.at = self._first() + event.y
            self.post_message(self.Picked())


class Field(TextArea):
    """The text itself. What a key means beyond writing is decided by the composer around it."""

    DEFAULT_CSS = """
    Field { height: auto; max-height: 33vh; min-height: 1; border: none; padding: 0; background: $omni-panel;
            color: $omni-text; scrollbar-size-vertical: 1; overflow-x: hidden; }
    Field:focus { border: none; }
    Field .text-area--cursor-line { background: $omni-panel; }
    Field .text-area--placeholder { color: $omni-third; }
    Field .text-area--cursor { background: $omni-accent; color: $omni-background; }
    Field .text-area--selection { background: $omni-line; }
    """
    # ctrl+a is the terminal's or tmux's: home does the same
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,shift+enter", "newline", "line", id="composer.newline", tooltip="Add a line"),
        Binding("ctrl+g", "editor", "editor", id="composer.editor", tooltip="Write in $EDITOR"),
    ]

    @property
    def outer(self) -> "Composer":
        """The composer."""
        parent = self.parent
        assert isinstance(parent, Composer)
        return parent

    def action_newline(self) -> None:
        """Add a line."""
        self.insert("\n")

    def action_editor(self) -> None:
        """Write in the person's editor."""
        self.post_message(Composer.Editor())

    async def _on_key(self, event: events.Key) -> None:
        if self.outer.key(event.key):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.outer.paste(event.text)

    def action_delete_left(self) -> None:
        """Delete a character, a folded paste as a whole."""
        row, column = self.cursor_location
        if self.selection.is_empty and (chip := self.outer.chip_before(self.document.get_line(row)[:column])):
            self.delete((row, column - len(chip)), (row, column))
            return
        super().action_delete_left()


class Composer(Vertical):
    """The field with its bar, its popup, its history and its folded pastes."""

    DEFAULT_CSS = """
    Composer { height: auto; background: $omni-panel; border-left: outer $omni-line; padding: 1 2; }
    Composer:focus-within { border-left: outer $omni-accent; }
    Screen.-low Composer { padding: 0 2; }
    """

    class Submitted(Message):
        """Enter: `text` with its pastes unfolded. The composer keeps it until `accept` is called."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Escaped(Message):
        """Esc, and nothing was open."""

    class Editor(Message):
        """The text is to be edited elsewhere."""

    class Read(Message):
        """Shift+Tab: the keyboard goes into the transcript."""

    class Scroll(Message):
        """A page key: the transcript scrolls while the keyboard stays here."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class TakeBack(Message):
        """Up on an empty line: take back what is queued, if anything is."""

    def __init__(
        self,
        *,
        commands: Callable[[], Sequence[Choice]] = lambda: (),
        complete: Callable[[str], Sequence[str]] | None = None,
        placeholder: str = "Ask, or type @ for a file, / for a command",
    ) -> None:
        super().__init__()
        self._commands, self._complete = commands, complete
        self.history: list[str] = []
        self._back = 0
        self._draft = ""
        self._chips: dict[str, str] = {}
        self._known: str | None = None
        self.queued = 0
        self.field = Field("", soft_wrap=True, show_line_numbers=False, placeholder=placeholder, compact=True)
        self.field.highlight_cursor_line = False
        self.popup = Popup()

    def compose(self) -> ComposeResult:
        """The popup takes no room: it lies above what is there."""
        yield self.popup
        yield self.field

    # ---- the text

    @property
    def text(self) -> str:
        """What is written, with its pastes unfolded."""
        text = self.field.text
        for chip, content in self._chips.items():
            text = text.replace(chip, content)
        return text

    def put(self, text: str) -> None:
        """Replace what is written; a long text is folded."""
        text = clean(text)
        if _long(text):
            text = self._fold(text)
        self.field.text = self._known = text
        self.field.move_cursor(self.field.document.end)
        self.popup.show(())

    def accept(self, text: str) -> None:
        """What was submitted is on its way: remember and clear it."""
        if text.strip() and (not self.history or self.history[-1] != text):
            self.history.append(text)
        self._back = 0
        self._draft = ""
        self._chips.clear()
        self.put("")

    def paste(self, text: str) -> None:
        """Insert a pasted text; a long one as a chip that is unfolded when it is sent."""
        text = clean(text)
        if _long(text):
            text = self._fold(text)
        field = self.field
        if result := field._replace_via_keyboard(text, *field.selection):
            field.move_cursor(result.end_location)

    def chip_before(self, text: str) -> str:
        """The chip that `text` ends with."""
        return next((chip for chip in self._chips if text.endswith(chip)), "")

    def _fold(self, text: str) -> str:
        lines = text.count("\n") + 1
        what = f"{lines} lines" if lines >= PASTE_LINES else f"{len(text):,} characters"
        chip = f"[pasted {what}]"
        number = 2
        while chip in self._chips and self._chips[chip] != text:
            chip = f"[pasted {what}, {number}]"
            number += 1
        self._chips[chip] = text
        return chip

    # ---- keys

    def key(self, key: str) -> bool:
        """What a key does before it writes; True when it was used up."""
        popup = self.popup
        if popup.open:
            if key in ("up", "down"):
                popup.move(-1 if key == "up" else 1)
                return True
            if key in ("tab", "enter"):
                self._take(submit=key == "enter")
                return True
            if key == "escape":
                popup.show(())
                return True
        field = self.field
        row = field.cursor_location[0]
        match key:
            case "enter":
                if self.text.strip():
                    self.post_message(self.Submitted(self.text.strip("\n")))
            case "escape":
                self.post_message(self.Escaped())
            case "shift+tab":
                self.post_message(self.Read())
            case "tab":
                return not self._open_path()
            case "up" if row == 0 and field.selection.is_empty:
                if self.queued and not field.text:
                    self.post_message(self.TakeBack())
                    return True
                return self._recall(1)
            case "down" if row == field.document.line_count - 1 and field.selection.is_empty:
                return self._recall(-1)
            case "home" | "end" if not field.text:  # nothing to move in: the transcript goes to its beginning or end
                self.post_message(self.Scroll(-FAR if key == "home" else FAR))
            case "pageup" | "pagedown":
                self.post_message(self.Scroll(-1 if key == "pageup" else 1))
            case _:
                return False
        return True

    def _recall(self, step: int) -> bool:
        at = self._back + step
        if not 0 <= at <= len(self.history):
            return False
        if self._back == 0:
            self._draft = self.text
        self._back = at
        self.put(self._draft if at == 0 else self.history[-at])
        if step > 0:  # on the first row, so that Up goes on
            self.field.move_cursor((0, len(self.field.document.get_line(0))))
        return True

    # ---- completion

    @on(TextArea.Changed)
    def _changed(self, event: TextArea.Changed) -> None:
        event.stop()
        if self.field.text != self._known:  # what was put here completes nothing
            self._known = None
            self._look()

    @on(TextArea.SelectionChanged)
    def _moved(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        if self.popup.open:
            self._look()

    def _before_cursor(self) -> str:
        row, column = self.field.cursor_location
        return self.field.document.get_line(row)[:column]

    def _look(self) -> None:
        """Open, change or close the popup for what stands before the cursor."""
        before = self._before_cursor()
        if self.field.cursor_location[0] == 0 and _COMMAND.match(before):
            scored = [(fuzzy(before[1:], one.text[1:]), at, one) for at, one in enumerate(self._commands())]
            self.popup.show([one for score, at, one in sorted((s, a, o) for s, a, o in scored if s is not None)])
        elif self._complete is not None and (found := _WORD.search(before)):
            work: WorkType[None] = partial(self._find, found[2])
            self.run_worker(work, name="complete", group="complete", exclusive=True)
        else:
            self.popup.show(())

    def _open_path(self) -> bool:
        """Tab on a path looks once more for it."""
        if _WORD.search(self._before_cursor()):
            self._look()
            return False
        return True

    async def _find(self, prefix: str) -> None:
        assert self._complete is not None
        paths = await asyncio.to_thread(self._complete, prefix)
        found = _WORD.search(self._before_cursor())
        if found is not None and found[2] == prefix:
            self.popup.show([Choice(path) for path in paths if path != prefix])

    @on(Popup.Picked)
    def _picked(self, event: Popup.Picked) -> None:
        event.stop()
        self._take(submit=True)
        self.field.focus()

    def _take(self, *, submit: bool) -> None:
        """Put the chosen completion where the cursor is."""
        choice = self.popup.choice
        before = self._before_cursor()
        row, column = self.field.cursor_location
        if choice.text.startswith("/") and _COMMAND.match(before):
            self.popup.show(())
            self.field.replace(choice.text + (" " if choice.more else ""), (0, 0), (row, column))
            self._known = self.field.text
            if submit and not choice.more:
                self.post_message(self.Submitted(self.text.strip("\n")))
            return
        found = _WORD.search(before)
        if found is None:
            self.popup.show(())
            return
        folder = choice.text.endswith("/")
        name = f'"{choice.text}"' if " " in choice.text else choice.text
        if not folder:
            self.popup.show(())
        self.field.replace(f"@{name}" + ("" if folder else " "), (row, found.start()), (row, column))
        self.field.move_cursor((row, found.start() + 1 + len(name) + (not folder)))
        if not folder:
            self._known = self.field.text

    def select_all(self) -> None:
        """Select what is written."""
        self.field.selection = Selection((0, 0), self.field.document.end)


def _long(text: str) -> bool:
    return len(text) >= PASTE_SIZE or text.count("\n") + 1 >= PASTE_LINES
