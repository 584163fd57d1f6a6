"""What went through the airlock: lines of JSON for each connection, and the doors that are open right now.

A line is added before a connection is made, others as bytes come, and one when it is over: an airlock that is killed, as the
kill switch does, leaves true lines behind. No credentials, no paths, no query strings. A full disk keeps no door shut and
none open: what could not be written is said in the airlock's log, and counted in the next line that can be (`lost`).
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from omni.airlock.record import record
from omni.airlock.wire import ConnectionObserver, Watch
from omni.core.paths import Home
from omni.core.record import LIMIT

_AGAIN = 1.0  # seconds between two looks at the bytes of a connection


class Audit:
    """Adds to the record of a home. Used by the threads of all orders."""

    def __init__(self, home: Home, *, limit: int = LIMIT) -> None:
        self._record, self._limit = record(home), limit
        self._lock, self._lost = threading.Lock(), 0

    def line(self, client: str, purpose: str, host: str) -> "AuditLine":
        """A connection begins."""
        return AuditLine(self, client, purpose, host)

    def note(self, client: str, purpose: str, host: str, verdict: str) -> None:
        """A connection that came to nothing."""
        self.add({**_fields(client, purpose, host), "bytes": 0, "verdict": verdict})

    def add(self, fields: dict[str, Any]) -> str:
        """Add a line; its hash, or "" when it cannot be written."""
        with self._lock:
            if self._lost:
                fields = {**fields, "lost": self._lost}
            try:
                line_hash = self._record.add(fields, limit=self._limit)
            except OSError as error:
                self._lost += 1
                sys.stderr.write(f"The audit line for {fields['host']} cannot be written: {error.strerror}.\n")
                return ""
            self._lost = 0
            return line_hash


class AuditLine:
    """What the record says of one connection: every line of it after the first names that by its hash."""

    def __init__(self, audit: Audit, client: str, purpose: str, host: str) -> None:
        self._audit, self._fields, self._told, self._open = audit, _fields(client, purpose, host), 0, True
        opened = audit.add({**self._fields, "bytes": 0, "verdict": "open"})
        if opened:
            self._fields["opened"] = opened

    def progress(self, count: int) -> None:
        """Say that bytes came, when they are twice as many as was said: so few lines hold at least half of them."""
        if count >= 2 * self._told and count:
            self._told = count
            self._audit.add({**self._fields, "bytes": count, "verdict": "open"})

    def close(self, count: int, verdict: str) -> None:
        """Say the last word. May be called again; the first call counts."""
        if self._open:
            self._open = False
            self._audit.add({**self._fields, "bytes": count, "verdict": verdict[:96]})


def _fields(client: str, purpose: str, host: str) -> dict[str, Any]:
    now = time.time()
    start = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
    return {"time": start, "client": client[:64], "purpose": purpose[:32], "host": host[:260]}


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
        door = OpenDoor(self, host, purpose, self._audit.line(client, purpose, host))
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
        if now - self._written > _AGAIN:
            self._written = now
            self._line.progress(self.count)

    def close(self, verdict: str) -> None:
        """It is over."""
        if not self._closed:
            self._closed = True
            self._line.close(self.count, verdict)
            self._doors.leave(self)
