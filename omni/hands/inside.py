"""The process that puts the walls up around one command, and waits for it. Standard library only, so that it starts in milliseconds.

It is started outside of every wall, by `host`, with an order in JSON on descriptor 3, and tells what came of it on descriptor 4, one
JSON object in a line: the layers that hold, then how the command ended. What the kernel does not give is left out and told, never
passed over in silence.

    this process: user, mount, network and other namespaces; what there is to see
       └── process 1 of a namespace of processes: its own /proc; whatever is left ends with it
             └── the command: no powers, limits, Landlock, filters

Where there are no namespaces the command is a child of this process, which ends all that it can find of it.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from omni.core import landlock
from omni.core.confinement import undumpable
from omni.hands import mounts, walls

ORDER, REPORT = 3, 4  # descriptors
NAMESPACES = {"mount": 0x20000, "uts": 0x04000000, "ipc": 0x08000000, "processes": 0x20000000, "network": 0x40000000}
_NEW_USER = 0x10000000
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_SET_FLAGS, _UP = 0x8914, 0x41  # SIOCSIFFLAGS; up and running
CANNOT_START = 127
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def main() -> None:
    """Carry the order out; never returns."""
    order = json.loads(_all_of(ORDER))
    os.close(ORDER)
    os.set_inheritable(REPORT, False)
    _end_with_parent()
    if os.getppid() != order["host"]:  # it ended before the kernel knew whose end is meant
        os._exit(CANNOT_START)
    told: dict[str, str] = {}  # of each layer that does not hold, why
    shared = _namespaces(order, told)
    if "processes" in told:
        _run_alone(order, told)
    child = os.fork()
    if child == 0:
        _be_first(order, told, shared)
    _wait_for(child)


def _namespaces(order: dict[str, Any], told: dict[str, str]) -> bool:
    """Leave the namespaces that others are in; whether the user's was left, and with it all power outside."""
    uid, gid = os.getuid(), os.getgid()
    wanted = 0
    for flag in NAMESPACES.values():
        wanted |= flag
    if (why := _unshare(wanted | _NEW_USER)) or (why := _map_user(uid, gid)):
        for name in NAMESPACES:
            told[name] = why
        return False
    _try(told, "network", _bring_up_loopback)
    _try(told, "mount", lambda: _lay_out(order))
    return True


def _lay_out(order: dict[str, Any]) -> None:
    paths = {
        name: [Path(one) for one in order[name]] for name in ("read", "write", "covered", "hidden", "fixed", "pinned")
    }
    mounts.lay_out(**paths, room=order["memory"] // 2)
    os.chdir(order["cwd"])  # what it was before is covered, perhaps


def _be_first(order: dict[str, Any], told: dict[str, str], shared: bool) -> NoReturn:
    """Be process 1: what is left when the command has ended ends with it."""
    _end_with_parent()
    undumpable()
    _try(told, "own /proc", mounts.own_processes)
    if "own /proc" not in told:  # else this would be that of the whole machine
        numbered = walls.limit_numbers(order["processes"])
        _try(told, "own /proc", mounts.seal_settings)
    if ("own /proc" in told or not numbered) and os.getuid() == 0:
        told["number of processes"] = "this kernel does not limit those of root in a namespace (Linux 6.14 does)"
    child = os.fork()
    if child == 0:
        _become(order, told, shared=shared)
    _report({"ended": _outlived(child)})
    os._exit(0)


def _run_alone(order: dict[str, Any], told: dict[str, str]) -> NoReturn:
    """The same without a namespace of processes: the command's are found by their parents."""
    told["number of processes"] = told["own /proc"] = "there is no namespace of processes"
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3)
    signal.signal(signal.SIGTERM, lambda *_: _end_all())
    _end_with_parent(signal.SIGTERM)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _end_with_parent()
        _become(order, told, shared=False)
    _report({"ended": _outlived(child)})
    _end_all()


