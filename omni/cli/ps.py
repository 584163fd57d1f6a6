"""`omni ps`: who runs, and what holds them."""

from typing import TYPE_CHECKING

import click

from omni.cli.session import with_services
from omni.cli.table import print_json, print_table

if TYPE_CHECKING:
    from omni.app import Services


@click.command("ps")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List every process of Omni and what confines it.

    The network column is read from the kernel for each process, not from what Omni believes.
    """

    async def work(services: "Services") -> None:
        from datetime import datetime

        found = await (await services.keeper()).processes()
        if as_json:
            print_json(found)
            return
        print_table(
            ("process", "kind", "pid", "network", "since", ""),
            [
                (
                    process.name,
                    process.kind,
                    str(process.pid),
                    process.confined,
                    datetime.fromtimestamp(process.since).astimezone().strftime("%H:%M"),
                    process.detail,
                )
                for process in found
            ],
        )

    with_services(work)
