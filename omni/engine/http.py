"""HTTP/1.1 with server-sent events over a Unix socket: just what llama.cpp's server needs, one connection a request.

A connection is never used twice (the server sometimes drops a kept one) and closing it is how a request is cancelled.
What the other side sends is bounded, and every failure is one of Omni's errors.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import httptools
import msgspec

from omni.core.errors import EngineError, OmniError
from omni.engine.refusals import AGAIN, meant

T = TypeVar("T")

LARGEST_LINE = 1 << 20
LARGEST_BODY = 256 << 20
SILENCE_SECONDS = 600.0

GONE = "The brain's process is not there."
ENDLESS = "The brain's process sent a line without end."
ENDED = "The brain's process ended in the middle of its answer."


class WorkerGone(EngineError):
    """The process ended, or was ended, before it answered a single byte: asking another one is safe.

    `asked`: it had got the request.
    """

    def __init__(self, message: str, *, hint: str = "", asked: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.asked = asked


class ServerSentEvents:
    """Bytes in, the payloads of `data:` lines out; nothing is read or written here."""

    def __init__(self, largest: int = LARGEST_LINE) -> None:
        self._rest = b""
        self._largest = largest

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes. Raises EngineError when a line grows past the limit."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        payloads: list[bytes] = []
        for line in lines:
            if len(line) > self._largest:
                raise EngineError(ENDLESS, hint=AGAIN)
            if line.startswith(b"data: "):
                payloads.append(line[6:].rstrip(b"\r"))
            elif line.startswith(b"error: "):  # so llama.cpp reports what fails in mid-stream in some versions
                payloads.append(b'{"error":' + line[7:] + b"}")
        if len(self._rest) > self._largest:
            raise EngineError(ENDLESS, hint=AGAIN)
        return payloads


class WorkerClient:
    """Talks to one worker. `key` is sent as a bearer token; `silence` is the longest wait for the next byte."""

    def __init__(self, socket: str | os.PathLike[str], key: str, *, silence: float = SILENCE_SECONDS) -> None:
        self.socket, self._key, self._silence = os.fspath(socket), key, silence

    async def json(self, path: str, body: Any = None) -> Any:
        """GET `path`, or POST `body` to it (as JSON, or bytes that are it), and return what the answer's JSON says.

        Raises EngineError, and what the server's own error stands for (`refusals.meant`).
        """
        whole = bytearray()
        async with aclosing(self._exchange(path, body)) as chunks:
            async for chunk in chunks:
                whole += chunk
                if len(whole) > LARGEST_BODY:
                    raise EngineError("The brain's process sent an answer without end.", hint=AGAIN)
        return _decoded(bytes(whole))

    async def stream(self, path: str, body: Any, kind: type[T]) -> AsyncGenerator[T]:
        """POST `body` and yield the objects of the event stream as `kind`; returns only after the stream's `[DONE]`, or
        after an object that says `stop`.

        Raises EngineError when the stream ends before it, which is how the death of a worker shows, and what an error in it
        stands for.
        """
        lines, asking, read = ServerSentEvents(), self._exchange(path, body), msgspec.json.Decoder(kind).decode
        del body  # it may be large, and the answer long
        async with aclosing(asking) as chunks:
            async for chunk in chunks:
                for payload in lines.feed(chunk):
                    if payload == b"[DONE]":
                        return
                    if payload.startswith(b'{"error":'):
                        raise _error(_decoded(payload))
                    yield (event := _decoded(payload, read))
                    if getattr(event, "stop", False):
                        return
        raise EngineError(ENDED, hint=AGAIN)

    async def _exchange(self, path: str, body: Any) -> AsyncGenerator[bytes]:
        """The body of the answer, piece by piece; the connection is closed at once when the caller goes."""
        loop = asyncio.get_running_loop()
        try:
            _, answer = await loop.create_unix_connection(lambda: _ResponseProtocol(loop, self._silence), self.socket)
        except OSError as error:
            raise WorkerGone(GONE, hint=AGAIN) from error
        refused = b""
        try:
            answer.ask(self._request(path, body))
            del body
            while piece := await answer.piece():
                if answer.status < 400:
                    yield piece
                elif len(refused) < LARGEST_LINE:
                    refused += piece
            if answer.status >= 400:
                raise _refusal(answer.status, refused)
        finally:
            answer.close()

    def _request(self, path: str, body: Any) -> bytes:
        content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        head = (
            f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {self._key}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        return head.encode("ascii") + content


class _ResponseProtocol(asyncio.Protocol):
    """One answer while it comes: llhttp reads it, and what it has of the body is kept for who asks.

    This is the path of every token. StreamReader, h11 and a time limit for each read took three times the instructions.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, silence: float) -> None:
        self.status = 0
        self._loop, self._silence = loop, silence
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._pieces: list[bytes] = []
        self._unread = 0  # bytes in them
        self._waiting: asyncio.Future[None] | None = None
        self._head = 0  # bytes of it, until it is whole
        self._framed = False  # it says itself where it ends
        self._over = False
        self._error: EngineError | None = None
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None

    def ask(self, request: bytes) -> None:
        """Send the request; from now on the other side must not be silent for long."""
        self._transport.write(request)
        self._heard = self._loop.time()
        self._watch = self._loop.call_later(self._silence, self._look)

    async def piece(self) -> bytes:
        """What has come of the body since the last piece; empty at its end. Raises EngineError, WorkerGone."""
        while not self._pieces and not self._over:
            self._waiting = self._loop.create_future()
            await self._waiting
        if not self._pieces and self._error is not None:
            raise self._error
        piece = b"".join(self._pieces)
        self._pieces.clear()
        if self._unread > LARGEST_LINE:
            self._transport.resume_reading()
        self._unread = 0
        return piece

    def close(self) -> None:
        """Nothing more is wanted: the worker notices at once."""
        if self._watch is not None:
            self._watch.cancel()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport  # type: ignore[assignment]  # a Unix socket's is a Transport

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._heard = self._loop.time()
        if not self.status:
            self._head += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end(self._broken())
        if not self.status and self._head > LARGEST_LINE:
            self._end(self._broken())
        if self._unread > LARGEST_LINE:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """See asyncio."""
        self._end(None if self.status and not self._framed else self._broken())

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002 - httptools' signature
        """See httptools."""
        self._framed |= name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        """See httptools."""
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._pieces.append(body)
        self._unread += len(body)
        self._wake()

    def on_message_complete(self) -> None:
        """See httptools."""
        self._end(None)

    def _broken(self) -> EngineError:
        """Why nothing more comes. Who has seen nothing of an answer may ask another process."""
        return EngineError(ENDED, hint=AGAIN) if self.status else WorkerGone(ENDED, hint=AGAIN, asked=True)

    def _look(self) -> None:
        left = self._heard + self._silence - self._loop.time()
        if left > 0:
            self._watch = self._loop.call_later(left, self._look)
            return
        said = f"The brain's process was silent for {self._silence:.0f} seconds."
        self._end(EngineError(said, hint="Stop it with `omni stop` and ask again."))

    def _end(self, error: EngineError | None) -> None:
        if not self._over:
            self._over, self._error = True, error
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


def _decoded(payload: bytes, read: Callable[[bytes], Any] = msgspec.json.decode) -> Any:
    try:
        return read(payload)
    except msgspec.ValidationError as error:
        raise EngineError(f"The brain's process sent an event of an unknown form: {error}.", hint=AGAIN) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError("The brain's process sent something that is no JSON.", hint=AGAIN) from error


def _refusal(status: int, body: bytes) -> OmniError:
    try:
        return _error(msgspec.json.decode(body), status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _error({"error": {"message": body[:LARGEST_LINE].decode("utf-8", "replace")}}, status)


def _error(answer: Any, status: int = 0) -> OmniError:
    """The failure that llama.cpp's `{"error": {"message", "type", …}}` stands for."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return EngineError(f"The brain's process answered with {error or status!r}.", hint=AGAIN)
    return meant(status, error)
