"""A build of an engine as the command line shows it."""

from functools import partial
from typing import TYPE_CHECKING

import click

from omni.cli.say import tell
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cli.progress import Progress
    from omni.runtimes import Backend, BuildEvent, BuildProgress, Runtime

_WORDS = {
    "fetch": "fetching",
    "unpack": "unpacking",
    "configure": "looking at the compiler",
    "compile": "compiling",
    "install": "putting it in place",
}


async def run_build(services: "Services", backend: "Backend", name: str, *, as_json: bool = False) -> "Runtime":
    """Build an engine as a job and show it, or print its events; returns what came of it."""
    from omni.cli.progress import Progress, follow
    from omni.runtimes import Build, begin_build

    build = Build(services.home, await services.airlock(), backend=backend, name=name)
    job = begin_build(services.jobs, build)
    progress = Progress()
    await follow(job, partial(_show, progress=progress, as_json=as_json), progress)
    return services.runtimes.get(build.name)


def _show(event: "BuildEvent", progress: "Progress", *, as_json: bool) -> None:
    import msgspec

    from omni.cli.progress import duration
    from omni.runtimes import BuildDone, BuildProgress, BuildStarted

    if as_json:
        click.echo(msgspec.json.encode(event).decode())
        return
    match event:
        case BuildStarted(name=name, seconds=seconds, resumed=True):
            tell(f"going on with the build of {name}: less than {duration(seconds)}; Ctrl+C keeps what is made")
        case BuildStarted(name=name, download=download, disk=disk, seconds=seconds):
            tell(
                f"building {name}: {size_words(download)} to fetch, {size_words(disk)} of disk meanwhile, "
                f"about {duration(seconds)} to compile here; Ctrl+C keeps what is made"
            )
        case BuildProgress():
            progress.line(_line(event))
        case BuildDone(name=name, seconds=seconds):
            progress.end()
            click.echo(f"The engine {name} is here after {duration(seconds)}.")


def _line(event: "BuildProgress") -> str:
    from omni.core.words import time_words

    line = f"{_WORDS[event.phase]} {event.what}".rstrip()
    if event.phase == "fetch":
        line += f"  {size_words(event.done)}" + (f" of {size_words(event.total)}" if event.total else "")
    if event.total:
        line += f"  {event.done * 100 // event.total} %"
    return line if event.seconds_left is None else f"{line}  {time_words(event.seconds_left)} left"
