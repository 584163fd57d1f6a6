"""What stands behind the shell in its tests: scripted services, a clock that is set by hand."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from textual.pilot import Pilot

from omni.app import Services
from omni.cartridges import Brain, PullDone
from omni.core.clock import SystemClock
from omni.core.paths import Home
from omni.core.settings import Settings, UiSettings
from omni.hardware import GraphicsMemory
from omni.jobs import Jobs
from omni.keeper import Door, Doors, KeeperChange, ProcessInfo
from omni.shell.app import OmniApp


class FakeClock:
    """Time that passes when a test says so."""

    def __init__(self, start: float = 1_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return 1_700_000_000.0 + self.time

    def monotonic(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds


class FakeKeeper:
    """Answers about doors and processes, and tells of changes that a test makes."""

    def __init__(self) -> None:
        self.air = False
        self.open: tuple[Door, ...] = ()
        self.verified = True
        self.orders: list[str] = []
        self.told: asyncio.Queue[KeeperChange] = asyncio.Queue()
        self.listed: list[ProcessInfo] = []
        self.failure: Exception | None = None

    async def doors(self) -> Doors:
        if self.failure is not None:
            raise self.failure
        return Doors(air_gap=self.air, open=self.open, verified=self.verified)

    async def air_gap(self, on: bool) -> Doors:
        self.orders.append(f"air gap {'on' if on else 'off'}")
        self.air, self.open = on, ()
        return await self.doors()

    async def processes(self) -> list[ProcessInfo]:
        return list(self.listed)

    async def offer(self, socket: str) -> None:
        self.listed.append(
            ProcessInfo(name="shell-2", kind="client", pid=2, confined="seccomp", since=0.0, jobs=socket)
        )
        self.told.put_nowait(KeeperChange(topic="processes"))

    async def stop(self, name: str) -> None:
        self.orders.append(f"stop {name}")
        self.listed = [one for one in self.listed if one.name != name]

    async def changed(self, topic: str, value: Any) -> None:
        self.orders.append(f"changed {topic}")

    async def changes(self) -> AsyncIterator[KeeperChange]:
        while True:
            yield await self.told.get()


class FakeLibrary:
    """A list of brains; what is pulled, removed and verified is remembered."""

    def __init__(self, brains: Sequence[Any] = ()) -> None:
        self.list = list(brains)
        self.orders: list[str] = []
        self.pull_events: list[Any] = []
        self.verify_events: list[Any] = []
        self.export_events: list[Any] = []

    async def brains(self) -> list[Any]:
        return list(self.list)

    async def scan(self) -> list[Any]:
        self.orders.append("scan")
        return list(self.list)

    async def best(self) -> Any:
        usable = [brain for brain in self.list if brain.usable]
        return next((brain for brain in usable if not brain.starter), usable[0] if usable else None)

    async def recommended(self) -> Any:
        offered = [brain for brain in self.list if brain.state == "available"]
        return min(offered, key=lambda brain: brain.size, default=None)

    async def get(self, name: str) -> Any:
        return next(brain for brain in self.list if brain.name == name)

    async def add(self, path: Any) -> Any:
        self.orders.append(f"add {path}")
        return self.list[0]

    async def pull(self, name: str, airlock: Any = None, *, base: str = "") -> AsyncIterator[Any]:
        self.orders.append(f"pull {name}")
        for event in self.pull_events:
            if callable(event):
                await event()
            else:
                yield event
        yield PullDone(brain=Brain(name=name, state="installed"))

    async def verify(self, name: str) -> AsyncIterator[Any]:
        self.orders.append(f"verify {name}")
        for event in self.verify_events:
            yield event

    async def unfinished(self) -> list[Any]:
        return []

    async def remove(self, name: str, *, in_use: Any = ()) -> int:
        self.orders.append(f"remove {name}")
        self.list = [brain for brain in self.list if brain.name != name]
        return 0

    async def export(self, names: Any, folder: Any) -> AsyncIterator[Any]:
        self.orders.append(f"export {list(names)} {folder}")
        for event in self.export_events:
            yield event


class FakePlugins:
    """Panes of plug-ins."""

    def __init__(self) -> None:
        self.panes: list[Any] = []
        self.failures: dict[str, str] = {}

    def gather(self, hook: str) -> list[Any]:
        return list(self.panes) if hook == "omni_panes" else []

    def offers(self, hook: str) -> list[Any]:
        return []


class FakeServices:
    """What `omni.app.Services` offers to the shell, without a keeper, a disk or a brain behind it."""

    def __init__(self, root: Path, **given: Any) -> None:
        self.home = Home(root)
        self.settings = given.pop("settings", Settings())
        self.clock = given.pop("clock", FakeClock())
        self.starter = None
        self.fake_keeper = FakeKeeper()
        self.library: Any = given.pop("library", FakeLibrary())
        self.airlock: Any = SimpleNamespace()
        self.changed_settings: dict[str, Any] = {}
        self.chat: Any = None
        self.environment: Any = None
        self.plugins = FakePlugins()
        self.profile: Any = None
        self.fake_budget: Any = None
        self.fake_graphics = GraphicsMemory()
        self.fits: dict[str, Any] = {}
        self.closed = False
        self.runtimes: list[Any] = []
        self.listeners: list[Any] = []
        self.jobs = Jobs(self.home, None, SystemClock())
        for name, value in given.items():
            setattr(self, name, value)

    async def keeper(self) -> FakeKeeper:
        return self.fake_keeper

    async def on_devices(self) -> list[ProcessInfo]:
        return [one for one in self.fake_keeper.listed if one.placed]

    async def graphics(self, processes: Sequence[ProcessInfo]) -> GraphicsMemory:
        return self.fake_graphics if any(one.placed for one in processes) else GraphicsMemory()

    async def runtime_rows(self) -> list[Any]:
        return self.runtimes

    def listen(self, listener: Any) -> Any:
        self.listeners.append(listener)
        return lambda: None

    async def hardware(self) -> Any:
        return self.profile

    async def budget(self) -> Any:
        return self.fake_budget

    async def brains_on(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = {}
        for brain in self.library.list:
            if brain.base is not None:
                names.setdefault(brain.base.id, []).append(brain.name)
        return names

    async def measured_hardware(self) -> Any:
        return self.profile

    async def fit(self, brain: Any) -> Any:
        return self.fits.get(brain.name)

    async def pull(self, name: str) -> AsyncGenerator[Any]:
        async for event in self.library.pull(name):
            yield event

    async def verify(self, name: str) -> AsyncGenerator[Any]:
        async for event in self.library.verify(name):
            yield event

    async def remove(self, name: str) -> int:
        return int(await self.library.remove(name))

    async def close(self) -> None:
        self.closed = True
        await self.jobs.close()

    async def change_setting(self, key: str, value: Any) -> None:
        self.changed_settings[key] = value


def sample_brains() -> tuple[list[Any], dict[str, Any]]:
    """Brains of every kind, and how they fit into a small machine."""
    from omni.cartridges.brains import Base, Brain
    from omni.cartridges.gguf import GgufHeader
    from omni.hardware import Fit

    def base(key: str, name: str, size: int, path: str = "", sha256: str | None = "cc32" + "0" * 56 + "b046") -> Base:
        header = GgufHeader(version=3, architecture="qwen2", kind="model", name=name, weights_bytes=size)
        path = path or f"/home/ada/.omni/cartridges/blobs/sha256-{key}"
        return Base(
            id=f"sha256-{key}", path=path, parts=(path,), size=size, header=header, origin="blob", sha256=sha256
        )

    smol, coder = base("aa", "SmolLM2 135M", 98_362_432), base("bb", "Qwen2.5 Coder 1.5B Instruct", 1_117_320_768)
    brains = [
        Brain(name="@omni/smollm2", state="ready", title="SmolLM2 starter", summary="A starter that proves that all works.",
              good_for="a first test", base_title="SmolLM2 135M", base=smol, size=98_362_432, licence="Apache-2.0", context_max=8192,
              quantisation="Q4_1", starter=True, verified="verified by us"),
        Brain(name="@omni/coder", state="installed", title="Qwen coder 1.5B", good_for="code, tools",
              base_title="Qwen coder 1.5B", summary="It writes code and answers faster than you read.", base=coder, size=1_117_320_768,
              licence="Apache-2.0", context_max=32768, quantisation="Q4_K_M", verified="verified today"),
        Brain(name="@roe/backend", state="installed", title="Backend", summary="Python, FastAPI, SQL", base_title="Qwen coder 1.5B", base=coder,
              size=1_117_320_768, shares="@omni/coder", licence="Apache-2.0", context_max=32768),
        Brain(name="qwen2.5-coder:7b", state="installed", origin="ollama", base_title="Qwen2.5 Coder 7B", licence="Apache-2.0", context_max=32768,
              base=base("cc", "Qwen2.5 Coder 7B", 4_700_000_000, "/usr/share/ollama/.ollama/models/blobs/sha256-cc"), size=4_700_000_000),
        Brain(name="gemma3:4b", state="unloadable", origin="ollama", size=3_300_000_000, licence="Gemma",
              reason="This engine does not know the architecture gemma3n.", command="omni show gemma3:4b"),
        Brain(name="notes", state="unreadable", origin="folder", size=2_000_000_000,
              reason="The file belongs to another user.", command="sudo chmod a+r /srv/models/notes.gguf"),
        Brain(name="@omni/qwen3-4b", state="available", title="Qwen3 4B", good_for="longer plans", size=2_500_000_000,
              summary="It plans longer work well.", licence="Apache-2.0", context_max=32768, verified="not verified by us"),
        Brain(name="@omni/qwen3-30b", state="available", title="Qwen3 30B", good_for="hard questions",
              size=18_600_000_000, size_is_estimate=True, licence="Apache-2.0", context_max=32768, verified="not verified by us"),
    ]  # fmt: skip
    fits = {
        "@omni/smollm2": Fit(
            fits=True, context=8192, memory=260_000_000, speed=131.0, measured=True, why="98 MB of weights"
        ),
        "@omni/coder": Fit(
            fits=True,
            context=16384,
            memory=1_600_000_000,
            speed=34.8,
            measured=True,
            why="1.1 GB of weights and 0.5 GB for 16,384 tokens of context",
        ),
        "@roe/backend": Fit(
            fits=True,
            context=16384,
            memory=1_600_000_000,
            speed=34.8,
            measured=True,
            why="1.1 GB of weights and 0.5 GB for 16,384 tokens of context",
        ),
        "qwen2.5-coder:7b": Fit(fits=True, context=16384, memory=5_600_000_000, speed=7.0, why="4.7 GB of weights"),
        "@omni/qwen3-4b": Fit(fits=True, context=16384, memory=4_900_000_000, speed=14.0, why="2.5 GB of weights"),
        "@omni/qwen3-30b": Fit(
            fits=False,
            context=2048,
            memory=19_400_000_000,
            speed=11.0,
            why="needs 19.4 GB (18.6 GB of weights); brains may use 18.8 GB here",
        ),
    }
    return brains, fits


def sample_profile() -> Any:
    """A small server without a graphics processor that is used."""
    from omni.hardware import Cpu, Disk, Gpu, HardwareProfile, Memory

    return HardwareProfile(
        system="Linux",
        machine="x86_64",
        cpu=Cpu(name="AMD EPYC", cores=2, threads=2, usable=2, features=("AVX2", "AVX-512", "VNNI")),
        memory=Memory(total=25_276_051_456, available=23_500_000_000),
        disk=Disk(free=80_000_000_000, path="/home/ada/.omni"),
        gpus=(Gpu(name="NVIDIA T400", kind="nvidia", memory=4 << 30, note="present, not used yet"),),
        bandwidth=31e9,
    )


def sample_processes(now: float) -> list[ProcessInfo]:
    """One of each kind."""
    return [
        ProcessInfo(name="shell", kind="client", pid=os.getpid(), confined="seccomp", since=now - 600),
        ProcessInfo(name="keeper", kind="keeper", pid=1, confined="none", since=now - 590),
        ProcessInfo(name="airlock", kind="airlock", pid=2, confined="none", since=now - 580, detail="0 open, 3 today"),
        ProcessInfo(
            name="w1",
            kind="worker",
            pid=3,
            confined="seccomp",
            since=now - 300,
            detail="sha256-bb, 1 of 4 places",
            base="sha256-bb",
        ),
    ]


class FakeEnvironment:
    """An environment with one finding."""

    path = Path("/home/ada/.omni/venv")

    async def check(self) -> list[Any]:
        from omni.environment.diagnostics import Diagnostic

        return [
            Diagnostic(name="environment", ok=True, detail="whole"),
            Diagnostic(name="command", ok=False, detail="`omni` is not on the PATH", command="omni environment repair"),
        ]

    async def packages(self) -> dict[str, str]:
        return {f"package{number}": "1.0" for number in range(23)}


class FakeChat:
    """Conversations that one had."""

    def __init__(self, now: float = 1_700_001_000.0) -> None:
        self.now = now
        self.asked: list[str] = []

    async def create(self, *, project: Any = None, brain: str = "", system: str = "") -> Any:
        return (await self.conversations())[0]

    async def conversation(self, conversation: str) -> Any:
        return next(one for one in await self.conversations() if one.id == conversation)

    async def messages(self, conversation: str, **_: Any) -> list[Any]:
        return []

    async def ask(self, conversation: str, text: str, **_: Any) -> AsyncIterator[Any]:
        self.asked.append(text)
        for event in list[Any]():
            yield event

    async def conversations(self, **_: Any) -> list[Any]:
        from omni.chat.types import Conversation

        def one(number: int, title: str, ago: float, brain: str, project: str) -> Conversation:
            return Conversation(id=str(number), title=title, project=project, created=0, updated=self.now - ago,
                                brain=brain, system="", head=None, turns=3, revision=1)  # fmt: skip

        return [
            one(1, "Slow order endpoint", 40, "@roe/backend", "/home/ada/code/shop-api"),
            one(2, "Write a haiku about the sea", 900, "@omni/smollm2", "/home/ada"),
            one(3, "Why does the invoice total differ by one cent?", 90_000, "@omni/coder", "/home/ada/code/billing"),
        ]


def sample_services(root: Path, **given: Any) -> FakeServices:
    """Services of a machine that has been used for a while."""
    brains, fits = sample_brains()
    services = FakeServices(
        root,
        **{
            "library": FakeLibrary(brains),
            "fits": fits,
            "profile": sample_profile(),
            "environment": FakeEnvironment(),
            "chat": FakeChat(),
            **given,
        },
    )
    services.fake_keeper.listed = sample_processes(services.clock.now())
    return services


def shell(root: Path, *, ready: bool = True, begin: str = "", size: Any = None, **given: Any) -> OmniApp:
    """The app over sample services, in truecolor."""
    settings = given.pop("settings", Settings(ui=UiSettings(ready=ready)))
    environment = given.pop("environment", {"COLORTERM": "truecolor"})
    services = given.pop("services", None) or sample_services(root, settings=settings, **given)
    return OmniApp(cast(Services, services), project=Path("/home/ada/code/shop-api"), environment=environment)


def fakes_of(app: OmniApp) -> FakeServices:
    """What stands behind an app of `shell`."""
    services: object = app.services
    assert isinstance(services, FakeServices)
    return services


async def settled(pilot: Pilot[Any]) -> None:
    """Wait until what stands behind the frame is imported and everything that it led to was drawn."""
    app: Any = pilot.app
    await app.warmed.wait()
    for _ in range(6):
        await pilot.pause(0)  # every message is handled; without a delay Textual waits for an idle processor each time
    await pilot.pause()


def screen_text(app: OmniApp) -> str:
    """What stands on the screen, line by line."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def said(app: OmniApp) -> str:
    """What the toasts say."""
    return "\n".join(notification.message for notification in app._notifications)


class Gate:
    """A place where a scripted stream waits until the test opens it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def open(self) -> None:
        self._event.set()

    async def __call__(self) -> None:
        await self._event.wait()
