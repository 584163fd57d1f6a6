"""Pages of this process that need not be in memory: what was read of a file once, and what holds nothing but zeros.

llama.cpp writes zeros over the whole cache of keys and values when it makes it, so that the system has to find memory
for all of it; and it leaves the mapped model in memory although most of it was packed anew. Given back, a page of zeros
reads as zeros and comes back when somebody writes to it, and a page of the file comes back from the system's own copy of
the file. So a worker takes what its conversations use, and grows without being loaded again. Linux only: elsewhere
nothing is done. Standard library only.
"""

import os
import sys
from collections.abc import Iterator
from ctypes import CDLL, c_int, c_size_t, c_ubyte, c_void_p
from pathlib import Path
from typing import NamedTuple

LEAST = 8 << 20  # bytes of a mapping that is looked at: no stack, and no arena of Python's, which others write to
CHUNK = 1 << 20  # bytes that are looked at together
_DONTNEED = 4
_HUGEPAGE_NEVER = 15  # MADV_NOHUGEPAGE: else the first token would bring two megabytes of each layer back


class Mapping(NamedTuple):
    """A part of this process's addresses, from `start` to `end`."""

    start: int
    end: int
    rights: str
    name: str


def give_back_file(path: str | os.PathLike[str]) -> int:
    """Let go of the pages of a mapped file; they are read again when they are needed. Returns how many bytes it maps."""
    if not sys.platform.startswith("linux"):
        return 0
    name = os.path.realpath(path)
    mapped = [mapping for mapping in mappings() if mapping.name == name and "w" not in mapping.rights]
    for mapping in mapped:
        _advise(mapping.start, mapping.end, _DONTNEED)
    return sum(mapping.end - mapping.start for mapping in mapped)


def give_back_zeros() -> int:
    """Let go of memory that holds zeros only; returns how many bytes that were.

    Nobody may write to large pieces of memory meanwhile: what is written between the look and the giving back is lost.
    So this is for a worker that has loaded its brain and was not asked anything yet.
    """
    if not sys.platform.startswith("linux"):
        return 0
    given = 0
    for mapping in list(mappings()):
        if mapping.name or mapping.rights != "rw-p" or mapping.end - mapping.start < LEAST:
            continue
        _advise(mapping.start, mapping.end, _HUGEPAGE_NEVER)
        for at in range(mapping.start, mapping.end - CHUNK + 1, CHUNK):
            if _is_there(at) and _is_zero(at):
                _advise(at, at + CHUNK, _DONTNEED)
                given += CHUNK
    return given


def mappings() -> Iterator[Mapping]:
    """All mappings of this process as the kernel lists them; none where it does not."""
    try:
        lines = Path("/proc/self/maps").read_text("utf-8", "surrogateescape").splitlines()
    except OSError:  # where nobody may look, nothing is given back
        return
    for line in lines:
        fields = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in fields[0].split("-"))
        yield Mapping(start, end, fields[1], fields[5] if len(fields) > 5 else "")


def _is_there(start: int) -> bool:
    """Whether any page of a chunk is in memory: reading one that is not would bring it there."""
    size = os.sysconf("SC_PAGE_SIZE")
    there = (c_ubyte * (CHUNK // size))()
    if CDLL(None).mincore(c_void_p(start), c_size_t(CHUNK), there) != 0:
        return False
    return any(page & 1 for page in there)


def _is_zero(start: int) -> bool:
    """Whether a chunk holds zeros only: its first word, and each other one the same as the one before it."""
    compare = CDLL(None).memcmp
    compare.argtypes, compare.restype = (c_void_p, c_void_p, c_size_t), c_int
    return bool(compare(start, bytes(8), 8) == 0 and compare(start, start + 8, CHUNK - 8) == 0)


def _advise(start: int, end: int, advice: int) -> None:
    """Tell the kernel; where it does not take the advice, nothing is lost."""
    CDLL(None).madvise(c_void_p(start), c_size_t(end - start), c_int(advice))
