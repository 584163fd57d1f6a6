"""A real keeper of a home, which ends with who asked for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from omni.core.paths import Home
from omni.keeper import KeeperClient, start


@asynccontextmanager
async def kept(home: Home) -> AsyncIterator[KeeperClient]:
    """Started, connected to, and ended with all its workers, whatever happens."""
    starter = start(home, full_screen=False)
    client = await KeeperClient.connect(home, starter, client="tests")
    try:
        yield client
    finally:
        await client.shutdown()
        await client.close()
        starter.goodbye()
