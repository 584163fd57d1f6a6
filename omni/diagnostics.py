"""Everything that could be wrong, looked at in the order in which it builds on each other; each with what mends it."""

import asyncio
import locale
import os
from itertools import islice
from typing import TYPE_CHECKING

from omni.core.errors import OmniError
from omni.core.hooks import DoctorCheck
from omni.core.plugins import MOST

if TYPE_CHECKING:
    from omni.app import Services
    from omni.environment import Diagnostic


async def findings(services: "Services") -> "list[Diagnostic]":
    """Everything that is looked at, in the order in which it builds on each other."""
    diagnostics = await services.environment.check()
    for check in services.plugins.own("omni_doctor_checks"):
        try:
            diagnostics += await check.run(services)
        except OmniError as error:
            diagnostics.append(_finding(check.name, ok=False, detail=error.message, command=error.hint))
    for offer in await asyncio.to_thread(services.plugins.offers, "omni_doctor_checks"):
        try:
            diagnostics += await asyncio.to_thread(
                services.plugins.call, offer.plugin, "doctor", _results, offer.item, services
            )
        except OmniError as error:
            diagnostics.append(_finding(offer.item.name, ok=False, detail=error.message, command=error.hint))
    return diagnostics + await _plugins(services)


def _results(check: DoctorCheck, services: "Services") -> "list[Diagnostic]":
    """What the check of a plug-in saw. Raises TypeError for anything but diagnostics, and for too many of them."""
    from omni.environment import Diagnostic

    results = list(islice(check.run(services), MOST + 1))
    if len(results) > MOST or not all(isinstance(each, Diagnostic) for each in results):
        raise TypeError(f"the check {check.name!r} returned something else than up to {MOST} Diagnostics")
    return results


def _finding(name: str, *, ok: bool, detail: str, command: str = "") -> "Diagnostic":
    from omni.environment import Diagnostic

    return Diagnostic(name=name, ok=ok, detail=detail, command=command)


async def _settings(services: "Services") -> "list[Diagnostic]":
    services.settings  # noqa: B018 - reading them is the check
    return [_finding("settings", ok=True, detail=str(services.home.config))]


async def _confinement(services: "Services") -> "list[Diagnostic]":
    from omni.core import confinement

    state = confinement.state()
    detail = f"enforced by {state.kind}" if state.enforced else f"NOT enforced here: {state.reason}"
    return [
        _finding(
            "confinement",
            ok=state.enforced,
            detail=detail,
            command="" if state.enforced else "a Linux kernel with seccomp",
        ),
        await asyncio.to_thread(_held_to_folders, services),
    ]


def _held_to_folders(services: "Services") -> "Diagnostic":
    """Whether programs that are not Omni's are kept from the person's files; where none is here, nothing is wrong."""
    from omni.core.landlock import missing

    why = missing()
    return _finding(
        "landlock",
        ok=not why or not services.runtimes.installed(),
        detail=f"added engines and tools may change every file that you may: {why}"
        if why
        else "added engines and tools change files in folders of their own only (Landlock)",
        command="a Linux kernel with Landlock (5.13)" if why else "",
    )


async def _sandbox(services: "Services") -> "list[Diagnostic]":
    """Whether commands of brains are held by all walls, tried with one that does nothing."""
    from omni.hands import ToolSandbox, walls_here

    try:
        missing = (await walls_here(ToolSandbox(await services.keeper()), omni=services.home.root)).missing
    except OmniError as error:
        return [_finding("sandbox", ok=False, detail=error.message, command=error.hint)]
    told = "; ".join(f"{layer} ({why})" for layer, why in sorted(missing.items()))
    return [
        _finding(
            "sandbox",
            ok=not missing,
            detail=f"not held here: {told}" if missing else "all walls around commands hold, tried",
            command="omni sandbox try" if missing else "",
        )
    ]


