"""Requests that are none, that never end, that are too large; and what the relay says about whoever sends them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.airlock.proxyline import SIGNATURE, proxy_line
from omni.server.protocol import RELAY, read_line
from omni.server.streams import Streamed
from tests.server.server_tools import Heard, answer

ASK = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
LINE = proxy_line(("127.0.0.1", 5), ("127.0.0.1", 7), uid=7, tls=True)


async def test_the_relays_line_is_in_the_scope(serve: Any) -> None:
    app = Heard()
    served = await serve(app)
    assert (await served.ask(LINE + ASK)).json == {"body": 0}
    [scope] = app.scopes
    assert (scope["client"], scope["server"], scope["scheme"]) == (("127.0.0.1", 5), ("127.0.0.1", 7), "https")
    assert scope["extensions"] == {RELAY: {"uid": 7, "loopback": True, "tls": True, "local": ("127.0.0.1", 7)}}


async def test_it_holds_for_every_request_of_the_connection(serve: Any) -> None:
    app = Heard()
    reader, writer = await (await serve(app)).dial()
    for byte in LINE:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    for _ in range(2):
        writer.write(ASK)
        assert (await answer(reader)).status == 200
    writer.close()
    assert [scope["extensions"][RELAY]["uid"] for scope in app.scopes] == [7, 7]


async def test_without_a_line_nothing_is_known(serve: Any) -> None:
    app = Heard()
    assert (await (await serve(app)).ask(ASK)).status == 200
    assert "extensions" not in app.scopes[0]


class Slow(Heard):
    """Answers when it is let; or only waits for its client to leave."""

    def __init__(self, *, waits: bool = False) -> None:
        super().__init__()
        self.let, self.waits = asyncio.Event(), waits

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def later(message: Any) -> None:
            await self.let.wait()
            await send(message)

        if self.waits:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.left.set()
        else:
            await super().__call__(scope, receive, later)


@pytest.mark.parametrize("ask", [ASK, b"POST /x HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"])
async def test_who_sends_no_more_still_reads_the_answer_and_is_hung_up_on_then(serve: Any, ask: bytes) -> None:
    app = Slow()
    reader, writer = await (await serve(app)).dial()
    writer.write(ask)
    writer.write_eof()
    for _ in range(20):
        await asyncio.sleep(0)
    app.let.set()
    response = await answer(reader)
    assert (response.status, response.json) == (200, {"body": 2 * (ask != ASK)})
    assert await reader.read() == b""
    writer.close()


async def test_who_sends_no_more_has_left_also_where_the_application_begins_late(serve: Any) -> None:
    begins, left = asyncio.Event(), asyncio.Event()

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await begins.wait()
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    served = await serve(late)
    reader, writer = await served.dial()
    writer.write(ASK)
    writer.write_eof()
    for _ in range(20):
        await asyncio.sleep(0)
    begins.set()
    await asyncio.wait_for(left.wait(), 20)
    assert await reader.read() == b""
    assert not served.state.connections
    writer.close()


async def test_who_sends_no_more_has_left_for_those_who_wait_for_it(serve: Any) -> None:
    app = Slow(waits=True)
    served = await serve(app)
    reader, writer = await served.dial()
    writer.write(ASK)
    writer.write_eof()
    await asyncio.wait_for(app.left.wait(), 20)
    assert await reader.read() == b""
    assert not served.state.connections
    writer.close()


def test_lines_of_all_kinds() -> None:
    line = proxy_line(("::1", 5), ("::1", 7), uid=None, tls=False)
    parsed = read_line(line + b"rest")
    assert parsed is not None
    assert parsed[0].extension() == {"uid": None, "loopback": True, "tls": False, "local": ("::1", 7)}
    assert parsed[1] == len(line)
    far = read_line(proxy_line(("10.1.2.3", 5), ("10.1.2.4", 7), uid=None, tls=True))
    assert far is not None
    assert not far[0].extension()["loopback"]
    for end in range(len(line)):
        assert read_line(line[:end]) is None


@given(st.binary(max_size=80), st.integers(0, 255), st.integers(0, 255))
def test_a_line_is_one_or_an_error(rest: bytes, kind: int, family: int) -> None:
    data = SIGNATURE + bytes([kind, family]) + len(rest).to_bytes(2, "big") + rest
    try:
        read_line(data)
    except ValueError:
        pass


@pytest.mark.parametrize("line", [SIGNATURE + b"\x20\x00\0\0", SIGNATURE + b"\x21\x11\xff\xff", LINE[:14] + b"\0\2xx"])
async def test_a_line_that_is_none_is_hung_up_on(serve: Any, line: bytes) -> None:
    reader, writer = await (await serve()).dial()
    writer.write(line + ASK)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


# --- slow readers ---


class Streaming:
    """Answers with pieces; `ended` when it does no more."""

    def __init__(self, pieces: Callable[[], AsyncGenerator[bytes]], *, every: float = 10.0) -> None:
        self._pieces, self._every = pieces, every
        self.ended = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await Streamed(self._pieces(), beat=b": beat", every=self._every)(scope, receive, send)
        finally:
            self.ended.set()


async def test_who_does_not_read_for_long_is_hung_up_on(serve: Any) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)

    app = Streaming(endless)
    reader, writer = await (await serve(app, unread=1 << 16, seconds=0.05)).dial()
    writer.write(ASK)
    await asyncio.wait_for(app.ended.wait(), 20)
    with suppress(ConnectionError):
        assert b"\r\n0\r\n\r\n" not in await reader.read()
    writer.close()


async def test_nothing_comes_after_the_end_of_an_answer_that_was_read_late(serve: Any) -> None:
    async def two() -> AsyncGenerator[bytes]:
        yield b"x" * (1 << 20)
        yield b"the end"

    app = Streaming(two, every=0.01)
    reader, writer = await (await serve(app, unread=1 << 16)).dial()
    writer.write(ASK)
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(3):  # a beat, too, waits for the client to read
        await asyncio.sleep(0.02)
    await reader.readexactly(1 << 20)
    assert (await reader.readuntil(b"0\r\n\r\n")).endswith(b"7\r\nthe end\r\n0\r\n\r\n")
    writer.write(ASK)
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


# --- hostile input ---


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\xff" * 100 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_request_is_told_so(serve: Any, data: bytes) -> None:
    response = await (await serve()).ask(data)
    assert response.status in (400, 501)
    assert "HTTP" in response.json["error"]["message"]
    assert response.headers["connection"] == "close"


async def test_a_path_that_is_no_utf8_reaches_the_app_as_text(serve: Any) -> None:
    app = Heard()
    assert (await (await serve(app)).ask(b"GET /%ff%fe HTTP/1.1\r\nHost: h\r\n\r\n")).status == 200
    assert app.scopes[0]["path"] == "/\ufffd\ufffd"


async def test_ten_thousand_headers_and_heads_without_end(serve: Any) -> None:
    served = await serve()
    few = b"".join(b"X-%d: y\r\n" % each for each in range(99))
    assert (await served.ask(b"GET / HTTP/1.1\r\nHost: h\r\n" + few + b"\r\n")).status == 200
    assert (await served.ask(b"GET / HTTP/1.1\r\nHost: h\r\nY: z\r\n" + few + b"\r\n")).status == 431
    many = b"".join(b"X-%d: y\r\n" % each for each in range(10_000))
    assert (await served.ask(b"GET / HTTP/1.1\r\nHost: h\r\n" + many + b"\r\n")).status == 431
    assert (await served.ask(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)).status == 431


async def test_a_body_that_says_it_is_too_long_is_refused_at_once(serve: Any) -> None:
    app = Heard()
    response = await (await serve(app)).ask(b"POST /v1 HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n")
    assert response.status == 413
    assert response.json["error"]["message"] == "The body is longer than 32 MiB."
    assert app.scopes == []


async def test_what_cannot_be_read_is_told_in_the_words_of_its_path(serve: Any) -> None:
    served = await serve(seconds=0.05, body=10)
    ask = b"POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"
    long = await served.ask(ask % (b"/v1/messages?beta=true", 11))
    assert long.json["error"] == {"type": "request_too_large", "message": "The body is longer than 0 MiB."}
    wrong: tuple[tuple[bytes, int], ...] = (
        (ask % (b"/v1/messages", 5), 408),
        (b"POST /v1/messages HTTP/1.1\r\nX: ", 408),
        (b"POST /v1/messages HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 400),
        (b"POST /v1/messages HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
        (b"POST http://h/v1/messages HTTP/1.1\r\nHost: h\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
    )
    for data, status in wrong:
        response = await served.ask(data)
        assert (response.status, response.json["type"]) == (status, "error")
        assert response.json["error"]["type"] == "invalid_request_error"
    assert (await served.ask(b"POST /omni/v1/x HTTP/1.1\r\n\r\n")).json["error"]["kind"] == "unread"


async def test_a_second_request_is_told_in_its_own_words(serve: Any) -> None:
    first = b"GET /api/tags HTTP/1.1\r\nHost: h\r\n\r\n"
    for second in (b"GET /v1/messages HTTP/1.1\r\n\r\n", b"GET /v1/messages HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n"):
        reader, writer = await (await serve()).dial()
        writer.write(first + second)
        assert (await answer(reader)).status == 200
        refused = await answer(reader)
        assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")
        assert refused.json["type"] == "error"
        writer.close()


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        (b"http://127.0.0.1:1/health", "/health", b"127.0.0.1:1"),
        (b"HTTPS://localhost/a%20b?c=d", "/a b", b"localhost"),
        (b"http://evil.example", "/", b"evil.example"),
        (b"http://[::1]?x", "/", b"[::1]"),
    ],
)
async def test_a_whole_address_is_its_path_and_its_host(serve: Any, target: bytes, path: str, host: bytes) -> None:
    app = Heard()
    assert (await (await serve(app)).ask(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target)).status == 200
    assert app.scopes[0]["path"] == path
    assert [value for name, value in app.scopes[0]["headers"] if name == b"host"] == [host]
    assert app.scopes[0]["query_string"] == target.partition(b"?")[2]


@pytest.mark.parametrize(
    "target",
    [b"http:///health", b"http://a@127.0.0.1/", b"ftp://127.0.0.1/", b"127.0.0.1:1", b"health", b"http://[::1/"],
)
async def test_an_address_of_another_kind_is_refused(serve: Any, target: bytes) -> None:
    response = await (await serve()).ask(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % target)
    assert response.status == 400


async def test_a_body_that_turns_out_too_long_is_cut_off(serve: Any) -> None:
    app = Heard()
    reader, writer = await (await serve(app, body=1 << 20)).dial()
    writer.write(b"POST /api/chat HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(17):
        writer.write(chunk)
    response = await answer(reader)
    assert response.status == 413
    assert response.json == {"error": "The body is longer than 1 MiB."}  # in Ollama's words, because of the path
    await asyncio.wait_for(app.left.wait(), 20)
    writer.close()


async def test_a_body_of_the_right_length_comes_through(serve: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (32 << 20)
    assert (await (await serve()).ask(head + b"x" * (32 << 20))).json == {"body": 32 << 20}


@pytest.mark.parametrize(
    "said", [b"", b"GET / HT", LINE, LINE + b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nxy"]
)
async def test_a_request_that_stops_half_way(serve: Any, said: bytes) -> None:
    response = await (await serve(seconds=0.05)).ask(said)
    assert response.status == 408
    assert response.json["error"]["message"] == "Nothing came for 0.05 s, and the request was not whole."


class Clock:
    """As much of a loop as the protocol uses, with a time that tests move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []
        self.create_task = asyncio.get_running_loop().create_task

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Any, *arguments: Any) -> Any:
        entry = (self.now + delay, call, arguments)
        self.calls.append(entry)
        return type("Handle", (), {"cancel": lambda _: self.calls.remove(entry) if entry in self.calls else None})()

    def move(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [each for each in self.calls if each[0] <= until]:
            first = min(due, key=lambda each: each[0])
            self.calls.remove(first)
            self.now = max(self.now, first[0])
            first[1](*first[2])
        self.now = until


class Wire(asyncio.Transport):
    """What was written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed = b"", False
        self.written = asyncio.Event()

    def write(self, data: Any) -> None:
        self.sent += bytes(data)
        self.written.set()

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    @property
    def status(self) -> int:
        return int(self.sent.split()[1]) if self.sent else 0


def alone(served: Any) -> tuple[Any, Wire, Clock]:
    clock, wire = Clock(), Wire()
    protocol = served.protocol(served.config, served.state, {}, clock)
    protocol.connection_made(wire)
    return protocol, wire, clock


async def test_one_byte_a_second_keeps_a_body_alive_but_no_head(serve: Any) -> None:
    served = await serve()
    protocol, wire, clock = alone(served)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
    for _ in range(99):
        clock.move(1)
        protocol.data_received(b"x")
    assert wire.sent == b""
    clock.move(31)
    assert (wire.status, wire.closed) == (408, True)
    protocol.connection_lost(None)
    protocol, wire, clock = alone(served)
    for count in range(100):
        clock.move(1)
        protocol.data_received(b"GET / HTTP/1.1\r\nX: xxxxxxxxxxxxxxxxxxxxx"[count : count + 1] or b"x")
        if wire.closed:
            break
    assert (wire.status, count) == (408, 30)
    protocol.connection_lost(None)


async def test_an_answer_may_take_as_long_as_it_likes_and_so_may_an_app_that_does_not_read(serve: Any) -> None:
    async def busy(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    served = await serve(busy)
    for body in (b"", b"x" * 100_000):  # the second is more than is read ahead
        protocol, wire, clock = alone(served)
        length = 200_000 if body else 0
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % length + body)
        clock.move(10_000)
        assert (wire.sent, wire.closed) == (b"", False)
        protocol.connection_lost(None)


async def test_an_idle_connection_is_closed_without_a_word(serve: Any) -> None:
    protocol, wire, clock = alone(await serve())
    protocol.data_received(ASK)
    await asyncio.wait_for(wire.written.wait(), 20)
    clock.move(protocol.timeout_keep_alive - 0.1)
    assert not wire.closed
    clock.move(0.2)
    assert (wire.closed, wire.sent.count(b"HTTP/1.1")) == (True, 1)
    protocol.connection_lost(None)


async def test_a_client_that_leaves_is_noticed(serve: Any) -> None:
    left = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    reader, writer = await (await serve(endless)).dial()
    writer.write(ASK)
    await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await asyncio.wait_for(left.wait(), 20)
