"""Measuring what makes a base faster on this machine: each way in a worker of its own, in turns with the usual one, since others
work here too. What was not ahead in a round is not measured again."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from omni.core.errors import OmniError
from omni.engine._infill import tokens_of
from omni.engine._offloading import SETTINGS
from omni.engine.http import WorkerClient
from omni.engine.llama import BATCH, GUESSES
from omni.engine.trials import PATIENCE, SENTENCE, rate, small, times_of
from omni.runtimes import ROUNDS, is_ahead, may_be_batch

if TYPE_CHECKING:
    from omni.keeper import KeeperClient, WorkerSpec

BATCHES = (64, 256, 512)  # that are compared with the usual one
PROMPT = 512  # tokens that are read
ANSWER = 48  # tokens of each answer to these
QUESTIONS = (
    "Tell a story about an old ship.",
    "Write a Python function that counts the words of a text.",
    "Explain to a child why it rains.",
)


async def measure_batches(keeper: "KeeperClient", spec: "WorkerSpec") -> dict[int, tuple[float, ...]]:
    """Tokens a second of reading a prompt, by the size of a batch, for the base that `spec` loads. Raises OmniError where it
    cannot be loaded or does not answer."""
    figures: dict[int, tuple[float, ...]] = {}
    left = list(BATCHES)
    while left and len(figures.get(BATCH, ())) < ROUNDS:
        for size in (BATCH, *left):
            figures[size] = (*figures.get(size, ()), await _reading(keeper, _with(spec, batch=size)))
        left = [size for size in left if may_be_batch(size, figures, BATCH)]
    return figures


async def measure_drafts(
    keeper: "KeeperClient", plain: "WorkerSpec", drafting: "Mapping[str, WorkerSpec]"
) -> dict[str, tuple[float, ...]]:
    """Tokens a second of short answers, reading included, for the base that `plain` loads, and with each of the drafts that the
    others load beside it. Raises as `measure_batches` does."""
    figures: dict[str, tuple[float, ...]] = {}
    left = dict(drafting)
    while left and len(figures.get("", ())) < ROUNDS:
        for base, spec in {"": plain, **left}.items():
            more = {name: spec.settings[name] for name in GUESSES if name in spec.settings}
            figures[base] = (*figures.get(base, ()), await _answering(keeper, _with(spec, **more)))
        left = {base: spec for base, spec in left.items() if is_ahead(figures[base], figures[""])}
    return figures


async def _answering(keeper: "KeeperClient", spec: "WorkerSpec") -> float:
    async with _worker(keeper, spec) as client:
        tokens, milliseconds = 0, 0.0
        for question in QUESTIONS:
            body = {"messages": [{"role": "user", "content": question}]}
            prompt = str((await client.json("/apply-template", body))["prompt"])
            times = await times_of(client, await tokens_of(client, prompt), ANSWER)
            tokens, milliseconds = tokens + times.predicted_n, milliseconds + times.prompt_ms + times.predicted_ms
        return rate(tokens, milliseconds)


async def _reading(keeper: "KeeperClient", spec: "WorkerSpec") -> float:
    async with _worker(keeper, spec) as client:
        times = await times_of(client, (await tokens_of(client, SENTENCE * 30))[:PROMPT], 1)
        return rate(times.prompt_n, times.prompt_ms)


@asynccontextmanager
async def _worker(keeper: "KeeperClient", spec: "WorkerSpec") -> AsyncIterator[WorkerClient]:
    """A worker that nobody else uses, and that ends here."""
    async with asyncio.timeout(PATIENCE), await keeper.worker(spec) as lease:
        try:
            async for _ in lease.states():
                pass
            yield WorkerClient(lease.socket, lease.key)
        finally:
            with suppress(OmniError):
                await keeper.stop(lease.worker)


def _with(spec: "WorkerSpec", **more: int | str) -> "WorkerSpec":
    """A small worker like the one of `spec`, where it lies, and otherwise as `more` says."""
    placed = {name: value for name, value in spec.settings.items() if name in SETTINGS}
    made = small(spec, spec.engine, placed)
    return msgspec.structs.replace(made, settings={**made.settings, **more})
