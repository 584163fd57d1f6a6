"""`omni ls`: what is here and what can be had."""

from typing import TYPE_CHECKING

import click

from omni.cli.session import offline_services
from omni.cli.table import print_json, print_table
from omni.hardware.budget import gigabytes

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import Brain


@click.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--here", is_flag=True, help="Only what is on this machine.")
def command(as_json: bool, here: bool) -> None:
    """List the brains that are here and those that can be had.

    Sizes are in powers of ten. The state says: ready (has answered here), installed (not tried yet), available (can be
    pulled), or why a brain cannot be used.
    """

    async def work(services: "Services") -> None:
        await services.library.scan()
        brains = [brain for brain in await services.library.brains() if not (here and brain.state == "available")]
        if as_json:
            print_json([facts(brain) for brain in brains])
        elif not brains:
            click.echo("No brain is here yet. `omni pull @omni/smollm2` fetches the starter (98 MB).")
        else:
            print_table(("brain", "state", "size", "context", "licence", "what"), [row(brain) for brain in brains])

    offline_services(work)


def row(brain: "Brain") -> tuple[str, ...]:
    """One brain as the cells of a listing."""
    return (
        brain.name,
        brain.state,
        gigabytes(brain.size) if brain.size else "",
        f"{brain.context_max // 1024}k" if brain.context_max else "",
        brain.licence,
        brain.reason or brain.title or "",
    )


def facts(brain: "Brain") -> dict[str, object]:
    """One brain for programs; the names stay from version to version."""
    return {
        "name": brain.name,
        "state": brain.state,
        "reason": brain.reason,
        "title": brain.title,
        "size": brain.size,
        "quantisation": brain.quantisation,
        "context": brain.context_max,
        "licence": brain.licence,
        "path": str(brain.base.path) if brain.base else None,
        "sha256": brain.base.sha256 if brain.base else None,
    }
