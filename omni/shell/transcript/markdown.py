"""Markdown to lines: markdown-it parses a section once, and its nodes are laid out for any width."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from omni.core.clean import clean
from omni.shell.transcript.fences import LayoutContext, lay_code
from omni.shell.transcript.lines import Line, Run, width_of, wrap
from omni.shell.transcript.split import MarkdownSection, Splitter

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

# Deeper than the parser goes: it would leave such text out.
_TOO_DEEP = re.compile(
    r"^(?:[ \t]*(?:>|[-+*](?=\s)|\d{1,9}[.)](?=\s))){20}|^[ \t]{40,}(?:>|[-+*]\s|\d{1,9}[.)]\s)", re.MULTILINE
)
DEEPEST = 12  # levels of lists and quotes that are still indented
_URL = re.compile(r"https?://[^\s<>\"'`]+[^\s<>\"'`.,;:!?)\]}]")
_OPENABLE = re.compile(r"(?:https?://|mailto:)[\x21-\x7e]+\Z", re.IGNORECASE)


class MarkdownNode(NamedTuple):
    """One block of Markdown. `runs` holds its text, `nodes` its children, `info` what its kind needs besides."""

    kind: str
    runs: Sequence[Run] = ()
    nodes: "Sequence[MarkdownNode]" = ()
    info: Any = None


@lru_cache(1)
def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt  # not needed for the first frame

    # html stays off: tags are shown as the text that they are
    return MarkdownIt("commonmark", {"html": False, "maxNesting": 24}).enable(["table", "strikethrough"])


def parse(text: str, number: int | None = None) -> list[MarkdownNode]:
    """The blocks of clean text; `number` overrides the first number of a list that begins it."""
    if _TOO_DEEP.search(text):
        return [MarkdownNode("paragraph", [run for row in text.split("\n") for run in _literal(row)][:-1], info=0)]
    tokens = _parser().parse(text)
    if number is not None and tokens and tokens[0].type == "ordered_list_open":
        tokens[0].attrSet("start", number)
    return _nodes(iter(tokens), None)


def _literal(row: str) -> list[Run]:
    return [(row.replace("\t", " "), "text", ""), ("\n", "text", "")]


def _flat(text: str) -> str:
    """Clean text in one row."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def _nodes(tokens: "Iterable[Token]", until: str | None) -> list[MarkdownNode]:
    nodes: list[MarkdownNode] = []
    stream = iter(tokens)
    for token in stream:
        kind = token.type
        if kind == until:
            break
        if kind in ("paragraph_open", "heading_open"):
            inline = next(stream)
            next(stream)
            level = int(token.tag[1]) if kind == "heading_open" else 0
            base = "text" if not level else "text.b" if level < 3 else "second.b"
            nodes.append(MarkdownNode("paragraph", _runs(inline.children or (), base), info=level))
        elif kind in ("bullet_list_open", "ordered_list_open"):
            start = int(token.attrGet("start") or (0 if "start" in token.attrs else 1)) if kind[0] == "o" else None
            nodes.append(MarkdownNode("list", nodes=_nodes(stream, kind.replace("open", "close")), info=start))
        elif kind == "list_item_open":
            nodes.append(MarkdownNode("item", nodes=_nodes(stream, "list_item_close")))
        elif kind == "blockquote_open":
            nodes.append(MarkdownNode("quote", nodes=_nodes(stream, "blockquote_close")))
        elif kind in ("fence", "code_block"):
            nodes.append(MarkdownNode("code", info=(token.info.strip(), clean(token.content.rstrip("\n")))))
        elif kind == "hr":
            nodes.append(MarkdownNode("rule"))
        elif kind == "table_open":
            nodes.append(_table(stream))
        elif kind == "inline":  # what markdown-it leaves where the nesting is too deep
            nodes.append(MarkdownNode("paragraph", _runs(token.children or (), "text"), info=0))
        elif token.content:
            nodes.append(MarkdownNode("paragraph", [(_flat(token.content), "text", "")], info=0))
    return nodes


def _table(stream: "Iterable[Token]") -> MarkdownNode:
    rows: list[list[list[Run]]] = []
    aligns: list[str] = []
    head = True
    for token in stream:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "thead_close":
            head = False
        elif token.type in ("th_open", "td_open"):
            if head:
                aligns.append(str(token.attrGet("style") or "").rpartition(":")[2])
        elif token.type == "inline":
            rows[-1].append(_runs(token.children or (), "second.b" if head else "text"))
    return MarkdownNode("table", info=(aligns, rows))


