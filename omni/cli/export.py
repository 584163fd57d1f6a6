"""`omni export`: everything for a machine without a network."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.session import offline_services
from omni.core.errors import NetworkBlocked, UsageError
from omni.core.paths import Home
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("brains", type=BRAIN, nargs=-1, metavar="[BRAIN...]")
@click.option("--only-brains", is_flag=True, help="Leave out the program; needs no network.")
def command(folder: Path, brains: tuple[str, ...], only_brains: bool) -> None:
    """Write what a machine without a network needs to a folder.

    FOLDER gets the locked packages for this platform, the source, and the BRAINs, each with its sha256. On the other
    machine: `cd FOLDER/source && python3 -m omni run --from ..`, then `omni pull FOLDER` for the brains.
    """
    from omni.keeper import air_gap

    home = Home.from_environment().ensure()
    if not only_brains:
        if air_gap(home):
            raise NetworkBlocked(
                "The air gap is on, so the packages cannot be downloaded.",
                hint="`omni export --only-brains`, or `omni airgap off`.",
            )
        from omni.environment import export_wheels
        from omni.environment.progress import Terminal

        # The installer is a process of its own and is started here, before this one gives up the network for good.
        files = export_wheels(home, folder, Terminal())
        click.echo(f"{len(files)} files of the program are in {folder}.")
    if brains:
        from omni.cartridges import PullStatus, begin_export
        from omni.cli.progress import Progress, watch

        async def work(services: "Services") -> None:
            chosen = [await services.library.get(name) for name in brains]
            names = [brain.name for brain in chosen]
            job = begin_export(services.jobs, services.library.export, names, folder)
            await watch(job, PullStatus(name=job.about, kind="export"), Progress())
            for brain in chosen:
                click.echo(f"{brain.name}  {size_words(brain.size)}")
            click.echo(f"On the other machine: omni pull {folder}")

        offline_services(work)
    elif only_brains:
        raise UsageError("--only-brains names no BRAIN.", hint="`omni ls --here` lists what can be exported.")
