"""`omni doctor --wall`: the kernel's wall put to the test in the processes of Omni."""

from typing import TYPE_CHECKING

import click
import msgspec

from omni.cli.say import tell
from omni.cli.table import print_json, print_table
from omni.core.errors import OmniError

if TYPE_CHECKING:
    from omni.app import Services

OUTSIDE = ("keeper",)  # it could open a socket and does not


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one process (or of a child of it) to get around the wall."""

    process: str
    attempt: str
    by: str
    refused: bool
    how: str


async def try_wall(services: "Services", *, as_json: bool) -> int:
    """Let every process try, print the outcome, and return 1 when one that must be refused was not."""
    trials, others = await attempts(services)
    if as_json:
        print_json(trials)
    else:
        print_trials(trials, others)
    return 1 if any(not trial.refused and trial.process not in OUTSIDE for trial in trials) else 0


async def attempts(services: "Services") -> tuple[list[Trial], list[str]]:
    """What was tried by this process and all that the keeper can ask, and the other processes with their state."""
    import asyncio

    from omni.cli.ps import confinement
    from omni.core import wall

    keeper = await services.keeper()
    found = [
        Trial(process="this command", attempt=each.what, by=each.where, refused=each.refused, how=each.how)
        for each in await asyncio.to_thread(wall.attempts)
    ]
    processes = await keeper.processes()
    if not any(process.kind == "worker" for process in processes):
        await _load_one(services)
        processes = await keeper.processes()
    asked = [process for process in processes if process.kind in ("keeper", "worker")]
    for process in asked:
        found += [
            Trial(
                process=process.name, attempt=each["what"], by=each["where"], refused=each["refused"], how=each["how"]
            )
            for each in await keeper.wall(process.name)
        ]
    others = [f"{process.name} ({confinement(process)})" for process in processes if process not in asked]
    return found, others


async def _load_one(services: "Services") -> None:
    """Load the smallest brain, so that there is a worker to try."""
    usable = [brain for brain in await services.library.brains() if brain.usable]
    if not usable:
        tell("no brain is here, so no worker can be tried")
        return
    try:
        await (await services.open(min(usable, key=lambda brain: brain.size))).capabilities()
    except OmniError as error:
        tell(f"no worker can be tried: {error.message}")


def print_trials(trials: list[Trial], others: list[str]) -> None:
    """The table, and what it means."""
    by: dict[tuple[str, str, bool, str], list[str]] = {}
    for trial in trials:
        by.setdefault((trial.process, trial.attempt, trial.refused, trial.how), []).append(trial.by)
    print_table(
        ("process", "tried", "outcome", "how", "by"),
        [
            (process, attempt, "refused" if refused else "ALLOWED", how, " and ".join(who))
            for (process, attempt, refused, how), who in by.items()
        ],
    )
    click.echo(f"\nNot asked to try, but read from the kernel: {', '.join(others)}." if others else "")
    click.echo(
        "The keeper is not confined (it starts the others) and opens no socket; the airlock is the only door and is there"
        " for it.\nEverything else must be refused everything."
    )
