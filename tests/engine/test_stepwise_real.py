"""llama-cpp-python and mlx as engines: what they say beside the engine that comes with Omni, and what they refuse."""

import asyncio
import json
import random
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.equality import compare
from omni.cartridges import Tensor
from omni.core.errors import ContextOverflow, EngineError
from omni.core.events import TextDelta, TokenLogprob, TurnEnded
from omni.core.paths import Home
from omni.engine import Engine
from omni.engine.http import WorkerClient
from omni.engine.stepwise.gguf_weights import unread
from omni.engine.trials import try_runtime
from omni.keeper import KeeperClient, WorkerSpec
from omni.runtimes import ABILITIES, Ability, Runtime, find_devices
from tests.engine.engine_tools import DirectKeeper, asked, end_of, events_of, real_spec, text_of
from tests.fixtures_engines import lent
from tests.keeper_tools import kept
from tests.runtime_tools import ROOT

pytestmark = pytest.mark.real

ASKED: dict[Ability, dict[str, int | str]] = {
    "images": {"projector": "/some/where.gguf"},
    "adapters": {"adapters": '["/some/where.gguf"]'},
    "vectors": {"embeddings": 1},
    "ranks": {"embeddings": 1, "pooling": "rank"},
    "devices": {"gpu_layers": 2},
}
TEXTS = [
    "Hello, world! It's 12,345.67 o'clock.\n\n\tdef f(x):\n    return x  # tab\r\n",
    "Überlege: naïve façade, Straße, ÇA VA? ÉÈÊ",
    "日本語のテキスト、한국어 문장, и русский текст; عربي",
    "🙂👩\u200d👩\u200d👧 \u0301e\u0301 \u00a0\u2003x \u202e",
    "<|im_start|>user<|im_end|> <|endoftext|> <|im_start",
    "I'll we've THEY'RE don't 'S 'll  spaces   at  the end   ",
    "\x00\x01\x7f \ufffd",
    "a" * 300 + "1" * 50 + "=" * 40 + "\n" * 9,
]


@pytest.fixture(params=["llama_cpp_engine", "mlx_engine"])
def runtime(request: pytest.FixtureRequest, home: Home) -> Runtime:
    return lent(home, request.getfixturevalue(request.param))


@pytest.fixture
async def real_keeper(home: Home) -> AsyncIterator[KeeperClient]:
    async with kept(home) as client:
        yield client


@pytest.fixture
def other_gguf(small_gguf: Path, tmp_path: Path) -> Path:
    """The same brain, which calls its architecture otherwise."""
    path = tmp_path / "other.gguf"
    path.write_bytes(small_gguf.read_bytes().replace(b"llama", b"gemma"))
    return path


def spec_of(runtime: Runtime, gguf: Path, **settings: int | str) -> WorkerSpec:
    return msgspec.structs.replace(real_spec(gguf, **settings), engine=runtime.name, base=gguf.name)


def noise() -> list[str]:
    """Texts of letters that stand together by chance."""
    dice = random.Random(3)
    letters = [*map(chr, range(32, 127)), *"\n\n\t  äß€漢字🙂\u0301", "<|im_end|>", "the", " 12", "'re"]
    return ["".join(dice.choices(letters, k=60)) for _ in range(40)]


async def test_texts_have_the_tokens_that_llama_cpp_makes_of_them(
    small_gguf: Path, runtime: Runtime, worker_engine: Any
) -> None:
    async with (
        worker_engine(real_spec(small_gguf)) as own,
        worker_engine(spec_of(runtime, small_gguf)) as engine,
    ):
        for text in (*TEXTS, *noise()):
            assert await engine.tokenize(text) == await own.tokenize(text), text


async def gate(keeper: KeeperClient, runtime: Runtime, gguf: Path, questions: list[str], tokens: int) -> int:
    """How many tokens fail the gate of equality."""
    plain: dict[str, int | str] = {"slots": 1, "context": 1024, "cells": 1024}
    clients, leases = [], []
    for spec in (real_spec(gguf, **plain), spec_of(runtime, gguf, **plain)):
        lease = await keeper.worker(spec)
        async for _ in lease.states():
            pass
        leases.append(lease)
        clients.append(WorkerClient(lease.socket, lease.key))
    reference, other = clients
    return await compare(reference, other, questions, tokens)


