"""What Omni keeps on the disk, and taking all of it away."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from omni.core.at_rest import what
from omni.core.errors import SetupError, StorageError
from omni.core.locks import locked
from omni.core.paths import Home
from omni.environment.command import link_path, linked_here
from omni.environment.users import take_away, users


@dataclass(frozen=True, kw_only=True, slots=True)
class DiskUsage:
    """A file or folder of Omni's, what it takes on the disk, and what it is."""

    path: Path
    size: int
    what: str


def tree_size(path: Path) -> int:
    """Bytes that a file or folder takes; a file with two names counts once, links count nothing."""
    seen: set[tuple[int, int]] = set()
    total = 0
    stack = [os.fspath(path)]
    while stack:
        try:
            status = os.lstat(stack[-1])
            current = stack.pop()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
                if os.path.isdir(current) and not os.path.islink(current):  # noqa: PTH112, PTH114 - many thousands
                    stack += [entry.path for entry in os.scandir(current)]
        except FileNotFoundError:  # deleted meanwhile
            if stack:
                stack.pop()
    return total


def footprint(home: Home) -> list[DiskUsage]:
    """All that Omni keeps, largest first: in its home, its sockets, and its link on the PATH. Nothing that is not its own."""
    entries = [
        DiskUsage(path=path, size=tree_size(path), what=what(path.name)) for path in _own(home) if os.path.lexists(path)
    ]
    if _is_own_folder(home.sockets):
        entries.append(DiskUsage(path=home.sockets, size=tree_size(home.sockets), what="sockets"))
    if linked_here(home):
        entries.append(DiskUsage(path=link_path(), size=0, what="link to the command"))
    return sorted(entries, key=lambda kept: -kept.size)


def remove_all(home: Home) -> list[DiskUsage]:
    """Delete what `footprint` lists; returns it. A file of somebody else's in the home stays, and so does the home then.

    Raises SetupError while another process of Omni runs from the home, and where the home is a person's whole own one.
    """
    if Path(os.path.expanduser("~")).is_relative_to(home.root):
        raise SetupError(
            f"OMNI_HOME is {home.root}, which holds more than Omni; nothing is removed.",
            hint=f"What is Omni's there, to be removed by hand: {', '.join(kept.path.name for kept in footprint(home))}.",
        )
    busy = sorted({pid for folder in _environments(home) for pid in users(folder)})
    if busy:
        raise SetupError(
            f"Omni is still running (process {', '.join(map(str, busy[:5]))}).", hint="Close it: omni stop --all"
        )
    with _no_set_up(home):
        entries = footprint(home)
        for kept in entries:
            _delete(kept.path, home)
    try:
        if home.root.is_dir() and not any(home.root.iterdir()):
            home.root.rmdir()
    except OSError as error:
        raise StorageError(f"{home.root} cannot be removed: {error.strerror}.") from error
    return entries


def remove_environments(home: Home) -> int:
    """Delete all environments that no other process runs from; returns the bytes that this freed."""
    freed = 0
    with _no_set_up(home):
        for folder in _environments(home):
            if not users(folder):
                size = tree_size(folder)
                take_away(folder)
                freed += size
    if home.venv.is_symlink() and not home.venv.exists():
        home.venv.unlink(missing_ok=True)
    return freed


@contextmanager
def _no_set_up(home: Home) -> Iterator[None]:
    """Hold the lock of the set-up. Raises SetupError while one runs."""
    if not home.root.is_dir():
        yield
        return
    with locked(home.setup_lock, wait=False) as alone:
        if not alone:
            raise SetupError("Omni is being set up right now.", hint="Wait for it, or end it.")
        yield


def _delete(path: Path, home: Home) -> None:
    try:
        if path == home.bin and not path.is_symlink():
            for own in (path / "omni", *path.glob(".omni.*")):  # another command in there is a person's own
                own.unlink(missing_ok=True)
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{error.filename or path} cannot be removed: {error.strerror}.") from error


def _own(home: Home) -> list[Path]:
    """Everything that may lie in a home: what `Home` names, and traces of interrupted writes."""
    named = {getattr(home, name) for name, kind in vars(Home).items() if isinstance(kind, property)}
    tops = {home.root / path.relative_to(home.root).parts[0] for path in named if path.is_relative_to(home.root)}
    tops |= {home.setup_lock.with_suffix(suffix) for suffix in (".json", ".new")}  # earlier builds left the second
    names = {path.name for path in tops}
    if home.root.is_dir():
        for entry in home.root.iterdir():
            stem, _, number = entry.name.rpartition(".")
            if any(entry.name.startswith(f".{name}.") for name in names) or (number.isdecimal() and stem == "plugins"):
                tops.add(entry)
    return sorted(path for path in tops if path != home.root)


def _environments(home: Home) -> list[Path]:
    return sorted(each for each in home.venvs.iterdir() if each.is_dir()) if home.venvs.is_dir() else []


def _is_own_folder(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return status.st_uid == os.getuid() and folder.is_dir() and not folder.is_symlink()
