"""YAML 1.2 with places, as its core schema has it: one document, whose keys are texts, which JSON could hold as well.

ruamel.yaml parts the text into events, one after the other and without recursion; what they mean is decided here. So
`no` and `on` are texts, `010` is ten, and a date is a text. Refused are what not every reader takes for the same (a key
that comes twice, `<<`, tags, YAML 1.1, keys that are lists, infinite numbers) and an alias in what it repeats. An alias
counts as all that it repeats, since whoever walks through the value walks through that again.

Between brackets ruamel takes a "?" for the sign of a key also where no space follows it; a text that begins so is refused
there, without quotes. Another thing is ruamel's own: U+0085, U+2028 and U+2029 end a line for it, as in YAML 1.1, so that a
quoted text with one that is not escaped has a space or a line end there.
"""

import re
from typing import Any

from omni.core.located.tree import BadText, FileSource, Located, Node, ValueTree, finite, located, whole

_CONSTANTS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def read_yaml(data: str | bytes, source: FileSource) -> Located:
    """What a YAML document says. Raises the source's error with the place of what is no YAML, is refused or too much.

    The place of a value with an anchor is that of the anchor, and the place of an empty one that of its key.
    """
    return located(data, source, _read)


def _read(text: str, tree: ValueTree) -> None:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = _YamlReader(text, tree)
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            reader.take(event)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        context = f" {error.context}" if error.context else ""
        raise BadText(f"{error.problem}{context}", mark.index if mark else 0) from error
    except YAMLError as error:  # a character that no YAML has
        raise BadText(str(error).partition("\n")[0], getattr(error, "position", 0)) from error
    if tree.root is None:
        tree.add(None, 0)


class _YamlReader:
    """Makes values of the events of ruamel.yaml."""

    def __init__(self, text: str, tree: ValueTree) -> None:
        self._text, self._tree = text, tree
        self._tables: list[bool | None] = []  # of what is open: None for a list, else whether a key comes next
        self._anchored: dict[str, tuple[Any, Node]] = {}
        self._open: list[tuple[str | None, Any, Node]] = []

    def take(self, event: Any) -> None:
        """One event. Raises BadText."""
        at = event.start_mark.index
        if at and self._text[at - 1] == "?" and not type(event).__name__.endswith("EndEvent"):
            raise BadText("expected quotes around a text that begins with '?'", at - 1)
        match type(event).__name__:
            case "DocumentStartEvent":
                if self._tree.root is not None:
                    raise BadText("expected one document, found a second one", at)
                if event.version not in (None, (1, 2)):
                    raise BadText("expected YAML 1.2, found another version", at)
            case "MappingStartEvent" | "SequenceStartEvent" as kind:
                self._begin(event, at, table=kind == "MappingStartEvent")
            case "MappingEndEvent" | "SequenceEndEvent":
                self._tree.end()
                anchor, value, node = self._open.pop()
                if anchor:
                    self._anchored[anchor] = value, node
                self._tables.pop()
            case "ScalarEvent":
                self._scalar(event, at)
            case "AliasEvent":
                self._alias(event.anchor, at)

    def _key_next(self) -> bool:
        """Whether what comes is a key; the next one then is its value, and the other way round."""
        if not self._tables or self._tables[-1] is None:
            return False
        self._tables[-1] = not self._tables[-1]
        return not self._tables[-1]

    def _begin(self, event: Any, at: int, *, table: bool) -> None:
        if self._key_next():
            raise BadText("expected a text as the key, found a list or table", at)
        _refuse_tag(event, at)
        value: Any = {} if table else []
        node = self._tree.begin(value, at)
        if event.anchor:
            self._anchored.pop(event.anchor, None)
        self._open.append((event.anchor, value, node))
        self._tables.append(True if table else None)

    def _scalar(self, event: Any, at: int) -> None:
        _refuse_tag(event, at)
        plain = event.style is None
        if self._key_next():
            if plain and event.value == "<<":
                raise BadText("expected a key, found '<<': YAML 1.2 merges no tables", at)
            if event.anchor:
                raise BadText("expected a key, found an anchor", at)
            self._tree.key(event.value, at)
            return
        value = _plain(event.value, at) if plain else event.value
        empty = plain and not event.value and not event.anchor and self._tables and self._tables[-1] is not None
        node = self._tree.add(value, None if empty else at)
        if event.anchor:
            self._anchored[event.anchor] = value, node

    def _alias(self, anchor: str, at: int) -> None:
        if self._key_next():
            raise BadText("expected a text as the key, found an alias", at)
        if anchor not in self._anchored:
            raise BadText(f"the alias {anchor!r} repeats nothing that ended before it", at)
        self._tree.repeat(*self._anchored[anchor], at)


def _refuse_tag(event: Any, at: int) -> None:
    if event.tag is not None:
        raise BadText(f"expected a value without a tag, found {event.tag!r}", at)


def _plain(text: str, at: int) -> Any:
    """What a value without quotes is by the core schema (YAML 1.2.2, 10.3.2)."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return whole(text, at, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return finite(float(text), at)
    if _NOT_FINITE.fullmatch(text):
        return finite(float(text.replace(".", "")), at)
    return text
