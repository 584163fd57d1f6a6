"""Brains as plain files in a folder, with a list of names and hashes: for another machine, without any network."""

import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import msgspec
from msgspec import Meta

from omni.cartridges._catalog import blob_base
from omni.cartridges._naming import slug
from omni.cartridges.brains import Base, Brain, BrainAdapter, Exported, ExportEvent, PullProgress
from omni.cartridges.gguf import read_header
from omni.cartridges.index import IndexEntry
from omni.cartridges.inspection import inspect, model_stem
from omni.cartridges.projectors import look
from omni.cartridges.pulling import combined
from omni.core.errors import BadFile, NotFound, UsageError
from omni.core.files import FILE, make_folder, replacing, require_space, storage_error, storing, sync, write_atomic
from omni.core.located.conversion import convert
from omni.core.located.json_reader import read_json
from omni.core.located.tree import FileSource
from omni.core.paths import Home

LIST = "brains.json"
FOLDER = "brains"
VERSION = 2  # of the list, the newest that is known here
_BLOCK = 8 << 20

T = TypeVar("T")


class ExportedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file beside the list."""

    name: str
    size: int
    sha256: str


class ExportedBrain(msgspec.Struct, frozen=True, kw_only=True):
    """One brain of an export; `files` in order, `projector` is what it sees with, `adapter` the LoRA that it puts on its base with
    that `scale`. `manifest` is left empty for shipped cartridges."""

    name: str
    files: tuple[ExportedFile, ...]
    projector: ExportedFile | None = None
    adapter: ExportedFile | None = None
    scale: Annotated[float, Meta(ge=-4, le=4)] = 1.0
    title: str = ""
    licence: str = ""
    prompt: str = ""
    template: str = ""
    parameters: dict[str, Any] = {}
    reference: str = ""
    manifest: str = ""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """The list `brains.json`, of version 2 where a brain has an adapter: without it the brain would be another one."""

    version: int
    brains: tuple[ExportedBrain, ...]


class ExportFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A list and where it lies."""

    folder: Path
    brains: tuple[ExportedBrain, ...]


def write_export(
    brains: Sequence[Brain], entries: Mapping[str, IndexEntry], manifests: Mapping[str, str], target: Path
) -> Generator[ExportEvent]:
    """Copy the files of `brains` to TARGET/brains and add them to the list there, block by block.

    `manifests` are the texts of cartridges that the other machine does not have. Raises UsageError for a brain that is
    not here, StorageError when the disk is full; the list is written last.
    """
    folder = target / FOLDER
    items: dict[str, ExportedBrain] = {}
    if (before := read_export(target)) is not None:
        items = {item.name: item for item in before.brains}
    need = 0
    for brain in brains:
        if brain.base is None or not brain.usable:
            raise UsageError(
                f"{brain.name} cannot be exported: {brain.reason or 'it is not on this machine'}.",
                hint=brain.command or f"omni pull {brain.name}",
            )
        if (projector := brain.base.projector) is not None and not projector.there:
            raise NotFound(
                f"{brain.name} cannot be exported: its projector {projector.path} is not there any more, or is another.",
                hint="Put it back, or do without it: "
                + (
                    f"omni pull {brain.base.path}"
                    if brain.base.origin != "blob"
                    else f"omni show --verify {brain.name}"
                ),
            )
        need += _size(brain, brain.base)
    with storing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        require_space(folder, need)
        done = 0
        for brain in brains:
            assert brain.base is not None
            writing = _write_one(brain, brain.base, entries.get(brain.name), manifests.get(brain.name, ""), folder)
            items[brain.name] = yield from _progress(writing, done, need, brain.name)
            done += _size(brain, brain.base)
    version = 2 if any(item.adapter for item in items.values()) else 1
    export = Export(version=version, brains=tuple(items.values()))
    write_atomic(folder / LIST, msgspec.json.format(msgspec.json.encode(export), indent=2), mode=0o644)
    yield Exported(folder=str(folder))


def _size(brain: Brain, base: Base) -> int:
    adapter = Path(brain.adapter.path).stat().st_size if brain.adapter is not None else 0
    return base.size + (base.projector.size if base.projector else 0) + adapter


