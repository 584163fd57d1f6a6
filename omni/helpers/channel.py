"""A plug-in's side of the line: requests come in, one after the other; progress, values and answers go out.

    def run(channel):
        for request in channel.requests():
            for number, page in enumerate(request.value, 1):
                if request.cancelled:
                    break
                request.progress(number, len(request.value), page)
                request.send(read(page))
            request.reply("done")

JSON objects, one a line: {"key", "value"} comes first, {"cancel": true} and {"page": …} later; {"began": true},
{"progress": […]}, {"value": …}, {"page": …} go back, and at last {"answer": …} or {"failed": …}. Standard library only.
"""

import base64
import io
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.errors import NetworkBlocked, OmniError, error_from_wire, error_to_wire
from omni.keeper.places import listen
from omni.keeper.wire import Garbage, LineDecoder

MAX_MESSAGE = 8 << 20  # bytes of a request, a value, an answer
BEAT = 0.05  # seconds between two reports of progress
GRACE = 5.0  # seconds that a cancelled request may go on, until its process is ended
STALLED = 60  # seconds for who asked to read what was sent
FIRST = 10.0  # seconds for who connects to say what it wants
HANGS = 70  # the exit code of a process that did not stop


class HelperPage(NamedTuple):
    """What was fetched: the bytes, their media type, and the address that they came from in the end."""

    data: bytes
    media: str
    url: str


class HelperRequest:
    """One piece of work that somebody asked for: `value` is what came with it, any JSON. Its methods may be called from
    any thread, and do nothing once it was cancelled or answered."""

    def __init__(
        self, connection: socket.socket, lines: LineDecoder, value: Any, heard: Sequence[dict[str, Any]] = ()
    ) -> None:
        """`heard` are the messages that came together with it."""
        self.value = value
        self._connection, self._lines = connection, lines
        self._cancelled, self._over = threading.Event(), False
        self._lock = threading.RLock()
        self._told, self._held, self._waits = 0.0, b"", False
        self._pages: dict[int, Any] = {}
        self._arrived = threading.Condition()
        self._number = 0
        self._write({"began": True})
        threading.Thread(target=self._listen, args=(heard,), name="requests", daemon=True).start()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for it any more: come to an end soon. After five seconds the process is ended."""
        return self._cancelled.is_set()

    def progress(self, done: float, total: float = 0, text: str = "") -> None:
        """Say how far it is. May be called as often as one likes: twenty a second are sent, the last one always."""
        message = _line({"progress": [done, total, text[:500]]})
        with self._lock:
            self._held = message
            wait = self._told + BEAT - time.monotonic()
            if wait <= 0:
                self._flush()
            elif not self._waits:
                self._waits = True  # for the next beat: one thread, however often this is called
                _later(wait, self._beat)

    def send(self, value: Any) -> None:
        """Hand over a part of what comes of it. Raises ValueError or TypeError for what is no JSON or has more than 8 MB."""
        self._say({"value": value})

    def reply(self, value: Any = None) -> None:
        """Answer it: nothing more can be said of it. Raises as `send`."""
        self._say({"answer": value}, last=True)

    def fail(self, message: str, *, hint: str = "") -> None:
        """Answer that it cannot be done, and why, for a person to read."""
        self._say({"failed": error_to_wire(OmniError(message[:2000], hint=hint[:2000]))}, last=True)

    def page(self, url: str) -> HelperPage:
        """Have a page of at most 4 MB fetched through Omni's doors, which its record shows; waits for it.

        Raises NetworkBlocked where this process was not granted the door "pull" or all doors are shut, and for an address
        of this machine or its own network; and what fetching raises.
        """
        with self._lock:
            self._number += 1
            number = self._number
        self._say({"page": {"id": number, "url": url}})
        with self._arrived:
            self._arrived.wait_for(lambda: number in self._pages or self.cancelled)
            page = self._pages.pop(number, None)
        if page is None:
            raise NetworkBlocked("Nobody waits for this page any more.")
        if "error" in page:
            raise error_from_wire(page["error"])
        return HelperPage(base64.b64decode(page["data"]), str(page["media"]), str(page["url"]))

    def close(self) -> None:
        """The work has come back: what has no answer yet gets an empty one."""
        with suppress(ValueError, TypeError):
            self.reply()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that listens
        self._connection.close()

    def let_go(self) -> None:
        """For a child that was forked: its end of the line would keep it open."""
        self._connection.close()

    def _say(self, message: dict[str, Any], *, last: bool = False) -> None:
        line = _line(message)
        if len(line) > MAX_MESSAGE:
            raise ValueError(f"it has {len(line)} bytes, and {MAX_MESSAGE} can be sent at once")
        with self._lock:
            if last:
                self._flush()
            if not self._over:
                self._over = last
                self._send(line)

    def _write(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._send(_line(message))

    def _beat(self) -> None:
        self._waits = False
        self._flush()

    def _flush(self) -> None:
        with self._lock:
            held, self._held = self._held, b""
            if held and not self._over:
                self._told = time.monotonic()
                self._send(held)

    def _send(self, line: bytes) -> None:
        try:
            self._connection.sendall(line)
        except OSError:  # who asked has gone
            self._cancel()

    def _listen(self, heard: Sequence[dict[str, Any]]) -> None:
        """Hear what comes while the plug-in works; the end of the line is the end of the wish."""
        try:
            while True:
                for message in heard:
                    self._hear(message)
                if not (data := self._connection.recv(65536)):
                    break
                heard = self._lines.feed(data)
        except (OSError, Garbage, KeyError, TypeError):
            pass
        self._cancel()

    def _hear(self, message: dict[str, Any]) -> None:
        if "page" in message:
            with self._arrived:
                self._pages[message["page"]["id"]] = message["page"]
                self._arrived.notify_all()
        elif message.get("cancel"):
            self._cancel()

    def _cancel(self) -> None:
        if self._over or self.cancelled:
            return
        self._cancelled.set()
        with self._arrived:
            self._arrived.notify_all()
        _later(GRACE, self._end_if_it_hangs)

    def _end_if_it_hangs(self) -> None:
        if not self._over:
            os.write(2, f"A cancelled request went on for {GRACE:g} s: this process ends.\n".encode())
            os._exit(HANGS)


def _later(seconds: float, call: Callable[[], None]) -> None:
    """Call it in a thread of its own, which keeps no process from ending."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.start()


