"""The kernel as a wall: a process gives up the network for good, for all of its threads and all of its children.

One seccomp filter, set through `ctypes` and without privileges:

| call | answer |
|---|---|
| a foreign ABI (i386 or x32 on x86-64, 32-bit ARM on aarch64) | the process is killed |
| `socket`, `socketpair` of any family but AF_UNIX | ENETDOWN |
| `io_uring_*`, which makes sockets behind a filter's back | ENOSYS |
| `pidfd_getfd`, `ptrace`, `process_vm_*`, which take what a neighbour holds | EPERM |
| `ioctl` with TIOCSTI or TIOCLINUX, which type into the terminal that an unfiltered shell reads | EPERM |
| `connect` where `connect=False`, `execve` where `execute=False` | EPERM |
| a local datagram socket where `connect=False`: it could send without a `connect` | ENETDOWN |

Where the kernel has Landlock, the memory of processes outside is closed to writing as well.

Sockets that were open before go on, and so do AF_UNIX sockets: local peers (Docker, D-Bus, an ssh-agent) and what they
hand over are outside the claim. Standard library only; `ctypes` is imported by the functions that need it.
"""

import errno
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

Kind = Literal["seccomp", "sandbox-exec", "none"]
What = Literal["AF_INET", "AF_INET6", "AF_NETLINK", "io_uring", "foreign ABI", "memory"]
Where = Literal["itself", "a child"]

_AF_UNIX, _AF_INET, _AF_NETLINK = 1, 2, 16
_SOCK_STREAM, _TYPE_MASK = 1, 0xF  # in the kernel's linux/net.h: the other bits are flags
_ENETDOWN = 100  # on every Linux; the module errno has the number of the system that runs this
_X32 = 0x40000000
_PR_GET_SECCOMP, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 21, 4, 38
_SET_MODE_FILTER, _TSYNC, _SPEC_ALLOW = 1, 1, 4
KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
NUMBER_AT, _ARCH_AT, FIRST_ARGUMENT_AT, _SECOND_ARGUMENT_AT = (
    0,
    4,
    16,
    24,
)  # offsets in struct seccomp_data, little-endian
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_TCP = 444, 446, 3  # the same numbers on every machine; bind and connect
_PATIENCE = 5.0  # seconds for a forked child that only tries one call


class Confinement(NamedTuple):
    """Whether the kernel keeps a process from the network, by what, and why (not)."""

    enforced: bool
    kind: Kind
    reason: str


class EscapeAttempt(NamedTuple):
    """One try to get around the wall. `how` says what the kernel did."""

    what: What
    where: Where
    refused: bool
    how: str


class Machine(NamedTuple):
    """The numbers of one machine's system calls."""

    audit_arch: int
    x32: bool
    seccomp: int
    socket: int
    socketpair: int
    connect: int
    ptrace: int
    ioctl: int
    execs: tuple[int, ...]
    memory: tuple[int, ...]
    io_uring: tuple[int, ...] = (425, 426, 427)
    pidfd_getfd: int = 438


_MACHINES = {
    "x86_64": Machine(0xC000003E, True, 317, 41, 53, 42, 101, 16, (59, 322), (310, 311)),
    "aarch64": Machine(0xC00000B7, False, 277, 198, 199, 203, 117, 29, (221, 281), (270, 271)),
}


def confine(*, connect: bool = True, execute: bool = True) -> Confinement:
    """Set the filter on all threads of this process, running ones included, and return the verified `state()`.

    With `connect` false also `connect(2)` is refused, and datagrams with it; with `execute` false also `execve`; threads and forks go on. May
    be called again to give up more; nothing gives anything back. Where the kernel cannot do it nothing is raised: the
    returned state says so and why.
    """
    machine = this_machine()
    if machine is None:
        return state()
    fault = install(machine, filter_program(machine=machine, connect=connect, execute=execute))
    if fault:
        return Confinement(False, "none", fault)
    _leave_neighbours_alone(_libc())
    return state()


