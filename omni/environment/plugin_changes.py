"""Adding and removing plug-ins: whole or not at all, whatever fails or is killed meanwhile."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import distributions
from itertools import product
from pathlib import Path
from typing import Any

from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, SetupError, UsageError, nearest
from omni.core.files import write_atomic
from omni.core.installed import InstalledPlugins, scan
from omni.core.paths import Home, resources, source_root
from omni.core.process_kinds import GrantedKind
from omni.environment.folder_installer import FolderInstaller
from omni.environment.folder_pip import lock_text
from omni.environment.kept import tree_size
from omni.environment.plugin_sets import (
    PluginRecord,
    PluginSet,
    changing,
    new_set,
    put_in_use,
    take_out_of_use,
)
from omni.environment.plugin_trials import PluginTrial, try_plugins
from omni.environment.plugin_wheels import WheelFacts, check_apart, make_wheel, read_wheel
from omni.environment.progress import Display
from omni.environment.requirements import normalised

_CONSTRAINTS = "constraints.txt"
_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w,. -]+\])?( *(===?|~=|!=|[<>]=?) *[\w.*+!-]+,?)*", re.ASCII)
_NAME = re.compile(r"[A-Za-z][\w.-]*", re.ASCII)
Package = dict[str, Any]  # as the installer process describes one: name, version, file, sha256, asked


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginPlan:
    """What an addition would do. `brings` and `changes` are packages with their versions; `size` is in bytes, unpacked.
    `replaces` is the version that is here now, or ""."""

    names: tuple[str, ...]
    package: str
    version: str
    source: str
    size: int
    brings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    replaces: str = ""


def add_plugin(
    home: Home,
    what: str,
    display: Display,
    *,
    agree: Callable[[PluginPlan], None],
    grant: Callable[[list[GrantedKind]], None],
    wheels: Path | None = None,
    clone: Path | None = None,
) -> list[PluginTrial]:
    """Add a package by its name, a folder or a wheel; returns what each of its plug-ins adds.

    Starts a process that may use the network, so never call it behind the wall. A folder or a wheel needs none when what
    it depends on is here, or in `wheels`, a folder that `omni export` wrote. `agree` is called before anything of the
    plug-in is unpacked or run, and raises where the person does not want it. So does `grant`, which is called with the
    processes of their own that they ask for, where there are any: what they are is known when they were loaded.

    Raises UsageError, NotFound, BadFile, SetupError, NetworkBlocked, StorageError: all is as it was then.
    """
    with changing(home) as (lock, current), new_set(home, current) as new:
        pip = _installer(home, new, display, lock=lock, wheels=wheels, clone=clone)
        root = _root(what, new.wheels)
        here = current.records() if current else []
        kept = [each for each in here if each.asked and each.package != _package_of(root)]
        packages, asked = _resolved(pip, new, root, kept, current)
        brought = _brought(home, new, packages, asked, kept)
        check_apart(new.wheels / each["file"] for each in packages)
        source = os.path.abspath(what) if root.endswith(".whl") else what
        agree(_plan(source, new, packages, asked, current, names=sorted(brought)))
        _fill(pip, new, packages)
        trials = try_plugins(new.packages, sorted(brought))
        for trial in trials:
            if trial.problem:
                raise SetupError(trial.problem, hint="Nothing was added. Mend the plug-in and add it again.")
        kinds = [kind for trial in trials for kind in trial.kinds]
        if kinds:
            grant(kinds)
        added = [
            PluginRecord(
                name=trial.name,
                package=facts.package,
                version=facts.version,
                target=facts.plugins[trial.name],
                source=source,
                wheel=wheel,
                asked=wheel == asked["file"],
                hooks=trial.adds,
            )
            for trial in trials
            for wheel, facts in [brought[trial.name]]
        ]
        staying = {record.name for record in kept}
        granted = [kind for kind in (current.kinds() if current else []) if kind.name.rpartition(".")[0] in staying]
        put_in_use(home, new, [*kept, *added], [*granted, *kinds])
        return trials


def remove_plugin(home: Home, name: str, display: Display, *, clone: Path | None = None) -> tuple[list[str], int]:
    """Remove the package of a plug-in and what no other plug-in needs; returns the packages that went and the bytes that
    this freed. Uses no network. Raises NotFound, UsageError, SetupError, StorageError: all is as it was then."""
    with changing(home) as (lock, current):
        here = current.records() if current is not None else []
        package = next((each.package for each in here if name in (each.name, each.package)), "")
        if current is None or not package:
            raise _unknown(home, name, here)
        before = tree_size(current.folder)
        pins = current.pins()
        others = {each.package for each in here if each.asked and each.package != package}
        needed = _needed(current.wheels, others)
        if package in needed:
            needing = sorted(each for each in others if package in _needed(current.wheels, {each}))
            raise UsageError(f"{package} is needed by {', '.join(needing)}.", hint="Remove what needs it first.")
        kept = [each for each in here if each.package in needed]
        gone = sorted(f"{pin.name} {pin.version}" for pin in pins if pin.name not in needed)
        if not kept:
            take_out_of_use(home, current)
            return gone, before
        with new_set(home, current) as new:
            pip = _installer(home, new, display, lock=lock, wheels=None, clone=clone)
            stay = [pin for pin in pins if pin.name in needed]
            _fill(pip, new, [{"name": pin.name, "version": pin.version, "sha256": min(pin.hashes)} for pin in stay])
            final = put_in_use(home, new, kept, current.kinds())
        return gone, max(0, before - tree_size(final.folder))


def _installer(
    home: Home, new: PluginSet, display: Display, *, lock: int, wheels: Path | None, clone: Path | None
) -> FolderInstaller:
    clone = source_root() if clone is None else clone
    requirements = resources("requirements") if clone is None else clone / "requirements"
    return FolderInstaller(
        home,
        new.folder,
        display,
        lock=lock,
        requirements=requirements,
        log="plugins.log",
        wheels=wheels,
        links=[new.wheels],
    )


def _root(what: str, wheels: Path) -> str:
    """What pip is asked for: the path of a wheel in `wheels`, or a requirement."""
    path = Path(os.path.expanduser(what))
    if path.is_dir():
        return str(make_wheel(Path(os.path.abspath(path)), wheels))
    if what.endswith(".whl"):
        read_wheel(path)
        write_atomic(wheels / path.name, path.read_bytes())  # a new file: the old name may be of one that is in use
        return str(wheels / path.name)
    if "/" in what or what.startswith((".", "~")):
        hint = "Give a package's name, a folder, or a file that ends in .whl."
        raise NotFound(f"There is no folder {what}.", hint=hint)
    if not _REQUIREMENT.fullmatch(what):
        hint = 'As in: omni plugin add omni-share, or "omni-share>=1.2".'
        raise UsageError(f"{what!r} is no name of a package.", hint=hint)
    return what


def _package_of(root: str) -> str:
    """The normalised name of the package that pip is asked for."""
    name = Path(root).name.partition("-")[0] if root.endswith(".whl") else re.split(r"[^\w.-]", root)[0]
    return normalised(name)


def _resolved(
    pip: FolderInstaller, new: PluginSet, root: str, kept: list[PluginRecord], current: PluginSet | None
) -> tuple[list[Package], Package]:
    """All packages of the new set, and the one that was asked for. What is here stays as it is where that can be; of a
    file everything may be here already, so that the network is asked last."""
    requirements = [root, *(str(new.wheels / record.wheel) for record in kept)]
    held = _constraints(new, current, _package_of(root))
    online = [False] if pip.is_offline else [False, True] if root.endswith(".whl") else [True]
    failure: OmniError | None = None
    for fetches, constraints in product(online, [held, ""] if held else [""]):
        try:
            packages = pip.run("resolve", online=fetches, requirements=requirements, constraints=constraints)
        except NetworkBlocked as error:
            missing = f"{failure.message} " if failure is not None else ""
            raise NetworkBlocked(f"{missing}{error.message}", hint=error.hint) from error
        except SetupError as error:
            failure = error
        else:
            return packages, _check_packages(packages, root, {record.wheel for record in kept})
    assert failure is not None
    raise failure


def _check_packages(packages: list[Package], root: str, kept: set[str]) -> Package:
    """The package that was asked for. Raises SetupError where Omni's own environment has another version of one."""
    own = {normalised(each.metadata["Name"]): each.version for each in distributions()}
    for package in packages:
        if package["name"] in own:
            raise SetupError(
                f"{package['name']} {package['version']} would be needed, and Omni itself has {own[package['name']]}.",
                hint="A plug-in works with the packages that Omni has.",
            )
    for package in packages:
        if package["asked"] and package["file"] not in kept:
            return package
    raise UsageError(f"{root} is in Omni's own environment already.")


