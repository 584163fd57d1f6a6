"""Looks at a model file, or at all files of a model in several, and says what it is and which of its kind."""

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from omni.cartridges.gguf import GgufHeader, read_header
from omni.core.errors import BadFile

_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)

HeaderReader = Callable[[Path], GgufHeader]


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """One model on disk; `parts` in order, `id` made of paths, sizes and times."""

    parts: tuple[str, ...]
    size: int
    header: GgufHeader
    id: str


def part_names(name: str) -> list[str]:
    """The names of all files of the model that `name` belongs to; itself alone when it is whole."""
    found = _PART.match(name)
    if not found or not 1 <= int(found["number"]) <= int(found["count"]) <= 999:
        return [name]
    return [f"{found['stem']}-{n:05}-of-{found['count']}.gguf" for n in range(1, int(found["count"]) + 1)]


def is_later_part(name: str) -> bool:
    """Whether the file is one of several and not the first, so that it is not listed by itself."""
    found = _PART.match(name)
    return bool(found and int(found["number"]) != 1)


def model_stem(name: str) -> str:
    """The file's name without the ending and without "-00001-of-00003"."""
    found = _PART.match(name)
    return found["stem"] if found else re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def inspect(path: Path, read: HeaderReader = read_header) -> Inspected:
    """Everything about the model at `path` that can be known without loading it.

    Raises NotFound when the file is not there, BadFile when it is wrong or one of its parts is missing.
    """
    names = part_names(path.name)
    parts = [path.with_name(name) for name in names]
    if missing := [part.name for part in parts if len(parts) > 1 and not part.exists()]:
        raise BadFile(
            f"{path.parent} holds {len(parts) - len(missing)} of {len(parts)} parts of this model; {missing[0]} is missing.",
            hint="Finish the download with the program that began it.",
        )
    headers = [read(part) for part in parts]
    first = headers[0]
    if len(headers) > 1:
        first = msgspec.structs.replace(
            first,
            parameters=sum(header.parameters for header in headers),
            tensors=sum(header.tensors for header in headers),
            weights_bytes=sum(header.weights_bytes for header in headers),
            file_bytes=sum(header.file_bytes for header in headers),
            quantisation=max(headers, key=lambda header: header.weights_bytes).quantisation or first.quantisation,
            unknown_types=tuple(sorted({kind for header in headers for kind in header.unknown_types})),
            types=tuple((kind, size) for header in headers for kind, size in header.types),
            kind="model" if first.kind == "other" and first.architecture else first.kind,  # part 1 may hold no tensor
        )
    stamps = [stamp(part) for part in parts]
    return Inspected(
        parts=tuple(map(str, parts)),
        size=sum(header.file_bytes for header in headers),
        header=first,
        id="file-" + hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:24],
    )


def stamp(path: Path) -> str:
    """Changes when the file at `path` is replaced or written to."""
    found = path.stat()
    return f"{os.path.abspath(path)}|{found.st_size}|{found.st_mtime_ns}"
