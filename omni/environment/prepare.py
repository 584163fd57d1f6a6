"""Making an environment: once, whole or not at all, whatever is started or killed meanwhile.

The front end holds the lock and draws; a separate process (`omni.environment.installer`) makes the folder, uses the network
and ends with the front end. It inherits the lock, so that a start after a kill waits for the very last writer.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omni.core.errors import BadFile, NetworkBlocked
from omni.core.files import make_folder, require_space, storing, write_atomic
from omni.core.locks import take_lock
from omni.core.paths import Home
from omni.environment import place
from omni.environment.command import switch_link, write_command
from omni.environment.export import check_export
from omni.environment.progress import Display, Step
from omni.environment.requirements import read_lock
from omni.environment.running import run_installer
from omni.environment.users import beside, is_whole, leftovers, outdated, put_in_place, remove_unless_used, take_away

# Only the development lock has a package without a wheel; what builds it is pinned by hash, too (requirements/build.txt).
BUILT = frozenset({"forbiddenfruit"})
# Installed, unpacked on the way and in the installer's cache, with some air: a full disk is said before, not after.
NEEDED = {place.CORE: 320_000_000, place.DEV: 700_000_000}


def environment_path(home: Home, clone: Path, feature: str) -> Path:
    """Where the environment of a feature lies, made or not. Raises BadFile when the clone has no such lock file."""
    lock = place.lock_file(str(clone), feature)
    try:
        return Path(place.environment_folder(str(home.root), lock))
    except OSError as error:
        raise BadFile(f"The lock file {lock} cannot be read: {error.strerror}.") from error


def prepare(
    home: Home,
    clone: Path,
    feature: str,
    display: Display,
    *,
    wheels: Path | None = None,
    again: bool = False,
    needed: int | None = None,
) -> Path:
    """Make the environment of `feature` unless it is whole, or waits until another start has made it.

    Args:
        home: Where it lies.
        clone: Whose lock file counts.
        feature: `core` or `dev`; only `core` is linked as `venv` and gets the command `bin/omni`.
        display: What shows the progress.
        wheels: Install from this folder and use no network.
        again: Make it anew although it is whole: beside it, so that it stays when that fails.
        needed: Bytes that must be free; by default what was measured for the feature.
    Raises:
        SetupError, NetworkBlocked, BadFile, StorageError: With nothing half made left in use.
    """
    home.ensure()
    environment = environment_path(home, clone, feature)
    with _alone(home, display) as descriptor:
        if again or not is_whole(environment):
            _check(home, wheels, needed if needed is not None else NEEDED[feature])
            whole = is_whole(environment)
            for folder in {*leftovers(home.venvs), *(() if whole else (environment,))}:
                if folder.exists():
                    take_away(folder)
            made = beside(environment) if whole else environment  # what works stays until its successor does, too
            _install(home, clone, made, display, feature=feature, wheels=wheels, lock=descriptor)
            if whole:
                put_in_place(made, environment)
        if feature == place.CORE:
            switch_link(home, environment)
            write_command(home, environment, clone)
        for folder in outdated(home.venvs, environment, feature):
            remove_unless_used(folder)
    return environment


@contextmanager
def _alone(home: Home, display: Display) -> Iterator[int]:
    """Hold the set-up lock; while another start holds it, show how far that one is."""
    told = False
    try:
        while (held := take_lock(home.setup_lock)) is None:
            if not told:
                display.say("Another start is setting up; this one waits for it.")
            told = True
            with suppress(OSError, ValueError, TypeError):  # it appears late, and goes away
                display.step(Step.from_dict({**json.loads(_state(home).read_text("utf-8")), "waiting": True}))
            time.sleep(0.1)
        try:
            yield held
        finally:
            os.close(held)
    finally:
        display.close()


def _state(home: Home) -> Path:
    """What a set-up that runs tells those that wait for it."""
    return home.setup_lock.with_suffix(".json")


def _check(home: Home, wheels: Path | None, needed: int) -> None:
    if wheels is None and home.air_gap.exists():
        raise NetworkBlocked(
            "Omni must be set up for this version, and the air gap is on.",
            hint=f"Set up from an export (--from FOLDER), or open the doors: rm {home.air_gap}",
        )
    if wheels is not None:
        check_export(wheels)
    require_space(home.root, needed)


def _install(
    home: Home, clone: Path, environment: Path, display: Display, *, feature: str, wheels: Path | None, lock: int
) -> None:
    """Fill the folder `environment` and stamp it, or leave nothing. `lock` is the descriptor of the set-up lock."""
    lock_file = Path(place.lock_file(str(clone), feature))
    with storing(environment):
        make_folder(home.venvs)
        environment.mkdir(mode=0o700)
        make_folder(home.logs)
    pins = read_lock(lock_file)
    order = {
        "task": "install",
        "environment": str(environment),
        "lock": str(lock_file),
        "installer": place.lock_file(str(clone), "installer"),
        "total": len(pins),
        "built": sorted(BUILT.intersection(pin.name for pin in pins)),
        "build": place.lock_file(str(clone), "build"),
        "wheels": None if wheels is None else str(wheels / "wheels"),
        "log": str(home.logs / "setup.log"),
    }
    try:
        installed = run_installer(home, order, display, keep=lock, state=_state(home))
        stamp = {
            "feature": feature,
            "lock": place.file_hash(str(lock_file)),
            "python": sys.version.split()[0],
            "clone": str(clone),
            "packages": installed,
        }
        write_atomic(environment / place.STAMP, json.dumps(stamp, indent=1))
    except BaseException:
        take_away(environment)
        raise
    finally:
        _state(home).unlink(missing_ok=True)
