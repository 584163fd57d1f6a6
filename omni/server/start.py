"""The order in which a server comes to be: starter, wall, services, application, guard, door."""

import ipaddress
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import uvloop
from msgspec import Struct

from omni.core import confinement
from omni.core.errors import SetupError
from omni.core.logs import log_to_file
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.server import sessions as browser
from omni.server.guard import Guard
from omni.server.keys import ApiKeys
from omni.server.routes import Route
from omni.server.serving import AddressStatus, ServeOptions, Serving
from omni.server.sessions import Sessions

if TYPE_CHECKING:
    from omni.app import Services
    from omni.server.app import Server
    from omni.server.webapi.hub import Hub


class Wish(Struct, frozen=True, kw_only=True):
    """What the person asked for. Empty: what the settings say. `tls` without `cert` uses one that is made here."""

    host: str = ""
    port: int | None = None
    tls: bool = False
    cert: str = ""
    key_file: str = ""
    web: bool = False
    grace: float = 10.0


class StartupNotice(Struct, frozen=True, kw_only=True):
    """What the person is told: the door, or once the `fingerprint` of the certificate in use."""

    door: AddressStatus | None = None
    fingerprint: str = ""
    path: Path | None = None  # where it lies, for programs that shall trust it
    new: bool = False


Tell = Callable[[StartupNotice], None]
Link = Callable[[], str]


def run(
    home: Home,
    wish: Wish,
    tell: Callable[["Services", Link, StartupNotice], None],
    *,
    plugins: bool = True,
    overrides: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Serve until a signal comes. `tell` gets a function that makes a one-time token for a page; `overrides` are settings that
    hold whatever the file says.

    Raises SetupError before anything is started where the address is not this machine's own, and key or TLS is missing.
    """
    from omni.keeper.starter import start

    settings = Settings.load(home.config)
    options, said = _options(home, settings, wish)
    starter = start(home, full_screen=False)
    try:
        confinement.confine()
        log_to_file(home, "server")

        async def serve() -> None:
            from omni.app import Services

            async with Services(
                home, starter=starter, client="server", plugins=plugins, overrides=overrides
            ) as services:
                services.library.look_around()
                sessions = Sessions()

                def told(one: StartupNotice) -> None:
                    tell(services, sessions.token, one)

                for each in said:
                    told(each)
                names = (*settings.serve.names, options.host)
                front = Front(services, sessions, names=names, web=wish.web)
                serving = Serving(
                    services,
                    front.guard,
                    options,
                    tell=lambda door: told(StartupNotice(door=door)),
                    leaving=front.leave,
                    ending=front.end,
                )
                try:
                    await serving.run()
                finally:
                    await front.close()

        uvloop.run(serve())
    finally:
        starter.goodbye()


class Front:
    """Everything that is answered to, behind its guard."""

    def __init__(
        self,
        services: "Services",
        sessions: Sessions,
        *,
        names: Collection[str] = (),
        web: bool = False,
        uid: int | None = None,
    ) -> None:
        from omni.server.app import PROTOCOLS, Server, create_app, routes
        from omni.server.openai.problems import problem

        # First what a browser asks for: it shall find its page at `/`.
        table = [*(routes(("webapi",)) if web else ()), *sessions.routes(problem), *routes(PROTOCOLS)]
        self.app = create_app(Server(services), table)
        doorstep = (browser.PATH, *(route.path.partition("{")[0] for route in (_pages() if web else ())))
        self.guard = Guard(
            self.app,
            table,
            keys=ApiKeys(services.home.keys),
            sessions=sessions,
            names=names,
            doorstep=doorstep,
            uid=uid,
        )

    def leave(self) -> None:
        """The end begins: feeds that would never end do."""
        if (hub := self._hub) is not None:
            hub.finish()

    def end(self) -> None:
        """The time for running answers is over."""
        server: Server = self.app.state.server
        server.stop()

    async def close(self) -> None:
        """End what runs for the pages, and close what the server keeps."""
        if (hub := self._hub) is not None:
            await hub.close()
        server: Server = self.app.state.server
        await server.close()

    @property
    def _hub(self) -> "Hub | None":
        hub: Hub | None = getattr(self.app.state, "hub", None)
        return hub


def _pages() -> list[Route]:
    """What a browser may fetch before it has a session: files that travel with Omni and say nothing of anybody."""
    from omni.server import web_assets

    return web_assets.routes()


def is_this_machine(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, whatever it looks like
        return False


def _options(home: Home, settings: Settings, wish: Wish) -> tuple[ServeOptions, list[StartupNotice]]:
    """How to serve, and what to say about it. Raises SetupError."""
    host = (wish.host or settings.serve.host).strip("[]")
    usual = settings.serve.web_port if wish.web else settings.serve.port
    wants_tls = wish.tls or bool(wish.cert or wish.key_file)
    if not is_this_machine(host):
        _check_open_to_others(home, host, wants_tls, "web" if wish.web else "serve")
    if bool(wish.cert) != bool(wish.key_file):
        raise SetupError("A certificate and its key belong together.", hint="Give both --cert and --key-file.")
    said: list[StartupNotice] = []
    pair: tuple[Path, Path] | None = None
    if wish.cert:
        from omni.server.certificate import fingerprint

        pair = (Path(wish.cert).absolute(), Path(wish.key_file).absolute())
        said.append(StartupNotice(fingerprint=fingerprint(pair[0]), path=pair[0]))
    elif wants_tls:
        from omni.server.certificate import certificate

        made = certificate(home, (*settings.serve.names, host))
        pair = (made.certificate, made.key)
        said.append(StartupNotice(fingerprint=made.fingerprint, path=made.certificate, new=made.new))
    port = usual if wish.port is None else wish.port
    fixed = wish.port is not None
    return ServeOptions(host=host, port=port, fixed=fixed, certificate=pair, grace=wish.grace), said


def _check_open_to_others(home: Home, host: str, tls: bool, command: str) -> None:
    keys = ApiKeys(home.keys).all()
    if not keys or not tls:
        missing = " and ".join([*(() if keys else ("a key",)), *(() if tls else ("TLS",))])
        raise SetupError(
            f"Other machines reach {host}: that needs a key and TLS, and {missing} is missing.",
            hint=f"omni serve key add NAME\nomni {command} --host {host} --tls",
        )
