"""What stands behind the web interface in tests: the real services and conversations over a scripted brain, with a
keeper and a library that a test holds in its hand."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from omni.app import Services
from omni.cartridges import Brain, PullDone, PullProgress, PullStarted, PullVerifying, Verified
from omni.core.errors import NetworkBlocked, NotFound, OmniError
from omni.core.hooks import WebAnswer, WebRoute, hookimpl
from omni.core.installed import GROUP
from omni.core.paths import Home
from omni.core.plugins import Plugins
from omni.core.settings import Section
from omni.engine import Engine
from omni.keeper import Doors, KeeperChange, ProcessInfo
from omni.server.sessions import Sessions
from omni.server.start import Front
from tests.server.server_tools import base, brain, listening

GB = 10**9
SOURCES = Path(__file__).resolve().parents[2] / "omni" / "server" / "web"
BUILT = SOURCES.parent / "static"


def node_modules(folder: Path) -> Path:
    """What the pages are built of: as it lies beside the sources, else installed once into a temporary `folder`."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed (Debian's packages: nodejs, npm)")
    here = SOURCES / "node_modules"
    if (here / ".package-lock.json").is_file():
        return here
    place = folder / "npm"
    if not (place / "node_modules" / ".package-lock.json").is_file():
        place.mkdir(exist_ok=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(SOURCES / name, place)
        command = [npm, "ci", "--ignore-scripts", "--no-update-notifier"]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=280, check=False)
        if done.returncode:
            pytest.skip(f"npm could not install what the pages are built of: {done.stderr[-400:]}")
    return place / "node_modules"


class WebKeeper:
    """Says what a test lets it say."""

    def __init__(self) -> None:
        self.state = Doors(air_gap=False, verified=True, detail="no airlock is running")
        self.running = [
            ProcessInfo(name="keeper", kind="keeper", pid=1, confined="unused, not confined", since=1e9),
            ProcessInfo(name="server", kind="client", pid=1, confined="none, by seccomp", since=1e9),
        ]
        self.told: list[tuple[str, Any]] = []
        self.offered = asyncio.Event()
        self._listeners: list[asyncio.Queue[KeeperChange]] = []

    async def doors(self) -> Doors:
        return self.state

    async def air_gap(self, on: bool) -> Doors:
        self.state = Doors(air_gap=on, verified=True, detail="verified")
        return self.state

    async def processes(self) -> list[ProcessInfo]:
        return list(self.running)

    async def stop(self, name: str) -> None:
        self.running = [one for one in self.running if one.name != name]

    async def offer(self, socket: str) -> None:
        self.running.append(
            ProcessInfo(name="shell-7", kind="client", pid=7, confined="none, by seccomp", since=1e9, jobs=socket)
        )
        self.offered.set()

    async def changed(self, topic: str, value: Any = None) -> None:
        self.told.append((topic, value))

    def say(self, topic: str, value: Any = None) -> None:
        """As another window would."""
        for queue in self._listeners:
            queue.put_nowait(KeeperChange(topic=topic, value=value))

    def load(self, brain: Brain) -> None:
        """A worker that has loaded it."""
        assert brain.base is not None
        self.running.append(
            ProcessInfo(
                name="worker-1", kind="worker", pid=1, confined="none, by seccomp", since=1e9, base=brain.base.id
            )
        )

    def changes(self) -> "WebChanges":
        return WebChanges(self._listeners)

    async def close(self) -> None:
        pass


class WebChanges:
    """What was said from now on."""

    def __init__(self, listeners: list[asyncio.Queue[KeeperChange]]) -> None:
        self._queue: asyncio.Queue[KeeperChange] = asyncio.Queue()
        self._listeners = listeners
        listeners.append(self._queue)

    def __aiter__(self) -> AsyncIterator[KeeperChange]:
        return self

    async def __anext__(self) -> KeeperChange:
        return await self._queue.get()

    async def aclose(self) -> None:
        self._listeners.remove(self._queue)


