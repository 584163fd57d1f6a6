"""Locks that end with their holder: who uses a base, and who is fetching it."""

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from omni.core.paths import Home

T = TypeVar("T")


def _lock_file(home: Home, kind: str, key: str) -> Path:
    folder = home.cartridges / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{kind}-{key}.lock"


@contextmanager
def hold(home: Home, base_id: str) -> Iterator[None]:
    """While this is held (by any number of processes, each as long as it lives) nobody removes the base's file."""
    with _flock(_lock_file(home, "use", base_id), fcntl.LOCK_SH):
        yield


@contextmanager
def claim(home: Home, base_id: str) -> Iterator[bool]:
    """Yields True when nobody holds the base; then nobody can take hold of it inside the block either."""
    with _flock(_lock_file(home, "use", base_id), fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
        yield held


@contextmanager
def pulling(home: Home, key: str) -> Iterator[bool]:
    """The right to fetch one file; yields False when another process (or task) is at it."""
    with _flock(_lock_file(home, "pull", key), fcntl.LOCK_EX | fcntl.LOCK_NB) as held:
        yield held


@contextmanager
def _flock(path: Path, how: int) -> Iterator[bool]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)  # the file stays: removing it would let two hold "the same" lock


@asynccontextmanager
async def in_thread(lock: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a lock without touching the disk on the event loop."""
    import asyncio  # a worker, which only holds, has no use for it

    held = await asyncio.to_thread(lock.__enter__)
    try:
        yield held
    finally:
        await asyncio.shield(asyncio.to_thread(lock.__exit__, None, None, None))
