"""The airlock as a listener: what it relays, and how it says who asks."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading

import pytest

from omni.airlock.peers import NOBODY, _asked, _read, owner
from omni.airlock.proxyline import SIGNATURE, is_loopback, proxy_line
from tests.airlock.listen_tools import ASK, Make, Upstream, echo, exactly, head_of, hello, rest

# --- what comes through ---


def test_a_request_comes_through_with_who_asked(door: Make, upstream: Upstream) -> None:
    with door().dial() as line:
        line.sendall(ASK)
        name, there = line.getsockname(), line.getpeername()
        assert rest(line).endswith(b"hello")
    assert upstream.lines == [proxy_line(name, there, uid=os.getuid(), tls=False)]


def test_a_head_in_pieces_is_one_request(door: Make, upstream: Upstream) -> None:
    with door().dial() as line:
        for byte in ASK:
            line.sendall(bytes([byte]))
        assert rest(line).endswith(b"hello")
    assert len(upstream.lines) == 1


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
def test_every_end_of_a_head_that_servers_know(door: Make, upstream: Upstream, end: bytes) -> None:
    upstream.answer = lambda line: line.sendall(line.recv(100))
    with door().dial() as line:
        line.sendall(b"GET / HTTP/1.1" + end)
        assert rest(line) == b"GET / HTTP/1.1" + end


def test_much_both_ways_and_a_half_close(door: Make, upstream: Upstream) -> None:
    upstream.answer = echo
    data = os.urandom(1 << 20) * 24

    def send() -> None:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)

    with door().dial() as line:
        line.sendall(ASK)
        sender = threading.Thread(target=send)
        sender.start()
        assert rest(line) == ASK + data
        sender.join()


def test_a_server_that_answers_early_is_heard(door: Make, upstream: Upstream) -> None:
    """413 while the body is still on its way."""
    upstream.answer = hello
    with door(linger=20.0).dial() as line:
        line.sendall(b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            line.sendall(b"x" * 1_000_000)
        line.shutdown(socket.SHUT_WR)
        assert rest(line).endswith(b"hello")


def test_a_slow_reader_holds_nobody_up_and_costs_no_memory(door: Make, upstream: Upstream) -> None:
    total, sent = 200_000_000, 0

    def pour(line: socket.socket) -> None:
        nonlocal sent
        head = head_of(line)
        if b"quick" in head:
            line.sendall(b"quick")
            return
        while sent < total:
            sent += line.send(b"x" * 65536)

    upstream.answer = pour
    opened = door()
    with opened.dial() as slow:
        slow.sendall(ASK)
        assert slow.recv(1) == b"x"
        for _ in range(20):
            with opened.dial() as quick:
                quick.sendall(b"GET /quick HTTP/1.1\r\n\r\n")
                assert rest(quick) == b"quick"
        assert sent < 20_000_000  # the rest waits in the server, not in the relay


def test_two_streams_share(door: Make, upstream: Upstream) -> None:
    upstream.answer = echo
    opened = door()
    lines = [opened.dial() for _ in range(60)]
    for line in lines:
        line.sendall(ASK)
    for line in lines:
        assert exactly(line, len(ASK)) == ASK
    for turn in range(10):
        for line in lines:
            line.sendall(b"%d" % turn)
        assert {exactly(line, 1) for line in lines} == {b"%d" % turn}
    for line in lines:
        line.close()


# --- who asks ---


def test_the_kernel_says_whose_the_other_end_is() -> None:
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family) as listener:
            listener.bind((host, 0))
            listener.listen()
            client = socket.create_connection(listener.getsockname()[:2])
            accepted, _ = listener.accept()
            peer, here = accepted.getpeername()[:2], accepted.getsockname()[:2]
            for ask in (_asked, _read, owner):
                assert ask(peer, here) == os.getuid()
            client.shutdown(socket.SHUT_WR)  # it still reads: a quick last word makes nobody a stranger
            for ask in (_asked, _read, owner):
                assert ask(peer, here) == os.getuid()
            client.close()  # now it is nobody's, and the kernel would call that root's
            for ask in (_asked, _read, owner):
                assert ask(peer, here) == NOBODY
            accepted.close()
    assert owner(("127.0.0.1", 1), ("127.0.0.1", 2)) is None


def test_an_old_address_in_a_new_coat() -> None:
    """A client with an IPv6 socket that dials 127.0.0.1."""
    with socket.socket() as listener, socket.socket(socket.AF_INET6) as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(("::ffff:127.0.0.1", listener.getsockname()[1]))
        accepted, _ = listener.accept()
        with accepted:
            for ask in (_asked, _read):
                assert ask(accepted.getpeername(), accepted.getsockname()) == os.getuid()


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can be somebody else")
def test_another_users_connection_carries_their_uid(door: Make, upstream: Upstream) -> None:
    host, port = door().address
    code = (
        f"import socket; s = socket.create_connection(({host!r}, {port})); s.sendall({ASK!r}); print(s.recv(999)[-5:])"
    )
    done = subprocess.run(
        ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        cwd="/",
    )
    if "Permission" in done.stderr:
        pytest.skip("nobody may run this interpreter")
    assert upstream.lines[0].endswith(b"\xe0\x00\x0565534"), done.stderr


def test_a_line_says_addresses_uid_and_tls() -> None:
    line = proxy_line(("127.0.0.1", 1), ("127.0.0.1", 2), uid=7, tls=True)
    assert line[:16] == SIGNATURE + b"\x21\x11" + struct.pack(">H", len(line) - 16)
    assert line[16:28] == b"\x7f\0\0\1\x7f\0\0\1\0\1\0\2"
    assert line[28:] == b"\xe0\0\x017" + b"\x20\0\x05\x01\0\0\0\1"
    assert proxy_line(("::1", 1), ("::1", 2), uid=None, tls=False)[13] == 0x21
    assert is_loopback("127.1.2.3")
    assert is_loopback("::1")
    assert not is_loopback("10.0.0.1")