def _brought(
    home: Home, new: PluginSet, packages: list[Package], asked: Package, kept: list[PluginRecord]
) -> dict[str, tuple[str, WheelFacts]]:
    """All plug-ins beside those that are `kept`, by their names, with the wheels that they come in: of the package that
    was asked for, and of those that it needs.

    Raises BadFile for a wheel without a plug-in and for what cannot be a name, UsageError where another one has the name.
    """
    here = {record.package for record in kept}
    wheels = [asked, *(each for each in packages if each is not asked and each["name"] not in here)]
    listed = [(each["file"], read_wheel(new.wheels / each["file"])) for each in wheels]
    facts = listed[0][1]
    if not facts.plugins:
        raise BadFile(
            f"{facts.package} {facts.version} is no plug-in: it has no entry point in the group omni.",
            hint="docs/plugins.md shows how one says what it is.",
        )
    elsewhere = [folder for folder in InstalledPlugins(home).folders() if folder != str(home.plugins)]
    owners = {each.name: each.package for each in scan(elsewhere)}
    owners |= {record.name: f"{record.package} {record.version}" for record in kept}
    brought: dict[str, tuple[str, WheelFacts]] = {}
    for wheel, facts in listed:
        for name in facts.plugins:
            if not _NAME.fullmatch(name) or name.casefold() == "omni":
                raise BadFile(
                    f"{facts.package} {facts.version} brings a plug-in of the name {name!r}.",
                    hint="The name of a plug-in has letters, digits, dots, - and _, begins with a letter, and is not Omni's.",
                )
            if name in owners:
                raise UsageError(
                    f"{facts.package} {facts.version} brings the plug-in {name!r}, and {owners[name]} has one of that name.",
                    hint=f"`omni plugin rm {name}` removes the one that is here.",
                )
            owners[name], brought[name] = f"{facts.package} {facts.version}", (wheel, facts)
    return brought


