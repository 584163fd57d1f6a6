"""The kernel as a second wall: a process, and all that it starts, may write, and perhaps read, only below the paths that it names.

Landlock needs no privileges (Linux 5.13). Workers and tools of Omni are held in what they write: they have no network, so that nothing
that they read can leave. What a brain runs is held in what it reads as well. Standard library only.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE, _DEVICES = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 14, 1 << 15
# Removing folders and files (4, 5), and making devices, folders, files, sockets, pipes, disks and links (6 to 12).
_CHANGE = sum(1 << bit for bit in range(4, 13)) | _WRITE_FILE
_REFER = 1 << 13  # moving between folders, from ABI 2 on; without it the kernel refuses that everywhere
_OF_FILES = (
    _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICES
)  # what there is to do with a path that is no folder
_SCOPES = 0b11  # sockets without a path, and signals: of no process outside (ABI 6)
_PR_SET_NO_NEW_PRIVS = 38


NONE = "this kernel has no Landlock"


def missing() -> str:
    """Why nobody can be held to folders here; "" where the kernel can do it."""
    return "" if version() >= 1 else NONE


def write_only_below(folders: Iterable[Path]) -> bool:
    """Let this process, and what it starts from now on, change files only below these folders (and write to /dev/null).

    Returns False where the kernel has no Landlock: then nothing has changed. Raises OSError for a folder that is not there.
    """
    abi = version()
    rights = _CHANGE | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    rules = [(Path(folder), rights) for folder in folders]
    return _restrict(rights, 0, [*rules, (Path(os.devnull), rights)])


def hold(*, read: Iterable[Path], write: Iterable[Path]) -> int:
    """Let this process, and what it starts from now on, read and execute only what lies below `read` and `write`, change only what lies
    below `write`, and signal nobody else. A path that is not there, or in a folder that this user may not enter, is left out.

    Returns the version of the kernel's Landlock, 0 where it has none: then nothing has changed. Of version 1 moving between folders
    is refused; before 3 files can be cut short that cannot be written, before 6 signals and sockets without a path are not held.
    """
    abi = version()
    change = _CHANGE | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0) | (_DEVICES if abi >= 5 else 0)
    look = _EXECUTE | _READ_FILE | _READ_FOLDER
    wanted = [*((path, look) for path in read), *((path, look | change) for path in write)]
    rules = [(path, rights) for path, rights in wanted if os.access(path, os.F_OK, effective_ids=True)]
    return abi if _restrict(look | change, _SCOPES if abi >= 6 else 0, rules) else 0


def _restrict(rights: int, scopes: int, rules: Iterable[tuple[Path, int]]) -> bool:
    """Keep back these rights but for the paths of the rules."""
    if version() < 1:
        return False
    libc = _libc()
    attributes = struct.pack("=QQQ", rights, 0, scopes) if scopes else struct.pack("=Q", rights)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = libc.syscall(ctypes.c_long(_CREATE), buffer, ctypes.c_long(len(attributes)), ctypes.c_long(0))
    if ruleset < 0:
        return False
    try:
        for path, allowed in rules:
            _allow(libc, ruleset, path, allowed)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
        return bool(libc.syscall(ctypes.c_long(_RESTRICT), ctypes.c_long(ruleset), ctypes.c_long(0)) == 0)
    finally:
        os.close(ruleset)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def version() -> int:
    """Of the kernel's Landlock; less than 1 where it has none."""
    if os.uname().sysname != "Linux":
        return 0
    return int(_libc().syscall(ctypes.c_long(_CREATE), None, ctypes.c_long(0), ctypes.c_long(_VERSION)))


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        number, kind = ctypes.c_long(_ADD_RULE), ctypes.c_long(_PATH_BENEATH)
        if libc.syscall(number, ctypes.c_long(ruleset), kind, rule, ctypes.c_long(0)):
            raise OSError(ctypes.get_errno(), "no rule could be made", str(path))
    finally:
        os.close(place)
