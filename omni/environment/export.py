"""Carrying Omni to a machine without a network: the locked wheels, the source, and a list of their hashes.

FOLDER/manifest.json   format, version, python, lock hash, and sha256 and size of each file
FOLDER/wheels/         the locked packages for this Python and this platform, pip, and those of the features and plug-ins
                       that were added
FOLDER/source/         the clone: `cd FOLDER/source && python3 -m omni run --from ..`
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omni.core.errors import BadFile, NotFound, SetupError, StorageError, UsageError
from omni.core.features import Features
from omni.core.files import storage_error, storing, sync_all, write_atomic
from omni.core.paths import Home, resources, source_root
from omni.environment import place
from omni.environment.plugin_sets import set_in_use
from omni.environment.progress import Display
from omni.environment.requirements import read_lock
from omni.environment.running import run_installer

MANIFEST = "manifest.json"
FORMAT = 1
_LEFT_OUT = {".git", "__pycache__", ".venv", "dist", "build", "node_modules"}


def export_wheels(home: Home, folder: Path, display: Display, *, clone: Path | None = None) -> list[Path]:
    """Write wheels, source and manifest into `folder`; returns the files. Uses the network, so never behind the wall.

    Raises NetworkBlocked, StorageError, SetupError, UsageError. What is in the folder already and right is kept.
    """
    clone = source_root() if clone is None else clone
    requirements = resources("requirements") if clone is None else clone / "requirements"
    lock = requirements / "core.txt"
    features = Features(home, requirements=requirements)
    wheels, source = folder / "wheels", folder / "source"
    _check_target(folder)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        home.ensure().logs.mkdir(mode=0o700, exist_ok=True)
    order = {
        "task": "download",
        "target": str(wheels),
        "lock": str(lock),
        "also": [str(features.lock(name)) for name in features.here() if features.state(name) == "installed"],
        "installer": str(requirements / "installer.txt"),
        "total": len(read_lock(lock)),
        "built": [],
        "log": str(home.logs / "export.log"),
    }
    try:
        run_installer(home, order, display)
    finally:
        display.close()
    _copy_source(clone, requirements, source)
    _copy_plugins(home, wheels)
    files = [*_files(wheels), *_files(source)]
    write_atomic(folder / MANIFEST, json.dumps(_manifest(folder, lock, files), indent=1), mode=0o644)
    return [*files, folder / MANIFEST]


def _copy_plugins(home: Home, wheels: Path) -> None:
    """The wheels of the plug-ins that were added here: `omni plugin add PACKAGE --from FOLDER` takes them there."""
    current = set_in_use(home)
    for wheel in current.wheels.glob("*.whl") if current is not None else ():
        try:
            shutil.copyfile(wheel, wheels / wheel.name)
        except OSError as error:
            raise storage_error(wheels, error) from error


def _check_target(folder: Path) -> None:
    """Raises UsageError where the export would take the place of something that is not one."""
    source, manifest = folder / "source", folder / MANIFEST
    foreign = [path for path in (source,) if path.exists() and not (path / "omni" / "__main__.py").is_file()]
    if manifest.exists():
        try:
            ours = "lock" in json.loads(manifest.read_text("utf-8"))
        except (OSError, ValueError, TypeError):
            ours = False
        foreign += [] if ours else [manifest]
    if foreign:
        raise UsageError(f"{foreign[0]} is there already and is not Omni's.", hint="Choose an empty folder.")


def check_export(folder: Path) -> dict[str, Any]:
    """Compare an export with its manifest, byte by byte; returns the manifest.

    Raises NotFound when it is no export, SetupError when it is for another Python, BadFile when a byte is wrong.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        files = dict(manifest["files"])
        made_for, wanted = manifest["python"], place.python_tag()
    except FileNotFoundError as error:
        raise NotFound(
            f"{folder} is no export: it has no {MANIFEST}.", hint="One is written by `omni export FOLDER`."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{folder / MANIFEST} cannot be read: {error}.") from error
    if made_for != wanted:
        raise SetupError(
            f"The export in {folder} was made for {made_for}; this is {wanted}.",
            hint="Run it with the Python version that it was made with, on the same kind of machine.",
        )
    for name, facts in files.items():
        if name.startswith("wheels/"):
            _check_file(folder / name, facts)
    return dict(manifest)


def _check_file(path: Path, facts: dict[str, Any]) -> None:
    hint = "Copy the export again, or write it again with `omni export`."
    try:
        if path.stat().st_size != facts["size"] or _digest(path) != facts["sha256"]:
            raise BadFile(f"{path} is not the file that was exported (wrong size or sha256).", hint=hint)
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error.strerror}.", hint=hint) from error


def _manifest(folder: Path, lock: Path, files: list[Path]) -> dict[str, Any]:
    from omni import __version__

    return {
        "format": FORMAT,
        "version": __version__,
        "python": place.python_tag(),
        "lock": place.file_hash(str(lock)),
        "files": {
            path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": _digest(path)}
            for path in files
        },
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy_source(clone: Path | None, requirements: Path, target: Path) -> None:
    """The tracked files of a clone as they are now; of an installed package, what makes it a clone again."""
    new = target.with_name(f".{target.name}.new")
    try:
        shutil.rmtree(new, ignore_errors=True)
        if clone is not None:
            for name in _tracked(clone):
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(clone / name, new / name, follow_symlinks=False)
        else:
            package = Path(__file__).resolve().parents[1]
            shutil.copytree(package, new / "omni", ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copytree(requirements, new / "requirements")
            project = '[project]\nname = "omni-sovereign"\ndynamic = ["version"]\n'
            write_atomic(new / "pyproject.toml", project, mode=0o644)
        if target.exists():
            shutil.rmtree(target)
        sync_all(new)
        new.rename(target)
    except shutil.Error as error:
        raise StorageError(f"The source cannot be copied: {error}.") from error
    except OSError as error:
        raise storage_error(target, error) from error


def _tracked(clone: Path) -> list[str]:
    """Git's list of files where there is git, else all that is no cache."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(clone), "ls-files", "-z"], capture_output=True, check=True, timeout=60
        ).stdout
        names = [os.fsdecode(each) for each in listed.split(b"\0") if each]
    except (OSError, subprocess.SubprocessError):
        names = []
    return [name for name in names if (clone / name).is_file()] or [
        path.relative_to(clone).as_posix() for path in _files(clone)
    ]


def _files(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if each not in _LEFT_OUT and not each.startswith("."))
        yield from (Path(path, name) for name in sorted(names))
