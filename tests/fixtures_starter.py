"""The starter brain for tests that need a real one: fetched once per machine, the way a user fetches it."""

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from omni.airlock import Fetched, FetchProgress, IndexFile, NetSettings, Page, download, find, net_settings, page
from omni.cartridges import Library, PullDone
from omni.core.errors import OmniError
from omni.core.locks import locked
from omni.core.paths import Home
from omni.core.settings import Settings

SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"


class DirectAirlock:
    """What an airlock does, in this very process: for tests of what asks it."""

    def __init__(self, net: NetSettings | None = None) -> None:
        self._net = net
        self.asked: list[str] = []

    @property
    def net(self) -> NetSettings:
        if self._net is None:
            self._net = net_settings()
        return self._net

    async def fetch(
        self,
        url: str,
        target: Path,
        *,
        purpose: str,
        size: int | None = None,
        sha256: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> AsyncGenerator[FetchProgress, None]:
        self.asked.append(url)
        loop, over = asyncio.get_running_loop(), threading.Event()
        steps: asyncio.Queue[FetchProgress | None] = asyncio.Queue()

        def told(done: int, total: int | None) -> None:
            loop.call_soon_threadsafe(steps.put_nowait, FetchProgress(done=done, total=total))

        def bring() -> Fetched:
            return download(
                url,
                target,
                net=self.net,
                size=size,
                sha256=sha256,
                headers=headers,
                progress=told,
                cancelled=over.is_set,
            )

        work = loop.run_in_executor(None, bring)
        work.add_done_callback(lambda _: steps.put_nowait(None))
        try:
            while (step := await steps.get()) is not None:
                yield step
            fetched = await work
            yield FetchProgress(done=fetched.size, total=fetched.size, fetched=fetched)
        finally:
            over.set()
            await asyncio.wait({work})
            work.exception()  # a cancelled download raises, and nobody is left to care

    async def page(self, url: str, *, purpose: str, headers: Iterable[tuple[str, str]] = ()) -> Page:
        self.asked.append(url)
        return await asyncio.to_thread(lambda: page(url, net=self.net, headers=headers))

    async def find(
        self, project: str, *, purpose: str, wanted: Callable[[IndexFile], bool] = lambda file: True
    ) -> list[IndexFile]:
        def get(url: str) -> Page:
            self.asked.append(url)
            return page(url, net=self.net)

        return await asyncio.to_thread(lambda: find(project, self.net, get, wanted))


@pytest.fixture
def direct_airlock() -> Callable[..., DirectAirlock]:
    """Makes an airlock without a process: `direct_airlock(NetSettings(...))`."""
    return DirectAirlock


async def last(events: AsyncIterator[Any]) -> Any:
    """The last event of a stream."""
    return [event async for event in events][-1]


STEADY_NAME = "@me/steady"
STEADY = f"""
name = "{STEADY_NAME}"
version = "1.0.0"
title = "Steady"
summary = "Says the same every time."
licence = "Apache-2.0"

[base]
source = "cartridge"

[sampling]
temperature = 0
"""


def steady(home: Home) -> str:
    """The name of a brain over the one that is here, which says the same every time: what it says is not chance."""
    folder = home.cartridges / "own" / "steady"
    folder.mkdir(parents=True)
    (folder / "cartridge.toml").write_text(STEADY)
    return STEADY_NAME


@pytest.fixture(scope="session")
def starter_gguf(pytestconfig: pytest.Config) -> Path:
    """The path of the starter's GGUF.

    `OMNI_TEST_STARTER` names a file that is used when it is the right one, `OMNI_TEST_CACHE` a folder to keep it in;
    else it is kept in pytest's cache.
    """
    given = os.environ.get("OMNI_TEST_STARTER")
    if given and _hash(Path(given)) == SHA256:
        return Path(given)
    cache = os.environ.get("OMNI_TEST_CACHE") or pytestconfig.rootpath / ".pytest_cache" / "d" / "omni-starter"
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / NAME
    with locked(folder / "lock"):
        if _hash(target) != SHA256:
            with ThreadPoolExecutor(1) as threads:  # a loop of its own, whatever loop the test has
                threads.submit(lambda: asyncio.run(_fetch(folder, target))).result()
    return target


async def _fetch(folder: Path, target: Path) -> None:
    library = Library(Home(folder), Settings())
    try:
        done = await last(library.pull("@omni/smollm2", DirectAirlock()))
        assert isinstance(done, PullDone)
        base = done.brain.base
        assert base is not None
        assert _hash(Path(base.path)) == SHA256
        await asyncio.to_thread(_link, base.path, target)
    except OmniError as error:
        pytest.fail(f"the starter brain cannot be fetched: {error.message} {error.hint}")
    finally:
        await library.close()


def _link(path: str, target: Path) -> None:
    target.unlink(missing_ok=True)
    os.link(path, target)


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
