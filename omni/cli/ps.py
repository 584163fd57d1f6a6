"""`omni ps`: who runs, and what holds them."""

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from omni.cli.say import tell
from omni.cli.session import with_services
from omni.cli.table import print_json, print_table
from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.core.words import clock_words, size_words

if TYPE_CHECKING:
    from omni.app import Services
    from omni.hardware import GraphicsMemory
    from omni.jobs import RemoteJob
    from omni.keeper import ProcessInfo

ORDER = ("client", "keeper", "starter", "airlock", "installer", "worker", "helper", "sandbox")


@click.command("ps")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List every process of Omni and what confines it.

    Below stands the work that is going on, whoever began it. The network column is read from the kernel for each process,
    not from what Omni believes. Memory is what is in RAM now, a process's share of what several map.
    """
    from omni.keeper import anything_runs, installing

    home = Home.from_environment()
    if not anything_runs(home):  # looking starts nothing
        alone = installing(home, beside=os.getpid())
        if alone is None and not as_json:
            click.echo("No process of Omni is running.")
        else:
            show([alone] if alone is not None else [], {}, as_json=as_json)
        return

    async def work(services: "Services") -> None:
        processes = await (await services.keeper()).processes()
        keeper = next(one.pid for one in processes if one.kind == "keeper")
        installer = installing(home, beside=keeper)
        work = await services.jobs.others()
        everything = [*processes, *([installer] if installer is not None else [])]
        graphics = await services.graphics(processes)
        show(everything, await brains_on(services), work, graphics, as_json=as_json)
        if work and not as_json:
            await show_work(services, work)

    with_services(work)


def show(
    processes: "Iterable[ProcessInfo]",
    brains: dict[str, list[str]],
    work: "Sequence[RemoteJob]" = (),
    graphics: "GraphicsMemory | None" = None,
    *,
    as_json: bool,
) -> None:
    """Print them, those that people open first; `brains` are the names on each base, `work` what is going on, `graphics` what lies
    on devices."""
    import msgspec

    from omni.hardware import GraphicsMemory, process_memory

    graphics = graphics or GraphicsMemory()

    processes = sorted(processes, key=lambda one: (ORDER.index(one.kind), one.since))
    memory = process_memory(one.pid for one in processes)
    if as_json:
        print_json(
            [
                msgspec.to_builtins(one)
                | {
                    "memory": memory.get(one.pid, 0),
                    "vram": graphics.taken.get(one.pid),
                    "brains": brains.get(one.base, []),
                    "jobs": [msgspec.to_builtins(job.info) for job in work if job.socket == one.jobs],
                }
                for one in processes
            ]
        )
        return
    print_table(
        ("process", "pid", "memory", "network", "since", "what"),
        [
            (
                one.name,
                str(one.pid),
                size_words(size) if (size := memory.get(one.pid)) else "",
                confinement(one),
                clock_words(one.since),
                what(one, brains.get(one.base, []), graphics.taken.get(one.pid)),
            )
            for one in processes
        ],
        right=("pid", "memory"),
    )
    if graphics.cards:
        click.echo()
        print_table(("graphics", "memory"), [(card.name, card.words) for card in graphics.cards])


async def show_work(services: "Services", work: "Sequence[RemoteJob]") -> None:
    """What is going on, whoever began it: an answer by the title of its conversation."""
    from omni.jobs import work_words

    titles = {conversation.id: conversation.title for conversation in await services.chat.conversations(limit=1000)}
    click.echo()
    print_table(
        ("work", "since", "what", ""),
        [
            (
                job.info.id,
                clock_words(job.info.began),
                work_words(job.info, titles),
                f"asks: {job.info.question.text}" if job.info.question is not None else "",
            )
            for job in work
        ],
    )
    click.echo("`omni stop WORK` ends one; what came of it is kept.")


async def brains_on(services: "Services") -> dict[str, list[str]]:
    """The names of the brains on each base; none when the library cannot be read, because processes can all the same."""
    try:
        return await services.brains_on()
    except OmniError as error:
        tell(error.message)
        return {}


def confinement(process: "ProcessInfo") -> str:
    """What keeps a process from the network, in words."""
    if process.confined != "none":
        return f"none, by {process.confined}"
    return {
        "airlock": "the door",
        "installer": "the package index",
        "keeper": "unused, not confined",
        "starter": "unused, not confined",
        "sandbox": "unused, not confined",
    }.get(process.kind, "NOT CONFINED")


def what(process: "ProcessInfo", brains: list[str], vram: int | None = None) -> str:
    """What a process is there for; `vram`: bytes of cards that it holds."""
    if process.kind == "worker":
        from omni.hardware import device_files
        from omni.runtimes import BUILT_IN

        by = "" if process.engine in ("", BUILT_IN) else f", by {process.engine}"
        files = device_files(process.pid) if by else []  # a build for a card may open it whatever lies there
        if process.placed or files:
            by += f", {process.placed or 'nothing on a device'} ({' '.join(files) or 'no device file is open'})"
        if vram is not None:
            by += f", {size_words(vram)} of VRAM"
        return f"{several(brains) or process.base}, {process.detail.rpartition(', ')[2]}{by}"
    if process.kind == "client":
        if process.pid == os.getpid():
            return "this command"
        known = {"shell": "an open shell", "server": "serves other programs"}
        return known.get(process.name.partition("-")[0]) or process.detail or "another command"
    return "starts the others" if process.kind == "keeper" else process.detail


def several(brains: list[str]) -> str:
    """ "@omni/coder", or "@omni/coder and 3 on it"."""
    return brains[0] + (f" and {len(brains) - 1} on it" if len(brains) > 1 else "") if brains else ""
