"""The widget: draws the lines of a conversation, lays out only what is near the view, and never lets it jump."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import cast

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import WorkType

from omni.shell.glyphs import UNICODE, Glyphs
from omni.shell.transcript.code import Highlights, highlight_all, load_style
from omni.shell.transcript.entry import Entry, Layout
from omni.shell.transcript.fences import LayoutContext
from omni.shell.transcript.flow import EMPTY, Anchor, Flow, FlowRow
from omni.shell.transcript.lines import Run, width_of
from omni.shell.transcript.marks import marked, selected
from omni.shell.transcript.palette import TranscriptPalette

MEASURE = 100
GUTTER = 3
UPDATE_SECONDS = 1 / 30
_SLICE_SECONDS = 0.002
NEAR = 2  # screens below the first entry from which on what stands above it is asked for


class View(ScrollView):
    """Draws the lines of a conversation and takes what arrives. It knows nothing of keys and mouse."""

    class Earlier(Message):
        """The view came near the first entry, and more stands above it: it is to be shown with that, and keep its place.
        The `whole` is wanted when the view goes to the beginning."""

        def __init__(self, *, whole: bool) -> None:
            super().__init__()
            self.whole = whole

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._glyphs = glyphs
        self._width = 0
        self._rows: list[FlowRow] | None = None
        self._palette = TranscriptPalette({})
        self._highlights = Highlights(self._want_highlights)
        self._flow = Flow(self._setting())
        self._writes: dict[str, list[str]] = {}
        self._thoughts: dict[str, list[str]] = {}
        self._flushed = 0.0
        self._flush_due = False
        self._settling = False
        self._idle_due = False
        self._highlighting = False
        self._focused = -1  # the entry that is drawn as focused
        self._query = ""  # what is drawn as found, in lower case
        self._drawn: tuple[int, str] = (0, "")
        self._caret = False  # whether one was drawn since all entries were shown
        self._more_above = self._asked = self._to_top = False
        self.following = True
        self.unseen = False

    # ---- what others say

    @property
    def entries(self) -> Sequence[Entry]:
        """The entries, from the top."""
        return self._flow.entries

    def entry(self, id: str) -> Entry | None:  # noqa: A002
        """One entry."""
        at = self._flow.index.get(id)
        return None if at is None else self._flow.entries[at]

    def show(self, entries: Iterable[Entry], *, keep: bool = False, more_above: bool = False) -> None:
        """Show these entries instead; with `keep` the row at the top of the view stays where it is. `more_above` says that
        they are only the end of what there is: `Earlier` asks for the rest when the view comes near it."""
        anchor = self._anchor() if keep and not self.following else None
        old = self._flow.entries[self._focused].id if 0 <= self._focused < len(self._flow.entries) else ""
        name = self._flow.entries[anchor[0]].id if anchor else ""
        self._flow.entries = list(entries)
        self._flow.reindex()
        self._focused = self._flow.index.get(old, -1)
        self._writes = {key: value for key, value in self._writes.items() if key in self._flow.index}
        self._thoughts = {key: value for key, value in self._thoughts.items() if key in self._flow.index}
        self._more_above, self._asked = more_above, False
        if self._caret:  # it may be gone
            self._caret, self._rows = False, None
        if not keep:
            self._to_top = False
            self.following = True
            self.unseen = False
            self.screen.clear_selection()
        if self._to_top and more_above:  # what was just shown was asked for before
            self._ask_for_more()
        elif self._to_top:
            self._to_top = False
            self.go_to(0)
        elif anchor is not None and name in self._flow.index:
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

    @property
    def visible_rows(self) -> Sequence[FlowRow]:
        """What is drawn, from the top."""
        return tuple(self._rows or ())

    # ---- heights

    def _setting(self) -> LayoutContext:
        return LayoutContext(max(min(MEASURE, self._width - GUTTER), 8), self._glyphs, self._highlight, True)

    def _highlight(self, language: str, text: str) -> list[list[Run]] | None:
        lines = self._highlights(language, text)
        if lines is None and (language, text) in self._highlights.waiting:
            self._flow.misses[0] += 1
        return lines

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
        if self._more_above and where < NEAR * height:
            self._ask_for_more()
        self._idle_soon()

    def _ask_for_more(self) -> None:
        if not self._asked:
            self._asked = True
            self.post_message(self.Earlier(whole=self._to_top))

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
        self._to_top = self._to_top and where <= 0
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

    def go_to_top(self) -> None:
        """Go to the very first entry, once it is there."""
        self._to_top = self._more_above
        self.go_to(0)

    def _redraw(self) -> None:
        self.refresh(Region(0, 0, self.size.width, self.size.height))

    def _redraw_changes(self, before: list[FlowRow] | None) -> None:
        """Draw again the rows that differ from what stands on the screen."""
        rows = self._rows or []
        if before is None or len(before) != len(rows):
            self._redraw()
            return
        # entries may have come or gone above: the same lines, all moved by as many entries, look the same
        moved = rows[0].entry - before[0].entry if rows else 0
        changed = [
            at
            for at, (old, new) in enumerate(zip(before, rows, strict=True))
            if old.what is not new.what or old.entry + moved != new.entry
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
            self.run_worker(work, name="highlight", group="transcript-highlight")

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
        self._palette = TranscriptPalette(variables, old.stamp + 1)
        self._drawn = (self._palette.stamp, self._query)
        if self._palette.code_style == old.code_style:
            self._palette.tokens = old.tokens
        elif old.tokens:
            work: WorkType[None] = partial(self._load_style, self._palette)
            self.run_worker(work, name="code style", group="transcript-style", exclusive=True)
        self._redraw()

    async def _load_style(self, palette: TranscriptPalette) -> None:
        palette.tokens = await asyncio.to_thread(load_style, palette.code_style)
        if palette is self._palette:
            self._palette = TranscriptPalette(self.app.theme_variables, palette.stamp + 1)
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

    def _strip(self, row: FlowRow, y: int) -> Strip:
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
                self._caret = True
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

    def _is_end(self, row: FlowRow) -> bool:
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
