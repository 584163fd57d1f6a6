"""The side of a worker: take the order on fd 0, hold the state file, answer on the control socket.

    place = adopt.take()                    # first thing in main(), before anything slow
    serve(place.spec, place.key, place.socket)
    place.ready()                           # the socket answers now; or place.failed("why"), which ends the process

From then on a thread listens on the control socket: a keeper that dials is told the state and may order `stop` or
`wall`. The state file's held lock says that this process lives; a later keeper finds the worker by it. A worker that no
keeper dials for a minute ends. Standard library only.
"""

import json
import os
import select
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from omni.core.locks import born_locked
from omni.keeper.places import listen
from omni.keeper.wire import Garbage, LineDecoder, encode

LONELY_SECONDS = 60.0

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class KeeperLink:
    """What a worker was told, and its line to the keeper."""

    def __init__(self, order: dict[str, Any], *, lonely: float, orders: dict[str, Answer]) -> None:
        self.name: str = order["name"]
        self.spec: dict[str, Any] = order["spec"]
        self.key: str = order["key"]
        self.socket: str = order["socket"]
        self.control: str = order["control"]
        self._state_file = Path(order["state"])
        self._lonely = lonely
        self._orders: dict[str, Answer] = {"wall": _wall, **orders}
        self._state: dict[str, Any] = {"state": "loading"}
        self._changed, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._hold(order)
        if os.getppid() != order.get("keeper", os.getppid()):
            self.failed("The keeper that started this worker is gone, and the next one may not have seen it.")
        self._listener = listen(Path(self.control))
        self._keeper: socket.socket | None = None

    def answer_keeper(self) -> None:
        """Let a thread listen to keepers from now on. Landlock holds the thread that asks for it and those that this one starts later."""
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def _hold(self, order: dict[str, Any]) -> None:
        """The state file appears by rename with its lock already held, so nobody sees it and takes it for stale."""
        self._lock = born_locked(self._state_file, json.dumps(order | {"pid": os.getpid()}).encode())

    def ready(self, **facts: Any) -> None:
        """Tell the keeper that the worker's socket answers."""
        self._say({"state": "ready", **facts})

    def failed(self, message: str) -> NoReturn:
        """End the process; `message` goes to the log, whose last lines the waiting front end shows."""
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
        self._end(1)

    def let_go(self) -> None:
        """For a child that was forked: what says that this process lives, and its lines, are not the child's."""
        lock, self._lock = self._lock, -1
        if lock >= 0:  # else it is a child of such a child
            os.close(lock)
        self._listener.close()
        if self._keeper is not None:
            self._keeper.close()

    def _say(self, state: dict[str, Any]) -> None:
        self._state = state
        with suppress(BlockingIOError):
            os.write(self._wake, b".")

    def _end(self, code: int) -> NoReturn:
        for path in (self.socket, self.control, self._state_file):
            with suppress(OSError):
                os.unlink(path)
        os._exit(code)  # native threads may be anywhere; there is nothing to save

    def _listen(self) -> None:
        """One keeper at a time; the latest that dials is the one that lives."""
        lines = LineDecoder()
        while True:
            waiting: list[Any] = [self._listener, self._changed, *([self._keeper] if self._keeper else [])]
            readable = select.select(waiting, [], [], None if self._keeper else self._lonely)[0]
            if not readable and self._keeper is None:
                sys.stderr.write(f"no keeper for {self._lonely:g} s: this worker ends\n")
                self._end(0)
            try:
                if self._listener in readable:
                    if self._keeper:
                        self._keeper.close()
                    self._keeper, lines = self._listener.accept()[0], LineDecoder()
                    self._keeper.settimeout(5)
                    self._keeper.sendall(encode(self._state))
                if self._changed in readable:
                    os.read(self._changed, 64)
                    if self._keeper:
                        self._keeper.sendall(encode(self._state))
                if self._keeper and self._keeper in readable:
                    data = self._keeper.recv(65536)
                    if not data:
                        raise ConnectionError
                    for order in lines.feed(data):
                        self._keeper.sendall(encode(self._obey(order)))
            except (OSError, Garbage):
                if self._keeper:
                    self._keeper.close()
                self._keeper = None

    def _obey(self, order: dict[str, Any]) -> dict[str, Any]:
        name = str(order.get("order"))
        if name == "stop":
            self._end(0)
        if name not in self._orders:
            return {"order": name, "error": "no such order"}
        try:
            return {"order": name, **self._orders[name](order)}
        except Exception as error:  # noqa: BLE001 - told to who asked; the line to the keeper must not break
            return {"order": name, "error": f"{type(error).__name__}: {error}"}


def take(
    *, lonely: float = LONELY_SECONDS, orders: dict[str, Answer] | None = None, stdin: int = 0, answers: bool = True
) -> KeeperLink:
    """Read the order from fd 0, close it, take the place. `orders` are further ones that the keeper may give.

    Without `answers` no keeper is answered before `answer_keeper()`: for who first holds itself to folders, and all its threads with it.
    """
    data = b""
    while chunk := os.read(stdin, 65536):
        data += chunk
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, stdin)
    os.close(empty)
    place = KeeperLink(json.loads(data), lonely=lonely, orders=orders or {})
    if answers:
        place.answer_keeper()
    return place


def _wall(_order: dict[str, Any]) -> dict[str, Any]:
    from omni.core.confinement import attempts

    return {"attempts": [attempt._asdict() for attempt in attempts()]}
