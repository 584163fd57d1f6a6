"""All brains of this machine: those that are here, those that other programs have, those that can be pulled."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from omni.cartridges import _naming as naming
from omni.cartridges._access import Fetcher
from omni.cartridges._catalog import Catalog
from omni.cartridges._importer import Importer
from omni.cartridges._ranking import best_here, first_to_pull, fits_modestly, may_be_proposed
from omni.cartridges.brains import Brain, ExportEvent, PullDone, PullEvent, Unfinished, VerifyEvent
from omni.cartridges.exports import write_export
from omni.cartridges.finders import find_all
from omni.cartridges.maintenance import Maintenance
from omni.cartridges.manifest import Manifest
from omni.cartridges.projectors import Projector, unfit
from omni.cartridges.pulls import Puller
from omni.cartridges.stores import Surroundings
from omni.core.clock import Clock, SystemClock
from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.core.settings import Settings

if TYPE_CHECKING:
    from omni.core.plugins import Plugins
    from omni.hardware import Budget


PATIENCE = 10.0  # seconds that somebody waits for a look around; forty models of another program take two
FRESH = 60.0  # seconds for which what was seen is what is there


class Library:
    """The brains of one home. Methods are async and do their work in threads; two processes may use one home.

    `budget` tells what fits this machine (else it is measured when first needed), `environment` and `user` (the home
    folder) say where to look for other programs' models.
    """

    def __init__(
        self,
        home: Home,
        settings: Settings,
        *,
        plugins: "Plugins | None" = None,
        clock: Clock | None = None,
        budget: "Callable[[], Awaitable[Budget]] | None" = None,
        environment: Mapping[str, str] = os.environ,
        user: Path | None = None,
        shipped: Path | None = None,
    ) -> None:
        self._home, self._settings = home, settings
        self._budget = budget or self._measured
        surroundings = _as_wanted(
            Surroundings(environment=environment, user=user or Path(environment.get("HOME") or "~").expanduser()),
            settings,
        )
        self._clock = clock or SystemClock()
        self._catalog = Catalog(
            home,
            clock=self._clock,
            shipped=shipped,
            surroundings=surroundings,
        )
        self._pulls = Puller(self._catalog, plugins=plugins, environment=environment, budget=self._budget)
        self._upkeep = Maintenance(self._catalog)
        self._look: asyncio.Task[None] | None = None
        self._looked: float | None = None  # when the last look ended, as the clock counts on

    async def close(self) -> None:
        """End a look that is not over, and close the index."""
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)
        await self._catalog.index.close()

    def follow(self, settings: Settings) -> None:
        """Look where these settings say from now on, and show what they want to be shown."""
        self._settings = settings
        self._catalog.surroundings = _as_wanted(self._catalog.surroundings, settings)

    async def brains(self) -> list[Brain]:
        """All brains: installed first, then found elsewhere, then those that can be pulled, the small ones first."""
        return await self._catalog.brains()

    async def get(self, name: str) -> Brain:
        """One brain by its name (`@omni/coder`, also `coder` where that is clear; `llama3.2:3b`; `hf.co/…`).

        Raises NotFound with the nearest name and, for a name in Ollama's form, the form for the hub.
        """
        return await self._catalog.get(name)

    async def manifests(self) -> dict[str, Manifest]:
        """Shipped cartridges and the person's own (`cartridges/own/NAME/cartridge.toml` in the home)."""
        return await self._catalog.manifests()

    async def best(self, *, without: Collection[str] = ()) -> Brain | None:
        """The best usable brain for this memory, or None when none is here; `without` those that are on the base of one of
        these brains."""
        known = await self.brains()
        bases = {brain.base.id for brain in known if brain.name in without and brain.base is not None}
        usable = [
            brain
            for brain in known
            if brain.usable
            and not brain.shares
            and brain.name not in without
            and (brain.base is None or brain.base.id not in bases)
        ]
        return max(usable, key=best_here(await self._budget())) if usable else None

    async def recommended(self) -> Brain | None:
        """What to pull first on this machine: it answers faster than people read, is here in minutes, and was checked
        by us where that costs little. None when nothing that takes at most 70 % of the memory is offered."""
        budget = await self._budget()
        offered = [brain for brain in await self.brains() if may_be_proposed(brain) and fits_modestly(budget, brain)]
        return max(offered, key=first_to_pull(budget), default=None)

    async def adapters(self) -> dict[str, tuple[str, ...]]:
        """The adapters of all brains on each base, by its id: a worker loads them together."""
        by_base: dict[str, set[str]] = {}
        for brain in await self.brains():
            if brain.usable and brain.base is not None and brain.adapter is not None:
                by_base.setdefault(brain.base.id, set()).add(brain.adapter.path)
        return {base: tuple(sorted(paths)) for base, paths in by_base.items()}

    def look_around(self) -> None:
        """Begin to look around in the background, so that whoever asks later knows what is here. One look at a time."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_once(), name="look around")

    async def looked(self, seconds: float = PATIENCE, *, begin: bool = True) -> None:
        """Wait until a look around is over, but no longer than so many seconds. Without one in the last minute it begins
        one, unless `begin` is false: then it waits only for one that is under way."""
        if begin and (self._looked is None or self._clock.monotonic() - self._looked > FRESH):
            self.look_around()
        if self._look is not None:
            await asyncio.wait({self._look}, timeout=seconds)

    async def _look_once(self) -> None:
        try:
            await self.scan()
        except OmniError as error:  # what is here already can be asked all the same
            logging.getLogger(__name__).warning("Not looked around: %s", error.message)
        finally:
            self._looked = self._clock.monotonic()

    async def scan(self) -> list[Brain]:
        """Look around for models of other programs and in the person's folders; returns those that were found."""
        await self._catalog.take_in(find_all(self._catalog.surroundings))
        _, entries = await self._catalog.index.load()
        names = {entry.name for entry in entries if entry.kind == "found"}
        return [brain for brain in await self.brains() if brain.name in names]

    async def add(self, path: str | os.PathLike[str]) -> Brain:
        """Add a file, a folder of GGUF files or an exported folder; returns the (first) brain that came of it."""
        return (await self.add_all(path))[0]

    async def add_all(self, path: str | os.PathLike[str], *, base: str = "") -> list[Brain]:
        """As `add`, all of them. Files are used where they lie; what was exported is copied into the library. An adapter
        becomes a brain on `base`, or on the brain that its header names.

        Raises NotFound when nothing is there, BadFile when the file is wrong or is neither a model that answers nor one for vectors.
        """
        return await Importer(self._catalog).add(path, base)

    async def adopt(self, path: Path, name: str, like: Brain) -> Brain:
        """Take a file of the home that Omni made as a blob, as the brain `name`: with the prompt, sampling, template and
        licence of the brain that it was made of. `path` stays, too, for whoever made it to remove. Raises BadFile, StorageError."""
        return await Importer(self._catalog).adopt(path, name, like)

    async def texts(self, name: str) -> "tuple[Path | None, Path | None]":
        """The examples and the held text that the cartridge of a brain names, where it has one and they are there."""
        return await self._catalog.texts(name)

    async def pull(self, name: str, airlock: Fetcher, *, base: str = "") -> AsyncGenerator[PullEvent, None]:
        """Fetch a brain: a cartridge, `hf.co/OWNER/REPOSITORY:QUANT`, an address, or a path on this machine. What is an adapter
        only goes on the brain `base`, else on the one that its header names, which must be here.

        Interrupted, it goes on from there the next time; closing the iterator cancels. Two processes that pull the same
        do it once. Raises NotFound, NetworkBlocked, BadFile (a wrong byte: nothing is kept) or StorageError (no room).
        """
        if await asyncio.to_thread(naming.is_path, name):
            yield PullDone(brain=(await self.add_all(name, base=base))[0])
            return
        async with aclosing(self._pulls.pull(name, airlock, base=base)) as events:
            async for event in events:
                yield event

    def verify(self, name: str) -> AsyncGenerator[VerifyEvent, None]:
        """Read the whole file and compare its hash; the last event (`Verified`) says how it went.

        A hash that differs marks the base as corrupt (pulling again mends a blob of ours). Where nobody ever named a
        hash it is recorded now and compared from then on.
        """
        return self._upkeep.verify(name)

    async def mark(self, base_id: str, *, ready: bool, reason: str = "") -> None:
        """A worker has loaded this base (`ready`), or could not, for this reason."""
        unloadable = "" if ready else reason or "a worker could not load it"
        await self._catalog.index.mark(base_id, ready=ready, unloadable=unloadable)

    async def drop_projector(self, base_id: str, projector: Projector) -> None:
        """A worker of this base ended whenever it looked with `projector`: the base does without, until it is removed."""
        await self._catalog.index.drop_projector(base_id, projector, unfit(projector))

    async def remove(self, name: str, *, in_use: Collection[str] = ()) -> int:
        """Remove a pulled brain's file, forget an added or vanished one; returns the bytes that were freed.

        `in_use` are ids of bases that workers have loaded; those and bases under `hold` are refused with UsageError, as
        is what belongs to another program.
        """
        return await self._upkeep.remove(name, in_use=in_use)

    async def collect(self, in_use: Collection[str] = ()) -> int:
        """Remove blobs that no brain needs and what interrupted pulls left; returns the bytes that were freed.

        Never removes what is in use: the bases in `in_use` and those under `hold`, or a pull that runs.
        """
        return await self._upkeep.collect(in_use)

    async def unfinished(self) -> list[Unfinished]:
        """What interrupted pulls left; `collect` removes it, pulling the same name goes on from it."""
        return await self._upkeep.unfinished()

    async def export(self, names: Sequence[str], folder: str | os.PathLike[str]) -> AsyncGenerator[ExportEvent, None]:
        """Write brains as plain files with a list of their hashes; `add(FOLDER)` reads it on another machine.

        Closing the iterator ends it; the list is written last. Raises UsageError, NotFound, BadFile and StorageError.
        """
        brains = [await self.get(name) for name in names]
        _, entries = await self._catalog.index.load()
        known = {entry.name: entry for entry in entries}
        manifests = await self._catalog.own_texts(names=[brain.name for brain in brains])
        steps = write_export(brains, known, manifests, Path(folder))
        while (step := await asyncio.to_thread(next, steps, None)) is not None:
            yield step

    async def _measured(self) -> "Budget":
        from omni.hardware import Budget, profile

        return Budget.of(await profile(self._home), self._settings)


def _as_wanted(around: Surroundings, settings: Settings) -> Surroundings:
    """Where to look, by the settings."""
    return msgspec.structs.replace(
        around,
        folders=tuple(Path(folder).expanduser() for folder in settings.brains.folders),
        others=settings.brains.look_around,
    )
