"""The transcript as one reads it: keys, mouse, selecting, folding and finding over the drawn lines."""

from collections.abc import Iterator
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.selection import Selection
from textual.widget import Widget

from omni.shell.glyphs import UNICODE, Glyphs
from omni.shell.promptly import done_at_once
from omni.shell.transcript.entry import Entry
from omni.shell.transcript.flow import EMPTY, ENTRY_BITS, Anchor, FlowRow
from omni.shell.transcript.keys import KEYS
from omni.shell.transcript.lines import width_of
from omni.shell.transcript.view import GUTTER, View


class Transcript(View, can_focus=True):
    """Lines of a conversation. It knows entries and keys; what a key means is decided by whoever hears `Act`."""

    FOCUS_ON_CLICK = False  # a click copies, opens or selects; the composer keeps the keyboard

    DEFAULT_CSS = """
    Transcript {
        background: $omni-background;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size: 0 1;
        scrollbar-gutter: stable;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*KEYS]

    class Act(Message):
        """A letter was pressed on a block: copy, code, edit, retry, undo, resume, older or newer."""

        def __init__(self, transcript: "Transcript", entry: str, act: str) -> None:
            super().__init__()
            self.transcript, self.entry, self.act = transcript, entry, act

        @property
        def control(self) -> "Transcript":
            """The transcript."""
            return self.transcript

    class Copy(Message):
        """A text is to be copied; `what` says what it is."""

        def __init__(self, text: str, what: str) -> None:
            super().__init__()
            self.text, self.what = text, what

    class Open(Message):
        """An address was clicked."""

        def __init__(self, address: str) -> None:
            super().__init__()
            self.address = address

    class Leave(Message):
        """The keyboard goes back; not told when there is a `writer` to take it."""

    class Focused(Message):
        """Another block is focused, or none."""

        def __init__(self, entry: str | None) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(glyphs=glyphs, id=id, classes=classes)
        self.writer: Widget | None = None

    @property
    def focused_entry(self) -> Entry | None:
        """The block that letters act on."""
        return self._flow.entries[self._focused] if 0 <= self._focused < len(self._flow.entries) else None

    # ---- finding

    def search(self, query: str) -> int:
        """Mark a text wherever it is drawn and go to its last place; returns the number of blocks that have it."""
        self._query = query.lower()
        self._drawn = (self._drawn[0], self._query)
        hits = self._hits()
        if hits:
            self.focus_entry(hits[-1])
        self._redraw()
        return len(hits)

    @property
    def searching(self) -> bool:
        """Whether something is marked."""
        return bool(self._query)

    # ---- selecting

    @property
    def selected_text(self) -> str:
        """What the mouse selected in here."""
        selection = self.text_selection
        selected = self.get_selection(selection) if selection is not None else None
        return selected[0] if selected else ""

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text: wrapped lines are whole again, decoration at the right is gone."""
        start = selection.start or None
        end = selection.end or None
        pieces: list[str] = []
        for row in self._walk(start.y if start else 0, end.y if end else None):
            line = row.what
            first, last = line.body or (0, len(line.text))
            if start is not None and row.place == start.y:
                first = max(first, start.x)
            if end is not None and row.place == end.y:
                last = min(last, end.x)
            cut = line.text[first : max(first, last)]
            pieces.append(cut.rstrip() if line.join == "\n" and line.body is None else cut)
            pieces.append(row.what.join)
        if pieces:
            pieces.pop()
        text = "".join(pieces).rstrip()
        return (text, "\n") if text else None

    def _walk(self, first: int, last: int | None) -> Iterator[FlowRow]:
        """All rows from place `first` to place `last`."""
        for at in range(first >> ENTRY_BITS, len(self._flow.entries)):
            entry = self._flow.entries[at]
            for number, part in enumerate(self._flow.parts(at)):
                lines = self._flow.lay(at, part).lines
                lead = entry.lead(part)
                for offset, line in enumerate([EMPTY] * lead + lines):
                    row = FlowRow(at, number, offset, line)
                    if last is not None and row.place > last:
                        return
                    if row.place >= first:
                        yield row
            if last is not None and FlowRow(at, -1, 0, EMPTY).place > last:
                return
            yield FlowRow(at, -1, 0, EMPTY)

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002
        """Draw the selection."""
        self._redraw()

    def text_select_all(self) -> None:
        """A double click selects nothing but the words themselves: see `on_click`."""

    # ---- mouse

    async def _on_click(self, event: events.Click) -> None:
        rows = self._rows or []
        if not 0 <= event.y < len(rows):
            return
        row = rows[event.y]
        if self.unseen and event.y == len(rows) - 1 and not self.following:
            self.action_tail()
            return
        line = row.what
        at, link = GUTTER, ""
        for text, _, target in line.runs:
            at += width_of(text)
            if event.x < at:
                link = target
                break
        if event.x < GUTTER or not link:
            if event.chain == 2:
                self._select_word(row, event.x - GUTTER)
            return
        event.stop()
        if link == "copy:":
            self.post_message(self.Copy(line.code, "code"))
        elif link == "think:":
            self._fold(row.entry)
        else:
            self.post_message(self.Open(link))

    def _select_word(self, row: FlowRow, x: int) -> None:
        text, at = row.what.text, 0
        while at < len(text) and width_of(text[: at + 1]) <= x:
            at += 1
        if at >= len(text) or text[at].isspace():
            return
        start = end = at
        while start and not text[start - 1].isspace():
            start -= 1
        while end < len(text) and not text[end].isspace():
            end += 1
        self.screen.selections = {self: Selection(Offset(start, row.place), Offset(end, row.place))}

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_lines(3)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_lines(-3)

    # ---- keys

    def action_lines(self, count: int) -> None:
        """Scroll by lines."""
        where = round(self.scroll_y) + count
        if count < 0 and round(self.scroll_y) == 0:
            return
        if count > 0 and self.following:
            return
        self.go_to(where)

    def action_page(self, direction: int) -> None:
        """Scroll by a page that keeps two lines of the last one."""
        self.action_lines(direction * max(self.scrollable_content_region.height - 2, 1))

    def action_top(self) -> None:
        """Go to the beginning."""
        self.go_to_top()

    def action_tail(self) -> None:
        """Go to the end and follow it."""
        self._to_top = False
        self.following = True
        self.unseen = False
        self._rows = None
        self._settle()

    def action_block(self, direction: int) -> None:
        """Focus the block above or below; below the last one the composer has the keyboard again."""
        at = self._focused if self._focused >= 0 else len(self._flow.entries)
        at += direction
        if at >= len(self._flow.entries) or not self._flow.entries:
            self.action_leave()
            return
        self.focus_entry(max(at, 0))

    def action_act(self, act: str) -> None:
        """Tell what a letter was pressed on."""
        entry = self.focused_entry
        if entry is None:
            return
        if act == "code":
            if code := self._code_in_view():
                self.post_message(self.Copy(code, "code"))
            return
        self.post_message(self.Act(self, entry.id, act))

    def action_fold(self) -> None:
        """Fold or unfold the focused block: its thoughts where it has any, else all of it."""
        if self._focused >= 0:
            self._fold(self._focused)

    def action_leave(self) -> None:
        """Give the keyboard back."""
        if self.writer is None:
            self.post_message(self.Leave())
        else:  # now, so that a letter typed right after it is text
            self.screen.set_focus(self.writer)

    def action_find(self, direction: int) -> None:
        """Go to the next block that has what was searched."""
        hits = self._hits()
        if not hits:
            return
        ahead = [at for at in hits if (at - self._focused) * direction > 0]
        self.focus_entry((min(ahead) if direction > 0 else max(ahead)) if ahead else hits[0 if direction > 0 else -1])

    def _hits(self) -> list[int]:
        if not self._query:
            return []
        return [at for at, entry in enumerate(self._flow.entries) if self._query in entry.text.lower()]

    def _fold(self, at: int) -> None:
        entry = self._flow.entries[at]
        if entry.reasoning and not entry.folded:
            entry.unfolded_thought = not entry.unfolded_thought
            if entry.sections():
                entry.sections()[0].stamp += 1
        else:
            entry.folded = not entry.folded
        anchor = self._anchor() or (self._flow.anchor_of(self._rows[0]) if self._rows else None)
        self.following = False
        self.touch_at(entry, anchor)

    def touch_at(self, entry: Entry, anchor: Anchor | None) -> None:
        """An entry changed its height; the view stays at `anchor`."""
        entry.touch()
        self._flow.changed(entry)
        self._settle(anchor)
        self.following = round(self.scroll_y) + self.scrollable_content_region.height >= self._flow.total

    def focus_entry(self, at: int) -> None:
        """Focus a block and bring it into view: all of it where it fits, else its beginning."""
        self._focused = at
        height = self.scrollable_content_region.height
        for part in self._flow.parts(at):
            self._flow.lay(at, part)
        tops = self._flow.tops()
        top, bottom = tops[at], tops[at + 1] - 1
        here = round(self.scroll_y)
        if top < here or bottom - top >= height:
            self.go_to(top)
        elif bottom > here + height:
            self.go_to(bottom - height)
        self._redraw()
        self.post_message(self.Focused(self._flow.entries[at].id))

    def _code_in_view(self) -> str:
        """The first code block of the focused block that is in view, else its last one."""
        for row in self._rows or ():
            if row.entry == self._focused and row.what.code:
                return row.what.code
        codes = self._flow.entries[self._focused].codes()
        return codes[-1] if codes else ""

    async def _on_key(self, event: events.Key) -> None:
        if not await done_at_once(self, event):
            await super()._on_key(event)

    def on_focus(self) -> None:
        """The keyboard came: the last block is focused unless another was."""
        if self.focused_entry is None and self._flow.entries:
            self.focus_entry(len(self._flow.entries) - 1)
        else:
            self._redraw()

    def on_blur(self) -> None:
        """The keyboard went."""
        self._focused = -1
        self._redraw()
        self.post_message(self.Focused(None))
