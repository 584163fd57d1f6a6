"""The client over a Unix socket: what it reads, what it refuses, how it lets go."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.core.errors import ContextOverflow, EngineError, UsageError
from omni.engine.http import LARGEST_LINE, ServerSentEvents, WorkerClient

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Server:
    """Answers every request with the same bytes, and knows when its client is gone."""

    def __init__(self, answer: bytes, *, hold: bool) -> None:
        self._answer, self._hold = answer, hold
        self.asked = b""
        self.gone, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        self.asked = head + await reader.readexactly(size)
        writer.write(self._answer)
        if self._hold:
            await reader.read()
            self.gone.set()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        self.ended.set()


Serve = Callable[..., Any]


@pytest.fixture
def serve(home: Any) -> Serve:
    """Serve fixed bytes on a socket and yield the client and the server."""

    @asynccontextmanager
    async def at(
        answer: bytes, *, hold: bool = False, silence: float = 5.0
    ) -> AsyncIterator[tuple[WorkerClient, Server]]:
        path = str(home.ensure_sockets() / "http.sock")
        server = Server(answer, hold=hold)
        listening = await asyncio.start_unix_server(server, path)
        try:
            yield WorkerClient(path, "secret", silence=silence), server
        finally:
            listening.close()
            await server.ended.wait()
            os.unlink(path)

    return at


async def read(client: WorkerClient) -> list[dict[str, Any]]:
    async with aclosing(client.stream("/x", {"a": 1}, dict)) as events:
        return [event async for event in events]


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)


@given(st.lists(st.binary(max_size=40).filter(lambda b: b"\n" not in b and not b.endswith(b"\r"))), st.integers(1, 9))
def test_payloads_survive_any_cut(payloads: list[bytes], size: int) -> None:
    stream = b"".join(b"data: %s\r\n\r\n" % payload for payload in payloads)
    lines = ServerSentEvents()
    received = [one for at in range(0, len(stream), size) for one in lines.feed(stream[at : at + size])]
    assert received == payloads


@given(st.binary())
def test_no_bytes_break_the_reader(data: bytes) -> None:
    ServerSentEvents().feed(data)


def test_a_line_without_end_is_refused() -> None:
    lines = ServerSentEvents(largest=100)
    lines.feed(b"data: " + b"x" * 90)
    with pytest.raises(EngineError, match="without end"):
        lines.feed(b"x" * 20)


async def test_a_stream_is_whole_with_done(serve: Serve) -> None:
    async with serve(HEAD + b': ping\n\ndata: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n') as (client, server):
        assert await read(client) == [{"n": 1}, {"n": 2}]
        assert b"Bearer secret" in server.asked
        assert server.asked.endswith(b'{"a":1}')


@pytest.mark.parametrize("answer", [b"", HEAD, HEAD + b'data: {"n":1}\n\n', HEAD + b'data: {"n"', b"garbage\r\n\r\n"])
async def test_an_end_before_done_is_an_error(serve: Serve, answer: bytes) -> None:
    async with serve(answer) as (client, _):
        with pytest.raises(EngineError, match="ended in the middle"):
            await read(client)


async def test_what_is_no_json_is_an_error(serve: Serve) -> None:
    async with serve(HEAD + b"data: {oops\n\n") as (client, _):
        with pytest.raises(EngineError, match="no JSON"):
            await read(client)


@pytest.mark.parametrize("line", [b'data: {"error":{"message":"no"}}\n\n', b'error: {"message":"no"}\n\n'])
async def test_an_error_in_the_stream_is_told(serve: Serve, line: bytes) -> None:
    async with serve(HEAD + line) as (client, _):
        with pytest.raises(EngineError, match="refused: no"):
            await read(client)


@pytest.mark.parametrize("status", [b"200 OK", b"500 Internal Server Error"])
async def test_a_schema_that_nothing_can_follow_is_the_askers(serve: Serve, status: bytes) -> None:
    body = b'{"error":{"message":"got exception: Unexpected empty grammar stack after: 6","type":"server_error"}}'
    answer = reply(body, status) if status.startswith(b"500") else HEAD + b"data: " + body + b"\n\n"
    async with serve(answer) as (client, _):
        with pytest.raises(UsageError, match="admits nothing"):
            await read(client)


async def test_an_overflow_keeps_its_figures(serve: Serve) -> None:
    body = b'{"error":{"message":"too long","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}'
    async with serve(reply(body, b"400 Bad Request")) as (client, _):
        with pytest.raises(ContextOverflow) as refused:
            await client.json("/x", {})
    assert (refused.value.needed, refused.value.allocated) == (9, 8)


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'{"error":3}', b"<html>", b'{"error":{"message":"Invalid API Key"}}']
)
async def test_a_refusal_of_any_form_is_an_engine_error(serve: Serve, body: bytes) -> None:
    async with serve(reply(body, b"401 Unauthorized")) as (client, _):
        with pytest.raises(EngineError):
            await client.json("/x")


async def test_an_answer_without_a_length_ends_with_its_connection(serve: Serve) -> None:
    async with serve(b'HTTP/1.1 200 OK\r\n\r\n{"n":1}') as (client, _):
        assert await client.json("/x", {}) == {"n": 1}


@pytest.mark.parametrize("head", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
async def test_an_answer_that_is_cut_is_an_error(serve: Serve, head: bytes) -> None:
    async with serve(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n4\r\ntrue") as (client, _):
        with pytest.raises(EngineError, match="ended in the middle"):
            await client.json("/x", {})


async def test_a_head_without_end_is_an_error(serve: Serve) -> None:
    async with serve(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (LARGEST_LINE + 1), hold=True) as (client, _):
        with pytest.raises(EngineError, match="ended in the middle"):
            await client.json("/x", {})


async def test_nobody_there_is_an_engine_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="not there"):
        await WorkerClient(str(tmp_path / "no.sock"), "k").json("/x")


async def test_silence_ends(serve: Serve) -> None:
    async with serve(HEAD, hold=True, silence=0.01) as (client, _):
        with pytest.raises(EngineError, match="silent"):
            await read(client)


async def test_closing_the_stream_closes_the_connection(serve: Serve) -> None:
    async with serve(HEAD + b'data: {"n":1}\n\n', hold=True) as (client, server):
        events = client.stream("/x", {}, dict)
        assert await anext(events) == {"n": 1}
        await events.aclose()
        async with asyncio.timeout(5):
            await server.gone.wait()
