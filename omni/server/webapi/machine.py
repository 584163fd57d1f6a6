"""What runs and what it costs, the doors, and the feed of everything that changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from omni import __version__
from omni.core.errors import NotFound, UsageError
from omni.hardware import HardwareProfile, process_memory
from omni.jobs import work_words
from omni.keeper import Doors, ProcessInfo
from omni.runtimes import RuntimeRow
from omni.server.routes import Route, body_of, json_response
from omni.server.streams import Streamed, sse
from omni.server.webapi.hub import Change, encoded, hub_of
from omni.server.webapi.problems import route
from omni.server.webapi.readings import Reading

if TYPE_CHECKING:
    from omni.app import Services


class RunningProcess(Struct, frozen=True, kw_only=True):
    """A process; `memory` in bytes, `vram` those of cards (None where nobody tells), `brains` are the names of those on its base."""

    process: ProcessInfo
    memory: int
    vram: int | None
    brains: list[str]


class Work(Struct, frozen=True, kw_only=True):
    """What goes on, whoever began it: what it does in words, since when, and what it asks ("" for nothing)."""

    id: str
    words: str
    began: float
    asks: str = ""


class System(Struct, frozen=True, kw_only=True):
    """Everything that runs, on what."""

    version: str
    home: str
    reading: Reading
    processes: list[RunningProcess]
    work: list[Work]
    machine: HardwareProfile
    engines: list[RuntimeRow]


class AirGap(Struct, frozen=True, kw_only=True):
    """Whether all doors shall be shut."""

    on: bool


class Stop(Struct, frozen=True, kw_only=True):
    """A worker or a helper by its name, or some work by its id."""

    name: str


def routes() -> list[Route]:
    """Reading, and the few things that can be ended."""
    return [
        route("GET", "/changes", changes, "Follow everything that changes.", stream=Change),
        route("GET", "/system", system, "Read processes and machine.", response=System),
        route("POST", "/system/stop", stop, "End a worker, a helper or some work.", request=Stop, status=204),
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
    graphics = await services.graphics(processes)
    names = await services.brains_on() if any(process.base for process in processes) else {}
    return json_response(
        System(
            version=__version__,
            home=str(services.home.root),
            reading=reading,
            processes=[
                RunningProcess(
                    process=process,
                    memory=memory.get(process.pid, 0),
                    vram=graphics.taken.get(process.pid),
                    brains=names.get(process.base, []),
                )
                for process in processes
            ],
            work=await _work(services),
            machine=await services.hardware(),
            engines=await services.runtime_rows(),
        )
    )


async def _work(services: "Services") -> list[Work]:
    jobs = [job.snapshot() for job in await services.jobs.all()]
    titles = {}
    if any(job.kind == "turn" for job in jobs):
        titles = {one.id: one.title for one in await services.chat.conversations(limit=1000)}
    return [
        Work(id=job.id, words=work_words(job, titles), began=job.began, asks=job.question.text if job.question else "")
        for job in jobs
    ]


async def stop(request: Request) -> Response:
    """The memory of a process comes back; what came of some work is kept."""
    wish = await body_of(request, Stop)
    services: Services = request.app.state.server.services
    if job := next((job for job in await services.jobs.all() if job.snapshot().id == wish.name), None):
        await job.stop()
        return Response(status_code=204)
    keeper = await services.keeper()
    kinds = {process.name: process.kind for process in await keeper.processes()}
    if wish.name not in kinds:
        raise NotFound(f"No process and no work is called {wish.name[:100]!r}.", hint="It may just have ended.")
    if kinds[wish.name] not in ("worker", "helper", "sandbox"):  # such as the airlock, which carries the answer
        raise UsageError(
            f"{wish.name} is no worker, no helper and no sandbox.",
            hint="GET /omni/v1/system says which are; only these are ended here.",
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
