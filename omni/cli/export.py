"""`omni export`: everything for a machine without a network."""

from pathlib import Path

import click

from omni.cli.session import offline_services
from omni.core.errors import DoorShut
from omni.core.paths import Home
from omni.hardware.budget import gigabytes


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("brains", nargs=-1, metavar="[BRAIN...]")
@click.option("--only-brains", is_flag=True, help="Leave out the program; needs no network.")
def command(folder: Path, brains: tuple[str, ...], only_brains: bool) -> None:
    """Write everything that a machine without a network needs into a folder.

    FOLDER gets the locked packages for this platform, the source, and the BRAINs, each with its sha256. On the other
    machine: `cd FOLDER/source && python3 -m omni run --from ..`, then `omni pull FOLDER` for the brains.
    """
    home = Home.from_environment().ensure()
    if not only_brains:
        if home.air_gap.exists():
            raise DoorShut(
                "The air gap is on, so the packages cannot be downloaded.",
                hint="`omni export --only-brains`, or `omni airgap off`.",
            )
        from omni.sandbox import export_wheels
        from omni.sandbox.progress import Terminal

        # The installer is a process of its own and is started here, before this one gives up the network for good.
        files = export_wheels(home, folder, Terminal())
        click.echo(f"{len(files)} files of the program are in {folder}.")
    if brains:

        async def work(services):  # type: ignore[no-untyped-def]
            return await services.library.export(list(brains), folder)

        for path in offline_services(work):
            click.echo(f"{path}  {gigabytes(path.stat().st_size)}")
