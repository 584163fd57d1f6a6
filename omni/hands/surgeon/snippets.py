"""Code as brains send it: in a fence, with other newlines, tabs or indentation; read leniently, and laid out for its place."""

import re
from typing import TYPE_CHECKING, NamedTuple

from omni.hands.surgeon.languages import SourceLanguage
from omni.hands.surgeon.syntax import EditRefused, nodes, parse

if TYPE_CHECKING:
    from tree_sitter import Node

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_BLANK = re.compile(r"[ \t]*")


class CodePlace(NamedTuple):
    """Where code goes: the indentation of its first line, one step of indentation, and the newline there."""

    indentation: str
    step: str
    newline: str


def read_snippet(text: str) -> str:
    """The code alone, with line feeds, and without blank lines around it. Raises EditRefused where there is none."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")
    if fences := _FENCE.findall(text):  # with words around it, or without
        text = max((code for _, code in fences), key=len)
    lines = text.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise EditRefused("There is no code to put there.")
    return "\n".join(lines)


def laid_out(snippet: str, language: SourceLanguage, place: CodePlace) -> str:
    """A snippet with the indentation and the newlines of its place. What stands inside texts of several lines stays as it is."""
    lines = snippet.split("\n")
    inside = _inside_texts(snippet, language)
    own = [_BLANK.match(line)[0] for at, line in enumerate(lines) if line.strip() and at not in inside]  # type: ignore[index] # it matches
    first, common = (own[0], min(own, key=len)) if own else ("", "")
    if len(first) < len(common) or not all(each.startswith(common) for each in own):
        common = ""
    step = _step_of(own, common)
    mixed = len({blank[0] for blank in own if blank}) > 1
    if first == place.indentation and (mixed or ("\t" in step) == ("\t" in place.step)):
        return place.newline.join(lines)  # it was written for this place
    done = []
    for at, line in enumerate(lines):
        if at in inside:
            done.append(line)
        elif not line.strip():
            done.append("")
        else:
            blank = _BLANK.match(line)[0].removeprefix(common)  # type: ignore[index] # it matches
            done.append(place.indentation + _stepped(blank, step, place.step) + line[len(_BLANK.match(line)[0]) :])  # type: ignore[index] # it matches
    return place.newline.join(done)


def newline_near(text: bytes, at: int) -> str:
    """The newline of the line that a place is in, or of the one before it."""
    end = text.find(b"\n", at)
    end = text.rfind(b"\n", 0, at) if end < 0 else end
    return "\r\n" if end > 0 and text[end - 1 : end] == b"\r" else "\n"


def indentation_of(text: bytes, at: int) -> str | None:
    """What stands before a place in its line, where that is blank; else None."""
    begin = max(text.rfind(b"\n", 0, at), text.rfind(b"\r", 0, at), text.rfind(b"\f", 0, at)) + 1
    before = text[begin:at].decode()
    return before if not before.strip(" \t") else None


def step_of(text: bytes, otherwise: str = "    ") -> str:
    """One step of indentation as most lines of a source have it; `otherwise` where none is indented."""
    blanks = [match[0] for match in re.finditer(rb"(?m)^[ \t]+(?=[^\s*])", text[:200_000])]
    if not blanks:
        return otherwise
    tabs = sum(blank.startswith(b"\t") for blank in blanks)
    if tabs * 2 > len(blanks):
        return "\t"
    widths = [len(blank) for blank in blanks if b"\t" not in blank]
    return " " * next(
        (width for width in (8, 4, 3, 2) if sum(one % width == 0 for one in widths) * 10 >= len(widths) * 9), 4
    )


def _step_of(blanks: list[str], common: str) -> str:
    """One step of indentation of a snippet."""
    deeper = [blank.removeprefix(common) for blank in blanks if len(blank) > len(common)]
    if any(blank.startswith("\t") for blank in deeper):
        return "\t"
    return " " * min((len(blank) for blank in deeper), default=4)


def _stepped(blank: str, own: str, wanted: str) -> str:
    """Indentation in steps of another kind: tabs for blanks or blanks for tabs. Steps of other widths stay as they are."""
    if ("\t" in own) == ("\t" in wanted):
        return blank
    steps = blank.count("\t") if "\t" in own else len(blank) // len(own)
    rest = blank.replace("\t", "") if "\t" in own else blank[steps * len(own) :]
    return wanted * steps + rest


def _inside_texts(snippet: str, language: SourceLanguage) -> set[int]:
    """The numbers of lines that begin inside a text, but for the first text of a Python body, which is a docstring."""
    if not language.strings:
        return set()
    lines: set[int] = set()
    source = snippet.encode("utf-8", "replace")
    for node in _texts(source, language):
        if language.name != "python" or not _is_docstring(node):
            lines.update(range(node.start_point.row + 1, node.end_point.row + 1))
    return lines


def _texts(source: bytes, language: SourceLanguage) -> "list[Node]":
    return [node for node, _ in nodes(parse(source, language.name).root) if node.type in language.strings]


def _is_docstring(node: "Node") -> bool:
    statement = node.parent
    return statement is not None and statement.type == "expression_statement"
