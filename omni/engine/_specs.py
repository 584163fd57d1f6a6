"""How a worker is loaded: with how much context, which adapters and ceiling, and what of it on which device."""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from omni.cartridges import base_facts, offload_facts, stamp
from omni.core.errors import NotFound
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine._offloading import DRIVER, device_settings
from omni.engine._prefixes import most_tokens
from omni.engine.ceilings import LIKELIHOOD, PROCESS, ceiling, likelihoods, loaded, recurs, repacked, state, vocabulary
from omni.engine.llama import BATCH, DRAFTED, guessed
from omni.hardware import BaseFacts, Budget, HardwareProfile, Notes, OffloadPlan, kv_bytes, memory_needed, offload
from omni.keeper import WorkerSpec
from omni.runtimes import ABILITIES, BUILT_IN, Ability, EngineChoice

if TYPE_CHECKING:
    from omni.cartridges import Base, Brain, GgufHeader

CELLS = 256  # llama.cpp rounds the size of its cache up to this
LONGEST_TEXT = 2048  # tokens of a text whose vector is wanted, which are read in one batch; of a decoder half of it
SHORTEST_TEXT = 256  # what is left of it where memory is short
WHOLE_IMAGE = 512  # tokens of a batch where those of an image look at each other: they must come together
BATCH_BYTES = 256 << 10  # a token of such a batch
FLOAT = 4  # bytes of a plain number
CHANCES = ("qwen3", "qwen3vl")  # of their rerankers llama.cpp makes a chance itself: that of a yes beside a no


