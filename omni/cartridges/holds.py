"""Locks that end with their holder: who uses a base, and who is fetching it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

from omni.core.locks import locked
from omni.core.paths import Home

T = TypeVar("T")


def _lock_file(home: Home, kind: str, key: str) -> Path:
    return home.cartridges / "locks" / f"{kind}-{key}.lock"


@contextmanager
def hold(home: Home, base_id: str) -> Iterator[None]:
    """While this is held (by any number of processes, each as long as it lives) nobody removes the base's file."""
    with locked(_lock_file(home, "use", base_id), shared=True):
        yield


@contextmanager
def claim(home: Home, base_id: str) -> Iterator[bool]:
    """Yields True when nobody holds the base; then nobody can take hold of it inside the block either."""
    with locked(_lock_file(home, "use", base_id), wait=False) as held:
        yield held


@contextmanager
def pulling(home: Home, key: str) -> Iterator[bool]:
    """The right to fetch one file; yields False when another process (or task) is at it."""
    with locked(_lock_file(home, "pull", key), wait=False) as held:
        yield held


def making(home: Home, folder: Path) -> AbstractContextManager[bool]:
    """The right to work in a folder below `cartridges/pulls`; False when another has it. Without it, what lies there may be
    thrown away as what an interrupted pull left."""
    return pulling(home, folder.name)


@asynccontextmanager
async def in_thread(lock: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a lock without touching the disk on the event loop."""
    import asyncio  # a worker, which only holds, has no use for it

    held = await asyncio.to_thread(lock.__enter__)
    try:
        yield held
    finally:
        await asyncio.shield(asyncio.to_thread(lock.__exit__, None, None, None))