async def _terminal(services: "Services") -> "list[Diagnostic]":  # noqa: ARG001 - all checks look alike
    term, colours = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "")
    encoding = locale.getencoding()  # not what Python makes of it: in the C locale it writes UTF-8 all the same
    utf8 = encoding.lower().replace("-", "") == "utf8"
    diagnostics = [
        _finding(
            "locale",
            ok=utf8,
            detail="UTF-8" if utf8 else f"{encoding}, so the shell draws with ASCII only",
            command="export LANG=C.UTF-8",
        ),
        _finding(
            "terminal",
            ok=term not in ("", "dumb"),
            detail=f"{term}, {colours or '256 colours at most'}"
            if term not in ("", "dumb")
            else f"TERM is {term or 'not set'}, so the shell cannot be drawn",
            command="another terminal, or: omni chat",
        ),
    ]
    if os.environ.get("TMUX") and not colours:
        diagnostics.append(
            _finding(
                "tmux",
                ok=True,
                detail="256 colours; for all of them add to tmux.conf: set -as terminal-features ',*:RGB'",
            )
        )
    return diagnostics


async def _machine(services: "Services") -> "list[Diagnostic]":
    from omni.core.words import size_words
    from omni.hardware import available_memory

    profile = await services.hardware()
    budget = await services.budget()
    features = " ".join(profile.cpu.features)
    diagnostics = [
        _finding(
            "processor",
            ok=True,
            detail=f"{profile.cpu.name}, {profile.cpu.usable} usable, {features or 'no vector unit known'}",
        ),
        _finding(
            "memory",
            ok=True,
            detail=f"{size_words(profile.memory.total)}, {size_words(await asyncio.to_thread(available_memory))} free now, "
            f"{size_words(budget.memory)} for brains",
        ),
    ]
    diagnostics += [_finding("graphics", ok=True, detail=f"{gpu.name}: {gpu.note}") for gpu in profile.gpus]
    return diagnostics


async def _keeper(services: "Services") -> "list[Diagnostic]":
    keeper = await services.keeper()
    doors = await keeper.doors()
    state = (
        "the air gap is on"
        if doors.air_gap
        else f"{len(doors.open)} doors open"
        if doors.open
        else "all doors are shut"
    )
    return [
        _finding("keeper", ok=True, detail=f"answers, {len(await keeper.processes())} processes"),
        _finding(
            "doors",
            ok=doors.verified,
            detail=f"{state}, {'verified' if doors.verified else 'NOT verified'}",
            command="omni airgap on",
        ),
    ]


async def _brains(services: "Services") -> "list[Diagnostic]":
    await services.library.scan()
    brains = await services.library.brains()
    usable = [brain for brain in brains if brain.usable]
    diagnostics = [
        _finding(
            "brains",
            ok=bool(usable),
            detail=_counted(len(usable), sum(brain.state == "unloadable" for brain in brains)),
            command="omni pull @omni/smollm2",
        )
    ]
    diagnostics += [
        _finding(brain.name, ok=False, detail=brain.reason, command=brain.command)
        for brain in brains
        if brain.state in ("unreadable", "corrupt", "gone")
    ]
    return diagnostics


async def _engines(services: "Services") -> "list[Diagnostic]":
    from omni.core.words import size_words
    from omni.runtimes import find_leftovers

    return [
        _finding(
            "engines",
            ok=False,
            detail=f"{one.what} was interrupted and takes {size_words(one.size)}"
            + (f"; `{one.command}` goes on with it" if one.command else ""),
            command="omni rm --unused",
        )
        for one in await asyncio.to_thread(find_leftovers, services.home)
    ]


def _counted(usable: int, unloadable: int) -> str:
    """What is here, in words. That another program has something in a form of its own is nothing to mend."""
    words = f"{usable} can be asked" if usable else "none is here yet" if not unloadable else "none can be asked"
    return f"{words}; {unloadable} cannot be loaded, and `omni ls` says why" if unloadable else words


async def _plugins(services: "Services") -> "list[Diagnostic]":
    failures = await asyncio.to_thread(services.plugins.examine)
    return [
        _finding(name, ok=name not in failures, detail=failures.get(name, "plug-in"), command=f"omni plugin rm {name}")
        for name in services.plugins.names()
    ]


CHECKS = (
    DoctorCheck(name="settings", run=_settings),
    DoctorCheck(name="confinement", run=_confinement),
    DoctorCheck(name="terminal", run=_terminal),
    DoctorCheck(name="machine", run=_machine),
    DoctorCheck(name="keeper", run=_keeper),
    DoctorCheck(name="sandbox", run=_sandbox),
    DoctorCheck(name="brains", run=_brains),
    DoctorCheck(name="engines", run=_engines),
)
