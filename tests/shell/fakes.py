"""What stands behind the shell in its tests: scripted services, a clock that is set by hand."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from omni.core.paths import Home
from omni.core.settings import Settings
from omni.keeper import Change, Door, Doors, ProcessInfo

# Same-named fakes may grow; both halves of the shell use this file.


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
        import asyncio

        self.air = False
        self.open: tuple[Door, ...] = ()
        self.verified = True
        self.orders: list[str] = []
        self.told: asyncio.Queue[Change] = asyncio.Queue()
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

    async def stop(self, name: str) -> None:
        self.orders.append(f"stop {name}")
        self.listed = [one for one in self.listed if one.name != name]

    async def changed(self, topic: str, value: Any) -> None:
        self.orders.append(f"changed {topic}")

    async def changes(self) -> AsyncIterator[Change]:
        while True:
            yield await self.told.get()


class FakeLibrary:
    """A list of brains; what is pulled, removed and verified is remembered."""

    def __init__(self, brains: Sequence[Any] = ()) -> None:
        self.list = list(brains)
        self.orders: list[str] = []
        self.pull_events: list[Any] = []
        self.verify_events: list[Any] = []

    async def brains(self) -> list[Any]:
        return list(self.list)

    async def scan(self) -> list[Any]:
        self.orders.append("scan")
        return list(self.list)

    async def best(self) -> Any:
        return next((brain for brain in self.list if brain.usable), None)

    async def get(self, name: str) -> Any:
        return next(brain for brain in self.list if brain.name == name)

    async def add(self, path: Any) -> Any:
        self.orders.append(f"add {path}")
        return self.list[0]

    async def pull(self, name: str, airlock: Any = None) -> AsyncIterator[Any]:
        self.orders.append(f"pull {name}")
        for event in self.pull_events:
            if callable(event):
                await event()
            else:
                yield event

    async def verify(self, name: str) -> AsyncIterator[Any]:
        self.orders.append(f"verify {name}")
        for event in self.verify_events:
            yield event

    async def remove(self, name: str, *, in_use: Any = ()) -> int:
        self.orders.append(f"remove {name}")
        self.list = [brain for brain in self.list if brain.name != name]
        return 0

    async def export(self, names: Any, folder: Any) -> None:
        self.orders.append(f"export {list(names)} {folder}")


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
        self.plugins = None
        self.profile: Any = None
        self.fake_budget: Any = None
        for name, value in given.items():
            setattr(self, name, value)

    async def keeper(self) -> FakeKeeper:
        return self.fake_keeper

    async def hardware(self) -> Any:
        return self.profile

    async def budget(self) -> Any:
        return self.fake_budget

    async def change_setting(self, key: str, value: Any) -> None:
        self.changed_settings[key] = value
