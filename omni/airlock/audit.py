"""What went through the airlock: one JSON line a connection, and the doors that are open right now.

A line is written before its connection is made, with room to spare, and rewritten in place as bytes come: an airlock
that is killed, as the kill switch does, leaves a true line behind. No credentials, no paths, no query strings.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.airlock.record import LIMIT, append
from omni.airlock.wire import ConnectionObserver, Watch

_ROOM = 96  # characters for the verdict and the digits of the bytes
_REWRITE = 1.0  # seconds between two looks at the bytes of a line


class Audit:
    """The record of lines. A line that cannot be written is reported on stderr, which is the airlock's log."""

    def __init__(self, path: Path, *, limit: int = LIMIT) -> None:
        self._path, self._limit = path, limit
        self._lock = threading.Lock()

    def line(self, client: str, purpose: str, host: str, verdict: str) -> "AuditLine":
        """Write a new line."""
        now = time.time()
        start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        fields: dict[str, Any] = {"time": start, "client": client[:64], "purpose": purpose[:32], "host": host[:260]}
        try:
            with self._lock, append(self._path, limit=self._limit) as (file, end):
                line = AuditLine(file, end, fields)
                line.write(0, verdict)
        except OSError as error:
            sys.stderr.write(f"The audit line for {host} cannot be written: {error.strerror}.\n")
            return AuditLine(-1, 0, fields)
        return line


class AuditLine:
    """One line, and where it is."""

    def __init__(self, file: int, offset: int, fields: dict[str, Any]) -> None:
        self._file, self._offset, self._fields = file, offset, fields
        self._width = len(json.dumps(fields | {"bytes": 0, "verdict": ""})) + _ROOM

    def write(self, count: int, verdict: str) -> None:
        """Say what is known now. Raises OSError."""
        if self._file >= 0:
            text = json.dumps(self._fields | {"bytes": count, "verdict": ""})
            room = self._width - len(text)
            verdict = verdict.encode("ascii", "replace").decode().replace('"', "'").replace("\\", "/")
            text = json.dumps(self._fields | {"bytes": count, "verdict": verdict[: max(room, 0)]})
            os.pwrite(self._file, text.ljust(self._width).encode() + b"\n", self._offset)

    def close(self, count: int, verdict: str) -> None:
        """Say the last word."""
        if self._file >= 0:
            try:
                self.write(count, verdict)
            except OSError as error:
                sys.stderr.write(f"An audit line cannot be written: {error.strerror}.\n")
            os.close(self._file)
            self._file = -1


class OpenDoors:
    """All connections that are open now. Used by the threads of all orders."""

    def __init__(self, audit: Audit, changed: Callable[[], None]) -> None:
        self._audit, self._changed = audit, changed
        self._open: dict[int, OpenDoor] = {}
        self._lock = threading.Lock()

    @property
    def audit(self) -> Audit:
        """The record."""
        return self._audit

    def watch(self, client: str, purpose: str) -> "OrderWatch":
        """A watch for one order."""
        return OrderWatch(self, client, purpose)

    def enter(self, host: str, client: str, purpose: str) -> "OpenDoor":
        """A door opens."""
        door = OpenDoor(self, host, purpose, self._audit.line(client, purpose, host, "open"))
        with self._lock:
            self._open[id(door)] = door
        self._changed()
        return door

    def leave(self, door: "OpenDoor") -> None:
        """A door is shut."""
        with self._lock:
            self._open.pop(id(door), None)
        self._changed()

    def state(self) -> list[dict[str, Any]]:
        """What the keeper is told."""
        with self._lock:
            return [
                {"purpose": door.purpose, "host": door.host, "since": door.since, "bytes": door.count}
                for door in self._open.values()
            ]


class OrderWatch(Watch):
    """The doors of one order, which can all be cut at once."""

    def __init__(self, doors: OpenDoors, client: str, purpose: str) -> None:
        self.client = client
        self._doors, self._purpose = doors, purpose
        self._now: OpenDoor | None = None
        self.cancelled = False
        self.draining = False  # nothing new shall begin

    def door(self, host: str) -> ConnectionObserver:
        """A connection is about to be made."""
        self._now = self._doors.enter(host, self.client, self._purpose)
        return self._now

    def cancel(self) -> None:
        """Cut the connection and let no other be made; called from another thread."""
        self.cancelled = True
        if self._now is not None:
            self._now.cut()

    def drain(self) -> None:
        """Let nothing new begin, and what is open go on; for doors whose other end listens for a nudge."""
        self.draining = True
        if self._now is not None:
            self._now.nudge()


class OpenDoor(ConnectionObserver):
    """One connection, counted and audited."""

    def __init__(self, doors: OpenDoors, host: str, purpose: str, line: AuditLine) -> None:
        self.host, self.purpose, self.since, self.count = host, purpose, time.time(), 0
        self._doors, self._line, self._written = doors, line, time.monotonic()
        self._connection: socket.socket | None = None
        self._closed = False

    def attach(self, connection: socket.socket) -> None:
        """The connection is open."""
        self._connection = connection

    def cut(self) -> None:
        """End what another thread is reading. The descriptor itself is closed by that thread."""
        if self._connection is not None and not self._closed:
            with suppress(OSError):
                # Not the method of an encrypted socket: that one would free what the other thread still uses.
                socket.socket.shutdown(self._connection, socket.SHUT_RDWR)

    def nudge(self) -> None:
        """Wake whoever waits at this door, without ending anything."""
        if self._connection is not None and not self._closed:
            with suppress(OSError):
                self._connection.send(b".")

    def received(self, count: int) -> None:
        """More came."""
        self.count += count
        now = time.monotonic()
        if now - self._written > _REWRITE:
            self._written = now
            with suppress(OSError):  # the last word is tried again, and reported
                self._line.write(self.count, "open")

    def close(self, verdict: str) -> None:
        """It is over."""
        if not self._closed:
            self._closed = True
            self._line.close(self.count, verdict)
            self._doors.leave(self)