def _runs(tokens: "Iterable[Token]", base: str) -> list[Run]:
    """Inline tokens as runs. Marks nest, so the key is the base with the letters of all that is open."""
    runs: list[Run] = []
    colour, _, letters = base.partition(".")
    marks: list[str] = []
    links: list[str] = []

    def key() -> str:
        flags = "".join(sorted({*letters, *marks}))
        return f"{'link' if links else colour}.{flags}" if flags else "link" if links else colour

    for token in tokens:
        kind = token.type
        if kind == "text":
            if not token.content:
                continue
            text = _flat(token.content)
            if links or "://" not in text:
                runs.append((text, key(), links[-1] if links else ""))
            else:
                runs += _bare_links(text, key())
        elif kind in ("hardbreak", "softbreak"):  # brains end a line where they mean it: verse, addresses, steps
            runs.append(("\n", key(), ""))
        elif kind == "code_inline":
            runs.append((_flat(token.content), "inline", links[-1] if links else ""))
        elif kind in ("strong_open", "em_open", "s_open"):
            marks.append(kind[0] if kind[0] == "s" and kind[1] == "_" else "b" if kind[0] == "s" else "i")
        elif kind in ("strong_close", "em_close", "s_close"):
            marks.pop()
        elif kind == "link_open":
            links.append(_address(str(token.attrGet("href") or "")))
        elif kind == "link_close":
            links.pop()
        elif kind == "image":
            runs.append((_flat(token.content) or "image", "link", _address(str(token.attrGet("src") or ""))))
        elif token.content:
            runs.append((_flat(token.content), key(), ""))
    return runs


def _address(href: str) -> str:
    """An address that may be opened, else nothing: the text is shown either way."""
    return href if len(href) <= 2048 and _OPENABLE.match(href) else ""


def _bare_links(text: str, key: str) -> list[Run]:
    runs: list[Run] = []
    at = 0
    for match in _URL.finditer(text):
        if not (address := _address(match[0])):
            continue
        if match.start() > at:
            runs.append((text[at : match.start()], key, ""))
        runs.append((match[0], "link", address))
        at = match.end()
    if at < len(text):
        runs.append((text[at:], key, ""))
    return runs


def lay_section(section: MarkdownSection, setting: LayoutContext) -> list[Line]:
    """The lines of one section."""
    if section.kind == "fence":
        return lay_code(section.info, section.source, setting, open_=not section.closed)
    return lay(parse(section.source, section.number), setting)


def lay_text(text: str, setting: LayoutContext) -> list[Line]:
    """The lines of a whole text, as they stand in the transcript."""
    splitter = Splitter(text)
    splitter.finish()
    lines: list[Line] = []
    for section in splitter.sections:
        if lines and not section.joined:
            lines.append(Line(()))
        lines += lay_section(section, setting)
    return lines


def lay(nodes: Sequence[MarkdownNode], setting: LayoutContext, depth: int = 0) -> list[Line]:
    """The lines of blocks, one under the other."""
    lines: list[Line] = []
    before = ""
    for node in nodes:
        if lines and not (depth and node.kind == "list" and before == "paragraph"):
            lines.append(Line(()))
        before = node.kind
        match node.kind:
            case "paragraph":
                lines += _paragraph(node.runs, setting.width)
            case "list":
                lines += _list(node, setting, depth)
            case "quote":
                bar = (setting.glyphs.quote + " ", "third", "")
                deep = depth >= DEEPEST or setting.width < 12
                inner = lay(node.nodes, setting._replace(width=setting.width - (0 if deep else 2)), depth + 1)
                lines += [_prefixed(line, () if deep else (bar,), soften=True) for line in inner]
            case "code":
                language, text = node.info
                lines += lay_code(language, text, setting)
            case "rule":
                lines.append(Line([(setting.glyphs.rule * setting.width, "line", "")]))
            case "table":
                aligns, rows = node.info
                lines += _lay_table(aligns, rows, setting)
            case _:
                lines += lay(node.nodes, setting, depth + 1)
    return lines


def _paragraph(runs: Sequence[Run], width: int) -> list[Line]:
    rows = wrap(runs, width)
    lines = [Line(row, join=" ") for row in rows]
    lines[-1].join = "\n"
    return lines


def _prefixed(line: Line, prefix: Sequence[Run], *, soften: bool = False) -> Line:
    runs = [
        (text, "second" + key[4:] if soften and key.startswith("text") else key, link) for text, key, link in line.runs
    ]
    body = line.body
    if body is not None:
        added = sum(len(text) for text, _, _ in prefix)
        body = (body[0] + added, body[1] + added)
    return Line([*prefix, *runs], join=line.join, code=line.code, body=body)


