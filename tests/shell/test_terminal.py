"""Whatever a terminal sends is read: as keys, as text, or as nothing."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.drivers import linux_driver
from textual.events import Key

from omni.shell.terminal import Parser, take_whatever_comes

PARTS = ["\x1b", "[", "<", "M", ";", "0", "1", "99", "9" * 12, ":", "u", "~", "A", "R", "t", "?", "$", "200~", "201~", "48;", "a", "é", "\ufffd", "\ud800"]  # fmt: skip


@pytest.mark.parametrize("sequence", ["\x1b[9999999999u", "\x1b[1114112u", "\x1b[:1A", "\x1b[1;:A", "\x1b[::~"])
def test_what_only_looks_like_a_key_is_none(sequence: str) -> None:
    assert Parser()._parse_extended_key(sequence) is None
    assert [each for each in Parser().feed(sequence) if isinstance(each, Key)] == []


def test_what_is_a_key_is_still_one() -> None:
    keys = [each.key for each in Parser().feed("\x1b[97;5u\x1b[A\x1bOP") if isinstance(each, Key)]
    assert keys == ["ctrl+a", "up", "f1"]


@given(st.lists(st.sampled_from(PARTS), max_size=12).map("".join), st.integers(1, 8))
def test_any_sequence_in_any_pieces_is_read(text: str, size: int) -> None:
    parser = Parser()
    for at in range(0, len(text), size):
        list(parser.feed(text[at : at + size]))
        list(parser.tick())


@given(st.binary(max_size=40), st.integers(1, 7))
def test_any_bytes_are_decoded_and_text_stays_what_it_is(data: bytes, size: int) -> None:
    take_whatever_comes()
    decoder = vars(linux_driver)["getincrementaldecoder"]
    decode = decoder("utf-8")().decode
    text = "".join(decode(data[at : at + size]) for at in range(0, len(data), size)) + decode(b"", True)
    assert text == data.decode("utf-8", "replace")
    assert decoder is not codecs.getincrementaldecoder