class WorkerSpecs:
    """The specs of workers on one machine, by the settings. `adapters` names the LoRA files of all brains on a base, by the
    base's id; `said` hears what of a brain does not go to a device, and why."""

    def __init__(
        self,
        home: Home,
        profile: HardwareProfile,
        notes: Notes | None,
        *,
        adapters: Callable[[str], Sequence[str]],
        said: Callable[[str], None],
    ) -> None:
        self._home, self._profile, self._notes = home, profile, notes
        self._adapters, self._said = adapters, said

    def follow(self, settings: Settings) -> None:
        """Make specs by these settings from now on."""
        self._settings = settings.engine
        self._budget = Budget.of(self._profile, settings, self._notes)

    def spec(self, brain: "Brain", choice: EngineChoice, *, embeddings: bool = False) -> WorkerSpec:
        """How the worker for `brain` is loaded by the engine of `choice`. Brains on one base have equal specs.

        Raises NotFound when the brain has no file here that could be loaded.
        """
        base = base_of(brain)
        embeddings = embeddings or base.header.kind in ("embedding", "reranker")  # which can be loaded for nothing else
        if embeddings and "vectors" not in ABILITIES[choice.kind]:
            self._said(
                f"{choice.runtime} makes no vectors: those of {brain.name} come from the engine that comes with Omni"
            )
            choice = EngineChoice()
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
        batch = max(settings.batch or choice.batch or BATCH, settings.slots)  # each has a token of its own in it
        if not embeddings:
            if settings.speculation and guesses(base.header) and "speculation" in ABILITIES[choice.kind]:
                options["speculation"] = 1
            if settings.prefixes and "prefixes" in ABILITIES[choice.kind]:
                options["prefixes"] = str(self._home.prefixes)
                if 0 < (most := most_tokens(facts, settings.cache)) < context:
                    options["prefix_tokens"] = most
            if base.projector is not None:
                options["projector"] = base.projector.path
                if base.projector.looks_at_once:
                    batch = max(batch, WHOLE_IMAGE)
            if batch != BATCH:
                options["batch"] = batch
        need, drafting = memory_needed(facts, cells), 0
        if (choice.heads or choice.draft is not None) and not embeddings:
            drafting = self._drafting(base, choice, facts, options, room=budget.memory - need)
            need += drafting
        buffers = max(0, batch - BATCH) * BATCH_BYTES if not embeddings else 0
        buffers += (
            guessed(options) * vocabulary(base.header) * LIKELIHOOD
        )  # of one chat; those of more are among what requests take
        paths = self._adapter_paths(brain)
        if paths:
            options["adapters"] = json.dumps(paths)
        if base.template is not None:
            options["chat_template"] = base.template
        if embeddings:
            made, buffers = _for_vectors(base.header, context, room=budget.memory - need)
            options |= made
        buffers += self.unpacked(brain, choice)
        if not choice.llguidance:
            options["llguidance"] = 0
        if not settings.trim:
            options["trim"] = 0
        elif choice.runtime != BUILT_IN and repacked(base.header, facts, self._profile.machine):
            options["mapped"] = 0  # nobody could let go of the pages of the file in a program that is not Omni's
        plan = self.plan(brain, choice, cells=cells, buffers=buffers)
        options |= device_settings(plan, choice.devices)
        spared = plan.weights_bytes + plan.kv_bytes
        for device, taken in zip(choice.devices, plan.taken, strict=False):
            spared -= taken if device.shares_memory else 0  # it lies in the machine's own memory all the same
        driver = DRIVER - min(0, spared) if plan.layers else 0
        machine = self._profile.machine
        beside = sum(map(_size, paths))
        if drafting and choice.draft is not None:
            beside += PROCESS + loaded(choice.draft.header, base_facts(choice.draft), options, machine)
        elif drafting:
            beside += drafting
        options["ceiling"] = settings.ceiling * 10**6 or ceiling(
            base.header, facts, options, machine=machine, buffers=buffers + driver, beside=beside
        )
        return WorkerSpec(
            engine=choice.runtime, base=base.id, path=base.path, need_bytes=need + buffers - spared, settings=options
        )

    def files(self, brain: "Brain") -> str:
        """What an engine loads for `brain`, short: it changes when one of the files does, or another adapter comes to the base.
        Blocking."""
        digest = hashlib.sha256()
        for path in (*base_of(brain).parts, *self._adapter_paths(brain)):
            with suppress(OSError):  # it is gone, which is a change as well
                digest.update(f"{stamp(Path(path))}\n".encode())
        return digest.hexdigest()[:16]

    def _adapter_paths(self, brain: "Brain") -> list[str]:
        """The LoRA files of all brains on the base of `brain`, its own included."""
        return sorted({*self._adapters(base_of(brain).id), *([brain.adapter.path] if brain.adapter else [])})

    def _drafting(
        self, base: "Base", choice: EngineChoice, facts: BaseFacts, options: dict[str, int | str], *, room: int
    ) -> int:
        """Have a worker load what drafts, where there is `room`; returns the memory that it needs, 0 where it is left out."""
        draft = choice.draft
        settings: dict[str, int | str]
        if draft is not None:
            name, settings = draft.header.name or draft.id, {"draft": draft.path, "draft_base": draft.id}
            need = memory_needed(base_facts(draft, projector=False), int(options["cells"]))
        else:  # its weights and its part of the cache count already; a state is kept for each token that may be taken back
            name, settings = f"the layer of {base.header.name or base.id} that could", {"mtp": 1}
            kept = state(base.header, facts, options) if recurs(base.header) else 0
            need = PROCESS + int(options["slots"]) * DRAFTED[0] * kept
        if need > room:
            self._said(f"{name} does not draft: there is too little memory for it")
            return 0
        options |= settings
        for left_out in (
            "prefixes",
            "prefix_tokens",
        ):  # llama.cpp brings back what the brain knew, and not what its draft did
            options.pop(left_out, None)
        return need

    def unpacked(self, brain: "Brain", choice: EngineChoice) -> int:
        """Bytes of weights that an engine of this kind makes plain numbers of, to compute with them on a processor."""
        header = base_of(brain).header
        plain = choice.kind == "mlx" and sys.platform != "darwin"  # on whose graphics processors they stay packed
        return FLOAT * (header.parameters or header.weights_bytes) if plain else 0

    def needs(self, brain: "Brain") -> frozenset[Ability]:
        """What the worker of a brain must be able to do beside answering."""
        if brain.base is None:
            return frozenset()
        kind, needed = brain.base.header.kind, set[Ability]()
        if kind in ("embedding", "reranker"):
            needed.add("vectors" if kind == "embedding" else "ranks")
        elif brain.base.projector is not None:
            needed.add("images")
        if brain.adapter is not None or self._adapters(brain.base.id):
            needed.add("adapters")
        return frozenset(needed)

    def plan(self, brain: "Brain", choice: EngineChoice, *, cells: int, buffers: int = 0) -> OffloadPlan:
        """What of a brain's base goes to the devices of a choice."""
        if not choice.devices:
            return OffloadPlan()
        base = base_of(brain)
        rows = BATCH * LIKELIHOOD * vocabulary(base.header)
        told = offload_facts(base, kv_bytes=kv_bytes(base_facts(base), cells), buffer_bytes=rows + buffers)
        plan = offload(told, choice.devices, limit=choice.fits.get(base.id))
        if plan.layers < plan.most or plan.cpu_experts:
            self._said(f"{brain.name}: {plan.why}")
        return plan

    def cells(self, facts: BaseFacts, context: int) -> int:
        """The size of the cache that the slots share: what the settings say, where memory and the slots can use it.

        It is never less than `context`, so that one chat may always have all that it was promised, and more only for
        bases whose own context is smaller than the setting.
        """
        wanted = max(context, min(self._settings.context, context * self._settings.slots))
        if memory_needed(facts, wanted) > self._budget.memory:
            wanted = context
        return max(CELLS, -(-wanted // CELLS) * CELLS)

    def _threads(self) -> int:
        """One a core: a second thread on a core only waits for the first one's arithmetic."""
        cpu = self._profile.cpu
        return max(1, min(cpu.cores, cpu.usable))


def base_of(brain: "Brain") -> "Base":
    """The base of a brain. Raises NotFound when it has no file here that could be loaded."""
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
    return not header.sliding_window and not recurs(header)


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
