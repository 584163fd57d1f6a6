"""Who is at the other end of a loopback connection, and who holds a port: in the kernel's words, Linux only.

The kernel is asked over netlink for exactly one socket, which takes 20 µs; where that is not allowed its tables under
`/proc/net` are read, which takes milliseconds on a machine with many connections.
"""

import socket
import struct
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path

Address = tuple[str, int]

_SOCK_DIAG = 4  # the netlink family that describes sockets
_BY_FAMILY = 20  # its request, and the type of its answer
_ESTABLISHED, _FIN_WAIT_1, _FIN_WAIT_2, _LISTEN = 1, 4, 5, 10
_READS = (_ESTABLISHED, _FIN_WAIT_1, _FIN_WAIT_2)  # states of a client that can still read an answer
NOBODY = (1 << 32) - 1  # no user's uid
_ASK = 0.2  # seconds for the kernel to answer; it needs microseconds
_PROBE = 0.5  # seconds for a web server to say what it is
_PROCESSES = 5000  # that are looked at


def owner(peer: Address, here: Address) -> int | None:
    """The uid whose process holds the other end of a loopback connection; None when nobody can tell.

    Also of one that has said its last word and only reads: whoever was quick with it would be a stranger, and strangers
    may more than other users. Of a socket that its process has let go the kernel says uid 0: that is NOBODY here.
    """
    try:
        uid = _asked(peer, here)
    except (OSError, struct.error, ValueError):
        uid = None
    if uid is None:
        with suppress(OSError, ValueError, IndexError):
            uid = _read(peer, here)
    return uid


def holder(port: int, host: str) -> str:
    """Who listens on a port of this machine, as a person would say it; "" when nobody can tell."""
    return _speaks(port, host) or _process(port)


def _asked(peer: Address, here: Address) -> int | None:
    """By netlink. Raises OSError where it is not allowed."""
    family = socket.AF_INET6 if ":" in peer[0] else socket.AF_INET
    ends = [socket.inet_pton(family, address[0].partition("%")[0]).ljust(16, b"\0") for address in (peer, here)]
    one = struct.pack(">HH", peer[1], here[1]) + ends[0] + ends[1]
    any_cookie = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # any interface, any cookie
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 1 << _ESTABLISHED) + one + any_cookie
    head = struct.pack("=IHHII", 16 + len(request), _BY_FAMILY, 1, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG) as line:
        line.settimeout(_ASK)
        line.send(head + request)
        answer = line.recv(8192)
    if struct.unpack_from("=H", answer, 4)[0] != _BY_FAMILY:
        return None
    # The lookup also finds a listener where there is no connection; the ports say which one it is.
    state, ports = answer[17], answer[20:24]
    if state not in _READS or ports != one[:4]:
        return None
    uid, inode = struct.unpack_from("=II", answer, 16 + 4 + 48 + 12)
    return int(uid) if inode else NOBODY


def _read(peer: Address, here: Address) -> int | None:
    """From the tables, by both addresses and the state."""
    wanted = {(_as_table(peer, six), _as_table(here, six)) for six in (False, True)}
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_bytes().splitlines()[1:]:
            fields = line.split(None, 10)
            if (fields[1], fields[2]) in wanted and int(fields[3], 16) in _READS:
                return int(fields[7]) if fields[9] != b"0" else NOBODY
    return None


def _as_table(address: Address, six: bool) -> bytes:
    """An address as the tables write it: words of 32 bits in the order of this machine's bytes, in hexadecimal."""
    host, port = address
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    else:
        packed = (b"\0" * 10 + b"\xff\xff" if six else b"") + socket.inet_pton(socket.AF_INET, host)
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return ("".join(f"{word:08X}" for word in words) + f":{port:04X}").encode()


def _speaks(port: int, host: str) -> str:
    """What a web server on this port says about itself."""
    local = host if host not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104 - compared, not bound
    try:
        with socket.create_connection((local, port), timeout=_PROBE) as line:
            line.sendall(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            answer, until = b"", time.monotonic() + _PROBE
            while len(answer) < 8192 and time.monotonic() < until and (block := line.recv(4096)):
                answer += block
    except (OSError, ValueError):
        return ""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"\r\nserver: omni" in head.lower():
        return "another `omni serve`"
    return "Ollama" if b"Ollama is running" in body else ""


def _process(port: int) -> str:
    """The name and number of the process that listens, where this user may see it."""
    inodes = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/net/{name}").read_bytes().splitlines()[1:]:
                fields = line.split()
                if int(fields[3], 16) == _LISTEN and int(fields[1].rpartition(b":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9].decode()}]")
    if not inodes:
        return ""
    with suppress(OSError):
        for process in islice(Path("/proc").glob("[1-9]*"), _PROCESSES):
            with suppress(OSError):
                for descriptor in (process / "fd").iterdir():
                    if str(descriptor.readlink()) in inodes:
                        name = (process / "comm").read_text("utf-8", "replace").strip()
                        plain = "".join(c if c.isprintable() else "?" for c in name)  # any process names itself
                        return f"{plain} (process {process.name})"
    return ""
