"""One loop that carries bytes between a public address and a server's Unix socket, for all connections of a listener.

A connection waits until its first head is whole, so that nobody can hold the server with a half one; then it is dialled
through, a PROXY line first. Of each direction at most one block waits: who reads slowly is not read from meanwhile.
"""

import errno
import os
import selectors
import socket
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from omni.airlock.connection import READ, Connection, Group, ListenerLimits, said
from omni.airlock.ends import ClientEnd
from omni.airlock.peers import owner
from omni.airlock.proxyline import is_loopback

if TYPE_CHECKING:
    import ssl

    from omni.airlock.audit import Audit, OrderWatch


_TELL = 0.5  # seconds: the record is told of bytes no more often


class Relay:
    """All connections of one listener. `run` returns when the watch was cancelled."""

    def __init__(
        self,
        listener: socket.socket,
        upstream: str,
        *,
        context: "ssl.SSLContext | None",
        watch: "OrderWatch",
        audit: "Audit",
        limits: ListenerLimits | None = None,
    ) -> None:
        self.upstream, self.context, self.audit, self.limits = upstream, context, audit, limits or ListenerLimits()
        self.watch, self.client = watch, watch.client
        self.selector = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.moved = 0  # bytes that the record does not know yet
        self._listener: socket.socket | None = listener
        self._admitted: Counter[Group] = Counter()
        self._refused = 0.0
        self._look = 0.0  # when a connection may be late; 0.0: none will be
        self._told = 0.0  # when the record was told of bytes
        self._bell, ours = socket.socketpair()
        self._ours = ours
        ours.setblocking(False)
        self._door = watch.door(said(listener.getsockname()[:2]))
        self._door.attach(self._bell)
        self.selector.register(ours, READ, self)
        self.selector.register(listener, READ, self)

    def run(self) -> None:
        """Relay. A drain closes the listener and goes on with what is open."""
        while not self.watch.cancelled:
            for key, mask in self.selector.select(self._rest()):
                if isinstance(key.data, Connection):
                    key.data.event(key.fileobj, mask)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    with suppress(OSError):
                        if not self._ours.recv(64):
                            return
            if self.watch.draining and self._listener is not None:
                self._shut()
            self._tick()

    def close(self) -> None:
        """End everything."""
        for connection in list(self.connections):
            connection.close("cut")
        self._shut()
        self.selector.close()
        self._ours.close()
        self._bell.close()
        self._tell(time.monotonic())
        self._door.close("whole")

    def left(self, connection: "Connection") -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        if connection.group is not None:
            self._admitted[connection.group] -= 1
            if not self._admitted[connection.group]:
                del self._admitted[connection.group]

    def look_at(self, moment: float) -> None:
        """A connection wants to be told when it is late."""
        self._look = min(self._look or moment, moment)

    def _rest(self) -> float | None:
        return max(0.0, self._look - time.monotonic()) if self._look else None

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL:
            self._tell(now)
        if self._look and self._look <= now:
            self._look = 0.0
            for connection in [one for one in self.connections if one.until]:
                if connection.until <= now:
                    connection.late()
            for connection in self.connections:
                if connection.until:
                    self.look_at(connection.until)

    def _tell(self, now: float) -> None:
        self._told = now
        self._door.received(self.moved)
        self.moved = 0

    def _shut(self) -> None:
        if self._listener is not None:
            self.selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        for _ in range(16):  # then the others have their turn
            if self._listener is None:
                return
            try:
                line, name = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    time.sleep(0.01)  # nothing can be accepted, and the listener stays readable
                return
            try:
                self._welcome(line, (str(name[0]).removeprefix("::ffff:").partition("%")[0], int(name[1])))
            except (OSError, ValueError):  # it has gone already
                line.close()

    def _welcome(self, line: socket.socket, peer: tuple[str, int]) -> None:
        line.setblocking(False)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self.limits.idle)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1000 * 2 * self.limits.idle)
        name = line.getsockname()
        here = (str(name[0]).removeprefix("::ffff:").partition("%")[0], int(name[1]))
        uid = owner(peer, here) if is_loopback(peer[0]) else None
        own = uid is not None and uid == os.getuid()
        group = (peer[0], own)
        limit = self.limits.own if own else self.limits.per_address
        full = self._admitted.total() >= self.limits.connections or self._admitted[group] >= limit
        if full:
            self._note_refusal(peer)
            # Why it is refused is said to as many as are served; and with TLS it would need a handshake.
            if self.context is not None or len(self.connections) >= 2 * self.limits.connections:
                line.close()
                return
        else:
            self._admitted[group] += 1
        connection = Connection(self, self._end(line), peer=peer, here=here, uid=uid, group=None if full else group)
        self.connections.add(connection)
        if full:
            connection.turn_away()
        else:
            connection.begin()

    def _end(self, line: socket.socket) -> ClientEnd:
        if self.context is None:
            return ClientEnd(line)
        from omni.airlock.encrypted import EncryptedEnd

        return EncryptedEnd(line, self.context)

    def _note_refusal(self, peer: tuple[str, int]) -> None:
        """One line a second: who knocks a thousand times shall not fill the disk."""
        now = time.monotonic()
        if now - self._refused >= 1:
            self._refused = now
            self.audit.note(self.client, "serve", said(peer), "refused: too many connections")
