"""Whether the engine can load a file is told from its header, as the engine itself says; and what helps is told with it."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Library, read_header
from omni.cartridges.architectures import ENGINE, names, wants
from omni.cartridges.ggml import EMBEDDING_ARCHITECTURES, OTHER_ARCHITECTURES
from omni.cartridges.judging import judge_header
from omni.cartridges.loadable import obstacle
from tests.cartridges.tiny_models import engine_version, tiny, why_not

Make = Callable[..., bytes]

VISION = (
    ("v.blk.0.attn_q.weight", (8,), 0),
    ("v.patch_embedding.weight", (8,), 0),
    ("mm.input_projection.weight", (8,), 0),
)
CHATML = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }{{ '<|im_end|>\n' }}{% endfor %}"


def told(tmp_path: Path, data: bytes, template: str | None = None) -> str:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    problem = obstacle(read_header(path), template)
    return problem.reason if problem else ""


# What is made here is loaded, or not, by the engine as well: `test_the_engine_says_the_same`.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "as it should be": ({}, ""),
    "another architecture": ({"architecture": "gemma3"}, ""),
    "with norms of its heads": ({"architecture": "qwen3"}, ""),
    "with an output of its own": ({"more": (("output.weight", (64, 40), 0),)}, ""),
    "with factors for long contexts": ({"more": (("rope_freqs.weight", (16,), 0),)}, ""),
    "with biases": ({"more": tuple((f"blk.{n}.attn_q.bias", (64,), 0) for n in range(2))}, ""),
    "with entries that nobody knows": ({"llama__vision__block_count": 27, "llama__mm__tokens_per_image": 256}, ""),
    "with eyes inside": ({"architecture": "gemma3", "more": VISION}, "what it sees or hears with is inside"),
    "with a tensor that nobody knows": (
        {"more": (("blk.0.novel.weight", (8,), 0),)},
        "does not take in a llama: novel.weight",
    ),
    "with a tensor of another architecture": (
        {"more": (("blk.0.attn_q_norm.weight", (32,), 0),)},
        "does not take in a llama: attn_q_norm.weight",
    ),
    "with experts as they were written once": (
        {"more": (("blk.0.ffn_gate.0.weight", (64, 96), 0),)},
        "does not take in a llama: ffn_gate.0.weight",
    ),
    "without a norm": ({"without": "output_norm"}, "must have: output_norm.weight"),
    "without a tensor in one layer": ({"without": "blk.1.attn_norm"}, "must have: attn_norm.weight"),
    "more layers than it says": ({"llama__block_count": 1}, "it says that it has 1 layers, and has tensors of 2"),
    "fewer layers than it says": (
        {"llama__block_count": 3},
        "must have: attn_norm.weight, attn_output.weight, ffn_norm.weight",
    ),
    "an entry is missing": (
        {"llama__attention__layer_norm_rms_epsilon": None},
        "must know: llama.attention.layer_norm_rms_epsilon",
    ),
    "no length is told": ({"llama__context_length": None}, "must know: llama.context_length"),
    "an unknown architecture": ({"architecture": "qwen25vl"}, "does not know the architecture 'qwen25vl'"),
    "an unknown kind of vocabulary": ({"tokenizer__ggml__model": "novel"}, "the kind of its vocabulary, 'novel'"),
    "no kind of vocabulary": ({"tokenizer__ggml__model": None}, "the kind of its vocabulary, ''"),
    "an unknown way to cut": (
        {"tokenizer__ggml__model": "gpt2", "tokenizer__ggml__pre": "novel", "tokenizer__ggml__merges": ["a b"]},
        "does not know how it cuts texts, 'novel'",
    ),
    "no merges": (
        {"tokenizer__ggml__model": "gpt2", "tokenizer__ggml__pre": "qwen2"},
        "pieces of its vocabulary are joined",
    ),
    "no vocabulary": ({"tokenizer__ggml__tokens": None}, "it has no vocabulary"),
    "texts without a row": (
        {"tokenizer__ggml__tokens": [f"tok_{n}" for n in range(41)]},
        "its vocabulary has 41 texts, and a table of them 40 rows",
    ),
    "a known way to longer contexts": ({"llama__rope__scaling__type": "yarn", "llama__rope__scaling__factor": 4.0}, ""),
    "a template with a brace too few": (
        {"tokenizer__chat_template": "{% for m in messages %}\n{{ m.content }{% endfor %}"},
        "its chat template cannot be read: line 2: expected }}, found }",
    ),
    "a template without an end": (
        {"tokenizer__chat_template": "{% if messages %}{{ messages }}"},
        "an {% if %} has no end",
    ),
    "a template in Ollama's language": (
        {"tokenizer__chat_template": "{{ .Prompt }}"},
        "line 1: expected a value, found .",
    ),
    "a template with a statement of Python's": (
        {"tokenizer__chat_template": "{% do messages.append(1) %}{{ messages }}"},
        "this engine knows no statement 'do'",
    ),
    "a name instead of a template": ({"tokenizer__chat_template": "chatml"}, ""),
    "no template": ({"tokenizer__chat_template": None}, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_header_tells(tmp_path: Path, case: str) -> None:
    options, reason = CASES[case]
    complaint = told(tmp_path, tiny(**options))
    assert reason in complaint if reason else not complaint


def test_a_way_to_longer_contexts_that_the_engine_has_not_is_told(tmp_path: Path) -> None:
    complaint = told(tmp_path, tiny(llama__rope__scaling__type="novel"))
    assert complaint == "this engine does not know its way to longer contexts, 'novel'"


@pytest.mark.real
@pytest.mark.parametrize("case", CASES)
def test_the_engine_says_the_same(tmp_path: Path, case: str) -> None:
    options, reason = CASES[case]
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny(**options))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:  # paths of sockets end soon
        refused = why_not(path, Path(short))
    assert bool(refused) == bool(reason), refused


def test_the_tables_are_those_of_this_engine() -> None:
    """A newer engine takes more. Make the table anew then, as tests/cartridges/engine_tables.py says."""
    assert engine_version() == ENGINE
    assert names() >= EMBEDDING_ARCHITECTURES | OTHER_ARCHITECTURES
    assert all(wants(name) for name in names())
    assert (wants("clip"), wants(""), wants("llama: "), wants("lama")) == (None, None, None, None)


def test_a_template_from_elsewhere_helps_a_file_whose_own_cannot_be_read(tmp_path: Path) -> None:
    data = tiny(tokenizer__chat_template="{{ messages")
    assert "cannot be read" in told(tmp_path, data)
    assert not told(tmp_path, data, "{{ messages }}")


async def test_the_template_of_its_family_takes_the_place_of_one_that_cannot_be_read(
    library: Library, tmp_path: Path, gguf: Make
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(gguf(tokenizer__chat_template=CHATML))
    brain = await library.add(path)
    assert brain.base is not None
    assert (brain.state, brain.base.header.template_fault) == ("installed", "line 2: expected }}, found }")
    assert "<|im_start|>" in (brain.base.template or "")
    assert (brain.base.template or "").endswith("{% endif %}")


def test_what_an_older_omni_read_is_not_judged_by_what_it_did_not_read(tmp_path: Path) -> None:
    import msgspec

    path = tmp_path / "x.gguf"
    path.write_bytes(tiny(architecture="gemma3", more=VISION))
    header = read_header(path)
    assert judge_header(header, None) is not None
    assert judge_header(msgspec.structs.replace(header, kinds={}), None) is None


def test_a_worker_that_has_loaded_it_knows_better(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny(more=(("blk.0.novel.weight", (8,), 0),)))
    assert judge_header(read_header(path), None, loaded=True) is None
