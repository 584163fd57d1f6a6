"""TOML with places. What it says is read by the standard library; where it says it, by going through the text beside it."""

import re
import tomllib
from contextlib import suppress

from omni.core.located.tree import BadText, FileSource, Located, Node, Tally, ValueTree, located, whole

_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*+")
_LINE = re.compile(r"[^\n]*")
_KEY = re.compile(r"""[ \t]*+([A-Za-z0-9_-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+(\.?)""")
_TEXT = re.compile(
    r'''"""(?:[^"\\]|\\.|"{1,2}(?!"))*+"{3,5}|"(?:[^"\\\n]|\\.)*+"|'''
    r"""'{3}(?:[^']|'{1,2}(?!'))*+'{3,5}|'[^'\n]*+'""",
    re.DOTALL,
)
_OTHER = re.compile(r"[^,\]}#\n]+")  # numbers, booleans, and dates, which may have a space
_INTEGER = re.compile(r"[-+]?[0-9]+")
_REFUSED = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


def read_toml(data: str | bytes, source: FileSource) -> Located:
    """What a TOML text says. Raises the source's error with the place of what is no TOML or too much."""
    return located(data, source, _read)


def _read(text: str, tree: ValueTree) -> None:
    places = _Places(text, tree.bounds)
    with suppress(_NoToml):  # the standard library knows better why
        places.scan()
    try:
        tree.value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        refused = _REFUSED.fullmatch(str(error))
        message, line, column = refused.groups() if refused else (str(error), "1", "1")
        at = sum(len(each) + 1 for each in text.split("\n")[: int(line) - 1]) + int(column) - 1 if line else len(text)
        raise BadText(message[:1].lower() + message[1:], at) from error
    tree.root = places.root


class _NoToml(Exception):
    pass


class _Places:
    """The places in a text that is TOML; in any other it stops somewhere."""

    def __init__(self, text: str, bounds: Tally) -> None:
        self.root = Node(0, 0)
        self._text, self._bounds = text, bounds
        self._repeated: set[Node] = set()  # lists whose items are tables with headers of their own

    def scan(self) -> None:
        """Goes through all of it. Raises BadText for too much, and _NoToml."""
        table, depth = self.root, 0
        at = self._space(0)
        while at < len(self._text):
            if self._text[at] == "[":
                table, depth, at = self._header(at)
            else:
                at = self._pair(table, at, depth)
            if (rest := _LINE.match(self._text, at)) is not None:
                at = self._space(rest.end())

    def _space(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _header(self, at: int) -> tuple[Node, int, int]:
        repeated = self._text.startswith("[[", at)
        keys, end = self._keys(at + 1 + repeated)
        table = self.root
        for key, key_at in keys[:-1]:
            table = self._below(table, key, at, key_at)
        key, key_at = keys[-1]
        if not repeated:
            table = self._below(table, key, at, key_at)
            table.at, table.key_at = at, key_at
            return table, len(keys), end
        items = table.children.get(key) or self._child(table, key, at, key_at)
        self._repeated.add(items)
        return self._child(items, len(items.children), at, at), len(keys) + 1, end

    def _pair(self, table: Node, at: int, depth: int) -> int:
        keys, end = self._keys(at)
        if self._text[end : end + 1] != "=":
            raise _NoToml
        begins = self._space(end + 1)
        for key, key_at in keys[:-1]:
            table = self._below(table, key, key_at, key_at)
        key, key_at = keys[-1]
        return self._value(self._child(table, key, begins, key_at), begins, depth + len(keys))

    def _keys(self, at: int) -> tuple[list[tuple[str, int]], int]:
        """The parts of a key with dots between them and where each begins, and where the key ends."""
        keys: list[tuple[str, int]] = []
        while (match := _KEY.match(self._text, at)) is not None:
            key = match[1]
            if key[0] in "\"'":
                try:
                    key = tomllib.loads(f"key = {key}")["key"]
                except ValueError as error:
                    raise _NoToml from error
            keys.append((key, match.start(1)))
            self._bounds.depth(len(keys), match.start(1))
            at = match.end()
            if not match[2]:
                return keys, at
        raise _NoToml

    def _value(self, node: Node, at: int, depth: int) -> int:
        """Where the value ends that begins here; what is in it is put below the node."""
        begins = self._text[at : at + 1]
        if begins in ("[", "{"):
            self._bounds.depth(depth + 1, at)
            closing = "]" if begins == "[" else "}"
            at = self._space(at + 1)
            while self._text[at : at + 1] != closing:
                if begins == "[":
                    at = self._value(self._child(node, len(node.children), at, at), at, depth + 1)
                else:
                    at = self._pair(node, at, depth)
                at = self._space(at)
                if self._text[at : at + 1] == ",":
                    at = self._space(at + 1)
            return at + 1
        if begins in ('"', "'"):
            match = _TEXT.match(self._text, at)
        elif (match := _OTHER.match(self._text, at)) is not None:
            number = match[0].strip().replace("_", "")
            if _INTEGER.fullmatch(number):
                whole(number, at)
        if match is None:
            raise _NoToml
        return match.end()

    def _below(self, table: Node, key: str, at: int, key_at: int) -> Node:
        """The table of this name in another, or the last of those that it names."""
        below = table.children.get(key) or self._child(table, key, at, key_at)
        return below.children[len(below.children) - 1] if below in self._repeated else below

    def _child(self, node: Node, key: str | int, at: int, key_at: int) -> Node:
        self._bounds.more(1, at)
        node.children[key] = child = Node(at, key_at)
        return child
