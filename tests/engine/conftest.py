"""Engines to try: over a directly spawned worker, and over a worker of the real keeper."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import uvloop

from omni.core.paths import Home
from omni.engine import WorkerEngine
from omni.keeper import WorkerSpec
from tests.engine.engine_tools import DirectKeeper
from tests.keeper_tools import kept


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Engines are asked on asyncio's loop by the shell and on uvloop's by the server, which tells in the transports."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name == "test_http.py" else {"asyncio": asyncio.new_event_loop}


Make = Callable[[WorkerSpec], AbstractAsyncContextManager[WorkerEngine]]


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[DirectKeeper]:
    """Spawns workers and ends them."""
    direct_keeper = DirectKeeper(home)
    yield direct_keeper
    await direct_keeper.close()


@asynccontextmanager
async def _engine(spec: WorkerSpec, keeper: Any) -> AsyncIterator[WorkerEngine]:
    engine = WorkerEngine(spec, keeper, name="@omni/test", context_max=8192)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
def worker_engine(keeper: DirectKeeper) -> Make:
    """Makes an engine over a directly spawned worker."""
    return lambda spec: _engine(spec, keeper)


@pytest.fixture
def kept_engine(home: Home) -> Make:
    """Makes an engine over a worker of a real keeper, which ends with it."""

    @asynccontextmanager
    async def make(spec: WorkerSpec) -> AsyncIterator[WorkerEngine]:
        async with kept(home) as keeper, _engine(spec, keeper) as engine:
            yield engine

    return make
