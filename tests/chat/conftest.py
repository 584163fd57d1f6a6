"""A chat with a scripted engine, a clock that a test moves, and a keeper that only listens."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from omni.cartridges import Brain
from omni.chat import ChatService, ChatStore
from omni.core.errors import NotFound
from omni.core.events import ChatEvent, TextDelta
from omni.core.settings import Settings
from omni.engine import ScriptedEngine


class Clock:
    """Moves only when told, or by `tick` at every look."""

    def __init__(self) -> None:
        self.time, self.tick = 1_700_000_000.0, 0.0

    def now(self) -> float:
        self.time += self.tick
        return self.time

    monotonic = now


class Repository:
    """A library of brains; the first is the best."""

    def __init__(self, *brains: Brain) -> None:
        self.brains = {brain.name: brain for brain in brains}

    async def get(self, name: str) -> Brain:
        if name not in self.brains:
            raise NotFound(f"There is no brain {name!r}.")
        return self.brains[name]

    async def best(self, *, without: Collection[str] = ()) -> Brain | None:
        return next((brain for brain in self.brains.values() if brain.name not in without), None)


class Engines:
    """Opens one engine for every brain, and remembers for which."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.opened = engine, list[str]()

    async def open(self, brain: Brain) -> Any:
        self.opened.append(brain.name)
        return self.engine


class KeeperClient:
    """Hears what changed."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def changed(self, topic: str, value: Any) -> None:
        assert topic == "conversation"
        self.told.append((value["conversation"], value["what"]))


class Bench:
    """Everything of one chat, at hand."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path, self.clock = path, clock
        self.keeper = KeeperClient()
        self.shelf = Repository(
            Brain(name="@omni/test", state="ready", prompt="Be brief."), Brain(name="@omni/other", state="ready")
        )
        self.settings = Settings()
        self.services: list[ChatService] = []

    def open(
        self, engine: Any = None, *, pause: Callable[[], Awaitable[None]] | None = None, **more: Any
    ) -> ChatService:
        """A chat as another process would have it; the database is shared."""
        self.engine = engine if engine is not None else ScriptedEngine()
        self.store = ChatStore(self.path, clock=self.clock)
        self.engines = Engines(self.engine)
        service = ChatService(
            self.store,
            self.engines,
            more.get("library", self.shelf),
            keeper=self.keeper,
            settings=self.settings,
            clock=self.clock,
            pause=pause,
        )
        self.services.append(service)
        return service

    async def talk(self, service: ChatService, *questions: str, **values: Any) -> str:
        """A conversation in which `questions` were asked and answered."""
        made = await service.create(**values)
        for question in questions:
            await events_of(service.ask(made.id, question))
        return made.id


async def events_of(events: Any) -> list[ChatEvent]:
    """All events of a turn."""
    async with aclosing(events) as stream:
        return [event async for event in stream]


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop() -> Iterator[None]:
    """Whatever of chat waits for a disk or a lock on the event loop raises here."""
    with blockbuster_ctx("omni.chat"):
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bench(tmp_path: Path, clock: Clock) -> AsyncIterator[Bench]:
    workbench = Bench(tmp_path / "chat" / "omni.db", clock)
    yield workbench
    for service in workbench.services:
        await service.close()


@pytest.fixture
def collect() -> Any:
    """`events_of`."""
    return events_of


@pytest.fixture
def text_of() -> Callable[[Sequence[ChatEvent]], str]:
    """The answer that events make."""
    return lambda events: "".join(event.text for event in events if isinstance(event, TextDelta))