def _progress(copying: Generator[int, None, T], done: int, total: int, what: str) -> Generator[PullProgress, None, T]:
    """The bytes that `copying` yields as events; returns what it returns."""
    with closing(copying):
        while True:
            try:
                done += next(copying)
            except StopIteration as end:
                return cast("T", end.value)
            yield PullProgress(done=done, total=total, what=what)


def _write_one(
    brain: Brain, base: Base, entry: IndexEntry | None, manifest: str, folder: Path
) -> Generator[int, None, ExportedBrain]:
    parts = base.parts
    names = [_file_name(base, Path(part), brain.shares or brain.name) for part in parts]
    files = []
    for part, name in zip(parts, names, strict=True):
        size, sha256 = yield from _blocks(Path(part), folder / name, mode=0o644)
        files.append(ExportedFile(name=name, size=size, sha256=sha256))
    actual = combined([file.sha256 for file in files])
    if base.sha256 is not None and actual != base.sha256:
        raise BadFile(f"{brain.name} is damaged: its sha256 is wrong.", hint=f"omni pull {brain.name}")
    return ExportedBrain(
        name=brain.name,
        files=tuple(files),
        projector=(yield from _write_projector(base, folder, Path(names[0]).stem)) if base.projector else None,
        adapter=(yield from _write_adapter(brain.name, brain.adapter, folder)) if brain.adapter else None,
        scale=brain.adapter.scale if brain.adapter else 1.0,
        title=brain.title,
        licence=brain.licence,
        prompt="" if brain.manifest else brain.prompt,
        template=base.template or "",
        parameters=base.parameters,
        reference=entry.reference if entry else "",
        manifest=manifest or (entry.manifest if entry else ""),
    )


def _write_projector(base: Base, folder: Path, model: str) -> Generator[int, None, ExportedFile]:
    """The projector, named after its model, so that other programs find it, too."""
    assert base.projector is not None
    name = f"mmproj-{model}.gguf"
    size, sha256 = yield from _blocks(Path(base.projector.path), folder / name, mode=0o644)
    if base.projector.sha256 not in (None, sha256):
        raise BadFile(
            f"{base.projector.path} is damaged: its sha256 is wrong.", hint="omni show --verify tells what to do."
        )
    return ExportedFile(name=name, size=size, sha256=sha256)


def _write_adapter(brain: str, adapter: BrainAdapter, folder: Path) -> Generator[int, None, ExportedFile]:
    """The adapter, named after its brain; names that only differ in marks have files of their own."""
    name = f"adapter-{slug(brain)}-{hashlib.sha256(brain.encode()).hexdigest()[:8]}.gguf"
    size, sha256 = yield from _blocks(Path(adapter.path), folder / name, mode=0o644)
    if adapter.sha256 not in (None, sha256):
        raise BadFile(f"{adapter.path} is damaged: its sha256 is wrong.", hint=f"omni show --verify {brain}")
    return ExportedFile(name=name, size=size, sha256=sha256)


def _file_name(base: Base, part: Path, brain: str) -> str:
    """Blobs get a name that people can read; files in several parts keep theirs, which llama.cpp reads."""
    if len(base.parts) > 1 or part.suffix.lower() == ".gguf":
        return part.name
    words = [slug(base.header.name) if base.header.name else slug(model_stem(brain.rpartition("/")[2]))]
    return "-".join([*words, base.header.quantisation or "model", base.id.rpartition("-")[2][:8]]) + ".gguf"


def read_export(place: Path) -> ExportFolder | None:
    """The list in a folder or in its `brains`, or None when there is none. Raises BadFile for a wrong one."""
    for folder in (place, place / FOLDER):
        path = folder / LIST
        if not path.is_file():
            continue
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadFile(f"{path} cannot be read: {error}.", hint="Export again.") from error
        located = read_json(data, FileSource(str(path), wrong=BadFile, hint="Export again."))
        version = located.value.get("version") if isinstance(located.value, dict) else None
        if isinstance(version, int) and version > VERSION:  # whatever else stands in it
            raise BadFile(f"{path} was written by a newer Omni.", hint="Update this Omni.")
        export = convert(located, Export)
        return ExportFolder(folder=folder, brains=export.brains)
    return None


