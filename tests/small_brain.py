"""A brain of random numbers with the starter's words: small, and of plain floats, which every build of an engine computes."""

import math
import random
import struct
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

WIDTH, LAYERS, HEADS, KV_HEADS, FEED = 64, 2, 4, 2, 128
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_TEXT, _LIST, _U32, _I32, _F32 = 8, 9, 4, 5, 6


def write_small_brain(starter: Path, target: Path, *, seed: int = 7) -> Path:
    """Write to `target` what answers nonsense in the starter's own words, about 13 MB."""
    return write_brain(starter, target, "llama", {"block_count": LAYERS}, _layers(), seed=seed)


def write_brain(
    starter: Path,
    target: Path,
    family: str,
    numbers: Mapping[str, int],
    layers: Sequence[Mapping[str, tuple[int, ...]]],
    *,
    sections: Sequence[int] = (),
    seed: int = 7,
) -> Path:
    """The same of any family: with more `numbers` in its header, tensors by layer, and sections of its positions."""
    with starter.open("rb") as file:
        entries = _entries(file)
    tokens = struct.unpack_from("<Q", entries["tokenizer.ggml.tokens"], 8)[0]
    kept = {key: raw for key, raw in entries.items() if key.startswith("tokenizer.")}
    facts = {
        "general.architecture": struct.pack("<I", _TEXT) + _text(family),
        "general.name": struct.pack("<I", _TEXT) + _text("Small"),
        **{f"{family}.{key}": struct.pack("<II", _U32, value) for key, value in {
            "context_length": 8192, "embedding_length": WIDTH, "feed_forward_length": FEED,
            "attention.head_count": HEADS, "attention.head_count_kv": KV_HEADS, "vocab_size": tokens,
            "rope.dimension_count": WIDTH // HEADS, **numbers,
        }.items()},
        f"{family}.attention.layer_norm_rms_epsilon": struct.pack("<If", _F32, 1e-5),
        **kept,
    }  # fmt: skip
    if sections:
        facts[f"{family}.rope.dimension_sections"] = struct.pack(
            f"<IIQ{len(sections)}i", _LIST, _I32, len(sections), *sections
        )
    dice = random.Random(seed)
    head, data = [], bytearray()
    whole: dict[str, tuple[int, ...]] = {"token_embd.weight": (WIDTH, tokens), "output_norm.weight": (WIDTH,)}
    whole |= {f"blk.{at}.{name}": shape for at, layer in enumerate(layers) for name, shape in layer.items()}
    for name, shape in whole.items():
        head.append(_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape))
        head[-1] += struct.pack("<IQ", 0, len(data))
        count = math.prod(shape)
        values = array("f", [1.0]) * count
        if name.endswith("eh_proj.weight"):  # what was just said comes again
            values = array("f", [float(column == row) for row in range(WIDTH) for column in range(2 * WIDTH)])
        elif name.endswith("ssm_a"):
            values = array("f", [-0.5]) * count
        elif "norm" not in name:
            noise = array("h", dice.randbytes(2 * count))
            values = array("f", [each / 250_000 for each in noise])
        data += values.tobytes()
        data += bytes(-len(data) % 32)
    meta = b"".join(_text(key) + raw for key, raw in facts.items())
    header = b"GGUF" + struct.pack("<IQQ", 3, len(head), len(facts)) + meta + b"".join(head)
    target.write_bytes(header + bytes(-len(header) % 32) + data)
    return target


def _layers() -> list[dict[str, tuple[int, ...]]]:
    keys = WIDTH // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "attn_norm": (WIDTH,), "attn_q": (WIDTH, WIDTH), "attn_k": (WIDTH, keys), "attn_v": (WIDTH, keys),
        "attn_output": (WIDTH, WIDTH), "ffn_norm": (WIDTH,), "ffn_gate": (WIDTH, FEED), "ffn_up": (WIDTH, FEED),
        "ffn_down": (FEED, WIDTH),
    }  # fmt: skip
    return [{f"{name}.weight": shape for name, shape in shapes.items()}] * LAYERS


def _entries(file: IO[bytes]) -> dict[str, bytes]:
    """The metadata of a GGUF file, each value as it stands there, with its type before it."""
    file.seek(16)
    (count,) = struct.unpack("<Q", file.read(8))
    entries = {}
    for _ in range(count):
        key = file.read(_number(file)).decode()
        kind = file.read(4)
        entries[key] = kind + _value(file, struct.unpack("<I", kind)[0])
    return entries


def _value(file: IO[bytes], kind: int) -> bytes:
    if kind == _TEXT:
        size = file.read(8)
        return size + file.read(struct.unpack("<Q", size)[0])
    if kind != _LIST:
        return file.read(_SIZES[kind])
    head = file.read(12)
    inner, count = struct.unpack("<IQ", head)
    if inner in _SIZES:
        return head + file.read(_SIZES[inner] * count)
    return head + b"".join(_value(file, inner) for _ in range(count))


def _number(file: IO[bytes]) -> Any:
    return struct.unpack("<Q", file.read(8))[0]


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()
