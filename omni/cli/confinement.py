"""`omni doctor --confinement`: the kernel's wall put to the test in the processes of Omni."""

import os
from typing import TYPE_CHECKING, Any

import click
import msgspec

from omni.cli.say import tell
from omni.cli.table import print_json, print_table
from omni.core.errors import EngineError, OmniError

if TYPE_CHECKING:
    from omni.app import Services
    from omni.keeper import KeeperClient, ProcessInfo

# What is not confined, and what is said of it when it is not refused. Everything else must be refused everything.
UNCONFINED = {
    "airlock": "allowed: the door",
    "keeper": "could, and does not",
    "starter": "could, and does not",
    "sandbox": "could, and does not",
}
OF_STARTER = {"itself": "a child", "a child": "a grandchild"}  # a shell cannot make a socket: a child of it tries


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of one process (or of a child of it) to get around the wall.

    `kind` is the process's; `confined` is what holds it, read from the kernel ("none": nothing); `expected` says whether
    the outcome is what it must be.
    """

    process: str
    kind: str
    confined: str
    attempt: str
    by: str
    refused: bool
    expected: bool
    how: str


async def try_wall(services: "Services", *, as_json: bool) -> int:
    """Let every process try, print the outcome, and return 1 when one that must be refused was not."""
    trials, unasked = await attempts(services)
    if as_json:
        print_json(trials)
    else:
        print_trials(trials)
    for reason in unasked:
        tell(f"not tried: {reason}")
    return 0 if all(trial.expected for trial in trials) else 1


async def attempts(services: "Services") -> tuple[list[Trial], list[str]]:
    """What was tried by each process of this home, and which could not be asked, each with the reason."""
    keeper = await services.keeper()
    unasked = await _complete(services, keeper)
    trials: list[Trial] = []
    for process in await keeper.processes():
        try:
            trials += _trials(process, await _ask(services, keeper, process))
        except OmniError as error:
            unasked.append(f"{process.name}: {error.message}")
    return sorted(trials, key=lambda trial: trial.process != "this command"), unasked


async def _complete(services: "Services", keeper: "KeeperClient") -> list[str]:
    """See to it that there is an airlock and a worker to try. Returns why there is none."""
    kinds = {process.kind for process in await keeper.processes()}
    missing: list[str] = []
    if "airlock" not in kinds:
        try:
            await keeper.door("pull")  # which is opened by an order only, and none is given
        except OmniError as error:
            missing.append(f"an airlock: {error.message}")
    if "worker" not in kinds:
        usable = [brain for brain in await services.library.brains() if brain.usable]
        if not usable:
            return [*missing, "a worker: no brain is here"]
        try:
            await (await services.open(min(usable, key=lambda brain: brain.size))).capabilities()
        except OmniError as error:
            missing.append(f"a worker: {error.message}")
    return missing


async def _ask(services: "Services", keeper: "KeeperClient", process: "ProcessInfo") -> list[dict[str, Any]]:
    """This process and its starter are asked directly, the others through the keeper."""
    import asyncio

    from omni.core import confinement

    if process.pid == os.getpid():
        return [attempt._asdict() for attempt in await asyncio.to_thread(confinement.attempts)]
    if services.starter is not None and process.pid == services.starter.pid:
        return await services.starter.wall()
    return await keeper.wall(process.name)


def _trials(process: "ProcessInfo", told: object) -> list[Trial]:
    """What a process told, which may be a plug-in's. Raises EngineError where it is no list of attempts."""
    try:
        tried = msgspec.convert(told, list[dict[str, Any]])
        kinds = {"what": str, "where": str, "refused": bool, "how": str}
        if not all(isinstance(each.get(name), kind) for each in tried for name, kind in kinds.items()):
            raise msgspec.ValidationError("an attempt lacks something")
    except msgspec.ValidationError as error:
        raise EngineError(f"what it answered is no list of attempts: {error}.") from error
    return [
        Trial(
            process="this command" if process.pid == os.getpid() else process.name,
            kind=process.kind,
            confined=process.confined,
            attempt=each["what"],
            by=OF_STARTER.get(each["where"], each["where"]) if process.kind == "starter" else each["where"],
            refused=each["refused"],
            expected=each["refused"] or process.kind in UNCONFINED,
            how=each["how"],
        )
        for each in tried
    ]


def outcome(trial: Trial) -> str:
    """In words."""
    return "refused" if trial.refused else UNCONFINED.get(trial.kind, "ALLOWED")


def print_trials(trials: list[Trial]) -> None:
    """The table, and what it means."""
    by: dict[tuple[str, str, str, str, str], list[str]] = {}
    for trial in trials:
        row = (trial.process, trial.confined, trial.attempt, outcome(trial), trial.how)
        by.setdefault(row, []).append(trial.by)
    print_table(
        ("process", "confined by", "tried", "outcome", "how", "by"),
        [(*row[:1], row[1].replace("none", "nothing"), *row[2:], " and ".join(who)) for row, who in by.items()],
    )
    held = list(dict.fromkeys(trial.process for trial in trials if trial.kind not in UNCONFINED))
    free = list(dict.fromkeys(trial.process for trial in trials if trial.kind in UNCONFINED))
    click.echo(
        f"\nMust be refused everything: {', '.join(held)}.\nNot confined: {', '.join(free)}. The airlock is the door;"
        " keeper and starter could open a socket, and do not.\nNor is the installer confined, which is not asked: it runs"
        " during set-up and export, and connects to the package index."
    )
    bad = list(dict.fromkeys(trial.process for trial in trials if not trial.expected))
    click.echo(f"NOT ENFORCED: {', '.join(bad)} was given what must be refused." if bad else "The confinement holds.")