def _outlived(child: int) -> int:
    """Wait for a command, and for all that loses its parent meanwhile; its exit code."""
    for number in (0, 1, 2):  # their other ends hear the end of the command
        with suppress(OSError):
            os.close(number)
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def _end_all() -> NoReturn:
    """End all descendants, those that lost their parents included, and then this process."""
    for _ in range(100):
        children = _children(os.getpid())
        if not children:
            break
        for pid in children:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.wait()
    os._exit(0)


def _children(pid: int) -> list[int]:
    """Processes below another one, as far as the kernel tells."""
    try:
        direct = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()]
    except (OSError, ValueError):
        return []
    return [*direct, *(one for child in direct for one in _children(child))]


def _wait_for(child: int) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGKILL))
    for number in (0, 1, 2, REPORT):
        with suppress(OSError):
            os.close(number)
    while True:
        with suppress(InterruptedError):
            os.waitpid(child, 0)
            os._exit(0)


def _become(order: dict[str, Any], told: dict[str, str], *, shared: bool) -> NoReturn:
    """Give up everything, and become the command."""
    network = shared and "network" not in told
    walls.give_up_powers()
    walls.limit(memory=order["memory"], processes=order["processes"], counted=shared)
    environment, temporary = order["environment"], order["temporary"]
    if "mount" in told:  # those that all programs share are still there
        environment, temporary = environment | {"TMPDIR": order["scratch"]}, []
    writable = [Path(one) for one in (*order["write"], *temporary, *DEVICES)]
    abi = landlock.hold(read=[Path(one) for one in order["read"]], write=writable)
    if not abi:
        told["landlock"] = landlock.NONE
    elif abi < 6:
        told["signals"] = f"this kernel's Landlock, version {abi}, does not hold signals and sockets without a path"
    if why := walls.refuse_calls(network=network):
        told["seccomp"] = why
    if order["unseen"]:
        told["secrets"] = order["unseen"]
    if not _report({"missing": told, "landlock": abi}):  # who started all this has ended
        os._exit(CANNOT_START)
    os.umask(0o022)
    if lacking := sorted(set(order["required"]) & set(told)):
        _report({"refused": f"{lacking[0]}: {told[lacking[0]]}"})
        os._exit(CANNOT_START)
    try:
        os.chdir(order["cwd"])
        os.execve(order["argv"][0], order["argv"], environment)  # noqa: S606 - what was asked for, word by word
    except (OSError, ValueError) as error:
        _report({"failed": f"{order['argv'][0]}: {getattr(error, 'strerror', None) or error}"})
    os._exit(CANNOT_START)


def _unshare(flags: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    return os.strerror(ctypes.get_errno()) if libc.unshare(ctypes.c_int(flags)) else ""


def _map_user(uid: int, gid: int) -> str:
    """Stay who one is: files have the same owners inside."""
    try:
        for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path(f"/proc/self/{name}").write_text(line, "ascii")
    except OSError as error:
        return f"who one is cannot be told to the kernel: {error.strerror}"
    return ""


def _bring_up_loopback() -> None:
    import fcntl
    import struct
    from _socket import AF_INET, SOCK_DGRAM, socket

    asked = socket(AF_INET, SOCK_DGRAM, 0)
    fcntl.ioctl(asked.fileno(), _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP))
    asked.close()


def _try(told: dict[str, str], layer: str, step: Callable[[], object]) -> None:
    try:
        step()
    except OSError as error:
        told[layer] = f"{error.filename or layer}: {error.strerror}"


def _end_with_parent(number: int = signal.SIGKILL) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(number), *[ctypes.c_ulong(0)] * 3)


def _report(what: dict[str, Any]) -> bool:
    """Tell the host; whether it hears."""
    try:
        os.write(REPORT, json.dumps(what).encode() + b"\n")
    except OSError:
        return False
    return True


def _all_of(descriptor: int) -> bytes:
    data = b""
    while chunk := os.read(descriptor, 1 << 16):
        data += chunk
    return data


if __name__ == "__main__":
    main()
    sys.exit(1)