async def test_a_small_brain_says_what_it_says_by_the_engine_that_comes_with_omni(
    real_keeper: KeeperClient, runtime: Runtime, small_gguf: Path
) -> None:
    assert await gate(real_keeper, runtime, small_gguf, ["What is the sea?", "List five facts."], 16) == 0


@pytest.mark.long  # mlx reads a prompt on a processor at a few tokens a second
async def test_a_real_brain_says_what_it_says_by_the_engine_that_comes_with_omni(
    real_keeper: KeeperClient, runtime: Runtime, starter_gguf: Path
) -> None:
    assert await gate(real_keeper, runtime, starter_gguf, ["What is the sea?", "List five facts."], 24) == 0


async def test_eight_chats_take_their_turns(small_gguf: Path, runtime: Runtime, worker_engine: Any) -> None:
    async with worker_engine(spec_of(runtime, small_gguf, slots=8)) as engine:
        answers = await asyncio.gather(*(events_of(engine, asked(f"Say {n}.", max_tokens=12)) for n in range(8)))
        alone = [await events_of(engine, asked(f"Say {n}.", max_tokens=12)) for n in range(8)]
    assert all(end_of(events).usage.completion_tokens > 0 for events in answers)
    assert list(map(text_of, answers)) == list(map(text_of, alone))


async def test_an_answer_goes_on_after_the_worker_was_killed(
    small_gguf: Path, runtime: Runtime, worker_engine: Any, keeper: DirectKeeper
) -> None:
    said: list[str] = []
    async with worker_engine(spec_of(runtime, small_gguf)) as engine:
        async for event in engine.chat(asked("Tell me of the sea.", max_tokens=200)):
            if isinstance(event, TextDelta):
                said.append(event.text)
                if len(said) == 5:
                    await asyncio.to_thread(keeper.started[0].kill)
            elif isinstance(event, TurnEnded):
                assert event.reason == "length"
        assert len(keeper.started) == 2
    assert len(said) > 5


async def test_likelihoods_are_told(small_gguf: Path, runtime: Runtime, worker_engine: Any) -> None:
    async with worker_engine(spec_of(runtime, small_gguf)) as engine:
        events = await events_of(engine, asked("Say it.", max_tokens=4, logprobs=3))
    told = [event for event in events if isinstance(event, TokenLogprob)]
    assert len(told) == end_of(events).usage.completion_tokens
    for event in told:
        assert event.chosen == event.top[0]  # greedily
        assert [one.logprob for one in event.top] == sorted((one.logprob for one in event.top), reverse=True)


async def test_trials_measure_it_and_find_that_it_keeps_grammars(
    real_keeper: KeeperClient, runtime: Runtime, small_gguf: Path
) -> None:
    trial = await try_runtime(
        real_keeper, real_spec(small_gguf), runtime, types=("F32",), brain="@omni/small", machine="here"
    )
    assert trial.words == ""
    assert trial.speeds is not None
    assert trial.speeds.prompt > 0 < trial.speeds.answer
    assert trial.llguidance


@pytest.mark.parametrize("asked_for", list(ASKED))
async def test_what_it_cannot_do_is_refused_and_not_left_out(
    small_gguf: Path, runtime: Runtime, worker_engine: Any, asked_for: Ability
) -> None:
    if asked_for in ABILITIES[runtime.kind]:
        pytest.skip("it can")
    async with worker_engine(spec_of(runtime, small_gguf, **ASKED[asked_for])) as engine:
        await _refused(engine, f"it cannot do {asked_for}")


async def test_llama_cpp_python_makes_the_vectors_that_the_engine_of_omni_makes(
    home: Home, small_gguf: Path, llama_cpp_engine: Path, worker_engine: Any
) -> None:
    settings: dict[str, int | str] = {"embeddings": 1, "pooling": "mean", "batch": 256}
    texts = ["sea", "The mountain, and the sea.", "sea"]
    async with (
        worker_engine(real_spec(small_gguf, **settings)) as own,
        worker_engine(spec_of(lent(home, llama_cpp_engine), small_gguf, **settings)) as engine,
    ):
        assert (await engine.capabilities()).embeds
        wanted, vectors = await own.embed(texts), await engine.embed(texts)
        assert vectors.tokens == wanted.tokens
        for mine, other in zip(vectors, wanted, strict=True):
            assert mine == pytest.approx(other, abs=1e-3)
        with pytest.raises(ContextOverflow, match="can be read for one vector"):
            await engine.embed(["word " * 300])


