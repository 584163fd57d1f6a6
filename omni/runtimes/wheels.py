"""Wheels that carry an engine: which is the newest, what one holds, and unpacking it without trusting it."""

import errno
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from omni.core.errors import BadFile, NotFound, SetupError
from omni.core.files import make_folder, require_space
from omni.environment import WheelMachine, unfit, wheel_name
from omni.runtimes.runtime import RuntimeKind

MOST_FILES = 20_000
MOST_BYTES = 16 << 30  # unpacked: the largest that are known, with CUDA's libraries, have four
SERVER = "llama-server"
PACKAGE = "xllamacpp"
_PACKAGES: dict[RuntimeKind, str] = {"xllamacpp": PACKAGE, "llama_cpp": "llama_cpp", "mlx": "mlx_lm"}
_CHUNK = 1 << 20
_DATA = re.compile(r"[^/]+\.data/(purelib|platlib)/")
PROGRAM = (b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


class WheelKind(NamedTuple):
    """The kind of engine that files are, and the program to start, where there is one."""

    kind: RuntimeKind
    program: Path | None = None


def order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """What sorts versions, the newest last; those that are no release yet before it."""
    release = re.match(r"[\d.]+", version)
    numbers = tuple(int(part) for part in release[0].strip(".").split(".")) if release and release[0] != "." else ()
    rest = version[len(release[0]) :] if release else version
    return numbers, not re.match(r"[-_.]?(a|b|c|rc|alpha|beta|dev|pre)", rest), rest


def unpack(wheel: Path, target: Path, *, cancelled: Callable[[], bool] = lambda: False) -> list[Path]:
    """Unpack a wheel into the new folder `target`; returns its files.

    Nothing leaves the folder, no link is made, and no more is written than the wheel's directory promised and a wheel may
    have. Raises NotFound, BadFile, StorageError and OSError; what was unpacked so far stays for who called to remove.
    """
    return _unpacked(wheel, target, cancelled, new=True)


def unpack_into(wheel: Path, target: Path) -> list[Path]:
    """The same into a folder that holds other wheels. Raises BadFile for one that has a file of theirs, too."""
    return _unpacked(wheel, target, lambda: False, new=False)


def _unpacked(wheel: Path, target: Path, cancelled: Callable[[], bool], *, new: bool) -> list[Path]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            places = _places(members)
            require_space(target.parent, sum(member.file_size for member in members))
            target.mkdir(mode=0o700, exist_ok=not new)
            for member, place in zip(members, places, strict=True):
                if place is not None:
                    _unpack(archive, member, target / place, cancelled)
            return [target / place for place in places if place is not None]
    except FileNotFoundError as error:
        raise NotFound(f"{wheel} is not there.") from error
    except FileExistsError as error:
        if new and error.filename == os.fspath(target):
            raise
        owner = "another file of it has" if new else "another wheel of this engine has"
        raise BadFile(f"{wheel.name} holds {error.filename}, which {owner}.") from error
    except _damage() as error:
        raise BadFile(f"{wheel.name} is damaged: {error}.", hint="Download it again.") from error
    except OSError as error:
        if error.errno not in (None, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR):  # None: bzip2's own words
            raise
        raise BadFile(f"{wheel.name} is damaged: {error.strerror or error}.", hint="Download it again.") from error


def _damage() -> tuple[type[Exception], ...]:
    """What reading a damaged archive raises. Not every Python can read LZMA."""
    known = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
    with suppress(ImportError):
        from lzma import LZMAError

        return *known, LZMAError
    return known


def carried(files: list[Path], folder: Path) -> "WheelKind":
    """What is in unpacked files. Raises BadFile where that is no engine."""
    names = {path.relative_to(folder).parts[0] for path in files}
    for kind, package in _PACKAGES.items():
        if package in names:
            return WheelKind(kind)
    programs = sorted((path for path in files if path.name == SERVER), key=lambda path: len(path.parts))
    if not programs:
        raise BadFile(
            f"The wheel holds none of the packages {', '.join(_PACKAGES.values())} and no program named {SERVER!r}.",
            hint="Other engines cannot be added.",
        )
    return WheelKind("llama_server", programs[0])


def _places(members: list[zipfile.ZipInfo]) -> list[str | None]:
    """Where each member goes; None: nowhere (scripts and headers). Raises ValueError for a wheel that cannot be trusted."""
    if len(members) > MOST_FILES:
        raise ValueError(f"it has more than {MOST_FILES:,} files")
    if sum(member.file_size for member in members) > MOST_BYTES:
        raise ValueError(f"it would take more than {MOST_BYTES >> 30} GiB")
    places: list[str | None] = []
    for member in members:
        name = _DATA.sub("", member.filename, count=1)
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or not path.parts:
            raise ValueError(f"{member.filename[:200]!r} does not stay in its folder")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{member.filename[:200]!r} is a link")
        places.append(None if re.match(r"[^/]+\.data/", name) else str(path))
    lowered = [place.casefold() for place in places if place is not None]
    if len(set(lowered)) != len(lowered):
        raise ValueError("it holds two files of one name")
    return places


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, cancelled: Callable[[], bool]) -> None:
    make_folder(path.parent)
    written = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with archive.open(member) as source, os.fdopen(descriptor, "wb") as file:
        while chunk := source.read(_CHUNK):
            if not written and chunk.startswith(PROGRAM):
                os.fchmod(file.fileno(), 0o700)
            written += len(chunk)
            if cancelled():
                raise ValueError("it was cancelled")
            file.write(chunk)
        if written != member.file_size:  # never more: the archive ends reading there
            raise ValueError(f"{member.filename[:200]!r} is shorter than it promised")
        file.flush()
        os.fsync(file.fileno())


def for_this_machine(name: str, machine: WheelMachine) -> None:
    """Raise SetupError for a wheel, by its file's name, that cannot be used on a machine; BadFile for no wheel's name."""
    if reason := unfit(wheel_name(name), machine):
        raise SetupError(f"{name} cannot be used here: {reason}.", hint="Choose the wheel for this machine.")
