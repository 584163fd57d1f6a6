"""What a terminal does, whatever it is: a byte that is no text, a sequence that is no key and its own end hang nothing."""

import codecs
from contextlib import suppress
from functools import partial

from textual._xterm_parser import XTermParser
from textual.drivers._writer_thread import WriterThread
from textual.events import Key


class Parser(XTermParser):
    """Textual's, for which a sequence that only looks like a key is none."""

    def _parse_extended_key(self, sequence: str) -> list[Key] | None:  # type: ignore[override]  # Textual keeps the answers of its own
        try:
            return super()._parse_extended_key(sequence)
        except (ValueError, OverflowError):  # a number of no character, or no number
            return None


def _lenient(encoding: str) -> "partial[codecs.IncrementalDecoder]":
    return partial(codecs.getincrementaldecoder(encoding), "replace")


class Writer(WriterThread):
    """Goes on when the terminal is gone: Textual's ends, and whoever writes next waits for room in its queue for ever."""

    def run(self) -> None:
        """Write what is queued, until it is told to end."""
        while (text := self._queue.get()) is not None:
            with suppress(OSError):
                self._file.write(text)
                if self._queue.empty():
                    self._file.flush()
        with suppress(OSError):
            self._file.flush()


def take_whatever_comes() -> None:
    """Have Textual's driver read on where its input is no UTF-8 or no key, and write on where nobody reads; it would end the
    app and say nothing of why, or hang."""
    from textual.drivers import linux_driver

    vars(linux_driver).update(getincrementaldecoder=_lenient, XTermParser=Parser, WriterThread=Writer)
