"""Markdown cut into sections that can be parsed alone, while it is still being written.

The cut depends on the text only, never on the pieces in which it came, and only the last section can still change. That
is what makes a streaming answer cheap: what stands above the last section is parsed once.
"""

import re

# Longer paragraphs, lists and lines are cut: nothing that a brain or a file can say makes one update expensive.
LIMIT = 4000

_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*\Z)|~{3,})(.*)\Z", re.DOTALL)
_MARKER = re.compile(r"( {0,3})([-+*]|(\d{1,9})[.)])( {1,4}(?=\S)|\s|\Z)")
_MAYBE_MARKER = re.compile(r"(?:\d{1,9}[.)]?|[-+*])\Z")
_TABLE = re.compile(r" {0,3}[|:\-][|:\- ]*\|?[|:\- ]*\Z")


class MarkdownSection:
    """A run of lines with one meaning: a fence at the top level, or Markdown of any other kind.

    `joined` says that no empty row stands above it, `number` continues the numbering of a list that was cut. `stamp`
    grows with every change.
    """

    __slots__ = (
        "blank",
        "closed",
        "indent",
        "info",
        "items",
        "joined",
        "kind",
        "layout",
        "lines",
        "list_indent",
        "mark",
        "number",
        "size",
        "stamp",
        "tail",
        "tokens",
    )

    def __init__(self, kind: str = "text", *, joined: bool = False, number: int | None = None) -> None:
        self.kind = kind
        self.joined = joined
        self.number = number
        self.lines: list[str] = []
        self.tail = ""
        self.size = 0
        self.blank = False
        self.list_indent = -1
        self.items = 0
        self.mark = ""
        self.indent = 0
        self.info = ""
        self.closed = False
        self.stamp = 0
        self.layout: object = None
        self.tokens: object = None

    @property
    def source(self) -> str:
        """The section's text; of a fence, what stands between its marks."""
        return "\n".join([*self.lines, self.tail] if self.tail else self.lines)

    def __repr__(self) -> str:
        return f"Section({self.kind!r}, {self.source!r})"


