"""What the person brings: files and folders that are used where they lie, and exports, which are copied in."""

import asyncio
import os
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from omni.cartridges import _naming as naming
from omni.cartridges._adapter_bases import base_for
from omni.cartridges._catalog import Catalog, blob_base
from omni.cartridges.brains import Base, Brain, licence_name
from omni.cartridges.exports import ExportedBrain, ExportFolder, adapter_place, copy_in, hashes, read_export
from omni.cartridges.finders import find_folders
from omni.cartridges.gguf import read_header
from omni.cartridges.holds import in_thread, pulling
from omni.cartridges.index import IndexEntry
from omni.cartridges.inspection import inspect
from omni.cartridges.judging import judge_header
from omni.cartridges.projectors import beside
from omni.cartridges.pulling import hash_files
from omni.cartridges.scanning import base_of
from omni.cartridges.stores import ForeignModel, Surroundings
from omni.core.errors import BadFile, NotFound, OmniError, UsageError
from omni.core.files import make_folder, storing, sync


class Importer:
    """Adds to a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def _name_of(self, path: Path, base_id: str) -> str:
        """What a file of the person's is called: as before, else by its own name."""
        _, entries = await self._catalog.index.load()
        for entry in entries:
            if entry.kind == "added" and entry.path == str(path):
                return entry.name
        return _free_name("@me/" + naming.slug(path.name), base_id, entries, await self._catalog.manifests())

    async def add(self, path: str | os.PathLike[str], base: str = "") -> list[Brain]:
        """See `Library.add_all`."""
        place = Path(path)
        there, export, paths, problem = await asyncio.to_thread(_look, place)
        if not there:
            raise NotFound(f"There is no file or folder {place}.")
        if export is not None:
            return await self._import(export)
        brains: list[Brain] = []
        failure: OmniError | None = None
        for each in paths:
            try:
                brains.append(await self._add_file(each, base))
            except OmniError as error:
                failure = error
        if not brains:
            raise failure or problem or NotFound(f"{place} holds no GGUF file.")
        return brains

    async def adopt(self, path: Path, name: str, like: Brain) -> Brain:
        """See `Library.adopt`."""
        sha256 = await asyncio.to_thread(_sha256, path)
        blob = self._catalog.home.blobs / f"sha256-{sha256}"
        async with in_thread(pulling(self._catalog.home, sha256)) as ours:
            if not ours:
                raise UsageError(f"{name} is being fetched by another Omni now.", hint="Wait for its end.")
            await asyncio.to_thread(_give_name, path, blob)
            base = await asyncio.to_thread(blob_base, sha256, blob, template=(like.base and like.base.template) or "")
            if like.base is not None:
                base = msgspec.structs.replace(base, projector=like.base.projector, parameters=like.base.parameters)
            entry = IndexEntry(
                name=name,
                kind="pulled",
                base=base.id,
                title=f"{like.title or like.name}, {base.header.quantisation}",
                origin="blob",
                path=base.path,
                size=base.size,
                prompt=like.prompt,
                licence=like.licence,
                parameters=like.sampling,
            )
            await self._catalog.index.put(base, entry, verified=self._catalog.clock.now())
        return await self._catalog.get(name)

    async def put_adapter(
        self, path: Path, name: str, base: str, *, title: str = "", licence: str = "", reference: str = ""
    ) -> Brain:
        """Make the brain `name` of the adapter at `path` and the brain `base`, or the one that its header names.

        A blob is ours from now on, another file is used where it lies. Raises as `base_for` does, NotFound for an unknown
        `base`, and UsageError for a name that another brain has.
        """
        wanted = await self._catalog.get(base) if base else None
        brains = await self._catalog.brains()
        header = await asyncio.to_thread(read_header, path)
        host = await asyncio.to_thread(base_for, reference or str(path), path, header, brains, wanted)
        assert host.base is not None
        other = next((one for one in brains if one.name == name and one.base is not None), None)
        if other is not None and other.base is not None and other.base.id != host.base.id:
            raise _elsewhere(name, other.shares or other.name, host)
        ours = path.parent == self._catalog.home.blobs
        entry = IndexEntry(
            name=name,
            kind="pulled" if ours else "added",
            base=host.base.id,
            title=title or header.name or path.stem,
            origin="blob" if ours else "file",
            path=str(path),
            size=header.file_bytes,
            licence=licence or licence_name(header.licence) or host.licence,
            adapter=str(path),
            reference=reference,
        )
        if (first := await self._catalog.index.put_unless_elsewhere(entry)) is not None:  # somebody was faster
            on = next((one.name for one in brains if one.base is not None and one.base.id == first.base), first.base)
            raise _elsewhere(name, on, host)
        return await self._catalog.get(name)

    async def _add_file(self, path: Path, host: str) -> Brain:
        inspected = await asyncio.to_thread(inspect, path)
        if inspected.header.kind == "adapter":
            name = await self._name_of(path, "")
            return await self.put_adapter(path, name, host)
        if host:
            raise UsageError(f"{path.name} is no adapter, and goes on no other brain.", hint=f"omni pull {path}")
        if inspected.header.kind not in ("model", "embedding", "reranker"):
            verdict = judge_header(inspected.header, None)
            raise BadFile(f"{path.name} cannot be a brain: it is {verdict.reason if verdict else 'something else'}.")
        projector = await asyncio.to_thread(_projector, path)
        find = ForeignModel(name=path.name, origin="file", path=str(path), projector=projector)
        base = await asyncio.to_thread(base_of, find, inspected)
        name = await self._name_of(path, base.id)
        await self._catalog.index.put(
            base, IndexEntry(name=name, kind="added", base=base.id, path=str(path), size=base.size)
        )
        return await self._catalog.get(name)

    async def _import(self, export: ExportFolder) -> list[Brain]:
        names = []
        for item in export.brains:
            async with AsyncExitStack() as held:  # until the index knows of them: nobody throws them away meanwhile
                for sha256 in hashes(item):
                    if not await held.enter_async_context(in_thread(pulling(self._catalog.home, sha256))):
                        raise UsageError(f"{item.name} is being fetched by another Omni now.", hint="Wait for its end.")
                await self._put(item, await asyncio.to_thread(copy_in, self._catalog.home, export.folder, item))
            names.append(item.name)
        return [await self._catalog.get(name) for name in names]

    async def _put(self, item: ExportedBrain, base: Base) -> None:
        entry = IndexEntry(
            name=item.name,
            kind="pulled",
            base=base.id,
            title=item.title,
            origin="blob",
            path=base.path,
            size=base.size,
            prompt=item.prompt,
            licence=item.licence,
            reference=item.reference,
            manifest=item.manifest,
            adapter=adapter_place(self._catalog.home, item),
            scale=item.scale,
        )
        await self._catalog.index.put(base, entry, verified=self._catalog.clock.now())


