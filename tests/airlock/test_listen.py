"""The airlock as a listener: what it relays, what it refuses, and how it ends."""

import asyncio
import http.client
import json
import os
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import Airlock, Listening, NetSettings, Taken
from omni.airlock.audit import Audit, Doors
from omni.airlock.listen import Listen, bind
from omni.airlock.listen import parse as parse_listen
from omni.airlock.peers import NOBODY, _asked, _read, holder, owner
from omni.airlock.proxyline import SIGNATURE, is_loopback, proxy_line
from omni.airlock.relay import Limits, Relay
from omni.core.errors import DoorShut, SetupError, UsageError
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


def exactly(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count and (block := line.recv(count - len(found))):
        found += block
    return found


def rest(line: socket.socket) -> bytes:
    return b"".join(iter(lambda: line.recv(1 << 16), b""))


def head_of(line: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found and (block := line.recv(1)):
        found += block
    return found


def hello(line: socket.socket) -> None:
    head_of(line)
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


def echo(line: socket.socket) -> None:
    while block := line.recv(1 << 16):
        line.sendall(block)


class Door:
    """A relay in a thread of this process."""

    def __init__(self, home: Home, upstream: Path, limits: Limits, context: ssl.SSLContext | None = None) -> None:
        self.doors = Doors(Audit(home.audit / "airlock.jsonl"), lambda: None)
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


@pytest.fixture
def upstream(home: Home) -> Iterator[Upstream]:
    found = Upstream(home, hello)
    yield found
    found.close()


@pytest.fixture
def door(home: Home, upstream: Upstream) -> Iterator[Make]:
    made: list[Door] = []

    def make(context: ssl.SSLContext | None = None, **limits: Any) -> Door:
        made.append(Door(home, upstream.path, Limits(**limits), context))
        return made[-1]

    yield make
    for each in made:
        each.end()


def refusal(answer: bytes) -> tuple[int, str]:
    """The status and the words of an answer of the relay itself."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]


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
    with door().dial() as line:
        line.sendall(ASK)
        sender = threading.Thread(target=lambda: (line.sendall(data), line.shutdown(socket.SHUT_WR)))
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
    found = door()
    with found.dial() as slow:
        slow.sendall(ASK)
        assert slow.recv(1) == b"x"
        for _ in range(20):
            with found.dial() as quick:
                quick.sendall(b"GET /quick HTTP/1.1\r\n\r\n")
                assert rest(quick) == b"quick"
        assert sent < 20_000_000  # the rest waits in the server, not in the relay


def test_two_streams_share(door: Make, upstream: Upstream) -> None:
    upstream.answer = echo
    found = door()
    lines = [found.dial() for _ in range(60)]
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


# --- what is refused ---


def test_a_head_that_does_not_come(door: Make, upstream: Upstream, home: Home, audit: Read) -> None:
    found = door(patience=0.05)
    with found.dial() as silent, found.dial() as slow:
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
    found = door(own=4)
    lines = [found.dial() for _ in range(4)]
    for line in lines:
        line.sendall(ASK)
        assert exactly(line, len(ASK)) == ASK
    for _ in range(3):
        with found.dial() as more:
            assert refusal(rest(more))[0] == 503
    lines.pop().close()
    answer = b""
    while answer != ASK:  # until the relay has seen that one left
        with found.dial() as again:
            again.sendall(ASK)
            answer = exactly(again, len(ASK))
    for line in lines:
        line.close()
    assert [line["verdict"] for line in audit()].count("refused: too many connections") == 1


def test_a_server_that_has_gone(door: Make, upstream: Upstream) -> None:
    found = door()
    upstream.close()
    for path in (True, False):
        if not path:
            upstream.path.unlink()
        with found.dial() as line:
            line.sendall(ASK)
            assert refusal(rest(line))[0] == 502
    upstream.listener = socket.socket(socket.AF_UNIX)
    upstream.listener.bind(str(upstream.path))
    upstream.listener.listen()
    threading.Thread(target=upstream.serve, daemon=True).start()
    with found.dial() as line:
        line.sendall(ASK)
        assert rest(line).endswith(b"hello")


def test_a_server_that_is_too_busy_to_accept(home: Home, audit: Read) -> None:
    home.ensure_sockets()
    path = home.sockets / "busy.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        found = Door(home, path, Limits(patience=0.2))
        lines = [found.dial() for _ in range(3)]
        for line in lines:
            line.sendall(ASK)
        assert refusal(rest(lines[-1]))[0] == 503
        for line in lines:
            line.close()
        found.end()


def test_half_open_connections_and_resets(door: Make, upstream: Upstream) -> None:
    """Clients that vanish at every stage leave nothing behind."""
    upstream.answer = echo
    found = door()
    for said in (b"", b"GET", ASK, ASK + b"x" * 300_000):
        for _ in range(5):
            line = found.dial()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a close is a reset
            line.sendall(said)
            line.close()
    with found.dial() as line:
        line.sendall(ASK)
        line.shutdown(socket.SHUT_WR)
        assert rest(line) == ASK
    deadline = threading.Event()
    while found.relay.connections and not deadline.wait(0.01):
        pass
    assert not found.relay._admitted
    assert len(found.relay.selector.get_map()) == 2  # the bell and the listener


# --- TLS ---


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(authority, f"{authority}.key")
    return found


async def test_tls_ends_in_the_relay(door: Make, upstream: Upstream, context: ssl.SSLContext, authority: Path) -> None:
    upstream.answer = echo
    data = os.urandom(1 << 20) * 8
    host, port = door(context).address
    reader, writer = await asyncio.open_connection(host, port, ssl=trusting(authority), server_hostname="localhost")
    writer.write(ASK + data)
    assert await asyncio.wait_for(reader.readexactly(len(ASK) + len(data)), 20) == ASK + data
    writer.close()
    await writer.wait_closed()
    assert upstream.lines[0].endswith(b"\x20\0\x05\x01\0\0\0\1")


def test_the_end_of_an_answer_is_told_in_tls(
    door: Make, upstream: Upstream, context: ssl.SSLContext, authority: Path
) -> None:
    """Without a goodbye a client could not tell a whole answer from a cut one."""
    found = trusting(authority)
    with found.wrap_socket(door(context).dial(), server_hostname="localhost", suppress_ragged_eofs=False) as line:
        line.sendall(ASK)
        assert rest(line).endswith(b"hello")


def test_http_to_a_tls_port(door: Make, context: ssl.SSLContext) -> None:
    with door(context).dial() as line:
        line.sendall(ASK)
        assert refusal(rest(line)) == (400, "This port speaks https, not http.")


def test_a_handshake_that_stalls(door: Make, context: ssl.SSLContext) -> None:
    with door(context, patience=0.05).dial() as line:
        line.sendall(b"\x16\x03\x01")
        assert rest(line) == b""


def test_old_tls_is_not_spoken(keeper: Any, home: Home, upstream: Upstream, authority: Path) -> None:
    from omni.airlock.listen import _context

    os.chmod(f"{authority}.key", 0o600)
    found = _context(Listen("127.0.0.1", 0, str(upstream.path), str(authority), f"{authority}.key"))
    assert found.minimum_version == ssl.TLSVersion.TLSv1_2
    os.chmod(f"{authority}.key", 0o644)
    with pytest.raises(SetupError, match="open to others") as caught:
        _context(Listen("127.0.0.1", 0, "", str(authority), f"{authority}.key"))
    assert "chmod 600" in caught.value.hint
    os.chmod(f"{authority}.key", 0o600)
    with pytest.raises(SetupError, match="cannot be used"):
        _context(Listen("127.0.0.1", 0, "", f"{authority}.key", f"{authority}.key"))
    with pytest.raises(SetupError, match="cannot be read"):
        _context(Listen("127.0.0.1", 0, "", str(authority), "/absent"))


# --- the port ---


def test_a_taken_port_is_named(site: Any) -> None:
    with pytest.raises(Taken, match=f"127.0.0.1:{site.port} is taken by .*process {os.getpid()}"):
        bind("127.0.0.1", site.port)
    site.add("/", b"Ollama is running")
    with pytest.raises(Taken, match="taken by Ollama") as caught:
        bind("127.0.0.1", site.port)
    assert caught.value.by == "Ollama"
    site.add("/", b"Ollama is running", headers={"Server": "omni"})
    with pytest.raises(Taken, match="another `omni serve`"):
        bind("127.0.0.1", site.port)


def test_who_holds_a_port_and_speaks_slowly_holds_nobody_up() -> None:
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        line, _ = listener.accept()
        with line, suppress(OSError):
            while not over.wait(0.05):
                line.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        began = time.monotonic()
        assert f"process {os.getpid()}" in holder(listener.getsockname()[1], "127.0.0.1")
        assert time.monotonic() - began < 5
        over.set()
        thread.join(5)


def test_nobody_holds_a_free_port() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert holder(port, "127.0.0.1") == ""


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "\x80"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(SetupError):
        bind(host, 0)


def test_localhost_is_the_address_that_all_clients_try() -> None:
    with bind("localhost", 0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


GOOD = {"host": "127.0.0.1", "port": 0, "socket": "SOCKETS/server-1.sock", "tls": None}


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": 7},
        {"host": ""},
        {"host": "a\nb"},
        {"port": "1"},
        {"port": True},
        {"port": 65536},
        {"port": -1},
        {"socket": "/tmp/x"},
        {"socket": "SOCKETS/../x"},
        {"socket": "SOCKETS/."},
        {"socket": 5},
        {"tls": "x"},
        {"tls": {"cert": "/a"}},
        {"tls": {"cert": "a", "key": "b"}},
        {"tls": {"cert": "/a", "key": 6}},
    ],
)
def test_orders_that_are_none(home: Home, wrong: dict[str, Any]) -> None:
    order = {
        name: value.replace("SOCKETS", str(home.sockets)) if isinstance(value, str) else value
        for name, value in {**GOOD, **wrong}.items()
    }
    with pytest.raises(UsageError):
        parse_listen({"listen": order}, home)
    with pytest.raises(UsageError):
        parse_listen({}, home)


# --- the whole process ---

real = pytest.mark.real


def request(listening: Listening) -> bytes:
    line = http.client.HTTPConnection(listening.host, listening.port, timeout=20)
    line.request("GET", "/")
    found = line.getresponse().read()
    line.close()
    return found


@pytest.fixture
def airlock(keeper: Any) -> Airlock:
    keeper.client = "server-1"
    return Airlock(keeper, net=NetSettings())


@real
async def test_it_listens_and_says_so(airlock: Airlock, keeper: Any, upstream: Upstream, audit: Read) -> None:
    listening = await airlock.listen("127.0.0.1", 0, upstream.path)
    assert await asyncio.to_thread(request, listening) == b"hello"
    where = f"127.0.0.1:{listening.port}"
    [door] = await asyncio.to_thread(keeper.heard, lambda doors: bool(doors and doors[0]["bytes"]))
    assert (door["purpose"], door["host"]) == ("serve", where)
    await listening.close()
    assert await asyncio.to_thread(keeper.heard, lambda doors: not doors) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listening.host, listening.port))
    first, second = audit()
    assert (first["purpose"], first["host"], first["client"], first["verdict"]) == ("serve", where, "server-1", "whole")
    assert second["host"].startswith("127.0.0.1:")
    assert second["bytes"] > 100


@real
async def test_a_taken_port_is_told_across(airlock: Airlock, upstream: Upstream, site: Any) -> None:
    site.add("/", b"Ollama is running")
    with pytest.raises(Taken) as caught:
        await airlock.listen("127.0.0.1", site.port, upstream.path)
    assert caught.value.by == "Ollama"


@real
async def test_kill_9_of_the_airlock_ends_all(airlock: Airlock, keeper: Any, upstream: Upstream) -> None:
    upstream.answer = echo
    listening = await airlock.listen("127.0.0.1", 0, upstream.path)
    with socket.create_connection((listening.host, listening.port)) as line:
        line.sendall(ASK)
        keeper.kill()
        async with asyncio.timeout(20):
            await listening.ended()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((listening.host, listening.port))
    again = await airlock.listen("127.0.0.1", listening.port, upstream.path)
    assert again.port == listening.port
    await listening.close()
    await again.close()


@real
async def test_the_end_of_the_asking_process_closes_the_address(airlock: Airlock, keeper: Any, home: Home) -> None:
    await keeper.door("serve")
    listen = {"host": "127.0.0.1", "port": 0, "socket": str(home.sockets / "x.sock"), "tls": None}
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(sys.argv[2].encode() + b'\\n'); print(s.makefile().readline(), flush=True); s.recv(1)"
    )
    order = json.dumps({"token": keeper.ticket("serve").token, "listen": listen})
    command = [sys.executable, "-c", code, str(keeper.socket), order]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - to be killed
    assert server.stdout is not None
    host, port = json.loads(server.stdout.readline())["listening"]
    socket.create_connection((host, port)).close()
    server.kill()
    server.wait()
    server.stdout.close()
    assert await asyncio.to_thread(keeper.heard, lambda doors: not doors) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port))


@real
async def test_a_drain_lets_the_open_ones_finish(airlock: Airlock, upstream: Upstream) -> None:
    upstream.answer = echo
    listening = await airlock.listen("127.0.0.1", 0, upstream.path)
    with socket.create_connection((listening.host, listening.port), timeout=20) as line:
        line.sendall(ASK)
        assert exactly(line, len(ASK)) == ASK
        listening.drain()

        def refused() -> None:
            while True:
                try:
                    socket.create_connection((listening.host, listening.port)).close()
                except ConnectionRefusedError:
                    return

        await asyncio.wait_for(asyncio.to_thread(refused), 20)
        line.sendall(b"still here")
        assert exactly(line, 10) == b"still here"
        await listening.close()
        assert rest(line) == b""


@real
async def test_downloads_go_on_beside_all_listeners(
    airlock: Airlock, keeper: Any, upstream: Upstream, site: Any
) -> None:
    open_ones = [await airlock.listen("127.0.0.1", 0, upstream.path) for _ in range(8)]
    with pytest.raises(DoorShut, match="8 places"):
        await airlock.listen("127.0.0.1", 0, upstream.path)
    site.add("/page", b"x")
    assert (await airlock.page(f"{site.url}/page", purpose="pull")).data == b"x"
    for each in open_ones:
        await each.close()