class Splitter:
    """Takes text as it comes; `sections` is always the cut of all that came."""

    __slots__ = ("_guess", "_partial", "sections")

    def __init__(self, text: str = "") -> None:
        self.sections: list[MarkdownSection] = []
        self._partial = ""
        self._guess = False
        if text:
            self.feed(text)

    def feed(self, text: str) -> None:
        """Add clean text."""
        if self._guess:
            self.sections.pop()
            self._guess = False
        elif self.sections and self.sections[-1].tail:
            self.sections[-1].tail = ""
            self.sections[-1].stamp += 1
        *whole, partial = (self._partial + text).split("\n")
        for line in whole:
            self._take(line)
        if len(partial) > LIMIT and not self._in_fence():
            partial = self._cut(partial)
        self._partial = partial
        self._show_partial(partial)

    def finish(self) -> None:
        """Nothing more comes: the last line counts as ended, and so does a fence that was left open."""
        if self._partial:
            self.feed("\n")
        if self._in_fence():
            self.sections[-1].closed = True
            self.sections[-1].stamp += 1

    def _in_fence(self) -> bool:
        return bool(self.sections) and self.sections[-1].kind == "fence" and not self.sections[-1].closed

    def _cut(self, line: str) -> str:
        """Take the front of a line that is too long, as many times as needed; what is left is returned."""
        while len(line) > LIMIT and not self._in_fence():
            at = line.rfind(" ", LIMIT // 2, LIMIT)
            at = LIMIT if at < 0 else at + 1
            self._line(line[:at])
            if self.sections and not self._in_fence():
                self.sections.append(MarkdownSection(joined=True))
            line = line[at:]
        return line

    def _take(self, line: str) -> None:
        if len(line) > LIMIT and not self._in_fence():
            line = self._cut(line)
        self._line(line)

    def _line(self, line: str) -> None:
        current = self.sections[-1] if self.sections else None
        if current is not None and current.kind == "fence" and not current.closed:
            self._fence_line(current, line)
            return
        if not line.strip():
            if current is not None:
                current.blank = True
                if current.list_indent >= 0 and current.lines:
                    current.lines.append("")
            return
        current = self._section_for(line, partial=False)
        if current.kind == "fence":
            return
        if current.blank and current.list_indent < 0:
            current.lines.append("")
        current.blank = False
        current.lines.append(line)
        current.size += len(line) + 1
        current.stamp += 1
        if marker := _MARKER.match(line):
            if current.list_indent < 0 or len(marker[1]) < current.list_indent:
                current.list_indent = len(marker[1]) + len(marker[2]) + len(marker[4].rstrip("\n") or " ")
                current.items += 1
        elif line[0] == "#":
            current.list_indent = -1

    def _fence_line(self, section: MarkdownSection, line: str) -> None:
        bare = line.strip()
        if (
            len(bare) >= len(section.mark)
            and bare == section.mark[0] * len(bare)
            and len(line) - len(line.lstrip(" ")) <= 3
            and line.lstrip(" ").startswith(section.mark)
        ):
            section.closed = True
        else:
            section.lines.append(_dedent(line, section.indent))
        section.tail = ""
        section.stamp += 1

    def _section_for(self, line: str, *, partial: bool) -> MarkdownSection:
        """The section that a line which is not empty belongs to; a new one where the line begins one."""
        current = self.sections[-1] if self.sections else None
        indent = len(line) - len(line.lstrip(" "))
        if (fence := _FENCE.match(line)) and not (
            current is not None and current.kind == "text" and 0 <= current.list_indent <= indent
        ):
            joined = current is not None and current.kind == "text" and current.joined and not current.lines
            if joined:
                self.sections.pop()
            section = MarkdownSection("fence", joined=joined)
            section.indent, section.mark, section.info = len(fence[1]), fence[2], fence[3].strip()
            self.sections.append(section)
            return section
        if current is None or current.kind == "fence":
            return self._new()
        if not current.lines:
            return current
        if current.blank and indent == 0 and not line.startswith("\t"):
            marker = _MARKER.match(line) or (partial and _MAYBE_MARKER.match(line))
            if current.list_indent < 0:
                if not (partial and _MAYBE_MARKER.match(line)):
                    return self._new()
            elif not marker:
                return self._new()
        if current.size > LIMIT // 2 and current.list_indent >= 0 and (match := _MARKER.match(line)):
            first = _MARKER.match(current.lines[0])
            if first and len(match[1]) < current.list_indent and not partial:
                number = None
                if first[3]:
                    number = (current.number if current.number is not None else int(first[3])) + current.items
                return self._new(joined=True, number=number)
        limit = LIMIT if current.list_indent < 0 else 4 * LIMIT
        if current.size > limit and not partial and not (len(current.lines) > 1 and _TABLE.match(current.lines[1])):
            return self._new(joined=True)
        return current

    def _new(self, *, joined: bool = False, number: int | None = None) -> MarkdownSection:
        section = MarkdownSection(joined=joined, number=number)
        self.sections.append(section)
        return section

    def _show_partial(self, partial: str) -> None:
        current = self.sections[-1] if self.sections else None
        if current is not None and current.kind == "fence" and not current.closed:
            current.stamp += 1
            bare = partial.strip()
            closing = bare and bare == current.mark[0] * len(bare)
            # what may become the closing mark is not shown as code first
            current.tail = "" if closing else _dedent(partial, current.indent)
            return
        if not partial.strip():
            if current is not None and current.tail:
                current.tail = ""
                current.stamp += 1
            return
        count = len(self.sections)
        section = self._section_for(partial, partial=True)
        self._guess = len(self.sections) > count
        if section.kind == "fence":
            if not self._guess:  # it replaced an empty section, which comes back
                self.sections[-1] = MarkdownSection(joined=True)
                self.sections[-1].tail = partial
            return
        section.tail = partial if not section.blank or section.list_indent >= 0 else "\n" + partial
        section.stamp += 1


def _dedent(line: str, indent: int) -> str:
    return line[min(indent, len(line) - len(line.lstrip(" "))) :] if indent else line
