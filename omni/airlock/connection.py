"""One relayed connection: hear a whole head, dial the server, carry bytes both ways, let the last words be read."""

import json
import selectors
import socket
import time
from contextlib import suppress
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol

from omni.airlock.ends import ClientEnd
from omni.airlock.proxyline import proxy_line

if TYPE_CHECKING:
    import ssl

    from omni.airlock.audit import Audit, AuditLine

Group = tuple[str, bool]  # an address, and whether it is the person's own who runs this

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BLOCK = 1 << 16
RETRY = 0.02  # seconds until a server whose queue was full is dialled again
_TLS = 0x16  # how a greeting in TLS begins; no request does
_STATUS = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


class ListenerLimits(NamedTuple):
    """What one listener bears."""

    connections: int = 256
    per_address: int = 64
    own: int = 192  # of the person who runs this, from this machine; the rest is left to others
    head: int = 1 << 16  # bytes of the first head
    patience: float = 10.0  # seconds for it to be whole
    linger: float = 1.0  # seconds that one who was refused may take to read why
    idle: int = 60  # seconds after which the kernel asks a silent peer whether it is there


class ConnectionOwner(Protocol):
    """What a connection needs of the relay that carries it."""

    upstream: str
    context: "ssl.SSLContext | None"
    audit: "Audit"
    client: str
    limits: ListenerLimits
    selector: selectors.DefaultSelector
    moved: int

    def left(self, connection: "Connection") -> None:
        """A connection has ended."""

    def look_at(self, moment: float) -> None:
        """A connection wants to be told when it is late."""


class _Stage(Enum):
    HEAD = auto()  # a TLS handshake is part of it
    DIAL = auto()
    RELAY = auto()
    LAST_WORDS = auto()


