"""Engines whose worker is Omni's own, added once per machine as a person adds them, and lent to the homes of tests."""

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omni.core.errors import OmniError
from omni.core.locks import locked
from omni.core.paths import Home
from omni.runtimes import Runtime, Runtimes, add, offered
from tests.fixtures_starter import DirectAirlock

PATIENCE = 240.0  # seconds for packages of 17 MB


@pytest.fixture(scope="session")
def llama_cpp_engine(pytestconfig: pytest.Config) -> Path:
    """The folder of llama-cpp-python as an engine: `OMNI_TEST_LLAMA_CPP` names its wheel. Who asks for it is skipped without."""
    wheel = os.environ.get("OMNI_TEST_LLAMA_CPP")
    if not wheel:
        pytest.skip("OMNI_TEST_LLAMA_CPP names no wheel of llama-cpp-python")
    return _kept(pytestconfig, "llama-cpp-python", wheel, Path(wheel).stat().st_mtime_ns)


@pytest.fixture(scope="session")
def mlx_engine(pytestconfig: pytest.Config) -> Path:
    """The folder of mlx as an engine, by the versions that Omni pins. Who asks for it is skipped where it cannot be had."""
    return _kept(pytestconfig, "mlx", "mlx", 0)


def lent(home: Home, engine: Path) -> Runtime:
    """The engine of such a folder, in a home."""
    home.engines.mkdir(exist_ok=True)
    shutil.copytree(engine, home.engines / engine.name, copy_function=os.link)
    return Runtimes(home).get(engine.name)


def _kept(config: pytest.Config, name: str, what: str, changed: int) -> Path:
    root = config.rootpath / ".pytest_cache" / "d" / f"omni-{name}-{changed}"
    root.mkdir(parents=True, exist_ok=True)
    home = Home(root)
    with locked(root / "lock"):
        if not (home.engines / name).is_dir():
            with ThreadPoolExecutor(1) as threads:  # a loop of its own, whatever loop the test has
                threads.submit(lambda: asyncio.run(_add(home, what))).result()
    return home.engines / name


async def _add(home: Home, what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            offer = await offered(home, what, DirectAirlock)
    except (OmniError, TimeoutError) as error:
        pytest.skip(f"{what} cannot be had here: {error}")
    await asyncio.to_thread(add, home, offer)
