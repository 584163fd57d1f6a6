"""`omni serve` as its users meet it: a process of its own, its airlock, the real starter; and what dies, fills up or is sent."""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from benchmarks import serve_soak
from omni.core.paths import Home
from tests.e2e.conftest import OMNI, Person
from tests.fixtures_starter import STEADY_NAME

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

Body = dict[str, Any]
MODEL = STEADY_NAME
LONG = {"messages": [{"role": "user", "content": "Write a long story about a ship."}], "max_tokens": 1500}
SHORT = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3}


def until(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """What `condition` returns, once it is something; a connection that is refused or cut is not."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if answer := condition():
                return answer
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.01)


class Service:
    """A person's server. What a test kills is there again when it ends."""

    def __init__(self, person: Person, *options: str) -> None:
        self.person, self._options = person, options
        self._lines = contextlib.ExitStack()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.said = person.folder / f"said-{self.port}"
        self.start()

    def start(self) -> None:
        """Serve, and return when somebody can ask."""
        with self.said.open("w") as out:
            self.process = subprocess.Popen(
                [*OMNI, "serve", "--port", str(self.port), *self._options],
                env=self.person.environment, stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip
        until(self.listens, "the server")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.hang_up()
        assert self.end() == 0

    def listens(self) -> bool:
        """Whether somebody accepts at the port."""
        socket.create_connection(("127.0.0.1", self.port), 5).close()
        return True

    def is_shut(self) -> bool:
        """Whether nobody does."""
        try:
            return not self.listens()
        except ConnectionRefusedError:
            return True

    def end(self, *, how: signal.Signals = signal.SIGINT) -> int:
        """End it and return how it went."""
        self.process.send_signal(how)
        return self.process.wait(30)

    def hang_up(self) -> None:
        """End all connections that the test has made."""
        self._lines.close()

    def asked(self, path: str, body: Body | None = None) -> http.client.HTTPConnection:
        """A connection of its own, on which a request has been sent."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self._lines.callback(line.close)
        sent = None if body is None else json.dumps({"model": MODEL, **body})
        line.request("GET" if body is None else "POST", path, sent, {"Content-Type": "application/json"})
        return line

    def get(self, path: str) -> Any:
        """What a path says."""
        with contextlib.closing(self.asked(path)) as line:
            answer = line.getresponse()
            assert answer.status == 200, answer.read()
            return json.loads(answer.read())

    def post(self, body: Body, path: str = "/v1/chat/completions") -> http.client.HTTPResponse:
        """The answer to a request, which may stream."""
        answer = self.asked(path, body).getresponse()
        self._lines.callback(answer.close)
        return answer

    def works(self) -> bool:
        """Whether it answers a question."""
        answer = self.post(SHORT)
        completion = json.loads(answer.read())
        assert answer.status == 200, completion
        return bool(completion["choices"][0]["message"]["content"])

    def begun(self, **more: Any) -> http.client.HTTPResponse:
        """A long answer that streams."""
        answer = self.post({**LONG, "stream": True, **more})
        assert answer.status == 200
        for _ in range(6):
            assert answer.readline()
        return answer

    def load(self) -> tuple[int, int]:
        """Answers that are written, and requests that wait."""
        health = self.get("/health")
        return health["running"], health["queued"]


@pytest.fixture(scope="module")
def running(starter_gguf: Path) -> Iterator[Service]:
    """One server for all that leave it as it was."""
    with tempfile.TemporaryDirectory(prefix="omni-e2e-", ignore_cleanup_errors=True) as name:
        person = Person(Path(name))
        try:
            person.owns(starter_gguf)
            with Service(person) as server:
                assert server.works()
                yield server
        finally:
            person.close()


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """That server, to a test whose connections end with it."""
    yield running
    running.hang_up()


SCRIPT = """
import json
from openai import OpenAI
client = OpenAI()
model = client.models.list().data[0].id
ask = [{"role": "user", "content": "Hello"}]
made = client.chat.completions.create(model=model, messages=ask, stream=True, max_tokens=8, temperature=0)
assert "".join(chunk.choices[0].delta.content or "" for chunk in made if chunk.choices)
schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["c", "f"]}},
    "required": ["city", "unit"], "additionalProperties": False}