class Connection:
    """From its acceptance to its end. Each direction holds at most one block, and then is not read from."""

    def __init__(
        self,
        relay: ConnectionOwner,
        end: ClientEnd,
        *,
        peer: tuple[str, int],
        here: tuple[str, int],
        uid: int | None,
        group: Group | None,
    ) -> None:
        self.group = group  # that it is counted in; None: it was turned away
        self.until = 0.0  # when `late` is called; 0.0: never
        self._give_up = time.monotonic() + relay.limits.patience
        self._relay, self._end, self._peer, self._here, self._uid = relay, end, peer, here, uid
        self._stage = _Stage.HEAD
        self._server: socket.socket | None = None
        self._head = bytearray()
        self._to_server: memoryview | None = None
        self._to_client: memoryview | None = None
        self._client_ended = False
        self._server_ended = False
        self._server_deaf = False  # it has hung up on us, but its answer may still be on the way
        self._interests: dict[socket.socket, int] = {}
        self._line: AuditLine | None = None
        self._count = 0
        self._open = True

    def begin(self) -> None:
        """Hear the head, most of which is there already."""
        self._wait_until(self._give_up)
        self.event(self._end.line, READ)

    def event(self, source: object, mask: int) -> None:
        """Something can be read or written."""
        try:
            if source is self._server and mask == READ:
                if self._from_server():
                    return  # a token has gone through: nothing else is waited for than before
            elif self._stage is _Stage.RELAY:
                if source is self._server:
                    self._server_event(mask)
                else:
                    self._client_event(mask)
            elif self._stage is _Stage.HEAD:
                self._hear_head()
            elif self._stage is _Stage.LAST_WORDS:
                self._discard()
        except OSError as error:
            if self._stage is _Stage.HEAD and (words := self._end.explain(error)):
                self.refuse(400, words, plain=True)
            else:
                self.close("cut by the client")
        if self._open:
            self._attend()

    def late(self) -> None:
        """The time of this stage is over."""
        if self._stage is _Stage.DIAL and time.monotonic() < self._give_up:
            self._dial()
        elif self._stage is _Stage.DIAL:
            self.refuse(503, "The server does not accept connections now. Try again later.")
        elif self._stage is _Stage.HEAD and self._head:
            self.refuse(408, f"The request's head was not complete within {self._relay.limits.patience:g} s.")
        else:
            self.close("refused: silent" if self._stage is _Stage.HEAD else "whole")
        if self._open:
            self._attend()

    def turn_away(self) -> None:
        """There is no place for it; it stands in the record already."""
        self.refuse(503, "Too many connections are open. Close some, or try again later.", noted=True)
        if self._open:
            self._attend()

    def refuse(self, status: int, words: str, *, plain: bool = False, noted: bool = False) -> None:
        """Answer in the server's stead, and end."""
        body = json.dumps({"error": {"message": words, "type": "relay_error", "param": None, "code": status}}).encode()
        head = (
            f"HTTP/1.1 {status} {_STATUS[status]}\r\nServer: omni\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        if not noted and self._line is None:
            self._relay.audit.note(self._relay.client, "serve", said(self._peer), f"refused: {status}")
        if plain:
            self._end.tell(head.encode() + body)
        else:
            with suppress(OSError):
                self._end.send(head.encode() + body)
        self._finish()

    def close(self, verdict: str) -> None:
        """End it on both sides."""
        if self._open:
            self._open = False
            for line in (self._end.line, self._server):
                if line is not None:
                    self._listen_for(line, 0)
                    line.close()
            if self._line is not None:
                self._line.close(self._count, verdict)
            self._relay.left(self)

    # -- the head ---------------------------------------------------------------------------------------------------

    def _hear_head(self) -> None:
        limit = self._relay.limits.head
        while (data := self._end.receive(BLOCK)) is not None:
            if not data:
                self.close("left before it asked")
                return
            if not self._head and data[0] == _TLS:
                self.refuse(400, "This port speaks http, not https.", plain=True)
                return
            seen = max(0, len(self._head) - 3)
            self._head += data
            ends = [at for mark in (b"\n\r\n", b"\n\n") if (at := self._head.find(mark, seen)) >= 0]
            if ends and min(ends) <= limit:
                self._stage = _Stage.DIAL
                self._dial()
                return
            if ends or len(self._head) > limit:
                self.refuse(431, f"The request's head is longer than {limit >> 10} KiB.")
                return

    def _dial(self) -> None:
        """Reach the server, whose socket accepts or refuses at once."""
        relay = self._relay
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.setblocking(False)
        try:
            server.connect(relay.upstream)
        except BlockingIOError:  # its queue is full
            server.close()
            self._wait_until(time.monotonic() + RETRY)
            return
        except OSError:
            server.close()
            self.refuse(502, "The server behind this port has gone, or is just starting. Try again.")
            return
        self._server, self.until, self._stage = server, 0.0, _Stage.RELAY
        line = proxy_line(self._peer, self._here, uid=self._uid, tls=relay.context is not None)
        self._count += len(self._head)
        self._relay.moved += len(self._head)
        first = line + self._head
        self._head = bytearray()
        sent = self._send_to_server(first)
        if sent < len(first):
            self._to_server = memoryview(first)[sent:]
        # The record comes after the first bytes are on their way: it costs what a request may not wait for.
        self._line = relay.audit.line(relay.client, "serve", said(self._peer))

    # -- both ways --------------------------------------------------------------------------------------------------

    def _client_event(self, mask: int) -> None:
        if self._to_client is not None and (mask & WRITE or self._end.wants_write):
            self._flush_to_client()
        if self._open and self._stage is _Stage.RELAY and (mask & READ or self._end.wants_write):
            self._from_client()

    def _server_event(self, mask: int) -> None:
        if mask & WRITE and self._to_server is not None:
            self._flush_to_server()
        if mask & READ and self._open and self._stage is _Stage.RELAY:
            self._from_server()

    def _from_client(self) -> None:
        while self._to_server is None and not self._client_ended:
            data = self._end.receive(BLOCK)
            if data is None:
                return
            if not data:
                self._client_ended = True
                self._no_more_to_server()
                return
            self._moved(len(data))
            sent = self._send_to_server(data)
            if sent < len(data):
                self._to_server = memoryview(data)[sent:]
            if not self._end.has_more():
                return

    def _from_server(self) -> bool:
        """Whether something came, and went on to the client as a whole."""
        if self._to_client is not None or self._server is None:
            return False
        try:
            data = self._server.recv(BLOCK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._server_ended = True
            self._finish()
            return False
        self._moved(len(data))
        sent = self._end.send(data)
        if sent < len(data):
            self._to_client = memoryview(data)[sent:]
            return False
        return not self._end.wants_write

    def _flush_to_client(self) -> None:
        if self._to_client is not None:
            left = self._to_client[self._end.send(self._to_client) :]
            self._to_client = left if len(left) else None

    def _flush_to_server(self) -> None:
        if self._to_server is None:
            return
        left = self._to_server[self._send_to_server(self._to_server) :]
        self._to_server = left if len(left) else None
        if self._to_server is None:
            if self._client_ended:
                self._no_more_to_server()
            else:
                self._from_client()  # what TLS has unpacked already makes no event

    def _send_to_server(self, data: bytes | bytearray | memoryview) -> int:
        if self._server is None or self._server_deaf:
            return len(data)
        try:
            return self._server.send(data)
        except BlockingIOError:
            return 0
        except OSError:  # it answers without having read everything, as with a body that is too large
            self._server_deaf = True
            return len(data)

    def _no_more_to_server(self) -> None:
        if self._server is not None and self._to_server is None and not self._server_deaf:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_WR)

    def _moved(self, count: int) -> None:
        self._count += count
        self._relay.moved += count

    # -- the end ----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Nothing more is to be sent. What the client still sends is read for a moment: otherwise the kernel would
        throw away what the client has not read yet."""
        self._end.hang_up()
        if self._client_ended:
            self.close("whole")
            return
        self._stage = _Stage.LAST_WORDS
        self._wait_until(time.monotonic() + self._relay.limits.linger)
        if self._server is not None:
            self._listen_for(self._server, 0)
            self._server.close()
            self._server = None

    def _discard(self) -> None:
        data = self._end.receive(BLOCK)
        if data is not None and not data:
            self.close("whole")

    def _wait_until(self, moment: float) -> None:
        self.until = moment
        self._relay.look_at(moment)

    def _attend(self) -> None:
        """Tell the kernel what is waited for."""
        client = server = 0
        if self._stage is _Stage.RELAY:
            if self._to_server is None and not self._client_ended:
                client |= READ
            if self._to_client is not None or self._end.wants_write:
                client |= WRITE
            if self._to_client is None and not self._server_ended:
                server |= READ
            if self._to_server is not None:
                server |= WRITE
        elif self._stage is not _Stage.DIAL:
            client = READ | (WRITE if self._end.wants_write else 0)
        self._listen_for(self._end.line, client)
        if self._server is not None:
            self._listen_for(self._server, server)

    def _listen_for(self, line: socket.socket, events: int) -> None:
        before = self._interests.get(line, 0)
        if events == before:
            return
        self._interests[line] = events
        if not events:
            self._relay.selector.unregister(line)
        elif before:
            self._relay.selector.modify(line, events, self)
        else:
            self._relay.selector.register(line, events, self)


def said(address: tuple[str, int]) -> str:
    """An address as people write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
