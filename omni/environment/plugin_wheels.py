"""A plug-in's folder as a wheel, made without running a line of it; and what a wheel says of itself.

A build backend is foreign code that would run before anybody agreed to anything, and would have to be fetched. What a
`[project]` table says is enough for pure Python; whatever needs more brings a wheel of its own.
"""

import base64
import configparser
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from email.parser import Parser
from pathlib import Path
from typing import Any, TypeVar

from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.files import write_atomic
from omni.core.located.toml_reader import read_toml
from omni.core.located.tree import FileSource, Located
from omni.environment.requirements import normalised

T = TypeVar("T")

GROUP = "omni"  # of the entry points
LARGEST = 100 << 20  # bytes of a folder's modules
_METADATA = 1 << 20  # bytes of a text inside a wheel
_VERSION = re.compile(r"\d[\w.!+]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_INSTALLED = re.compile(r"[^/]+\.data/(purelib|platlib)/")  # what lies there goes where all modules do
_NO_MODULES = {"setup", "conftest", "noxfile", "tests", "test", "docs", "doc", "build", "dist", "examples"}
_BUILD = "Build a wheel of it, and add that: omni plugin add dist/NAME.whl"


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelFacts:
    """What a wheel says: its package (normalised), what that needs, its plug-ins by name with their targets, and how
    many bytes it takes when it is unpacked."""

    package: str
    version: str
    needs: tuple[str, ...]
    plugins: dict[str, str]
    size: int


def read_wheel(path: Path) -> WheelFacts:
    """Look into a wheel; nothing of it is run. Raises NotFound, and BadFile for what is no wheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            (info,) = {name.partition("/")[0] for name in archive.namelist() if name.endswith(".dist-info/METADATA")}
            metadata = Parser().parsestr(_text(archive, f"{info}/METADATA"))
            points = f"{info}/entry_points.txt"
            entries = _text(archive, points) if points in archive.namelist() else ""
            size = sum(member.file_size for member in archive.infolist())
    except FileNotFoundError as error:
        raise NotFound(f"{path} is not there.") from error
    except (OSError, ValueError, zipfile.BadZipFile, RuntimeError) as error:
        raise BadFile(f"{path} is no wheel: {error}.", hint="A wheel is made by `python3 -m build`.") from error
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its manual has it
    try:
        parser.read_string(entries)
    except configparser.Error as error:
        raise BadFile(f"The entry points of {path} cannot be read: {error}.") from error
    return WheelFacts(
        package=normalised(str(metadata["Name"])),
        version=str(metadata["Version"]),
        needs=tuple(
            normalised(re.split(r"[^\w.-]", each.strip())[0]) for each in metadata.get_all("Requires-Dist", [])
        ),
        plugins=dict(parser[GROUP]) if parser.has_section(GROUP) else {},
        size=size,
    )


def check_apart(wheels: Iterable[Path]) -> None:
    """Raise UsageError where two wheels bring the same file, each another one: the one that is unpacked last would replace
    what the other is made of."""
    owners: dict[str, tuple[int, str]] = {}
    for path in wheels:
        facts = read_wheel(path)
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = _INSTALLED.sub("", member.filename).casefold()  # as a disk that knows no case would have it
                crc, owner = owners.setdefault(name, (member.CRC, f"{facts.package} {facts.version}"))
                if crc != member.CRC:
                    raise UsageError(
                        f"{owner} and {facts.package} {facts.version} both bring {member.filename}, each another one.",
                        hint="Only one of them can be here; `omni plugin ls` lists what is.",
                    )


def _text(archive: zipfile.ZipFile, name: str) -> str:
    if archive.getinfo(name).file_size > _METADATA:
        raise ValueError(f"{name} is longer than {_METADATA} bytes")
    return archive.read(name).decode("utf-8", "replace")


def make_wheel(folder: Path, target: Path) -> Path:
    """Write the wheel of a plug-in's folder into the folder `target`; returns its path. The same folder makes the same bytes.

    The folder has a `pyproject.toml` with a `[project]` table, or is one module or package. Raises BadFile where that
    is not enough to know what belongs to the plug-in, StorageError.
    """
    project = _project(folder) if (folder / "pyproject.toml").is_file() else _plain(folder)
    stem = f"{normalised(project['name']).replace('-', '_')}-{project['version']}"
    info = f"{stem}.dist-info"
    members = dict(_members(folder, project["modules"]))
    for name, point in project["points"].get(GROUP, {}).items():
        top = str(point).partition(":")[0].partition(".")[0].strip()
        if not any(member == f"{top}.py" or member.startswith(f"{top}/") for member in members):
            raise BadFile(
                f"The plug-in {name!r} is {point!r}, and {folder} has no module {top!r}.",
                hint="Modules lie in the folder itself or in src/.",
            )
    metadata = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    metadata += [f"Requires-Python: {project['python']}"] if project["python"] else []
    metadata += [f"Requires-Dist: {need}" for need in project["needs"]]
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in project["points"].items()
    ]
    members[f"{info}/METADATA"] = ("\n".join(metadata) + "\n").encode()
    members[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: omni\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    members[f"{info}/entry_points.txt"] = "\n".join(groups).encode()
    members[f"{info}/RECORD"] = _record(members, info).encode()
    path = target / f"{stem}-py3-none-any.whl"
    write_atomic(path, _zipped(members))
    return path


def _project(folder: Path) -> dict[str, Any]:
    """What `[project]` says, with the modules of the folder or of its `src`."""
    path = folder / "pyproject.toml"
    try:
        located = read_toml(path.read_bytes(), FileSource(str(path), wrong=BadFile))
    except OSError as error:
        raise BadFile(f"{path} cannot be read: {error}.") from error
    name = _said(located, str, "project", "name")
    version = _said(located, str, "project", "version")
    python = _said(located, str, "project", "requires-python", otherwise="")
    needs = [str(each) for each in _said(located, list, "project", "dependencies", otherwise=[])]
    points = {
        str(group): {
            str(key): _said(located, str, "project", "entry-points", group, key)
            for key in _said(located, dict, "project", "entry-points", group)
        }
        for group in _said(located, dict, "project", "entry-points", otherwise={})
    }
    _check(
        path,
        name,
        version,
        [*needs, python, *(f"{key}{value}" for group in points.values() for key, value in group.items())],
    )
    if not points.get(GROUP):
        raise BadFile(
            f"{path} names no plug-in.",
            hint='Add [project.entry-points.omni] with NAME = "MODULE" (docs/plugins.md).',
        )
    base = folder / "src" if (folder / "src").is_dir() else folder
    return {
        "name": name,
        "version": version,
        "needs": needs,
        "points": points,
        "python": python,
        "modules": _modules(base),
    }


def _said(located: Located, kind: type[T], *path: str, otherwise: T | None = None) -> T:
    """What stands at the path, or `otherwise`. Raises BadFile for none, and for another kind of value."""
    value, title = located.value, ".".join(path)
    for depth, step in enumerate(path):
        if not isinstance(value, dict):
            raise BadFile(f"{located.place(path[:depth])}: expected a table for {'.'.join(path[:depth])}.")
        value = value.get(step)
        if value is None:
            break
    value = otherwise if value is None else value
    if value is None:
        raise BadFile(f"{located.place(path)}: needs the key {title!r}.", hint=_BUILD)
    if not isinstance(value, kind):
        words = {"str": "a text", "list": "a list", "dict": "a table"}[kind.__name__]
        raise BadFile(f"{located.place(path)}: expected {words} for {title}.")
    return value


def _plain(folder: Path) -> dict[str, Any]:
    """A folder that is a package, or holds one module: the plug-in is called like it, without a leading `omni_`."""
    modules = [folder] if (folder / "__init__.py").is_file() else _modules(folder)
    if len(modules) != 1:
        listed = ", ".join(path.name for path in modules) or "none"
        raise BadFile(
            f"{folder} has no pyproject.toml, and not one module but: {listed}.",
            hint="Write a pyproject.toml with [project.entry-points.omni] (docs/plugins.md).",
        )
    module = modules[0].stem
    name = module.removeprefix("omni_")
    _check(folder, name, "0.0.0", [])
    return {
        "name": f"omni-{name}",
        "version": "0.0.0",
        "needs": [],
        "points": {GROUP: {name: module}},
        "python": "",
        "modules": modules,
    }


def _check(where: Path, name: str, version: str, values: list[str]) -> None:
    """Names become parts of paths, and all of it lines of files."""
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise BadFile(f"{where}: {name!r} {version!r} is not the name and the version of a package.")
    for value in values:
        if not value.isprintable():
            raise BadFile(f"{where}: {value!r} is more than one line.")


def _modules(base: Path) -> list[Path]:
    try:
        entries = sorted(base.iterdir())
    except OSError as error:
        raise BadFile(f"{base} cannot be read: {error.strerror}.") from error
    return [
        path
        for path in entries
        if path.stem.isidentifier()
        and path.stem not in _NO_MODULES
        and not path.stem.startswith("test_")
        and not path.is_symlink()
        and ((path.suffix == ".py" and path.is_file()) or (path / "__init__.py").is_file())
    ]


def _members(folder: Path, modules: list[Path]) -> Iterator[tuple[str, bytes]]:
    """Files by their names in the wheel; links and what is no file are left out. Raises BadFile for too much."""
    total = 0
    for module in modules:
        for path in [module] if module.is_file() else _files(module):
            try:
                status = path.lstat()
                total += status.st_size
                if not stat.S_ISREG(status.st_mode):
                    continue
                if total > LARGEST:
                    raise BadFile(f"The modules of {folder} are larger than {LARGEST >> 20} MiB.", hint=_BUILD)
                yield path.relative_to(module.parent).as_posix(), path.read_bytes()
            except OSError as error:
                raise BadFile(f"{path} cannot be read: {error.strerror}.") from error


def _files(package: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(package):
        folders[:] = sorted(each for each in folders if each != "__pycache__" and not each.startswith("."))
        yield from (
            Path(path, name) for name in sorted(names) if not name.startswith(".") and not name.endswith(".pyc")
        )


def _record(members: dict[str, bytes], info: str) -> str:
    def line(name: str, data: bytes) -> str:
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        return f"{_quoted(name)},sha256={digest},{len(data)}\n"

    return "".join(line(name, data) for name, data in members.items()) + f"{info}/RECORD,,\n"


def _quoted(name: str) -> str:
    """A name as a cell of CSV."""
    return '"' + name.replace('"', '""') + '"' if set(name) & set('",\n') else name


def _zipped(members: dict[str, bytes]) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)  # of 1980: the time of a file is no part of what it is
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()
