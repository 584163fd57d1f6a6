"""The whole way: a client, the airlock, the server; and what happens when one of them dies."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from omni.app import Services
from omni.core.errors import OmniError, SetupError
from omni.core.paths import Home
from omni.keeper import start
from omni.server.certificate import certificate, fingerprint
from omni.server.protocol import RELAY
from omni.server.serving import AddressStatus, ServeOptions, Serving
from omni.server.start import is_this_machine
from tests.server.server_tools import Heard

pytestmark = pytest.mark.real  # every test here starts processes

ROOT = Path(__file__).resolve().parents[2]


class Run:
    """A server in this process, behind a real airlock of a real keeper."""

    def __init__(self, home: Home, app: Any, **options: Any) -> None:
        self.home = home
        self.starter = start(home, full_screen=False)
        self.services = Services(home, starter=self.starter, client="server", plugins=False)
        self.doors: asyncio.Queue[AddressStatus] = asyncio.Queue()
        options = {"port": 0, **options}
        self.serving = Serving(self.services, app, ServeOptions(**options), tell=self.doors.put_nowait)
        self.task = asyncio.create_task(self.serving.run())

    async def door(self) -> AddressStatus:
        """The next thing that is told."""
        waiting = asyncio.create_task(self.doors.get())
        await asyncio.wait({waiting, self.task}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await self.task
        return waiting.result()

    async def pid(self, kind: str) -> int:
        keeper = await self.services.keeper()
        return next(one.pid for one in await keeper.processes() if one.kind == kind)

    async def close(self) -> None:
        self.serving.stop()
        with suppress(OmniError):
            await self.task
        with suppress(OmniError):
            await (await self.services.keeper()).shutdown()
        await self.services.close()
        self.starter.goodbye()


Make = Callable[..., Run]


@pytest.fixture
async def served(home: Home) -> AsyncIterator[Make]:
    made: list[Run] = []

    def make(app: Any = None, **options: Any) -> Run:
        made.append(Run(home, app or Heard(), **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def get(door: AddressStatus, path: str = "/", context: ssl.SSLContext | None = None, **headers: str) -> Any:
    """One request; the answer's body."""
    if context is None:
        line = http.client.HTTPConnection("127.0.0.1", door.port, timeout=20)
    else:
        line = http.client.HTTPSConnection("localhost", door.port, timeout=20, context=context)
    try:
        line.request("GET", path, headers=headers)
        return json.loads(line.getresponse().read())
    finally:
        line.close()


async def until_there(door: AddressStatus) -> Any:
    """The answer, when the door is open again."""
    async with asyncio.timeout(30):
        while True:
            with suppress(OSError, http.client.HTTPException):
                return await asyncio.to_thread(get, door)


async def until_gone(door: AddressStatus) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", door.port)
            except OSError:
                return
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_it_serves_and_knows_who_asks(served: Make) -> None:
    app = Heard()
    run = served(app)
    door = await run.door()
    assert door == AddressStatus(url=f"http://127.0.0.1:{door.port}", port=door.port)
    assert await asyncio.to_thread(get, door) == {"body": 0}
    [scope] = app.scopes
    assert scope["client"][0] == "127.0.0.1"
    assert scope["extensions"][RELAY]["uid"] == os.getuid()
    assert scope["extensions"][RELAY]["local"] == ("127.0.0.1", door.port)
    assert isinstance(scope["state"]["stopping"], asyncio.Event)
    keeper = await run.services.keeper()
    async with asyncio.timeout(20):
        while not (doors := await keeper.doors()).open:
            pass
    assert (doors.open[0].purpose, doors.open[0].host) == ("serve", f"127.0.0.1:{door.port}")
    [airlock] = [one for one in await keeper.processes() if one.kind == "airlock"]
    assert airlock.detail == f"listens on 127.0.0.1:{door.port}"


async def test_tls_with_a_certificate_made_here(served: Make, home: Home) -> None:
    made = certificate(home, ("box.local", "10.1.2.3"))
    assert made.new
    assert made.key.stat().st_mode & 0o777 == 0o600
    assert certificate(home, ("box.local",)) == made._replace(new=False)
    assert fingerprint(made.certificate) == made.fingerprint
    app = Heard()
    door = await served(app, certificate=(made.certificate, made.key)).door()
    assert door.url == f"https://127.0.0.1:{door.port}"
    context = ssl.create_default_context(cafile=str(made.certificate))
    assert await asyncio.to_thread(get, door, "/", context) == {"body": 0}
    assert app.scopes[0]["scheme"] == "https"
    again = certificate(home, ("another.local",))  # a name that it does not have
    assert again.new
    assert again.fingerprint != made.fingerprint


