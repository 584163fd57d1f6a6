"""Models of a few thousand weights that llama.cpp really loads, and whether it does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cartridges.conftest import Tensor, gguf_bytes

WIDTH, HEAD, FFN, TOKENS, LAYERS = 64, 32, 96, 40, 2

SHAPES: dict[str, tuple[int, ...]] = {
    "token_embd.weight": (WIDTH, TOKENS),
    "output_norm.weight": (WIDTH,),
    "blk.attn_norm.weight": (WIDTH,),
    "blk.attn_q.weight": (WIDTH, WIDTH),
    "blk.attn_k.weight": (WIDTH, WIDTH),
    "blk.attn_v.weight": (WIDTH, WIDTH),
    "blk.attn_output.weight": (WIDTH, WIDTH),
    "blk.ffn_norm.weight": (WIDTH,),
    "blk.ffn_gate.weight": (WIDTH, FFN),
    "blk.ffn_up.weight": (WIDTH, FFN),
    "blk.ffn_down.weight": (FFN, WIDTH),
}
MORE: dict[str, dict[str, tuple[int, ...]]] = {
    "gemma3": {
        "blk.attn_q_norm.weight": (HEAD,),
        "blk.attn_k_norm.weight": (HEAD,),
        "blk.post_attention_norm.weight": (WIDTH,),
        "blk.post_ffw_norm.weight": (WIDTH,),
    },
    "qwen3": {"blk.attn_q_norm.weight": (HEAD,), "blk.attn_k_norm.weight": (HEAD,)},
}


def tensors(architecture: str = "llama") -> list[Tensor]:
    """All of them, as numbers of 32 bits."""
    entries: list[Tensor] = []
    for kind, shape in (SHAPES | MORE.get(architecture, {})).items():
        names = [kind.replace("blk.", f"blk.{n}.", 1) for n in range(LAYERS)] if "blk." in kind else [kind]
        entries += [(name, shape, 0) for name in names]
    return entries


def tiny(architecture: str = "llama", *, without: str = "", more: tuple[Tensor, ...] = (), **changes: Any) -> bytes:
    """A whole file; `without` those tensors in whose names this stands."""
    values = {
        "general.architecture": architecture,
        "general.file_type": 0,
        f"{architecture}.embedding_length": WIDTH,
        f"{architecture}.block_count": LAYERS,
        f"{architecture}.feed_forward_length": FFN,
        f"{architecture}.attention.head_count": WIDTH // HEAD,
        f"{architecture}.attention.head_count_kv": WIDTH // HEAD,
        "tokenizer.ggml.model": "test",
        "tokenizer.ggml.tokens": [f"tok_{n}" for n in range(TOKENS)],
        "tokenizer.chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
    }
    kept = [each for each in tensors(architecture) if not without or without not in each[0]]
    return gguf_bytes(values, [*kept, *more], **changes)


def why_not(path: Path, folder: Path) -> str:
    """Why the engine does not load a model; "" when it does."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from omni.core.errors import BadFile\n"
        "from omni.engine.llama import start\n"
        "log = Path(sys.argv[2])\n"
        "os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)\n"
        "try:\n"
        "    server = start(sys.argv[1], sys.argv[3], 'key', {'context': 256, 'cells': 256, 'threads': 1}, log=log)\n"
        "except BadFile as error:\n"
        "    print(error.message)\n"
        "else:\n"
        "    print('loaded')\n"
        "sys.stdout.flush()\n"
        "os._exit(0)\n"
    )
    words = [sys.executable, "-c", code, str(path), str(folder / "log"), str(folder / "s.sock")]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2], check=False
    )
    if done.returncode:
        return f"it ended with {done.returncode}"
    return "" if done.stdout.strip() == "loaded" else done.stdout.strip()


def engine_version() -> str:
    """Of the engine in this environment."""
    from importlib.metadata import version

    return version("xllamacpp")
