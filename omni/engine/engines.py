"""Which engine runs a brain: the spec of its worker, and one engine object for all brains that share it."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from omni.cartridges import base_facts, offload_facts
from omni.core.errors import NotFound, OmniError
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine._offloading import DRIVER, device_settings
from omni.engine.ceilings import LIKELIHOOD, RECURRENT, ceiling, likelihoods, vocabulary
from omni.engine.llama import BATCH, LoadFailed, no_device_room
from omni.engine.trials import CELLS as CONTEXT
from omni.engine.trials import try_runtime, types_of
from omni.engine.types import Engine
from omni.hardware import (
    BaseFacts,
    Budget,
    HardwareProfile,
    Notes,
    OffloadPlan,
    kv_bytes,
    memory_needed,
    offload,
    usable_devices,
)
from omni.keeper import WorkerSpec
from omni.runtimes import BUILT_IN, EngineChoice, Runtime, Runtimes, RuntimeTrial, choose, find_devices, machine_of

if TYPE_CHECKING:
    from omni.cartridges import Base, Brain, GgufHeader
    from omni.keeper import KeeperClient, ProcessInfo

CELLS = 256  # llama.cpp rounds the size of its cache up to this
LONGEST_TEXT = 2048  # tokens of a text whose vector is wanted, which are read in one batch; of a decoder half of it
SHORTEST_TEXT = 256  # what is left of it where memory is short
WHOLE_IMAGE = 512  # tokens of a batch where those of an image look at each other: they must come together
BATCH_BYTES = 256 << 10  # a token of such a batch
CHANCES = ("qwen3", "qwen3vl")  # of their rerankers llama.cpp makes a chance itself: that of a yes beside a no


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
    changing the brain changes a number in the request and not the process. `factories` are the plug-ins' engines. `said` hears
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
        factories: Sequence[EngineFactory] = (),
        said: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self.home, self._keeper, self._runtimes = home, keeper, Runtimes(home)
        self.machine = machine_of(profile.cpu.name, profile.cpu.features)
        self._profile, self._notes = profile, notes
        self.follow(settings)
        self._adapters, self._factories, self._said = adapters, tuple(factories), said
        self._open: dict[str, Engine] = {}
        self._told: set[str] = set()

    def follow(self, settings: Settings) -> None:
        """Make specs by these settings from now on; what is open stays as it is."""
        self._settings = settings.engine
        self._budget = Budget.of(self._profile, settings, self._notes)

    def spec(self, brain: "Brain", *, embeddings: bool = False) -> WorkerSpec:
        """How the worker for `brain` is loaded. Brains on one base have equal specs.

        Raises NotFound when the brain has no file here that could be loaded.
        """
        base = self._base(brain)
        embeddings = embeddings or base.header.kind in ("embedding", "reranker")  # which can be loaded for nothing else
        settings, facts = self._settings, base_facts(base, projector=not embeddings)
        budget = self._budget
        if brain.context:
            budget = msgspec.structs.replace(budget, context=brain.context)
        context = budget.fit(facts).context
        cells = self.cells(facts, context)
        options: dict[str, int | str] = {
            "context": context,
            "cells": cells,
            "slots": settings.slots,
            "threads": settings.threads or self._threads(),
            "keep_alive": settings.keep_alive,
        }
        if settings.cache != "f16":
            options["cache"] = settings.cache
        if not embeddings:
            if settings.speculation and guesses(base.header):
                options["speculation"] = 1
            if settings.prefixes:
                options["prefixes"] = str(self.home.prefixes)
        buffers = 0
        if base.projector is not None and not embeddings:
            options["projector"] = base.projector.path
            if base.projector.looks_at_once:
                options["batch"] = WHOLE_IMAGE
                buffers = (WHOLE_IMAGE - BATCH) * BATCH_BYTES
        paths = sorted({*self._adapters(base.id), *([brain.adapter.path] if brain.adapter else [])})
        if paths:
            options["adapters"] = json.dumps(paths)
        if base.template is not None:
            options["chat_template"] = base.template
        need = memory_needed(facts, cells)
        if embeddings:
            made, buffers = _for_vectors(base.header, context, room=budget.memory - need)
            options |= made
        choice = self.choice(brain)
        if not choice.llguidance:
            options["llguidance"] = 0
        plan = self._plan(base, facts, choice, cells=cells, buffers=buffers, brain=brain)
        options |= device_settings(plan, choice.devices)
        spared = plan.weights_bytes + plan.kv_bytes
        for device, taken in zip(choice.devices, plan.taken, strict=False):
            spared -= taken if device.shares_memory else 0  # it lies in the machine's own memory all the same
        driver = DRIVER - min(0, spared) if plan.layers else 0
        machine = self._profile.machine
        options["ceiling"] = settings.ceiling * 10**6 or ceiling(
            base.header, facts, options, machine=machine, buffers=buffers + driver, adapters=sum(map(_size, paths))
        )
        return WorkerSpec(
            engine=choice.runtime, base=base.id, path=base.path, need_bytes=need + buffers - spared, settings=options
        )

    def _plan(
        self,
        base: "Base",
        facts: BaseFacts,
        choice: EngineChoice,
        *,
        cells: int,
        brain: "Brain",
        buffers: int = 0,
    ) -> OffloadPlan:
        """What of a base goes to the devices of a choice."""
        if not choice.devices:
            return OffloadPlan()
        rows = BATCH * LIKELIHOOD * vocabulary(base.header)
        told = offload_facts(base, kv_bytes=kv_bytes(facts, cells), buffer_bytes=rows + buffers)
        plan = offload(told, choice.devices, limit=choice.fits.get(base.id))
        if plan.layers < plan.most or plan.cpu_experts:
            self._say(f"{brain.name}: {plan.why}", instead="")
        return plan

    def choice(self, brain: "Brain") -> EngineChoice:
        """Which build of an engine runs `brain`, by the settings and by what trials found out here."""
        runtimes = self._runtimes.usable()
        settings = self._settings
        if len(runtimes) == 1 and settings.use in ("auto", BUILT_IN) and settings.gpu != "on":
            return EngineChoice()
        tried = [(runtime, self._runtimes.tried(runtime)) for runtime in runtimes]
        return choose(settings.use, types_of(brain), tried, self.machine, settings.gpu)

    async def try_runtime(self, runtime: Runtime, brain: "Brain", *, compare: bool = True) -> RuntimeTrial:
        """Try a build with the types of `brain`, on the processor and then, where there are any, on its devices; remember what
        came of it, and return the last. With `compare` the engine that comes with Omni is measured just before. Raises OmniError
        where nobody can try."""
        own = None
        if compare and runtime.name != BUILT_IN:
            own = (await self.try_runtime(self._runtimes.get(BUILT_IN), brain)).speeds
        gpu, types = self._settings.gpu, types_of(brain)
        await asyncio.to_thread(self._runtimes.check, runtime)
        devices = await asyncio.to_thread(find_devices, runtime, gpu)
        looked = RuntimeTrial(
            runtime=runtime.key,
            machine=self.machine,
            types=types,
            brain=brain.name,
            own=own,
            devices=devices,
            looked=gpu,
        )
        trial = await self._tried(runtime, brain, looked, {})
        usable = usable_devices(devices, gpu)
        base, limit = self._base(brain), None
        while usable:
            choice = EngineChoice(runtime.name, devices=usable, fits={base.id: limit} if limit is not None else {})
            plan = self._plan(base, base_facts(base), choice, cells=CONTEXT, brain=brain)
            if not plan.layers:
                break
            here = msgspec.structs.replace(looked, layers=plan.layers, fits=dict(choice.fits))
            trial = await self._tried(runtime, brain, here, device_settings(plan, usable))
            if no_device_room().message not in trial.words:
                break
            limit = plan.layers // 2
        return trial

    async def _tried(
        self, runtime: Runtime, brain: "Brain", known: RuntimeTrial, placed: dict[str, int | str]
    ) -> RuntimeTrial:
        """One trial, remembered with what is `known` of it."""
        trial = await try_runtime(
            self._keeper,
            self.spec(brain),
            runtime,
            types=known.types,
            brain=brain.name,
            machine=self.machine,
            placed=placed,
        )
        trial = msgspec.structs.replace(known, speeds=trial.speeds, words=trial.words, llguidance=trial.llguidance)
        await asyncio.to_thread(self._runtimes.note, runtime, trial)
        return trial

    def cells(self, facts: BaseFacts, context: int) -> int:
        """The size of the cache that the slots share: what the settings say, where memory and the slots can use it.

        It is never less than `context`, so that one chat may always have all that it was promised, and more only for
        bases whose own context is smaller than the setting.
        """
        wanted = max(context, min(self._settings.context, context * self._settings.slots))
        if memory_needed(facts, wanted) > self._budget.memory:
            wanted = context
        return max(CELLS, -(-wanted // CELLS) * CELLS)

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
        from omni.engine._falling_back import FallingBackEngine
        from omni.engine._worker_engine import WorkerEngine

        choice = await asyncio.to_thread(self.choice, brain)
        if choice.untried:
            use = self._settings.use
            added = [one for one in self._runtimes.usable() if one.name != BUILT_IN]
            try:
                for runtime in added if use == "auto" else [self._runtimes.get(use)]:
                    await self.try_runtime(runtime, brain, compare=False)
            except OmniError as error:  # nobody can try now, and the one that comes with Omni may answer all the same
                self._say(f"another engine could not be tried: {error.message}")
            choice = await asyncio.to_thread(self.choice, brain)
        self._say(choice.words)
        spec = self.spec(brain, embeddings=embeddings)
        if spec.key not in self._open:
            most = self._base(brain).header.context_length
            engine: Engine = WorkerEngine(spec, self._keeper, name=brain.name, context_max=most)
            if spec.engine not in (BUILT_IN, "scripted"):
                instead = partial(self._instead, brain, spec, embeddings=embeddings)
                engine = FallingBackEngine(engine, instead, on_device="gpu_layers" in spec.settings)
            self._open[spec.key] = engine
        return self._open[spec.key]

    async def _instead(self, brain: "Brain", spec: WorkerSpec, error: OmniError, *, embeddings: bool) -> Engine:
        """The engine for a brain that an added one could not load, or whose device it lost: from now on, until that one is tried
        again. Where a device had too little memory, half of the layers go there."""
        runtime, types, failed = self._runtimes.get(spec.engine), types_of(brain), spec.engine
        layers, placed = int(spec.settings.get("gpu_layers", 0)), str(spec.settings.get("placed", ""))
        known = next(
            (
                one
                for one in self._runtimes.tried(runtime)
                if (one.types, one.machine) == (types, self.machine) and (one.layers > 0) == (layers > 0)
            ),
            RuntimeTrial(runtime=runtime.key, machine=self.machine, types=types, layers=layers),
        )
        if layers and error.message == no_device_room().message:
            fits = {**known.fits, spec.base: layers // 2}
            await asyncio.to_thread(self._runtimes.note, runtime, msgspec.structs.replace(known, fits=fits))
            self._say(f"{brain.name}: {placed} need more memory than is free there; fewer are tried", instead="")
            return await self.open(brain, embeddings=embeddings)
        if isinstance(error, LoadFailed):
            told = [line for line in error.hint.splitlines() if line.startswith("The engine ")]
            words = f"could not load {brain.name}: {told[-1] if told else error.message}"
        else:
            words = f"ended while {brain.name} answered with {placed}"
        trial = msgspec.structs.replace(known, brain=brain.name, words=words, speeds=None)
        await asyncio.to_thread(self._runtimes.note, runtime, trial)
        after = f"{self.spec(brain, embeddings=embeddings).engine} on the processor" if layers else BUILT_IN
        self._say(f"{failed} {words}", instead=after)
        return await self.open(brain, embeddings=embeddings)

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
        for engine in self._open.values():
            await engine.close()
        self._open.clear()

    def _threads(self) -> int:
        """One a core: a second thread on a core only waits for the first one's arithmetic."""
        cpu = self._profile.cpu
        return max(1, min(cpu.cores, cpu.usable))

    def _base(self, brain: "Brain") -> "Base":
        if brain.base is None or brain.state in ("gone", "unreadable"):
            reason = brain.reason or f"{brain.name} is not installed"
            raise NotFound(f"{reason.rstrip('.')}.", hint=brain.command or f"Run `omni pull {brain.name}`.")
        return brain.base


