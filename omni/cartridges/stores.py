"""Looking through the stores of other programs: what a find is, where to look, and walks that nothing holds up."""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from omni.cartridges._unreadable import why_unreadable
from omni.cartridges.brains import Origin
from omni.cartridges.inspection import is_later_part
from omni.cartridges.projectors import beside

MAX_DEPTH = 6
MAX_FILES = 5_000  # in one store
MAX_ENTRIES = 200_000  # looked at in one store
MAX_TEXT = 1 << 20

GGUF = ".gguf"
# What programs add to the name of a file as long as they fetch it; huggingface_hub puts a mark of its own before that.
_FETCHING = re.compile(
    r"(?P<whole>.+\.gguf)(?:\.[\w=-]+){0,2}"
    r"\.(?:part|partial|crdownload|download|downloadinprogress|incomplete|opdownload|unfinished|tmp|!qb|!ut)",
    re.IGNORECASE,
)
_HUB = Path(".cache", "huggingface", "download")  # where `hf download --local-dir` keeps what is not whole yet


class ForeignModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of another program. With a `problem` there is nothing to open, only something to say."""

    name: str
    origin: Origin
    path: str
    sha256: str | None = None
    title: str = ""
    go_template: str = ""
    system: str = ""
    parameters: dict[str, Any] = {}
    licence: str = ""
    adapter: str = ""
    projector: str = ""
    problem: str = ""
    reason: str = ""
    command: str = ""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look: the person's environment, home folder and own folders, and the root of the file system.

    `others` false: only into the person's own folders.
    """

    environment: Mapping[str, str]
    user: Path
    folders: tuple[Path, ...] = ()
    root: Path = Path("/")
    others: bool = True

    def folder(self, variable: str, *default: str) -> Path:
        """The folder that a variable names, else the one below the home folder."""
        value = self.environment.get(variable, "")
        return Path(os.path.expanduser(value)) if value else self.user.joinpath(*default)


class Shelves(msgspec.Struct, frozen=True, kw_only=True):
    """The model files below a folder: those that are there, of those in several the first, and those that are not whole
    yet, with the file that they will be."""

    models: tuple[Path, ...] = ()
    fetching: tuple[tuple[Path, Path], ...] = ()

    def unfinished(self, origin: Origin) -> Iterator[ForeignModel]:
        """What is said of those that are not whole."""
        for part, whole in self.fetching:
            yield not_whole(whole.name, part, origin)


def shelves(folder: Path) -> Shelves:
    """Look through a folder and those below it."""
    models: list[Path] = []
    fetching: dict[Path, Path] = {}
    for count, path in enumerate(walk(folder, hub=True)):
        if count >= MAX_FILES:
            break
        if match := _FETCHING.fullmatch(path.name):
            fetching.setdefault(_place(path.with_name(match["whole"])), path)
        elif not is_later_part(path.name):
            models.append(path)
    here = {path for path in models if path not in fetching or _size(path)}  # browsers hold a name with an empty file
    return Shelves(
        models=tuple(path for path in models if path in here),
        fetching=tuple((part, whole) for whole, part in fetching.items() if whole not in here),
    )


def not_whole(name: str, part: Path, origin: Origin) -> ForeignModel:
    """A find that is still being fetched, or was left in the middle."""
    return ForeignModel(
        name=re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE),
        origin=origin,
        path=str(part),
        problem="unloadable",
        reason=f"its download is not finished: {part.name} has {_size(part):,} bytes so far. The program that began it can go on",
    )


def denied(store: Path, what: str, origin: Origin) -> ForeignModel | None:
    """What is said of a store that may not be read."""
    denial = why_unreadable(store)
    if denial is None:
        return None
    return ForeignModel(
        name=what,
        origin=origin,
        path=str(store),
        problem="unreadable",
        reason=denial.reason,
        command=denial.command,
    )


def walk(folder: Path, *, hub: bool = False) -> Iterator[Path]:
    """Files below a folder, sorted, hidden ones left out, no deeper than MAX_DEPTH, links followed without loops.

    `hub`: only models and what will be one, and also where huggingface_hub keeps those that it fetches into a folder.
    """
    looked, seen = 0, set[tuple[int, int]]()
    stack = [(folder, 0)]
    while stack:
        current, depth = stack.pop()
        try:
            status = current.stat()
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        below = []
        for entry in entries:
            looked += 1
            if looked > MAX_ENTRIES:
                return
            if entry.name.startswith("."):
                if hub and entry.name == _HUB.parts[0]:
                    below.append((current / _HUB, MAX_DEPTH))
                continue
            try:
                if entry.is_dir():
                    below.append((Path(entry.path), depth + 1))
                elif (not hub or GGUF in entry.name.lower()) and (entry.is_file() or entry.is_symlink()):
                    path = Path(entry.path)
                    if not hub or path.suffix.lower() == GGUF or _FETCHING.fullmatch(path.name):
                        yield path
            except OSError:
                continue
        if depth < MAX_DEPTH:
            stack.extend(reversed(below))


def listed(folder: Path) -> list[Path]:
    """What is in a folder; nothing where it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def projector_of(path: Path, files: tuple[Path, ...]) -> str:
    """The projector of a model among the files of its store."""
    return beside(str(path), map(str, files))


def json_of(path: Path) -> Any:
    """What a file says, None where it is no JSON."""
    try:
        return json.loads(text_of(path) or "null")
    except (ValueError, RecursionError):
        return None


def text_of(path: Path) -> str:
    """The beginning of a text file, "" where there is none."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # a named pipe would wait for its writer
                return ""
            return file.read(MAX_TEXT).decode("utf-8", "replace")
    except OSError:
        return ""


def _place(path: Path) -> Path:
    """Where a file will be that is fetched there: not in the folder in which huggingface_hub keeps it meanwhile."""
    folder = path.parent
    return folder.parents[2] / path.name if folder.parts[-3:] == _HUB.parts else path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
