"""What the tests of this room share: doubles of what stands behind a server (a library of made-up brains, one engine for
all of them), and applications on a Unix socket."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any, cast

import msgspec
import uvicorn
from uvicorn import Config
from uvicorn.server import ServerState

from omni.app import Services
from omni.cartridges import Base, Brain, GgufHeader
from omni.core.clock import SystemClock
from omni.core.errors import NotFound
from omni.core.paths import Home
from omni.core.plugins import Plugins
from omni.core.settings import Settings
from omni.engine import Engine
from omni.hardware import GraphicsMemory
from omni.jobs import Jobs
from omni.keeper import ProcessInfo, WorkerSpec
from omni.server.app import Server
from omni.server.protocol import HttpLimits, Protocol


def brain(name: str, **more: Any) -> Brain:
    """A brain that can be asked."""
    return Brain(**{"name": name, "state": "ready", **more})


def base(path: str = "/models/test.gguf", **header: Any) -> Base:
    """What a brain stands on; no file is there."""
    known = {"name": "Test 135M", "architecture": "llama", "quantisation": "Q4_1", "context_length": 8192}
    known |= {"parameters": 134_515_008, "layers": 30, "heads": 9, "kv_heads": 3, "chat_template": "{{ messages }}"}
    described = GgufHeader(
        **{"version": 3, "kind": "model", "file_bytes": 1000, "weights_bytes": 900, **known, **header}
    )
    return Base(id="sha256-" + "ab" * 32, path=path, parts=(path,), size=1000, header=described, origin="blob")


class FakeLibrary:
    """Knows some brains."""

    def __init__(self, brains: Sequence[Brain]) -> None:
        self.known = list(brains)

    async def brains(self) -> list[Brain]:
        return list(self.known)

    async def get(self, name: str) -> Brain:
        for each in self.known:
            if each.name == name:
                return each
        raise NotFound(f"There is no brain {name!r}.")

    async def looked(self, *_: Any, **__: Any) -> None:
        """All is known already."""


class FakeKeeper:
    """Has the processes that a test gives it."""

    def __init__(self) -> None:
        self.running: list[ProcessInfo] = []
        self.stopped: list[str] = []
        self.ended = asyncio.Event()
        self.leases: list[Any] = []

    async def processes(self) -> list[ProcessInfo]:
        return list(self.running)

    async def stop(self, name: str) -> None:
        self.stopped.append(name)
        self.ended.set()
        self.running = [process for process in self.running if process.name != name]

    async def worker(self, spec: WorkerSpec) -> "FakeLease":
        lease = FakeLease(self.leases, spec)
        await asyncio.sleep(0)  # as long as the way to the real one takes, others go on
        self.leases.append(lease)
        return lease

    def load(self, brain: Brain, *, turns: int = 0) -> None:
        """A worker that has loaded it."""
        assert brain.base is not None
        self.running.append(
            ProcessInfo(
                name=f"worker-{len(self.running) + 1}",
                kind="worker",
                pid=1,
                confined="seccomp",
                since=0.0,
                base=brain.base.id,
                turns=turns,
            )
        )


class FakeLease:
    """Is in the list as long as it is held."""

    def __init__(self, leases: list[Any], spec: WorkerSpec) -> None:
        self._leases, self.spec = leases, spec

    def close(self) -> None:
        self._leases.remove(self)


class FakeEngines:
    """Gives every brain the same context."""

    async def worker_spec(self, brain: Brain) -> WorkerSpec:
        return self.spec(brain)

    def spec(self, brain: Brain, *, embeddings: bool = False) -> WorkerSpec:
        assert brain.base is not None
        return WorkerSpec(
            engine="scripted", base=brain.base.id, path=brain.base.path, need_bytes=1 << 28, settings={"context": 4096}
        )


class FakeServices:
    """The part of `Services` that a server uses, over one engine."""

    def __init__(
        self, engine: Engine, *, brains: Sequence[Brain], settings: Settings | None = None, home: Home | None = None
    ) -> None:
        self.engine = engine
        self.library = FakeLibrary(brains)
        self.settings = settings or Settings()
        self.home = home
        self.plugins = Plugins(())
        self.jobs = Jobs(home or Home(Path("/nowhere")), None, SystemClock())
        self.fake_keeper = FakeKeeper()
        self.pulling: Callable[[str], AsyncGenerator[Any]] | None = None
        self.removed: list[str] = []
        self.vram: dict[int, int] = {}

    async def graphics(self, _processes: object) -> GraphicsMemory:
        return GraphicsMemory(taken=self.vram)

    async def keeper(self) -> FakeKeeper:
        return self.fake_keeper

    async def engines(self) -> FakeEngines:
        return FakeEngines()

    async def brains_on(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for each in self.library.known:
            if each.base is not None:
                names.setdefault(each.base.id, []).append(each.name)
        return names

    async def workers_of(self, name: str) -> list[str]:
        base = (await self.library.get(name)).base
        return [one.name for one in self.fake_keeper.running if base is not None and one.base == base.id]

    async def in_use(self) -> set[str]:
        return {process.base for process in self.fake_keeper.running}

    def pull(self, name: str) -> AsyncGenerator[Any]:
        assert self.pulling is not None
        return self.pulling(name)

    async def remove(self, name: str) -> int:
        self.removed.append((await self.library.get(name)).name)
        return 1

    def set(self, section: str, **values: Any) -> None:
        """Change settings."""
        changed = msgspec.structs.replace(getattr(self.settings, section), **values)
        self.settings = msgspec.structs.replace(self.settings, **{section: changed})

    async def read_settings_again(self) -> Settings:
        return self.settings

    async def loaded_default(self) -> Brain:
        return self.library.known[0]

    async def open(self, _brain: Brain, *, embeddings: bool = False) -> Engine:
        return self.engine


def server_over(services: FakeServices) -> Server:
    """A server, which uses no more of `Services` than there is."""
    return Server(cast("Services", services))


class Heard:
    """An application that remembers its scopes and answers with the length of the body."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        count = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            count += len(message["body"])
            if not message.get("more_body"):
                break
        body = json.dumps({"body": count}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Served:
    """The protocol class on a Unix socket."""

    def __init__(self, path: Path, app: Any, bounds: dict[str, Any]) -> None:
        self.path, self.app = path, app
        self.config = Config(
            app, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False, server_header=False
        )
        self.config.load()
        self.state = ServerState()
        self.protocol = type("Bounded", (Protocol,), {"bounds": HttpLimits(**bounds)})

    async def start(self) -> None:
        loop = asyncio.get_running_loop()

        def make() -> Any:
            return self.protocol(self.config, self.state, {}, loop)

        self.server = await loop.create_unix_server(make, self.path)

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    async def ask(self, data: bytes) -> "Answer":
        """Send and read one answer."""
        reader, writer = await self.dial()
        writer.write(data)
        try:
            return await answer(reader)
        finally:
            writer.close()

    async def close(self) -> None:
        self.server.close()
        for one in list(self.state.connections):
            one.transport.abort()
        for task in list(self.state.tasks):
            task.cancel()
        await asyncio.gather(*self.state.tasks, return_exceptions=True)


class Answer:
    """One answer as it came."""

    def __init__(self, head: bytes, body: bytes) -> None:
        first, *lines = head.decode().rstrip().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def answer(reader: asyncio.StreamReader) -> Answer:
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        response = Answer(head, b"")
        if "content-length" in response.headers:
            response.body = await reader.readexactly(int(response.headers["content-length"]))
        else:
            response.body = await reader.read()
    return response


class _Uvicorn(uvicorn.Server):
    """One that tells when it listens, and leaves the signals to pytest."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    def capture_signals(self) -> Any:
        return nullcontext()


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """`app` behind the protocol of the real server, on a port of this machine; gives its address."""
    door = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=Protocol, ws="none", lifespan="off", log_config=None, timeout_graceful_shutdown=5, loop="asyncio"
    )
    server = _Uvicorn(config)
    serving = asyncio.create_task(server.serve([door]), name="uvicorn")
    rising = asyncio.create_task(server.up.wait(), name="rising")
    try:
        await asyncio.wait({serving, rising}, return_when=asyncio.FIRST_COMPLETED)
        assert server.up.is_set()
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        rising.cancel()
        server.should_exit = True
        await serving
        door.close()
