"""HTTP/1.1 with server-sent events over a Unix socket: just what llama.cpp's server needs, one connection a request.

A connection is never used twice (the server sometimes drops a kept one) and closing it is how a request is cancelled.
What the other side sends is bounded, and every failure is one of Omni's errors.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import h11
import msgspec

from omni.core.errors import ContextOverflow, EngineError, OmniError, UsageError

_TOO_LARGE = re.compile(r"input \((\d+) tokens\) is too large.*batch size: (\d+)")  # said of what shall be embedded
LARGEST_LINE = 1 << 20
LARGEST_BODY = 256 << 20
SILENCE_SECONDS = 600.0

GONE = "The brain's process is not there."
ENDED = "The brain's process ended in the middle of its answer."
AGAIN = "Ask again: the brain is loaded anew."


class WorkerGone(EngineError):
    """The process ended, or was ended, before it answered a single byte: asking another one is safe."""


class ServerSentEvents:
    """Bytes in, the payloads of `data:` lines out; nothing is read or written here."""

    def __init__(self, largest: int = LARGEST_LINE) -> None:
        self._rest = b""
        self._largest = largest

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes. Raises EngineError when a line grows past the limit."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if max(map(len, (*lines, self._rest))) > self._largest:
            raise EngineError("The brain's process sent a line without end.", hint=AGAIN)
        # llama.cpp reports what fails in mid-stream as `error: {…}` in some versions, as `data: {"error": …}` in others.
        return [
            b'{"error":' + value + b"}" if field == b"error" else value
            for field, colon, value in (line.rstrip(b"\r").partition(b": ") for line in lines)
            if colon and field in (b"data", b"error")
        ]


class Client:
    """Talks to one worker. `key` is sent as a bearer token; `silence` is the longest wait for the next byte."""

    def __init__(self, socket: str | os.PathLike[str], key: str, *, silence: float = SILENCE_SECONDS) -> None:
        self.socket, self._key, self._silence = os.fspath(socket), key, silence

    async def json(self, path: str, body: Any = None) -> Any:
        """GET `path`, or POST `body` to it, and return what the answer's JSON says.

        Raises ContextOverflow or EngineError, as the server's own error tells.
        """
        whole = bytearray()
        async with aclosing(self._exchange(path, body)) as chunks:
            async for chunk in chunks:
                whole += chunk
                if len(whole) > LARGEST_BODY:
                    raise EngineError("The brain's process sent an answer without end.", hint=AGAIN)
        return _decoded(bytes(whole))

    async def stream(self, path: str, body: Any) -> AsyncGenerator[dict[str, Any]]:
        """POST `body` and yield the objects of the event stream; returns only after the stream's `[DONE]`.

        Raises EngineError when the stream ends before it, which is how the death of a worker shows.
        """
        lines = ServerSentEvents()
        async with aclosing(self._exchange(path, body)) as chunks:
            async for chunk in chunks:
                for payload in lines.feed(chunk):
                    if payload == b"[DONE]":
                        return
                    event = _decoded(payload)
                    if not isinstance(event, dict):
                        raise EngineError("The brain's process sent an event of an unknown form.", hint=AGAIN)
                    if "error" in event:
                        raise _error(event)
                    yield event
        raise EngineError(ENDED, hint=AGAIN)

    async def _exchange(self, path: str, body: Any) -> AsyncGenerator[bytes]:
        """The body of the answer, piece by piece; the connection is closed at once when the caller goes."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.socket)
        except OSError as error:
            raise WorkerGone(GONE, hint=AGAIN) from error
        answered = False
        try:
            connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LARGEST_LINE)
            writer.write(self._request(connection, path, body))
            await writer.drain()
            refused = b""
            status = 0
            while not isinstance(event := await self._next(connection, reader), h11.EndOfMessage):
                answered = True
                if isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    if status < 400:
                        yield bytes(event.data)
                    elif len(refused) < LARGEST_LINE:
                        refused += bytes(event.data)
            if status >= 400:
                raise _refusal(status, refused)
        except (OSError, h11.RemoteProtocolError) as error:
            raise (EngineError if answered else WorkerGone)(ENDED, hint=AGAIN) from error
        finally:
            writer.transport.abort()

    def _request(self, connection: h11.Connection, path: str, body: Any) -> bytes:
        content = b"" if body is None else msgspec.json.encode(body)
        headers = [
            ("Host", "localhost"),
            ("Authorization", f"Bearer {self._key}"),
            ("Connection", "close"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(content))),
        ]
        request = h11.Request(method="GET" if body is None else "POST", target=path, headers=headers)
        parts = [connection.send(request)]
        if content:
            parts.append(connection.send(h11.Data(data=content)))
        parts.append(connection.send(h11.EndOfMessage()))
        return b"".join(part for part in parts if part)

    async def _next(self, connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Event:
        while (event := connection.next_event()) is h11.NEED_DATA:
            try:
                async with asyncio.timeout(self._silence):
                    data = await reader.read(65536)
            except TimeoutError as error:
                raise EngineError(
                    f"The brain's process was silent for {self._silence:.0f} seconds.",
                    hint="Stop it with `omni stop` and ask again.",
                ) from error
            connection.receive_data(data)
        if isinstance(event, h11.Event):
            return event
        raise EngineError(ENDED, hint=AGAIN)  # PAUSED, or closed before the answer was whole


def _decoded(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EngineError("The brain's process sent something that is no JSON.", hint=AGAIN) from error


def _refusal(status: int, body: bytes) -> OmniError:
    try:
        return _error(msgspec.json.decode(body), status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return EngineError(f"The brain's process answered with status {status}.", hint=AGAIN)


def _error(answer: Any, status: int = 0) -> OmniError:
    """The error that llama.cpp's `{"error": {"message", "type", …}}` stands for."""
    error = answer.get("error") if isinstance(answer, dict) else None
    if not isinstance(error, dict):
        return EngineError(f"The brain's process answered with {error or status!r}.", hint=AGAIN)
    message, kind = str(error.get("message", "")), error.get("type")
    if kind == "exceed_context_size_error":
        return ContextOverflow(
            "The prompt does not fit into the context.",
            hint="Start a new conversation, or shorten this one with /compact.",
            needed=int(error.get("n_prompt_tokens") or 0),
            allocated=int(error.get("n_ctx") or 0),
        )
    if (found := _TOO_LARGE.search(message)) is not None:
        needed, allocated = int(found[1]), int(found[2])
        return ContextOverflow(
            f"A text has {needed:,} tokens; {allocated:,} can be read for one vector.",
            hint="Send it in parts.",
            needed=needed,
            allocated=allocated,
        )
    if status == 400:  # the same request would fail in the same way
        return UsageError(f"The brain's process refused: {message.rstrip('.')}.")
    hint = "" if status == 404 else AGAIN
    return EngineError(f"The brain's process refused: {message.rstrip('.')}.", hint=hint)
