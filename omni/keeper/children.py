"""Starting and ending the keeper's children: sessions of their own, logs for output, secrets on fd 0, never in argv."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from omni.core.files import put_aside
from omni.core.locks import is_held
from omni.core.paths import python_command

LOG_BYTES = 1 << 20  # a longer log is put aside when its process starts again
GRACE = 1.0  # seconds between asking a process to end and ending it


class Kind(NamedTuple):
    """A row of the table of what the keeper may start."""

    command: Sequence[str]
    environment: Mapping[str, str] = {}
    nice: int = 0


def kinds() -> dict[str, Kind]:
    """The fixed table."""
    return {
        "airlock": Kind(python_command("omni.airlock.process", packages=False)),
        # A worker that spins while it waits for its own threads is 30 to 60 times slower beside one busy neighbour.
        "worker": Kind(python_command("omni.engine.worker"), {"GOMP_SPINCOUNT": "1000"}, nice=10),
        # What plug-ins were granted: it sets its wall before it imports any of them.
        "helper": Kind(python_command("omni.helpers.process"), nice=10),
        # What brains run: it puts walls up around each command, and is itself behind none, which these would inherit.
        "sandbox": Kind(python_command("omni.hands.host", packages=False), nice=10),
    }


def spawn(kind: Kind, *, home: Path, log: Path, stdin: int, keep: int | None = None) -> int:
    """Start a process and return its pid. It reads `stdin` as fd 0 and, where given, holds `keep` open as fd 3."""
    put_aside(log, LOG_BYTES)
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.fspath(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    if keep is not None:
        actions.append((os.POSIX_SPAWN_DUP2, keep, 3))
    pid = os.posix_spawn(
        kind.command[0],
        list(kind.command),
        {**os.environ, **kind.environment, "OMNI_HOME": os.fspath(home)},
        file_actions=actions,
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGTSTP],
    )
    if kind.nice:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, kind.nice)
    return pid


def end_group(pid: int, number: int) -> None:
    """Signal a child that was not waited for yet, and what it started."""
    for kill in (os.killpg, os.kill):
        with suppress(OSError):
            kill(pid, number)


def end_holder(pid: int, held: Path, number: int) -> None:
    """Signal a process that is not a child, if it is the one that holds the lock: a pid alone may be anybody's."""
    if not hasattr(os, "pidfd_open"):  # macOS
        if is_held(held):
            with suppress(OSError):
                os.kill(pid, number)
        return
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if is_held(held):  # then the process that wrote this pid lives, and the descriptor is its
            with suppress(OSError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def exit_code(pid: int) -> int | None:
    """The exit code of a child (negative: the signal that ended it) once it has ended, else None. What it leaves in its group,
    such as what a script has started that stands for a server, ends with it."""
    try:
        if hasattr(os, "waitid"):  # not on macOS; nobody else has the group's number while the child waits to be asked
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                return None
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if ended else None


def is_exiting(pid: int) -> bool:
    """Whether a process has begun to end: its files close one after the other, so its held lock may come late."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()
    except OSError:
        return False
    return fields[0] in (b"Z", b"X") or bool(int(fields[6]) & 0x4)  # PF_EXITING


def wait(pid: int, seconds: float) -> bool:
    """Wait for a child that was just killed; False when it has not gone after `seconds`."""
    deadline = time.monotonic() + seconds
    while exit_code(pid) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.0005)
    return True


def how_it_ended(code: int | None) -> str:
    """In words."""
    if code is None:
        return "it ended"
    if code >= 0:
        return f"it ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was ended by {name}"
