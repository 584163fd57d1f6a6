"""Where a path leads, and whether reading or changing what is there is free, asked or never done."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from omni.hands.policy import is_secret

SECRET_FOLDERS = frozenset((".ssh", ".gnupg", ".aws", ".azure", ".kube", ".password-store"))
SKIPPED = frozenset((".git", "node_modules", ".venv", "venv", "__pycache__", "target", ".tox", ".mypy_cache"))
_LOOKED_THROUGH = 20_000  # entries of a folder that is read as a whole


class LocatedPath(NamedTuple):
    """Where a path leads: `real` is absolute and without links, `below` what of it lies below the project, None outside."""

    real: str
    below: str | None

    @property
    def inside(self) -> bool:
        """Whether it is the project, or in it."""
        return self.below is not None


def locate(path: str, folder: str, project: str) -> LocatedPath | None:
    """Follow a path as the kernel does, links and `..` in their order; None for one that cannot be followed.

    What is not there yet is located by its name.
    """
    try:
        real = os.path.realpath(os.path.join(folder, path))
        top = os.path.realpath(project)
    except (OSError, ValueError):  # a loop of links, a NUL
        return None
    if real == top:
        return LocatedPath(real, "")
    return LocatedPath(real, real[len(top.rstrip("/")) + 1 :] if real.startswith(top.rstrip("/") + "/") else None)


def may_be_secret(below: str) -> bool:
    """Whether a path of a project is one of those that log in somewhere, by the names in it."""
    *folders, name = below.lower().split("/")
    private_key = name.startswith("id_") and "." not in name
    return private_key or is_secret(name) or bool(SECRET_FOLDERS.intersection((*folders, name)))


def problems_below(folder: str, project: str, *, links: bool) -> Iterator[str]:
    """Why reading a folder with all that is in it is not free, as far as its first 20,000 entries tell; packages of others are not
    looked at. `links`: it is read through them, too."""
    seen = 0
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if one not in SKIPPED)
        below = os.path.relpath(top, folder)
        for name in sorted(files + folders if links else files):
            path = os.path.join(top, name)
            if name in files and may_be_secret(f"{below}/{name}"):
                yield f"{os.path.relpath(path, project)} may hold keys or passwords, and is below what it reads"
            elif links and Path(path).is_symlink():
                place = locate(path, "/", project)
                if place is None or reading_problem(place):
                    yield f"{os.path.relpath(path, project)} leads elsewhere, and is below what it reads"
        seen += len(files) + len(folders)
        if seen > _LOOKED_THROUGH:
            return


def reading_problem(place: LocatedPath) -> str:
    """Why reading there is not free; "" where it is."""
    if place.below is None:
        return f"{place.real} is outside the project"
    if may_be_secret(place.below):
        return f"{place.below} may hold keys or passwords"
    return _special(place.real)


def writing_problem(place: LocatedPath) -> str:
    """Why writing there needs a rule that names the very file; "" where it does not."""
    if place.below is None:
        return f"{place.real} is outside the project"
    if may_be_secret(place.below):
        return f"{place.below} may hold keys or passwords"
    if ".git" in place.below.lower().split("/"):
        return f"{place.below} is git's own, and what it says runs when you use git"
    if is_linked_twice(place.real):
        return f"{place.below} is the same file as one with another name"
    return _special(place.real)


def is_within(place: LocatedPath, folder: Path) -> bool:
    """Whether a path leads to a folder or into it."""
    top = os.path.realpath(folder)
    return place.real == top or place.real.startswith(top.rstrip("/") + "/")


def is_linked_twice(real: str) -> bool:
    """Whether a file has a second name, which may lie anywhere."""
    try:
        status = os.lstat(real)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_nlink > 1


def _special(real: str) -> str:
    try:
        mode = os.lstat(real).st_mode
    except OSError:  # not there, or not to be looked at: then nothing is read or written there either
        return ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else f"{real} is neither a file nor a folder"
