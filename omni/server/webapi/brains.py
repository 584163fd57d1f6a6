"""The library as a page shows it: every brain with what to expect of it here, and all that one does to them."""

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni.cartridges import VerifyEvent, begin_verify
from omni.core.errors import OmniError
from omni.hardware import Fit
from omni.server.brains import pullable
from omni.server.routes import Route, body_of, json_response
from omni.server.webapi.hub import hub_of
from omni.server.webapi.problems import route
from omni.server.webapi.pulls import Pull
from omni.server.webapi.streams import streamed

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain


class Offer(Struct, frozen=True, kw_only=True):
    """One brain. `place` is "here", "found" (in another program's store) or "offered". `kept` bytes of an interrupted
    pull are here. The other fields are those of the library's Brain."""

    name: str
    state: str
    place: Literal["here", "found", "offered"]
    title: str
    summary: str
    good_for: str
    base: str
    base_title: str
    reason: str
    command: str
    origin: str
    size: int
    size_is_estimate: bool
    licence: str
    context_max: int
    quantisation: str
    shares: str
    verified: str
    usable: bool
    loaded: bool
    kept: int
    sha256: str
    fit: Fit | None


class Offers(Struct, frozen=True, kw_only=True):
    """All of them; `default` is what new conversations use."""

    brains: list[Offer]
    default: str


class NamedBrain(Struct, frozen=True, kw_only=True):
    """A brain by its name."""

    name: str


class Freed(Struct, frozen=True, kw_only=True):
    """Bytes that are free again."""

    bytes: int


def routes() -> list[Route]:
    """Listing, fetching, checking, removing."""
    return [
        route("GET", "/brains", listed, "List brains.", response=Offers),
        route("POST", "/brains/scan", scan, "Look for models of other programs.", response=Offers),
        route(
            "POST",
            "/brains/choose",
            choose,
            "Make it the one that new conversations use.",
            request=NamedBrain,
            status=204,
        ),
        route(
            "POST",
            "/brains/verify",
            verify,
            "Read it whole and compare its hash.",
            request=NamedBrain,
            stream=VerifyEvent,
        ),
        route("POST", "/brains/remove", remove, "Remove it.", request=NamedBrain, response=Freed),
        route("POST", "/brains/unload", unload, "Give its memory back.", request=NamedBrain, status=204),
        route("GET", "/pulls", pulls, "List downloads.", response=list[Pull]),
        route("POST", "/pulls", pull, "Fetch a brain.", request=NamedBrain, response=Pull, status=202),
        route("POST", "/pulls/cancel", cancel, "End a download.", request=NamedBrain, status=204),
        route("POST", "/pulls/forget", forget, "Show a download that is over no more.", request=NamedBrain, status=204),
    ]


async def listed(request: Request) -> Response:
    """Installed first, then found, then those that can be pulled."""
    return json_response(await _offers(request.app.state.server.services))


async def scan(request: Request) -> Response:
    """May take a second."""
    services = request.app.state.server.services
    await services.library.scan()
    return json_response(await _offers(services))


async def choose(request: Request) -> Response:
    """Also for the shell."""
    services, wish = request.app.state.server.services, await body_of(request, NamedBrain)
    brain = await services.library.get(wish.name)
    await services.change_setting("chat.brain", brain.name)
    await services.changed("settings", {"key": "chat.brain"})
    return Response(status_code=204)


async def verify(request: Request) -> Response:
    """A stream: how far it is, then the verdict."""
    services, wish = request.app.state.server.services, await body_of(request, NamedBrain)
    return await streamed(request, begin_verify(services.jobs, services.verify, wish.name).events())


async def remove(request: Request) -> Response:
    """Refused while a worker holds it."""
    services, wish = request.app.state.server.services, await body_of(request, NamedBrain)
    return json_response(Freed(bytes=await services.remove(wish.name)))


async def unload(request: Request) -> Response:
    """All workers that have loaded its base."""
    services, wish = request.app.state.server.services, await body_of(request, NamedBrain)
    for worker in await services.workers_of(wish.name):
        await (await services.keeper()).stop(worker)
    return Response(status_code=204)


async def pulls(request: Request) -> Response:
    """Those that run and those that ended."""
    hub = hub_of(request)
    return json_response([hub.pull(status) for status in hub.pulls.all.values()])


async def pull(request: Request) -> Response:
    """Its progress comes with the changes."""
    wish = await body_of(request, NamedBrain)
    hub = hub_of(request)
    return json_response(hub.pull(hub.pulls.start(pullable(wish.name))), 202)


async def cancel(request: Request) -> Response:
    """What is here stays."""
    wish = await body_of(request, NamedBrain)
    await hub_of(request).pulls.cancel(wish.name)
    return Response(status_code=204)


async def forget(request: Request) -> Response:
    """From the list only."""
    wish = await body_of(request, NamedBrain)
    hub_of(request).pulls.forget(wish.name)
    return Response(status_code=204)


async def _offers(services: "Services") -> Offers:
    brains = await services.library.brains()
    budget = await services.budget()
    kept = {one.name: one.size for one in await services.library.unfinished()}
    try:
        loaded = await services.in_use()
    except OmniError:
        loaded = set()  # the doors say what is wrong with the keeper
    best = services.settings.chat.brain
    if not best and (fallback := await services.library.best()) is not None:
        best = fallback.name
    offers = [_offer(brain, await services.fit(brain, budget), kept.get(brain.name, 0), loaded) for brain in brains]
    return Offers(brains=offers, default=best)


def _offer(brain: "Brain", fit: "Fit | None", kept: int, loaded: set[str]) -> Offer:
    base = brain.base
    header = base.header if base else None
    offered = brain.state == "available"
    return Offer(
        name=brain.name,
        state=brain.state,
        place="offered" if offered else "found" if brain.origin not in ("", "blob") else "here",
        title=brain.title,
        summary=" ".join(filter(None, (brain.summary, brain.can))),
        good_for=brain.good_for,
        base=base.id if base else "",
        base_title=brain.base_title or (header.name or header.architecture if header else brain.title),
        reason=brain.reason,
        command=brain.command,
        origin=brain.origin,
        size=brain.size,
        size_is_estimate=brain.size_is_estimate,
        licence=brain.licence,
        context_max=brain.context_max,
        quantisation=brain.quantisation,
        shares=brain.shares,
        verified=brain.verified,
        usable=brain.usable,
        loaded=base is not None and base.id in loaded,
        kept=kept,
        sha256=(base.sha256 or "") if base else "",
        fit=fit,
    )
