"""The files of the audit record: one that grows, and a few older ones beside it (`airlock.1.jsonl` is the youngest).

Every process takes a lock before it looks for the end of the record, so that two that write never take the same place
and none writes into a file that another has just put aside. A line that was begun is finished wherever its file lies.
Standard library only.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from omni.core.paths import Home

LIMIT = 1 << 20  # bytes; then the file is put aside
KEPT = 4  # files that were put aside


def record_file(home: Home) -> Path:
    """Where the lines of now are."""
    return home.audit / "airlock.jsonl"


@contextmanager
def append(path: Path, *, limit: int = LIMIT) -> Iterator[tuple[int, int]]:
    """Yields a descriptor of the record and where it ends; inside the block nobody else adds to it. Raises OSError.

    The descriptor is the caller's to close.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(path, fcntl.LOCK_EX):
        file = _open(path)
        end = os.lseek(file, 0, os.SEEK_END)
        if end >= limit:
            os.close(file)
            _put_aside(path)
            file, end = _open(path), 0
        try:
            yield file, end
        except BaseException:
            os.close(file)
            raise


def read_record(home: Home, last: int = 0) -> list[str]:
    """The last lines of the record, oldest first, across its files; all of them when `last` is 0. Raises OSError."""
    path = record_file(home)
    lines: list[str] = []
    if not path.parent.is_dir():
        return lines
    with ExitStack() as stack:
        with suppress(OSError):  # a disk that can only be read has no writer to wait for
            stack.enter_context(_locked(path, fcntl.LOCK_SH))
        for each in (path, *(_aside(path, number) for number in range(1, KEPT + 1))):
            if last and len(lines) >= last:
                break
            if each.exists():
                lines = each.read_text("utf-8", "replace").splitlines() + lines
    return lines[-last:]


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, how)
        yield
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _aside(path: Path, number: int) -> Path:
    return path.with_suffix(f".{number}{path.suffix}")


def _put_aside(path: Path) -> None:
    for number in range(KEPT - 1, 0, -1):
        if _aside(path, number).exists():
            _aside(path, number).replace(_aside(path, number + 1))
    path.replace(_aside(path, 1))
