"""Files that are whole or not there, and locks that end with their holder."""

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omni.core.errors import OmniError, SetupError, StorageError


def storage_error(path: Path, error: OSError) -> OmniError:
    """What to tell a person about a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk that holds {path} is full.", hint="Free some space and try again; nothing was lost."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return SetupError(
            f"{path} cannot be written: {error.strerror}.", hint="Set OMNI_HOME to a folder that you may write to."
        )
    return StorageError(f"{path} cannot be written: {error.strerror}.")


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o600) -> None:
    """Replace `path` by temporary file, fsync and rename: a reader sees the old or the new content, never a part.

    A link is followed: settings that a person keeps elsewhere stay there. Raises StorageError when the disk is full and
    SetupError when the folder is read-only; no temporary file stays.
    """
    if os.path.islink(path):  # noqa: PTH114 - its method raises in a folder closed to us, which is said below
        path = Path(os.path.realpath(path))
    content = data.encode() if isinstance(data, str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        raise storage_error(path, error) from error


def own(path: Path) -> None:
    """See that `path` is there and this user's alone, however generous its folder or the umask is. Of a file that is there
    already only the mode is changed: to open and close it would drop the locks that this process holds on it."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        with suppress(OSError):  # another user's, or a read-only disk: whoever writes to it says so
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                path.chmod(0o600)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive `flock` on `path`; yields False instead of waiting when `wait` is false and another holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
