"""What is checked, and what is thrown away: never what is in use, never what belongs to another program."""

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator, Collection
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from omni.cartridges._catalog import Catalog
from omni.cartridges.brains import Base, Brain, PullVerifying, Unfinished, Verified, VerifyEvent
from omni.cartridges.holds import claim, in_thread, pulling
from omni.cartridges.index import BaseRecord, IndexEntry
from omni.cartridges.manifest import Facts
from omni.cartridges.projectors import Projector
from omni.cartridges.pulling import collect_unfinished, combined, hash_files, unfinished
from omni.core.errors import NotFound, UsageError
from omni.core.paths import Home


class Maintenance:
    """Looks after a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def verify(self, name: str) -> AsyncGenerator[VerifyEvent, None]:
        """See `Library.verify`."""
        brain = await self._catalog.get(name)
        if brain.base is None:
            raise NotFound(
                f"{brain.name} is not on this machine, so there is nothing to verify.",
                hint=brain.command or f"omni pull {brain.name}",
            )
        bases, _ = await self._catalog.index.load()
        record = bases[brain.base.id]
        steps, hashes = hash_files(record.base.parts), list[str]()
        total = await asyncio.to_thread(_total, record.base.parts)
        try:
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                done, finished = step
                hashes += [finished] if finished else []
                yield PullVerifying(done=done, total=total)
        except OSError as error:
            raise NotFound(f"{record.base.path} cannot be read: {error.strerror}.", hint=brain.command) from error
        projector = record.base.projector
        if (
            projector is not None
            and projector.sha256
            and await asyncio.to_thread(_hash, projector.path) != projector.sha256
        ):
            reason = "its projector's bytes are not what they were; `omni rm` and `omni pull` bring it anew"
            await self._drop_projector(projector, reason)
            blind = msgspec.structs.replace(record.base, projector=None, blind=reason)
            model = await self._conclude(brain, msgspec.structs.replace(record, base=blind), combined(hashes))
            yield Verified(brain=brain.name, ok=False, detail=reason if model.ok else f"{model.detail}; {reason}")
            return
        verified = await self._conclude(brain, record, combined(hashes))
        if verified.ok and brain.adapter is not None and brain.adapter.sha256:
            actual = await asyncio.to_thread(_hash, brain.adapter.path)
            if actual != brain.adapter.sha256:
                reason = f"its adapter {brain.adapter.path} is not what it was; `omni rm` and `omni pull` bring it anew"
                verified = Verified(brain=brain.name, ok=False, detail=reason)
        yield verified

    async def _drop_projector(self, projector: Projector, reason: str) -> None:
        """Take a projector from all bases that see with it, and its file away where it is ours."""
        home, blob = self._catalog.home, f"sha256-{projector.sha256}"
        bases, _ = await self._catalog.index.load()
        for base_id, record in bases.items():
            if record.base.projector is not None and record.base.projector.path == projector.path:
                await self._catalog.index.drop_projector(base_id, record.base.projector, reason)
        async with in_thread(pulling(home, str(projector.sha256))) as alone:  # else it is being brought anew just now
            if alone and Path(projector.path) == home.blobs / blob:
                await asyncio.to_thread(_delete_path, home.blobs / blob)

    async def _conclude(self, brain: Brain, record: BaseRecord, actual: str) -> Verified:
        base = record.base
        if base.sha256 is not None and actual != base.sha256:
            reason = f"its bytes are not what they were: sha256 {actual[:12]}… instead of {base.sha256[:12]}…"
            await self._catalog.index.mark(base.id, corrupt=reason, ready=False)
            return Verified(brain=brain.name, ok=False, detail=reason)
        verdict = record.verdict or ("sha256 checked" if base.sha256 else "sha256 recorded")
        if base.sha256 is None:
            await self._catalog.index.put(msgspec.structs.replace(base, sha256=actual))
        now = self._catalog.clock.now()
        await self._catalog.index.mark(base.id, verified=now, corrupt="", unloadable="", verdict=verdict)
        return Verified(brain=brain.name, ok=True, detail=f"sha256 {actual}")

    async def remove(self, name: str, *, in_use: Collection[str]) -> int:
        """See `Library.remove`."""
        brain = await self._catalog.get(name)
        bases, entries = await self._catalog.index.load()
        entry = next((entry for entry in entries if entry.name == brain.name), None)
        if (adapter := await self._own_adapter(brain, entry)) is not None:
            if entry is not None:
                await self._catalog.index.forget(entries=[brain.name])
                freed = await self._collect(adapter, in_use) if adapter else 0
                return freed + await self._collect_base(brain, in_use)
            return await self._collect(adapter, in_use, but=brain.name)  # another brain may stand on it, too
        if brain.shares:
            raise UsageError(
                f"{brain.name} has no file of its own; it shares that of {brain.shares}.",
                hint=f"omni rm {brain.shares}",
            )
        foreign = brain.base is not None and brain.base.origin not in ("blob", "file")
        if brain.state != "gone" and ((entry is not None and entry.kind == "found") or (entry is None and foreign)):
            raise UsageError(f"{brain.name} belongs to {brain.origin}; Omni only uses it.", hint=_elsewhere(brain))
        if brain.state == "available" or (entry is None and brain.base is None):
            raise NotFound(f"{brain.name} is not on this machine.")
        base_id = brain.base.id if brain.base is not None else (entry.base if entry else "")
        others = [other for other in entries if other.base == base_id and other.name != brain.name]
        if others and all(
            other.adapter for other in others
        ):  # nobody else would be left who could be asked for the weights
            raise UsageError(
                f"{brain.name} cannot be removed: {others[0].name} is an adapter that goes on it.",
                hint=f"omni rm {others[0].name}",
            )
        alone = not others
        blob = brain.base if brain.base is not None and brain.base.origin == "blob" and alone else None
        async with AsyncExitStack() as stack:
            if blob is not None:
                free = await stack.enter_async_context(in_thread(claim(self._catalog.home, base_id)))
                if base_id in in_use or not free:
                    raise UsageError(f"{brain.name} is in use.", hint="Stop it first: omni stop")
                freed = await asyncio.to_thread(_delete, blob)
            else:
                freed = 0
            await self._catalog.index.forget(
                entries=[brain.name], bases=[base_id] if alone and base_id in bases else []
            )
        if blob is not None and blob.projector is not None and blob.projector.sha256:
            freed += await self._collect(f"sha256-{blob.projector.sha256}", in_use)
        return freed

    async def _collect_base(self, brain: Brain, in_use: Collection[str]) -> int:
        """Remove the base of an adapter that is gone, where it came with it in an export and no other brain stands on it."""
        base = brain.base
        if base is None or base.origin != "blob" or base.id in await self._needed():
            return 0
        freed = await self._collect(base.id, in_use)
        if base.projector is not None and base.projector.sha256:
            freed += await self._collect(f"sha256-{base.projector.sha256}", in_use)
        if freed:
            await self._catalog.index.forget(bases=[base.id])
        return freed

    async def _own_adapter(self, brain: Brain, entry: IndexEntry | None) -> str | None:
        """The name of the blob that a brain has of its own on the base of another one: an adapter that was fetched for it, or
        that a person added ("": the file is the person's). None where it has none."""
        if entry is not None and entry.kind != "found" and entry.adapter:
            return Path(entry.adapter).name if entry.kind == "pulled" else ""
        manifest = (await self._catalog.manifests()).get(brain.name)
        if manifest is None or manifest.adapter is None or not brain.shares:
            return None
        place = self._catalog.adapter_place(manifest.name, manifest.adapter)
        return place.name if place.parent == self._catalog.home.blobs and place.is_file() else None

    async def collect(self, in_use: Collection[str]) -> int:
        """See `Library.collect`."""
        home = self._catalog.home
        freed = await asyncio.to_thread(collect_unfinished, home)
        for name in await asyncio.to_thread(_blobs, home):
            freed += await self._collect(name, in_use)
        bases, _ = await self._catalog.index.load()
        lost = await asyncio.to_thread(_lost, bases)
        await self._catalog.index.forget(bases=lost - await self._needed())
        return freed

    async def _collect(self, name: str, in_use: Collection[str], *, but: str = "") -> int:
        """Remove one blob that nobody needs, `but` for the adapter that this cartridge names; returns the bytes that were freed."""
        home = self._catalog.home
        # A pull holds its lock until the index knows of its blob: what is needed is asked with the lock in hand.
        sha256 = name.removeprefix("sha256-")
        async with in_thread(pulling(home, sha256)) as idle, in_thread(claim(home, name)) as free:
            if idle and free and name not in await self._needed(but) | set(in_use):
                return await asyncio.to_thread(_delete_path, home.blobs / name)
        return 0

    async def _needed(self, but: str = "") -> set[str]:
        """The ids of the bases that a brain stands on, and those of their projectors and adapters, but for that of one cartridge."""
        bases, entries = await self._catalog.index.load()
        manifests = await self._catalog.manifests()
        facts = [manifest.base for manifest in manifests.values() if isinstance(manifest.base, Facts)]
        needed = {entry.base for entry in entries} | {f"sha256-{each.sha256}" for each in facts if each.sha256}
        named = {name: manifest.adapter for name, manifest in manifests.items()}
        tables = [adapter for name, adapter in named.items() if adapter is not None and name != but]
        adapters = {f"sha256-{each.sha256}" for each in tables} | {
            Path(entry.adapter).name for entry in entries if entry.adapter
        }
        projectors = [bases[base].base.projector for base in needed if base in bases]
        eyes = {f"sha256-{each.sha256}" for each in projectors if each is not None and each.sha256}
        return needed | eyes | adapters

    async def unfinished(self) -> list[Unfinished]:
        """What interrupted pulls left."""
        return await asyncio.to_thread(unfinished, self._catalog.home)


def _total(paths: Collection[str]) -> int:
    return sum(path.stat().st_size for path in map(Path, paths) if path.exists())


def _hash(path: str) -> str:
    """The sha256 of a file, "" when it is not there."""
    try:
        *_, (_, sha256) = hash_files([path])
    except OSError:
        return ""
    return sha256


def _blobs(home: Home) -> list[str]:
    names = [path.name for path in home.blobs.iterdir()] if home.blobs.is_dir() else []
    return sorted(name for name in names if re.fullmatch(r"sha256-[0-9a-f]{64}", name))


def _lost(bases: dict[str, BaseRecord]) -> set[str]:
    """The bases whose files are not there."""
    return {base_id for base_id, record in bases.items() if not Path(record.base.path).exists()}


def _delete(base: Base) -> int:
    path = Path(base.path)
    return _delete_path(path.parent if len(base.parts) > 1 else path)


def _delete_path(path: Path) -> int:
    if path.is_dir():
        size = sum(part.stat().st_size for part in path.iterdir())
        shutil.rmtree(path)
        return size
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    return size


def _elsewhere(brain: Brain) -> str:
    if brain.origin == "ollama":
        return f"ollama rm {brain.name}"
    return f"Remove the file yourself: {brain.base.path}" if brain.base else f"It is in {brain.origin}."
