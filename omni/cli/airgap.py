"""`omni airgap`: the kill switch from the command line."""

import asyncio
from typing import TYPE_CHECKING

import click

from omni.cli.asking import require_consent
from omni.cli.say import tell
from omni.cli.session import with_services
from omni.cli.table import print_json
from omni.core.errors import SetupError, StorageError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services


@click.command("airgap")
@click.argument("state", type=click.Choice(["on", "off", "status"]), default="status")
@click.option("--yes", is_flag=True, help="Open the doors without asking.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(state: str, yes: bool, as_json: bool) -> int:
    """Shut every door to the network, or open them again.

    `on` ends the airlock and whatever goes through it, at once, and holds until `off`, through restarts. The exit code
    is 1 when the kernel does not confirm that the doors are shut.
    """
    from omni.keeper import air_gap_alone

    if state == "off" and not yes:
        require_consent(
            "Allow downloads again? Each still happens only when you ask for it; a server that runs listens again."
        )
    if state == "on":
        air_gap_alone(Home.from_environment().ensure(), True)  # first of all, whatever becomes of the rest

    async def work(services: "Services") -> int:
        try:
            keeper = await services.keeper()
        except (SetupError, StorageError) as error:  # it hangs, or the disk is full: the doors are shut all the same
            if state == "status":
                raise
            doors = await asyncio.to_thread(air_gap_alone, services.home, state == "on")
            tell(error.message)
        else:
            doors = await keeper.doors() if state == "status" else await keeper.air_gap(state == "on")
        if as_json:
            print_json(doors)
        else:
            if doors.air_gap:
                sentence = "The air gap is on: no door can open"
            elif doors.open:
                sentence = "Open now: " + ", ".join(f"{door.purpose} to {door.host}" for door in doors.open)
            else:
                sentence = "Every door is shut; a download that you ask for may open one"
            click.echo(f"{sentence} ({'verified' if doors.verified else 'NOT VERIFIED: ' + doors.detail}).")
        return 0 if doors.verified else 1

    return with_services(work)