def _elsewhere(name: str, on: str, host: Brain) -> UsageError:
    """The error for an adapter whose name another brain has, which stands on the base of the brain `on`."""
    return UsageError(
        f"{name} is here already, on the base of {on}, and would go on that of {host.name} now.",
        hint=f"Take it off first: `omni rm {name}`.",
    )


def _sha256(path: Path) -> str:
    *_, (_, sha256) = hash_files([str(path)])
    return sha256


def _give_name(path: Path, blob: Path) -> None:
    """Let a whole file be the blob of its hash, too: whoever made it takes the other name away when the index knows of it."""
    with storing(blob):
        make_folder(blob.parent)
        if not blob.exists():
            sync(path)
            blob.hardlink_to(path)
            sync(blob.parent)


def _free_name(name: str, base_id: str, entries: Sequence[IndexEntry], manifests: Collection[str]) -> str:
    taken = {entry.name for entry in entries if entry.base != base_id} | set(manifests)
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _projector(path: Path) -> str:
    """The projector beside a file."""
    try:
        return beside(str(path), [str(other) for other in path.parent.iterdir()])
    except OSError:
        return ""


def _look(place: Path) -> tuple[bool, ExportFolder | None, list[Path], BadFile | None]:
    """Whether something is at `place`, the export that it is, else the models that it holds and what keeps one away."""
    place = Path(os.path.abspath(os.path.expanduser(place)))
    if not place.is_dir():
        return place.exists(), None, [place], None  # what is there and no model is refused when it is opened
    if (export := read_export(place)) is not None:
        return True, export, [], None
    finds = list(find_folders(Surroundings(environment={}, user=place, folders=(place,))))
    problems = [
        BadFile(f"{each.name} cannot be added: {each.reason}.", hint=each.command) for each in finds if each.problem
    ]
    return True, None, [Path(each.path) for each in finds if not each.problem], next(iter(problems), None)
