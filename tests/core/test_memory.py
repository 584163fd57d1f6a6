"""What large requests leave in memory; in a process of its own, whose memory nobody else takes."""

import ctypes
import subprocess
import sys

import pytest

from omni.core.memory import held, taken

TRIED = """
import os, sys
from pathlib import Path
from omni.core.memory import give_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sys.argv[1] == "given":
    give_back()
kept, before = [], resident()
for _ in range(9):
    large = [b"x" * (20 << 20) for _ in range(2)]
    kept.append(b"y" * 8000)  # lies behind them where they are kept
    del large
print(resident() - before)
"""


def grown(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", TRIED, how], capture_output=True, check=True, text=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_what_is_free_goes_back_to_the_system() -> None:
    assert grown("kept") > 20 << 20  # else there is nothing to be done about it
    assert grown("given") < 2 << 20


HELD = """
import mmap, sys, tempfile
from omni.core import memory

size, large = 256 << 20, 400 << 20
before = memory.held()
print(before, memory.hold(0), memory.held() == before)
print(memory.hold(size), memory.held(), memory.hold(2 * size))
print(*memory.beyond(size))
with tempfile.TemporaryFile() as file:
    file.truncate(large)
    with mmap.mmap(file.fileno(), large, access=mmap.ACCESS_READ) as mapped:
        print(len(mapped), mapped[large - 1])
at = memory.taken()
kept = bytearray(64 << 20)
print(memory.taken() - at >= 64 << 20, memory.beyond(4096)[0])
try:
    bytearray(size)
except MemoryError:
    print("no room")
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel counts it on Linux only")
def test_the_kernel_holds_a_process_below_its_ceiling_and_leaves_mapped_files_alone() -> None:
    """For good: a higher ceiling afterwards is none."""
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, check=True, text=True)
    size = 256 << 20
    assert done.stdout.splitlines() == [
        "0 0 True",
        f"{size} {size} {size}",
        "True Cannot allocate memory",
        f"{400 << 20} 0",
        "True False",
        "no room",
    ]


def test_what_nobody_tells_is_nothing() -> None:
    assert (held("no such process"), taken("no such process")) == (0, 0)
