"""Values and where they stand: what all readers make, and the bounds of what they take."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from omni.core.errors import OmniError, UsageError

Path = Sequence[str | int]  # from the top: names of keys, and numbers in lists


class Limits(NamedTuple):
    """How much a file may be: bytes, containers in each other, and values; what an alias repeats counts each time.

    YAML is read in Python, at about 70 microseconds a value: these bounds keep any file below a few seconds.
    """

    size: int = 1 << 20
    depth: int = 64
    values: int = 20_000


class FileSource(NamedTuple):
    """What messages call a file, which error they are, what they advise, and how much it may be."""

    name: str
    wrong: type[OmniError] = UsageError
    hint: str = ""
    limits: Limits = Limits()


class BadText(Exception):
    """What a text has wrong, and the offset of the character where."""

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.message, self.at = message, at


class Node:
    """Where a value begins, where its key does, and the nodes in it. Offsets count characters from 0."""

    __slots__ = ("at", "children", "key_at")

    def __init__(self, at: int, key_at: int) -> None:
        self.at, self.key_at = at, key_at
        self.children: dict[str | int, Node] = {}


class Located:
    """What a file says, and where it says it. `value` is made of dicts, lists, texts, numbers, booleans and None (and the
    dates of TOML). Without a `root` the places are unknown."""

    def __init__(self, source: FileSource, value: Any, text: str = "", root: Node | None = None) -> None:
        self.source, self.value = source, value
        self._text, self._root = text, root

    def place(self, path: Path = (), *, key: bool = False) -> str:
        """`NAME, line L, column C` of a value, or of its key; lines and columns count from 1, columns in characters. What is
        nowhere has the place of what it would be in."""
        if self._root is None:
            return self.source.name
        node, nearest = self._root, True
        for step in path:
            if step not in node.children:
                nearest = False
                break
            node = node.children[step]
        return _placed(self.source.name, self._text, node.key_at if key and nearest else node.at)

    def rename_key(self, path: Path, new: str) -> None:
        """Read what stands at the path under another name, beside it; nothing happens when that is there, too."""
        *above, old = path
        table, node = self.value, self._root
        for step in above:
            table = table.get(step) if isinstance(table, dict) else None
            node = node.children.get(step) if node else None
        if isinstance(table, dict) and old in table:
            table.setdefault(new, table.pop(old))
            if node and old in node.children:
                node.children.setdefault(new, node.children.pop(old))


def located(data: str | bytes, source: FileSource, read: "Callable[[str, ValueTree], None]") -> Located:
    """What `read` makes of a file. Raises the source's error, with the place of what is wrong or too much."""
    text, tree = _text(data), ValueTree(source.limits)
    try:
        _check(data, source.limits)
        read(text, tree)
    except BadText as error:
        raise source.wrong(f"{_placed(source.name, text, error.at)}: {error.message}.", hint=source.hint) from error
    return Located(source, tree.value, text, tree.root)


def _placed(name: str, text: str, at: int) -> str:
    return f"{name}, line {text.count(chr(10), 0, at) + 1}, column {at - text.rfind(chr(10), 0, at)}"


def _text(data: str | bytes) -> str:
    return (data.decode("utf-8", "replace") if isinstance(data, bytes) else data).removeprefix("\ufeff")


def _check(data: str | bytes, limits: Limits) -> None:
    """Raises BadText for a file that is too long or no UTF-8."""
    if len(data) > limits.size:
        raise BadText(f"expected at most {limits.size:,} bytes, found {len(data):,}", 0)
    try:
        data.decode() if isinstance(data, bytes) else data.encode()
    except UnicodeDecodeError as error:
        at = len(_text(error.object[: error.start]))
        raise BadText(f"expected text in UTF-8, found the byte 0x{error.object[error.start]:02x}", at) from error
    except UnicodeEncodeError as error:
        raise BadText("expected text, found half of a surrogate pair", error.start) from error


class Tally:
    """Counts what a reader makes. Raises BadText when it becomes too much."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._count = limits, 0

    def more(self, count: int, at: int) -> None:
        """So many values more."""
        self._count += count
        if self._count > self._limits.values:
            raise BadText(f"expected at most {self._limits.values:,} values, found more", at)

    def depth(self, depth: int, at: int) -> None:
        """So many lists and tables in each other."""
        if depth > self._limits.depth:
            raise BadText(f"expected at most {self._limits.depth} lists and tables in each other, found more", at)


class ValueTree:
    """Puts values and places together while a reader goes through a text once. Raises BadText when a key comes twice, or
    when it becomes too much."""

    def __init__(self, limits: Limits) -> None:
        self.bounds = Tally(limits)
        self._open: list[tuple[dict[str, Any] | list[Any], Node]] = []
        self._key, self._key_at = "", 0
        self.value: Any = None
        self.root: Node | None = None

    def key(self, key: str, at: int) -> None:
        """The next value's key."""
        key = _joined(key, at)
        if key in self._open[-1][0]:
            raise BadText(f"the key {key!r} is here a second time", at)
        self._key, self._key_at = key, at

    def add(self, value: Any, at: int | None) -> Node:
        """A value that holds no others; one that begins nowhere, since it is empty, has the place of its key."""
        return self._put(value, Node(self._key_at if at is None else at, self._key_at))

    def begin(self, value: dict[str, Any] | list[Any], at: int) -> Node:
        """A table or list, which what comes is in until its `end`."""
        self.bounds.depth(len(self._open) + 1, at)
        node = self._put(value, Node(at, at))
        self._open.append((value, node))
        return node

    def end(self) -> None:
        """The end of the table or list that began last."""
        self._open.pop()

    def repeat(self, value: Any, node: Node, at: int) -> None:
        """A value that was here already, at another place; what is in it counts again."""
        again = self._put(value, Node(at, at))
        again.children = node.children
        inside = [(node, 1)]
        while inside:
            one, depth = inside.pop()
            if one.children:
                self.bounds.depth(len(self._open) + depth, at)
            self.bounds.more(len(one.children), at)
            inside += [(child, depth + 1) for child in one.children.values()]

    def _put(self, value: Any, node: Node) -> Node:
        self.bounds.more(1, node.at)
        if isinstance(value, str):
            value = _joined(value, node.at)
        if not self._open:
            self.value, self.root = value, node
            return node
        container, parent = self._open[-1]
        if isinstance(container, dict):
            container[self._key] = value
            parent.children[self._key] = node
            node.key_at = self._key_at
        else:
            parent.children[len(container)] = node
            container.append(value)
            node.key_at = node.at
        return node


def _joined(text: str, at: int) -> str:
    """The text, with escaped halves of surrogate pairs as the characters that they are of. Raises BadText for one half only,
    which no file can hold."""
    if text.isascii():
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as error:
        raise BadText("expected text, found half of a surrogate pair", at) from error


def finite(number: float, at: int) -> float:
    """The number. Raises BadText for an infinite one or none: JSON has neither, and no bound holds them."""
    if number - number != 0:
        raise BadText(f"expected a finite number, found {number}", at)
    return number


def whole(digits: str, at: int, base: int = 10) -> int:
    """The integer, however large it is. Raises BadText beyond the thousands of digits that Python reads."""
    try:
        return int(digits, base)
    except ValueError as error:
        raise BadText(f"expected a number of fewer digits, found {len(digits):,}", at) from error
