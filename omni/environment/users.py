"""Who runs from an environment, and taking environments away that nobody runs from.

Every start holds a shared `flock` on the stamp of its environment and hands it on to what it starts. Processes that
lost the descriptor on their way are found in `/proc`.
"""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.core.locks import locked
from omni.environment import place

GONE = ".gone-"  # a folder that is being deleted; what a killed deletion left goes with the next set-up
NEW = ".new-"  # a folder that will take the place of a whole one


def read_stamp(environment: Path) -> dict[str, Any] | None:
    """What was written when the environment was whole; None when it is not."""
    try:
        stamp = json.loads((environment / place.STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def is_whole(environment: Path) -> bool:
    """True when the environment was stamped and its Python is still there."""
    return read_stamp(environment) is not None and os.access(place.python(str(environment)), os.X_OK)


def users(environment: Path) -> list[int]:
    """The other processes that run from `environment` (Linux; elsewhere the list is empty)."""
    needle, pids = os.fsencode(environment) + b"/", []
    for entry in Path("/proc").glob("[0-9]*"):
        if int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            started_as = (entry / "cmdline").read_bytes().partition(b"\0")[0]
            if started_as.startswith(needle) or needle in (entry / "maps").read_bytes():
                pids.append(int(entry.name))
    return sorted(pids)


def beside(environment: Path) -> Path:
    """Where the successor of a whole environment is made."""
    return environment.with_name(f"{NEW}{os.getpid()}-{environment.name}")


def put_in_place(new: Path, environment: Path) -> None:
    """Let a whole environment take the place of another; who runs from that one finds the same packages there."""
    aside = environment.with_name(f"{GONE}{os.getpid()}-{environment.name}")
    environment.rename(aside)
    new.rename(environment)
    shutil.rmtree(aside, ignore_errors=True)


def take_away(folder: Path) -> None:
    """Delete a folder so that a kill in the middle never leaves it half there under its own name."""
    aside = folder if folder.name.startswith(GONE) else folder.with_name(f"{GONE}{os.getpid()}-{folder.name}")
    if aside != folder:
        try:
            folder.rename(aside)
        except FileNotFoundError:
            return
    shutil.rmtree(aside, ignore_errors=True)


def remove_unless_used(environment: Path) -> bool:
    """Delete a whole environment, unless a process runs from it. True when it is gone."""
    try:
        with locked(environment / place.STAMP, wait=False, make=False) as unused:
            if not unused or users(environment):
                return False
            take_away(environment)  # with the lock held: whoever waits for it finds the folder gone
    except FileNotFoundError:
        return False
    return True


def leftovers(venvs: Path) -> list[Path]:
    """Folders of set-ups and deletions that were killed. Only the holder of the set-up lock may believe them dead."""
    try:
        return sorted(
            each
            for each in venvs.iterdir()
            if each.name.startswith((GONE, NEW)) or (each.is_dir() and read_stamp(each) is None)
        )
    except FileNotFoundError:
        return []


def outdated(venvs: Path, current: Path, feature: str) -> list[Path]:
    """Whole environments of `feature` that no clone wants any more."""
    environments = []
    for each in sorted(venvs.iterdir()) if venvs.is_dir() else []:
        stamp = read_stamp(each)
        if each != current and stamp is not None and stamp.get("feature") == feature and not _wanted(each, stamp):
            environments.append(each)
    return environments


def _wanted(environment: Path, stamp: dict[str, Any]) -> bool:
    """True while the clone that made it still has that lock file: two clones may share a home."""
    try:
        wanted = place.file_hash(place.lock_file(str(stamp["clone"]), str(stamp["feature"])))[:16]
    except (OSError, KeyError):
        return False
    return environment.name.startswith(f"{wanted}-")
