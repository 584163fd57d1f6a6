"""The process of the airlock: the only one of Omni that opens INET sockets, and none before it is asked with a token.

The keeper starts it with a line on fd 0, a socket or pipe, that names home and socket; then comes one line per token.
The end of fd 0 is the end of the process, at once. Open doors are told to the keeper on the same line, and so is what
came of `{"order": "wall"}`, which has this process try the wall. `{"order": "leave"}` ends it while nobody has a token or
a connection. It can be killed at any moment: what is half done lies
in `.part` files.
"""

import json
import os
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from omni.airlock import listen, orders
from omni.airlock.audit import Audit, OpenDoors, OrderWatch
from omni.core import confinement
from omni.core.errors import NetworkBlocked, OmniError, error_to_wire
from omni.core.paths import Home

_KEEPER = 0
_MOST = 16  # orders at a time; others wait their turn
_CLIENTS = 200
_TOKENS = 1024
_TOKEN_SECONDS = 60.0
_HURRY = 10.0  # seconds for a client to send its order
_BEAT = 1.0  # seconds between two reports of what came through open doors


def main() -> None:
    """Serve until the keeper is gone."""
    confinement.undumpable()
    os.umask(0o077)
    lines = _DescriptorReader()
    greeting = _first(lines)
    home = Home(greeting["home"])
    path = Path(greeting["socket"])
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(os.fspath(path))
    listener.listen(64)
    Airlock(home, listener, lines).run()


class _OrderToken(NamedTuple):
    purpose: str
    client: str
    until: float


class _Client:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = bytearray()
        self.until = time.monotonic() + _HURRY
        self.watch: OrderWatch | None = None  # once it has ordered
        self.order: orders.Order | listen.Listen | None = None