def install(machine: Machine, code: bytes) -> str:
    """Set a filter on all threads of this process, for good; "" or why the kernel did not take it."""
    import ctypes

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]

    buffer = ctypes.create_string_buffer(code, len(code))
    program = Program(len(code) // 8, ctypes.addressof(buffer))
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return f"no_new_privs: {os.strerror(ctypes.get_errno())}"
    # Before Linux 5.16 a filter also switched on a slow guard against speculation, unless it declines.
    for flags in (_TSYNC | _SPEC_ALLOW, _TSYNC):
        result = libc.syscall(machine.seccomp, _SET_MODE_FILTER, flags, ctypes.byref(program))
        if result == 0:
            return ""
        if result > 0:
            return f"thread {result} has a filter of its own"
    return f"seccomp: {os.strerror(ctypes.get_errno())}"


def _leave_neighbours_alone(libc: Any) -> bool:
    """Keep this thread, and what it starts, from writing into the memory of processes outside (`/proc/PID/mem`).

    A filter cannot tell that file from another, but Landlock (Linux 6.7) lets nobody in a domain trace who is outside of
    it; that this domain also refuses TCP does no harm. Where there is no Landlock, `kernel.yama.ptrace_scope` decides.
    """
    import ctypes

    # struct landlock_ruleset_attr: no file system right is handled, so files stay as they are.
    attributes = ctypes.create_string_buffer(struct.pack("=QQ", 0, _LANDLOCK_TCP), 16)
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.addressof(attributes), 16, ctypes.c_long(0))
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def filter_program(
    *, machine: Machine, connect: bool = True, execute: bool = True, families: Sequence[int] = (_AF_UNIX,)
) -> bytes:
    """The filter as BPF instructions for one machine. `families` are those that sockets may be of: more than AF_UNIX only for who has
    a network namespace of its own."""
    code = [
        bpf(LOAD, _ARCH_AT),
        bpf(EQUAL, machine.audit_arch, 1, 0),
        bpf(RETURN, KILL),
        bpf(LOAD, NUMBER_AT),
    ]
    if machine.x32:  # -1 is what a tracer puts there to skip a call
        code += [bpf(EQUAL, 0xFFFFFFFF, 2, 0), bpf(AT_LEAST, _X32, 0, 1), bpf(RETURN, KILL)]

    def refuse(number: int, error: int) -> None:
        code.extend([bpf(EQUAL, number, 0, 1), bpf(RETURN, ERRNO | error)])

    for number in machine.io_uring:
        refuse(number, errno.ENOSYS)
    for number in (machine.pidfd_getfd, machine.ptrace, *machine.memory):
        refuse(number, errno.EPERM)
    for number in (*(() if connect else (machine.connect,)), *(() if execute else machine.execs)):
        refuse(number, errno.EPERM)
    code += [
        bpf(EQUAL, machine.ioctl, 0, 5),
        bpf(LOAD, _SECOND_ARGUMENT_AT),
        bpf(EQUAL, _TIOCSTI, 1, 0),
        bpf(EQUAL, _TIOCLINUX, 0, 1),
        bpf(RETURN, ERRNO | errno.EPERM),
        bpf(RETURN, ALLOW),
    ]
    streams = [bpf(LOAD, _SECOND_ARGUMENT_AT), bpf(AND, _TYPE_MASK), bpf(EQUAL, _SOCK_STREAM, 0, 1)]
    kinds = [] if connect else streams
    for number in (machine.socket, machine.socketpair):
        code += [
            bpf(EQUAL, number, 0, 3 + len(families) + len(kinds)),
            # The family is an int: the kernel drops the high word of the register, so only the low one is looked at.
            bpf(LOAD, FIRST_ARGUMENT_AT),
            *(bpf(EQUAL, family, len(families) - 1 - at, 0) for at, family in enumerate(families[:-1])),
            bpf(EQUAL, families[-1], 0, 1 + len(kinds)),
            *kinds,
            bpf(RETURN, ALLOW),
            bpf(RETURN, ERRNO | _ENETDOWN),
        ]
    return b"".join([*code, bpf(RETURN, ALLOW)])


