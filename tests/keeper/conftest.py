"""A home with a real keeper, real workers and a real starter, and whatever is left of them ended afterwards."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from omni.core.errors import OmniError
from omni.core.locks import is_held
from omni.core.paths import Home
from omni.keeper import KeeperClient
from omni.keeper.places import read_object
from tests.keeper.keeper_office import Office


@pytest.fixture
async def office(home: Home) -> AsyncIterator[Office]:
    new_office = Office(home)
    yield new_office
    for client in new_office.clients:
        await client.close()
    for starter in new_office.starters:
        starter.goodbye()
    with suppress(OmniError):
        last = await KeeperClient.connect(home, None, client="tests")
        await last.shutdown()
        await last.close()
    for path in home.run.glob("*.json"):  # of a keeper that was killed
        state = read_object(path)
        if state and is_held(path):
            with suppress(ProcessLookupError):
                os.kill(state["pid"], signal.SIGKILL)
