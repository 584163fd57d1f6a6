"""Which build of an engine runs a brain: what the settings and trials say, trials that are due, and what is remembered of one
that failed."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from omni.cartridges import base_facts
from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine._drafts import OWN, drafts_for, has_heads, with_draft
from omni.engine._offloading import device_settings
from omni.engine._specs import WorkerSpecs, base_of
from omni.engine.llama import BATCH, LoadFailed, no_device_room
from omni.engine.trials import CELLS as CONTEXT
from omni.engine.trials import is_tried_with, try_runtime, types_of
from omni.engine.tuning import measure_batches, measure_drafts
from omni.hardware import memory_needed, usable_devices
from omni.keeper import WorkerSpec
from omni.runtimes import (
    ABILITIES,
    BUILT_IN,
    DeviceLoss,
    EngineChoice,
    Moment,
    Refusal,
    Runtime,
    Runtimes,
    RuntimeTrial,
    Tuning,
    best_batch,
    choose,
    find_devices,
    lost,
)

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.keeper import KeeperClient


class EnginePicks:
    """The choices of one front end on `machine`, whose trials run in workers of `keeper`. `brains` are those that are here; `said`
    hears why what was asked for is not used, `told` what else a person should know."""

    def __init__(
        self,
        home: Home,
        keeper: "KeeperClient",
        machine: str,
        specs: WorkerSpecs,
        *,
        brains: "Callable[[], Sequence[Brain]]",
        said: Callable[[str], None],
        told: Callable[[str], None],
    ) -> None:
        self.machine = machine
        self._brains, self._told = brains, told
        self._keeper, self._runtimes, self._specs, self._said = keeper, Runtimes(home), specs, said
        self._trying = asyncio.Lock()

    def follow(self, settings: Settings) -> None:
        """Choose by these settings from now on."""
        self._settings = settings.engine

    def choice(self, brain: "Brain") -> EngineChoice:
        """Which build of an engine runs `brain` and how, by the settings and by what was found out here."""
        runtimes = self._runtimes.usable()
        settings = self._settings
        if len(runtimes) == 1 and settings.use in ("auto", BUILT_IN) and settings.gpu != "on":
            return self._tuned(brain, EngineChoice(), runtimes)
        tried = [(runtime, self._runtimes.tried(runtime)) for runtime in runtimes]
        choice = choose(
            settings.use,
            types_of(brain),
            tried,
            self.machine,
            settings.gpu,
            needs=self._specs.needs(brain),
            refused=self._refused(brain, runtimes),
        )
        return self._tuned(brain, choice, runtimes)

    def _refused(self, brain: "Brain", runtimes: list[Runtime]) -> dict[str, str]:
        """The engines that cannot load this very brain, with the reasons."""
        if brain.base is None:
            return {}
        files = self._specs.files(brain)
        refused = {one.name: self._runtimes.refused(one, brain.base.id, self.machine, files) for one in runtimes}
        return {name: words for name, words in refused.items() if words}

    def _tuned(self, brain: "Brain", choice: EngineChoice, runtimes: list[Runtime]) -> EngineChoice:
        """A choice with what was measured of this very base."""
        if brain.base is None:
            return choice
        runtime = next(one for one in runtimes if one.name == choice.runtime)
        tuning = self._runtimes.tuned(runtime, brain.base.id, self.machine)
        if tuning is not None:
            choice = choice._replace(batch=best_batch(tuning.batches, BATCH))
        return with_draft(choice, brain.base, self._brains(), self._settings.draft, tuning)

    async def tune(self, brain: "Brain") -> Tuning:
        """Measure what makes the base of `brain` faster with the engine that runs it, and remember it. Raises OmniError where it
        cannot be loaded, or does not answer."""
        choice = await self.chosen(brain)
        runtime = await asyncio.to_thread(self._runtimes.get, choice.runtime)
        await asyncio.to_thread(self._runtimes.require_known, runtime)
        async with self._trying:
            plain = self._specs.spec(brain, choice._replace(draft=None, heads=False, batch=0))
            tuning = Tuning(runtime=runtime.key, machine=self.machine, base=plain.base)
            tuning = msgspec.structs.replace(tuning, batches=await measure_batches(self._keeper, plain))
            if not choice.devices and "speculation" in ABILITIES[choice.kind]:
                bases = await asyncio.to_thread(drafts_for, base_of(brain), self._brains())
                ways = {one.id: choice._replace(draft=one, heads=False, batch=0) for one in bases}
                if has_heads(base_of(brain)):
                    ways[OWN] = choice._replace(draft=None, heads=True, batch=0)
                specs = {way: self._specs.spec(brain, made) for way, made in ways.items()}
                drafting = {way: spec for way, spec in specs.items() if spec.key != plain.key}
                tuning = msgspec.structs.replace(tuning, drafts=await measure_drafts(self._keeper, plain, drafting))
            await asyncio.to_thread(self._runtimes.note_tuning, runtime, tuning)
        return tuning

    async def chosen(self, brain: "Brain") -> EngineChoice:
        """The same, off the event loop; what was asked for and not tried yet is tried first. Where nobody can try, the engine
        that comes with Omni is the choice."""
        choice = await asyncio.to_thread(self.choice, brain)
        if choice.untried and is_tried_with(brain):
            try:
                for runtime in await asyncio.to_thread(self._wanted):
                    with suppress(LoadFailed):  # it refused this very brain, which the next choice tells
                        await self.try_runtime(runtime, brain, compare=False)
            except OmniError as error:
                self._said(f"another engine could not be tried: {error.message.rstrip('.')}")
            choice = await asyncio.to_thread(self.choice, brain)
        self._said(choice.words)
        self._told(choice.undrafted)
        return choice

    def _wanted(self) -> list[Runtime]:
        use = self._settings.use
        wanted = [one for one in self._runtimes.usable() if one.name != BUILT_IN and use in ("auto", one.name)]
        return [one for one in wanted if not self._rests(one)]

    def _rests(self, runtime: Runtime) -> bool:
        """Whether devices of a runtime rest here: only a person who asks for a trial ends that."""
        moment = Moment.here()
        return any(one.machine == self.machine and one.rests(moment) for one in self._runtimes.tried(runtime))

    def _loss(self, runtime: Runtime, types: tuple[str, ...]) -> DeviceLoss | None:
        """The loss that is remembered of a runtime's devices with these types."""
        tried = self._runtimes.tried(runtime)
        return next((one.lost for one in tried if one.lost and (one.machine, one.types) == (self.machine, types)), None)

    async def try_runtime(self, runtime: Runtime, brain: "Brain", *, compare: bool = True) -> RuntimeTrial:
        """Try a build with the types of `brain`, on the processor and then, where there are any, on its devices; remember what
        came of it, and return the last. With `compare` the engine that comes with Omni is measured just before. Raises OmniError
        where nobody can try; of these LoadFailed where one of both refused the file of `brain`: another brain may do."""
        await asyncio.to_thread(self._runtimes.require_known, runtime)
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
        loss = (
            None if compare else await asyncio.to_thread(self._loss, runtime, types)
        )  # who compares was asked by a person
        base, limit = base_of(brain), None
        while usable:
            choice = EngineChoice(runtime.name, devices=usable, fits={base.id: limit} if limit is not None else {})
            plan = self._specs.plan(brain, choice, cells=CONTEXT)
            if not plan.layers:
                break
            here = msgspec.structs.replace(looked, layers=plan.layers, fits=dict(choice.fits), lost=loss)
            trial = await self._tried(runtime, brain, here, device_settings(plan, usable))
            if no_device_room().message not in trial.words:
                break
            limit = plan.layers // 2
        return trial

    async def _tried(
        self, runtime: Runtime, brain: "Brain", known: RuntimeTrial, placed: dict[str, int | str]
    ) -> RuntimeTrial:
        """One trial, remembered with what is `known` of it."""
        choice = EngineChoice(runtime.name, kind=runtime.kind)
        need = memory_needed(base_facts(base_of(brain)), CONTEXT) + self._specs.unpacked(brain, choice)
        async with self._trying:  # two at a time would measure each other
            try:
                trial = await try_runtime(
                    self._keeper,
                    msgspec.structs.replace(self._specs.spec(brain, choice), need_bytes=need),
                    runtime,
                    types=known.types,
                    brain=brain.name,
                    machine=self.machine,
                    placed=placed,
                )
            except LoadFailed as error:
                if error.refused:
                    await asyncio.to_thread(self._note_refusal, runtime, brain, error.refused)
                raise
        trial = msgspec.structs.replace(known, speeds=trial.speeds, words=trial.words, llguidance=trial.llguidance)
        await asyncio.to_thread(self._runtimes.note, runtime, trial)
        return trial

    async def note_failure(self, brain: "Brain", spec: WorkerSpec, error: OmniError) -> str:
        """Remember that a worker with this spec could not load a brain, until its engine is tried again, or lost its device, which
        then rests; in words, "" where a device had too little memory and half of the layers go there from now on."""
        return await asyncio.to_thread(self._note_failure, brain, spec, error)

    def _note_failure(self, brain: "Brain", spec: WorkerSpec, error: OmniError) -> str:
        layers, placed = int(spec.settings.get("gpu_layers", 0)), str(spec.settings.get("placed", ""))
        try:
            runtime = self._runtimes.get(spec.engine)
        except OmniError as gone:
            return f"{gone.message.rstrip('.')}"
        types = types_of(brain)
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
            self._remember(runtime, msgspec.structs.replace(known, fits=fits))
            return ""
        if isinstance(error, LoadFailed) and error.refused:
            return f"{spec.engine} {self._note_refusal(runtime, brain, error.refused)}"
        if isinstance(error, LoadFailed):
            told = [line for line in error.hint.splitlines() if line.startswith("The engine ")]
            words = f"could not load {brain.name}: {told[-1] if told else error.message}"
        else:
            words = f"ended while {brain.name} answered with {placed}"
        if layers and known.passed:
            loss = lost(words, Moment.here(), known.lost)
            self._remember(runtime, msgspec.structs.replace(known, lost=loss))
            return f"{spec.engine} {loss.rest_words}"
        self._remember(runtime, msgspec.structs.replace(known, brain=brain.name, words=words, speeds=None))
        return f"{spec.engine} {words}"

    def _note_refusal(self, runtime: Runtime, brain: "Brain", why: str) -> str:
        """Remember that a build cannot load the file of this brain, as long as that is the same; in words. It may load any other
        one of its quantisation."""
        words = f"cannot load {brain.name}: {why}"
        refusal = Refusal(
            runtime=runtime.key,
            machine=self.machine,
            base=base_of(brain).id,
            files=self._specs.files(brain),
            words=words,
        )
        self._remember(runtime, refusal)
        return words

    def _remember(self, runtime: Runtime, what: RuntimeTrial | Refusal) -> None:
        """Remember it where that can be: another way to answer is found all the same, for now."""
        with suppress(OmniError):
            if isinstance(what, Refusal):
                self._runtimes.note_refusal(runtime, what)
            else:
                self._runtimes.note(runtime, what)
