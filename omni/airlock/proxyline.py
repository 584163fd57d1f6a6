"""The line before the first byte of a relayed connection: PROXY protocol version 2, binary, with two additions of ours.

TLV 0xE0 holds, in decimal digits, the uid at the other end where that is this machine; PP2_TYPE_SSL says that the
connection was encrypted. The server's protocol class reads it; nobody but the airlock can reach the server's socket.
"""

import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
UID = 0xE0
SSL = 0x20
PROXY = 0x21  # version 2, and a connection made for somebody else
TCP4, TCP6 = 0x11, 0x21
_WITH_TLS = b"\x01" + b"\0\0\0\x01"  # the client spoke TLS and showed no certificate


def proxy_line(peer: tuple[str, int], here: tuple[str, int], *, uid: int | None, tls: bool) -> bytes:
    """The header for a connection from `peer` that was accepted at `here`."""
    six = ":" in peer[0] or ":" in here[0]
    family = socket.AF_INET6 if six else socket.AF_INET
    hosts = [(f"::ffff:{host}" if six and ":" not in host else host).partition("%")[0] for host, _ in (peer, here)]
    body = b"".join(socket.inet_pton(family, host) for host in hosts) + struct.pack(">HH", peer[1], here[1])
    if uid is not None:
        digits = str(uid).encode()
        body += struct.pack(">BH", UID, len(digits)) + digits
    if tls:
        body += struct.pack(">BH", SSL, len(_WITH_TLS)) + _WITH_TLS
    head = struct.pack(">BBH", PROXY, TCP6 if six else TCP4, len(body))
    return SIGNATURE + head + body


def is_loopback(host: str) -> bool:
    """Whether an address, as the kernel writes it, is this machine's own."""
    return host == "::1" or host.startswith("127.")
