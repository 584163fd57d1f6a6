"""Servers on this machine that behave and misbehave, and an airlock process with a stand-in for its keeper."""

import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import read_record
from omni.airlock.connection import ListenerLimits
from omni.core.paths import Home, python_command
from omni.keeper import DoorTicket
from tests.airlock.listen_tools import Door, Make, Upstream, hello


@dataclass
class Content:
    """What one address answers."""

    data: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    length: bool = True  # whether it says how long it is
    etag: str = ""
    cut: int | None = None  # ends every answer after so many bytes
    hold: int | None = None  # sends so many bytes, then waits for `go`
    shift: int = 0  # lies about where its part begins
    statuses: list[int] = field(default_factory=list)  # answered first, one a request
    go: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)


class Site:
    """A web server on 127.0.0.1 that remembers what it was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.contents: dict[str, Content] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.login = ""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            def do_CONNECT(self) -> None:
                site.tunnel(self)

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients hang up on purpose

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = f"https://localhost:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def add(self, path: str, data: bytes = b"", **how: Any) -> Content:
        self.contents[path] = Content(data, **how)
        return self.contents[path]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((request.path, dict(request.headers)))
        request.close_connection = True
        path = request.path.split("?")[0]
        path = path.removeprefix(self.url) if path.startswith("http") else path
        if path.startswith("http"):  # this site is the proxy
            path = "/" + path.split("/", 3)[3]
        content = self.contents.get(path)
        if self.login and request.headers.get("Authorization") != self.login:
            request.send_error(401)
            return
        if content is None:
            request.send_error(404)
            return
        status, data, start = content.status, content.data, 0
        if content.statuses:
            request.send_error(content.statuses.pop(0))
            return
        wanted = request.headers.get("Range", "")
        if wanted and content.ranges and request.headers.get("If-Range", content.etag) == content.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            status = 206 if start < len(data) else 416
        request.send_response(status)
        body = data[start:] if status in (200, 206) else b""
        if status == 206:
            begin = start + content.shift
            request.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if status == 416:
            request.send_header("Content-Range", f"bytes */{len(data)}")
        if content.length:
            request.send_header("Content-Length", str(len(body)))
        if content.etag:
            request.send_header("ETag", content.etag)
        for name, value in content.headers.items():
            request.send_header(name, value)
        request.end_headers()
        if content.hold is not None:
            request.wfile.write(body[: content.hold])
            request.wfile.flush()
            content.held.set()
            content.go.wait(20)
            body = body[content.hold :]
        request.wfile.write(body if content.cut is None else body[: content.cut])

    def tunnel(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((request.path, dict(request.headers)))
        request.close_connection = True
        if self.login and request.headers.get("Proxy-Authorization") != self.login:
            request.send_error(407)
            return
        host, _, port = request.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            request.send_response(200)
            request.end_headers()

            def relay(source: socket.socket, sink: socket.socket) -> None:
                try:
                    while data := source.recv(65536):
                        sink.sendall(data)
                    sink.shutdown(socket.SHUT_WR)
                except OSError:
                    pass

            up = threading.Thread(target=relay, args=(request.connection, there), daemon=True)
            up.start()
            relay(there, request.connection)

    def close(self) -> None:
        for content in self.contents.values():
            content.go.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Shut out the pip and proxy settings of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith("PIP_") or name.lower().endswith("_proxy") or "CERT" in name or "CA_BUNDLE" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture
def proxy() -> Iterator[Site]:
    server = Site()
    yield server
    server.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signs itself, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make a certificate with")
    path = tmp_path_factory.mktemp("authority") / "cert.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command, "-keyout", f"{path}.key", "-out", str(path)], check=True, capture_output=True)
    return path


@pytest.fixture
def secure(authority: Path) -> Iterator[Site]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, f"{authority}.key")
    server = Site(context)
    yield server
    server.close()


class KeeperClient:
    """As much of a keeper as the airlock sees: it starts it, gives tokens, hears which doors are open."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self.line: socket.socket | None = None
        self.doors: list[list[dict[str, Any]]] = []
        self.client, self.rest = "shell", b""

    def start(self) -> None:
        self.home.ensure_sockets()
        self.line, its = socket.socketpair()
        command = python_command("omni.airlock.process", packages=False)
        with its:
            self.process = subprocess.Popen(
                command, stdin=its.fileno(), env={**os.environ, "OMNI_HOME": str(self.home.root)}
            )
        self.tell({"home": str(self.home.root), "socket": str(self.socket), "epoch": "1"})
        while True:
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(self.socket))
                    return
                except OSError:
                    assert self.process.poll() is None, "the airlock does not start"

    @property
    def socket(self) -> Path:
        return self.home.sockets / "airlock.sock"

    def tell(self, value: dict[str, Any]) -> None:
        assert self.line is not None
        self.line.sendall(json.dumps(value).encode() + b"\n")

    async def door(self, purpose: str) -> DoorTicket:
        if self.process is None or self.process.poll() is not None:
            self.end()
            self.start()
        return self.ticket(purpose)

    def ticket(self, purpose: str) -> DoorTicket:
        token = os.urandom(16).hex()
        self.tell({"token": token, "purpose": purpose, "client": self.client})
        return DoorTicket(socket=str(self.socket), token=token)

    def heard(self, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """The next report of open doors that satisfies `until`."""
        while True:
            if "doors" in (said := self.said()):
                doors: list[dict[str, Any]] = said["doors"]
                if until(doors):
                    return doors

    def said(self) -> dict[str, Any]:
        """The next line of the airlock."""
        assert self.line is not None
        self.line.settimeout(20)
        while b"\n" not in self.rest:
            self.rest += self.line.recv(65536)
        line, _, self.rest = self.rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        if self.line is not None:
            self.line.close()
        if self.process is not None:
            self.process.wait(20)


@pytest.fixture
def keeper(home: Home) -> Iterator[KeeperClient]:
    client = KeeperClient(home)
    yield client
    client.end()


@pytest.fixture
def audit(home: Home) -> Callable[[], list[dict[str, Any]]]:
    """The last word on each connection, without what chains the lines."""

    def said() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in read_record(home)]
        return [{name: line[name] for name in line if name not in ("hash", "opened")} for line in lines]

    return said


@pytest.fixture
def sha() -> Callable[[bytes], str]:
    return lambda data: hashlib.sha256(data).hexdigest()


@pytest.fixture
def upstream(home: Home) -> Iterator[Upstream]:
    server = Upstream(home, hello)
    yield server
    server.close()


@pytest.fixture
def door(home: Home, upstream: Upstream) -> Iterator[Make]:
    made: list[Door] = []

    def make(context: ssl.SSLContext | None = None, **limits: Any) -> Door:
        made.append(Door(home, upstream.path, ListenerLimits(**limits), context))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "files" / "blob"
