"""What `omni pull` does: find out what a name stands for, fetch it once, and put it into the index."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from omni.cartridges import _naming as naming
from omni.cartridges._access import AirlockAccess, Fetcher
from omni.cartridges._adapter_bases import check_here
from omni.cartridges._catalog import Catalog, blob_base
from omni.cartridges._hub import HubSource, resolve_hub, resolve_hub_base
from omni.cartridges._importer import Importer
from omni.cartridges._package_index import resolve_package
from omni.cartridges.brains import Base, Brain, PullDone, PullEvent, PullProgress, PullStarted
from omni.cartridges.gguf import read_header
from omni.cartridges.holds import in_thread, pulling
from omni.cartridges.index import IndexEntry
from omni.cartridges.inspection import inspect
from omni.cartridges.judging import judge
from omni.cartridges.manifest import AdapterTable, CartridgeBase, HubBase, Manifest, PackageBase, UrlBase
from omni.cartridges.projectors import look
from omni.cartridges.pulling import FetchedModel, Fetching, bytes_here
from omni.cartridges.sources import Access, Resolved, Source, UrlSource, resolve_url
from omni.core.errors import BadFile, OmniError, UsageError

if TYPE_CHECKING:
    from omni.core.plugins import Plugins
    from omni.hardware import Budget

SOURCES: tuple[Source, ...] = (HubSource(), UrlSource())  # Omni's own; those of plug-ins are asked before
_WAIT = 0.2  # seconds between two looks at a pull of another process


class Puller:
    """Pulls into a catalog. `budget` tells what brains may use; asked only when a quantisation is chosen."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        plugins: "Plugins | None",
        environment: Mapping[str, str],
        budget: "Callable[[], Awaitable[Budget]]",
    ) -> None:
        self._catalog, self._plugins, self._environment, self._budget = catalog, plugins, environment, budget

    async def pull(self, name: str, airlock: Fetcher, *, base: str = "") -> AsyncGenerator[PullEvent, None]:
        """See `Library.pull`; paths are not meant here."""
        manifest = await self._manifest_for(name)
        if manifest is not None and base:
            raise UsageError(f"{manifest.name} says itself what its base is.", hint=f"omni pull {manifest.name}")
        if base:
            check_here(name, await self._catalog.get(base))
        table = manifest.adapter if manifest is not None else None
        async with aclosing(self._pull(name, manifest, airlock, base)) as events:
            async for event in events:
                if manifest is None or table is None or not table.remote or not isinstance(event, PullDone):
                    yield event
                    continue
                fresh = event.fresh
                access = AirlockAccess(airlock, environment=self._environment)
                async with aclosing(self._fetch_adapter(manifest, table, access)) as steps:
                    async for step in steps:
                        fresh = True
                        yield step
                yield PullDone(brain=await self._catalog.get(manifest.name), fresh=fresh)

    async def _pull(
        self, name: str, manifest: Manifest | None, airlock: Fetcher, base: str
    ) -> AsyncGenerator[PullEvent, None]:
        """A brain without the adapter of its cartridge."""
        if manifest is not None and isinstance(manifest.base, CartridgeBase):
            async with aclosing(self._pull_role(manifest, manifest.base, airlock)) as events:
                async for event in events:
                    yield event
            return
        if (brain := await self._here(manifest.name if manifest is not None else name, base)) is not None:
            yield PullDone(brain=brain, fresh=False)
            return
        budget = await self._budget() if manifest is None else None
        access = AirlockAccess(airlock, budget=budget, environment=self._environment)
        resolved = msgspec.structs.replace(await self._resolve(name, manifest, access), base=base)
        if base:
            _check_may_be_adapter(resolved, await self._catalog.get(base))
        async with aclosing(self._fetch(resolved, manifest, access)) as steps:
            async for event in steps:
                yield event

    async def _here(self, name: str, base: str) -> Brain | None:
        """The brain of this name when it can be used as it is, wherever it lies, and goes on the `base` that is wanted."""
        brains = {brain.name: brain for brain in await self._catalog.brains()}
        full_name = naming.find(name, brains)
        brain = brains[full_name] if full_name is not None else None
        if base and brain is not None:
            wanted = await self._catalog.get(base)
            if brain.base is None or wanted.base is None or brain.base.id != wanted.base.id:
                return None
        return brain if brain is not None and (brain.askable or _lacks_adapter(brain)) else None

    async def _fetch_adapter(
        self, manifest: Manifest, table: AdapterTable, access: Access
    ) -> AsyncGenerator[PullEvent, None]:
        """The adapter of a cartridge that is not beside it; nothing where it is here. Raises BadFile for another one."""
        place = self._catalog.adapter_place(manifest.name, table)
        if await asyncio.to_thread(place.is_file):
            return
        name = f"the adapter of {manifest.name}"
        if table.url:
            resolved = resolve_url(table.url, sha256=table.sha256)
        else:
            resolved = await resolve_hub(
                table.repository, access, file=table.file, revision=table.revision, projector=""
            )
            if resolved.sha256 not in (None, table.sha256):
                raise BadFile(
                    f"{table.repository} holds another {table.file} than the one that {manifest.name} was made with.",
                    hint="Whoever made the cartridge has to name its new sha256, or the revision that had the old one.",
                )
        resolved = msgspec.structs.replace(resolved, name=name, sha256=table.sha256)
        fetching = Fetching(self._catalog.home, resolved, access, self._catalog.clock)
        yield PullStarted(brain=manifest.name, size=fetching.total)
        while True:
            async with in_thread(pulling(self._catalog.home, fetching.key)) as ours:
                if ours and not await asyncio.to_thread(place.is_file):
                    async with aclosing(fetching.run()) as steps:
                        async for step in steps:
                            if not isinstance(step, FetchedModel):
                                yield (
                                    msgspec.structs.replace(step, what="the adapter")
                                    if isinstance(step, PullProgress)
                                    else step
                                )
                if ours:
                    return
            yield PullProgress(done=0, total=fetching.total, what="another Omni is fetching the adapter")
            await asyncio.sleep(_WAIT)

    async def _manifest_for(self, name: str) -> Manifest | None:
        manifests = await self._catalog.manifests()
        full_name = naming.find(name, manifests)
        return manifests[full_name] if full_name is not None else None

    async def _pull_role(
        self, manifest: Manifest, base: CartridgeBase, airlock: Fetcher
    ) -> AsyncGenerator[PullEvent, None]:
        """A brain that borrows its base needs nothing when there is one, else the one that it prefers."""
        brain = await self._catalog.get(manifest.name)
        wanted = base.name if base.name != "any" else next(iter(base.prefer), "")
        if brain.usable or _lacks_adapter(brain) or not wanted:
            yield PullDone(brain=brain, fresh=False)
            return
        async with aclosing(self.pull(wanted, airlock)) as events:
            async for event in events:
                if isinstance(event, PullDone):
                    yield PullDone(brain=await self._catalog.get(manifest.name), fresh=event.fresh)
                else:
                    yield event

    async def _resolve(self, name: str, manifest: Manifest | None, access: Access) -> Resolved:
        if manifest is not None:
            match manifest.base:
                case PackageBase() as base:
                    return await resolve_package(manifest.name, base, access)
                case HubBase() as base:
                    return await resolve_hub_base(manifest.name, base, access)
                case UrlBase() as base:
                    resolved = resolve_url(base.url, size=base.size, sha256=base.sha256)
                    projector = resolve_url(base.projector).files[0] if base.projector else None
                    return msgspec.structs.replace(
                        resolved, name=manifest.name, reference=manifest.name, projector=projector
                    )
                case _:
                    raise UsageError(f"{manifest.name} has no base of its own.")
        for source in await asyncio.to_thread(self._sources):  # asking for them may import plug-ins
            if await asyncio.to_thread(source.matches, name):
                return await source.resolve(name, access)
        _, entries = await self._catalog.index.load()
        for entry in entries:
            if entry.name == name and entry.reference not in ("", name):
                resolved = await self._resolve(entry.reference, None, access)
                return msgspec.structs.replace(resolved, name=name)
        brain = await self._catalog.get(name)  # raises NotFound with what helps
        raise UsageError(
            f"{brain.name} is here already, in {brain.origin}; Omni uses it where it lies.",
            hint=brain.command or f'Ask it: omni chat --brain "{brain.name}" "…"',
        )

    def _sources(self) -> list[Source]:
        if self._plugins is None:
            return [*SOURCES]
        return self._plugins.gather("omni_cartridge_sources", own=True)

    async def _fetch(
        self, resolved: Resolved, manifest: Manifest | None, access: Access
    ) -> AsyncGenerator[PullEvent, None]:
        fetching = Fetching(self._catalog.home, resolved, access, self._catalog.clock)
        yield PullStarted(brain=resolved.name, size=fetching.total, parts=len(resolved.files))
        while True:
            async with in_thread(pulling(self._catalog.home, fetching.key)) as ours:
                if ours:
                    async with aclosing(self._fetch_alone(fetching, resolved, manifest)) as events:
                        async for event in events:
                            yield event
                    return
            done = await asyncio.to_thread(bytes_here, self._catalog.home, fetching.key)
            yield PullProgress(done=done, total=fetching.total, what="another Omni is fetching it")
            await asyncio.sleep(_WAIT)

    async def _fetch_alone(
        self, fetching: Fetching, resolved: Resolved, manifest: Manifest | None
    ) -> AsyncGenerator[PullEvent, None]:
        """With the lock held; another process may just have finished, and then there is nothing to do."""
        if resolved.projector is None:
            async with aclosing(self._fetch_model(fetching, resolved, manifest)) as events:
                async for event in events:
                    yield event
            return
        wanted = Resolved(
            name=resolved.name,
            reference=resolved.reference,
            files=(resolved.projector,),
            join=False,
            size=resolved.projector.size,
            sha256=resolved.projector.sha256,
        )
        projector = Fetching(self._catalog.home, wanted, fetching.access, self._catalog.clock)
        if projector.key == fetching.key:
            raise UsageError(
                f"{resolved.name} names its own file as its projector.",
                hint="Correct `projector` in its cartridge.toml.",
            )
        while True:
            # Held until the index knows that it is needed: nobody throws it away meanwhile.
            async with in_thread(pulling(self._catalog.home, projector.key)) as ours:
                if ours:
                    async with aclosing(self._fetch_both(projector, fetching, resolved, manifest)) as events:
                        async for event in events:
                            yield event
                    return
            yield PullProgress(done=0, total=projector.total, what="another Omni is fetching the projector")
            await asyncio.sleep(_WAIT)

    async def _fetch_both(
        self, projector: Fetching, fetching: Fetching, resolved: Resolved, manifest: Manifest | None
    ) -> AsyncGenerator[PullEvent, None]:
        """The projector and the model. One that is no projector is left out: the brain answers to texts without it."""
        sha256, blind = projector.sha256, ""
        path = self._catalog.home.blobs / f"sha256-{sha256}"
        here = await asyncio.to_thread(path.is_file) if sha256 else False
        if not here:
            try:
                async with aclosing(projector.run()) as steps:
                    async for step in steps:
                        if isinstance(step, FetchedModel):
                            path, sha256 = step.path, step.sha256
                        elif isinstance(step, PullProgress):
                            yield msgspec.structs.replace(step, what="the projector")
                        else:
                            yield step
            except BadFile as error:
                blind = f"its projector cannot be used: {error.message.rstrip('.')}"

        def seeing(base: Base) -> Base:
            if not base.header.width:  # read before this was
                base = msgspec.structs.replace(base, header=inspect(Path(base.path)).header)
            mounted, why = look(path, base.header, sha256=sha256) if not blind else (None, blind)
            return msgspec.structs.replace(base, projector=mounted, blind=why)

        # Where nobody told its hash before, it is only now known by it.
        async with (
            in_thread(pulling(self._catalog.home, sha256 or projector.key)),
            aclosing(self._fetch_model(fetching, resolved, manifest, seeing)) as events,
        ):
            async for event in events:
                yield event

    async def _fetch_model(
        self,
        fetching: Fetching,
        resolved: Resolved,
        manifest: Manifest | None,
        seeing: Callable[[Base], Base] = lambda base: base,
    ) -> AsyncGenerator[PullEvent, None]:
        if (blob := await asyncio.to_thread(self._adapter_blob, resolved.sha256)) is not None:
            yield await self._put_adapter(resolved, blob, fresh=False)
            return
        if (base := await self._whole(resolved.sha256)) is not None:
            if resolved.base:
                raise _no_adapter(resolved)
            base = await asyncio.to_thread(seeing, base)
            await self._catalog.index.put(base, _entry(resolved, base, manifest))
            yield PullDone(brain=await self._catalog.get(resolved.name), fresh=False)
            return
        async with aclosing(fetching.run()) as steps:
            async for step in steps:
                if isinstance(step, FetchedModel) and step.inspected.header.kind == "adapter" and manifest is None:
                    yield await self._put_adapter(resolved, step.path, fresh=True)
                elif isinstance(step, FetchedModel):
                    base = await asyncio.to_thread(blob_base, step.sha256, step.path, template=resolved.template)
                    base = await asyncio.to_thread(seeing, base)
                    entry = _entry(resolved, base, manifest)
                    await self._catalog.index.put(base, entry, verified=self._catalog.clock.now())
                    await self._catalog.index.mark(base.id, verdict=resolved.verdict, unloadable="")
                    remark = _no_adapter(resolved) if resolved.base else None
                    yield PullDone(
                        brain=await self._catalog.get(entry.name), remark=remark.message if remark is not None else ""
                    )
                else:
                    yield step

    def _adapter_blob(self, sha256: str | None) -> Path | None:
        """The blob with this hash, when it is here and an adapter. Blocking."""
        path = self._catalog.home.blobs / f"sha256-{sha256}"
        try:
            return path if sha256 and read_header(path).kind == "adapter" else None
        except OmniError:
            return None

    async def _put_adapter(self, resolved: Resolved, path: Path, *, fresh: bool) -> PullDone:
        """Make a brain of an adapter that is here and the base that it was made for; where that is not here the file stays."""
        brain = await Importer(self._catalog).put_adapter(
            path,
            resolved.name,
            resolved.base,
            title=resolved.title,
            licence=resolved.licence,
            reference=resolved.reference,
        )
        return PullDone(brain=brain, fresh=fresh)

    async def _whole(self, sha256: str | None) -> Base | None:
        """The blob with this hash, when it is here and as far as anybody knows whole."""
        bases, _ = await self._catalog.index.load()
        record = bases.get(f"sha256-{sha256}")
        if record is None or record.base.origin != "blob":
            return None
        state = (await asyncio.to_thread(judge, record)).state
        return None if state in ("gone", "unreadable", "corrupt") else record.base


