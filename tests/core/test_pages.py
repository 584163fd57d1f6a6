"""Pages that need not be in memory are given back, and what they hold stays as it is."""

import mmap
import sys
from pathlib import Path

import pytest

from omni.core import pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere nothing is given back")

SIZE = 32 << 20


def resident(kind: str) -> int:
    """Bytes of this process that are in memory: of its own (RssAnon), or of files (RssFile)."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) * 1024


def test_zeros_leave_the_memory_and_what_stands_between_them_stays() -> None:
    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = bytes(SIZE)
    middle = SIZE // 2 + 12345
    memory[middle : middle + 5] = b"words"
    before = resident("RssAnon")
    assert pages.give_back_zeros() >= SIZE - 4 * pages.CHUNK
    assert before - resident("RssAnon") > SIZE // 2
    assert memory[middle : middle + 5] == b"words"
    assert memory[:4096] == bytes(4096)
    memory[:5] = b"again"
    assert memory[:5] == b"again"
    memory.close()


def test_memory_without_a_zero_is_left_alone() -> None:
    memory = mmap.mmap(-1, SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[:] = b"\x01" * SIZE
    before = resident("RssAnon")
    pages.give_back_zeros()
    assert before - resident("RssAnon") < SIZE // 2
    assert memory[:] == b"\x01" * SIZE
    memory.close()


def test_a_mapped_file_leaves_the_memory_and_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "brain.gguf"
    path.write_bytes(b"\x07" * SIZE)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:].count(7) == SIZE
        before = resident("RssFile")
        assert pages.give_back_file(path) == SIZE
        assert before - resident("RssFile") > SIZE // 2
        assert mapped[SIZE - 1] == 7


def test_a_file_that_is_not_mapped_is_no_error(tmp_path: Path) -> None:
    assert pages.give_back_file(tmp_path / "none") == 0
