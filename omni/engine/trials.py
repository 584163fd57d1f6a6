"""Trying a runtime: each quantisation type that is installed, in a worker of its own, with a short question whose reading and
answering is measured. A crash is a finding, told in words."""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import aclosing, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from omni.core.errors import EngineError, OmniError
from omni.engine._chunks import LlamaChunk, LlamaTimings
from omni.engine._infill import tokens_of
from omni.engine._offloading import SETTINGS
from omni.engine._worker_access import fate_of
from omni.engine.http import WorkerClient
from omni.engine.llama import DID_NOT_LOAD, GUESSES, LoadFailed, refused_of
from omni.hardware import process_memory
from omni.runtimes import Runtime, RuntimeTrial, Speeds, types_words

if TYPE_CHECKING:
    from omni.cartridges import Brain
    from omni.keeper import KeeperClient, Lease, WorkerSpec

CELLS = 1024
NOT_TRIED = ("projector", "adapters", "batch", "prefixes", "prefix_tokens", "cache", *GUESSES)  # of a worker's settings
PATIENCE = 600.0  # seconds for one trial, loading included
TOKENS = 32  # of an answer
TIMES = 3  # that it is measured; the best counts, for others work here too
ENOUGH = 10.0  # seconds of measuring, after which it is not begun again
SENTENCE = "The harbour lay quiet under a pale morning sky, and the boats rocked gently against the old stone wall. "
_TEXT = SENTENCE * 8
_KEPT = "zq"  # no brain says that by itself
_GRAMMAR = f'%llguidance {{}}\nstart: "{_KEPT}"\n'
_LOADING = re.compile(r"could not be loaded: (.+?)\.?$")
_INSTRUCTIONS = re.compile(r"\b(AMX|AVX-?512\w*|AVX2|SVE)\b")


def to_try(brains: "Iterable[Brain]") -> "list[list[Brain]]":
    """For each set of quantisation types the brains that a trial may load, one of each base, the smallest first: where the file of
    one is broken the next one will do. Sets come in the order of their smallest."""
    sets: dict[tuple[str, ...], dict[str, Brain]] = {}
    usable = [
        (brain.base.size, bool(brain.shares), brain)
        for brain in brains
        if brain.usable and brain.base is not None and is_tried_with(brain)
    ]
    for *_, brain in sorted(usable, key=lambda one: one[:2]):
        if brain.base is not None and (types := types_of(brain)):
            sets.setdefault(types, {}).setdefault(brain.base.id, brain)
    return [list(by_base.values()) for by_base in sets.values()]


def is_tried_with(brain: "Brain") -> bool:
    """Whether a brain can answer the question of a trial: those for vectors and for ranking cannot."""
    return brain.base is not None and brain.base.header.kind == "model"


def types_of(brain: "Brain") -> tuple[str, ...]:
    """The tensor types of a brain's base, sorted."""
    return tuple(sorted(brain.base.header.type_bytes)) if brain.base is not None else ()


async def try_runtime(
    keeper: "KeeperClient",
    spec: "WorkerSpec",
    runtime: Runtime,
    *,
    types: tuple[str, ...],
    brain: str,
    machine: str,
    placed: Mapping[str, int | str] = MappingProxyType({}),
) -> RuntimeTrial:
    """Try `runtime` with the base that `spec` loads, which has these `types`. `machine`: what the finding holds for; `placed`:
    the settings that put layers on devices.

    Raises OmniError where nobody can try, such as for want of memory, and LoadFailed where the runtime refused the very file; that
    it fails is what it returns.
    """
    trial = RuntimeTrial(runtime=runtime.key, machine=machine, types=types, brain=brain)
    try:
        async with asyncio.timeout(PATIENCE), await keeper.worker(small(spec, runtime.name, placed)) as lease:
            try:
                async for _ in lease.states():
                    pass
            except EngineError as error:
                if (loading := _LOADING.search(error.message)) is None:
                    raise
                if refused := refused_of(error.hint):
                    raise LoadFailed(
                        f"{runtime.name} cannot load {brain}: {refused}.", hint=error.hint, refused=refused
                    ) from error
                return msgspec.structs.replace(trial, words=_words(loading[1], error.hint, types))
            try:
                return await _measured(keeper, lease, trial, slow="software" in placed)
            except OmniError as error:
                fate = await fate_of(keeper, lease.socket, program=runtime.kind == "llama_server")
                how, log = (fate.how, fate.log) if fate is not None else (error.message, "")
                return msgspec.structs.replace(trial, words=_words(how, log, types))
            finally:
                with suppress(OmniError):
                    await keeper.stop(lease.worker)
    except TimeoutError:
        return msgspec.structs.replace(trial, words=f"takes more than {PATIENCE:.0f} s with {types_words(types)}")