def _lacks_adapter(brain: Brain) -> bool:
    """Whether the base of a brain is here, and the adapter of its cartridge is still to be fetched."""
    return brain.state == "available" and brain.base is not None


def _check_may_be_adapter(resolved: Resolved, host: Brain) -> None:
    """Raise UsageError where it is known before the download that what is to go on `host` is no adapter: those come in one file
    that sees nothing, and are smaller than the numbers that they change."""
    numbers = 4 * host.base.header.parameters if host.base is not None else 0
    larger = bool(numbers and resolved.size and resolved.size > numbers)
    if resolved.base and (not resolved.join or resolved.projector is not None or larger):
        raise _no_adapter(resolved)


def _no_adapter(resolved: Resolved) -> UsageError:
    """The error for what is a whole model where a base was named for it."""
    return UsageError(
        f"{resolved.name} is no adapter, and goes on no other brain.", hint=f"omni pull {resolved.reference}"
    )


def _entry(resolved: Resolved, base: Base, manifest: Manifest | None) -> IndexEntry:
    return IndexEntry(
        name=resolved.name,
        kind="pulled",
        base=base.id,
        title=resolved.title,
        origin="blob",
        path=base.path,
        size=base.size,
        licence=manifest.licence if manifest else resolved.licence,
        reference=resolved.reference,
    )
