"""Run inside the sandbox, as text: what is tried there. One JSON object in a line for each. Standard library only, and nothing of Omni."""

import ctypes
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

OUTSIDE = ("192.0.2.1", 9)  # an address that nobody has


def attempt(what: str, act: Callable[[], object]) -> None:
    """Try it: refused is what raises OSError or MemoryError, or gives a text that says why it is nothing."""
    try:
        given = act()
    except (OSError, MemoryError) as error:
        tell(what, True, getattr(error, "strerror", None) or type(error).__name__)
    else:
        tell(what, isinstance(given, str), str(given) if given else "it was given that")


def tell(what: str, stopped: bool, how: str, place: str = "") -> None:
    """One line."""
    sys.stdout.write(json.dumps({"what": what, "stopped": stopped, "how": how, "place": place}) + "\n")
    sys.stdout.flush()


def dial(address: str) -> object:
    """Connect to a socket of somebody outside."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
    return None


def call(name: str, *arguments: object) -> object:
    """A function of the C library; what it says by its number is raised."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return None


def home(path: str, names: list[str]) -> object:
    """See anything of a home but the way to what may be seen."""
    seen = set(os.listdir(path)) & set(names)  # noqa: PTH208 - pathlib takes longer to import than all of this
    return None if seen else "nothing of it is there"


def make(place: str) -> None:
    """Make a file; whether it lies outside, or in an empty folder of the sandbox, is seen from there."""
    what = f"a file is made in {os.path.dirname(place)}"  # noqa: PTH120 - as above
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError as error:
        tell(what, True, error.strerror or "refused")
    else:
        tell(what, False, "it was made", place)


def opened(path: str) -> None:
    """Read a file."""
    os.close(os.open(path, os.O_RDONLY))


def send() -> object:
    """Reach an address outside."""
    with socket.socket() as line:
        line.settimeout(2)
        line.connect(OUTSIDE)
    return None


def rise() -> object:
    """Be root by a program that makes who calls it root."""
    for program in ("sudo", "su", "pkexec", "doas"):
        path = f"/usr/bin/{program}"
        if os.access(path, os.X_OK):
            done = subprocess.run([path, "-n", "true"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
            if done.returncode == 0 and program == "sudo":
                return None
            return f"{program} ended with {done.returncode}"
    return "there is no program for that"


def out(told: dict[str, Any]) -> None:
    """Everything that leads outside."""
    attempt("the home of the person is read", lambda: home(told["home"], told["names"]))
    attempt("passwords of the system are read", lambda: opened("/etc/shadow"))
    for folder in ("/usr", "/etc", told["home"]):
        make(f"{folder}/omni-tried")
    attempt("an address outside is reached", send)
    attempt("the host of a virtual machine is reached", lambda: socket.socket(40, socket.SOCK_STREAM).close())
    for path in told["sockets"]:
        attempt(path.replace("\0", "@") + " is dialled", partial(dial, path))
    attempt("a process outside is signalled", lambda: os.kill(told["pid"], 0))
    attempt("the memory of a process is taken", lambda: call("ptrace", 16, os.getppid(), 0, 0))
    attempt("what there is to see is changed", lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
    attempt("namespaces are made", lambda: call("unshare", 0x10000000))
    attempt("root is had", rise)


def processes(most: int) -> None:
    """More of them than there may be."""
    children: list[int] = []
    try:
        while len(children) <= most + 350:  # 300 numbers of processes are given once more
            pid = os.fork()
            if pid == 0:
                time.sleep(30)
                os._exit(0)
            children.append(pid)
        tell("processes without end", False, f"{len(children)} were made")
    except OSError as error:
        tell("processes without end", True, f"after {len(children)}: {error.strerror}")
    for pid in children:
        os.kill(pid, 9)


if __name__ == "__main__":
    match sys.argv[1]:
        case "out":
            out(json.load(sys.stdin))
        case "memory":
            attempt("memory without end", lambda: bytearray(1 << 30) and None)
        case "processes":
            processes(int(sys.argv[2]))
        case "output":
            while True:
                sys.stdout.write("x" * 65536)
        case "time":
            time.sleep(60)
