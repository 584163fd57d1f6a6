"""How fast memory can be read: it decides how fast a brain answers, because every token reads every weight once."""

import ctypes
import mmap
import time
from concurrent.futures import ThreadPoolExecutor

CHUNK = 64 << 20  # larger than any cache, small enough for a machine with little memory
ROUNDS = 4


def measure_bandwidth(threads: int, *, chunk: int = CHUNK, rounds: int = ROUNDS) -> float:
    """Bytes a second that `threads` threads read together, the best of `rounds`; takes well under a second.

    Source: `memchr` of a byte that is not there reads each cache line once with the widest instructions of the C library;
    ctypes releases the GIL around it.
    """
    find = ctypes.CDLL(None).memchr
    find.argtypes, find.restype = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t), ctypes.c_void_p
    areas = [mmap.mmap(-1, chunk) for _ in range(threads)]
    views = [(ctypes.c_char * chunk).from_buffer(area) for area in areas]
    try:
        for view in views:  # a page never written is the kernel's one page of zeros, which stays in the cache
            ctypes.memset(view, 1, chunk)
        best = 0.0
        with ThreadPoolExecutor(threads) as pool:
            for _ in range(rounds):
                started = time.perf_counter()
                list(pool.map(lambda view: find(ctypes.addressof(view), 2, chunk), views))
                best = max(best, threads * chunk / (time.perf_counter() - started))
        return best
    finally:
        views.clear()
        del view
        for area in areas:
            area.close()
