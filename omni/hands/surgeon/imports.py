"""Where an import goes: behind the last one at the top, else behind what must stand first."""

from typing import TYPE_CHECKING

from omni.hands.surgeon.snippets import newline_near
from omni.hands.surgeon.syntax import EditRefused, Syntax, errors, parse

if TYPE_CHECKING:
    from tree_sitter import Node

Cut = tuple[int, int, bytes]


def import_place(syntax: Syntax, snippet: str) -> Cut:
    """The cut that adds an import. Raises EditRefused for what is none, and for one that is there already."""
    facts = syntax.language
    if not facts.imports:
        raise EditRefused(f"There are no imports in {facts.name}.")
    given = parse(snippet.encode(), facts.name)
    wanted = [one for one in given.root.named_children if "comment" not in one.type and one.type not in facts.preface]
    if errors(given.root) or not wanted or any(one.type not in facts.imports for one in wanted):
        raise EditRefused(f"{snippet.splitlines()[0][:80]!r} is no import.", hint="Send the whole statement alone.")
    here = {_said(syntax, one) for one in _leading(syntax)}
    if all(_said(given, one) in here for one in wanted):
        raise EditRefused("It is imported already.")
    newline = newline_near(syntax.text, 0)
    text = newline.join(snippet.split("\n")).encode()
    line = newline.encode()
    imports = [one for one in _leading(syntax) if one.type in facts.imports]
    if (
        text.startswith(b"from __future__")
        and (imports := [one for one in imports if one.type.startswith("future")]) == []
    ):
        imports = []
    if imports:
        end = _end_of_line(syntax.text, imports[-1].end_byte)
        return end, end, line + text
    first = [one for one in _leading(syntax) if one.type not in facts.imports and _stands_first(syntax, one)]
    if first:
        end = _end_of_line(syntax.text, first[-1].end_byte)
        return end, end, line * 2 + text
    begin = _behind_the_first_lines(syntax.text)
    after = line if syntax.text[begin:].strip() else b""
    return begin, begin, text + line + after


def _behind_the_first_lines(text: bytes) -> int:
    """Where the line that names an interpreter, and one that names an encoding, are over."""
    at = 0
    for _ in range(2):
        line = text[at:].partition(b"\n")[0]
        if not (line.startswith(b"#!") or (line.startswith(b"#") and b"coding" in line)):
            break
        at = min(at + len(line) + 1, len(text))
    return at


def _leading(syntax: Syntax) -> "list[Node]":
    """What stands at the top before the first code: comments, a docstring, imports."""
    leading = []
    for node in syntax.root.named_children:
        if node.type in syntax.language.imports or "comment" in node.type or _stands_first(syntax, node):
            leading.append(node)
        else:
            break
    return leading


def _stands_first(syntax: Syntax, node: "Node") -> bool:
    """Whether nothing can be imported before it."""
    if node.type in syntax.language.preface:
        return True
    if node.type != "expression_statement" or node.named_child_count != 1:
        return False
    return node.named_children[0].type == "string"  # a docstring, "use strict"


def _said(syntax: Syntax, node: "Node") -> str:
    return " ".join(syntax.text[node.start_byte : node.end_byte].decode().split()).rstrip(";")


def _end_of_line(text: bytes, at: int) -> int:
    if text[at - 1 : at] == b"\n":  # the node has its newline
        at -= 1
    end = text.find(b"\n", at)
    end = len(text) if end < 0 else end
    return end - 1 if end > at and text[end - 1 : end] == b"\r" else end
