"""Many brains on one base: a cached prefix is never used for another adapter."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from omni.core.errors import EngineError
from omni.engine import Adapter, ChatRequest
from omni.engine.answers import body_of
from omni.engine.http import WorkerClient
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, real_spec, scripted_spec, write_adapter

QUESTION = "Tell me about the sea and the ships that sail on it. " * 4


async def first_word(
    client: WorkerClient, request: ChatRequest, adapters: tuple[str, ...], *, cached: bool
) -> dict[str, float]:
    """The probabilities of the first word, as the server computes them with or without its cache."""
    body = body_of(request, max_completion_tokens=1, seed=1, adapters=adapters)
    body |= {"stream": False, "cache_prompt": cached, "logprobs": True, "top_logprobs": 8, "return_progress": False}
    answer = await client.json("/v1/chat/completions", body)
    alternatives = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    return {one["token"]: math.exp(one["logprob"]) for one in alternatives}


def distance(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one.get(token, 0.0) - other.get(token, 0.0)) for token in one.keys() | other.keys())


@pytest.mark.real
async def test_a_cached_prefix_is_never_used_across_adapters(
    keeper: DirectKeeper, worker_engine: Any, starter_gguf: Path, tmp_path: Path
) -> None:
    """Bare, A, B, A, more of A, A, bare, B in one slot: each answer is the one that is computed without any cache."""
    paths = (str(tmp_path / "a.gguf"), str(tmp_path / "b.gguf"))
    for seed, path in enumerate(paths):
        write_adapter(Path(path), seed=seed)
    spec = real_spec(starter_gguf, slots=1, context=512, cells=512, adapters=json.dumps(paths))
    async with worker_engine(spec) as engine:
        assert (await engine.capabilities()).adapters == paths
        worker = keeper.process(spec)
        client = WorkerClient(worker.socket, worker.key)
        adapters = {"bare": None, "a": Adapter(path=paths[0]), "b": Adapter(path=paths[1])}
        adapters["more"] = Adapter(path=paths[0], scale=2.0)
        requests = {name: asked(QUESTION, max_tokens=4, adapter=adapter) for name, adapter in adapters.items()}
        wanted = {}
        for name, request in requests.items():
            wanted[name] = await first_word(client, request, paths, cached=False)
        assert distance(wanted["bare"], wanted["a"]) > 0.05
        assert distance(wanted["a"], wanted["b"]) > 0.05
        assert min(distance(wanted["more"], wanted[name]) for name in ("bare", "a")) > 0.05
        for name in ("bare", "a", "b", "a", "more", "a", "bare", "b"):
            request = requests[name]
            first = end_of(await events_of(engine, request)).usage  # fills the cache as a chat does
            assert first.cached_tokens == 0
            again = end_of(await events_of(engine, request)).usage
            assert again.cached_tokens == again.prompt_tokens - 1
            assert distance(await first_word(client, request, paths, cached=True), wanted[name]) < 0.02


async def test_an_adapter_that_is_not_loaded_is_an_error(worker_engine: Any, keeper: DirectKeeper) -> None:
    async with worker_engine(scripted_spec()) as engine:
        with pytest.raises(EngineError, match="not loaded"):
            await events_of(engine, asked("Hi", adapter=Adapter(path="/unknown.gguf")))
    assert not keeper.workers


def test_every_request_names_all_adapters_with_their_scales() -> None:
    request = asked("Hi", adapter=Adapter(path="/b", scale=0.5))
    lora = body_of(request, max_completion_tokens=1, seed=1, adapters=("/a", "/b"))["lora"]
    assert lora == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.5}]
    assert [
        one["scale"] for one in body_of(asked("Hi"), max_completion_tokens=1, seed=1, adapters=("/a", "/b"))["lora"]
    ] == [0.0, 0.0]