async def test_a_taken_port_is_passed_over_and_named(served: Make, home: Home) -> None:
    first = await served().door()
    second = await served(port=first.port).door()
    assert first.port < second.port <= first.port + 10
    assert (second.taken, second.taken_by[:6]) == (first.port, "python"[:6]) or second.taken_by
    with pytest.raises(SetupError, match="is taken"):
        await served(port=first.port, fixed=True).door()


async def test_kill_9_of_the_airlock(served: Make) -> None:
    run = served()
    door = await run.door()
    for _ in range(2):
        os.kill(await run.pid("airlock"), signal.SIGKILL)
        assert await run.door() == replace(door, again=True)
        assert await until_there(door) == {"body": 0}


async def test_kill_9_of_the_keeper(served: Make) -> None:
    run = served()
    door = await run.door()
    os.kill(await run.pid("keeper"), signal.SIGKILL)
    assert (await run.door()).port == door.port
    assert await until_there(door) == {"body": 0}


async def test_the_air_gap_shuts_the_door_until_it_is_lifted(served: Make) -> None:
    run = served()
    door = await run.door()
    keeper = await run.services.keeper()
    assert (await keeper.air_gap(True)).verified
    await until_gone(door)
    assert "air gap" in (await run.door()).shut
    await keeper.air_gap(False)
    assert await run.door() == replace(door, again=True)
    assert await until_there(door) == {"body": 0}


async def test_a_server_that_starts_behind_the_air_gap_waits(served: Make, home: Home) -> None:
    from omni.keeper import set_air_gap

    set_air_gap(home, True)
    run = served()
    assert "air gap" in (await run.door()).shut
    await (await run.services.keeper()).air_gap(False)
    assert await until_there(await run.door()) == {"body": 0}


class Slow:
    """Answers when the test says so."""

    def __init__(self) -> None:
        self.asked, self.go, self.cancelled = asyncio.Event(), asyncio.Event(), False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        self.asked.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        await send({"type": "http.response.body", "body": b"done"})


async def test_running_answers_are_finished(served: Make) -> None:
    app = Slow()
    run = served(app)
    door = await run.door()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(app.asked.wait(), 20)
    run.serving.stop()
    await until_gone(door)
    app.go.set()
    answer = await asyncio.wait_for(reader.read(), 20)
    assert b"begun" in answer
    assert answer.endswith(b"done\r\n0\r\n\r\n")
    writer.close()
    await asyncio.wait_for(run.task, 20)
    assert not list(run.home.sockets.glob("server-*.sock"))


@pytest.mark.parametrize("how", ["the grace is over", "asked twice"])
async def test_but_not_for_ever(served: Make, how: str) -> None:
    app = Slow()
    run = served(app, grace=1 if how == "the grace is over" else 600)
    door = await run.door()
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await asyncio.wait_for(app.asked.wait(), 20)
    run.serving.stop()
    if how == "asked twice":
        run.serving.stop()
    await asyncio.wait_for(run.task, 20)
    assert app.cancelled
    writer.close()


# --- as a program ---


class Program:
    """`omni serve` as a person starts it."""

    def __init__(self, home: Home, *words: str) -> None:
        environment = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "omni", *words],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def end(self) -> int:
        assert self.process.stdout is not None
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        return self.process.wait(20)


@pytest.fixture
def program(home: Home) -> Any:
    made: list[Program] = []

    def make(*words: str) -> Program:
        made.append(Program(home, *words))
        return made[-1]

    yield make
    for each in made:
        each.end()
    from omni.keeper import stop_everything

    with suppress(OmniError):
        stop_everything(home, windows=True)


def port_of(line: str) -> int:
    return int(line.rpartition(":")[2].partition("/")[0])


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_and_ends_in_good_order(program: Any, home: Home, end: signal.Signals) -> None:
    server = program("serve", "--port", "0")
    port = port_of(server.line())
    assert server.line() == f"export OPENAI_BASE_URL=http://127.0.0.1:{port}/v1"
    assert server.line() == f"export OLLAMA_HOST=http://127.0.0.1:{port}"
    assert get(AddressStatus(port=port), "/v1/models")["object"] == "list"
    refused = get(AddressStatus(port=port), "/v1/models", Host="evil.example")
    assert "does not answer to the name" in refused["error"]["message"]
    assert "page without an origin" in get(AddressStatus(port=port), "/v1/models", Origin="null")["error"]["message"]
    wrong = get(AddressStatus(port=port), "/v1/models", Authorization="Bearer omni-wrong")
    assert wrong["error"]["code"] == "invalid_api_key"
    server.process.send_signal(end)
    assert server.process.wait(20) == 0
    assert not list(home.sockets.glob("server-*"))