def prefix(*, execute: bool = True) -> list[str]:
    """What to put before a command so that it starts behind the wall: empty where `confine` does it from inside.

    macOS has no filter that a process can set on itself, but `sandbox-exec`. Untested: written from its manual.
    """
    if os.uname().sysname != "Darwin":
        return []
    rules = "(version 1)(allow default)(deny network*)(allow network* (local unix-socket))(allow network* (remote unix-socket))"
    return ["/usr/bin/sandbox-exec", "-p", rules if execute else f"{rules}(deny process-exec*)"]


def state() -> Confinement:
    """What confines this process now, found by really trying to make sockets; remembered nowhere."""
    if os.uname().sysname == "Darwin":
        return _darwin_state()
    machine = this_machine()
    if machine is None:
        return Confinement(False, "none", f"no filter for {os.uname().sysname} on {os.uname().machine}")
    libc = _libc()
    if libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) != 2:
        return Confinement(False, "none", "no filter is set")
    # One family stands for all but AF_UNIX, which the filter compares with. AF_INET itself is left to `attempts`, so that
    # whoever traces a session sees it in the airlock only.
    for what in ("AF_NETLINK", "io_uring"):
        refused, how = _try(what)
        if not refused:
            return Confinement(False, "none", f"the filter that is set does not refuse {what}: {how}")
    return Confinement(True, "seccomp", "no socket but AF_UNIX, tried")


def state_of(pid: int, *, beside: int | None = None) -> Confinement:
    """What `/proc/PID/status` says of another process, looking at each of its threads.

    Containers often put a filter on everything; pass as `beside` the pid of a process known to be without Omni's (the
    keeper), and only filters that it does not have count.
    """
    if os.uname().sysname == "Darwin":
        return Confinement(False, "none", "macOS does not tell what confines another process")
    outside = _filters(Path(f"/proc/{beside}/status")) if beside is not None else None
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        tasks = []
    seen = False
    for task in tasks:
        filters = _filters(task / "status")
        if filters is None:
            continue  # the thread has just ended
        seen = True
        if filters.mode != 2 or not filters.no_new_privileges:
            return Confinement(False, "none", "no filter is set")
        if outside is not None and outside.mode == 2 and filters.stacked <= outside.stacked:
            return Confinement(False, "none", "only the filter of the container")
    if not seen:
        return Confinement(False, "none", "no such process")
    return Confinement(True, "seccomp", "Seccomp: 2")


def attempts() -> list[EscapeAttempt]:
    """Try every known way around the wall, here and in a forked child, and say which were refused.

    Needs no `execve`. A foreign ABI is refused by killing who uses it, so that one is tried in forked copies: "itself"
    means a copy of this process, "a child" a child of that copy.
    """
    trials: list[EscapeAttempt] = []
    names: tuple[What, ...] = ("AF_INET", "AF_INET6", "AF_NETLINK", "io_uring")
    for what in names:
        trials.append(EscapeAttempt(what, "itself", *_try(what)))
        trials.append(EscapeAttempt(what, "a child", *_in_child(partial(_try, what))))
    if (machine := this_machine()) is not None and machine.x32:
        for name, way in (("x32", _x32_socket), ("i386", _i386_socket)):
            mine, its = _in_child(way), _in_child(partial(_in_child, way))
            trials.append(EscapeAttempt("foreign ABI", "itself", *_called(name, mine)))
            trials.append(EscapeAttempt("foreign ABI", "a child", *_called(name, its)))
    return trials


def main() -> None:
    """Print the attempts of this process as JSON: what a process that is no Python starts to have the wall tried."""
    import json

    sys.stdout.write(json.dumps([attempt._asdict() for attempt in attempts()], separators=(",", ":")) + "\n")


def undumpable() -> None:
    """Keep neighbours of the same user from this process's memory and descriptors, and from a core file of it."""
    if os.uname().sysname == "Linux":
        _libc().prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


class _Filters(NamedTuple):
    mode: int
    stacked: int
    no_new_privileges: bool


