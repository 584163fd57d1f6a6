"""The plug-ins of a home on the disk: which set is in use, and how the next one takes its place.

HOME/plugins              a link to `packages` of the set in use; whoever changes it does so by one rename
HOME/plugin-sets/ID/      packages/, the wheels/ that they came from, lock.txt with their hashes, plugins.json, and
                          kinds.json: which processes of their own they were granted

No ID is used twice: it tells a process that still runs the code of a set that went from those of the set in use. A set
is made beside the one in use and holds `plugins.json` once it is whole. All plug-ins of a set were resolved together,
because a process can load one version of a package only.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omni.core.errors import BadFile, SetupError
from omni.core.files import storage_error, storing, sync, sync_all, write_atomic
from omni.core.installed import InstalledPlugins
from omni.core.locks import take_lock
from omni.core.paths import Home
from omni.core.process_kinds import FILE as KINDS
from omni.core.process_kinds import GrantedKind, read_kinds, to_bytes
from omni.environment import place
from omni.environment.requirements import Pin, parse_lock
from omni.environment.users import NEW, take_away

RECORD, LOCK = "plugins.json", "lock.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginRecord:
    """One plug-in of the set in use: `target` is its entry point, `source` what `omni plugin add` was given, `wheel` the
    file that it came as, `hooks` what each hook got from it when it was added. One that is not `asked` came with another."""

    name: str
    package: str
    version: str
    target: str
    source: str
    wheel: str
    asked: bool = True
    hooks: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginSet:
    """A set in use, or one that is being made."""

    folder: Path

    @property
    def packages(self) -> Path:
        """What is searched for modules."""
        return self.folder / "packages"

    @property
    def wheels(self) -> Path:
        """What the packages came from, so that a set can be made anew without a network."""
        return self.folder / "wheels"

    @property
    def lock(self) -> Path:
        """Versions and hashes."""
        return self.folder / LOCK

    def pins(self) -> list[Pin]:
        """What the lock says."""
        return parse_lock(self.lock.read_text("utf-8"), str(self.lock))

    def records(self) -> list[PluginRecord]:
        """Its plug-ins. Raises BadFile where that is not written there."""
        return [PluginRecord(**each) for each in self._record()["plugins"]]

    def kinds(self) -> list[GrantedKind]:
        """The processes that its plug-ins were granted. Raises BadFile where that is not written there."""
        return list(read_kinds(self.folder).values())

    def fits_this_python(self) -> bool:
        """Whether it was made for the Python that runs: compiled packages go with one version only."""
        return bool(self._record()["python"] == place.python_tag())

    def _record(self) -> dict[str, Any]:
        path = self.folder / RECORD
        try:
            record: dict[str, Any] = json.loads(path.read_text("utf-8"))
            for each in record["plugins"]:
                PluginRecord(**each)
            str(record["python"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = f"Remove {self.folder} and the link that names it, and add the plug-ins again."
            raise BadFile(f"{path} cannot be read: {error}.", hint=hint) from error
        return record


def set_in_use(home: Home) -> PluginSet | None:
    """The set that the link names; None where nothing was added, or where the folder is somebody else's."""
    try:
        packages = home.plugins.parent / home.plugins.readlink()
    except OSError:
        return None
    return PluginSet(folder=packages.parent) if packages.parent.parent == home.plugin_sets else None


@contextmanager
def changing(home: Home) -> Iterator[tuple[int, PluginSet | None]]:
    """Hold the lock and clear away what was killed; gives the lock's descriptor and the set in use.

    Raises SetupError while another process changes the plug-ins, and for a folder of plug-ins that somebody filled by hand.
    """
    home.ensure()
    with storing(home.plugin_sets):
        home.plugin_sets.mkdir(mode=0o700, exist_ok=True)
        home.logs.mkdir(mode=0o700, exist_ok=True)
        descriptor = take_lock(home.plugin_lock)
    if descriptor is None:
        raise SetupError("Another `omni plugin` adds or removes a plug-in right now.", hint="Wait for it, or end it.")
    try:
        current = set_in_use(home)
        if (
            current is None
            and os.path.lexists(home.plugins)
            and (not home.plugins.is_dir() or any(home.plugins.iterdir()))
        ):
            raise SetupError(
                f"{home.plugins} was filled by hand, and Omni does not change it.",
                hint=f"Move it away (mv {home.plugins} {home.plugins}.old), and add what is in it with `omni plugin add`.",
            )
        for folder in home.plugin_sets.iterdir():
            if current is None or folder != current.folder:
                take_away(folder)
        yield descriptor, current
    finally:
        os.close(descriptor)


@contextmanager
def new_set(home: Home, current: PluginSet | None) -> Iterator[PluginSet]:
    """A set beside the one in use, with the wheels of that: as second names of the same files, where the disk has such.

    It goes again when the block raises; `put_in_use` is the end of it.
    """
    new = PluginSet(folder=home.plugin_sets / f"{NEW}{os.getpid()}")
    try:
        try:
            new.wheels.mkdir(parents=True, mode=0o700)
            for wheel in current.wheels.glob("*.whl") if current is not None else ():
                try:
                    os.link(wheel, new.wheels / wheel.name)
                except OSError:
                    write_atomic(new.wheels / wheel.name, wheel.read_bytes())
        except OSError as error:
            raise storage_error(new.folder, error) from error
        yield new
    except BaseException:
        take_away(new.folder)
        raise


def put_in_use(
    home: Home, new: PluginSet, plugins: Sequence[PluginRecord], kinds: Iterable[GrantedKind] = ()
) -> PluginSet:
    """The set is whole: write down what is in it and which processes it may have, and let the link name it. The one before
    it goes. `kinds` of plug-ins that are not in it are left out."""
    names = {each.name for each in plugins}
    write_atomic(new.folder / KINDS, to_bytes(kind for kind in kinds if kind.name.rpartition(".")[0] in names))
    record = {"python": place.python_tag(), "plugins": [asdict(each) for each in plugins]}
    write_atomic(new.folder / RECORD, json.dumps(record, indent=1))
    old = set_in_use(home)
    final = PluginSet(folder=home.plugin_sets / os.urandom(8).hex())
    try:
        sync_all(new.folder)
        new.folder.rename(final.folder)
        _link(home, final.packages)
    except OSError as error:
        take_away(final.folder)
        raise storage_error(home.plugins, error) from error
    with suppress(OSError):  # it is in use; only a power cut could still bring back the one before
        sync(home.plugins.parent)
    InstalledPlugins(home).forget()
    if old is not None:
        take_away(old.folder)
    return final


def take_out_of_use(home: Home, current: PluginSet) -> None:
    """Nothing is added any more."""
    home.plugins.unlink()
    InstalledPlugins(home).forget()
    take_away(current.folder)


def _link(home: Home, packages: Path) -> None:
    link = home.plugins.with_name(f".{home.plugins.name}.{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(packages.relative_to(home.root))
    if not home.plugins.is_symlink():
        with suppress(FileNotFoundError):
            home.plugins.rmdir()  # empty, as `changing` saw
    link.replace(home.plugins)
