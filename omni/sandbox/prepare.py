"""Making an environment: once, whole or not at all, whatever is started or killed meanwhile.

The front end holds the lock and draws; a separate process (`omni.sandbox.installer`) makes the folder, uses the network
and ends with the front end. It inherits the lock, so that a start after a kill waits for the very last writer.
"""

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from omni.core import errors
from omni.core.errors import BadFile, DoorShut, OmniError, SetupError, StorageError
from omni.core.files import storage_error, write_atomic
from omni.core.paths import Home, python_command
from omni.keeper import begin_installing, name_installer
from omni.sandbox import place
from omni.sandbox.command import switch_link, write_command
from omni.sandbox.progress import Display, Step
from omni.sandbox.requirements import read_lock
from omni.sandbox.users import beside, is_whole, leftovers, outdated, put_in_place, remove_unless_used, take_away

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
        SetupError, DoorShut, BadFile, StorageError: With nothing half made left in use.
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
    descriptor = os.open(home.setup_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    told = False
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    display.say("Another start is setting up; this one waits for it.")
                told = True
                with suppress(OSError, ValueError, TypeError):  # it appears late, and goes away
                    display.step(Step.from_dict({**json.loads(_state(home).read_text("utf-8")), "waiting": True}))
                time.sleep(0.1)
            else:
                break
        yield descriptor
    finally:
        display.close()
        os.close(descriptor)


def _state(home: Home) -> Path:
    """What a set-up that runs tells those that wait for it."""
    return home.setup_lock.with_suffix(".json")


def _check(home: Home, wheels: Path | None, needed: int) -> None:
    if wheels is None and home.air_gap.exists():
        raise DoorShut(
            "Omni must be set up for this version, and the air gap is on.",
            hint=f"Set up from an export (--from FOLDER), or open the doors: rm {home.air_gap}",
        )
    if wheels is not None:
        from omni.sandbox.export import check_export

        check_export(wheels)
    free = shutil.disk_usage(home.root).free
    if free < needed:
        raise StorageError(
            f"The set-up needs {needed // 1_000_000} MB on the disk of {home.root}; {free // 1_000_000} MB are free.",
            hint="Free some space, or set OMNI_HOME to a folder on another disk.",
        )


def _install(
    home: Home, clone: Path, environment: Path, display: Display, *, feature: str, wheels: Path | None, lock: int
) -> None:
    """Fill the folder `environment` and stamp it, or leave nothing. `lock` is the descriptor of the set-up lock."""
    lock_file = Path(place.lock_file(str(clone), feature))
    try:
        environment.mkdir(mode=0o700, parents=True)
        home.logs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise storage_error(environment, error) from error
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


def run_installer(
    home: Home, order: dict[str, Any], display: Display, *, keep: int | None = None, state: Path | None = None
) -> Any:
    """Run one order in an installer process and show its steps; returns its answer or raises its error.

    The process ends when this one does, however that happens: the end of its standard input is the sign. One that uses
    the network (its order names no `wheels`) also ends with the air gap: DoorShut.
    """
    door = begin_installing(home) if order.get("wheels") is None else None
    try:
        return _run(home, order | {"door": door}, display, [each for each in (keep, door) if each is not None], state)
    finally:
        if door is not None:
            os.close(door)


def _run(home: Home, order: dict[str, Any], display: Display, inherited: list[int], state: Path | None) -> Any:
    process = subprocess.Popen(
        python_command("omni.sandbox.installer"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl+C belongs to the front end, which ends the installer
        pass_fds=inherited,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if order["door"] is not None:
            name_installer(order["door"], process.pid)
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        return _follow(process.stdout.fileno(), display, state)
    except (EOFError, BrokenPipeError) as error:
        code = process.wait()
        if order["door"] is not None and home.air_gap.exists():
            raise DoorShut(
                "The air gap was turned on, which ended the installer.", hint="Start again when the doors may open."
            ) from error
        words = f"was ended by signal {-code}" if code < 0 else f"failed with code {code}"
        raise SetupError(f"The installer {words}.", hint="Start again: what it left is redone.") from error
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _follow(descriptor: int, display: Display, state: Path | None) -> Any:
    pending, step, written = b"", None, 0.0
    while True:
        if select.select([descriptor], [], [], 0.2)[0]:
            data = os.read(descriptor, 65536)
            if not data:
                raise EOFError
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "error" in message:
                    raise _error(message)
                if "answer" in message:
                    return message["answer"]
                step = Step.from_dict(message)
        if step is not None:
            display.step(step)
            now = time.monotonic()
            if state is not None and now - written > 0.1:
                written = now
                _tell(state, step)


def _tell(state: Path, step: Step) -> None:
    """By rename, but without fsync: this is news, not data."""
    temporary = state.with_suffix(".new")
    with suppress(OSError):
        temporary.write_text(json.dumps(step.as_dict()), "utf-8")
        temporary.replace(state)


def _error(message: dict[str, Any]) -> OmniError:
    kind = getattr(errors, message["error"], SetupError)
    found = kind(message["message"], hint=message["hint"])
    assert isinstance(found, OmniError)
    return found
