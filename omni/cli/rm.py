"""`omni rm`: remove brains."""

from typing import TYPE_CHECKING

import click

from omni.cli.names import BRAIN
from omni.cli.session import with_services
from omni.core.errors import UsageError
from omni.core.words import size_words

if TYPE_CHECKING:
    from omni.app import Services


@click.command("rm")
@click.argument("brains", type=BRAIN, nargs=-1, metavar="[BRAIN...]")
@click.option(
    "--unused", is_flag=True, help="Also remove what no brain needs any more, unfinished downloads and builds included."
)
def command(brains: tuple[str, ...], unused: bool) -> None:
    """Remove brains and free their disk space.

    A file that Omni did not download (Ollama's, LM Studio's, your own) is only taken off the list, never deleted.
    """
    if not brains and not unused:
        raise UsageError("Neither a BRAIN nor --unused was given.", hint="`omni ls --here` lists what can be removed.")

    async def work(services: "Services") -> None:
        for name in brains:
            freed = await services.remove(name)
            click.echo(
                f"{name} is removed; {size_words(freed)} are free again." if freed else f"{name} is taken off the list."
            )
        if unused:
            freed = await services.collect()
            click.echo(f"{size_words(freed)} were not used and are free again." if freed else "Nothing was unused.")

    with_services(work)
