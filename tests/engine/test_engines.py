"""Which worker a brain gets: what is allocated, what is shared, and what costs nothing."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omni.cartridges import Base, Brain, GgufHeader, Projector
from omni.cartridges.brains import BrainAdapter
from omni.core.errors import ContextOverflow, NotFound
from omni.core.paths import Home
from omni.core.settings import Settings, parse
from omni.engine import Engines, ScriptedEngine, completion_limit, sampling_of
from omni.engine.context import least_answer
from omni.hardware import Cpu, Disk, HardwareProfile, Memory


def machine(gigabytes: float) -> HardwareProfile:
    size = int(gigabytes * 1e9)
    return HardwareProfile(
        system="Linux",
        machine="x86_64",
        cpu=Cpu(name="a CPU", cores=4, threads=8, usable=8),
        memory=Memory(total=size, available=size),
        disk=Disk(free=1 << 40, path="/"),
    )


def base(**more: Any) -> Base:
    header = GgufHeader(
        version=3,
        architecture="llama",
        kind="model",
        context_length=more.pop("context", 8192),
        kv_elements=11520,
        weights_bytes=98_000_000,
    )
    return Base(id="sha256-1", path="/a.gguf", parts=("/a.gguf",), size=1, header=header, origin="blob", **more)


def brain(name: str = "@omni/a", **more: Any) -> Brain:
    return Brain(name=name, state=more.pop("state", "ready"), base=more.pop("base", base()), **more)


def engines(home: Home, *, gigabytes: float = 16, settings: str = "", **more: Any) -> Engines:
    keeper: Any = SimpleNamespace()
    return Engines(home, keeper, parse(settings) if settings else Settings(), machine(gigabytes), **more)


@pytest.mark.parametrize(("cache", "most"), [("f16", 9102), ("q8_0", 17133)])
def test_a_worker_is_told_how_long_a_prompt_may_be_whose_state_is_kept(home: Home, cache: str, most: int) -> None:
    """200 MB of 11,520 values a token; where all of its context would fit nothing needs to be said."""
    wanted = f'[engine]\ncache = "{cache}"\ncontext = 32768\n'
    long = brain(base=base(context=32768))
    assert engines(home, settings=wanted).spec(long).settings["prefix_tokens"] == most
    assert "prefix_tokens" not in engines(home).spec(brain()).settings


@pytest.mark.parametrize(
    ("changes", "batch", "pooling"),
    [
        ({}, 1024, "mean"),  # a brain that chats, asked for vectors
        ({"kind": "embedding", "architecture": "nomic-bert", "pooling": "mean"}, 2048, None),
        ({"kind": "embedding", "architecture": "bert", "pooling": "cls", "context_length": 512}, 512, None),
        ({"kind": "embedding", "architecture": "bert", "pooling": "none"}, 2048, "mean"),
        ({"kind": "embedding", "architecture": "bert"}, 2048, None),  # as an older Omni has noted it
        ({"kind": "embedding", "architecture": "qwen3", "pooling": "last"}, None, None),
        ({"kind": "embedding", "architecture": "llama", "pooling": "mean"}, 1024, None),
    ],
)
def test_a_worker_for_vectors_reads_a_text_at_once_where_that_is_needed(
    home: Home, changes: dict[str, Any], batch: int | None, pooling: str | None
) -> None:
    pool = engines(home)
    header = msgspec.structs.replace(base().header, **changes)
    asked = brain(base=msgspec.structs.replace(base(), header=header))
    settings = pool.spec(asked, embeddings=True).settings
    assert (settings.get("batch"), settings.get("pooling"), settings["embeddings"]) == (batch, pooling, 1)
    same = pool.spec(asked).key == pool.spec(asked, embeddings=True).key
    assert same == (header.kind == "embedding")


def test_brains_on_one_base_share_a_worker(home: Home) -> None:
    pool = engines(home)
    one, other = pool.spec(brain("@omni/a", prompt="Be brief.")), pool.spec(brain("@omni/b", sampling={"top_k": 1}))
    assert one.key == other.key


async def test_brains_on_one_base_share_an_engine(home: Home) -> None:
    pool = engines(home)
    assert await pool.open(brain("@omni/a")) is await pool.open(brain("@omni/b"))
    await pool.close()


def test_all_adapters_of_a_base_are_loaded_whichever_brain_is_asked_first(home: Home) -> None:
    pool = engines(home, adapters=lambda _base: ("/b.gguf", "/a.gguf"))
    bare, adapted = pool.spec(brain()), pool.spec(brain(adapter=BrainAdapter(path="/a.gguf")))
    assert bare.key == adapted.key
    assert json.loads(str(bare.settings["adapters"])) == ["/a.gguf", "/b.gguf"]


def test_new_settings_hold_for_the_next_spec(home: Home) -> None:
    pool = engines(home, settings="[engine]\ncontext = 4096")
    pool.follow(parse("[engine]\ncontext = 8192\nthreads = 2"))
    assert (pool.spec(brain()).settings["context"], pool.spec(brain()).settings["threads"]) == (8192, 2)


def test_a_cartridge_may_ask_for_its_own_context(home: Home) -> None:
    pool = engines(home, settings="[engine]\ncontext = 4096")
    assert pool.spec(brain(context=8192)).settings["context"] == 8192
    assert int(pool.spec(brain(context=8192)).settings["cells"]) >= 8192
    assert pool.spec(brain(context=1024)).settings["context"] == 1024


def test_eyes_are_loaded_with_the_base_and_counted(home: Home) -> None:
    pool, eyes = engines(home), Projector(path="/mmproj.gguf", size=200_000_000, kind="mlp")
    bare, seeing = pool.spec(brain()), pool.spec(brain(base=base(projector=eyes)))
    assert "projector" not in bare.settings
    assert (seeing.settings["projector"], "batch" in seeing.settings) == ("/mmproj.gguf", False)
    assert seeing.need_bytes - bare.need_bytes == eyes.memory > eyes.size
    assert "projector" not in pool.spec(brain(base=base(projector=eyes)), embeddings=True).settings
    small = engines(home, gigabytes=1.1).spec(brain(base=base(projector=eyes)))
    assert int(small.settings["context"]) < int(seeing.settings["context"])


def test_an_image_whose_tokens_look_at_each_other_is_read_in_one_batch(home: Home) -> None:
    eyes = Projector(path="/mmproj.gguf", size=1, kind="gemma3")
    spec = engines(home).spec(brain(base=base(projector=eyes)))
    assert spec.settings["batch"] == 512
    without = engines(home).spec(brain(base=base(projector=Projector(path="/mmproj.gguf", size=1, kind="mlp"))))
    guesses = (64 - 31) * 4 * (1 << 17)  # more of them fit into such a batch; rows of a vocabulary that is not known
    assert spec.need_bytes - without.need_bytes == (512 - 128) * (256 << 10) + guesses


def test_another_template_is_another_worker(home: Home) -> None:
    pool = engines(home)
    assert pool.spec(brain()).key != pool.spec(brain(base=base(template="{{ x }}"))).key


def test_the_context_is_the_least_of_file_settings_and_memory(home: Home) -> None:
    assert engines(home).spec(brain()).settings["context"] == 8192
    assert engines(home, settings="[engine]\ncontext = 4096").spec(brain()).settings["context"] == 4096
    big = base(context=1 << 20)
    small = engines(home, gigabytes=0.6, settings="[engine]\ncontext = 65536").spec(brain(base=big))
    assert int(small.settings["context"]) < 65536
    assert small.need_bytes <= 0.8 * 0.6e9


def test_slots_share_what_the_settings_allow_where_one_chat_cannot_use_it_all(home: Home) -> None:
    settings = engines(home).spec(brain()).settings
    assert (settings["context"], settings["cells"]) == (8192, 16384)
    assert engines(home, settings="[engine]\nslots = 1").spec(brain()).settings["cells"] == 8192


def test_threads_are_cores_and_not_hyperthreads(home: Home) -> None:
    assert engines(home).spec(brain()).settings["threads"] == 4
    assert engines(home, settings="[engine]\nthreads = 3").spec(brain()).settings["threads"] == 3


@pytest.mark.parametrize("state", ["gone", "unreadable"])
def test_a_brain_without_its_file_says_what_to_do(home: Home, state: str) -> None:
    with pytest.raises(NotFound) as failed:
        engines(home).spec(brain(state=state, reason="The file went away.", command="omni pull @omni/a"))
    assert failed.value.message == "The file went away."
    assert failed.value.hint == "omni pull @omni/a"


def test_a_brain_that_was_not_pulled_says_what_to_do(home: Home) -> None:
    with pytest.raises(NotFound) as failed:
        engines(home).spec(brain(base=None, state="available"))
    assert "omni pull @omni/a" in failed.value.hint


async def test_an_engine_of_a_plug_in_comes_first(home: Home) -> None:
    class Factory:
        name = "other"

        def runs(self, brain: Brain) -> bool:
            return brain.name == "@other/brain"

        def open(self, brain: Brain) -> ScriptedEngine:
            return ScriptedEngine()

    pool = engines(home, factories=[Factory()])
    mine = await pool.open(brain("@other/brain"))
    assert isinstance(mine, ScriptedEngine)
    assert await pool.open(brain("@other/brain")) is mine
    assert not isinstance(await pool.open(brain()), ScriptedEngine)
    await pool.close()
    assert mine.closed


def test_sampling_comes_from_the_brain_then_its_base_then_here() -> None:
    sampling = sampling_of(
        brain(base=base(parameters={"temperature": 0.1, "top_k": 7, "num_gpu": 3}), sampling={"temperature": 0.9}),
        max_tokens=100,
    )
    assert (sampling.temperature, sampling.top_k, sampling.top_p, sampling.max_tokens) == (0.9, 7, 0.95, 100)


@given(st.integers(0, 20_000), st.integers(1, 20_000), st.integers(256, 20_000))
def test_an_answer_never_leaves_the_context(prompt: int, wanted: int, allocated: int) -> None:
    least = least_answer(wanted, allocated)
    if allocated - prompt < least:
        with pytest.raises(ContextOverflow) as refused:
            completion_limit(prompt, wanted, allocated)
        assert refused.value.needed > allocated
    else:
        max_completion_tokens = completion_limit(prompt, wanted, allocated)
        assert least <= max_completion_tokens <= wanted
        assert prompt + max_completion_tokens <= allocated


def test_naming_the_engine_imports_nothing_heavy() -> None:
    code = (
        "import sys, omni.engine; from omni.engine import ChatRequest, ScriptedEngine, Engines\n"
        "heavy = {'xllamacpp', 'h11', 'http', 'textual', 'psutil'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert process.stderr.strip() == ""


def test_the_package_itself_imports_none_of_its_modules() -> None:
    code = "import sys, omni.engine; sys.exit(', '.join(m for m in sys.modules if m.startswith(('omni.engine.', 'msgspec', 'asyncio'))))"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert process.stderr.strip() == ""
