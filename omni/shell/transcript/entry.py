"""One message of the transcript: its header, what the brain thought, its sections, and what is to be said below it."""

from collections.abc import Callable, Sequence
from typing import Literal

from omni.core.clean import Cleaner, clean
from omni.shell.transcript.fences import LayoutContext, code_rows
from omni.shell.transcript.lines import Line, Run, chop, width_of, wrap
from omni.shell.transcript.markdown import lay_section
from omni.shell.transcript.split import MarkdownSection, Splitter

Kind = Literal["person", "brain", "note"]
_BLANK: tuple[Run, ...] = ()


class Layout:
    """The lines of one part at one width; `done` and `base` let an open fence grow without being laid out again."""

    __slots__ = ("base", "done", "final", "lines", "pending", "stamp", "width")

    def __init__(self, width: int, stamp: int, final: bool, lines: list[Line]) -> None:
        self.width, self.stamp, self.final, self.lines = width, stamp, final, lines
        self.done = self.base = 0
        self.pending = False


class Entry:
    """What the transcript knows about one message.

    `facts` (or what tells them) stand behind the name, the first one last to go where it is narrow; `foot` below the
    text, as `(text, key)`.
    Nothing is cut or laid out before it comes near the view.
    """

    __slots__ = (
        "_cleaner",
        "_facts",
        "_foot",
        "_head",
        "_splitter",
        "_text",
        "_think",
        "_thought",
        "branch",
        "folded",
        "foot",
        "height",
        "height_stamp",
        "id",
        "kind",
        "lines_hint",
        "name",
        "thinking_seconds",
        "unfolded_thought",
        "writing",
    )

    def __init__(
        self,
        id: str,  # noqa: A002  the field's own word
        kind: Kind,
        name: str,
        text: str = "",
        *,
        facts: Sequence[str] | Callable[[], Sequence[str]] = (),
        reasoning: str = "",
        thinking_seconds: float = 0.0,
        foot: Sequence[tuple[str, str]] = (),
        branch: tuple[int, int] = (1, 1),
        writing: bool = False,
    ) -> None:
        self.id, self.kind, self.name = id, kind, name
        self._facts = facts
        self.thinking_seconds = thinking_seconds
        self.foot = tuple(foot)
        self.branch = branch
        self.writing = writing
        self.folded = False
        self.unfolded_thought = False
        self.height = -1
        self.height_stamp = -1
        self.lines_hint = text.count("\n")
        self._text: list[str] = [text] if text else []
        self._thought: list[str] = [reasoning] if reasoning else []
        self._splitter: Splitter | None = None
        self._cleaner: Cleaner | None = None
        self._head: MarkdownSection | None = None
        self._think: MarkdownSection | None = None
        self._foot: MarkdownSection | None = None

    def __repr__(self) -> str:
        return f"Entry({self.id!r}, {self.kind!r})"

    @property
    def facts(self) -> tuple[str, ...]:
        """What stands behind the name; asked for when the header is drawn."""
        if not isinstance(self._facts, tuple):
            self._facts = tuple(self._facts() if callable(self._facts) else self._facts)
        return self._facts

    @facts.setter
    def facts(self, facts: Sequence[str] | Callable[[], Sequence[str]]) -> None:
        self._facts = facts

    @property
    def text(self) -> str:
        """All that was said, clean."""
        if len(self._text) > 1:
            self._text[:] = ["".join(self._text)]
        return clean(self._text[0]) if self._text and self._splitter is None else "".join(self._text)

    @property
    def reasoning(self) -> str:
        """All that was thought, clean."""
        if len(self._thought) > 1:
            self._thought[:] = ["".join(self._thought)]
        return clean(self._thought[0]) if self._thought else ""

    @property
    def opened(self) -> bool:
        """Whether its text was cut into sections yet."""
        return self._splitter is not None

    def _split(self) -> Splitter:
        if self._splitter is None:
            text = self.text
            if self.writing:
                self._cleaner = Cleaner()
                text = self._cleaner.feed("".join(self._text))
            self._text = [text] if text else []
            self._splitter = Splitter(text)
            if not self.writing:
                self._splitter.finish()
        return self._splitter

    def write(self, text: str) -> None:
        """More text."""
        splitter = self._split()
        if self._cleaner is not None:
            text = self._cleaner.feed(text)
        if text:
            self._text.append(text)
            splitter.feed(text)

    def think(self, text: str) -> None:
        """More thoughts."""
        self._thought.append(text)
        if self._think is not None:
            self._think.stamp += 1

    def finish(self) -> None:
        """The text is whole, or at least nothing more comes."""
        splitter = self._split()
        if self._cleaner is not None and (rest := self._cleaner.finish()):
            self._text.append(rest)
            splitter.feed(rest)
        splitter.finish()
        self.writing = False
        self.touch()
        if splitter.sections:
            splitter.sections[-1].stamp += 1

    def touch(self) -> None:
        """Header, thoughts or foot changed."""
        for section in (self._head, self._think, self._foot):
            if section is not None:
                section.stamp += 1

    def parts(self) -> list[MarkdownSection]:
        """All that is drawn, from the top."""
        if self._head is None:
            self._head = MarkdownSection("head")
        parts = [self._head]
        if self.folded:
            return parts
        if self._thought:
            if self._think is None:
                self._think = MarkdownSection("think")
            parts.append(self._think)
        parts += self._split().sections
        if self.foot:
            if self._foot is None:
                self._foot = MarkdownSection("foot")
            parts.append(self._foot)
        return parts

    def sections(self) -> list[MarkdownSection]:
        """The sections of its text."""
        return self._split().sections

    # ---- heights and lines

    def guess(self, width: int) -> int:
        """How many rows it may take, without looking at its text."""
        if self._splitter is not None:
            return 1 + sum(self.part_height(part, width) for part in self.parts())
        if self.folded:
            return 2
        size = len(self._text[0]) if self._text else 0
        return 2 + bool(self._thought) + bool(self.foot) + size // max(width, 8) + self.lines_hint + bool(size)

    def part_height(self, part: MarkdownSection, width: int) -> int:
        """Rows of one part with the empty row above it; guessed where it is not laid out."""
        layout = part.layout
        if isinstance(layout, Layout) and layout.width == width and layout.stamp == part.stamp:
            return len(layout.lines) + self.lead(part)
        if part.kind in ("head", "think", "foot"):
            return 1
        size = part.size or sum(map(len, part.lines))
        return self.lead(part) + (part.kind == "fence") + max(size // max(width, 8), len(part.lines)) + 1

    def lead(self, part: MarkdownSection) -> int:
        """Empty rows above a part: sections are one row apart, and the first follows the header."""
        if part.joined or part.kind in ("head", "think"):
            return 0
        if part.kind == "foot":
            return 0
        return 0 if part is self._split().sections[0] and not (self._thought and self.unfolded_thought) else 1

    def lay(self, part: MarkdownSection, setting: LayoutContext, misses: "list[int]") -> Layout:
        """The lines of one part, kept until its text or the width changes."""
        layout = part.layout
        final = not (self.writing and part.kind not in ("head", "think", "foot") and part is self.sections()[-1])
        if (
            isinstance(layout, Layout)
            and layout.width == setting.width
            and layout.stamp == part.stamp
            and layout.final == final
        ):
            return layout
        if part.kind == "fence" and not part.closed:
            fresh = _grow(layout if isinstance(layout, Layout) else None, part, setting)
        else:
            before = misses[0]
            fresh = Layout(setting.width, part.stamp, final, self._lines(part, setting._replace(final=final)))
            fresh.pending = misses[0] != before
            if isinstance(layout, Layout) and layout.width == setting.width:
                _keep_drawn(layout.lines, fresh.lines)
        fresh.final = final
        part.layout = fresh
        return fresh

    def _lines(self, part: MarkdownSection, setting: LayoutContext) -> list[Line]:
        if part.kind == "head":
            return [Line(_header(self, setting))]
        if part.kind == "think":
            return self._thoughts(setting)
        if part.kind == "foot":
            rows = [(row, key) for text, key in self.foot for row in _packed(clean(text), setting.width)]
            return [Line(wrapped) for row, key in rows for wrapped in wrap([(row, key, "")], setting.width)]
        if self.kind == "person":
            return _plain(part, setting)
        return lay_section(part, setting)

    def _thoughts(self, setting: LayoutContext) -> list[Line]:
        glyphs = setting.glyphs
        took = f"{self.thinking_seconds:.1f} s" if self.thinking_seconds else ""
        name = "thinking" if self.writing and not took else "thought"
        mark = glyphs.unfolded if self.unfolded_thought else glyphs.folded
        words = f"{len(self.reasoning.split()):,} words"
        head = Line(
            [(f"{mark} ", "third", "think:"), (name, "second.b", "think:"), (f"   {took or words}", "third", "think:")]
        )
        if not self.unfolded_thought:
            return [head]
        lines = [head]
        for paragraph in self.reasoning.strip().split("\n"):
            rows = wrap([(paragraph.replace("\t", " "), "third.i", "")], max(setting.width - 2, 4))
            lines += [Line([("  ", "third", ""), *row]) for row in rows]
        return lines

    def codes(self) -> list[str]:
        """The code blocks of its text, in order."""
        return [section.source for section in self.sections() if section.kind == "fence"]


def _packed(text: str, width: int) -> list[str]:
    """What stands three spaces apart is a key and its meaning, which stay in one row."""
    rows: list[str] = []
    for part in text.split("   "):
        if rows and width_of(rows[-1]) + 3 + width_of(part) <= width:
            rows[-1] += "   " + part
        else:
            rows.append(part)
    return rows


def _header(entry: Entry, setting: LayoutContext) -> list[Run]:
    """Name and facts; what does not fit goes from the end."""
    colour = {"person": "person.b", "brain": "accent.b", "note": "second.b"}[entry.kind]
    room = setting.width
    name = clean(entry.name)
    if width_of(name) > room:
        name = chop(name, max(room - 1, 1))[0]
    runs: list[Run] = [(name, colour, "")]
    room -= width_of(name)
    facts = list(entry.facts)
    if entry.branch[1] > 1:
        facts.insert(1 if facts else 0, setting.glyphs.branch.format(*entry.branch))
    if entry.folded:
        facts.append(setting.glyphs.folded)
    for fact in facts:
        fact = "   " + clean(fact)
        if width_of(fact) > room:
            break
        runs.append((fact, "third", ""))
        room -= width_of(fact)
    return runs


def _plain(part: MarkdownSection, setting: LayoutContext) -> list[Line]:
    """What a person typed: fences are code, all else stands as it was typed, line by line."""
    if part.kind == "fence":
        return lay_section(part, setting)
    lines: list[Line] = []
    for row in part.source.split("\n"):
        rows = wrap([(row.expandtabs(4), "text", "")], setting.width) if row.strip() else [[]]
        lines += [Line(wrapped, join=" ") for wrapped in rows]
        lines[-1].join = "\n"
    return lines


def _grow(layout: Layout | None, part: MarkdownSection, setting: LayoutContext) -> Layout:
    """Lay out what an open fence got since the last time."""
    if layout is None or layout.width != setting.width or not layout.base:
        label = lay_section(_label_of(part), setting)[:1]
        layout = Layout(setting.width, part.stamp, False, label)
        layout.base = 1
    del layout.lines[layout.base :]
    for row in part.lines[layout.done :]:
        layout.lines += code_rows(row, setting)
    layout.done, layout.base = len(part.lines), len(layout.lines)
    if part.tail:
        layout.lines += code_rows(part.tail, setting)
    layout.stamp = part.stamp
    return layout


def _label_of(part: MarkdownSection) -> MarkdownSection:
    empty = MarkdownSection("fence")
    empty.info = part.info
    return empty


def _keep_drawn(old: list[Line], new: list[Line]) -> None:
    """Rows that did not change keep what was drawn for them."""
    for at, (before, after) in enumerate(zip(old, new, strict=False)):
        if before.code == after.code and before.join == after.join and list(before.runs) == list(after.runs):
            new[at] = before
