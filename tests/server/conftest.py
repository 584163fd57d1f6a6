"""A server in this process: the real app over scripted brains, asked through ASGI; and applications on a Unix socket,
served by the protocol class alone or behind a real relay."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvloop

from omni.core.paths import Home
from omni.engine import Engine, ScriptedEngine, WorkerEngine
from omni.server.app import create_app
from tests.engine.engine_tools import DirectKeeper, scripted_spec
from tests.server.browser_tools import CHROMIUM, FLAGS, Desk
from tests.server.server_tools import FakeServices, Heard, Served, brain, listening, server_over


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that a server has."""
    return {"uvloop": uvloop.new_event_loop}


class Bench:
    """A server, its client, and what stands behind it."""

    def __init__(self, services: FakeServices) -> None:
        self.services = services
        self.server = server_over(services)
        self.app = create_app(self.server)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:11434")
        self.url = ""


Serve = Callable[..., Awaitable[Served]]
Make = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def serving(home: Home) -> Make:
    """Makes a bench: `async with serving(engine) as bench`."""

    @asynccontextmanager
    async def make(engine: Engine | None = None, **services: Any) -> AsyncIterator[Bench]:
        services.setdefault("home", home)
        fakes = FakeServices(engine or ScriptedEngine(), brains=(brain("@omni/test"),), **services)
        bench = Bench(fakes)
        async with bench.client:
            try:
                yield bench
            finally:
                await bench.server.close()

    return make


@pytest.fixture
def over(home: Home, serving: Any) -> Make:
    """A bench over a scripted worker with these settings."""

    @asynccontextmanager
    async def make(**settings: Any) -> AsyncIterator[Any]:
        keeper: Any = DirectKeeper(home)  # stands for the keeper
        engine = WorkerEngine(scripted_spec(**settings), keeper, name="@omni/test")
        try:
            async with serving(engine) as bench:
                yield bench
        finally:
            await engine.close()
            await keeper.close()

    return make


@pytest.fixture
async def serve(home: Home) -> AsyncIterator[Serve]:
    """Serve an application on a Unix socket, with the bounds that are given."""
    made: list[Served] = []

    async def start(app: Any = None, **bounds: Any) -> Served:
        home.ensure_sockets()
        made.append(Served(home.sockets / f"test-{len(made)}.sock", app or Heard(), bounds))
        await made[-1].start()
        return made[-1]

    yield start
    for each in made:
        await each.close()
    await asyncio.sleep(0)


@pytest.fixture
def live(serving: Make) -> Make:
    """The same on a real port: `async with live(engine) as bench`, and `bench.url` is where it listens."""

    @asynccontextmanager
    async def make(engine: Engine | None = None, **services: Any) -> AsyncIterator[Bench]:
        async with serving(engine, **services) as bench, listening(bench.app) as bench.url:
            yield bench

    return make


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Any]:
    """Chromium."""
    from playwright.async_api import async_playwright

    async with async_playwright() as player:
        chromium = await player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(browser: Any, tmp_path: Path) -> AsyncIterator[Desk]:
    """Opens pages, none of which may try what it must not."""
    new_desk = Desk(browser, tmp_path)
    yield new_desk
    await new_desk.close()
    assert [wrong for visit in new_desk.visits for wrong in visit.wrong] == []
