"""A place from which no packet leaves the machine: `unshare --user --map-root-user --net --mount python nowhere.py …`.

It has one interface, the loopback, and no route. Names are asked of a resolver of its own, which knows none and writes
down each that it is asked for: so a test sees who wanted to call home, whatever language it is written in. Sockets of the
machine's services in `/run` are hidden, because a service out there would ask for names on behalf of a client in here.

Needs the standard library only. Ends with the program that it starts, and that ends when standard input does.
"""

import ctypes
import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_MS_BIND = 4096
_OURS = {"resolv.conf": "nameserver 127.0.0.1\n", "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n"}


def main(folder: Path, program: list[str]) -> int:
    """Make the place, write the names that are asked for to `folder/asked`, and return how the program ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))
    _mount("none", "/run", kind="tmpfs")
    for name, text in _OURS.items():
        (folder / name).write_text(text)
        if os.path.exists(f"/etc/{name}"):  # without it the C library asks 127.0.0.1, too
            _mount(str(folder / name), f"/etc/{name}", flags=_MS_BIND)
    resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    resolver.bind(("127.0.0.1", 53))
    threading.Thread(target=_answer, args=(resolver, folder / "asked"), daemon=True).start()
    process = subprocess.Popen(program, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with, args=(process,), daemon=True).start()
    return process.wait()


def _mount(source: str, target: str, *, kind: str = "", flags: int = 0) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(source.encode(), target.encode(), kind.encode() or None, flags, None):
        raise OSError(ctypes.get_errno(), f"cannot be mounted: {os.strerror(ctypes.get_errno())}", target)


def _answer(resolver: socket.socket, asked: Path) -> None:
    """Write down each name, and say that there is none such."""
    while True:
        question, client = resolver.recvfrom(512)
        at, labels = 12, []
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
        with asked.open("a") as file:
            file.write(".".join(labels) + "\n")
        header = question[:2] + b"\x81\x83" + b"\x00\x01" + bytes(6)
        resolver.sendto(header + question[12 : at + 5], client)


def _end_with(process: subprocess.Popen[bytes]) -> None:
    sys.stdin.buffer.read()
    process.send_signal(signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