def _plan(
    source: str, new: PluginSet, packages: list[Package], asked: Package, current: PluginSet | None, *, names: list[str]
) -> PluginPlan:
    old = {pin.name: pin.version for pin in current.pins()} if current is not None else {}
    facts = read_wheel(new.wheels / asked["file"])
    fresh = [each for each in packages if old.get(each["name"]) != each["version"] and each is not asked]
    return PluginPlan(
        names=tuple(names),
        package=facts.package,
        version=facts.version,
        source=source,
        size=sum(read_wheel(new.wheels / each["file"]).size for each in [asked, *fresh]),
        brings=tuple(f"{each['name']} {each['version']}" for each in fresh if each["name"] not in old),
        changes=tuple(
            f"{each['name']} {old[each['name']]} to {each['version']}" for each in fresh if each["name"] in old
        ),
        replaces=old.get(facts.package, ""),
    )


def _fill(pip: FolderInstaller, new: PluginSet, packages: list[Package]) -> None:
    """Write the lock and unpack what it names; wheels that it does not name go, and so does what only resolving needed."""
    wanted = {(each["name"], each["version"]) for each in packages}
    write_atomic(new.lock, lock_text(packages))
    for path in new.wheels.glob("*.whl"):
        facts = read_wheel(path)
        if (facts.package, facts.version) not in wanted:
            path.unlink()
    pip.unpack(new.lock, new.packages, [name for name, _ in wanted], online=False)
    (new.folder / _CONSTRAINTS).unlink(missing_ok=True)


def _constraints(new: PluginSet, current: PluginSet | None, without: str) -> str:
    """The versions that are in use, as a file for pip; "" where there are none."""
    pins = current.pins() if current is not None else []
    lines = [f"{pin.name}=={pin.version}\n" for pin in pins if pin.name != without]
    if not lines:
        return ""
    path = new.folder / _CONSTRAINTS
    write_atomic(path, "".join(lines))
    return str(path)


def _needed(wheels: Path, packages: set[str]) -> set[str]:
    """These packages and all that they need, as far as it is here. What stands under a condition counts as needed."""
    needs = {facts.package: facts.needs for facts in map(read_wheel, wheels.glob("*.whl"))}
    needed: set[str] = set()
    waiting = list(packages)
    while waiting:
        package = waiting.pop()
        if package in needs and package not in needed:
            needed.add(package)
            waiting += needs[package]
    return needed


def _unknown(home: Home, name: str, here: list[PluginRecord]) -> OmniError:
    """Why a plug-in cannot be removed."""
    for each in InstalledPlugins(home).plugins():
        if each.name == name:
            return UsageError(
                f"The plug-in {name!r} of {each.package} was not added by `omni plugin add`.",
                hint="Remove its package with the tool that installed it.",
            )
    names = [record.name for record in here]
    return NotFound(f"No plug-in is named {name!r}.", hint=nearest(name, names) or "`omni plugin ls` lists them.")
