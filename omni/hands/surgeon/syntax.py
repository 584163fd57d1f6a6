"""A source as its grammar reads it, and what does not parse."""

import ast
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from omni.core.errors import OmniError
from omni.core.features import require
from omni.hands.surgeon.languages import LANGUAGES, SourceLanguage

if TYPE_CHECKING:
    import tree_sitter
    from tree_sitter import Node

LARGEST, MOST_LINES = 512 << 10, 20_000  # bytes and lines of a source: some grammars take a second for as many comments
_LONGEST_LINE = 20_000  # bytes: what is generated is not edited by symbols
_DEEPEST = 400  # nodes in each other
BOM = b"\xef\xbb\xbf"


class EditRefused(OmniError):
    """A source that cannot be edited so; the hint says what would work."""

    exit_code = 4


class Syntax(NamedTuple):
    """A source and its tree. Offsets of nodes count from behind the mark at the beginning of a file, which is `offset` bytes long."""

    language: SourceLanguage
    text: bytes  # without the mark
    root: "Node"
    offset: int


def parse(source: bytes, language: str) -> Syntax:
    """Read a source. Raises EditRefused for a language that is not known, and for a source that is too large, too deep or no UTF-8."""
    if language not in LANGUAGES:
        raise EditRefused(f"There is no grammar for {language!r}.", hint=f"There is: {', '.join(LANGUAGES)}.")
    if len(source) > LARGEST:
        raise EditRefused(f"It has {len(source):,} bytes; sources of at most {LARGEST:,} are edited by symbols.")
    if source.count(b"\n") > MOST_LINES:
        raise EditRefused(f"It has more than {MOST_LINES:,} lines.")
    if any(len(line) > _LONGEST_LINE for line in source.splitlines()):
        raise EditRefused(f"It has lines of more than {_LONGEST_LINE:,} bytes, as programs write them.")
    offset = len(BOM) if source.startswith(BOM) else 0
    text = source[offset:]
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise EditRefused(f"It is no UTF-8 (byte {error.start + offset}).") from error
    facts = LANGUAGES[language]
    root = _parser(facts).parse(text).root_node
    for _, depth in nodes(root):
        if depth > _DEEPEST:
            raise EditRefused(f"More than {_DEEPEST} things stand in each other in it.")
    return Syntax(facts, text, root, offset)


def problem_of(source: bytes, language: str) -> str:
    """The first thing that does not parse, with its line; "" where all does."""
    syntax = parse(source, language)
    if first := next(iter(errors(syntax.root)), None):
        return f"line {first.start_point.row + 1}: {_said(first)}"
    return _python_problem(source) if language == "python" else ""


def errors(root: "Node") -> list["Node"]:
    """Nodes that the grammar could not read, or had to invent."""
    return [node for node, _ in nodes(root) if node.is_error or node.is_missing] if root.has_error else []


def nodes(root: "Node") -> Iterator[tuple["Node", int]]:
    """All nodes in their order, each with how many others it stands in."""
    cursor, depth = root.walk(), 0
    while True:
        node = cursor.node
        assert node is not None
        yield node, depth
        if cursor.goto_first_child():
            depth += 1
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            depth -= 1


def must_still_parse(before: bytes, after: bytes, language: str) -> None:
    """Raise EditRefused where an edit brings something that does not parse."""
    was, now = (errors(parse(source, language).root) for source in (before, after))
    if len(now) > len(was):
        first = now[0]
        raise EditRefused(
            f"The result would not parse, line {first.start_point.row + 1}: {_said(first)}.",
            hint="Send code that is whole, with balanced brackets.",
        )
    if language == "python" and not _python_problem(before) and (problem := _python_problem(after)):
        raise EditRefused(f"The result would not parse, {problem}.", hint="Send code that is whole.")


def _python_problem(source: bytes) -> str:
    """What Python itself says, which knows more than the grammar: "" for what it can read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"line 1: {error}"
    return ""


def _said(node: "Node") -> str:
    if node.is_missing:
        return f"{node.type} is missing"
    text = (node.text or b"").decode("utf-8", "replace").strip()
    first = text.splitlines()[0][:60] if text else ""
    return f"unexpected {first!r}" if first else "something unexpected"


def _parser(language: SourceLanguage) -> "tree_sitter.Parser":
    require("code", "tree_sitter", language.module)
    from tree_sitter import Parser

    return Parser(_grammar(language.module, language.function))  # one for each source: two threads must not share it


@cache
def _grammar(module: str, function: str) -> "tree_sitter.Language":
    from tree_sitter import Language as Grammar

    return Grammar(getattr(import_module(module), function)())
