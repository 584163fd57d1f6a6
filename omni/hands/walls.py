"""What a sandboxed process may ask of the kernel, and how much it may take. Standard library only.

On top of the filter that all of Omni has (`core/confinement.py`: no io_uring, no `ptrace`, no memory of neighbours, no typing into
a terminal, no foreign ABI) it may not change what it sees: no mounts, no namespaces, no keys of the kernel, no programs in it.
"""

import ctypes
import errno
import os
import re
import resource
from contextlib import suppress
from pathlib import Path

from omni.core.confinement import (
    ALLOW,
    EQUAL,
    ERRNO,
    FIRST_ARGUMENT_AT,
    LOAD,
    NUMBER_AT,
    RETURN,
    bpf,
    filter_program,
    install,
    this_machine,
)

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_NEW = 0x7E020000  # the flags of `clone` that make namespaces
_SET = 0x45  # jump if any of these bits is set
_CAPSET = {"x86_64": 126, "aarch64": 91}
_PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 24, 28
_NO_ROOT = 0x2F  # uid 0 has no power of its own, keeps none, and that is locked
_CAPABILITIES = 64
_OPEN_FILES, _LONGEST_FILE = 4096, 4 << 30  # bytes

# What is refused: mount umount2 pivot_root chroot setns unshare, keyctl add_key request_key, bpf perf_event_open userfaultfd,
# kexec_load kexec_file_load init_module finit_module delete_module reboot swapon swapoff acct quotactl syslog,
# open_by_handle_at kcmp, and open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr.
_NEW_MOUNTS = (428, 429, 430, 431, 432, 433, 442)
_REFUSED = {
    "x86_64": (165, 166, 155, 161, 308, 272, 250, 248, 249, 321, 298, 323, 246, 320, 175, 313, 176, 169, 167, 168, 163, 179, 103, 304, 312),
    "aarch64": (40, 39, 41, 51, 268, 97, 219, 217, 218, 280, 241, 282, 104, 294, 105, 273, 106, 142, 224, 225, 89, 60, 116, 265, 272),
}  # fmt: skip
_NUMBERS_KEPT = 300  # the lowest ones, which are given only once
_CLONE, _CLONE3 = {"x86_64": 56, "aarch64": 220}, 435


def refuse_calls(*, network: bool) -> str:
    """Set the filters on this process, for good. `network`: it has a network namespace of its own, where nobody else listens.

    Returns why the kernel did not take them, "" where it did.
    """
    machine = this_machine()
    if machine is None:
        return f"no filter for {os.uname().sysname} on {os.uname().machine}"
    families = (_UNIX, _INET, _INET6, _NETLINK) if network else (_UNIX,)
    first = filter_program(machine=machine, connect=network, families=families)
    return install(machine, first) or install(machine, _program())


def _program() -> bytes:
    """A filter beside the first one, which has judged the ABI."""
    name = os.uname().machine
    code = [bpf(LOAD, NUMBER_AT)]
    for number in (*_REFUSED[name], *_NEW_MOUNTS):
        code += [bpf(EQUAL, number, 0, 1), bpf(RETURN, ERRNO | errno.EPERM)]
    # Its flags lie in memory, where a filter cannot look; every library goes back to `clone`.
    code += [bpf(EQUAL, _CLONE3, 0, 1), bpf(RETURN, ERRNO | errno.ENOSYS)]
    code += [
        bpf(EQUAL, _CLONE[name], 0, 3),
        bpf(LOAD, FIRST_ARGUMENT_AT),
        bpf(_SET, _NEW, 0, 1),
        bpf(RETURN, ERRNO | errno.EPERM),
        bpf(RETURN, ALLOW),
    ]
    return b"".join(code)


def give_up_powers() -> None:
    """Be nobody special, whatever the user is: no capabilities now, and none by any program that is started."""
    libc = ctypes.CDLL(None, use_errno=True)
    zeros = [ctypes.c_ulong(0)] * 3
    libc.prctl(_PR_SET_SECUREBITS, ctypes.c_ulong(_NO_ROOT), *zeros)
    for capability in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), *zeros)
    if (number := _CAPSET.get(os.uname().machine)) is not None:
        head, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        libc.syscall(ctypes.c_long(number), head, none)


def limit(*, memory: int, processes: int, counted: bool) -> None:
    """Limit what each process takes: bytes of memory of its own, and where they are `counted` for these alone, how many there are."""
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, _LONGEST_FILE),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ]
    if counted and hasattr(resource, "RLIMIT_NPROC"):
        limits.append((resource.RLIMIT_NPROC, processes))
    for what, most in limits:
        hard = resource.getrlimit(what)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(what, (wanted, wanted))


def limit_numbers(processes: int) -> bool:
    """Let a namespace of processes have no more than so many numbers, which holds root, too (Linux 6.14). False where it cannot."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if release is None or (int(release[1]), int(release[2])) < (
        6,
        14,
    ):  # before, the number is that of the whole machine
        return False
    most, wanted = Path("/proc/sys/kernel/pid_max"), _NUMBERS_KEPT + processes
    try:
        most.write_text(f"{wanted}\n", "ascii")
        return int(most.read_text("ascii")) == wanted
    except (OSError, ValueError):
        return False
