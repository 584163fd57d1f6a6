"""HTTP/1.1 on the server's socket: uvicorn's protocol class, with the relay's PROXY line read and every request bounded.

What cannot be a request is answered before the application hears of it, in the words of the protocol that its path
belongs to: 400 for what is no HTTP, 408 for one that stops half way, 413 for a body and 431 for a head that are too large.
"""

import asyncio
import socket
import struct
import sys
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import h11
from starlette.types import Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol
from uvicorn.server import ServerState

from omni.airlock import proxyline
from omni.server.error_formats import problem_at
from omni.server.errors import Unread

RELAY = "omni.relay"  # the name of the extension in a scope
PIECES = "omni.pieces"  # in a scope: sends a piece of a body past the layers around the application
HEAD = 1 << 16
_LINE = 16  # bytes before the rest of a PROXY line
_LONGEST = 1 << 12
_WORDS = {
    400: "This is no request that HTTP knows.",
    408: "Nothing came for {seconds:g} s, and the request was not whole.",
    413: "The body is longer than {body} MiB.",
    431: "The head is longer than 64 KiB, or has more than {headers} headers.",
}


class HttpLimits(NamedTuple):
    """What one request and its answer may be."""

    headers: int = 100
    body: int = 32 << 20
    seconds: float = (
        30.0  # for a head, between two pieces of a body, and for a client to read on where much waits for it
    )
    unread: int = 8 << 20  # bytes of an answer that wait here for its client; then the brain does


class Relayed(NamedTuple):
    """What the relay knows of a connection."""

    client: tuple[str, int]
    local: tuple[str, int]
    uid: int | None
    tls: bool

    def extension(self) -> dict[str, Any]:
        """As it stands in the scope."""
        return {
            "uid": self.uid,
            "loopback": proxyline.is_loopback(self.client[0]),
            "tls": self.tls,
            "local": self.local,
        }


def read_line(data: bytes | bytearray) -> tuple[Relayed, int] | None:
    """The PROXY line at the start, and its length; None while it is not whole. Raises ValueError when it is none."""
    if len(data) < _LINE:
        return None
    kind, family, length = struct.unpack_from(">BBH", data, len(proxyline.SIGNATURE))
    if kind != proxyline.PROXY or family not in (proxyline.TCP4, proxyline.TCP6) or length > _LONGEST:
        raise ValueError("not of our relay")
    end = _LINE + length
    if len(data) < end:
        return None
    size, name = (4, socket.AF_INET) if family == proxyline.TCP4 else (16, socket.AF_INET6)
    body = bytes(data[_LINE:end])
    if length < 2 * size + 4:
        raise ValueError("too short")
    hosts = [socket.inet_ntop(name, body[at : at + size]).removeprefix("::ffff:") for at in (0, size)]
    ports = struct.unpack_from(">HH", body, 2 * size)
    uid, tls, at = None, False, 2 * size + 4
    while at + 3 <= length:
        kind, long = struct.unpack_from(">BH", body, at)
        value = body[at + 3 : at + 3 + long]
        if len(value) != long:
            raise ValueError("cut")
        if kind == proxyline.UID:
            uid = int(value)
        elif kind == proxyline.SSL:
            tls = bool(value and value[0] & 1)
        at += 3 + long
    return Relayed((hosts[0], ports[0]), (hosts[1], ports[1]), uid, tls), end


class _BoundedConnection(h11.Connection):
    """h11's, which also counts. `path` is what the client asks for, as soon as that can be read."""

    def __init__(self, bounds: HttpLimits) -> None:
        super().__init__(h11.SERVER, HEAD)
        self._bounds, self._came = bounds, 0
        self.path = ""
        self.in_chunks = False  # the answer that is being sent

    def send(self, event: Any) -> Any:
        """The bytes of an event, or None."""
        sent = super().send(event)
        if isinstance(event, h11.Response):
            self.in_chunks = sent is not None and b"\r\ntransfer-encoding: chunked\r\n" in sent.lower()
        return sent

    def next_event(self) -> Any:
        """The next event. Raises RemoteProtocolError with the status that says why."""
        if self.their_state is h11.IDLE:  # what h11 refuses, it does not give back
            self.path = _path(self.trailing_data[0])
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._came = 0
            if not event.target.startswith((b"/", b"*")):
                event = _in_origin_form(event)
            if len(event.headers) > self._bounds.headers:
                raise h11.RemoteProtocolError("too many headers", error_status_hint=431)
            for name, value in event.headers:
                if name == b"content-length" and int(value) > self._bounds.body:
                    raise h11.RemoteProtocolError("a long body", error_status_hint=413)
        elif isinstance(event, h11.Data):
            self._came += len(event.data)
            if self._came > self._bounds.body:
                raise h11.RemoteProtocolError("a long body", error_status_hint=413)
        return event


def _path(head: bytes) -> str:
    """The path in the first line of a head that may be cut or broken; "" where there is none."""
    words = head[:4096].lstrip(b"\r\n").partition(b"\n")[0].split(b" ", 2)
    if len(words) < 3:
        return ""
    target = words[1].decode("ascii", "replace")
    if not target.startswith("/"):
        target = target.partition("://")[2].partition("/")[2]
        target = "/" + target
    return unquote(target.partition("?")[0])


