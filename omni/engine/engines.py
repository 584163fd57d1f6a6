"""Which engine runs a brain: one engine object for all brains that share a worker."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine._picking import EnginePicks
from omni.engine._specs import WorkerSpecs, base_of
from omni.engine.types import Engine
from omni.hardware import BaseFacts, HardwareProfile, Notes
from omni.keeper import WorkerSpec
from omni.runtimes import BUILT_IN, EngineChoice, Runtime, RuntimeTrial, Tuning, machine_of

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.keeper import KeeperClient, ProcessInfo

SCRIPTED = "scripted"  # the double of an engine, which is in no list


class EngineFactory(Protocol):
    """What a plug-in offers under the hook `omni_engines`: another way to run a brain."""

    name: str

    def runs(self, brain: "Brain") -> bool:
        """Whether it wants this brain; asked before the engine of Omni's own is used."""
        ...

    def open(self, brain: "Brain") -> Engine:
        """The engine for it; called once a brain."""
        ...


class Engines:
    """The engines of one front end. Nothing is loaded before an engine is asked.

    `adapters` names the LoRA files of all brains on a base, by the base's id: a worker loads them together, so that
    changing the brain changes a number in the request and not the process. `brains` are those that are here: one may draft for
    another one. `factories` are the plug-ins' engines. `said` hears
    when another engine answers than the one that the settings name, and why.
    """

    def __init__(
        self,
        home: Home,
        keeper: "KeeperClient",
        settings: Settings,
        profile: HardwareProfile,
        *,
        notes: Notes | None = None,
        adapters: Callable[[str], Sequence[str]] = lambda _base: (),
        brains: "Callable[[], Sequence[Brain]]" = tuple,
        factories: Sequence[EngineFactory] = (),
        said: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self.home, self._keeper = home, keeper
        self._factories, self._said = tuple(factories), said
        told = partial(self._say, instead="")
        self._specs = WorkerSpecs(home, profile, notes, adapters=adapters, said=told)
        machine = machine_of(profile.cpu.name, profile.cpu.features)
        self._picks = EnginePicks(home, keeper, machine, self._specs, brains=brains, said=self._say, told=told)
        self.follow(settings)
        self._open: dict[str, Engine] = {}
        self._left: list[Engine] = []  # that have given way, and may still answer somebody
        self._told: set[str] = set()

    @property
    def machine(self) -> str:
        """What trials hold for."""
        return self._picks.machine

    def follow(self, settings: Settings) -> None:
        """Make specs by these settings from now on; what is open stays as it is."""
        self._specs.follow(settings)
        self._picks.follow(settings)

    def spec(self, brain: "Brain", *, embeddings: bool = False, choice: EngineChoice | None = None) -> WorkerSpec:
        """How the worker for `brain` is loaded, by the engine of `choice`. Brains on one base have equal specs. Blocking without a
        choice, which is then made: what trials found out is read.

        Raises NotFound when the brain has no file here that could be loaded.
        """
        base_of(brain)
        return self._specs.spec(brain, choice or self.choice(brain), embeddings=embeddings)

    async def worker_spec(self, brain: "Brain") -> WorkerSpec:
        """The same, off the event loop."""
        return self.spec(brain, choice=await asyncio.to_thread(self.choice, brain))

    def choice(self, brain: "Brain") -> EngineChoice:
        """Which build of an engine runs `brain`, by the settings and by what trials found out here. Blocking."""
        return self._picks.choice(brain)

    async def try_runtime(self, runtime: Runtime, brain: "Brain", *, compare: bool = True) -> RuntimeTrial:
        """Try a build with the types of `brain`; see `EnginePicks`."""
        return await self._picks.try_runtime(runtime, brain, compare=compare)

    async def tune(self, brain: "Brain") -> Tuning:
        """Measure what makes the base of `brain` faster here; see `EnginePicks`."""
        return await self._picks.tune(brain)

    def cells(self, facts: BaseFacts, context: int) -> int:
        """The size of the cache that the slots of a worker share; see `WorkerSpecs`."""
        return self._specs.cells(facts, context)

    async def open(self, brain: "Brain", *, embeddings: bool = False) -> Engine:
        """The engine for `brain`: always the same object for brains that share a worker. `embeddings`: for vectors, in
        a worker of its own."""
        for factory in self._factories:
            key = f"{factory.name}:{brain.name}"
            if key in self._open or await asyncio.to_thread(factory.runs, brain):
                if key not in self._open:
                    opened = await asyncio.to_thread(factory.open, brain)
                    if self._open.setdefault(key, opened) is not opened:  # another question was faster
                        await opened.close()
                return self._open[key]
        base_of(brain)
        choice = await self._picks.chosen(brain)
        return self._engine(brain, self.spec(brain, embeddings=embeddings, choice=choice), embeddings=embeddings)

    def _engine(self, brain: "Brain", spec: WorkerSpec, *, embeddings: bool) -> Engine:
        from omni.engine._falling_back import FallingBackEngine
        from omni.engine._worker_engine import WorkerEngine

        if spec.key not in self._open:
            most = base_of(brain).header.context_length
            engine: Engine = WorkerEngine(spec, self._keeper, name=brain.name, context_max=most)
            if spec.engine not in (BUILT_IN, SCRIPTED):
                instead = partial(self._instead, brain, spec, embeddings=embeddings)
                engine = FallingBackEngine(engine, instead, on_device="gpu_layers" in spec.settings)
            self._open[spec.key] = engine
        return self._open[spec.key]

    async def _instead(self, brain: "Brain", spec: WorkerSpec, error: OmniError, *, embeddings: bool) -> Engine:
        """The engine for a brain that an added one could not load, or whose device it lost."""
        words = await self._picks.note_failure(brain, spec, error)
        choice = await asyncio.to_thread(self.choice, brain)
        following = self.spec(brain, embeddings=embeddings, choice=choice)
        if following.key == spec.key:  # what was remembered made no difference
            following = self.spec(brain, embeddings=embeddings, choice=EngineChoice())
        elif spec.key in self._open:  # else it would give way for ever, though it were tried again
            self._left.append(self._open.pop(spec.key))
        placed = str(spec.settings.get("placed", ""))
        if words:
            self._say(words, instead=f"{following.engine} on the processor" if placed else BUILT_IN)
        else:
            self._say(f"{brain.name}: {placed} need more memory than is free there; fewer are tried", instead="")
        return self._engine(brain, following, embeddings=embeddings)

    def _say(self, words: str, *, instead: str = BUILT_IN) -> None:
        """Say once why another engine answers than the one that was asked for, or what else a person should know."""
        if words and words not in self._told:
            self._told.add(words)
            self._said(f"{words}, so that {instead} answers" if instead else words)

    async def loaded(self) -> "list[ProcessInfo]":
        """The workers that live now, whoever asked for them."""
        return [process for process in await self._keeper.processes() if process.kind == "worker"]

    async def close(self) -> None:
        """End the turns in flight; workers stay until their `keep_alive` is over."""
        for engine in (*self._open.values(), *self._left):
            await engine.close()
        self._open.clear()
        self._left.clear()
