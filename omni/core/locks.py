"""Locks between processes, by `flock`: each ends with its holder, however that ends. The file stays, since to remove it would
let two hold "the same" lock. Standard library only.

All of Omni's locks are taken here but one: a start holds its environment by `environment/place.py`, which imports nothing.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omni.core.files import FILE, make_folder


def take_lock(path: Path, *, wait: bool = False, shared: bool = False, make: bool = True) -> int | None:
    """Take the lock of a file as a descriptor, which a child may inherit; None when another holds it and `wait` is false.

    Without `make` the file must be there, and is only read. Raises OSError.
    """
    if make:
        make_folder(path.parent)
    flags = os.O_RDWR | os.O_CREAT if make else os.O_RDONLY
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


@contextmanager
def locked(path: Path, *, wait: bool = True, shared: bool = False, make: bool = True) -> Iterator[bool]:
    """Hold the lock of a file; yields False when another holds it and `wait` is false. Raises OSError."""
    descriptor = take_lock(path, wait=wait, shared=shared, make=make)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def born_locked(path: Path, data: bytes = b"") -> int:
    """Make a file that appears with its lock held, so that nobody takes it for a dead one's; returns the lock's descriptor.

    Raises OSError.
    """
    make_folder(path.parent)
    unheld = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unheld, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, data)
        unheld.rename(path)
    except BaseException:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            unheld.unlink()
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        with locked(path, wait=False, shared=True, make=False) as free:  # shared: two who ask do not mistake each other
            return not free
    except OSError:
        return False
