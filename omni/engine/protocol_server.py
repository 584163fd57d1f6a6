"""llama.cpp's HTTP protocol on a Unix socket, from the standard library: what the servers that Omni writes itself share."""

import json
import select
import socketserver
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

LARGEST_BODY = 256 << 20  # bytes: what all requests of a server may hold of images at a time
PATIENCE = 30.0  # seconds until a body goes on
_DIGITS = 12  # of a length that is worth reading


class ProtocolServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Listens on `socket` for who knows `key`; each request has a thread of its own."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, socket: str, key: str, handler: "type[ProtocolHandler]") -> None:
        self.key = key
        Path(socket).unlink(missing_ok=True)
        super().__init__(socket, handler)

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the parent's signature
        """A client that went away is no error; anything else goes to the log."""
        if not isinstance(sys.exc_info()[1], OSError):
            traceback.print_exc()


class ProtocolHandler(BaseHTTPRequestHandler):
    """Reads requests and writes answers. `posts` names the method for each path that something is posted to."""

    protocol_version = "HTTP/1.1"
    server: ProtocolServer
    posts: ClassVar[dict[str, str]] = {}

    def address_string(self) -> str:
        """See the parent: a Unix socket has none."""
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the parent's name
        """Nothing: a log tells nobody who asked what."""

    def told(self) -> Any:
        """What GET of this path answers; None where it is none."""
        raise NotImplementedError

    def barred(self) -> bool:
        """Whether this request was refused already, whatever it is."""
        return False

    def do_GET(self) -> None:
        """Answer with what `told` says."""
        if not self._admitted() or self.barred():
            return
        answer = self.told()
        self.answer(answer) if answer is not None else self._unknown()

    def do_POST(self) -> None:
        """Call the method of `posts`; what a body lacks is the client's fault. Nothing is read for who does not know the key."""
        if not self._admitted():
            self.close_connection = True  # else its body would be taken for the next request
            return
        if (body := self._body()) is None or self.barred():
            return
        if (method := self.posts.get(self.path)) is None:
            self._unknown()
            return
        try:
            getattr(self, method)(json.loads(body))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            self.refuse(400, f"bad request: {error!r}", "invalid_request_error")

    def _admitted(self) -> bool:
        if self.path == "/health" or self.headers.get("Authorization") == f"Bearer {self.server.key}":
            return True
        self.refuse(401, "Invalid API Key", "authentication_error")
        return False

    def _body(self) -> bytes | None:
        """What was sent; None where that is refused, or its client left or fell silent."""
        length = self.headers.get("Content-Length", "")
        known = length.isascii() and length.isdecimal() and len(length) < _DIGITS
        if not known or int(length) > LARGEST_BODY:
            self.close_connection = True
            self.refuse(
                413, f"a body of at most {LARGEST_BODY} bytes is expected, not {length[:40]!r}", "invalid_request_error"
            )
            return None
        self.connection.settimeout(PATIENCE)
        try:
            body = self.rfile.read(int(length))
        except TimeoutError:
            body = b""
        finally:
            self.connection.settimeout(None)  # answers take their time
        if len(body) < int(length):
            self.close_connection = True
            return None
        return body

    def _unknown(self) -> None:
        self.refuse(404, "File Not Found", "not_found_error")

    def left(self, seconds: float = 0.0) -> bool:
        """Whether the client hangs up within so many seconds."""
        readable, _, _ = select.select([self.connection], [], [], seconds)
        return bool(readable)

    def begin_stream(self) -> None:
        """Send the head of a stream of events, which are sent one by one then."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, event: dict[str, Any]) -> None:
        """Send an event of a stream."""
        self.chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

    def end_stream(self, *, done: bool = False) -> None:
        """End a stream; `done`: with the mark that streams of chats have."""
        if done:
            self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        """Send a part of a stream as it is."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def answer(self, value: Any, status: int = 200) -> None:
        """Answer with JSON."""
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, message: str, kind: str, extra: dict[str, Any] | None = None) -> None:
        """Answer with an error of llama.cpp's form."""
        self.answer({"error": {"code": status, "message": message, "type": kind} | (extra or {})}, status)


def choice(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    """A part of a chat's answer, as streams have it."""
    return {"index": 0, "delta": delta, "finish_reason": reason}


def common(old: list[Any], new: list[Any]) -> int:
    """How many of the first entries of two lists are equal."""
    return next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
