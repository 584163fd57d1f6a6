import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.errors import NetworkBlocked, OmniError, error_from_wire, error_to_wire
from omni.keeper.wire import Garbage, LineDecoder, encode, spec_key

values = st.dictionaries(st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9), max_size=4)


@given(st.lists(values, max_size=5), st.lists(st.integers(0, 200), max_size=8))
def test_lines_come_out_whole_however_the_stream_is_cut(sent: list[dict[str, Any]], cuts: list[int]) -> None:
    stream = b"".join(encode(value) for value in sent)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    lines = LineDecoder()
    received = [value for a, b in pairwise(edges) for value in lines.feed(stream[a:b])]
    assert received == sent


@given(st.binary(max_size=300))
def test_anything_else_is_garbage_or_an_object(data: bytes) -> None:
    try:
        assert all(isinstance(value, dict) for value in LineDecoder().feed(data))
    except Garbage:
        pass


def test_a_line_without_end_is_garbage() -> None:
    lines = LineDecoder(limit=10)
    assert lines.feed(b"{") == []
    with pytest.raises(Garbage):
        lines.feed(b"x" * 20)


def test_deep_nesting_is_garbage() -> None:
    with pytest.raises(Garbage):
        LineDecoder().feed(b"[" * 100_000 + b"\n")


def test_an_error_arrives_as_what_it_was() -> None:
    error = error_from_wire(json.loads(json.dumps(error_to_wire(NetworkBlocked("no", hint="yes")))))
    assert type(error) is NetworkBlocked
    assert (error.message, error.hint) == ("no", "yes")


@pytest.mark.parametrize("kind", ["Iterable", "nearest", "__name__", 7])
def test_a_name_that_is_no_error_becomes_a_plain_one(kind: object) -> None:
    assert type(error_from_wire({"kind": kind, "message": "m"})) is OmniError


def test_equal_specs_have_equal_keys() -> None:
    one = {"engine": "e", "base": "b", "path": "p", "need_bytes": 1, "settings": {"slots": 2, "keep_alive": 5}}
    other = {"path": "p", "base": "b", "engine": "e", "need_bytes": 9, "settings": {"keep_alive": 7, "slots": 2}}
    assert spec_key(one) == spec_key(other)
    assert spec_key(one) != spec_key({**one, "settings": {"slots": 3}})
