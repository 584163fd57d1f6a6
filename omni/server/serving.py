"""Serving an application: uvicorn on a Unix socket, and the airlock's door in front of it for as long as both live."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn import Server as Uvicorn

from omni.airlock import Listening, PortTaken
from omni.core.errors import NetworkBlocked, OmniError, SetupError
from omni.core.memory import give_back
from omni.core.sockets import remove_dead
from omni.server.protocol import Protocol

if TYPE_CHECKING:
    from omni.app import Services

KEEP_ALIVE = 75  # seconds that an idle connection stays: longer than most clients keep theirs, so that they hang up
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_NEXT = 10  # ports that are tried after the one that is taken
_PAUSES = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # before the door is asked for again, the last one for ever
_LAST_WORDS = 0.5  # seconds to say that the server ends
_STEADY = 30.0  # seconds after which an end was no part of a series


class ServeOptions(Struct, frozen=True, kw_only=True):
    """How to serve. With `fixed` a taken port is an error; else one of the next is taken."""

    host: str = "127.0.0.1"
    port: int = 11434
    fixed: bool = False
    certificate: tuple[Path, Path] | None = None  # and its key
    grace: float = 10.0  # seconds for running answers when the server ends


class AddressStatus(Struct, frozen=True, kw_only=True):
    """What the person is told: the address is open (`taken_by` says who has the wanted port, when it is another; `again`
    after it was lost), or `shut`, and why."""

    url: str = ""
    port: int = 0
    taken: int = 0
    taken_by: str = ""
    again: bool = False  # it was open before
    shut: str = ""


Tell = Callable[[AddressStatus], None]


class Serving:
    """One application, served until `stop`."""

    def __init__(
        self,
        services: "Services",
        app: ASGIApp,
        options: ServeOptions,
        *,
        tell: Tell = lambda _: None,
        leaving: Callable[[], None] = lambda: None,
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        """`leaving` is called when the end begins: time to end what would go on for ever. `ending` is called when the
        grace is over: time for last words."""
        self._services, self._options, self._tell = services, options, tell
        self._leaving, self._ending = leaving, ending
        self._socket = services.home.sockets / f"server-{os.getpid()}.sock"
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._uvicorn = _Uvicorn(app, options.grace, self._stopping)
        self._listening: Listening | None = None
        self._port = options.port
        self._opened = False

    def stop(self) -> None:
        """Accept nothing more and finish what runs, within the grace; called again, do not even that."""
        if self._stopping.is_set():
            self._hurry.set()
            self._uvicorn.force_exit = True
        self._stopping.set()

    async def run(self) -> None:
        """Serve. Raises SetupError or NetworkBlocked when it cannot begin."""
        give_back()
        listener = self._bind()
        self._uvicorn.config.load()
        serving = asyncio.create_task(self._uvicorn.serve(sockets=[listener]), name="serving")
        door = asyncio.create_task(self._keep_open(), name="door")
        stopping = asyncio.create_task(self._stopping.wait(), name="stopping")
        try:
            with self._signals():
                await asyncio.wait({serving, door, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if self._listening is not None:
                    self._listening.drain()
                self._stopping.set()
                await self._end(serving)
            for task in (door, serving):
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        finally:
            for each in (stopping, door, serving):
                each.cancel()
            await asyncio.gather(stopping, door, serving, return_exceptions=True)
            if self._listening is not None:
                await self._listening.close()
            listener.close()
            self._socket.unlink(missing_ok=True)

    async def _end(self, serving: "asyncio.Task[None]") -> None:
        """Let what runs finish, but not for ever, and what is cancelled clean up."""
        self._leaving()
        self._uvicorn.leave()
        hurry = asyncio.create_task(self._hurry.wait(), name="hurry")
        await asyncio.wait({serving, hurry}, timeout=self._options.grace, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if tasks := set(self._uvicorn.server_state.tasks):
            self._ending()
            _, tasks = await asyncio.wait(tasks, timeout=_LAST_WORDS)
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=1)

    def _bind(self) -> socket.socket:
        self._services.home.ensure_sockets()
        self._sweep()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(self._socket))
            self._socket.chmod(0o600)
            listener.listen(512)
        except OSError as error:
            listener.close()
            raise SetupError(f"The server's socket {self._socket} cannot be made: {error.strerror}.") from error
        return listener

    def _sweep(self) -> None:
        """Remove the sockets of servers that were killed; at one that lives somebody listens."""
        self._socket.unlink(missing_ok=True)  # of a process that had this number before
        remove_dead(self._services.home.sockets, "server-*.sock")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handled = []
        for each in SIGNALS:
            with suppress(ValueError, RuntimeError):  # not the main thread
                loop.add_signal_handler(each, self.stop)
                handled.append(each)
        try:
            yield
        finally:
            for each in handled:
                loop.remove_signal_handler(each)

    # -- the door ---------------------------------------------------------------------------------------------------

    async def _keep_open(self) -> None:
        """Have the door, and ask for it again when it is lost. Ends with what cannot be mended by waiting."""
        tries, asked = 0, 0.0
        while not self._stopping.is_set():
            if asked and time.monotonic() - asked > _STEADY:
                tries = 0
            await asyncio.sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
            tries, asked = tries + 1, time.monotonic()
            async with self._changes() as changes:
                try:
                    self._listening = await self._ask()
                except OmniError as error:
                    if await self._gap():
                        self._tell(
                            AddressStatus(shut="The air gap is on: nobody reaches this server until it is lifted.")
                        )
                        await self._gap_lifted(changes)
                        tries = 0
                        continue
                    if not self._opened:
                        raise
                    logging.getLogger(__name__).warning("The door is not open: %s", error.message)
                    continue
            self._opened = True
            await self._listening.ended()
            await self._listening.close()
            self._listening = None

    async def _ask(self) -> Listening:
        """The door, on the wanted port or one of the next."""
        airlock = await self._services.airlock()
        wanted, by = self._port, ""
        for port in range(wanted, min(wanted + _NEXT, 65535) + 1):
            try:
                listening = await airlock.listen(
                    self._options.host, port, self._socket, certificate=self._options.certificate
                )
            except PortTaken as error:
                if self._options.fixed or self._opened or not port:
                    raise
                by = by or error.by or "another program"
                continue
            self._port = listening.port  # the same again, when the door is lost
            self._tell(
                AddressStatus(
                    url=self._url(listening.port),
                    port=listening.port,
                    taken=wanted if by else 0,
                    taken_by=by,
                    again=self._opened,
                )
            )
            return listening
        raise SetupError(f"The ports {wanted} to {wanted + _NEXT} are taken.", hint="Choose another with --port.")

    def _url(self, port: int) -> str:
        host = self._options.host
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - what can be dialled
        return f"{'https' if self._options.certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    @asynccontextmanager
    async def _changes(self) -> AsyncIterator[Any]:
        changes = (await self._services.keeper()).changes()
        try:
            yield changes
        finally:
            await changes.aclose()

    async def _gap(self) -> bool:
        try:
            return (await (await self._services.keeper()).doors()).air_gap
        except OmniError:
            return False

    async def _gap_lifted(self, changes: Any) -> None:
        while await self._gap():
            async for change in changes:
                if change.topic == "doors":
                    break
            else:
                raise NetworkBlocked("The keeper has gone.")


class _Uvicorn(Uvicorn):
    """uvicorn without a terminal, signals, and ten wake-ups a second. Endpoints find `stopping` in their state."""

    def __init__(self, app: ASGIApp, grace: float, stopping: asyncio.Event) -> None:
        super().__init__(
            Config(
                app,
                http=Protocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                headers=[("Server", "omni")],
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(grace) + 2,  # we are sooner
            )
        )
        self._stopping = stopping
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        """Begin to end."""
        self.should_exit = True
        self._leaving.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: whoever serves has its own."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        self.lifespan.state["stopping"] = self._stopping
        await super().startup(sockets)

    async def main_loop(self) -> None:
        """Wait for the end; once a second the date of the answers moves on."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1.0)