async def test_llama_cpp_python_lists_no_processor_among_its_devices(home: Home, llama_cpp_engine: Path) -> None:
    runtime = lent(home, llama_cpp_engine)
    devices = await asyncio.to_thread(find_devices, runtime, "auto")
    assert all(device.kind != "software" and device.name != "CPU" for device in devices)


async def test_mlx_refuses_an_architecture_that_it_does_not_have(
    home: Home, other_gguf: Path, mlx_engine: Path, worker_engine: Any
) -> None:
    async with worker_engine(spec_of(lent(home, mlx_engine), other_gguf)) as engine:
        await _refused(engine, "cannot load other.gguf: the engine mlx has llama and qwen2, and no gemma")


async def _refused(engine: Engine, words: str) -> None:
    with pytest.raises(EngineError) as refused:
        await events_of(engine, asked("Hello."))
    assert words in f"{refused.value.message} {refused.value.hint}"


_PACKED = """
import sys
from pathlib import Path
from omni.engine.stepwise.mlx import MlxModel
packages, path = sys.argv[1:]
sys.path.insert(0, packages)
for packed in (True, False):
    model = MlxModel(Path(packages), path, {"context": 64}, packed=packed)
    tokens = model.tokens("The sea is", special=True, beginning=True)
    for _ in range(6):
        model.keep(0, 0)
        logits = model.read(0, 0, tokens)
        tokens.append(logits.index(max(logits)))
    print(tokens)
"""


@pytest.mark.long
async def test_packed_weights_as_on_a_graphics_processor_say_what_plain_ones_say(
    mlx_engine: Path, starter_gguf: Path
) -> None:
    words = [sys.executable, "-c", _PACKED, str(mlx_engine / "packages"), str(starter_gguf)]
    done = await asyncio.to_thread(subprocess.run, words, cwd=ROOT, capture_output=True, text=True, timeout=240)
    packed, plain = done.stdout.splitlines()
    assert packed == plain


_Q4_K = """
import json, sys
packages, data = sys.argv[1:]
sys.path.insert(0, packages)
import mlx.core as mx
from omni.engine.stepwise.gguf_weights import q4_k
whole = q4_k(mx, bytes.fromhex(data), 2)
print(json.dumps(mx.dequantize(*whole, group_size=32, bits=4).reshape(-1).tolist()))
"""


def _q4_k_by_hand(block: bytes) -> list[float]:
    """One block, number by number, as ggml-quants.c has it."""
    scale, least = struct.unpack_from("<ee", block)
    small, numbers = block[4:16], block[16:]
    values: list[float] = []
    for part in range(8):
        if part < 4:
            factor, minimum = small[part] & 63, small[part + 4] & 63
        else:
            factor = (small[part + 4] & 15) | (small[part - 4] >> 6) << 4
            minimum = (small[part + 4] >> 4) | (small[part] >> 6) << 4
        pairs = numbers[part // 2 * 32 :][:32]
        values += [scale * factor * (each >> 4 if part % 2 else each & 15) - least * minimum for each in pairs]
    return values


async def test_mlx_is_given_blocks_of_q4_k_as_llama_cpp_reads_them(mlx_engine: Path) -> None:
    dice = random.Random(5)
    blocks = [struct.pack("<ee", dice.random(), dice.random()) + dice.randbytes(140) for _ in range(4)]
    words = [sys.executable, "-c", _Q4_K, str(mlx_engine / "packages"), b"".join(blocks).hex()]
    done = await asyncio.to_thread(subprocess.run, words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    wanted = [value for block in blocks for value in _q4_k_by_hand(block)]
    assert json.loads(done.stdout) == pytest.approx(wanted, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize(("kind", "words"), [("Q4_K", ""), ("Q5_K", "Q5_K"), ("IQ2_XXS", "IQ2_XXS"), ("F16", "")])
def test_types_that_nobody_reads_are_named(kind: str, words: str) -> None:
    plain = Tensor(name="a", type="F32", shape=(1,), offset=0)
    assert unread([plain, msgspec.structs.replace(plain, type=kind)]) == words
