"""`omni stop`: give memory back."""

from typing import TYPE_CHECKING

import click

from omni.cli.session import with_services
from omni.core.errors import NotFound

if TYPE_CHECKING:
    from omni.app import Services


@click.command("stop")
@click.argument("brains", nargs=-1, metavar="[BRAIN...]")
@click.option(
    "--all", "everything", is_flag=True, help="Also end the keeper and the airlock; they start again when needed."
)
def command(brains: tuple[str, ...], everything: bool) -> None:
    """Unload brains: end their workers.

    Without BRAIN all of them. Answers that are being written end as interrupted and can be gone on with.
    """

    async def work(services: "Services") -> None:
        keeper = await services.keeper()
        if everything:
            await keeper.shutdown()
            click.echo("All processes of Omni are ending.")
            return
        workers = {process.name: process.detail for process in await keeper.processes() if process.kind == "worker"}
        for name in brains:
            mine = [name] if name in workers else await services.workers_of(name)
            if not mine:
                raise NotFound(f"{name} is not loaded.", hint="`omni ps` lists what is.")
            for worker in mine:
                await keeper.stop(worker)
            click.echo(f"{name} is unloaded.")
        if not brains:
            for worker, detail in workers.items():
                await keeper.stop(worker)
                click.echo(f"{worker} is unloaded ({detail}).")
            if not workers:
                click.echo("No brain is loaded.")

    with_services(work)
