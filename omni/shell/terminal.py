"""What a terminal sends, whatever it is: a byte that is no text and a sequence that is no key end nothing."""

import codecs
from functools import partial

from textual._xterm_parser import XTermParser
from textual.events import Key


class Parser(XTermParser):
    """Textual's, for which a sequence that only looks like a key is none."""

    def _parse_extended_key(self, sequence: str) -> list[Key] | None:  # type: ignore[override]
        try:
            return super()._parse_extended_key(sequence)
        except (ValueError, OverflowError):  # a number of no character, or no number
            return None


def _lenient(encoding: str) -> "partial[codecs.IncrementalDecoder]":
    return partial(codecs.getincrementaldecoder(encoding), "replace")


def take_whatever_comes() -> None:
    """Have Textual's driver read on where its input is no UTF-8 or no key; it would end the app, and say nothing of why."""
    from textual.drivers import linux_driver

    vars(linux_driver).update(getincrementaldecoder=_lenient, XTermParser=Parser)
