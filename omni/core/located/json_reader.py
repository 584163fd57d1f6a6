"""JSON (RFC 8259) with places: no key twice, no NaN, and integers as large as they are."""

import re
from json import JSONDecodeError, JSONDecoder
from typing import Any

from omni.core.located.tree import BadText, FileSource, Located, ValueTree, finite, located, whole

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)(?![\w.+-])", re.ASCII)
_WORD = re.compile(r"[\w.+-]+|.", re.DOTALL)
_CONSTANTS = {"true": True, "false": False, "null": None}
_CLOSING = {"{": "}", "[": "]"}


def read_json(data: str | bytes, source: FileSource) -> Located:
    """What a JSON text says. Raises the source's error with the place of what is no JSON, comes twice or is too much."""
    return located(data, source, lambda text, tree: _JsonReader(text, tree).read())


class _JsonReader:
    """Goes through a text once, without recursion."""

    def __init__(self, text: str, tree: ValueTree) -> None:
        self._text, self._tree = text, tree
        self._at, self._decoder = 0, JSONDecoder()  # which is asked for texts only: they hold nothing

    def read(self) -> None:
        closing: list[str] = []
        while True:
            begins = self._next()
            if begins in _CLOSING:
                closing.append(_CLOSING[begins])
                self._tree.begin({} if begins == "{" else [], self._at)
                self._at += 1
                if self._next() != closing[-1]:
                    self._key(closing)
                    continue
            else:
                self._tree.add(*self._scalar(begins))
            while closing and self._next() == closing[-1]:
                self._tree.end()
                closing.pop()
                self._at += 1
            if not closing:
                break
            self._expect(",", f"',' or {closing[-1]!r}")
            self._key(closing)
        if self._next():
            raise self._unlike("the end of the text")

    def _next(self) -> str:
        """The next character that is no space; "" at the end."""
        if (match := _SPACE.match(self._text, self._at)) is not None:
            self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _expect(self, character: str, words: str) -> None:
        if self._next() != character:
            raise self._unlike(words)
        self._at += 1

    def _unlike(self, expected: str) -> BadText:
        word = _WORD.match(self._text, self._at)
        return BadText(f"expected {expected}, found {repr(word[0][:40]) if word else 'the end of the text'}", self._at)

    def _key(self, closing: list[str]) -> None:
        if closing[-1] == "]":
            return
        if self._next() != '"':
            raise self._unlike("a key in double quotes")
        at = self._at
        self._tree.key(self._string(), at)
        self._expect(":", "':' after the key")

    def _string(self) -> str:
        try:
            string, self._at = self._decoder.raw_decode(self._text, self._at)
        except JSONDecodeError as error:
            raise BadText(
                f"expected a text, found one that is wrong: {error.msg.removesuffix(' at')}", error.pos
            ) from error
        return str(string)

    def _scalar(self, begins: str) -> tuple[Any, int]:
        at = self._at
        if begins == '"':
            return self._string(), at
        if (number := _NUMBER.match(self._text, at)) is not None:
            self._at = number.end()
            return (finite(float(number[0]), at) if number[2] else whole(number[1], at)), at
        word = _WORD.match(self._text, at)
        if word is None or word[0] not in _CONSTANTS:
            raise self._unlike("a value")
        self._at = word.end()
        return _CONSTANTS[word[0]], at
