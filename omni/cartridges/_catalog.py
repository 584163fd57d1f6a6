"""What the library is made of: its index, its manifests and what is on the disk. The rooms of the library share it."""

import asyncio
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from omni.cartridges import _naming as naming
from omni.cartridges._adapters import AdapterFile, Adapters
from omni.cartridges._repository import Repository
from omni.cartridges.brains import Base, Brain, BrainAdapter, Origin
from omni.cartridges.index import BaseRecord, Index, IndexEntry
from omni.cartridges.inspection import inspect, stamp
from omni.cartridges.manifest import AdapterTable, Facts, Manifest, manifest_files
from omni.cartridges.ollama import find_ollama
from omni.cartridges.scanning import Scan
from omni.cartridges.stores import ForeignModel, Surroundings
from omni.cartridges.templates import spare_template
from omni.core.clock import Clock
from omni.core.errors import OmniError
from omni.core.paths import Home, resources

_OWN: tuple[Origin, ...] = ("blob", "file", "folder")  # where brains lie that no other program keeps


class Catalog:
    """The brains of one home, as they are now."""

    def __init__(
        self,
        home: Home,
        *,
        clock: Clock,
        shipped: Path | None,
        surroundings: Surroundings,
    ) -> None:
        self.home, self.clock, self.surroundings = home, clock, surroundings
        self.index = Index(home.library)
        self._shipped = shipped
        self._manifests: dict[str, Manifest] | None = None
        self._files: dict[str, Path] = {}
        self._adapters = Adapters()
        self._look: tuple[object, ...] | None = None
        self._brains: list[Brain] = []
        self._wrong: list[Brain] = []

    async def brains(self) -> list[Brain]:
        """All brains, in the order in which they are shown. Cheap while neither the index nor a file has changed."""
        bases, entries = await self.index.load()
        manifests = await self.manifests()
        version = self.index.version
        glance = await asyncio.to_thread(self._glance, bases, manifests, entries)
        look = None if glance is None else (version, self.surroundings.others, *glance)
        if look is None or look != self._look:
            brains = [*(await self.repository()).brains(), *self._wrong]
            self._look, self._brains = look, brains
        return list(self._brains)

    async def get(self, name: str) -> Brain:
        """One brain by its name (`@omni/coder`, also `coder` where that is clear; `llama3.2:3b`; `hf.co/…`).

        Raises NotFound with the nearest name and, for a name in Ollama's form, the form for the hub.
        """
        brains = {brain.name: brain for brain in await self.brains()}
        if full_name := naming.find(name, brains):
            return brains[full_name]
        if self.surroundings.others and naming.ollama_form(
            name
        ):  # perhaps it came to Ollama's store after the last look around
            await self.take_in(find_ollama(self.surroundings))
            brains = {brain.name: brain for brain in await self.brains()}
            if full_name := naming.find(name, brains):
                return brains[full_name]
        raise naming.not_found(name, brains.values())

    async def manifests(self) -> dict[str, Manifest]:
        """Shipped cartridges and the person's own."""
        if self._manifests is None:
            self._manifests = await asyncio.to_thread(self._load_manifests)
        return self._manifests

    async def own_texts(self, names: Iterable[str]) -> dict[str, str]:
        """The `cartridge.toml` of those brains that are neither shipped with Omni nor without one."""
        await self.manifests()
        own = {name: self._files[name] for name in names if name in self._files}
        own = {name: path for name, path in own.items() if path.is_relative_to(self.home.cartridges / "own")}
        return await asyncio.to_thread(lambda: {name: path.read_text("utf-8") for name, path in own.items()})

    async def texts(self, name: str) -> tuple[Path | None, Path | None]:
        """See `Library.texts`."""
        manifest = (await self.manifests()).get(name)
        if manifest is None:
            return None, None
        folder = self._files[name].parent
        paths = [folder / file if file else None for file in (manifest.texts.examples, manifest.texts.held)]
        examples, held = await asyncio.to_thread(lambda: [path if path and path.is_file() else None for path in paths])
        return examples, held

    def _note_wrong(self, path: Path, error: OmniError) -> None:
        """A cartridge of the person's that is wrong is listed with what is wrong, and hides no other brain."""
        name = "own/" + path.parent.name.encode("unicode_escape").decode()
        reason = f"{error.message} {error.hint}".strip()
        self._wrong.append(Brain(name=name, state="unreadable", origin="file", reason=reason))

    def _load_manifests(self) -> dict[str, Manifest]:
        manifests = manifest_files(self._shipped or resources("cartridges"))
        manifests |= manifest_files(self.home.cartridges / "own", self._note_wrong)
        self._files = {name: path for name, (path, _) in manifests.items()}
        return {name: manifest for name, (_, manifest) in manifests.items()}

    async def take_in(self, finds: Iterable[ForeignModel]) -> None:
        """Put what the finders see into the index; runs them in a thread."""
        _, entries = await self.index.load()
        cache = await self.index.headers()
        mine = [entry.path for entry in entries if entry.kind == "added"]
        scan = Scan(cache, own=self.home.cartridges, known=mine)
        pairs = await asyncio.to_thread(lambda: scan.run(finds))
        await self.index.put_headers(scan.fresh)
        await self.index.replace_found(pairs)

    async def repository(self) -> Repository:
        """Everything at this moment."""
        bases, entries = await self.index.load()
        manifests = await self.manifests()
        known = {record.base.sha256 for record in bases.values()}
        fresh = await asyncio.to_thread(self._unlisted_blobs, manifests, known)
        for base in fresh:  # the index was lost, the files were not
            await self.index.put(base)
            bases[base.id] = BaseRecord(base=base)
        if not self.surroundings.others:  # what was found when the person wanted it is still in the index
            entries = [entry for entry in entries if entry.kind != "found" or entry.origin in _OWN]
            bases = {base_id: record for base_id, record in bases.items() if record.base.origin in _OWN}
        adapters = await asyncio.to_thread(self._adapter_files, manifests, entries)
        repository = Repository(manifests, bases, entries, adapters=adapters)
        await asyncio.to_thread(repository.judge_all)
        return repository

    def adapter_place(self, name: str, table: AdapterTable) -> Path:
        """Where the adapter of a cartridge lies, or will when it is fetched."""
        beside = (self._files[name].parent / table.file).absolute()
        return self.home.blobs / f"sha256-{table.sha256}" if table.remote and not beside.is_file() else beside

    def _adapter_files(
        self, manifests: Mapping[str, Manifest], entries: Iterable[IndexEntry]
    ) -> dict[str, AdapterFile]:
        """The adapters of all brains that have one, by their names. Blocking."""
        files = {}
        for entry in entries:
            if entry.adapter:
                path = Path(entry.adapter)
                sha256 = path.name.removeprefix("sha256-") if path.parent == self.home.blobs else None
                files[entry.name] = self._adapters.look_at(
                    BrainAdapter(path=entry.adapter, scale=entry.scale, sha256=sha256), known=True
                )
        for name, manifest in manifests.items():
            if (table := manifest.adapter) is not None:
                path = self.adapter_place(name, table)
                if table.remote and not path.is_file():
                    files[name] = AdapterFile(problem="its adapter is not here yet", remote=True)
                else:
                    adapter = BrainAdapter(path=str(path), scale=table.scale, sha256=table.sha256)
                    files[name] = self._adapters.look_at(adapter, known=path.parent == self.home.blobs)
        return files

    def _glance(
        self, bases: Mapping[str, BaseRecord], manifests: Mapping[str, Manifest], entries: Iterable[IndexEntry]
    ) -> tuple[tuple[object, ...], ...] | None:
        """What there is of the files, to be compared with a look before; None where one has to look closer."""
        states: list[tuple[object, ...]] = []
        try:
            for record in bases.values():
                for part in record.base.parts:
                    seen = Path(part).stat()
                    states.append((part, seen.st_size, seen.st_mode, seen.st_uid, os.access(part, os.R_OK)))
        except OSError:
            return None
        tables = [(name, manifest.adapter) for name, manifest in manifests.items() if manifest.adapter is not None]
        paths = [self.adapter_place(name, table) for name, table in tables]
        for path in (*paths, *(Path(entry.adapter) for entry in entries if entry.adapter)):
            try:
                states.append((stamp(path),))
            except OSError:
                states.append((str(path),))
        known = {record.base.sha256 for record in bases.values()}
        for manifest in manifests.values():
            sha256 = manifest.base.sha256 if isinstance(manifest.base, Facts) else None
            if sha256 and sha256 not in known and (self.home.blobs / f"sha256-{sha256}").is_file():
                return None
        return tuple(states)

    def _unlisted_blobs(self, manifests: Mapping[str, Manifest], known: Collection[str | None]) -> list[Base]:
        bases = []
        for manifest in manifests.values():
            facts = manifest.base
            sha256 = facts.sha256 if isinstance(facts, Facts) else None
            path = self.home.blobs / f"sha256-{sha256}"
            if sha256 and sha256 not in known and path.is_file():
                try:
                    bases.append(blob_base(sha256, path))
                except OmniError:  # not what its name says: a pull mends it
                    continue
        return bases


def blob_base(sha256: str, path: Path, *, template: str = "") -> Base:
    """The base of a blob of ours. Raises NotFound and BadFile as reading its header does."""
    inspected = inspect(path)
    return Base(
        id=f"sha256-{sha256}",
        path=inspected.parts[0],
        parts=inspected.parts,
        size=inspected.size,
        header=inspected.header,
        origin="blob",
        sha256=sha256,
        template=template or spare_template(inspected.header) or None,
    )
