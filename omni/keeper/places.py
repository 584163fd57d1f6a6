"""The keeper's files and sockets in one home: discovery and the air gap. Standard library only."""

import json
import os
import socket
from pathlib import Path
from typing import Any

from omni.core.errors import StorageError
from omni.core.files import replacing, sync
from omni.core.paths import Home


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
            with replacing(home.air_gap):  # an empty file can be made on a full disk, too
                pass
            sync(home.root)
        elif home.air_gap.exists():
            home.air_gap.unlink(missing_ok=True)
            sync(home.root)
    except OSError as error:
        raise StorageError(
            f"The air gap could not be turned {'on' if on else 'off'} for good: {error.strerror}.",
            hint=f"It is kept as a file in {home.root}." + (" The airlock was ended." if on else ""),
        ) from error


def airlock_lock(home: Home) -> Path:
    """Held by the airlock, and by whatever it started, as long as one of them lives."""
    return home.run / "airlock.lock"


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