def _filters(status: Path) -> _Filters | None:
    try:
        fields = dict(line.split(":", 1) for line in status.read_text("ascii", "replace").splitlines() if ":" in line)
    except OSError:
        return None
    mode = int(fields.get("Seccomp", "0"))
    return _Filters(
        mode, int(fields.get("Seccomp_filters", str(mode // 2))), fields.get("NoNewPrivs", "").strip() == "1"
    )


def this_machine() -> Machine | None:
    """The numbers of this one; None where no filter is written for it."""
    # A 32-bit Python on a 64-bit kernel speaks the foreign ABI that the filter kills.
    system = os.uname()
    return _MACHINES.get(system.machine) if system.sysname == "Linux" and sys.maxsize > 1 << 32 else None


def bpf(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    """One instruction."""
    return struct.pack("<HBBI", code, yes, no, value)


def _libc() -> Any:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.syscall.argtypes = [ctypes.c_long] * 3  # and more, wrapped by the caller: an int would leave half a register
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return libc


def _try(what: str) -> tuple[bool, str]:
    """Whether the kernel refused, and its words. Nothing is kept open and nothing is sent."""
    import ctypes

    libc = _libc()
    if what == "io_uring":
        if os.uname().sysname != "Linux":
            return True, "this system has none"
        ring = ctypes.create_string_buffer(120)  # struct io_uring_params, all defaults
        result = libc.syscall(425, 1, ctypes.addressof(ring))
    else:
        import _socket

        family = getattr(_socket, what, None)
        if family is None:
            return True, "this system has none"
        kind = 3 if what == "AF_NETLINK" else 2  # SOCK_RAW, SOCK_DGRAM: neither needs a privilege here
        result = libc.socket(int(family), kind, 0)
    if result >= 0:
        os.close(result)
        return False, "it was given one"
    number = ctypes.get_errno()
    return True, errno.errorcode.get(number, str(number))


def _darwin_state() -> Confinement:
    """sandbox-exec lets a socket be made but not used: connecting a datagram socket sends nothing."""
    import _socket

    probe = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        probe.connect(("127.0.0.1", 9))
    except PermissionError:
        return Confinement(True, "sandbox-exec", "no datagram could be addressed, tried")
    except OSError as error:
        return Confinement(False, "none", f"not clear: {error.strerror}")
    finally:
        probe.close()
    return Confinement(False, "none", "not started by sandbox-exec")


def _x32_socket() -> tuple[bool, str]:
    import ctypes

    result = _libc().syscall(_X32 | 41, _AF_INET, 2, ctypes.c_long(0))
    return _foreign("x32", result, ctypes.get_errno())


def _i386_socket() -> tuple[bool, str]:
    import ctypes
    import mmap

    # push rbx; eax = 359 (socket); ebx = AF_INET; ecx = SOCK_DGRAM; edx = 0; int 0x80; pop rbx; ret
    code = bytes.fromhex("53 b867010000 bb02000000 b902000000 31d2 cd80 5b c3")
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return True, "i386: no page may be executed"
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    result = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return _foreign("i386", result, -result)


def _foreign(name: str, result: int, number: int) -> tuple[bool, str]:
    if result >= 0:
        os.close(result)
        return False, f"{name}: it was given a socket"
    return True, f"{name}: {errno.errorcode.get(number, str(number))}"


def _called(name: str, outcome: tuple[bool, str]) -> tuple[bool, str]:
    """A process that was killed could not say which ABI it tried."""
    refused, how = outcome
    return refused, how if how.startswith(name) else f"{name}: {how}"


def _in_child(call: Callable[[], tuple[bool, str]]) -> tuple[bool, str]:
    """Run `call` in a forked child and bring its answer back; a child that the kernel killed was refused."""
    import warnings

    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads exist; the child calls the kernel and ends
        pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            undumpable()  # no core file of a child that is meant to be killed
            for number in (signal.SIGSEGV, signal.SIGILL, signal.SIGBUS):
                signal.signal(number, signal.SIG_DFL)
            refused, how = call()
            os.write(writer, f"{int(refused)}{how}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        status = _wait(pid)
        answer = os.read(reader, 4096).decode()
    finally:
        os.close(reader)
    if answer:
        return answer[0] == "1", answer[1:]
    if status is None:
        return False, "no answer in time"
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return True, f"killed by {name}"
    return False, "the child ended without an answer"


def _wait(pid: int) -> int | None:
    """The exit status of a child, or None when it had to be ended because it hung."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(0.001)
