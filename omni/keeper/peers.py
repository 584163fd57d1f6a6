"""The keeper's end of one client's connection. Its end is the client's departure, however it died.

Both directions are bounded: who sends a line without end, sends garbage or never reads is disconnected. A client that
is still there connects again and says what it holds.
"""

import selectors
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from omni.core.errors import OmniError, error_to_wire
from omni.keeper.wire import Garbage, LineDecoder, encode

MAX_UNREAD = 1 << 20  # bytes that wait for a client

Order = dict[str, Any]


class Peer:
    """One connection."""

    def __init__(
        self,
        number: int,
        connection: socket.socket,
        selector: selectors.BaseSelector,
        *,
        obey: Callable[["Peer", Order], None],
        lost: Callable[["Peer"], None],
    ) -> None:
        self.number, self.since, self.connected = number, time.time(), time.monotonic()
        self.name, self.pid, self.starter = "", 0, 0  # known after its hello
        self.jobs = ""  # the socket on which it offers its jobs
        self.tries = False  # whether it tries the wall when it is asked to
        self.told: dict[int, Any] = {}  # what its tickets were told last
        self._socket, self._selector, self._obey, self._lost = connection, selector, obey, lost
        self._lines, self._out = LineDecoder(), bytearray()
        self.open = True
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, self._event)

    def send(self, value: Mapping[str, Any]) -> None:
        """Send an object as soon as the client reads."""
        if not self.open:
            return
        self._out += encode(value)
        if len(self._out) > MAX_UNREAD:
            self.close()
        else:
            self._write()

    def answer(self, order: Order, value: Any = None) -> None:
        """What was asked for."""
        self.send({"id": order.get("id"), "ok": value})

    def refuse(self, order: Order, error: OmniError) -> None:
        """Why it cannot be had."""
        self.send({"id": order.get("id"), "error": error_to_wire(error)})

    def reply(self, order: Order, outcome: Any) -> None:
        """Answer with what was found, which may be why there is nothing."""
        if isinstance(outcome, OmniError):
            self.refuse(order, outcome)
        else:
            self.answer(order, outcome)

    def flush(self, seconds: float) -> None:
        """Wait a little until the client has read all, before the keeper ends."""
        if self.open and self._out:
            with suppress(OSError):
                self._socket.settimeout(seconds)
                self._socket.sendall(self._out)

    def credentials(self) -> int:
        """The pid of who connected, in the kernel's words; 0 where it does not tell (macOS, another pid namespace)."""
        if not hasattr(socket, "SO_PEERCRED"):
            return 0
        ucred = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)  # struct ucred: pid, uid, gid
        return int.from_bytes(ucred[:4], sys.byteorder)

    def close(self) -> None:
        """End the connection."""
        if self.open:
            self.open = False
            self._selector.unregister(self._socket)
            self._socket.close()
            self._lost(self)

    def _event(self, mask: int) -> None:
        if mask & selectors.EVENT_WRITE:
            self._write()
        if mask & selectors.EVENT_READ and self.open:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(65536)
            orders = self._lines.feed(data) if data else None
        except BlockingIOError:
            return
        except OSError:
            orders = None
        except Garbage as error:
            self.send({"error": error_to_wire(OmniError(f"The keeper does not understand: {error}."))})
            orders = None
        if orders is None:
            self.close()
            return
        for order in orders:
            if self.open:
                self._obey(self, order)

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._out[:sent]
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        if self._selector.get_key(self._socket).events != wanted:
            self._selector.modify(self._socket, wanted, self._event)
