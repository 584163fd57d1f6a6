"""Looks at a model file, or at all files of a model in several, and says what it is and which of its kind."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from omni.cartridges.gguf import GgufHeader, read_header
from omni.core.errors import BadFile

_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)

CONTROLS = (".aria2", ".st")  # beside a file of its full size with holes: of aria2 and axel
_GO_ON = "Finish the download with the program that began it."
_FETCH = "Fetch all parts of it again."

HeaderReader = Callable[[Path], GgufHeader]


class Incomplete(BadFile):
    """A model of which something is missing, or not where the engine would look for it; none of its files is damaged."""


class Inspected(msgspec.Struct, frozen=True, kw_only=True):
    """One model on disk; `parts` in order, `id` made of paths, sizes and times."""

    parts: tuple[str, ...]
    size: int
    header: GgufHeader
    id: str


def part_names(name: str) -> list[str]:
    """The names of all files of the model that `name` belongs to; itself alone when it is whole."""
    match = _PART.match(name)
    if not match or not 1 <= int(match["number"]) <= int(match["count"]) <= 999:
        return [name]
    return [f"{match['stem']}-{n:05}-of-{match['count']}.gguf" for n in range(1, int(match["count"]) + 1)]


def is_later_part(name: str) -> bool:
    """Whether the file is one of several and not the first, so that it is not listed by itself."""
    match = _PART.match(name)
    return bool(match and int(match["number"]) != 1)


def model_stem(name: str) -> str:
    """The file's name without the ending and without "-00001-of-00003"."""
    match = _PART.match(name)
    return match["stem"] if match else re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def inspect(path: Path, read: HeaderReader = read_header) -> Inspected:
    """Everything about the model at `path` that can be known without loading it.

    Raises NotFound when the file is not there, BadFile when it is wrong, and its kind Incomplete when a part of it is
    missing, of another model, or under a name by which the engine does not find it, or when it is still being fetched.
    """
    if (shown := in_utf8(str(path))) != str(path):
        raise Incomplete(f"The name of {shown} is no text in UTF-8, and the engine opens no other.", hint="Rename it.")
    if marker := unfinished_beside(path):
        raise Incomplete(
            f"{path} is not whole yet: {marker} says that its download goes on, or was stopped.", hint=_GO_ON
        )
    own = read(path)
    parts = [path]
    if own.parts > 1:
        names = part_names(path.name)
        if len(names) != own.parts or names[own.part - 1] != path.name:
            raise _misnamed(path, own)
        parts = [path.with_name(name) for name in names]
        if missing := [part.name for part in parts if not part.exists()]:
            raise Incomplete(
                f"{path.parent} holds {len(parts) - len(missing)} of {len(parts)} parts of this model; {missing[0]} is missing.",
                hint=_GO_ON,
            )
    headers = [read(part) for part in parts] if len(parts) > 1 else [own]
    if len(headers) > 1:
        _check_parts(parts, headers)
    stamps = [stamp(part) for part in parts]
    return Inspected(
        parts=tuple(map(str, parts)),
        size=sum(header.file_bytes for header in headers),
        header=_joined(headers) if len(headers) > 1 else headers[0],
        id="file-" + hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:24],
    )


def in_utf8(text: str) -> str:
    """A name of the file system as a text that can be stored and shown; what is no UTF-8 becomes a question mark."""
    return os.fsencode(text).decode("utf-8", "replace")


def unfinished_beside(path: Path) -> str:
    """The name of the file by which a program that made room for all of a download knows what of it is still missing."""
    for ending in CONTROLS:
        if os.path.isfile(f"{path}{ending}"):  # noqa: PTH113 - Path's raises for a name that is too long to be one
            return f"{path.name}{ending}"
    return ""


def _misnamed(path: Path, header: GgufHeader) -> Incomplete:
    stem = model_stem(path.name)
    wanted = f"{stem}-{header.part:05}-of-{header.parts:05}.gguf"
    return Incomplete(
        f"{path.name} is part {header.part} of {header.parts} of a model, and the engine finds the parts of one only by names "
        f"like {wanted}.",
        hint=f"Give all {header.parts} parts such names, in one folder.",
    )


def _check_parts(parts: Sequence[Path], headers: Sequence[GgufHeader]) -> None:
    """Raises Incomplete where files do not belong together, although their names say so."""
    for number, (part, header) in enumerate(zip(parts, headers, strict=True), 1):
        if (header.part, header.parts) != (number, len(parts)):
            said = f"part {header.part} of {header.parts}" if header.parts > 1 else "a whole model"
            raise Incomplete(f"{part.name} is {said} by what stands in it, and not what its name says.", hint=_FETCH)
    total = sum(header.tensors for header in headers)
    if total != headers[0].all_tensors:
        raise Incomplete(
            f"The {len(parts)} parts of {model_stem(parts[0].name)} have {total:,} tensors, and should have "
            f"{headers[0].all_tensors:,}: they are not of one model.",
            hint=_FETCH,
        )


def _joined(headers: Sequence[GgufHeader]) -> GgufHeader:
    """What the parts of one model say together."""
    first, kinds, types = headers[0], Counter[str](), Counter[str]()
    for header in headers:
        kinds.update(header.kinds)
        types.update(header.type_bytes)
    return msgspec.structs.replace(
        first,
        parameters=sum(header.parameters for header in headers),
        tensors=sum(header.tensors for header in headers),
        weights_bytes=sum(header.weights_bytes for header in headers),
        file_bytes=sum(header.file_bytes for header in headers),
        quantisation=max(headers, key=lambda header: header.weights_bytes).quantisation or first.quantisation,
        unknown_types=tuple(sorted({kind for header in headers for kind in header.unknown_types})),
        kind="model" if first.kind == "other" and first.architecture else first.kind,  # part 1 may hold no tensor
        kinds=dict(sorted(kinds.items())),
        blocks=max(header.blocks for header in headers),
        rows=max(header.rows for header in headers),
        layer_rows=max(header.layer_rows for header in headers),
        type_bytes=dict(sorted(types.items())),
        layer_bytes=_added(header.layer_bytes for header in headers),
        expert_bytes=_added(header.expert_bytes for header in headers),
        output_bytes=sum(header.output_bytes for header in headers),
    )


def _added(parts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The sums of what stands at the same places."""
    return tuple(map(sum, zip_longest(*parts, fillvalue=0)))


def stamp(path: Path) -> str:
    """Changes when the file at `path` is replaced or written to."""
    status = path.stat()
    return f"{os.path.abspath(path)}|{status.st_size}|{status.st_mtime_ns}"
