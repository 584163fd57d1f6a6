"""The keeper's files and sockets in one home: discovery, the air gap, held locks. Standard library only."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.core.errors import StorageError
from omni.core.paths import Home


def write(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Replace a small file by rename; with `sync` it survives a power cut, too. Its folder is made when missing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, data)
        if sync:
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(descriptor)
    temporary.replace(path)
    if sync:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was made, renamed or removed in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a small file; None when it is missing or is anything else."""
    try:
        with path.open("rb") as file:
            parsed = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def air_gap(home: Home) -> bool:
    """Whether the person has shut all doors."""
    return home.air_gap.exists()


def set_air_gap(home: Home, on: bool) -> None:
    """Shut the doors of this home or allow them again, for good. For who has no keeper to ask; it obeys the file, too.

    Raises StorageError when that cannot be written down.
    """
    try:
        if on:
            write(home.air_gap, b"", sync=True)  # an empty file can be made on a full disk, too
        elif home.air_gap.exists():
            home.air_gap.unlink(missing_ok=True)
            sync_folder(home.root)
    except OSError as error:
        raise StorageError(
            f"The air gap could not be turned {'on' if on else 'off'} for good: {error.strerror}.",
            hint=f"It is kept as a file in {home.root}." + (" The airlock was ended." if on else ""),
        ) from error


def airlock_lock(home: Home) -> Path:
    """Held by the airlock, and by whatever it started, as long as one of them lives."""
    return home.run / "airlock.lock"


def lock(path: Path) -> int | None:
    """Take the exclusive `flock` of a file, made when missing; None when another process holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def listen(path: Path, *, backlog: int = 64) -> socket.socket:
    """A non-blocking listening Unix socket (0600); a stale file of that name is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(path))
        path.chmod(0o600)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def is_full(folder: Path) -> bool:
    """Whether nothing more can be written to the disk of a folder."""
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False


def tail(path: Path, lines: int = 6) -> str:
    """The last lines of a log, or ""."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join([line.rstrip() for line in text.splitlines() if line.strip()][-lines:])
