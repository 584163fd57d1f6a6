"""What a worker has loaded is not removed, whoever asks, until its process is gone."""

import os
import signal
from collections.abc import AsyncIterator

import pytest

from omni.cartridges import Library
from omni.core.paths import Home
from omni.keeper import KeeperClient, WorkerSpec
from tests.keeper_tools import kept
from tests.waiting import until

pytestmark = pytest.mark.real  # with a real keeper and a real worker


@pytest.fixture
async def keeper(home: Home) -> AsyncIterator[KeeperClient]:
    async with kept(home) as client:
        yield client


@pytest.mark.parametrize("keeper_dies", [False, True])
async def test_collecting_leaves_what_a_worker_has_loaded(
    home: Home, keeper: KeeperClient, library: Library, keeper_dies: bool
) -> None:
    blob = home.blobs / f"sha256-{'0' * 64}"
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x" * 100)
    spec = WorkerSpec(engine="scripted", base=blob.name, path=str(blob), need_bytes=100)
    lease = await keeper.worker(spec)
    async for _ in lease.states():
        pass
    (worker,) = [one.pid for one in await keeper.processes() if one.kind == "worker"]
    if keeper_dies:
        os.kill(next(one.pid for one in await keeper.processes() if one.kind == "keeper"), signal.SIGKILL)
    assert await library.collect() == 0  # although nobody told it what is in use
    assert blob.exists()
    lease.close()
    os.kill(worker, signal.SIGKILL)
    await until(library.collect)
    assert not blob.exists()
