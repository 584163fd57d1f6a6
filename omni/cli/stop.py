"""`omni stop`: give memory back."""

import re
from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.session import with_services
from omni.core import confinement
from omni.core.errors import NotFound, UsageError
from omni.core.paths import Home

WORK_ID = re.compile("[0-9a-f]{16}")

if TYPE_CHECKING:
    from omni.app import Services


@click.command("stop")
@click.argument("brains", type=BRAIN, nargs=-1, metavar="[BRAIN...]")
@click.option(
    "--all", "everything", is_flag=True, help="Also end the keeper and the airlock; they start again when needed."
)
def command(brains: tuple[str, ...], everything: bool) -> None:
    """Unload brains: end their workers.

    Without BRAIN all of them; the name of a worker, of a plug-in's helper, or of the sandbox, from `omni ps` is good, too. Answers that are being written end as
    interrupted and can be gone on with. The id of some work, as `omni ps` lists it, ends that alone: an answer then
    counts as stopped.
    """
    from omni.keeper import anything_runs, stop_everything

    if everything and brains:
        raise UsageError("--all ends everything; it takes no BRAIN.")
    home = Home.from_environment()
    if everything:
        confinement.confine()
        ended = stop_everything(home, windows=True)
        click.echo("Keeper, airlock and workers have ended." if ended else "No process of Omni is running.")
        return
    if not brains and not anything_runs(home):
        click.echo("No brain is loaded.")
        return

    async def work(services: "Services") -> None:
        from omni.cli.ps import brains_on

        keeper = await services.keeper()
        names = await brains_on(services)
        processes = await keeper.processes()
        workers = {one.name: one for one in processes if one.kind == "worker"}
        helpers = {one.name for one in processes if one.kind in ("helper", "sandbox")}
        work = {job.info.id: job for job in await services.jobs.others()} if brains else {}
        for brain in brains:
            if brain in work:
                await work[brain].stop()
                click.echo(f"{brain} is stopped; what came of it is kept.")
                continue
            if WORK_ID.fullmatch(brain):
                raise NotFound(f"No work {brain} is going on.", hint="It may just have ended; `omni ps` lists what is.")
            if brain in helpers:
                await keeper.stop(brain)
                click.echo(f"{brain} has ended.")
                continue
            mine = [brain] if brain in workers else await services.workers_of(brain)
            if not mine:
                raise NotFound(f"{brain} is not loaded.", hint="`omni ps` lists what is.")
            for worker in mine:
                await keeper.stop(worker)
            click.echo(f"{brain} is unloaded.")
        if not brains:
            for worker, process in workers.items():
                await keeper.stop(worker)
                click.echo(f"{names.get(process.base, [worker])[0]} is unloaded.")
            if not workers:
                click.echo("No brain is loaded.")

    with_services(work)
