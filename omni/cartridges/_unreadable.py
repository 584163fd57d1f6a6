"""Why a file cannot be read, and the command that mends it."""

import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import Any

import msgspec


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the way, in a sentence, and what to type against it."""

    reason: str
    command: str


def why_unreadable(path: Path) -> Denied | None:
    """None when `path` can be read (a folder: listed), or is not there at all and nothing hides it.

    The first folder on the way that may not be entered is the cause, not the file below it.
    """
    for step in [*reversed(path.parents), path]:
        last = step == path
        try:
            status = step.stat()
        except PermissionError:
            continue  # its parent was already found to be shut, or is a race
        except OSError:
            return None
        folder = stat.S_ISDIR(status.st_mode)
        needed = (os.R_OK if last else 0) | (os.X_OK if folder else 0)
        if not os.access(step, needed):
            return _explain(step, status, needed)
    return None


def _explain(step: Path, status: os.stat_result, needed: int) -> Denied:
    user, group = _name(pwd.getpwuid, status.st_uid), _name(grp.getgrgid, status.st_gid)
    what = "folder" if stat.S_ISDIR(status.st_mode) else "file"
    group_may = (status.st_mode >> 3) & needed == needed
    if status.st_uid == os.getuid():
        return Denied(reason=f"the {what} {step} is shut, even to you", command=f"chmod u+rX {_quote(step)}")
    if group_may and status.st_gid not in (0, os.getgid(), *os.getgroups()):
        if _is_member(status.st_gid):
            return Denied(
                reason=f"the {what} {step} is for the group {group}, which you joined after you logged in",
                command="log out and in again",
            )
        return Denied(
            reason=f"the {what} {step} is only for the group {group}",
            command=f"sudo usermod -aG {group} $USER, then log out and in again",
        )
    return Denied(
        reason=f"the {what} {step} belongs to {user} and is shut to others",
        command=f"sudo chmod -R o+rX {_quote(step)}",
    )


def _is_member(gid: int) -> bool:
    try:
        return pwd.getpwuid(os.getuid()).pw_name in grp.getgrgid(gid).gr_mem
    except KeyError:
        return False


def _name(lookup: Callable[[int], tuple[Any, ...]], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _quote(path: Path) -> str:
    return quote(str(path))