tools = [{"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": schema}}]
kept = {"max_tokens": 90, "temperature": 0}
made = client.chat.completions.create(model=model, messages=ask, tools=tools, tool_choice="required", **kept)
call = made.choices[0].message.tool_calls[0].function
assert call.name == "weather" and json.loads(call.arguments)["unit"] in ("c", "f"), call
form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}}
made = client.chat.completions.create(model=model, messages=ask, response_format=form, **kept)
assert json.loads(made.choices[0].message.content).keys() == {"city", "unit"}
print("all well")
"""


def test_an_unmodified_openai_script(service: Service) -> None:
    environment = {
        **service.person.environment,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{service.port}/v1",
        "OPENAI_API_KEY": "sk-anything",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "all well\n", done.stderr


def test_the_death_of_a_worker_is_noticed_neither_by_those_it_wrote_for_nor_by_those_who_wait(service: Service) -> None:
    begun = [service.begun(max_tokens=60) for _ in range(4)]
    waiting = [service.post({**SHORT, "stream": True}) for _ in range(2)]
    assert service.load() == (4, 2)
    os.kill(service.person.process("worker"), signal.SIGKILL)
    for answer in (*begun, *waiting):
        assert answer.read().endswith(b"data: [DONE]\n\n")
    assert service.works()


@pytest.mark.parametrize("kind", ["airlock", "keeper"])
def test_the_door_opens_again_by_itself(service: Service, kind: str) -> None:
    answer = service.begun()
    os.kill(service.person.process(kind), signal.SIGKILL)
    with pytest.raises(http.client.IncompleteRead):  # it ends at once, and cannot be taken for a whole one
        answer.read()
    until(service.works, "the next answer")
    until(lambda: service.load() == (0, 0), "the end of what nobody reads")


def test_a_server_that_dies_leaves_nothing_and_serves_again(service: Service) -> None:
    answer = service.begun()
    service.end(how=signal.SIGKILL)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    until(service.is_shut, "that the port is shut")
    service.start()
    assert service.works()
    assert [path.stem for path in service.person.home.sockets.glob("server-*")] == [f"server-{service.process.pid}"]


def test_ctrl_c_twice_ends_running_answers_with_words(service: Service) -> None:
    begun = [
        service.begun(),
        service.begun(path="/v1/messages"),
        service.begun(path="/api/chat", options={"num_predict": 1500}),
    ]
    service.process.send_signal(signal.SIGINT)
    until(service.is_shut, "that nobody else comes in")
    assert service.end() == 0
    for answer in begun:
        assert b"The server was stopped" in answer.read()[-300:]
    service.start()
    assert service.works()


def test_the_air_gap_holds_while_it_is_on(service: Service) -> None:
    service.person.omni("airgap", "on")
    assert service.is_shut()
    service.person.omni("airgap", "off", "--yes")
    until(service.works, "that it listens again")
    assert "it can be reached again" in until(service.said.read_text, "a word about it")


def test_servers_and_chats_share_one_worker(service: Service) -> None:
    with Service(service.person) as other:
        answers = [service.begun(max_tokens=40), other.begun(max_tokens=40)]
        assert service.person.omni("chat", "Say yes.").strip()
        for answer in answers:
            assert answer.read().endswith(b"data: [DONE]\n\n")
        listing = json.loads(service.person.omni("ps", "--json"))
        kinds = [row["kind"] for row in (listing["processes"] if isinstance(listing, dict) else listing)]
        assert kinds.count("worker") == kinds.count("airlock") == 1
    assert service.works()


def raw(service: Service, data: bytes) -> bytes:
    """All that is answered, however much of the request is wanted."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=30) as line:
        with contextlib.suppress(OSError):
            line.sendall(data)
        received = b""
        while block := line.recv(1 << 16):
            received += block
    return received


CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nConnection: close\r\n"
LIST = b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n"
LOCAL = b"Host: localhost\r\n"


