"""The airlock as a listener: whom it does not let in, and what it tells them."""

import socket
import struct
import threading

import pytest

from omni.airlock.connection import ListenerLimits
from omni.core.paths import Home
from tests.airlock.listen_tools import ASK, Door, Make, Read, Upstream, echo, exactly, refusal, rest


def test_a_head_that_does_not_come(door: Make, upstream: Upstream, home: Home, audit: Read) -> None:
    opened = door(patience=0.05)
    with opened.dial() as silent, opened.dial() as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert rest(silent) == b""
        assert refusal(rest(slow)) == (408, "The request's head was not complete within 0.05 s.")
    assert upstream.lines == []


def test_one_byte_a_second_is_not_enough(door: Make, upstream: Upstream) -> None:
    """The time is for the whole head; bytes do not prolong it."""
    with door(patience=0.2).dial() as line:
        status = b""
        for byte in b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000:
            try:
                line.sendall(bytes([byte]))
                line.settimeout(0.01)
                status = line.recv(12)
                break
            except TimeoutError:
                continue
        assert status == b"HTTP/1.1 408"
    assert upstream.lines == []


@pytest.mark.parametrize("size", [(1 << 16) + 20, 2_000_000])
def test_a_head_that_is_too_long(door: Make, upstream: Upstream, size: int) -> None:
    with door().dial() as line:
        line.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (size // 6) + b"\r\n")
        line.shutdown(socket.SHUT_WR)
        assert refusal(rest(line)) == (431, "The request's head is longer than 64 KiB.")
    assert upstream.lines == []


def test_ten_thousand_headers(door: Make, upstream: Upstream) -> None:
    with door().dial() as line:
        line.sendall(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % each for each in range(10_000)) + b"\r\n")
        assert refusal(rest(line))[0] == 431


def test_tls_to_a_plain_port(door: Make) -> None:
    with door().dial() as line:
        line.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert refusal(rest(line)) == (400, "This port speaks http, not https.")


def test_too_many_connections_are_told_so(door: Make, upstream: Upstream, audit: Read) -> None:
    upstream.answer = echo
    opened = door(own=4)
    lines = [opened.dial() for _ in range(4)]
    for line in lines:
        line.sendall(ASK)
        assert exactly(line, len(ASK)) == ASK
    for _ in range(3):
        with opened.dial() as more:
            assert refusal(rest(more))[0] == 503
    lines.pop().close()
    answer = b""
    while answer != ASK:  # until the relay has seen that one left
        with opened.dial() as again:
            again.sendall(ASK)
            answer = exactly(again, len(ASK))
    for line in lines:
        line.close()
    assert [line["verdict"] for line in audit()].count("refused: too many connections") == 1


def test_a_server_that_has_gone(door: Make, upstream: Upstream) -> None:
    opened = door()
    upstream.close()
    for path in (True, False):
        if not path:
            upstream.path.unlink()
        with opened.dial() as line:
            line.sendall(ASK)
            assert refusal(rest(line))[0] == 502
    upstream.listener = socket.socket(socket.AF_UNIX)
    upstream.listener.bind(str(upstream.path))
    upstream.listener.listen()
    threading.Thread(target=upstream.serve, daemon=True).start()
    with opened.dial() as line:
        line.sendall(ASK)
        assert rest(line).endswith(b"hello")


def test_a_server_that_is_too_busy_to_accept(home: Home, audit: Read) -> None:
    home.ensure_sockets()
    path = home.sockets / "busy.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as waiting:
        listener.bind(str(path))
        listener.listen(0)
        waiting.connect(str(path))  # the only one that may wait
        door = Door(home, path, ListenerLimits(patience=0.2))
        lines = [door.dial() for _ in range(3)]
        for line in lines:
            line.sendall(ASK)
        assert [refusal(rest(line))[0] for line in lines] == [503] * 3
        for line in lines:
            line.close()
        door.end()


def test_half_open_connections_and_resets(door: Make, upstream: Upstream) -> None:
    """Clients that vanish at every stage leave nothing behind."""
    upstream.answer = echo
    opened = door()
    for said in (b"", b"GET", ASK, ASK + b"x" * 300_000):
        for _ in range(5):
            line = opened.dial()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a close is a reset
            line.sendall(said)
            line.close()
    with opened.dial() as line:
        line.sendall(ASK)
        line.shutdown(socket.SHUT_WR)
        assert rest(line) == ASK
    deadline = threading.Event()
    while opened.relay.connections and not deadline.wait(0.01):
        pass
    assert not opened.relay._admitted
    assert len(opened.relay.selector.get_map()) == 2  # the bell and the listener
