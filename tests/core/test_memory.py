"""What large requests leave in memory; in a process of its own, whose memory nobody else takes."""

import ctypes
import subprocess
import sys

import pytest

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