def copy_in(home: Home, folder: Path, item: ExportedBrain) -> Base:
    """Copy one exported brain into the library's blobs, verified, whole or not at all. Raises BadFile for a wrong byte
    or a foreign path. Hold `pulling` of its `hashes`."""
    sha256 = combined([file.sha256 for file in item.files])
    target = home.blobs / f"sha256-{sha256}"
    new = not target.exists()
    base = _copied_in(home, folder, item, sha256)
    try:
        if item.adapter is not None and read_header(_copied_beside(home, folder, item.adapter)).kind != "adapter":
            raise BadFile(f"{folder / item.adapter.name} is no adapter.", hint="Export again.")
        if item.projector is None:
            return base
        path = _copied_beside(home, folder, item.projector)
    except BaseException:
        if new:
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        raise
    projector, blind = look(path, base.header, sha256=item.projector.sha256)
    return msgspec.structs.replace(base, projector=projector, blind=blind)


def adapter_place(home: Home, item: ExportedBrain) -> str:
    """Where the adapter of an exported brain lies when it was copied in; "" where it has none."""
    return str(home.blobs / f"sha256-{item.adapter.sha256}") if item.adapter is not None else ""


def hashes(item: ExportedBrain) -> list[str]:
    """The hashes that its files will be known by, each once. Raises BadFile where the list is none of Omni's."""
    if not item.files:
        raise BadFile(f"{item.name} has no files in this export.")
    beside = [each for each in (item.projector, item.adapter) if each is not None]
    for file in (*item.files, *beside):
        if not re.fullmatch("[0-9a-f]{64}", file.sha256):
            raise BadFile(f"{item.name} names no sha256 of {file.name}.", hint="This is no export of Omni's.")
        if file.name != os.path.basename(file.name) or file.name in ("", ".", ".."):  # noqa: PTH119 - a text, not a path
            raise BadFile(f"{item.name} names a file outside of its folder.", hint="This is no export of Omni's.")
    model = combined([file.sha256 for file in item.files])
    return [*dict.fromkeys((model, *(each.sha256 for each in beside)))]


@contextmanager
def _bringing(home: Home, sha256: str) -> Iterator[Path]:
    """A folder for files of an export until they are whole and take their places; then it is gone."""
    temporary = home.cartridges / "pulls" / sha256
    try:
        make_folder(temporary)
        make_folder(home.blobs)
        yield temporary
    except FileNotFoundError as error:
        raise NotFound(f"{error.filename} is missing in this export.") from error
    except OSError as error:
        raise storage_error(home.blobs, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _copied_beside(home: Home, folder: Path, file: ExportedFile) -> Path:
    target = home.blobs / f"sha256-{file.sha256}"
    with _bringing(home, file.sha256) as temporary:
        _copy_whole(folder, file, temporary).replace(target)
    return target


def _copied_in(home: Home, folder: Path, item: ExportedBrain, sha256: str) -> Base:
    target = home.blobs / f"sha256-{sha256}"
    with _bringing(home, sha256) as temporary:
        first, *more = [_copy_whole(folder, file, temporary) for file in item.files]
        inspect(first)
        if not more:
            first.replace(target)
        else:
            if target.exists():
                shutil.rmtree(target)
            sync(temporary)  # else the name could outlive the names in it
            temporary.replace(target)
    base = blob_base(sha256, target / first.name if more else target, template=item.template or "")
    return msgspec.structs.replace(base, parameters=item.parameters)


def _copy_whole(folder: Path, file: ExportedFile, temporary: Path) -> Path:
    target = temporary / file.name
    if _copy(folder / file.name, target) != (file.size, file.sha256):
        raise BadFile(f"{folder / file.name} is damaged: its sha256 is wrong.", hint="Copy the export again.")
    return target


def _copy(source: Path, target: Path) -> tuple[int, str]:
    """Copy by temporary file and rename; returns size and sha256 of what was read."""
    blocks = _blocks(source, target, mode=FILE)
    while True:
        try:
            next(blocks)
        except StopIteration as end:
            size, sha256 = end.value
            return size, sha256


def _blocks(source: Path, target: Path, *, mode: int) -> Generator[int, None, tuple[int, str]]:
    """The same block by block; yields the bytes of each."""
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as read, replacing(target, mode=mode) as write:
        while block := read.read(_BLOCK):
            digest.update(block)
            write.write(block)
            size += len(block)
            yield len(block)
    return size, digest.hexdigest()
