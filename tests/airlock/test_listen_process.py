"""The airlock as a listener: the whole process, how it tells of itself, and how it ends."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
from typing import Any

import pytest

from omni.airlock import AirlockClient, Listening, NetSettings, PortTaken
from omni.core.errors import NetworkBlocked
from omni.core.paths import Home
from tests.airlock.listen_tools import ASK, Read, Upstream, echo, exactly, refused, rest

real = pytest.mark.real


def request(listening: Listening) -> bytes:
    line = http.client.HTTPConnection(listening.host, listening.port, timeout=20)
    line.request("GET", "/")
    body = line.getresponse().read()
    line.close()
    return body


@pytest.fixture
def airlock(keeper: Any) -> AirlockClient:
    keeper.client = "server-1"
    return AirlockClient(keeper, net=NetSettings())


@real
async def test_it_listens_and_says_so(airlock: AirlockClient, keeper: Any, upstream: Upstream, audit: Read) -> None:
    listening = await airlock.listen("127.0.0.1", 0, upstream.path)
    assert await asyncio.to_thread(request, listening) == b"hello"
    where = f"127.0.0.1:{listening.port}"
    [door] = await asyncio.to_thread(keeper.heard, lambda doors: bool(doors and doors[0]["bytes"]))
    assert (door["purpose"], door["host"]) == ("serve", where)
    await listening.close()
    assert await asyncio.to_thread(keeper.heard, lambda doors: not doors) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listening.host, listening.port))
    first, second = audit()
    assert (first["purpose"], first["host"], first["client"], first["verdict"]) == ("serve", where, "server-1", "whole")
    assert second["host"].startswith("127.0.0.1:")
    assert second["bytes"] > 100


@real
async def test_a_taken_port_is_told_across(airlock: AirlockClient, upstream: Upstream, site: Any) -> None:
    site.add("/", b"Ollama is running")
    with pytest.raises(PortTaken) as caught:
        await airlock.listen("127.0.0.1", site.port, upstream.path)
    assert caught.value.by == "Ollama"


@real
async def test_kill_9_of_the_airlock_ends_all(airlock: AirlockClient, keeper: Any, upstream: Upstream) -> None:
    upstream.answer = echo
    listening = await airlock.listen("127.0.0.1", 0, upstream.path)
    with socket.create_connection((listening.host, listening.port)) as line:
        line.sendall(ASK)
        keeper.kill()
        async with asyncio.timeout(20):
            await listening.ended()
        # A process that is killed gives its lines back one after the other: that of the address may be the last.
        await asyncio.wait_for(asyncio.to_thread(refused, listening.host, listening.port), 20)
    again = await airlock.listen("127.0.0.1", listening.port, upstream.path)
    assert again.port == listening.port
    await listening.close()
    await again.close()


@real
async def test_the_end_of_the_asking_process_closes_the_address(
    airlock: AirlockClient, keeper: Any, home: Home
) -> None:
    await keeper.door("serve")
    listen = {"host": "127.0.0.1", "port": 0, "socket": str(home.sockets / "x.sock"), "tls": None}
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(sys.argv[2].encode() + b'\\n'); print(s.makefile().readline(), flush=True); s.recv(1)"
    )
    order = json.dumps({"token": keeper.ticket("serve").token, "listen": listen})
    command = [sys.executable, "-c", code, str(keeper.socket), order]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220 - to be killed
    assert server.stdout is not None
    host, port = json.loads(server.stdout.readline())["listening"]
    socket.create_connection((host, port)).close()
    server.kill()
    server.wait()
    server.stdout.close()
    assert await asyncio.to_thread(keeper.heard, lambda doors: not doors) == []
    await asyncio.wait_for(asyncio.to_thread(refused, host, port), 20)


@real
async def test_a_drain_lets_the_open_ones_finish(airlock: AirlockClient, upstream: Upstream) -> None:
    upstream.answer = echo
    listening = await airlock.listen("127.0.0.1", 0, upstream.path)
    with socket.create_connection((listening.host, listening.port), timeout=20) as line:
        line.sendall(ASK)
        assert exactly(line, len(ASK)) == ASK
        listening.drain()

        def refused() -> None:
            while True:
                try:
                    socket.create_connection((listening.host, listening.port)).close()
                except ConnectionRefusedError:
                    return

        await asyncio.wait_for(asyncio.to_thread(refused), 20)
        line.sendall(b"still here")
        assert exactly(line, 10) == b"still here"
        await listening.close()
        assert rest(line) == b""


@real
async def test_downloads_go_on_beside_all_listeners(
    airlock: AirlockClient, keeper: Any, upstream: Upstream, site: Any
) -> None:
    open_ones = [await airlock.listen("127.0.0.1", 0, upstream.path) for _ in range(8)]
    with pytest.raises(NetworkBlocked, match="8 places"):
        await airlock.listen("127.0.0.1", 0, upstream.path)
    site.add("/page", b"x")
    assert (await airlock.page(f"{site.url}/page", purpose="pull")).data == b"x"
    for each in open_ones:
        await each.close()
