"""What runs and what it costs, the doors, and the feed of everything that changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni import __version__
from omni.core.errors import NotFound, UsageError
from omni.hardware import HardwareProfile, process_memory
from omni.keeper import Doors, ProcessInfo
from omni.server.routes import Route, body_of, json_response
from omni.server.streams import Streamed, sse
from omni.server.webapi.hub import Change, encoded, hub_of
from omni.server.webapi.problems import route
from omni.server.webapi.readings import Reading


class RunningProcess(Struct, frozen=True, kw_only=True):
    """A process; `memory` in bytes, `brains` are the names of those on its base."""

    process: ProcessInfo
    memory: int
    brains: list[str]


class System(Struct, frozen=True, kw_only=True):
    """Everything that runs, on what."""

    version: str
    home: str
    reading: Reading
    processes: list[RunningProcess]
    machine: HardwareProfile


class AirGap(Struct, frozen=True, kw_only=True):
    """Whether all doors shall be shut."""

    on: bool


class Stop(Struct, frozen=True, kw_only=True):
    """A worker by its name."""

    name: str


def routes() -> list[Route]:
    """Reading, and the few things that can be ended."""
    return [
        route("GET", "/changes", changes, "Follow everything that changes.", stream=Change),
        route("GET", "/system", system, "Read processes and machine.", response=System),
        route("POST", "/system/stop", stop, "End a worker.", request=Stop, status=204),
        route("GET", "/doors", doors, "Read the state of the doors.", response=Doors),
        route("POST", "/doors", air_gap, "Shut all doors, or allow them again.", request=AirGap, response=Doors),
    ]


async def changes(request: Request) -> Response:
    """Until the page leaves."""

    async def pieces() -> AsyncGenerator[bytes]:
        async with aclosing(hub_of(request).changes()) as stream:
            yield sse(encoded(Change(topic="hello", value={"version": __version__})))
            async for change in stream:
                yield sse(encoded(change))

    return Streamed(pieces())


async def system(request: Request) -> Response:
    """One look."""
    services = request.app.state.server.services
    reading = await hub_of(request).readings.take()
    processes = await (await services.keeper()).processes()
    memory = await asyncio.to_thread(process_memory, [process.pid for process in processes])
    names = await services.brains_on() if any(process.base for process in processes) else {}
    return json_response(
        System(
            version=__version__,
            home=str(services.home.root),
            reading=reading,
            processes=[
                RunningProcess(process=process, memory=memory.get(process.pid, 0), brains=names.get(process.base, []))
                for process in processes
            ],
            machine=await services.hardware(),
        )
    )


async def stop(request: Request) -> Response:
    """Its memory comes back."""
    wish = await body_of(request, Stop)
    keeper = await request.app.state.server.services.keeper()
    kinds = {process.name: process.kind for process in await keeper.processes()}
    if wish.name not in kinds:
        raise NotFound(f"No process is called {wish.name[:100]!r}.")
    if kinds[wish.name] != "worker":  # such as the airlock, which carries the answer
        raise UsageError(
            f"{wish.name} is no worker.", hint="GET /omni/v1/system says which are; only these are ended here."
        )
    await keeper.stop(wish.name)
    return Response(status_code=204)


async def doors(request: Request) -> Response:
    """Verified, or it says that it is not."""
    return json_response(await (await request.app.state.server.services.keeper()).doors())


async def air_gap(request: Request) -> Response:
    """The kill switch."""
    wish = await body_of(request, AirGap)
    all_doors = await (await request.app.state.server.services.keeper()).air_gap(wish.on)
    hub_of(request).tell("doors", None)
    return json_response(all_doors)
