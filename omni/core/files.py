"""The one store for files: whole or not there, for this user alone.

Standard library only, and little of it: the keeper uses it, too. What raises OSError says so; the rest says in words of ours
what went wrong (`storage_error`).
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from omni.core.errors import OmniError, SetupError, StorageError
from omni.core.words import size_words

FOLDER, FILE = 0o700, 0o600  # what is this user's alone


def storage_error(path: Path, error: OSError) -> OmniError:
    """What to tell a person about a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"The disk that holds {path} is full.", hint="Free some space and try again; nothing was lost."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP):
        return SetupError(
            f"{path} cannot be written: {error.strerror}.", hint="Set OMNI_HOME to a folder that you may write to."
        )
    return StorageError(f"{path} cannot be written: {error.strerror or error}.")


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """What goes wrong with the disk inside is said of `path`, by `storage_error`."""
    try:
        yield
    except OSError as error:
        raise storage_error(path, error) from error


def require_space(folder: Path, need: int) -> None:
    """Raise StorageError where the disk of a folder has no room for `need` bytes more. Raises OSError."""
    disk = os.statvfs(folder)
    if need > (free := disk.f_bavail * disk.f_frsize):
        raise StorageError(
            f"The disk that holds {folder} is too full: {size_words(need)} more are needed, and {size_words(free)} are free.",
            hint="Free some space, or choose a folder on a larger disk (OMNI_HOME for all that Omni keeps).",
        )


def write_atomic(path: Path, data: bytes | str, *, mode: int = FILE) -> None:
    """Replace `path` by temporary file, fsync and rename: a reader sees the old or the new content, never a part.

    A link is followed: settings that a person keeps elsewhere stay there. Raises StorageError when the disk is full and
    SetupError when the folder is read-only; no temporary file stays.
    """
    if os.path.islink(path):  # noqa: PTH114 - its method raises in a folder closed to us, which is said below
        path = Path(os.path.realpath(path))
    with storing(path), replacing(path, mode=mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path, *, mode: int = FILE, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends and is gone when it raises. Raises OSError.

    Without `durable` a power cut may lose it: for news, and for what can be found out again.
    """
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(_new(temporary), "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


def write_new(folder: Path, name: str, suffix: str, text: str) -> Path:
    """Write a text to a new file whose name begins and ends as told; returns its path. Raises StorageError or SetupError."""
    path = folder / f"{name}-{os.urandom(4).hex()}{suffix}"
    with storing(path), os.fdopen(_new(path), "wb") as file:
        file.write(text.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())
    return path


def make_folder(path: Path) -> None:
    """Make a folder of this user alone, and those above it, where they are missing. Raises OSError."""
    if not path.is_dir():
        if path.parent != path:
            make_folder(path.parent)  # `parents` of mkdir would leave those open to others
        path.mkdir(mode=FOLDER, exist_ok=True)


def sync(path: Path) -> None:
    """Make a file, or what was made, renamed or removed in a folder, survive a power cut. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(folder: Path) -> None:
    """Make a folder with all that lies below it survive a power cut: before what says that it is whole, be it a stamp or a
    name. Raises OSError."""
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
    except AttributeError:  # a system without syncfs
        os.sync()
    finally:
        os.close(descriptor)


def own(path: Path) -> None:
    """See that `path` is there and this user's alone, however generous its folder or the umask is. Of a file that is there
    already only the mode is changed: to open and close it would drop the locks that this process holds on it."""
    try:
        os.close(_new(path))
    except FileExistsError:
        with suppress(OSError):  # another user's, or a read-only disk: whoever writes to it says so
            mode = path.stat().st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                path.chmod(FILE)


def put_aside(log: Path, most: int) -> Path:
    """Begin a log anew that is longer than `most` bytes; the one before is kept as `NAME.1.log`. Returns the log."""
    make_folder(log.parent)
    with suppress(OSError):
        if log.stat().st_size > most:
            log.replace(log.with_suffix(".1.log"))
    return log


def _new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