def _size(path: str) -> int:
    """Bytes of a file; 0 when it is not there, which loading it says."""
    with suppress(OSError):
        return Path(path).stat().st_size
    return 0


def guesses(header: "GgufHeader") -> bool:
    """Whether what comes next may be guessed for a brain: what was guessed wrongly must be taken back, which a state that
    each token changes cannot be."""
    return not header.sliding_window and not any(key.startswith(RECURRENT) for key in header.keys)


def _for_vectors(header: "GgufHeader", context: int, *, room: int) -> tuple[dict[str, int | str], int]:
    """What a worker needs besides for vectors, or to rank texts, and the memory that its batches take, of the `room` that there is."""
    options: dict[str, int | str] = {"embeddings": 1, "tokenizer": header.tokenizer}
    if header.kind == "reranker":
        options["pooling"] = "rank"  # as the header says, too; llama.cpp opens its way to ask only when told
        options["scores"] = "chance" if header.architecture in CHANCES else "logit"
    elif header.kind != "embedding" or header.pooling == "none":  # the others say themselves how; else all count alike
        options["pooling"] = "mean"
    if header.pooling == "last" and not header.encodes and "pooling" not in options:
        return options, 0  # only its last token is asked for: the text may come in many batches
    if header.encodes:
        options["batch"] = batch = min(context, LONGEST_TEXT)
        return options, batch * BATCH_BYTES // 4
    longest = LONGEST_TEXT // 2
    while longest > SHORTEST_TEXT and likelihoods(header, longest) > room:
        longest //= 2
    options["batch"] = batch = min(context, longest)
    return options, likelihoods(header, batch)
