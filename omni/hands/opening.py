"""Opening a path that was approved, so that what was judged is what is opened, whatever was put there in between."""

import ctypes
import errno
import os
import stat
import struct

from omni.core.errors import UsageError
from omni.hands.consent import Judgement

_OPENAT2 = 437  # the same number on every machine
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_UNKNOWN = (errno.ENOSYS, errno.EPERM, errno.E2BIG, errno.EINVAL)  # a kernel, or a filter, without it


def open_approved(judgement: Judgement, flags: int = os.O_RDONLY, mode: int = 0o600) -> int:
    """Open the one path that was judged and allowed; returns a descriptor, which children do not inherit.

    No link is followed, in no part of the path. Raises UsageError for what was not allowed, or is to be changed where reading was
    judged; OSError where it cannot be opened, ELOOP where a link was put in its way.
    """
    parts = [part for part in judgement.parts if part.place]
    if judgement.verdict != "allow" or len(parts) != 1 or len(judgement.parts) != 1:
        raise UsageError("Only one path that is allowed can be opened.", hint=judgement.reason)
    if flags & _CHANGES and parts[0].kind != "write":
        raise UsageError(f"{parts[0].place} may be read, not changed.")
    return open_without_links(parts[0].place, flags, mode)


def open_without_links(path: str, flags: int, mode: int = 0o600) -> int:
    """Open an absolute path in which nothing is a link and what it leads to is a file or a folder. Raises OSError."""
    # Without O_NONBLOCK a pipe that was put there would hold the caller for ever; without O_TRUNC first, its content would be gone.
    wanted = flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = _openat2(path, wanted & ~os.O_TRUNC, mode)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        descriptor = walked(path, wanted & ~os.O_TRUNC, mode)
    try:
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise OSError(errno.EINVAL, "neither a file nor a folder", path)
        if flags & _CHANGES and status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
            raise OSError(errno.EMLINK, "the same file has another name", path)
        os.set_blocking(descriptor, True)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def walked(path: str, flags: int, mode: int = 0o600) -> int:
    """The same without openat2: folder by folder, none of which may be a link. Raises OSError."""
    *folders, name = [part for part in path.split("/") if part] or ["."]
    at = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=at)
    finally:
        os.close(at)


def _openat2(path: str, flags: int, mode: int) -> int:
    if os.uname().sysname != "Linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    top = os.open("/", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # A mode is refused where nothing is made.
        how = struct.pack("=QQQ", flags, mode if flags & os.O_CREAT else 0, _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH)
        below = os.fsencode(path.strip("/")) or b"."
        descriptor = libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(top),
            below,
            ctypes.create_string_buffer(how, len(how)),
            ctypes.c_size_t(len(how)),
        )
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
        return int(descriptor)
    finally:
        os.close(top)
