"""`omni doctor`: what is wrong, and what mends it; with `--confinement`, the kernel's wall put to the test in every process."""

from typing import TYPE_CHECKING

import click

from omni.cli.say import tell
from omni.cli.session import with_services
from omni.cli.table import print_json

if TYPE_CHECKING:
    from omni.app import Services


@click.command("doctor")
@click.option(
    "--confinement",
    "confinement",
    is_flag=True,
    help="Have every process of Omni try to reach the network, and show who was refused.",
)
@click.option("--wall", is_flag=True, hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(confinement: bool, wall: bool, as_json: bool) -> int:
    """Find what is wrong, and print the command that mends it.

    The exit code is 1 when something is.
    """

    if wall:
        tell("`omni doctor --wall` is `omni doctor --confinement` now")

    async def work(services: "Services") -> int:
        if wall or confinement:
            from omni.cli.confinement import try_wall

            return await try_wall(services, as_json=as_json)
        from omni.diagnostics import findings

        diagnostics = await findings(services)
        if as_json:
            print_json(diagnostics)
        else:
            from omni.cli.environment import print_findings

            print_findings(diagnostics)
            bad = sum(not finding.ok for finding in diagnostics)
            click.echo(f"\n{bad} to mend." if bad else "\nAll is well.")
        return 1 if any(not finding.ok for finding in diagnostics) else 0

    return with_services(work)
