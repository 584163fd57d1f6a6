"""Root reads every file: a test of what cannot be read gives that up for a while, as far as its own thread goes."""

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_VERSION = 0x20080522  # of the kernel's structures for capabilities, with two words of bits
_READS_ALL = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Bits(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable")]


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Permissions count in this thread, and in those that it starts."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, bits = _Header(_VERSION, 0), (_Bits * 2)()

    def call(function: str) -> None:
        if getattr(libc, function)(ctypes.byref(header), ctypes.byref(bits)) != 0:
            raise OSError(ctypes.get_errno(), function)

    call("capget")
    before = bits[0].effective
    bits[0].effective = before & ~_READS_ALL
    call("capset")
    try:
        yield
    finally:
        bits[0].effective = before
        call("capset")


def without_reading_all(command: Sequence[str]) -> list[str]:
    """The command line that runs this one as somebody for whom permissions count."""
    if os.geteuid() != 0:
        return list(command)
    drop = (
        "import ctypes, os, sys; prctl = ctypes.CDLL(None).prctl\n"
        "assert all(prctl(24, one, 0, 0, 0) == 0 for one in (1, 2))\n"  # PR_CAPBSET_DROP
        "os.execvp(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", drop, *command]
