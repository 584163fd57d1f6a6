"""What a check found, each with the command that mends it, and the checks themselves (blocking, standard library)."""

import csv
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

from omni.core.errors import OmniError
from omni.core.locks import locked
from omni.core.paths import Home
from omni.core.words import size_words
from omni.environment import place
from omni.environment.command import linked_here
from omni.environment.prepare import environment_path
from omni.environment.requirements import normalised
from omni.environment.users import leftovers, outdated, read_stamp

REPAIR = "omni environment repair"
LOW_DISK = 500_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnostic:
    """One thing that was looked at: whether it is as it should be, what was seen, and the command that mends it."""

    name: str
    ok: bool
    detail: str
    command: str = ""


def check_managed(home: Home, clone: Path) -> list[Diagnostic]:
    """Every finding about the environment that a clone made in `home`."""
    try:
        environment = environment_path(home, clone, place.CORE)
    except OmniError as error:
        return [Diagnostic(name="lock file", ok=False, detail=error.message, command="git checkout requirements")]
    stamp = read_stamp(environment)
    if stamp is None:
        there = "is not whole" if environment.exists() else "was not made yet"
        detail = f"{environment} {there} (the lock file or the Python is another one)"
        return [Diagnostic(name="environment", ok=False, detail=detail, command="python3 -m omni run"), _disk(home)]
    return [
        Diagnostic(name="environment", ok=True, detail=str(environment)),
        _python(environment, stamp),
        _link(home, environment),
        _packages(environment, stamp),
        _command(home, clone),
        _half(home),
        _old(home, environment),
        _disk(home),
    ]


def check_own() -> list[Diagnostic]:
    """Findings about the environment that an installed package lives in: are its requirements there?"""
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        wanted = requires("omni-sovereign") or []
    except PackageNotFoundError:
        return [Diagnostic(name="environment", ok=True, detail=f"{sys.prefix} (not managed by Omni)")]
    missing = []
    for requirement in wanted:
        name, _, marker = requirement.partition(";")
        if "extra" not in marker and "sys_platform" not in marker:
            bare = name.strip().split(" ")[0]
            for sign in "<>=!~[":
                bare = bare.partition(sign)[0]
            try:
                version(bare)
            except PackageNotFoundError:
                missing.append(bare)
    detail = (
        f"{sys.prefix}: missing {', '.join(missing)}" if missing else f"{sys.prefix} (managed by what installed it)"
    )
    command = "pip install --force-reinstall omni-sovereign" if missing else ""
    return [Diagnostic(name="environment", ok=not missing, detail=detail, command=command)]


def _python(environment: Path, stamp: dict[str, Any]) -> Diagnostic:
    python = Path(place.python(str(environment)))
    try:
        real = python.resolve(strict=True)
    except OSError:
        detail = f"{python} leads to {python.readlink() if python.is_symlink() else 'nothing'}, which is gone"
        return Diagnostic(name="python", ok=False, detail=detail, command="python3 -m omni environment repair")
    if not os.access(real, os.X_OK):
        return Diagnostic(
            name="python", ok=False, detail=f"{real} cannot be run", command="python3 -m omni environment repair"
        )
    return Diagnostic(name="python", ok=True, detail=f"{stamp.get('python')} ({real})")


def _link(home: Home, environment: Path) -> Diagnostic:
    target = str(home.venv.readlink()) if home.venv.is_symlink() else None
    if target == f"venvs/{environment.name}":
        return Diagnostic(name="link", ok=True, detail=f"{home.venv} names it")
    return Diagnostic(
        name="link", ok=False, detail=f"{home.venv} leads to {target or 'nothing'}", command="python3 -m omni --version"
    )


def _packages(environment: Path, stamp: dict[str, Any]) -> Diagnostic:
    wanted = dict(stamp.get("packages", {}))
    (packages,) = [*environment.glob("lib/python*/site-packages"), environment][:1]
    wrong = differences(packages, wanted)
    if not wrong:
        return Diagnostic(name="packages", ok=True, detail=f"{len(wanted)} packages are as they were installed")
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return Diagnostic(name="packages", ok=False, detail="; ".join(wrong[:3]) + more, command=REPAIR)


def differences(packages: Path, wanted: Mapping[str, str], *, scripts: bool = True) -> list[str]:
    """What in a folder of packages is not as it was installed, in words; `wanted` are names and versions. Without `scripts`
    files outside the folder are not looked at: pip puts them elsewhere than it writes down where a folder was its target."""
    installed = {normalised(each.metadata["Name"]): each for each in distributions(path=[str(packages)])}
    wrong = [f"{name} is missing" for name in sorted(wanted.keys() - installed.keys())]
    wrong += [f"{name} was added" for name in sorted(installed.keys() - wanted.keys())]
    wrong += [
        f"{name} is {installed[name].version} instead of {version}"
        for name, version in sorted(wanted.items())
        if name in installed and installed[name].version != version
    ]
    for name in sorted(installed.keys() & wanted.keys()):
        wrong += [f"{name}: {changed}" for changed in _changed(packages, installed[name], scripts=scripts)]
    return wrong


def _changed(packages: Path, distribution: Distribution, *, scripts: bool) -> Iterator[str]:
    """Files whose size is not the one in RECORD. Sizes, not hashes: some thousand files in some ten milliseconds."""
    for name, _, size in csv.reader((distribution.read_text("RECORD") or "").splitlines()):
        if size and (scripts or not name.startswith("../")):
            try:
                now = os.stat(os.path.join(packages, name)).st_size  # noqa: PTH116 - thousands of paths, and pathlib is slow
            except OSError:
                yield f"{name} is gone"
            else:
                if now != int(size):
                    yield f"{name} was changed"


def _command(home: Home, clone: Path) -> Diagnostic:
    script = home.bin / "omni"
    text = script.read_text("utf-8", "replace") if script.is_file() else ""
    if not text:
        return Diagnostic(
            name="command", ok=False, detail=f"{script} is not there", command="python3 -m omni --version"
        )
    linked = "linked into ~/.local/bin" if linked_here(home) else "not linked into ~/.local/bin"
    detail = f"{script} ({linked})" if str(clone) in text else f"{script} runs another clone"
    return Diagnostic(name="command", ok=True, detail=detail)


def _half(home: Home) -> Diagnostic:
    with locked(home.setup_lock, wait=False) as mine:
        if not mine:
            return Diagnostic(name="leftovers", ok=True, detail="a set-up is running")
        folders = leftovers(home.venvs)
    if folders:
        return Diagnostic(
            name="leftovers", ok=False, detail=f"{len(folders)} folders of interrupted set-ups", command=REPAIR
        )
    return Diagnostic(name="leftovers", ok=True, detail="no interrupted set-up")


def _old(home: Home, environment: Path) -> Diagnostic:
    from omni.environment.kept import tree_size

    environments = outdated(home.venvs, environment, place.CORE)
    detail = (
        f"{len(environments)} older environments, {size_words(sum(map(tree_size, environments)))}"
        if environments
        else "none"
    )
    return Diagnostic(name="older environments", ok=True, detail=detail, command=REPAIR if environments else "")


def _disk(home: Home) -> Diagnostic:
    free = shutil.disk_usage(home.root if home.root.exists() else home.root.anchor).free
    command = "" if free >= LOW_DISK else "omni uninstall --dry-run"
    return Diagnostic(name="disk", ok=free >= LOW_DISK, detail=f"{size_words(free)} free", command=command)
