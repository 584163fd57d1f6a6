"""Adding, removing and looking at features on demand (`omni.core.features`): whole or not at all, whatever fails or is killed.

HOME/features/NAME/<lock hash>-<python>-…/   packages, stamped as an environment is
HOME/features/NAME/.new-PID/                 one that is being made: packages/, and what the installer needs meanwhile
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from omni.core.errors import NotFound, OmniError, SetupError, UsageError
from omni.core.features import Feature, Features, FeatureState
from omni.core.files import make_folder, require_space, storing, sync, sync_all, write_atomic
from omni.core.locks import is_held, take_lock
from omni.core.paths import Home, python_command
from omni.core.words import size_words
from omni.environment import place
from omni.environment.diagnostics import Diagnostic, differences
from omni.environment.folder_installer import FolderInstaller
from omni.environment.kept import tree_size
from omni.environment.progress import Display
from omni.environment.requirements import read_lock
from omni.environment.users import NEW, leftovers, outdated, read_stamp, remove_unless_used, take_away

PATIENCE = 60.0  # seconds for the process that imports its modules


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturePart:
    """A package that would be fetched; `size` in bytes, None where the index does not say."""

    name: str
    version: str
    size: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturePlan:
    """What an addition would do, before anything is fetched."""

    feature: Feature
    parts: tuple[FeaturePart, ...]

    @property
    def download(self) -> int | None:
        """Bytes in all; None where the index does not say them of each."""
        sizes = [part.size for part in self.parts if part.size is not None]
        return sum(sizes) if len(sizes) == len(self.parts) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureRow:
    """A feature as it is listed: `size` in bytes on the disk, `packages` with their versions."""

    name: str
    state: FeatureState
    about: str
    size: int
    packages: Mapping[str, str]


def add_feature(
    features: Features, name: str, display: Display, *, agree: Callable[[FeaturePlan], None], wheels: Path | None = None
) -> bool:
    """Install a feature for this version and this Python; False where it is here already and as it was installed.

    Starts a process that may use the network, so never call it behind the wall; with `wheels`, a folder that `omni export`
    wrote, it uses none. `agree` is called before anything is fetched, and raises where the person does not want it. One that
    was damaged is replaced; those of versions that no clone has any more go.

    Raises NotFound, SetupError, BadFile, NetworkBlocked, StorageError: all is as it was then.
    """
    feature, folder = features.get(name), features.folder(name)
    with _changing(features.home) as held:
        if folder.is_dir() and not _damage(folder):
            return False
        with _new(folder) as new:
            installer = FolderInstaller(
                features.home,
                new,
                display,
                lock=held,
                requirements=features.requirements,
                log="features.log",
                wheels=wheels,
            )
            online, lock = wheels is None, features.lock(name)
            parts = installer.run("look", online=online, lock=str(lock))
            plan = FeaturePlan(feature=feature, parts=tuple(FeaturePart(**each) for each in parts))
            agree(plan)
            with storing(folder):
                require_space(features.home.root, feature.size + 2 * (plan.download or feature.download))
            packages = new / "packages"
            wanted = [pin.name for pin in read_lock(lock) if pin.applies()]
            versions = installer.unpack(lock, packages, wanted, online=online)
            _try(feature, packages)
            _stamp(features, name, packages, versions)
            _put_in_place(packages, folder)
        for old in outdated(folder.parent, folder, _lock_name(name)):
            remove_unless_used(old)
        return True


def remove_feature(features: Features, name: str) -> int:
    """Remove a feature with all versions of it; returns the bytes that this freed. Uses no network.

    Raises NotFound, UsageError for one that is part of the environment itself, SetupError.
    """
    with _changing(features.home):
        folder = features.home.features / features.get(name).name
        if not folder.is_dir():
            if features.state(name) == "built in":
                raise UsageError(
                    f"The feature {name} is part of the environment that runs.",
                    hint="The tool that installed its packages removes them.",
                )
            raise NotFound(f"The feature {name} is not installed.", hint="`omni environment features` lists them.")
        freed = tree_size(folder)
        for each in folder.iterdir():
            take_away(each)
        with storing(folder):
            folder.rmdir()
    return freed


def list_features(features: Features) -> list[FeatureRow]:
    """All that there are, installed or not; imports none of them."""
    return [
        FeatureRow(
            name=name,
            state=features.state(name),
            about=feature.about,
            size=tree_size(features.home.features / name),
            packages=_stamped(features.folder(name)),
        )
        for name, feature in features.known.items()
    ]


def check_features(features: Features) -> list[Diagnostic]:
    """A finding about each that is installed, or was: for another version, damaged, interrupted."""
    try:
        return [finding for name in features.here() for finding in _findings(features, name)]
    except OmniError as error:
        return [Diagnostic(name="features", ok=False, detail=error.message, command="git checkout requirements")]


def _findings(features: Features, name: str) -> Iterator[Diagnostic]:
    folder, state = features.folder(name), features.state(name)
    called, command = f"feature {name}", f"omni environment add {name}"
    if state == "installed":
        wrong = _damage(folder)
        packages = ", ".join(f"{package} {version}" for package, version in sorted(_stamped(folder).items()))
        detail = "; ".join(wrong[:3]) if wrong else f"{packages}; {size_words(tree_size(folder))}"
        yield Diagnostic(name=called, ok=not wrong, detail=detail, command=command if wrong else "")
    elif state == "outdated":
        detail = "is installed for an earlier version of Omni or Python, and not used"
        yield Diagnostic(name=called, ok=False, detail=detail, command=command)
    if leftovers(folder.parent) and not is_held(features.home.features_lock):
        yield Diagnostic(name=called, ok=False, detail="adding or removing it was interrupted", command=command)


@contextmanager
def _changing(home: Home) -> Iterator[int]:
    """Hold the lock, whose descriptor it gives, and clear away what was killed. Raises SetupError while another process
    changes features."""
    home.ensure()
    with storing(home.features):
        make_folder(home.features)
        make_folder(home.logs)
        descriptor = take_lock(home.features_lock)
    if descriptor is None:
        raise SetupError(
            "Another `omni environment` adds or removes a feature right now.", hint="Wait for it, or end it."
        )
    try:
        for folder in home.features.iterdir():
            for each in leftovers(folder):
                take_away(each)
            with suppress(OSError):
                folder.rmdir()  # where nothing is left
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """A folder to make the packages of `folder` in; it goes again, and so does that of the feature where nothing is in it."""
    new = folder.with_name(f"{NEW}{os.getpid()}")
    try:
        with storing(new):
            make_folder(new)
        yield new
    finally:
        take_away(new)
        with suppress(OSError):
            folder.parent.rmdir()


def _try(feature: Feature, packages: Path) -> None:
    """Import its modules in a process of their own. Raises SetupError where that does not go well."""
    command = [*python_command("omni.environment.feature_trial"), str(packages), *feature.modules]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise SetupError(f"Importing the feature {feature.name} did not end within {PATIENCE:.0f} s.") from error
    if done.returncode:
        last = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        words = f"was ended by signal {-done.returncode}" if done.returncode < 0 else last
        raise SetupError(f"The packages of the feature {feature.name} do not load here: {words}. Nothing was added.")


def _stamp(features: Features, name: str, packages: Path, versions: Mapping[str, str]) -> None:
    """What an environment's stamp says, too: `outdated` goes by it."""
    clone = features.requirements.parent
    stamp = {"feature": _lock_name(name), "clone": str(clone), "packages": dict(versions)}
    write_atomic(packages / place.STAMP, json.dumps(stamp, indent=1))


def _put_in_place(packages: Path, folder: Path) -> None:
    """Give whole packages the name under which they are used. A damaged folder goes first: nobody can use that."""
    with storing(folder):
        sync_all(packages)
        take_away(folder)
        packages.rename(folder)
    with suppress(OSError):  # it is in use; only a power cut could still take it away
        sync(folder.parent)


def _damage(folder: Path) -> list[str]:
    return differences(folder, _stamped(folder), scripts=False)


def _stamped(folder: Path) -> dict[str, str]:
    return dict((read_stamp(folder) or {}).get("packages", {}))


def _lock_name(name: str) -> str:
    """What `place.lock_file` calls its lock."""
    return f"feature-{name}"
