"""A home whose plug-in `test` was granted a process, a real keeper, and two front ends that ask for it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from omni.core.clock import SystemClock
from omni.core.errors import NetworkBlocked
from omni.core.paths import Home
from omni.core.process_kinds import FILE, GrantedKind, to_bytes
from omni.helpers import HelperEvent, Helpers
from omni.jobs import Job, Jobs
from tests.keeper.conftest import office
from tests.keeper.keeper_office import Office

__all__ = ["office"]

MODULE = Path(__file__).with_name("omni_test_helper.py")
KIND = GrantedKind(name="test.it", target="omni_test_helper:run", memory=200_000_000, keep_alive=300)


def grant(home: Home, *kinds: GrantedKind, number: int = 1) -> Path:
    """Put a set of plug-ins into use that has the module of these tests; returns its folder."""
    folder = home.plugin_sets / str(number)
    (folder / "packages").mkdir(parents=True)
    (folder / "packages" / MODULE.name).write_bytes(MODULE.read_bytes())
    (folder / FILE).write_bytes(to_bytes(kinds))
    (folder / FILE).chmod(0o600)
    home.plugins.unlink(missing_ok=True)
    home.plugins.symlink_to(folder / "packages")
    return folder


class FrontEnd:
    """One that asks processes of plug-ins for something."""

    def __init__(self, office: Office, name: str) -> None:
        self._office, self.name, self.fetched = office, name, list[str]()
        self._client: Any = None
        self.jobs = Jobs(office.home, self.keeper, SystemClock())
        self.helpers = Helpers(office.home, self.jobs, self.keeper, fetch=self._fetch)

    async def keeper(self) -> Any:
        """Its line to the keeper."""
        if self._client is None:
            self._client = await self._office.client(self.name)
        return self._client

    def ask(self, do: str, kind: str = "test.it", **more: Any) -> Job[HelperEvent]:
        """Begin one request."""
        return self.helpers.run(kind, {"do": do, **more})

    async def answer(self, do: str, kind: str = "test.it", **more: Any) -> Any:
        """What comes of one."""
        last: Any = None
        async for event in self.ask(do, kind, **more).events():
            last = event
        return last.value

    async def _fetch(self, url: str, most: int) -> tuple[bytes, str, str]:
        self.fetched.append(url)
        if "shut" in url:
            raise NetworkBlocked("All doors are shut.")
        return json.dumps([url, most]).encode(), "application/json", url


@pytest.fixture
async def front_end(office: Office) -> AsyncIterator[Callable[[str], FrontEnd]]:
    """Makes front ends, of a home where the process was granted."""
    grant(office.home, KIND)
    made: list[FrontEnd] = []

    def make(name: str = "shell") -> FrontEnd:
        made.append(FrontEnd(office, name))
        return made[-1]

    yield make
    for each in made:
        await each.jobs.close()


async def first(job: Job[HelperEvent], wanted: Callable[[Any], Any]) -> Any:
    """The first event that is wanted."""
    async for event in job.events():
        if wanted(event):
            return event
    raise AssertionError("it ended before")


async def error_of(awaited: Awaitable[Any]) -> Any:
    """What is raised."""
    with pytest.raises(Exception) as caught:
        await awaited
    return caught.value
