"""What the tests of the listening airlock share: a server behind it, and a relay in a thread of this process."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omni.airlock.audit import Audit, OpenDoors
from omni.airlock.connection import ListenerLimits
from omni.airlock.listen import bind
from omni.airlock.relay import Relay
from omni.core.paths import Home

Read = Callable[[], list[dict[str, Any]]]

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Upstream:
    """A server on a Unix socket that remembers its PROXY lines; `answer` is called in a thread for each connection."""

    def __init__(self, home: Home, answer: Callable[[socket.socket], None]) -> None:
        home.ensure_sockets()
        self.path = home.sockets / "server-1.sock"
        self.lines: list[bytes] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(300)
        self.answer = answer
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                line, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(line,), daemon=True).start()

    def one(self, line: socket.socket) -> None:
        with line:
            head = exactly(line, 16)
            self.lines.append(head + exactly(line, struct.unpack(">H", head[14:16])[0]))
            try:
                self.answer(line)
            except OSError:
                pass

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def refused(host: str, port: int) -> None:
    """Return when nobody listens there any more. Blocking."""
    while True:
        try:
            with socket.create_connection((host, port), timeout=20) as line:
                line.recv(1)  # ends with the address
        except ConnectionRefusedError:
            return
        except OSError:
            continue


def exactly(line: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count and (block := line.recv(count - len(received))):
        received += block
    return received


def rest(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(1 << 16), b""))


def head_of(line: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and (block := line.recv(1)):
        head += block
    return head


def hello(line: socket.socket) -> None:
    head_of(line)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


def echo(line: socket.socket) -> None:
    while block := line.recv(1 << 16):
        line.sendall(block)


class Door:
    """A relay in a thread of this process."""

    def __init__(
        self, home: Home, upstream: Path, limits: ListenerLimits, context: ssl.SSLContext | None = None
    ) -> None:
        self.doors = OpenDoors(Audit(home), lambda: None)
        self.watch = self.doors.watch("server-1", "serve")
        listener = bind("127.0.0.1", 0)
        self.address = listener.getsockname()
        self.relay = Relay(
            listener, str(upstream), context=context, watch=self.watch, audit=self.doors.audit, limits=limits
        )
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        try:
            self.relay.run()
        finally:
            self.relay.close()

    def dial(self) -> socket.socket:
        line = socket.create_connection(self.address, timeout=20)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line

    def end(self) -> None:
        self.watch.cancel()
        self.thread.join(20)
        assert not self.thread.is_alive()


Make = Callable[..., Door]


def refusal(answer: bytes) -> tuple[int, str]:
    """The status and the words of an answer of the relay itself."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]