def _line(message: dict[str, Any]) -> bytes:
    """One line. Raises TypeError and ValueError for what is no JSON."""
    return (
        json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
        + b"\n"
    )


class HelperChannel:
    """What the function of a plug-in gets: the requests that come to its process."""

    def __init__(self, path: str, key: str) -> None:
        self._key, self._path = key, Path(path)
        self._listener = listen(self._path)
        self._listener.setblocking(True)
        self._request: HelperRequest | None = None

    def requests(self) -> Iterator[HelperRequest]:
        """The requests, one at a time; the next comes when this one was dealt with. Ends never: the process is ended when
        it is not needed."""
        while True:
            self.finish()  # also the one that a loop before this one was left with
            self._request = self._next()
            if self._request is not None:
                yield self._request

    def finish(self) -> None:
        """The plug-in has done what it wants with the request that it has: who waits for it is answered.

        Not when the iterator ends: that it also does when the plug-in raises, which `broke` is to tell.
        """
        request, self._request = self._request, None
        if request is not None:
            request.close()

    def let_go(self) -> None:
        """For a child that was forked: nobody is to wait for it."""
        self._listener.close()
        if self._request is not None:
            self._request.let_go()

    def broke(self, error: BaseException) -> None:
        """The plug-in raised: tell who waits for it, when nobody can be sent here any more."""
        self._path.unlink(missing_ok=True)
        self._listener.close()
        if self._request is not None:
            known = error if isinstance(error, OmniError) else None
            message = known.message if known else f"it raised {type(error).__name__}: {error}"
            self._request.fail(message, hint=known.hint if known else "")
            self._request.close()

    def _next(self) -> HelperRequest | None:
        """What somebody who connected wants; None where it is nobody who may, or left again."""
        connection = self._listener.accept()[0]
        lines = LineDecoder(MAX_MESSAGE)
        try:
            connection.settimeout(FIRST)
            first: list[dict[str, Any]] = []
            while not first:
                data = connection.recv(65536)
                if not data:
                    raise ConnectionError
                first = lines.feed(data)
            if first[0].get("key") != self._key or "value" not in first[0]:
                raise ConnectionError
            connection.settimeout(None)
            # A socket's own time limit would count for reading, too.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", STALLED, 0))
        except (OSError, Garbage):
            connection.close()
            return None
        return HelperRequest(connection, lines, first[0]["value"], first[1:])


class BoundedLog(io.TextIOBase):
    """What a plug-in prints: into the log of its process, up to a limit, so that no disk is filled."""

    encoding = "utf-8"

    def __init__(self, limit: int) -> None:
        self._left = limit

    def write(self, text: str) -> int:
        """Write as much as there is room for."""
        data = text.encode("utf-8", "replace")[: self._left]
        self._left -= len(data)
        with suppress(OSError):
            os.write(2, data)
        return len(text)

    def writable(self) -> bool:
        """It is."""
        return True


def bound_prints(limit: int = 1 << 20) -> None:
    """Have all that is printed from now on be bounded, in bytes."""
    sys.stdout = sys.stderr = BoundedLog(limit)