async def _measured(keeper: "KeeperClient", lease: "Lease", trial: RuntimeTrial, *, slow: bool) -> RuntimeTrial:
    """`slow`: on a device that is software a few tokens take as long as all of them elsewhere."""
    client = WorkerClient(lease.socket, lease.key)
    prompt = await tokens_of(client, SENTENCE if slow else _TEXT)
    speeds = Speeds(prompt=0.0, answer=0.0)
    begun = time.monotonic()
    for number in range(TIMES):
        if number and time.monotonic() - begun > ENOUGH:
            break
        times = await times_of(client, prompt, 4 if slow else TOKENS)
        speeds = Speeds(
            prompt=max(speeds.prompt, rate(times.prompt_n, times.prompt_ms)),
            answer=max(speeds.answer, rate(times.predicted_n, times.predicted_ms)),
        )
    worker = next((one for one in await keeper.processes() if one.name == lease.worker), None)
    if worker is not None:
        memory = await asyncio.to_thread(process_memory, [worker.pid])
        speeds = msgspec.structs.replace(speeds, memory=memory.get(worker.pid, 0))
    return msgspec.structs.replace(trial, speeds=speeds, llguidance=await _keeps_grammars(client))


async def times_of(client: WorkerClient, prompt: list[int], tokens: int) -> LlamaTimings:
    """How long one answer took. Raises EngineError where nothing came, or nobody says."""
    times: LlamaTimings | None = None
    async with aclosing(
        client.stream("/completion", _question(prompt, stream=True, n_predict=tokens), LlamaChunk)
    ) as chunks:
        async for chunk in chunks:
            times = chunk.timings or times
    if times is None or not (times.prompt_n and times.predicted_n):
        raise EngineError("it answers nothing")
    return times


def rate(tokens: int, milliseconds: float) -> float:
    """Tokens a second."""
    return round(1000 * tokens / max(milliseconds, 0.001), 1)


async def _keeps_grammars(client: WorkerClient) -> bool:
    """Whether a grammar of ours decides what comes. A build without LLGuidance may end of it: nothing follows in its worker."""
    try:
        answer = await client.json("/completion", _question("The sea is", grammar=_GRAMMAR, n_predict=4))
        return str(answer["content"]).startswith(_KEPT[0])
    except (OmniError, LookupError, TypeError):
        return False


def _words(how: str, log: str, types: tuple[str, ...]) -> str:
    """A failure as the end of a sentence that begins with the name of the engine."""
    listed = types_words(types)
    if "SIGILL" in how:
        told = _INSTRUCTIONS.search(log)
        processors = f"with {told[1]}" if told else "of another kind"
        return f"ends with an illegal instruction with {listed}: its code is for processors {processors}"
    if (signal := re.search(r"SIG[A-Z]+", how)) is not None:
        return f"ends by {signal[0]} with {listed}"
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    reason = next(
        (line for line in lines if DID_NOT_LOAD in line or line.startswith("The engine ")), lines[-1:] or [how]
    )
    return f"fails with {listed}: {reason if isinstance(reason, str) else reason[0]}"


def _question(prompt: str | list[int], **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "cache_prompt": False, "ignore_eos": True, **more}


def small(spec: "WorkerSpec", engine: str, placed: Mapping[str, int | str]) -> "WorkerSpec":
    """A worker for one short question, which nobody else uses."""
    left_out = (*NOT_TRIED, *SETTINGS)
    settings = {name: value for name, value in spec.settings.items() if name not in left_out}
    settings |= {**placed, "context": CELLS, "cells": CELLS, "slots": 1, "keep_alive": 0, "trial": 1}
    return msgspec.structs.replace(spec, engine=engine, settings=settings)