def test_kill_9_of_the_server_closes_the_door(program: Any, home: Home) -> None:
    server = program("serve", "--port", "0")
    port = port_of(server.line())
    status = Path(f"/proc/{server.process.pid}/status")
    if status.exists():
        assert "Seccomp:\t2" in status.read_text()
    server.process.kill()
    server.process.wait(20)
    asyncio.run(until_gone(AddressStatus(port=port)))
    again = program("serve", "--port", str(port))  # the port is free again, and the old socket in nobody's way
    assert port_of(again.line()) == port


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can be somebody else")
def test_another_users_request_is_refused(program: Any) -> None:
    port = port_of(program("serve", "--port", "0").line())
    code = f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/v1/models').status)"
    command = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-I", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/")
    if "Permission" in done.stderr:
        pytest.skip("nobody may run this interpreter")
    assert "403" in done.stderr


def test_the_web_address_lets_a_browser_in_once(program: Any) -> None:
    import urllib.request

    line = program("web", "--port", "0", "--no-open").line()
    address, _, token = line.removeprefix("Omni's web interface: ").partition("/#token=")
    body = json.dumps({"token": token}).encode()

    def exchange() -> Any:
        asked = urllib.request.Request(f"{address}/omni/session", body, {"Sec-Fetch-Site": "same-origin"})
        return urllib.request.urlopen(asked, timeout=20)

    with exchange() as answer:
        assert answer.headers["Set-Cookie"].startswith("omni-session=")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        exchange()


def test_an_open_page_does_not_hold_up_the_end(program: Any) -> None:
    server = program("web", "--port", "0", "--no-open")
    port = int(server.line().partition("/#token=")[0].rpartition(":")[2])
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    line.request("GET", "/omni/v1/changes")
    answer = line.getresponse()
    assert b"hello" in answer.fp.readline() + answer.fp.readline()
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(8) == 0  # and not after the grace of ten seconds
    line.close()


def test_other_addresses_need_a_key_and_tls(program: Any, home: Home) -> None:
    def refusal(*words: str) -> str:
        attempt = program("serve", "--port", "0", *words)
        assert attempt.process.wait(20) == 4
        return str(attempt.process.stdout.read())

    said = refusal("--host", "0.0.0.0")
    assert "a key and TLS is missing" in said
    assert "omni serve key add NAME" in said
    assert "omni serve --host 0.0.0.0 --tls" in said
    assert "a key is missing" in refusal("--host", "0.0.0.0", "--tls")
    key = program("serve", "key", "add", "phone")
    assert key.line().startswith("omni-")
    key.process.wait(20)
    assert "TLS is missing" in refusal("--host", "0.0.0.0")
    server = program("serve", "--port", "0", "--host", "0.0.0.0", "--tls")
    assert server.line().startswith("New certificate, SHA-256 ")
    port = port_of(server.line())
    context = ssl.create_default_context(cafile=str(home.certificate))
    assert get(AddressStatus(port=port), "/v1/models", context)["object"] == "list"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_what_only_this_machine_reaches(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "127.evil.example", "127.1", ""])
def test_what_others_may_reach(host: str) -> None:
    assert not is_this_machine(host)


def test_half_a_certificate_is_none(program: Any) -> None:
    attempt = program("serve", "--port", "0", "--cert", "/x")
    assert attempt.process.wait(20) == 4
    assert "belong together" in attempt.process.stdout.read()


# --- hostile input, the whole way ---


def raw(port: int, data: bytes) -> bytes:
    """Everything that is answered; sending goes on until the other side has had enough."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        with suppress(OSError):
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
        answer = b""
        while block := line.recv(1 << 16):
            answer += block
    return answer


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n", b"x" * 50_000_000, 413),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % each for each in range(10_000)) + b"\r\n", b"", 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 101 + b"\r\n", b"", 431),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", 400),
        (b"\x00\x01\x02\r\n\r\n", b"", 400),
        (b"\x16\x03\x01\x00\xf4\x01\x00\x00", b"", 400),
    ],
    ids=["50 MB", "10,000 headers", "101 headers", "no UTF-8", "garbage", "TLS"],
)
async def test_a_clear_answer_and_everyone_else_unharmed(served: Make, head: bytes, body: bytes, status: int) -> None:
    door = await served().door()
    answer = await asyncio.to_thread(raw, door.port, head + body)
    assert int(answer.split()[1]) == status
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert await asyncio.to_thread(get, door) == {"body": 0}


async def test_a_hundred_half_open_connections_harm_nobody(served: Make) -> None:
    door = await served().door()
    lines = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(100)]
    for line in lines:
        line.sendall(b"GET / HTTP/1.1\r\nX: ")
    assert await asyncio.to_thread(get, door) == {"body": 0}
    for line in lines:
        line.close()