class WebLibrary:
    """A few brains of every kind."""

    def __init__(self, brains: Sequence[Brain]) -> None:
        self.known = {one.name: one for one in brains}
        self.step = asyncio.Event()
        self.failure: OmniError | None = None

    async def brains(self) -> list[Brain]:
        return list(self.known.values())

    async def get(self, name: str) -> Brain:
        if name not in self.known:
            raise NotFound(f"There is no brain {name!r}.")
        return self.known[name]

    async def best(self) -> Brain | None:
        return next((one for one in self.known.values() if one.usable), None)

    async def scan(self) -> list[Brain]:
        return []

    async def looked(self, *_: Any, **__: Any) -> None:
        """All is known already."""

    def follow(self, settings: Any) -> None:
        """It looks nowhere."""

    async def unfinished(self) -> list[Any]:
        return []

    async def adapters(self) -> dict[str, tuple[str, ...]]:
        return {}

    async def mark(self, base_id: str, *, ready: bool, reason: str = "") -> None:
        pass

    async def verify(self, name: str) -> AsyncGenerator[Any]:
        one = await self.get(name)
        yield PullVerifying(done=one.size // 2, total=one.size)
        yield PullVerifying(done=one.size, total=one.size)
        yield Verified(brain=name, ok=True, detail="the hash is that of the catalogue")

    async def pull(self, name: str, _airlock: Any, **_more: str) -> AsyncGenerator[Any]:
        one = await self.get(name)
        yield PullStarted(brain=name, size=one.size)
        yield PullProgress(done=one.size // 3, total=one.size, rate=22e6, seconds_left=12.0)
        await self.step.wait()
        if self.failure is not None:
            raise self.failure
        yield PullVerifying(done=one.size, total=one.size)
        self.known[name] = msgspec.structs.replace(one, state="installed", base=base(name=one.title))
        yield PullDone(brain=self.known[name])

    async def remove(self, name: str, *, in_use: Any = ()) -> int:
        one = await self.get(name)
        self.known[name] = msgspec.structs.replace(one, state="available", base=None)
        return one.size

    async def close(self) -> None:
        pass


def some_brains() -> list[Brain]:
    """As a person with a few brains has them."""
    known = base(name="SmolLM2 135M")
    coder = msgspec.structs.replace(base(name="Qwen2.5 Coder 1.5B"), id="sha256-" + "cd" * 32)
    return [
        brain("@omni/smollm2", title="SmolLM2 135M Instruct", base=known, base_title="SmolLM2 135M", size=98_000_000,
              summary="The starter: small and quick.", good_for="short questions", licence="Apache-2.0",
              context_max=8192, quantisation="Q4_1", verified="verified today"),
        brain("@omni/coder", base=coder, base_title="Qwen coder 1.5B", size=1_120_000_000, state="installed",
              summary="Writes and explains code.", good_for="code", licence="Apache-2.0", context_max=32768,
              quantisation="Q4_K_M"),
        brain("@roe/architect", base=coder, base_title="Qwen coder 1.5B", size=1_120_000_000, shares="@omni/coder",
              summary="Draws what is to be built.", good_for="design", licence="Apache-2.0", context_max=32768),
        brain("llama3.2:3b", base=msgspec.structs.replace(known, id="file-1"), base_title="Llama 3.2 3B",
              size=2 * GB, origin="ollama", licence="Llama 3.2", context_max=131072, quantisation="Q4_K_M"),
        brain("@me/notes", base=msgspec.structs.replace(known, id="file-2"), size=2 * GB, state="corrupt",
              reason="The hash is not what it was.", licence=""),
        brain("@omni/qwen", state="available", size=4_700_000_000, base_title="Qwen 7B", title="Qwen 7B",
              summary="Larger and slower.", licence="Apache-2.0", context_max=32768),
    ]  # fmt: skip


class WebServices(Services):
    """The real ones, but for the keeper, the library and the engine."""

    def __init__(self, home: Home, engine: Engine, brains: Sequence[Brain] | None = None) -> None:
        super().__init__(home, starter=None, client="test", plugins=False)
        self.plugins = some_plugins()
        self.engine = engine
        self.fake_keeper = WebKeeper()
        self.fake_library = WebLibrary(some_brains() if brains is None else brains)

    @cached_property
    def library(self) -> Any:
        return self.fake_library

    async def keeper(self) -> Any:
        return self.fake_keeper

    async def airlock(self) -> Any:
        if self.fake_keeper.state.air_gap:
            raise NetworkBlocked("The doors are shut.", hint="Lift the air gap first.")

    async def open(self, brain: Brain, *, embeddings: bool = False) -> Engine:
        return self.engine


class Web:
    """A server with its pages, on a port."""

    def __init__(self, services: WebServices, sessions: Sessions, front: Front) -> None:
        self.services, self.sessions, self.front = services, sessions, front
        self.keeper, self.library, self.chat = services.fake_keeper, services.fake_library, services.chat
        self.url = ""

    @property
    def link(self) -> str:
        """What a person opens."""
        return f"{self.url}/#token={self.sessions.token()}"


def long_chat(messages: int, paragraphs: int = 1) -> str:
    """An exported conversation of so many messages."""
    entries: list[dict[str, Any]] = []
    for number in range(messages):
        text = f"Question number {number // 2}?"
        if number % 2:
            text = f"**Answer number {number // 2}.** " + "Some words about it. " * 12 * paragraphs
            text += f"\n\n```python\ndef answer_{number}(value: int) -> int:\n    return value + {number}\n```\n\n- one\n- two\n"
        role, parent = ("assistant" if number % 2 else "user"), (f"m{number - 1}" if number else None)
        entries.append({"id": f"m{number}", "parent": parent, "role": role, "text": text, "time": 1e9 + number})
    about: dict[str, Any] = {"id": "long", "title": "A long story", "project": None, "created": 1e9, "updated": 2e9}
    about |= {"brain": "", "system": "", "head": entries[-1]["id"], "turns": messages // 2, "at": 1}
    return json.dumps({"format": "omni-conversation", "version": 1, "conversation": about, "messages": entries})


class AlmanacSettings(Section, frozen=True):
    """What the plug-in below takes."""

    most: Annotated[int, Meta(ge=1, description="How many dates are shown.")] = 5
    folders: Annotated[tuple[str, ...], Meta(description="Where dates are looked for.")] = ()


class Almanac:
    """A plug-in with settings and a page."""

    @hookimpl
    def omni_settings(self) -> list[Any]:
        return [AlmanacSettings]

    @hookimpl
    def omni_web_routes(self) -> list[WebRoute]:
        return [
            WebRoute(path="dates", title="Dates to come", run=lambda _: WebAnswer(body="<h1>No date is near.</h1>")),
            WebRoute(path="data", run=lambda _: WebAnswer(body="[]", media="application/json")),
        ]


class Broken:
    """A plug-in whose settings cannot be looked at."""

    @hookimpl
    def omni_settings(self) -> list[Any]:
        return [type("NoStruct", (), {})]


def some_plugins() -> Plugins:
    """Both, as if they were installed."""
    return Plugins([EntryPoint(name, f"{__name__}:{name}", GROUP) for name in ("almanac", "broken")])


almanac, broken = Almanac(), Broken()


@asynccontextmanager
async def web(folder: Path, engine: Engine, brains: Sequence[Brain] | None = None) -> AsyncIterator[Web]:
    """Serve the interface: behind the real guard, which knows nobody without a session."""
    home = Home(folder).ensure()
    async with WebServices(home, engine, brains) as services:
        sessions = Sessions()
        front = Front(services, sessions, web=True)
        served = Web(services, sessions, front)
        async with listening(front.guard) as served.url:
            try:
                yield served
            finally:
                front.leave()
                await front.close()
