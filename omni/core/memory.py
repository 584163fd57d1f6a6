"""What a process takes of memory: what it gives back, what it may take at most. Standard library only."""

import sys
from pathlib import Path

STACK = 8 << 20  # of a thread, as most systems are set up

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of glibc's mallopt(3)
_LARGE = 1 << 20
_ATTRIBUTES = 256  # bytes, of which a pthread_attr_t takes 56 or 64


def give_back() -> None:
    """Have memory of a megabyte and more go back to the system as soon as it is free, for the rest of this process.

    glibc learns from every such piece that the next may be kept, up to 32 MiB of it, in the heap of each thread: twelve
    requests of 29 MB took 874 MB instead of 334, and 526 still when all were answered. Nothing is done elsewhere.
    """
    _mallopt(_MMAP_THRESHOLD, _LARGE)


def share_heap() -> None:
    """Have all threads that are still to come take memory from one heap, with stacks of `STACK`; before the first of them.

    Else glibc keeps what each of them has freed for that thread: eight texts of 2 MB, one after the other, took 979 MB of
    a worker with twelve threads instead of 375, and another thread could not have it. A stack counts as long as it may
    become, which is what the person has set for programs of their own.
    """
    _mallopt(_ARENA_MAX, 1)
    import ctypes
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    libc = ctypes.CDLL(None)
    if soft > STACK and hasattr(libc, "pthread_setattr_default_np"):  # glibc's
        attributes = ctypes.create_string_buffer(_ATTRIBUTES)
        libc.pthread_attr_init(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK))
        libc.pthread_setattr_default_np(attributes)


def hold(size: int) -> int:
    """Have the kernel keep this process below `size` bytes of memory of its own, for good; 0: as much as it likes.

    Returns what holds it: less where somebody else had set less, 0 where nothing does. Counted is what may be written to
    and is nobody else's, touched or not; a file that is mapped to be read is not. macOS counts next to nothing of it, so
    that nothing is claimed there.
    """
    if size <= 0 or not sys.platform.startswith("linux"):
        return 0
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    held = size if hard == resource.RLIM_INFINITY else min(size, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (held, held))
    return held


def held(pid: int | str = "self") -> int:
    """What the kernel keeps a process below, by its own word; 0: nothing, or nobody tells."""
    try:
        limits = Path(f"/proc/{pid}/limits").read_text("ascii")
    except OSError:
        return 0
    fields = next((line for line in limits.splitlines() if line.startswith("Max data size")), "").split()
    return int(fields[3]) if len(fields) > 3 and fields[3].isdigit() else 0


def taken(pid: int | str = "self") -> int:
    """Bytes of a process's own memory as `held` counts them; 0 where nobody tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text("utf-8", "replace")
    except OSError:
        return 0
    fields = next((line for line in status.splitlines() if line.startswith("VmData:")), "").split()
    return int(fields[1]) * 1024 if len(fields) > 1 else 0


def started_by(pid: int, root: Path = Path("/")) -> list[int]:
    """The processes that the first thread of a process has started: some engines are programs of their own, whose memory is
    their worker's. None where nobody tells."""
    try:
        return [int(child) for child in (root / f"proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except OSError:  # it has ended, or the kernel keeps no such list
        return []


def beyond(size: int) -> tuple[bool, str]:
    """Try to take `size` bytes, without touching one. Whether that was refused, and the kernel's words."""
    import mmap

    try:
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError as error:
        return True, error.strerror or "refused"
    return False, "it was given"


def _mallopt(what: int, value: int) -> None:
    import ctypes

    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(what, value)