def _list(node: MarkdownNode, setting: LayoutContext, depth: int) -> list[Line]:
    lines: list[Line] = []
    glyphs = setting.glyphs
    wide = 0 if node.info is None else len(str(node.info + len(node.nodes) - 1)) + 2
    for index, item in enumerate(node.nodes):
        nodes = item.nodes
        if node.info is not None:
            mark: Run = (f"{node.info + index}. ".rjust(wide), "second", "")
        else:
            mark = (glyphs.bullets[min(depth, len(glyphs.bullets) - 1)] + " ", "second", "")
            if (task := _task(nodes)) is not None:
                nodes = task[1]
                mark = (f"{glyphs.done if task[0] else glyphs.todo} ", "accent" if task[0] else "second", "")
        indent = width_of(mark[0])
        if depth >= DEEPEST or setting.width - indent < 10:  # too deep to be indented: the marks are enough
            rest: tuple[Run, ...] = ()
            inner = lay(nodes, setting._replace(width=max(setting.width - indent, 4)), depth + 1) or [Line(())]
        else:
            rest = ((" " * indent, "text", ""),)
            inner = lay(nodes, setting._replace(width=setting.width - indent), depth + 1) or [Line(())]
        lines.append(_prefixed(inner[0], (mark,)))
        lines += [_prefixed(line, rest) if line.runs else line for line in inner[1:]]
    return lines


def _task(nodes: Sequence[MarkdownNode]) -> tuple[bool, Sequence[MarkdownNode]] | None:
    """Whether an item begins with a box that is ticked, and the item without it."""
    if not nodes or nodes[0].kind != "paragraph" or not nodes[0].runs:
        return None
    text, key, link = nodes[0].runs[0]
    if text[:4] not in ("[ ] ", "[x] ", "[X] "):
        return None
    return text[1] != " ", [nodes[0]._replace(runs=[(text[4:], key, link), *nodes[0].runs[1:]]), *nodes[1:]]


def _lay_table(aligns: list[str], rows: list[list[list[Run]]], setting: LayoutContext) -> list[Line]:
    """A table that fits: columns shrink to their longest word, and a table that still does not fit becomes records."""
    gap = 3
    columns = len(aligns)
    rows = [(row + [[]] * columns)[:columns] for row in rows]
    texts = [["".join(run[0] for run in cell) for cell in row] for row in rows]
    natural = [max([width_of(row[at]) for row in texts] + [1]) for at in range(columns)]
    least = [
        min(max([max(map(width_of, row[at].split()), default=1) for row in texts] + [1]), 24) for at in range(columns)
    ]
    room = setting.width - gap * (columns - 1)
    if sum(least) > room or columns == 0:
        return _records(rows, setting)
    widths = _shares(natural, least, room)
    lines: list[Line] = []
    for number, row in enumerate(rows):
        cells = [wrap(cell, widths[at]) for at, cell in enumerate(row)]
        for level in range(max(len(cell) for cell in cells)):
            runs: list[Run] = []
            for at, cell in enumerate(cells):
                part = cell[level] if level < len(cell) else []
                spare = widths[at] - sum(width_of(run[0]) for run in part)
                left = spare if aligns[at] == "right" else spare // 2 if aligns[at] == "center" else 0
                runs += [(" " * left, "text", ""), *part]
                if at < columns - 1:
                    runs.append((" " * (spare - left + gap), "text", ""))
            lines.append(Line([run for run in runs if run[0]]))
        if number == 0:
            lines.append(Line([(setting.glyphs.rule * (sum(widths) + gap * (columns - 1)), "line", "")]))
    return lines


def _shares(natural: list[int], least: list[int], room: int) -> list[int]:
    """Widths between `least` and `natural` that fill `room` at most: the widest columns give first."""
    widths = list(natural)
    while (over := sum(widths) - room) > 0:
        at = max(range(len(widths)), key=lambda index: (widths[index] - least[index], widths[index]))
        second = max([width for index, width in enumerate(widths) if index != at and width > least[index]], default=0)
        give = min(over, widths[at] - least[at], max(widths[at] - second, 1))
        widths[at] -= max(give, 1)
    return widths


def _records(rows: list[list[list[Run]]], setting: LayoutContext) -> list[Line]:
    lines: list[Line] = []
    for row in rows[1:] or rows:
        if lines:
            lines.append(Line(()))
        for head, cell in zip(rows[0], row, strict=True):
            lines += _paragraph([*head, ("  ", "text", ""), *(cell if row is not rows[0] else [])], setting.width)
    return lines