class Airlock:
    """One loop for keeper and clients; one thread an order."""

    def __init__(self, home: Home, listener: socket.socket, lines: "_DescriptorReader") -> None:
        self._home, self._listener, self._lines = home, listener, lines
        self._audit = Audit(home)
        self._doors = OpenDoors(self._audit, self._wake)
        self._tokens: dict[str, _OrderToken] = {}
        self._clients: set[_Client] = set()
        self._queue: deque[_Client] = deque()
        self._running = self._listening = 0
        self._finished: deque[_Client] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe()
        self._reported: list[dict[str, Any]] = []
        self._report_at = 0.0

    def run(self) -> None:
        """Returns only by ending the process."""
        for descriptor in (_KEEPER, self._wake_reader, self._wake_writer):
            os.set_blocking(descriptor, False)
        self._listener.setblocking(False)
        self._selector.register(_KEEPER, selectors.EVENT_READ, self._hear_keeper)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, self._woken)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._take_tokens()
        while True:
            for key, _ in self._selector.select(self._rest()):
                if isinstance(key.data, _Client):
                    self._hear(key.data)
                else:
                    key.data()
            self._collect()
            self._expire()
            self._report()

    def _rest(self) -> float | None:
        """How long nothing can happen by itself; for good when there is nobody."""
        return _BEAT if self._clients or self._tokens or self._reported else None

    def _hear_keeper(self) -> None:
        if not self._lines.more(_KEEPER):
            self._leave()  # threads in mid-download included: their parts stay
        self._take_tokens()

    def _leave(self) -> NoReturn:
        with suppress(OSError):
            os.unlink(self._listener.getsockname())
        os._exit(0)

    def _take_tokens(self) -> None:
        for line in self._lines.take():
            if line.get("order") == "wall":
                self._say({"order": "wall", "attempts": [attempt._asdict() for attempt in confinement.attempts()]})
                continue
            if line.get("order") == "leave":
                self._expire()
                if not (self._clients or self._tokens):
                    self._leave()
                self._say({"stays": True})
                continue
            token, purpose = line.get("token"), line.get("purpose")
            if isinstance(token, str) and isinstance(purpose, str) and len(token) >= 16:
                until = time.monotonic() + _TOKEN_SECONDS
                self._tokens[token] = _OrderToken(purpose, str(line.get("client", "")), until)
                while len(self._tokens) > _TOKENS:
                    del self._tokens[next(iter(self._tokens))]

    def _accept(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            if len(self._clients) >= _CLIENTS:
                connection.close()
                return
            client = _Client(connection)
            connection.settimeout(orders.PATIENCE)  # for what its thread sends; the loop only reads what is there
            self._clients.add(client)
            self._selector.register(connection, selectors.EVENT_READ, client)

    def _hear(self, client: _Client) -> None:
        try:
            data = client.connection.recv(65536)
        except OSError:
            data = b""
        if client.watch is not None and data == listen.DRAIN and isinstance(client.order, listen.Listen):
            client.watch.drain()
            return
        if client.watch is not None:  # it hangs up, or says what it has no business to say
            client.watch.cancel()
            self._selector.unregister(client.connection)
            if client in self._queue:
                self._queue.remove(client)
                self._drop(client)
            return
        client.received += data
        if not data or len(client.received) > orders.MAX_LINE:
            self._selector.unregister(client.connection)
            self._drop(client)
        elif client.received.endswith(b"\n"):
            self._take_order(client)

    def _take_order(self, client: _Client) -> None:
        token: _OrderToken | None = None
        try:
            try:
                line = json.loads(client.received)
            except (ValueError, RecursionError):
                line = None
            if not isinstance(line, dict):
                raise NetworkBlocked("The airlock does not understand the order.")
            token = self._spend(line.get("token"))
            client.order = orders.parse(line, self._home, token.purpose)
            if isinstance(client.order, listen.Listen) and self._listening >= listen.MOST:
                raise NetworkBlocked(f"The airlock listens in {listen.MOST} places already.")
        except OmniError as error:
            if token is None:
                self._audit.note("", "", "", "refused: no token")
            else:
                self._audit.note(token.client, token.purpose, "", "refused: " + type(error).__name__)
            with suppress(OSError):
                orders.tell(client.connection, {"error": error_to_wire(error)})
            self._selector.unregister(client.connection)
            self._drop(client)
            return
        client.watch = self._doors.watch(token.client, token.purpose)
        if isinstance(client.order, listen.Listen):  # it may stay for days, and takes no download's place
            self._listening += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            return
        self._queue.append(client)
        self._start()

    def _spend(self, name: object) -> _OrderToken:
        name = name if isinstance(name, str) else ""
        if name not in self._tokens and self._lines.more(_KEEPER):  # the client may have been quicker than the keeper
            self._take_tokens()
        token = self._tokens.pop(name, None)
        if token is None or token.until < time.monotonic():
            raise NetworkBlocked("The airlock takes no order without a token of the keeper.")
        if token.purpose not in orders.PURPOSES:
            raise NetworkBlocked(f"No door is opened for {token.purpose!r}.")
        return token

    def _start(self) -> None:
        while self._queue and self._running < _MOST:
            self._running += 1
            threading.Thread(target=self._serve, args=(self._queue.popleft(),), daemon=True).start()

    def _serve(self, client: _Client) -> None:
        if client.order is not None and client.watch is not None:
            orders.carry_out(client.order, client.connection, client.watch, self._audit)
        self._finished.append(client)
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # a full pipe wakes as well
            os.write(self._wake_writer, b".")

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._wake_reader, 4096)

    def _collect(self) -> None:
        while self._finished:
            client = self._finished.popleft()
            if isinstance(client.order, listen.Listen):
                self._listening -= 1
            else:
                self._running -= 1
            with suppress(KeyError, ValueError):  # it hung up first
                self._selector.unregister(client.connection)
            self._drop(client)
        self._start()

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        client.connection.close()

    def _expire(self) -> None:
        now = time.monotonic()
        for name in [name for name, token in self._tokens.items() if token.until < now]:
            del self._tokens[name]
        for client in [client for client in self._clients if client.watch is None and client.until < now]:
            self._selector.unregister(client.connection)
            self._drop(client)

    def _report(self) -> None:
        """Tell the keeper which doors are open: at once when one opens or shuts, else once a second."""
        doors, now = self._doors.state(), time.monotonic()
        if [door["since"] for door in doors] == [door["since"] for door in self._reported] and (
            now < self._report_at or doors == self._reported
        ):
            return
        self._reported, self._report_at = doors, now + _BEAT
        self._say({"doors": doors})

    def _say(self, value: dict[str, Any]) -> None:
        with suppress(OSError):  # a pipe that can only be read, or a keeper that does not read
            os.write(_KEEPER, json.dumps(value, separators=(",", ":")).encode() + b"\n")


class _DescriptorReader:
    """JSON objects from a descriptor; what is none is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._ready: deque[dict[str, Any]] = deque()

    def more(self, descriptor: int) -> bool:
        """Read what is there; False at the end."""
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            with suppress(ValueError, RecursionError):
                message = json.loads(line)
                if isinstance(message, dict):
                    self._ready.append(message)
        return bool(data) and len(self._rest) < orders.MAX_LINE

    def take(self) -> list[dict[str, Any]]:
        """What was read and not taken yet."""
        ready = list(self._ready)
        self._ready.clear()
        return ready

    def first(self) -> dict[str, Any] | None:
        """The first object, taken alone."""
        return self._ready.popleft() if self._ready else None


def _first(lines: _DescriptorReader) -> dict[str, Any]:
    """The keeper's greeting; without one, what the environment says."""
    while True:
        if (greeting := lines.first()) is not None:
            break
        if not lines.more(_KEEPER):
            os._exit(0)
    home = Home(greeting["home"]) if isinstance(greeting.get("home"), str) else Home.from_environment()
    home.ensure_sockets()
    return {"home": str(home.root), "socket": str(greeting.get("socket") or home.sockets / "airlock.sock")}
