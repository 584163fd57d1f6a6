"""Where a person writes: several lines, history, commands and files completed, long pastes folded."""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import TextArea
from textual.widgets.text_area import Selection
from textual.worker import WorkType

from omni.core.clean import clean
from omni.shell.bindings import let_alt_enter_be_a_key
from omni.shell.completion import CompletionItem, Popup, fuzzy
from omni.shell.promptly import done_at_once

PASTE_LINES, PASTE_SIZE = 10, 2000
FAR = 1_000_000  # pages
# How Textual names Enter with a modifier where the terminal reports it in xterm's way.
_MODIFIED_ENTER = {"shift+\r": "shift+enter", "\r": "alt+enter"}
_WORD = re.compile(r"(?:^|(?<=\s))@(\"?)([^\s\"'`]*)\Z")
_COMMAND = re.compile(r"/[\w-]*\Z")


class Field(TextArea):
    """The text itself. What a key means beyond writing is decided by the composer around it."""

    DEFAULT_CSS = """
    Field { height: auto; max-height: 33vh; min-height: 1; border: none; padding: 0; background: $omni-panel;
            color: $omni-text; scrollbar-size-vertical: 1; overflow-x: hidden;
            scrollbar-background: $omni-panel; scrollbar-background-hover: $omni-panel; }
    Field:focus { border: none; }
    Field .text-area--cursor-line { background: $omni-panel; }
    Field .text-area--placeholder { color: $omni-third; }
    Field .text-area--cursor { background: $omni-accent; color: $omni-background; }
    Field .text-area--selection { background: $omni-line; }
    """
    # ctrl+a is the terminal's or tmux's: home does the same
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+j,shift+enter,alt+enter", "newline", "line", id="composer.newline", tooltip="Add a line"),
        Binding("ctrl+g", "editor", "editor", id="composer.editor", tooltip="Write in your own editor"),
    ]

    told_keys: ClassVar = (
        ("enter", "Send what is written"),
        ("esc", "Close what is open, else stop the answer"),
        ("shift+tab", "Go into the conversation, block by block"),
        ("↑ ↓", "Fetch back what you asked before"),
        ("tab", "Complete the file after @ or the command after /"),
        ("pgup pgdn", "Scroll the conversation"),
    )

    def __init__(self, placeholder: str) -> None:
        super().__init__("", soft_wrap=True, show_line_numbers=False, placeholder=placeholder, compact=True)
        self.highlight_cursor_line = False
        for key in ("f6", "f7"):  # panes are behind the function keys
            self._bindings.key_to_bindings.pop(key, None)

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
        event.key = _MODIFIED_ENTER.get(event.key, event.key)
        if self.app.focused is self and self.outer.key(event.key):
            event.stop()
            event.prevent_default()
            return
        own = not event.is_printable and event.key != "enter"
        if (own or self.app.focused is not self) and await done_at_once(self, event):
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
        """Shift+Tab: the keyboard goes into the transcript; not told when there is a `reader` to take it."""

    class Scroll(Message):
        """A page key: the transcript scrolls while the keyboard stays here."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class Recalling(Message):
        """Up begins to fetch back what was asked before."""

    class TakeBack(Message):
        """Up on an empty line: take back what is queued, if anything is."""

    def __init__(
        self,
        *,
        commands: Callable[[], Sequence[CompletionItem]] = lambda: (),
        complete: Callable[[str], Sequence[str]] | None = None,
        placeholder: str = "Ask, or type @ for a file, / for a command",
    ) -> None:
        super().__init__()
        let_alt_enter_be_a_key()
        self._commands, self._complete = commands, complete
        self.history: list[str] = []
        self._back = 0
        self._draft = ""
        self._chips: dict[str, str] = {}
        self._known: str | None = None
        self._submitted = ""
        self.queued = 0
        self.reader: Widget | None = None
        self.field = Field(placeholder)
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

    @property
    def drafts(self) -> list[str]:
        """What would be lost with this window: what is written, and what an older question stands in front of."""
        return [self._draft, self.text] if self._back else [self.text]

    def put(self, text: str) -> None:
        """Replace what is written; a long text is folded."""
        text = clean(text)
        if _long(text):
            text = self._fold(text)
        self.field.text = self._known = text
        self.field.move_cursor(self.field.document.end)
        self.popup.show(())

    def remember(self, texts: Sequence[str], *, keep: bool = False) -> None:
        """Up recalls these first: the questions of the conversation that was opened. With `keep` there are only more of
        them above, and what is recalled just now stays."""
        if keep:
            known = set(self.history)
            self.history = [text for text in texts if text not in known] + self.history
            return
        known = set(texts)
        self.history = [text for text in self.history if text not in known] + list(texts)
        self._back = 0

    def accept(self, text: str) -> None:
        """What was submitted is on its way: remember and clear it. What was typed since then stays."""
        if text.strip() and (not self.history or self.history[-1] != text):
            self.history.append(text)
        self._back = 0
        self._draft = ""
        written, self._submitted = self._submitted, ""
        since = self.field.text.removeprefix(written) if written else ""
        if since and since != self.field.text:
            self.field.delete((0, 0), _end_of(written))
            self._chips = {chip: content for chip, content in self._chips.items() if chip in since}
            return
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
        if popup.open and not self._completing():  # typed on faster than the popup could follow
            popup.show(())
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
                self._submit()
            case "escape":
                self.post_message(self.Escaped())
            case "shift+tab":
                self._read()
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

    def _read(self) -> None:
        if self.reader is None:
            self.post_message(self.Read())
        elif self.reader.display:  # now, so that a letter typed right after it acts there
            self.screen.set_focus(self.reader)

    def _submit(self) -> None:
        if self.text.strip():
            self._submitted = self.field.text
            self.post_message(self.Submitted(self.text.strip("\n")))

    def _recall(self, step: int) -> bool:
        at = self._back + step
        if not 0 <= at <= len(self.history):
            return False
        if self._back == 0:
            self._draft = self.text
            self.post_message(self.Recalling())
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

    def _completing(self) -> bool:
        before = self._before_cursor()
        return bool(_WORD.search(before) or (self.field.cursor_location[0] == 0 and _COMMAND.match(before)))

    def _look(self) -> None:
        """Open, change or close the popup for what stands before the cursor."""
        before = self._before_cursor()
        if self.field.cursor_location[0] == 0 and _COMMAND.match(before):
            scored = [(fuzzy(before[1:], one.text[1:]), at, one) for at, one in enumerate(self._commands())]
            self.popup.show([one for score, at, one in sorted((s, a, o) for s, a, o in scored if s is not None)])
        elif self._complete is not None and (match := _WORD.search(before)):
            work: WorkType[None] = partial(self._find, match[2])
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
        match = _WORD.search(self._before_cursor())
        if match is not None and match[2] == prefix:
            self.popup.show([CompletionItem(path) for path in paths if path != prefix])

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
                self._submit()
            return
        match = _WORD.search(before)
        if match is None:
            self.popup.show(())
            return
        folder = choice.text.endswith("/")
        name = f'"{choice.text}"' if " " in choice.text else choice.text
        if not folder:
            self.popup.show(())
        self.field.replace(f"@{name}" + ("" if folder else " "), (row, match.start()), (row, column))
        self.field.move_cursor((row, match.start() + 1 + len(name) + (not folder)))
        if not folder:
            self._known = self.field.text

    def select_all(self) -> None:
        """Select what is written."""
        self.field.selection = Selection((0, 0), self.field.document.end)


def _end_of(text: str) -> tuple[int, int]:
    """Where `text` ends when it stands at the beginning of a document."""
    return text.count("\n"), len(text) - (text.rfind("\n") + 1)


def _long(text: str) -> bool:
    return len(text) >= PASTE_SIZE or text.count("\n") + 1 >= PASTE_LINES
