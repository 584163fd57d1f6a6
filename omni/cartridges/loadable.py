"""Whether llama.cpp can load a model, as far as its header tells: what is judged before a brain is offered.

llama.cpp ends a load for one entry that it misses, for one tensor that it misses, and for one that it has not asked for;
for a vocabulary that it cannot cut, or that is larger than the table of its texts; for a template that it cannot read.
Ollama's own engine writes such files: models with the parts that see or hear inside of them, other names, fewer entries.
"""

from collections.abc import Sequence

import msgspec

from omni.cartridges.architectures import Wants, wants
from omni.cartridges.ggml import MERGING_TOKENIZERS, OTHER_ARCHITECTURES, PRETOKENIZERS, SCALINGS, TOKENIZERS
from omni.cartridges.gguf import GgufHeader

_ALWAYS = ("context_length", "embedding_length", "block_count")  # entries that every architecture needs
_SENSES = ("v.", "mm.", "a.", "s.")  # of what sees or hears, as Ollama names it inside of a model
_LAYERED = ("gemma3n", "gemma4")  # have a second table of their vocabulary, with something for each layer
_WITHOUT_MERGES = "kimi-k2"
_NAMED = 3  # of what is too much or missing


class Obstacle(msgspec.Struct, frozen=True, kw_only=True):
    """Why it cannot be loaded, in a sentence. `foreign`: as files are that are made for another engine, and not damaged."""

    reason: str
    foreign: bool = False


def obstacle(header: GgufHeader, template: str | None) -> Obstacle | None:
    """The first thing that llama.cpp would stumble over; `template` is used instead of the file's own."""
    wanted = wants(header.architecture)
    if wanted is None:
        return Obstacle(reason=f"this engine does not know the architecture {header.architecture!r}", foreign=True)
    if header.unknown_types:
        numbers = ", ".join(map(str, header.unknown_types))
        return Obstacle(reason=f"its weights are of a kind that this engine does not know ({numbers})")
    looked = header.kinds and header.architecture not in OTHER_ARCHITECTURES
    if looked and (problem := _tensors(header, wanted) or _entries(header, wanted) or _vocabulary(header)):
        return problem
    if header.scaling and header.scaling not in SCALINGS:
        return Obstacle(reason=f"this engine does not know its way to longer contexts, {header.scaling!r}")
    if header.template_fault and not template:
        return Obstacle(reason=f"its chat template cannot be read: {header.template_fault}")
    return None


def _tensors(header: GgufHeader, wanted: Wants) -> Obstacle | None:
    alien = [kind for kind in header.kinds if not wanted.takes(kind)]
    if any(name.startswith(_SENSES) for name in alien):
        return Obstacle(
            reason="what it sees or hears with is inside of the model's file, where this engine takes nothing else",
            foreign=True,
        )
    if alien:
        what = f"it has tensors that this engine does not take in a {header.architecture}: {_some(alien)}"
        return Obstacle(reason=what, foreign=True)
    if header.blocks > header.layers and "block_count" in header.keys:
        return Obstacle(reason=f"it says that it has {header.layers} layers, and has tensors of {header.blocks}")
    layers = header.layers - header.draft_layers
    missing = [kind for kind in wanted.needed if header.kinds.get(kind, 0) < (layers if kind.startswith("blk.") else 1)]
    if missing:
        return Obstacle(
            reason=f"it lacks tensors that a {header.architecture} must have: {_some(missing)}", foreign=True
        )
    return None


def _entries(header: GgufHeader, wanted: Wants) -> Obstacle | None:
    missing = [f"{header.architecture}.{key}" for key in (*_ALWAYS, *wanted.keys) if key not in header.keys]
    if missing:
        return Obstacle(reason=f"its header does not say what this engine must know: {_some(missing)}", foreign=True)
    return None


def _vocabulary(header: GgufHeader) -> Obstacle | None:
    if header.tokenizer not in TOKENIZERS:
        return Obstacle(
            reason=f"this engine does not know the kind of its vocabulary, {header.tokenizer!r}", foreign=True
        )
    if header.tokenizer in MERGING_TOKENIZERS:
        cut = header.pretokenizer
        if cut and cut not in PRETOKENIZERS:
            return Obstacle(reason=f"this engine does not know how it cuts texts, {cut!r}", foreign=True)
        if not header.merges and cut != _WITHOUT_MERGES:
            return Obstacle(reason="its header does not say how the pieces of its vocabulary are joined", foreign=True)
    if header.tokenizer in ("no_vocab", "none"):
        return None
    if not header.tokens:
        return Obstacle(reason="it has no vocabulary")
    layered = header.layer_rows if header.architecture in _LAYERED else 0
    if rows := [rows for rows in (header.rows, layered) if rows not in (0, header.tokens)]:
        return Obstacle(
            reason=f"its vocabulary has {header.tokens:,} texts, and a table of them {rows[0]:,} rows", foreign=True
        )
    return None


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(name.removeprefix("blk.") for name in names)[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
