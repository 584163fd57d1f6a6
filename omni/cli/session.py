"""How a command gets at the services: starter first, then the wall, then everything heavy."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from omni.cli.overriding import overrides
from omni.cli.plugins import is_safe, report
from omni.cli.printers import print_failure
from omni.cli.say import tell
from omni.core import confinement
from omni.core.errors import OmniError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.keeper import Starter

T = TypeVar("T")
INTERRUPTED = 130


def with_services(work: "Callable[[Services], Coroutine[Any, Any, T]]") -> T:
    """Run `work` behind the wall with the services of this home, and close them whatever happens.

    The starter is a child from before the wall: it is what can start a keeper, whose children may need the network.
    """
    from omni.keeper import start

    home = Home.from_environment().ensure()
    context = click.get_current_context(silent=True)
    if context is not None and (early := context.find_root().obj) is not None:
        return asyncio.run(_run(home, early, work))  # the command of a plug-in, whose code was already confined
    starter = start(home, full_screen=False)
    try:
        confinement.confine()
        return asyncio.run(_run(home, starter, work))
    finally:
        starter.goodbye()


async def _run(home: Home, starter: "Starter | None", work: "Callable[[Services], Coroutine[Any, Any, T]]") -> T:
    from omni.app import Services

    async with Services(home, starter=starter, client="cli", plugins=not is_safe(), overrides=overrides()) as services:
        services.listen(lambda topic, value: tell(str(value)) if topic == "engine" else None)
        try:
            return await work(services)
        finally:
            if "plugins" in vars(services):
                report(services.plugins.failures)


def resumable(
    work: "Callable[[Services], Coroutine[Any, Any, object]]", *, as_json: bool, stopped: str = "where it stopped"
) -> int:
    """The same for work that goes on where it was interrupted; the exit status. With `as_json` what goes wrong is the last
    line on stdout, too. `stopped`: where the same command goes on."""
    try:
        with_services(work)
    except OmniError as error:
        if as_json:
            print_failure(error)
        raise
    except KeyboardInterrupt:
        tell(f"interrupted; the same command goes on {stopped}")
        return INTERRUPTED
    return 0


def offline_services(work: "Callable[[Services], Coroutine[Any, Any, T]]") -> T:
    """The same for commands that start no process and need no keeper: behind the wall, without a starter."""
    home = Home.from_environment().ensure()
    confinement.confine()
    return asyncio.run(_run(home, None, work))