def _in_origin_form(asked: h11.Request) -> h11.Request:
    """A request that names a whole address (RFC 9112, 3.2.2), as if it named the path: who is meant says the address then,
    and the Host header does not count. Raises RemoteProtocolError for an address that is not of this kind."""
    address = asked.target.decode("ascii")
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good:
        raise h11.RemoteProtocolError("a strange target", error_status_hint=400)
    _, _, rest = address.partition("://")
    target = rest[len(parts.netloc) :]
    headers = [(name, value) for name, value in asked.headers if name != b"host"]
    return h11.Request(
        method=asked.method,
        target=(target if target.startswith("/") else f"/{target}").partition("#")[0].encode(),
        headers=[(b"host", parts.netloc.encode()), *headers],
        http_version=asked.http_version,
    )


class Protocol(H11Protocol):
    """One connection. Without a PROXY line, as in tests, nothing is known of who is at its other end."""

    bounds = HttpLimits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.conn = self._counted = _BoundedConnection(self.bounds)
        self._inner: Any = self.app
        self.app: Any = self._relayed_app
        self._relayed: Relayed | None = None
        self._unread: bytearray | None = bytearray()  # until the PROXY line is whole
        self._heard = self._began = self.loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._ended = False  # the client sends no more, and what it asked is being answered

    async def _relayed_app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._relayed is not None:
            scope["extensions"] = {RELAY: self._relayed.extension()}
        scope[PIECES] = self._send_piece
        cycle, whole = self.cycle, False

        async def heard() -> Message:
            nonlocal whole
            if not (whole and self._ended):  # else nothing more would come, and nobody would wake who waits for it
                message = await receive()
            if whole and self._ended:
                cycle.disconnected = True
                return {"type": "http.disconnect"}
            whole = message["type"] == "http.request" and not message["more_body"]
            return message

        try:
            await self._inner(scope, heard, send)
        finally:
            if self._ended:
                self.transport.close()

    async def _send_piece(self, data: bytes) -> None:
        """Send a piece of a body whose head was sent. This is the way of every token: through all layers and h11 it took
        a fifth of the server's time."""
        cycle = self.cycle
        if not self._counted.in_chunks or cycle.scope["method"] == "HEAD":
            await cycle.send({"type": "http.response.body", "body": data, "more_body": True})
            return
        if self.flow.write_paused and not cycle.disconnected:
            try:
                async with asyncio.timeout(self.bounds.seconds):
                    await self.flow.drain()
            except TimeoutError:
                self.transport.abort()  # else whoever does not read holds a place for as long as it likes
                return
        if data and not cycle.disconnected and not cycle.response_complete:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn has this kind only
        """See asyncio."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(self.bounds.unread)
        self._timer = self.loop.call_later(self.bounds.seconds, self._look)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn returns nothing
        """See asyncio. Whoever asked and then closed its sending side, as `nc -N` does, still reads what can be answered
        without waiting. Nobody can tell it from one who left, though, before something is written to it; so an
        application that waits for either is told that the client left, and no place is held for nobody."""
        cycle = self.cycle
        self._ended = cycle is not None and not cycle.response_complete and not cycle.more_body
        if self._ended:
            cycle.message_event.set()
        return self._ended

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._heard = self.loop.time()
        if self._unread is not None:
            self._unread += data
            start = bytes(self._unread[: len(proxyline.SIGNATURE)])
            if start == proxyline.SIGNATURE[: len(start)]:
                try:
                    parsed = read_line(self._unread)
                except (ValueError, struct.error):
                    self.transport.abort()
                    return
                if parsed is None:
                    return
                self._relayed, end = parsed
                self.client, self.server = self._relayed.client, self._relayed.local
                self.scheme = "https" if self._relayed.tls else "http"
                del self._unread[:end]
            data, self._unread = bytes(self._unread), None
            if not data:
                return
        if self.conn.their_state is h11.IDLE and not self._has_begun():
            self._began = self._heard
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """Called for what h11 refuses; the error that it is called for knows the status."""
        self._refuse(getattr(sys.exception(), "error_status_hint", 400))

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            started = self.cycle.response_started
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if started:
                self.transport.close()
                return
        words = _WORDS.get(status, _WORDS[400]).format(
            seconds=self.bounds.seconds, body=self.bounds.body >> 20, headers=self.bounds.headers
        )
        told = problem_at(self._counted.path)(Unread(words, status=status))
        headers = [*self.server_state.default_headers, *told.raw_headers, (b"connection", b"close")]
        reason = STATUS_PHRASES[status]
        try:
            for event in (
                h11.Response(status_code=status, headers=headers, reason=reason),
                h11.Data(data=bytes(told.body)),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        except h11.LocalProtocolError:  # it is no time for an answer
            pass
        self.transport.close()

    def _has_begun(self) -> bool:
        """Whether a part of a head has come."""
        return bool(self.conn.trailing_data[0])

    def _look(self) -> None:
        """Is the client still sending what it has begun?"""
        self._timer = None
        if self.transport.is_closing():
            return
        now, seconds = self.loop.time(), self.bounds.seconds
        waits = self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused
        head = self.conn.their_state is h11.IDLE and (self._has_begun() or self.cycle is None)
        since = self._heard if waits else self._began
        if (waits or head) and now - since >= seconds:
            self._refuse(408)
            return
        self._timer = self.loop.call_later(max(since + seconds - now, 0.01) if waits or head else seconds, self._look)
