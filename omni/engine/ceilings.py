"""What a worker may take of memory for itself: the need of its brain, and room for what requests take beside it.

The kernel holds it by RLIMIT_DATA (`core/memory.py`), which counts all that a process may write to and nobody shares, touched or
not. The model is mapped and not among it, but what llama.cpp packs anew for the processor is, and so are the stacks of
threads. VmData and what was really there of it (RssAnon), in MB, of xllamacpp 2026.10 with 4 slots and 2 threads:

    starter, 135M Q4_1,  vocabulary  49k: 4k cells 334 / 133, 16k 629 / 416; after all kinds of requests   674 /  460
    coder,  1.5B Q4_K_M, vocabulary 152k: 4k      1058 / 826, 16k 1414 / 1178; after all kinds (4k cells) 1182 /  950
    the two for vectors, in batches of 1,024, 4k cells: 559 / 133 and 1693 / 826; after texts of 900 tokens 741 / 502 and
    2269 / 1959, for each token of a batch has two rows as long as the vocabulary

Of the coder's 4k cells 117 are keys and values, 626 of its 757 MB in Q4_K are packed anew, 168 are twenty stacks, and its
tokenizer takes 430 bytes a token. A grammar adds 20 (LLGuidance's own tokenizer) to 60 MB, with the most that one may
hold of states 500. An image of 16 megapixels takes 100 while it is decoded.
"""

from collections.abc import Mapping
from typing import Any

from omni.cartridges import GgufHeader
from omni.core.memory import STACK
from omni.engine.llama import BATCH, CHECKPOINTS, SPEAKERS
from omni.hardware import BaseFacts, kv_bytes

REQUESTS = 512 << 20  # beyond what a brain takes: long prompts, grammars, many requests at once
SHARE = 8  # of the weights, beside that, for what a header does not tell
RECURRENT = ("ssm.", "wkv.", "shortconv.", "kda.")  # begin what headers say of such layers
PARAMETERS = 32  # for each byte of such a state; 40 is the least of those that are public (Granite 4 H Micro: 77 MiB)
PROCESS = 96 << 20  # Python, native code's own data, and compute buffers at a batch of 128
TOKEN = 600  # bytes of a tokenizer's tables for each token
THREADS = 8  # beside those that compute and those that speak HTTP
LOOKING = 1 << 30  # to look at an image: an eye whose attention is written out needs that for 4,096 patches
LIKELIHOOD = 4  # bytes of a token's likelihood
MOST_TOKENS = 1 << 19  # of a vocabulary, in which no header that says more is believed
USUAL_TOKENS = 1 << 17  # of one that is not known

# What llama.cpp's kernels pack anew, by the processor. On one that is not named here it may be anything.
_REPACKED = {
    "x86_64": frozenset({"Q4_0", "Q4_K", "Q2_K", "IQ4_NL", "MXFP4"}),
    "aarch64": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4", "Q1_0"}),
}
_SAME = {"arm64": "aarch64", "AMD64": "x86_64"}


def ceiling(
    header: GgufHeader,
    facts: BaseFacts,
    settings: Mapping[str, Any],
    *,
    machine: str,
    buffers: int = 0,
    beside: int = 0,
) -> int:
    """The most bytes that the worker with these `settings` may have for itself. `machine` as `HardwareProfile` names it;
    `buffers` are those that large batches need, `beside` the bytes of what is loaded with the base: adapters, and what drafts."""
    threads = int(settings["threads"]) + int(settings["slots"]) + SPEAKERS + THREADS
    return (
        loaded(header, facts, settings, machine)
        + beside
        + (facts.projector_bytes + LOOKING if facts.projector_bytes else 0)
        + buffers
        + threads * STACK
        + PROCESS
        + REQUESTS
    )


def loaded(header: GgufHeader, facts: BaseFacts, settings: Mapping[str, Any], machine: str) -> int:
    """Bytes that one base takes where it is loaded, whatever is asked, at most."""
    return (
        (repacked(header, facts, machine) if settings.get("mapped", 1) else facts.weights_bytes)
        + kv_bytes(facts, int(settings["cells"]))
        + facts.weights_bytes // SHARE
        + int(settings["slots"]) * (1 + CHECKPOINTS) * state(header, facts, settings)
        + vocabulary(header) * TOKEN
    )


def state(header: GgufHeader, facts: BaseFacts, settings: Mapping[str, Any]) -> int:
    """Bytes of what of a chat cannot be taken back, at most: of it llama.cpp keeps copies, to go on from an earlier message.
    That is the cache of a sliding window, or the state of a recurrent brain; 0 for the others."""
    if recurs(header):
        return (header.parameters or facts.weights_bytes) // PARAMETERS
    window = header.sliding_window + int(settings.get("batch", BATCH))
    return kv_bytes(facts, min(window, int(settings["cells"]))) if header.sliding_window else 0


def recurs(header: GgufHeader) -> bool:
    """Whether a brain keeps a state that each token changes."""
    return any(key.startswith(RECURRENT) for key in header.keys)


def repacked(header: GgufHeader, facts: BaseFacts, machine: str) -> int:
    """Bytes of weights that may come to lie in memory a second time, at most."""
    kinds = _REPACKED.get(_SAME.get(machine, machine))
    if kinds is None:
        return facts.weights_bytes
    told = sum(header.type_bytes.values())
    known = sum(size for kind, size in header.type_bytes.items() if kind in kinds)
    return known + max(0, header.weights_bytes - told)


def likelihoods(header: GgufHeader, batch: int) -> int:
    """Bytes of the rows that each token of a batch for vectors has: those that are computed, and those kept for who asks."""
    return 2 * LIKELIHOOD * vocabulary(header) * batch


def vocabulary(header: GgufHeader) -> int:
    """How many tokens a brain has, as far as anybody knows."""
    return min(max(header.rows, header.tokens), MOST_TOKENS) or USUAL_TOKENS
