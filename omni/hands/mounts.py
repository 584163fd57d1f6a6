"""What a sandboxed process sees of the file system: all of it read-only, but for what it may write; nothing of what other programs
and the person keep in places that everybody shares. Standard library only; called in a mount namespace of its own."""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_MOUNT_SETATTR, _HERE, _RECURSIVE = 442, -100, 0x8000  # the same number on every machine
_READ_ONLY, _NO_SETUID = 1, 2


def lay_out(
    *,
    read: Sequence[Path],
    write: Sequence[Path],
    covered: Sequence[Path],
    hidden: Iterable[Path],
    fixed: Iterable[Path],
    pinned: Iterable[Path],
    room: int,
) -> None:
    """Lay the file system out as a command may see it.

    `covered` folders are empty but for what of `read` and `write` lies below them, with `room` for so many bytes. All is read-only but
    `write`; below that `fixed` stays as it is, and `pinned` folders are not moved. Nothing is in the place of what is `hidden`. All
    paths are absolute and hold no links. Raises OSError.
    """
    _mount(None, Path("/"), None, _REC | _PRIVATE)
    below = [path for path in _tops([*write, *read]) if any(cover in path.parents for cover in covered)]
    kept = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in below]
    empty = []
    for cover in sorted(covered, key=lambda one: len(one.parts)):
        if cover.is_dir():  # else it lay below one that is covered already
            mode = "1777" if cover.name in ("tmp", "shm") else "755"
            _mount("tmpfs", cover, "tmpfs", _NOSUID | _NODEV, f"mode={mode},size={room}")
            empty.append(cover)
    for path, place in kept:
        _make_place(path, folder=stat.S_ISDIR(os.fstat(place).st_mode))
        _mount(f"/proc/self/fd/{place}", path, None, _BIND | _REC)
        os.close(place)
    for path in write:
        _mount(str(path), path, None, _BIND | _REC)
    _set(Path("/"), add=_READ_ONLY | _NO_SETUID, recursive=True)
    for path in (*empty, *write):
        _set(path, remove=_READ_ONLY)
    for path in pinned:
        if path.is_dir():
            _mount(str(path), path, None, _BIND | _REC)
    for path in fixed:
        if path.exists():
            _mount(str(path), path, None, _BIND)
            _set(path, add=_READ_ONLY)
    for path in hidden:
        if path.is_dir():
            _mount("tmpfs", path, "tmpfs", _NOSUID | _NODEV, "mode=755,size=4k")
        elif path.exists():
            _mount(os.devnull, path, None, _BIND)


def own_processes() -> None:
    """See only the processes of this namespace in /proc. Raises OSError."""
    _mount("proc", Path("/proc"), "proc", _NOSUID | _NODEV | _NOEXEC)


def seal_settings() -> None:
    """Keep the kernel's settings in /proc as they are. Raises OSError."""
    settings = Path("/proc/sys")
    _mount(str(settings), settings, None, _BIND)
    _set(settings, add=_READ_ONLY)


def _tops(paths: Iterable[Path]) -> list[Path]:
    """The paths without those that lie below another one."""
    alone: list[Path] = []
    for path in sorted(set(paths), key=lambda one: len(one.parts)):
        if path.exists() and not any(top in path.parents for top in alone):
            alone.append(path)
    return alone


def _make_place(path: Path, *, folder: bool) -> None:
    if folder:
        path.mkdir(parents=True, exist_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _mount(source: str | None, target: Path, kind: str | None, flags: int, options: str = "") -> None:
    texts = [None if text is None else text.encode() for text in (source, os.fspath(target), kind)]
    if _libc().mount(*texts, ctypes.c_ulong(flags), options.encode() or None):
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", os.fspath(target))


def _set(path: Path, *, add: int = 0, remove: int = 0, recursive: bool = False) -> None:
    attributes = struct.pack("=QQQQ", add, remove, 0, 0)
    flags = ctypes.c_long(_RECURSIVE if recursive else 0)
    name, buffer = os.fsencode(path), ctypes.create_string_buffer(attributes, len(attributes))
    if _libc().syscall(
        ctypes.c_long(_MOUNT_SETATTR), ctypes.c_long(_HERE), name, flags, buffer, ctypes.c_long(len(attributes))
    ):
        number = ctypes.get_errno()
        raise OSError(number, f"mount_setattr: {os.strerror(number)}", os.fspath(path))
