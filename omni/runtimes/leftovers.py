"""What commands that were killed left of engines: half of an engine, downloads, a build that somebody may go on with.

The same command removes what it cannot use, and goes on with the rest. What nobody comes back for is told here, and removed when a
person asks for that; what a process works at now is none of it.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from omni.cartridges import making
from omni.core.locks import locked
from omni.core.paths import Home
from omni.runtimes.registry import ADDING, REMOVING

PARTS = "-parts"  # how a folder of wheels that belong together ends
DOWNLOAD = "engine-"  # how the folder of one wheel begins


class Leftover(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on the disk that were to become an engine: `what` they are, in words, and the `command` that goes on with them, or
    "" where none does."""

    paths: tuple[str, ...]
    what: str
    size: int
    command: str = ""


def find_leftovers(home: Home) -> list[Leftover]:
    """What is there, and nobody works at. Blocking."""
    with _held(home) as left:
        return left


def remove_leftovers(home: Home) -> int:
    """Remove all of it; returns the bytes that are free again. Blocking."""
    with _held(home) as left:
        for path in (Path(path) for each in left for path in each.paths):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return sum(each.size for each in left)


@contextmanager
def _held(home: Home) -> Iterator[list[Leftover]]:
    """The same, while nobody can begin to work at it."""
    with ExitStack() as stack:
        left: list[Leftover] = []
        if home.engines.is_dir() and stack.enter_context(locked(home.engines_lock, wait=False)):
            halves = [path for path in home.engines.iterdir() if path.name.startswith((ADDING, REMOVING))]
            left += [_leftover([path], "half of an engine that was being added or removed") for path in halves]
        downloads = home.cartridges / "pulls"
        for folder in sorted(downloads.glob(f"{DOWNLOAD}*")) if downloads.is_dir() else ():
            if stack.enter_context(making(home, folder)):
                left.append(_leftover([folder], f"the download of {folder.name.removeprefix(DOWNLOAD)}"))
        builds = home.engine_builds
        if not builds.is_dir():
            yield left
            return
        for folder in sorted(builds.glob(f"*{PARTS}")):
            if stack.enter_context(making(home, folder)):
                package = folder.name.removesuffix(PARTS)
                left.append(_leftover([folder], f"downloads of {package}", command=f"omni engine add {package}"))
        if stack.enter_context(locked(builds / "lock", wait=False)):
            rest = [path for path in builds.iterdir() if path.name != "lock" and not path.name.endswith(PARTS)]
            if rest:
                left.append(_leftover(rest, "a build of an engine", command="omni engine build"))
        yield left


def _leftover(paths: list[Path], what: str, *, command: str = "") -> Leftover:
    return Leftover(paths=tuple(map(str, paths)), what=what, size=sum(map(size_of, paths)), command=command)


def size_of(path: Path) -> int:
    """Bytes of a file, or of those below a folder; what goes meanwhile counts nothing."""
    total = 0
    for each in (path, *path.rglob("*")) if path.is_dir() and not path.is_symlink() else (path,):
        try:
            total += each.lstat().st_size if not each.is_dir() else 0
        except OSError:
            continue
    return total
