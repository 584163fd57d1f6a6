"""The process that starts sandboxed commands, for all front ends of a home: these are behind a wall that the children would inherit,
so that not even a network of their own would be left to them.

A front end connects to its socket, sends one order in JSON on a line (with the key), then perhaps what the command shall read, and
hears frames: a letter, a length of four bytes, and so many bytes. `o` and `e` are what the command writes, `s` is JSON that tells
of the layers and of the end. Who hangs up ends the command. Standard library only.
"""

import json
import os
import select
import signal
import socket
import struct
import threading
import time
from base64 import b64decode
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.core.paths import python_command
from omni.keeper import adopt
from omni.keeper.places import listen

MOST_ORDER = 4 << 20  # bytes
MOST_LINES = 64  # at a time
SETTING_UP = 30.0  # seconds until the walls are up
GRACE = 1.0  # seconds between asking a command's keeper to end it and doing so
_PIECE = 1 << 16
_STDOUT, _STDERR, _STATUS = b"o", b"e", b"s"


def main() -> None:
    """Serve with the order on fd 0; never returns."""
    from omni.core.confinement import undumpable

    undumpable()
    place = adopt.take()
    listener = listen(Path(place.socket))
    listener.setblocking(True)
    place.ready(confined="none: what it starts has walls of its own")
    while True:
        with suppress(OSError):
            connection = listener.accept()[0]
            if threading.active_count() > MOST_LINES:
                connection.close()
                continue
            threading.Thread(target=_serve, args=(connection, place.key), daemon=True).start()


def _serve(connection: socket.socket, key: str) -> None:
    with connection, suppress(OSError, ValueError, KeyError, TypeError):
        connection.settimeout(10)
        order = json.loads(_line(connection))
        if isinstance(order, dict) and order.pop("key", None) == key:
            connection.settimeout(None)
            _Command(connection, order).go()


def _line(connection: socket.socket) -> bytes:
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = connection.recv(_PIECE)
        if not piece or len(data) > MOST_ORDER:
            raise ValueError
        data += piece
    return bytes(data)


class _Repositories:
    """Folders of git in which no file `commondir` may appear: git would take hooks and settings from where that leads, for whoever uses
    it there next. They are held by descriptor, so that nothing else can stand in their places."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._folders = []
        for path in paths:
            with suppress(OSError):
                self._folders.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))

    def restore(self) -> None:
        """Take away what appeared."""
        for folder in self._folders:
            with suppress(OSError):
                os.unlink("commondir", dir_fd=folder)
            os.close(folder)


class _Command:
    """One command. What it reads is given to it as a whole in its order (`stdin`, in base64)."""

    def __init__(self, connection: socket.socket, order: dict[str, Any]) -> None:
        self._connection, self._order = connection, order
        self._left = int(order["output"])
        self._ended: dict[str, Any] = {}

    def go(self) -> None:
        began = time.monotonic()
        self._deadline = began + SETTING_UP
        stdin = self._given(b64decode(str(self._order.pop("stdin", ""))))
        pipes = [os.pipe() for _ in range(3)]  # out, err, report
        orders, writer = os.pipe()
        actions: list[Any] = [(os.POSIX_SPAWN_DUP2, stdin, 0)]
        actions += [
            (os.POSIX_SPAWN_DUP2, end, at)
            for at, end in ((1, pipes[0][1]), (2, pipes[1][1]), (3, orders), (4, pipes[2][1]))
        ]
        guarded = _Repositories(self._order.get("guarded", ()))
        command = python_command("omni.hands.inside", packages=False)
        try:
            pid = os.posix_spawn(command[0], command, {"LC_ALL": "C.UTF-8"}, file_actions=actions, setsid=True)
        except OSError:
            guarded.restore()
            for end in (writer, *(pipe[0] for pipe in pipes)):
                os.close(end)
            raise
        finally:
            for end in (stdin, orders, *(pipe[1] for pipe in pipes)):
                os.close(end)
        why = "went"
        try:
            with os.fdopen(writer, "wb") as order:
                order.write(json.dumps(self._order | {"host": os.getpid()}).encode())
            why = self._relay([pipe[0] for pipe in pipes])
        finally:
            if why:
                self._end(pid)
            for pipe in pipes:
                os.close(pipe[0])
            _, status = os.waitpid(pid, 0)
            guarded.restore()
        code = os.waitstatus_to_exitcode(status)
        told = self._ended or {"failed": f"the sandbox ended with {code}"}
        self._frame(_STATUS, json.dumps(told | {"limit": why, "seconds": round(time.monotonic() - began, 3)}).encode())

    @staticmethod
    def _given(data: bytes) -> int:
        """A descriptor to read this from."""
        if not data:
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        given = os.memfd_create("stdin")
        view = memoryview(data)
        while view:
            view = view[os.write(given, view) :]
        os.lseek(given, 0, os.SEEK_SET)
        return given

    def _relay(self, ends: list[int]) -> str:
        """Pass on what comes until all ends are closed; what ended it before that: "time", "output" or "went", or "" ."""
        out, err, report = ends
        open_ends, line = {out, err, report}, self._connection.fileno()
        while open_ends:
            left = self._deadline - time.monotonic()
            if left <= 0:
                return "time"
            self._connection.settimeout(left)  # who does not read what it writes holds nobody for longer, either
            ready = select.select([*open_ends, line], [], [], left)[0]
            if line in ready:  # nothing more is expected from there but its end
                return "went"
            for end in sorted(
                ready, key=lambda one: one != report
            ):  # the walls are told before anything that is written
                data = os.read(end, _PIECE)
                if not data:
                    open_ends.discard(end)
                elif end == report:
                    self._told(data)
                else:
                    self._frame(_STDOUT if end == out else _STDERR, data[: self._left])
                    self._left -= len(data)
                    if self._left < 0:
                        return "output"
        return ""

    def _told(self, data: bytes) -> None:
        for text in data.splitlines():
            told = json.loads(text)
            if "missing" in told:  # the walls are up, and the command begins
                self._deadline = time.monotonic() + float(self._order["seconds"])
                self._frame(_STATUS, text)
            else:
                self._ended |= told

    def _frame(self, kind: bytes, data: bytes) -> None:
        if data:
            self._connection.sendall(kind + struct.pack("!I", len(data)) + data)

    @staticmethod
    def _end(pid: int) -> None:
        """End the command's keeper, which ends the rest; where it does not, all of its group."""
        with suppress(OSError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + GRACE
        while time.monotonic() < until:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return
            time.sleep(0.002)
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
