"""Kinds of process that plug-ins add, and the file that says which of them a person has granted.

`omni plugin add` writes it after consent, beside the packages of the plug-ins in use, so that one rename changes both. The
keeper starts nothing else for a plug-in, whatever a client asks for. Standard library only: the keeper reads it.
"""

import json
import os
import re
import stat
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.errors import BadFile, UsageError
from omni.core.paths import Home

FILE = "kinds.json"
DOORS = ("pull",)  # what a process of a plug-in can be given: pages, fetched for it through the airlock
PRIORITIES = ("interactive", "agent", "background")
LEAST, MOST = 64_000_000, 1 << 40  # bytes: what Python takes with its threads, and more than any machine has
LONGEST = 86_400  # seconds that one may stay without being used

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)
_NAME = re.compile(r"[A-Za-z][\w.-]*\.[A-Za-z][A-Za-z0-9_-]{0,39}", re.ASCII)
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_MOST_BYTES, _MOST_KINDS = 1 << 18, 1000


class GrantedKind(NamedTuple):
    """What a person let a plug-in have: a process `name` (PLUGIN.KIND) that calls `target` (module:function), with at most
    `memory` bytes; it stays `keep_alive` seconds without being used. `doors` are what it may ask for of the network."""

    name: str
    target: str
    memory: int
    doors: tuple[str, ...] = ()
    priority: str = "background"
    keep_alive: int = 60


def problem(kind: Any) -> str:
    """Why something that a plug-in offers, or that stands in the file, is no kind of process; or ""."""
    name = str(kind.name)[:80]
    if not _WORD.fullmatch(kind.name):
        return f"the name {name!r} of a process kind is not a letter with at most 39 letters, digits, _ and - behind it"
    if not (isinstance(kind.target, str) and len(kind.target) <= 200 and _TARGET.fullmatch(kind.target)):
        return f"target of the process kind {name!r} is {str(kind.target)[:80]!r}, and 'module:function' is expected"
    for field, least, most in (("memory", LEAST, MOST), ("keep_alive", 0, LONGEST)):
        value = getattr(kind, field)
        if type(value) is not int or not least <= value <= most:
            return f"{field} of the process kind {name!r} is {str(value)[:40]}, and {least} to {most} is expected"
    if kind.priority not in PRIORITIES:
        return f"priority of the process kind {name!r} is none of {', '.join(PRIORITIES)}"
    if not isinstance(kind.doors, (tuple, list)) or any(door not in DOORS for door in kind.doors):
        return (
            f"doors of the process kind {name!r} are {str(kind.doors)[:80]}; what can be asked for: {', '.join(DOORS)}"
        )
    return ""


def asked_for(plugin: str, row: Any) -> GrantedKind:
    """What a plug-in asks for, from a row of plain values as `plain` makes one. Raises UsageError."""
    try:
        kind = GrantedKind(**row)
        wrong = problem(kind)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The plug-in {plugin!r} asks for what is no kind of process: {error}.") from error
    if wrong:
        raise UsageError(f"The plug-in {plugin!r} asks for what is no kind of process: {wrong}.")
    return kind._replace(name=f"{plugin}.{kind.name}", doors=tuple(kind.doors))


def plain(kind: Any) -> dict[str, Any]:
    """A kind, granted or offered, as plain values."""
    values = {field: getattr(kind, field) for field in GrantedKind._fields}
    return values | {"doors": list(kind.doors)}


def to_bytes(kinds: Iterable[GrantedKind]) -> bytes:
    """The file. Raises UsageError for two of one name."""
    rows = list(kinds)
    names = [kind.name for kind in rows]
    if twins := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"There are two kinds of process named {min(twins)!r}.")
    return json.dumps({"kinds": [plain(kind) for kind in rows]}, indent=1).encode()


def load_target(target: str) -> Any:
    """The function that a target (`module:function`) names. Raises TypeError where it is none, and what importing raises."""
    module, _, name = target.partition(":")
    function = getattr(import_module(module), name)
    if not callable(function):
        raise TypeError(f"{target} is {type(function).__name__}, and a function is expected")
    return function


def granted_kinds(home: Home) -> tuple[str, dict[str, GrantedKind]]:
    """The folder with the packages of the plug-ins in use, and what they may start, by its names.

    Raises BadFile, in words, for a file that is not as `omni plugin add` writes it.
    """
    packages = os.path.realpath(home.plugins)
    return packages, read_kinds(Path(packages).parent)


def read_kinds(folder: Path) -> dict[str, GrantedKind]:
    """The kinds that are granted to the set of plug-ins in `folder`; none where there is no file. Raises BadFile."""
    path = folder / FILE
    try:
        data = _own_bytes(path)
        rows = json.loads(data)["kinds"]
        if not isinstance(rows, list) or len(rows) > _MOST_KINDS:
            raise ValueError(f"its kinds are no list of at most {_MOST_KINDS}")
        kinds = [_row(row) for row in rows]
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadFile(
            f"{path} does not say what plug-ins may start: {error}.",
            hint="Nothing of a plug-in is started by it. Remove it, and add those again that want a process of their own.",
        ) from error
    return {kind.name: kind for kind in kinds}


def _own_bytes(path: Path) -> bytes:
    """What stands in a file that is this user's alone to write. Raises OSError, ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise ValueError("it is no file, belongs to somebody else, or others may write to it")
        data = os.read(descriptor, _MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it has more than {_MOST_BYTES} bytes")
    return data


def _row(row: Any) -> GrantedKind:
    kind = GrantedKind(**row)
    if not isinstance(kind.name, str) or len(kind.name) > 200 or not _NAME.fullmatch(kind.name):
        raise ValueError(f"{str(kind.name)[:80]!r} is no name of a kind")
    if wrong := problem(kind._replace(name=kind.name.rpartition(".")[2])):
        raise ValueError(wrong)
    return kind._replace(doors=tuple(kind.doors))