def test_hostile_requests_get_a_clear_answer_and_harm_nobody(service: Service) -> None:
    answer = service.begun(max_tokens=60)
    for status, request in (
        (413, CHAT + LOCAL + b"Content-Length: 50000000\r\n\r\n" + b"x" * 50_000_000),
        (413, CHAT + LOCAL + b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n%b\r\n" % bytes(1 << 20) * 33),
        (431, CHAT + LOCAL + b"a:b\r\n" * 10_000 + b"\r\n"),
        (431, CHAT + LOCAL + b"".join(b"X-%d: y\r\n" % each for each in range(10_000)) + b"\r\n"),
        (400, CHAT + LOCAL + b'Content-Length: 15\r\n\r\n{"model":"\xff\xfe"} '),
        (400, CHAT + LOCAL + b"Content-Length: 100000\r\n\r\n" + b"[" * 100_000),
        (400, b"GET /\xff HTTP/1.1\r\n" + LOCAL + b"\r\n"),
        (400, b"\x16\x03\x01\x00\xf4\x01\x00\x00"),
        (401, LIST + LOCAL + b"Authorization: Bearer omni-wrong\r\n\r\n"),
        (403, LIST + b"Host: evil.example\r\n\r\n"),
        (403, LIST + LOCAL + b"Origin: null\r\n\r\n"),
        (403, LIST.replace(b"/v1/models", b"/metrics") + LOCAL + b"Origin: https://evil.example\r\n\r\n"),
        (403, LIST.replace(b"/v1/models", b"/metrics") + LOCAL + b"Sec-Fetch-Site: cross-site\r\n\r\n"),
        (200, LIST + LOCAL + b"Origin: https://evil.example\r\n\r\n"),  # anybody's page may see that, but not read it
    ):
        response = raw(service, request)
        assert int(response.split()[1]) == status, (request[:80], response)
        head, _, body = response.partition(b"\r\n\r\n")
        assert b"access-control-allow-origin" not in head.lower()
        assert ("error" in json.loads(body)) is (status != 200)
    assert answer.read().endswith(b"data: [DONE]\n\n")


def test_another_users_request_is_refused(service: Service) -> None:
    curl, setpriv = shutil.which("curl"), shutil.which("setpriv")
    if os.getuid() or curl is None or setpriv is None:
        pytest.skip("nobody else can be asked to try here")
    command = [setpriv, "--reuid", "65534", "--clear-groups", curl, "-s", f"http://127.0.0.1:{service.port}/v1/models"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert "belongs to another user" in json.loads(done.stdout)["error"]["message"]


def test_a_full_queue_says_when_to_come_back_and_who_leaves_it_is_gone(service: Service) -> None:
    service.person.omni("config", "set", "serve.queue", "2")
    try:
        for _ in range(4):
            service.begun(max_tokens=200)  # which some brains say in a second
        lines = [service.asked("/v1/chat/completions", SHORT) for _ in range(2)]
        until(lambda: service.load() == (4, 2), "a full queue")
        refused = service.post(SHORT)
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert json.loads(refused.read())["error"]["type"] == "rate_limit_error"
        lines[0].close()
        until(lambda: service.load() == (4, 1), "that who left is gone", 5)
        assert json.loads(lines[1].getresponse().read())["choices"]
        service.hang_up()
        until(lambda: service.load() == (0, 0), "free places")
    finally:
        service.person.omni("config", "set", "serve.queue", "128")


def test_those_who_read_nothing_hold_nobody_up(service: Service) -> None:
    lines = []
    try:
        for _ in range(5):  # more than there are places
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            line.connect(("127.0.0.1", service.port))
            body = json.dumps({"model": MODEL, **LONG, "max_tokens": 70, "stream": True, "logprobs": True,
                               "top_logprobs": 20}).encode()  # fmt: skip
            line.sendall(CHAT + LOCAL + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            lines.append(line)
        until(lambda: sum(service.load()) > 0, "that it has begun")
        until(lambda: service.load() == (0, 0), "that all are written though nobody reads")
        assert service.works()
    finally:
        for line in lines:
            line.close()


def test_sixty_four_chats_at_a_time(service: Service) -> None:
    """The short form of benchmarks/serve_soak.py."""
    keys = {name: service.person.omni("serve", "key", "add", name).strip() for name in serve_soak.KEYS}
    pids = {
        "server": service.process.pid,
        "airlock": service.person.process("airlock"),
        "worker": service.person.process("worker"),
    }
    soaked = asyncio.run(serve_soak.soak(service.port, MODEL, keys, pids, seconds=4, tokens=5))
    assert soaked.errors == []
    assert soaked.wait("one") < soaked.wait("many") / 2
    for name, before in soaked.before.items():
        after = soaked.after[name]
        assert after.files <= before.files, name
        assert after.memory < before.memory + (16 << 20), name


def test_tls_with_the_certificate_that_is_told(service: Service) -> None:
    if (curl := shutil.which("curl")) is None:
        pytest.skip("curl is not installed")
    with Service(service.person, "--tls", "--host", "127.0.0.1") as other:
        path = until(lambda: "serves at" in other.said.read_text() and other.said.read_text().split()[5], "a word")
        url = f"https://127.0.0.1:{other.port}/health"
        done = subprocess.run([curl, "-sS", "--cacert", path, url], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["status"] == "ok"
        assert subprocess.run([curl, "-s", url], capture_output=True, check=False).returncode == 60  # not trusted


@pytest.fixture
def full(starter_gguf: Path) -> Iterator[Service]:
    """A server whose home stands on a disk that became full while it served."""
    with tempfile.TemporaryDirectory(prefix="omni-e2e-", ignore_cleanup_errors=True) as name:
        person = Person(Path(name))
        person.home.root.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(person.home.root)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("nothing can be mounted here")
        try:
            person.owns(starter_gguf)
            with Service(person) as server:
                assert server.works()
                fill(person.home)
                yield server
        finally:
            person.close()
            subprocess.run(["umount", "-l", str(person.home.root)], check=False)


def fill(home: Home) -> None:
    """Take what is left of the disk."""
    with (home.root / "filler").open("wb", buffering=0) as file:
        for size in (4096, 512, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def test_a_full_disk_costs_no_answer(full: Service) -> None:
    assert full.works()
    assert full.begun(max_tokens=10).read().endswith(b"data: [DONE]\n\n")
    ask = {"input": "Hi", "max_output_tokens": 3}
    assert json.loads(full.post(ask, "/v1/responses").read())["store"] is False, "it says what it did not keep"
    assert "is full" in full.person.omni("serve", "key", "add", "phone", fails=True)
    (full.person.home.root / "filler").unlink()
    kept = json.loads(full.post(ask, "/v1/responses").read())
    assert kept["store"] is True
    assert full.get(f"/v1/responses/{kept['id']}")["output"] == kept["output"]
