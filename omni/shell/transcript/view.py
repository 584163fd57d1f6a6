"""The widget: draws the lines of a conversation, lays out only what is near the view, and never lets it jump."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import ClassVar, cast

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import WorkType

from omni.shell.glyphs import UNICODE, Glyphs
from omni.shell.promptly import done_at_once
from omni.shell.transcript.code import Highlights, highlight_all, load_style
from omni.shell.transcript.entry import Entry, Layout
from omni.shell.transcript.flow import EMPTY, ENTRY_BITS, Anchor, Flow, Row
from omni.shell.transcript.keys import KEYS
from omni.shell.transcript.lines import Run, width_of
from omni.shell.transcript.markdown import Setting
from omni.shell.transcript.marks import marked, selected
from omni.shell.transcript.palette import Palette

MEASURE = 100
GUTTER = 3
UPDATE_SECONDS = 1 / 30
_SLICE_SECONDS = 0.002


class Transcript(ScrollView, can_focus=True):
    """Lines of a conversation. It knows entries and keys; what a key means is decided by whoever hears `Act`."""

    FOCUS_ON_CLICK = False  # a click copies, opens or selects; the composer keeps the keyboard

    DEFAULT_CSS = """
    Transcript {
        background: $omni-background;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size: 0 1;
        scrollbar-gutter: stable;
        scrollbar-background: $omni-background;
        scrollbar-background-hover: $omni-background;
        scrollbar-background-active: $omni-background;
        scrollbar-color: $omni-raised;
        scrollbar-color-hover: $omni-third;
        scrollbar-color-active: $omni-third;
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
        super().__init__(id=id, classes=classes)
        self._glyphs = glyphs
        self._width = 0
        self._rows: list[Row] | None = None
        self._palette = Palette({})
        self._highlights = Highlights(self._want_highlights)
        self._flow = Flow(self._setting())
        self._writes: dict[str, list[str]] = {}
        self._thoughts: dict[str, list[str]] = {}
        self._flushed = 0.0
        self._flush_due = False
        self._settling = False
        self._idle_due = False
        self._highlighting = False
        self._focused = -1
        self._query = ""
        self._drawn: tuple[int, str] = (0, "")
        self.following = True
        self.unseen = False
        self.writer: Widget | None = None

    # ---- what others say

    @property
    def entries(self) -> Sequence[Entry]:
        """The entries, from the top."""
        return self._flow.entries

    def entry(self, id: str) -> Entry | None:  # noqa: A002
        """One entry."""
        at = self._flow.index.get(id)
        return None if at is None else self._flow.entries[at]

    @property
    def focused_entry(self) -> Entry | None:
        """The block that letters act on."""
        return self._flow.entries[self._focused] if 0 <= self._focused < len(self._flow.entries) else None

    def show(self, entries: Iterable[Entry], *, keep: bool = False) -> None:
        """Show these entries instead; with `keep` the row at the top of the view stays where it is."""
        anchor = self._anchor() if keep and not self.following else None
        old = self.focused_entry
        name = self._flow.entries[anchor[0]].id if anchor else ""
        self._flow.entries = list(entries)
        self._flow.reindex()
        self._focused = self._flow.index.get(old.id, -1) if old else -1
        self._writes = {key: value for key, value in self._writes.items() if key in self._flow.index}
        self._thoughts = {key: value for key, value in self._thoughts.items() if key in self._flow.index}
        if not keep:
            self.following = True
            self.unseen = False
            self.screen.clear_selection()
        if anchor is not None and name in self._flow.index:
            self._settle((self._flow.index[name], anchor[1], anchor[2]))
        else:
            self._settle()

    def add(self, *entries: Entry) -> None:
        """Put entries at the end."""
        for entry in entries:
            self._flow.index[entry.id] = len(self._flow.entries)
            self._flow.entries.append(entry)
        if not self.following:
            self.unseen = True
        self._settle(self._anchor())

    def cut(self, id: str) -> None:  # noqa: A002
        """Take away this entry and all that follow."""
        if (at := self._flow.index.get(id)) is not None:
            anchor = self._anchor()
            del self._flow.entries[at:]
            self._flow.reindex()
            self._focused = min(self._focused, len(self._flow.entries) - 1)
            self._settle(anchor if anchor and anchor[0] < at else None)

    def rename_entry(self, old: str, new: str) -> None:
        """An entry gets the id under which it was stored."""
        if (at := self._flow.index.pop(old, None)) is not None:
            self._flow.entries[at].id = new
            self._flow.index[new] = at

    def write(self, id: str, text: str) -> None:  # noqa: A002
        """More text for an entry; joined with what else comes in the next 33 ms."""
        self._writes.setdefault(id, []).append(text)
        self._flush_soon()

    def think(self, id: str, text: str) -> None:  # noqa: A002
        """More thoughts for an entry, joined likewise."""
        self._thoughts.setdefault(id, []).append(text)
        self._flush_soon()

    def flush(self) -> None:
        """Show at once what `write` and `think` were given."""
        self._flush()

    def touch(self, *ids: str) -> None:
        """The header, thoughts, foot or folding of these entries were changed."""
        anchor = self._anchor()
        for id in ids:  # noqa: A001
            if (entry := self.entry(id)) is not None:
                entry.touch()
                self._flow.changed(entry)
        self._settle(anchor)

    def finish(self, id: str) -> None:  # noqa: A002
        """Nothing more comes for this entry."""
        self._flush()
        anchor = self._anchor()
        if (entry := self.entry(id)) is not None:
            entry.finish()
            self._flow.changed(entry)
        self._rows = None  # the caret is gone
        self._settle(anchor)

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
    def visible_rows(self) -> Sequence[Row]:
        """What is drawn, from the top."""
        return tuple(self._rows or ())

    @property
    def searching(self) -> bool:
        """Whether something is marked."""
        return bool(self._query)

    @property
    def selected_text(self) -> str:
        """What the mouse selected in here."""
        selection = self.text_selection
        found = self.get_selection(selection) if selection is not None else None
        return found[0] if found else ""

    # ---- heights

    def _setting(self) -> Setting:
        return Setting(max(min(MEASURE, self._width - GUTTER), 8), self._glyphs, self._highlight, True)

    def _highlight(self, language: str, text: str) -> list[list[Run]] | None:
        found = self._highlights(language, text)
        if found is None and (language, text) in self._highlights.waiting:
            self._flow.misses[0] += 1
        return found

    # ---- where things are

    def _anchor(self) -> Anchor | None:
        """The entry, part and row that stand at the top of the view; None when the end is followed."""
        if self.following or not self._flow.entries:
            return None
        rows = self._rows
        if rows:
            row = rows[0]
            if row.part >= 0:
                return row.entry, row.part, row.line
            return row.entry, len(self._flow.entries[row.entry].parts()), 0
        return None

    # ---- keeping the view right

    def _settle(self, anchor: Anchor | None = None, *, redraw: bool = True) -> None:
        """Lay out what is seen and put it where it belongs: at the end when that is followed, else at the anchor."""
        if not self.is_attached or self._width <= 0:
            return
        height = self.scrollable_content_region.height
        before = self._rows
        where = round(self.scroll_y)
        if self.following:
            where = self._flow.bottom(height)
        elif anchor is not None and anchor[0] < len(self._flow.entries):
            where = self._flow.place_of(anchor)
        where, rows = self._flow.collect(where, height) if self._flow.entries else (0, [])
        if len(rows) < height and where:
            where = self._flow.bottom(height)
            where, rows = self._flow.collect(where, height)
        # the empty row below the last entry is not scrolled away from, and none is added for it
        self._rows = rows
        self._put(where)
        if where + height >= self._flow.total:
            self.unseen = False
        if redraw:
            self._redraw_changes(before)
        self._idle_soon()

    def _put(self, where: int) -> None:
        """Set size and scroll position without a layout of the screen: only the scroll bar needs to know."""
        total = self._flow.total
        size = Size(self._width, total)
        if size != self.virtual_size:
            self.set_reactive(Widget.virtual_size, size)
            if self.show_vertical_scrollbar:
                self.vertical_scrollbar.window_virtual_size = total
                self.vertical_scrollbar.window_size = self.scrollable_content_region.height
        if where != self.scroll_y:
            self._settling = True
            try:
                self.set_reactive(Widget.scroll_target_y, float(where))
                self.scroll_y = float(where)
            finally:
                self._settling = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The view was moved, by us or by a scroll bar."""
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.position = new_value
        if self._settling or round(old_value) == round(new_value):
            return
        self.go_to(round(new_value), round(old_value))

    def go_to(self, where: int, old: int | None = None) -> None:
        """Put row `where` at the top of the view; what lies between is laid out first, so that nothing jumps."""
        height = self.scrollable_content_region.height
        old = round(self.scroll_y) if old is None else old
        if 0 < old - where <= 3 * height:
            where += self._flow.expose(old, old - where)
        where = max(where, 0)
        self.following = False
        self._rows = None
        before_end = where + height < self._flow.total
        if not before_end:
            self.following = True
        self._put(min(where, max(self._flow.total - height, 0)))
        self._settle(redraw=False)
        if not self.following and round(self.scroll_y) + height >= self._flow.total:
            self.following = True
        self._redraw()

    def _redraw(self) -> None:
        self.refresh(Region(0, 0, self.size.width, self.size.height))

    def _redraw_changes(self, before: list[Row] | None) -> None:
        """Draw again the rows that differ from what stands on the screen."""
        rows = self._rows or []
        if before is None or len(before) != len(rows):
            self._redraw()
            return
        changed = [
            at
            for at, (old, new) in enumerate(zip(before, rows, strict=True))
            if old.what is not new.what or old.entry != new.entry
        ]
        for entry in {row.entry for row in rows if self._flow.entries[row.entry].writing}:
            changed += [at for at, row in enumerate(rows) if row.entry == entry][-2:]
        if self.unseen and rows:
            changed.append(len(rows) - 1)
        if len(changed) > len(rows) // 2:
            self._redraw()
        elif changed:
            self.refresh(*[Region(0, at, self.size.width, 1) for at in set(changed)])

    def _idle_soon(self) -> None:
        if not self._idle_due:
            self._idle_due = True
            self.set_timer(0.02, self._idle, name="transcript-idle")

    def _idle(self) -> None:
        """Lay out one screen above and below the view, a little at a time, so that a page key finds it done."""
        self._idle_due = False
        if not self._rows or not self._flow.entries:
            return
        end = time.perf_counter() + _SLICE_SECONDS
        height = self.scrollable_content_region.height
        rows = self._rows
        if self._flow.lay_below(rows[-1], height, end) or self._flow.lay_above(rows[0], height, end):
            self._idle_soon()
        self._put(
            self._flow.place_of(self._flow.anchor_of(rows[0]))
            if not self.following
            else max(self._flow.total - height, 0)
        )

    # ---- what arrives

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            wait = self._flushed + UPDATE_SECONDS - time.perf_counter()
            self.set_timer(max(wait, 0.001), self._flush, name="transcript-flush")

    def _flush(self) -> None:
        self._flush_due = False
        self._flushed = time.perf_counter()
        if not self._writes and not self._thoughts:
            return
        anchor = self._anchor()
        writes, self._writes = self._writes, {}
        thoughts, self._thoughts = self._thoughts, {}
        for id, texts in thoughts.items():  # noqa: A001
            if (entry := self.entry(id)) is not None:
                entry.think("".join(texts))
                self._flow.changed(entry)
        for id, texts in writes.items():  # noqa: A001
            if (entry := self.entry(id)) is not None:
                entry.write("".join(texts))
                self._flow.changed(entry)
        if not self.following:
            self.unseen = True
        self._settle(anchor)

    def _want_highlights(self) -> None:
        if not self._highlighting and self.is_attached:
            self._highlighting = True
            work: WorkType[None] = self._fetch_highlights
            self.run_worker(work, name="highlight", group="transcript-highlight", exit_on_error=False)

    async def _fetch_highlights(self) -> None:
        try:
            while todo := self._highlights.take():
                if not self._palette.tokens:
                    self._palette.tokens = await asyncio.to_thread(load_style, self._palette.code_style)
                self._highlights.store(await asyncio.to_thread(highlight_all, todo))
                self._recolour()
        finally:
            self._highlighting = False

    def _recolour(self) -> None:
        """Lay out again what was laid out while its colours were unknown; heights stay."""
        anchor = self._anchor()
        for entry in self._flow.entries:
            if entry.opened:
                for part in entry.sections():
                    if isinstance(part.layout, Layout) and part.layout.pending:
                        part.layout.stamp = -1
                        self._flow.changed(entry)
        self._rows = None
        self._settle(anchor)

    # ---- Textual

    def on_mount(self) -> None:
        """Take the colours of the theme."""
        self._take_theme()

    def on_resize(self) -> None:
        """Another width: the row at the top stays at the top."""
        anchor = self._anchor()
        region = self.scrollable_content_region
        if region.width != self._width:
            self._width = region.width
            self._flow.resize(self._setting())
        self._rows = None
        self._settle(anchor)

    def notify_style_update(self) -> None:
        """The theme may have changed."""
        super().notify_style_update()
        self._take_theme()

    def _take_theme(self) -> None:
        if not self.is_attached:
            return
        variables = self.app.theme_variables or self.app.get_css_variables()
        if self._palette.stamp and self._palette.same_as(variables):
            return
        old = self._palette
        self._palette = Palette(variables, old.stamp + 1)
        self._drawn = (self._palette.stamp, self._query)
        if self._palette.code_style == old.code_style:
            self._palette.tokens = old.tokens
        elif old.tokens:
            work: WorkType[None] = partial(self._load_style, self._palette)
            self.run_worker(work, name="code style", group="transcript-style", exclusive=True)
        self._redraw()

    async def _load_style(self, palette: Palette) -> None:
        palette.tokens = await asyncio.to_thread(load_style, palette.code_style)
        if palette is self._palette:
            self._palette = Palette(self.app.theme_variables, palette.stamp + 1)
            self._palette.tokens = palette.tokens
            self._drawn = (self._palette.stamp, self._query)
            self._redraw()

    def render(self) -> str:
        """Nothing: lines are drawn by `render_lines`."""
        return ""

    def render_lines(self, crop: Region) -> list[Strip]:
        """The strips of the rows in `crop`. What was drawn once is kept with its line."""
        rows = self._rows or []
        strips = [self._strip(rows[y], y) if y < len(rows) else self._blank() for y in crop.line_range]
        filters = self.get_line_filters()
        if filters:
            background = self.background_colors[1]
            for line_filter in filters:
                strips = [strip.apply_filter(line_filter, background) for strip in strips]
        if crop.column_span != (0, self._width):
            strips = [strip.crop_extend(crop.x, crop.right, None) for strip in strips]
        return strips

    def render_line(self, y: int) -> Strip:
        """One row with the places of its characters, as the mouse needs it; what is drawn comes from `render_lines`."""
        rows = self._rows or []
        if not 0 <= y < len(rows):
            return self._blank()
        place, at = rows[y].place, 0
        segments = [Segment(" ", Style.from_meta({"offset": (0, place)})) for _ in range(GUTTER)]
        for text, _, _ in rows[y].what.runs:
            segments.append(Segment(text, Style.from_meta({"offset": (at, place)})))
            at += len(text)
        if at == 0:
            segments.append(Segment(" ", Style.from_meta({"offset": (0, place)})))
        return Strip(segments)

    def _blank(self) -> Strip:
        return Strip.blank(self._width, self._palette.style("text"))

    def _strip(self, row: Row, y: int) -> Strip:
        line, palette = row.what, self._palette
        if row.part < 0:
            strip = self._blank()
            return self._with_hint(strip) if self.unseen and y == len(self._rows or ()) - 1 else strip
        entry = self._flow.entries[row.entry]
        focused = row.entry == self._focused and self.has_focus
        bar = "accent" if focused else "person" if entry.kind == "person" else "line"
        caret = entry.writing and self._is_end(row)
        selection = self.text_selection
        key = (*self._drawn, self._width, bar)
        if line.stamp == key and selection is None and not caret and line is not EMPTY:
            strip = cast("Strip", line.strip)
        else:
            runs = line.runs
            if caret:
                runs = [*runs, (self._glyphs.caret, "accent", "")]
            if self._query:
                runs = marked(runs, self._query)
            segments = [Segment(self._glyphs.bar, palette.style(bar)), Segment("  ", palette.style("text"))]
            segments += [Segment(text, palette.style(name, link)) for text, name, link in runs]
            size = GUTTER + sum([width_of(run[0]) for run in runs])
            if size < self._width:
                segments.append(Segment(" " * (self._width - size), palette.style("text")))
            strip = Strip(segments, max(size, self._width))
            if size > self._width:
                strip = strip.crop(0, self._width)
            if selection is not None and (span := selection.get_span(row.place)) is not None:
                strip = selected(strip, line, span, left=GUTTER, shade=palette.selection)
            elif selection is None and not caret and line is not EMPTY:
                line.strip, line.stamp = strip, key
        if self.unseen and not self.following and y == len(self._rows or ()) - 1:
            strip = self._with_hint(strip)
        return strip

    def _is_end(self, row: Row) -> bool:
        """Whether this is the last row of the text of an entry that is being written."""
        entry = self._flow.entries[row.entry]
        sections = entry.sections()
        if not sections:
            return False
        part = entry.parts()[row.part]
        if part is not sections[-1] or not isinstance(part.layout, Layout):
            return False
        return bool(part.layout.lines) and row.what is part.layout.lines[-1]

    def _with_hint(self, strip: Strip) -> Strip:
        text = f" {self._glyphs.down} new text below   end "
        size = width_of(text)
        right = min(GUTTER + self._flow.measure, self._width)
        if size + GUTTER > right:
            return strip
        style = self._palette.style("accent") + Style(bgcolor=self._palette.style("inline").bgcolor)
        return Strip([*strip.crop(0, right - size), Segment(text, style), *strip.crop(right)], self._width)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text: wrapped lines are whole again, decoration at the right is gone."""
        start = selection.start or None
        end = selection.end or None
        found: list[str] = []
        for row in self._walk(start.y if start else 0, end.y if end else None):
            text = row.what.text
            cut = text[: end.x] if end is not None and row.place == end.y else text
            if start is not None and row.place == start.y:
                cut = cut[start.x :]
            if row.what.code:
                cut = cut.removesuffix("  ").removesuffix("copy")
            found.append(cut.rstrip() if row.what.join == "\n" else cut)
            found.append(row.what.join)
        if found:
            found.pop()
        text = "".join(found).rstrip()
        return (text, "\n") if text else None

    def _walk(self, first: int, last: int | None) -> Iterator[Row]:
        """All rows from place `first` to place `last`."""
        for at in range(first >> ENTRY_BITS, len(self._flow.entries)):
            entry = self._flow.entries[at]
            for number, part in enumerate(self._flow.parts(at)):
                lines = self._flow.lay(at, part).lines
                lead = entry.lead(part)
                for offset, line in enumerate([EMPTY] * lead + lines):
                    row = Row(at, number, offset, line)
                    if last is not None and row.place > last:
                        return
                    if row.place >= first:
                        yield row
            if last is not None and Row(at, -1, 0, EMPTY).place > last:
                return
            yield Row(at, -1, 0, EMPTY)

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

    def _select_word(self, row: Row, x: int) -> None:
        from textual.geometry import Offset

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
        self.go_to(0)

    def action_tail(self) -> None:
        """Go to the end and follow it."""
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
