"""The server as one ASGI application, put together from the protocols that it speaks."""

import asyncio
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Path

from omni.core.errors import OmniError
from omni.server.brains import Names
from omni.server.error_formats import problem_at
from omni.server.errors import NoPath, Stopping, explained
from omni.server.fair_queue import FairQueue, Images
from omni.server.metrics import Metrics
from omni.server.numbered import Numbered
from omni.server.routes import Endpoint, Route
from omni.server.streams import ClientGone

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain

PROTOCOLS = ("plain", "openai", "anthropic", "ollama", "plugins")


class Closable(Protocol):
    """What is closed with the server."""

    async def close(self) -> None:
        """End it."""
        ...


class Abortable(Protocol):
    """An answer that is being written."""

    def fail(self, error: OmniError) -> None:
        """End it with this error."""


C = TypeVar("C", bound=Closable)


class Server:
    """What all requests share. `started` is a Unix time."""

    def __init__(self, services: "Services") -> None:
        self.services = services
        self.names = Names(services)
        self.metrics = Metrics()
        self.started = time.time()
        self.stopping = False
        self.generations: set[Abortable] = set()  # the answers that were begun, so that the end can be told to them
        self.images = Images()
        self._places: dict[str, FairQueue] = {}
        self._kept: dict[str, Any] = {}

    def kept(self, name: str, make: Callable[[], C]) -> C:
        """What lives as long as the server, made when it is first asked for."""
        if name not in self._kept:
            self._kept[name] = make()
        instance: C = self._kept[name]
        return instance

    def stop(self) -> None:
        """The time for running answers is over: each ends with words that say so."""
        self.stopping = True
        for generation in tuple(self.generations):
            generation.fail(stopped())

    async def close(self) -> None:
        """Close what was kept; more than once does no harm."""
        while self._kept:
            await self._kept.popitem()[1].close()

    def places_of(self, brain: "Brain") -> FairQueue:
        """The places of the worker that runs `brain`; brains on one base share them."""
        settings = self.services.settings
        base = brain.base.id if brain.base else brain.name
        queue = self._places.setdefault(base, FairQueue(settings.engine.slots, settings.serve.queue))
        queue.slots, queue.waiting = settings.engine.slots, settings.serve.queue
        return queue

    def most(self) -> int:
        """How many answers of one brain there can be at once, those that wait included."""
        return self.services.settings.engine.slots + self.services.settings.serve.queue

    def load(self) -> tuple[int, int]:
        """Answers being written, and requests that wait."""
        places = self._places.values()
        return sum(one.running for one in places), sum(one.queued for one in places)


def stopped() -> Stopping:
    """What those are told whose answers are not whole when the server ends."""
    return Stopping("The server was stopped before the answer was whole.", hint="Ask again when it runs.")


def routes(protocols: Sequence[str] = PROTOCOLS) -> list[Route]:
    """Everything that is answered to."""
    return [route for name in protocols for route in import_module(f"omni.server.{name}").routes()]


def create_app(server: Server, table: Sequence[Route] | None = None) -> Starlette:
    """The application without its guard. `app.state.server` and `app.state.routes` are for endpoints and guard."""
    table = routes() if table is None else list(table)
    app = Starlette(
        routes=[Path(route.path, _told(server, route), methods=list(route.methods)) for route in table],
        exception_handlers={404: _unknown_path, 405: _unknown_path},
        middleware=[Middleware(Numbered)],
    )
    app.state.server, app.state.routes = server, tuple(table)
    return app


def _told(server: Server, route: Route) -> Endpoint:
    """The endpoint with its failures in the words of its protocol, and counted."""

    async def endpoint(request: Request) -> Response:
        began = time.monotonic()
        try:
            response = await route.endpoint(request)
        except asyncio.CancelledError:
            if not server.stopping:
                raise
            response = route.problem(stopped())
        except ClientGone:
            response = Response(status_code=499)  # nobody reads it
        except Exception as error:  # noqa: BLE001 - it is logged and told
            response = route.problem(explained(error, route.path))
        server.metrics.answered(route.path, response.status_code, time.monotonic() - began)
        return response

    return endpoint


async def _unknown_path(request: Request, error: Exception) -> Response:
    path = request.url.path
    what = NoPath(f"Nothing answers to {request.method} {path}.", hint="The document of the API is at /openapi.json.")
    response = problem_at(path)(what)
    response.status_code = getattr(error, "status_code", 404)
    return response
