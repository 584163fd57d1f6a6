"""Standard input and output as they come: other encodings, no text, too much."""

import io
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from omni.cli import streams
from omni.cli.printers import TextPrinter
from omni.cli.say import one_line
from omni.core.errors import BadFile, UsageError
from omni.core.events import ChatEvent, TextDelta


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], str]:
    def read(data: bytes) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
        return streams.piped_text()

    return read


def test_text_is_read_whole_and_without_its_margins(piped: Callable[[bytes], str]) -> None:
    assert piped("\ufeff\n Grüße,\n Ömer \n".encode()) == "Grüße,\n Ömer"
    assert piped(b"") == ""


def test_bytes_that_are_no_text_become_the_sign_for_that(piped: Callable[[bytes], str]) -> None:
    assert piped(b"caf\xe9 au lait") == "caf\ufffd au lait"


def test_what_cannot_be_asked_about_is_refused(piped: Callable[[bytes], str]) -> None:
    with pytest.raises(BadFile, match="not text"):
        piped(b"\x7fELF\0\0")
    with pytest.raises(UsageError, match="More than 4 MiB"):
        piped(b"y\n" * streams.MOST)


def test_no_standard_input_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert streams.piped_text() == ""
    assert not streams.at_terminal()


def test_words_of_the_command_line_may_hold_any_bytes() -> None:
    assert streams.as_text("caf\udce9 ü") == "caf\ufffd ü"


def test_output_replaces_what_its_encoding_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    streams.prepare()
    sys.stdout.write("café 😊 \ud800\n")
    sys.stdout.flush()
    assert raw.getvalue() == b"caf? ? ?\n"


def test_output_that_is_closed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    streams.prepare()
    with sys.stdout as stream:
        print("into the void")
    assert stream is not None


def test_no_text_can_steer_a_terminal() -> None:
    assert one_line("a\x1b]52;c;eA==\x07b\x9b2J\x7f\u202ecod.exe\u2066") == "ab2Jcod.exe"
    assert one_line("a\nb\tc\r\u2028d") == "a b c  d"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_no_answer_can_steer_a_terminal_in_whatever_pieces_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pieces() -> AsyncIterator[ChatEvent]:
        for text in ("a\x1b[3", "1mred", "\u202e and", " on\x1b"):
            yield TextDelta(text=text)

    stdout = _Terminal()
    monkeypatch.setattr(sys, "stdout", stdout)
    await TextPrinter(reasoning=False).turn(pieces())
    assert stdout.getvalue() == "ared and on\n"
