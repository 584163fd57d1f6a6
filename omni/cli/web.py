"""`omni web`: the server with its pages, opened in a browser."""

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from omni.cli.overriding import overrides, with_gpu
from omni.cli.plugins import is_safe
from omni.cli.say import tell
from omni.cli.serve import Beside, listening, new_address
from omni.core.errors import OmniError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.server.start import Link, StartupNotice


@click.command("web")
@listening
@with_gpu
@click.option("--no-open", is_flag=True, help="Print the address and open no browser.")
def command(
    *, host: str | None, port: int | None, tls: bool, cert: str | None, key_file: str | None, no_open: bool
) -> None:
    """Open the web interface in a browser.

    The address that is printed lets one browser in, once and within a minute. Programs find the same API there as with
    `omni serve`. Ctrl+C ends it.
    """
    from omni.server.start import Wish, run

    beside = Beside()

    def listening(services: "Services", link: "Link", said: "StartupNotice") -> None:
        beside.tell_of_defaults(services)
        if (door := new_address(said)) is None:  # a browser that was let in before still is
            return
        url = f"{door.url}/#token={link()}"
        click.echo(f"Omni's web interface: {url}")
        if not no_open:
            beside.begin(_open(services, url))

    wish = Wish(host=host or "", port=port, tls=tls, cert=cert or "", key_file=key_file or "", web=True)
    run(Home.from_environment().ensure(), wish, listening, plugins=not is_safe(), overrides=overrides())


async def _open(services: "Services", url: str) -> None:
    opened = False
    if services.starter is not None:
        with suppress(OmniError):
            opened = await services.starter.open(url)
    if not opened:
        tell("no browser was found here: open the address yourself")
