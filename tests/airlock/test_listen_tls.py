"""The airlock as a listener: TLS ends in the relay."""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import pytest

from omni.airlock.listen import Listen
from omni.core.errors import SetupError
from omni.core.paths import Home
from tests.airlock.listen_tools import ASK, Make, Upstream, echo, refusal, rest


def trusting(authority: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority))


@pytest.fixture
def context(authority: Path) -> ssl.SSLContext:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(authority, f"{authority}.key")
    return server_context


async def test_tls_ends_in_the_relay(door: Make, upstream: Upstream, context: ssl.SSLContext, authority: Path) -> None:
    upstream.answer = echo
    data = os.urandom(1 << 20) * 8
    host, port = door(context).address
    reader, writer = await asyncio.open_connection(host, port, ssl=trusting(authority), server_hostname="localhost")
    writer.write(ASK + data)
    assert await asyncio.wait_for(reader.readexactly(len(ASK) + len(data)), 20) == ASK + data
    writer.close()
    await writer.wait_closed()
    assert upstream.lines[0].endswith(b"\x20\0\x05\x01\0\0\0\1")


def test_the_end_of_an_answer_is_told_in_tls(
    door: Make, upstream: Upstream, context: ssl.SSLContext, authority: Path
) -> None:
    """Without a goodbye a client could not tell a whole answer from a cut one."""
    client_context = trusting(authority)
    with client_context.wrap_socket(
        door(context).dial(), server_hostname="localhost", suppress_ragged_eofs=False
    ) as line:
        line.sendall(ASK)
        assert rest(line).endswith(b"hello")


def test_http_to_a_tls_port(door: Make, context: ssl.SSLContext) -> None:
    with door(context).dial() as line:
        line.sendall(ASK)
        assert refusal(rest(line)) == (400, "This port speaks https, not http.")


def test_a_handshake_that_stalls(door: Make, context: ssl.SSLContext) -> None:
    with door(context, patience=0.05).dial() as line:
        line.sendall(b"\x16\x03\x01")
        assert rest(line) == b""


def test_old_tls_is_not_spoken(keeper: Any, home: Home, upstream: Upstream, authority: Path) -> None:
    from omni.airlock.listen import _context

    os.chmod(f"{authority}.key", 0o600)
    server_context = _context(Listen("127.0.0.1", 0, str(upstream.path), str(authority), f"{authority}.key"))
    assert server_context.minimum_version == ssl.TLSVersion.TLSv1_2
    os.chmod(f"{authority}.key", 0o644)
    with pytest.raises(SetupError, match="open to others") as caught:
        _context(Listen("127.0.0.1", 0, "", str(authority), f"{authority}.key"))
    assert "chmod 600" in caught.value.hint
    os.chmod(f"{authority}.key", 0o600)
    with pytest.raises(SetupError, match="cannot be used"):
        _context(Listen("127.0.0.1", 0, "", f"{authority}.key", f"{authority}.key"))
    with pytest.raises(SetupError, match="cannot be read"):
        _context(Listen("127.0.0.1", 0, "", str(authority), "/absent"))
