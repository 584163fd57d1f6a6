"""Tokens as a person reads them: letters that take several tokens, texts that end an answer, thoughts before it."""

import codecs
from collections.abc import Iterator, Sequence
from typing import Literal

from omni.engine.framing import THOUGHTS

Field = Literal["content", "reasoning_content"]


class Speech:
    """The text of one answer, which ends before any of `stops`."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._letters = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def add(self, piece: bytes, *, last: bool = False) -> str:
        """What can be given away when `piece` came: what may be the beginning of a stop is held back until the `last`."""
        if self.stopped:
            return ""
        self._held += self._letters.decode(piece, last)
        ends = [at for at in map(self._held.find, self._stops) if at >= 0]
        if ends:
            self.stopped = True
            said, self._held = self._held[: min(ends)], ""
            return said
        kept = 0 if last else max((_begun(self._held, stop) for stop in self._stops), default=0)
        said = self._held[: len(self._held) - kept]
        self._held = self._held[len(said) :]
        return said


class Thoughts:
    """Tells thoughts from what is said after them, by the marks that the `template` of a brain has; `prompt` may have begun
    some."""

    def __init__(self, template: str, prompt: str) -> None:
        known = next(((begin, end) for begin, end in THOUGHTS if begin in template and end in template), None)
        self._begin, self._end = known or ("", "")
        self._state: Literal["before", "thinks", "said"] = "before" if known else "said"
        if known and prompt.rstrip().endswith(self._begin):
            self._state = "thinks"
        self._text = ""
        self._begins = self._state == "thinks"  # lines without letters are left out here

    def add(self, text: str, *, last: bool = False) -> Iterator[tuple[Field, str]]:
        """What of an answer is thought and what is said, as far as that can be told."""
        self._text += text
        if self._state == "before":
            begun = self._text.lstrip()
            if begun.startswith(self._begin):
                self._state, self._text, self._begins = "thinks", begun.removeprefix(self._begin), True
            elif last or not self._begin.startswith(begun):
                self._state = "said"
        if self._state == "thinks":
            self._strip()
            thought, mark, rest = self._text.partition(self._end)
            kept = 0 if mark or last else _begun(thought, self._end)
            self._text = thought[len(thought) - kept :]
            if thought := thought[: len(thought) - kept]:
                yield "reasoning_content", thought
            if mark:
                self._state, self._text, self._begins = "said", rest, True
        if self._state == "said":
            self._strip()
            if self._text:
                yield "content", self._text
            self._text = ""

    def _strip(self) -> None:
        if self._begins:
            self._text = self._text.lstrip("\n")
            self._begins = not self._text


def _begun(text: str, mark: str) -> int:
    """How many letters at the end of a text begin a mark."""
    return next((size for size in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:size])), 0)
