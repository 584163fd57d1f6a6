"""A server over the real starter brain, with its keeper and its worker; and waiting for what nobody tells."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from omni.app import Services
from omni.core.paths import Home
from omni.keeper import start, stop_everything
from omni.server.app import Server, create_app
from tests.server.server_tools import listening


class Real:
    """Where it listens, what it is, and the name of its brain."""

    def __init__(self, url: str, server: Server, brain: str) -> None:
        self.url, self.server, self.brain = url, server, brain


@asynccontextmanager
async def real_server(folder: Path, gguf: Path) -> AsyncIterator[Real]:
    """Serve `gguf` from a home of its own; all processes end with it."""
    home = Home(folder).ensure()
    starter = start(home, full_screen=False)
    try:
        async with Services(home, starter=starter, client="tests") as services:
            await services.change_setting("engine.context", 4096)
            brain = await services.library.add(gguf)
            server = Server(services)
            async with listening(create_app(server)) as url:
                yield Real(url, server, brain.name)
    finally:
        starter.goodbye()
        await asyncio.to_thread(stop_everything, home, windows=True)
        shutil.rmtree(home.sockets, ignore_errors=True)
