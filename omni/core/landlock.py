"""The kernel as a second wall: a process, and all that it starts, may write only below the folders that it names.

Landlock needs no privileges (Linux 5.13). Reading stays as it is: who sets this has no network, so that nothing that is read
can leave. Standard library only.
"""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

_CREATE, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION, _PATH_BENEATH = 1, 1
_WRITE_FILE, _TRUNCATE = 1 << 1, 1 << 14
# Removing folders and files (4, 5), and making devices, folders, files, sockets, pipes, disks and links (6 to 12).
_CHANGE = sum(1 << bit for bit in range(4, 13)) | _WRITE_FILE
_REFER = 1 << 13  # moving between folders, from ABI 2 on; without it the kernel refuses that everywhere
_PR_SET_NO_NEW_PRIVS = 38


NONE = "this kernel has no Landlock"


def missing() -> str:
    """Why nobody can be held to folders here; "" where the kernel can do it."""
    return "" if _version() >= 1 else NONE


def write_only_below(folders: Iterable[Path]) -> bool:
    """Let this process, and what it starts from now on, change files only below these folders (and write to /dev/null).

    Returns False where the kernel has no Landlock: then nothing has changed. Raises OSError for a folder that is not there.
    """
    if (abi := _version()) < 1:
        return False
    libc = _libc()
    rights = _CHANGE | (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    attributes = ctypes.create_string_buffer(struct.pack("=Q", rights), 8)
    ruleset = libc.syscall(ctypes.c_long(_CREATE), attributes, ctypes.c_long(8), ctypes.c_long(0))
    if ruleset < 0:
        return False
    try:
        for folder in folders:
            _allow(libc, ruleset, folder, rights)
        _allow(libc, ruleset, Path(os.devnull), rights & (_WRITE_FILE | _TRUNCATE))
        libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
        return bool(libc.syscall(ctypes.c_long(_RESTRICT), ctypes.c_long(ruleset), ctypes.c_long(0)) == 0)
    finally:
        os.close(ruleset)


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def _version() -> int:
    """Of the kernel's Landlock; less than 1 where it has none."""
    if os.uname().sysname != "Linux":
        return 0
    return int(_libc().syscall(ctypes.c_long(_CREATE), None, ctypes.c_long(0), ctypes.c_long(_VERSION)))


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, place), 12)
        number, kind = ctypes.c_long(_ADD_RULE), ctypes.c_long(_PATH_BENEATH)
        if libc.syscall(number, ctypes.c_long(ruleset), kind, rule, ctypes.c_long(0)):
            raise OSError(ctypes.get_errno(), "no rule could be made", str(path))
    finally:
        os.close(place)
