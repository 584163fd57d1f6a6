"""Weights of a GGUF file in MLX's own form: by MLX's reader where that reads them rightly, else by what is written here.

Of all types that llama.cpp has, MLX 0.32.4 reads these as gguf-py does: floats, Q4_0, Q4_1, Q8_0 and Q6_K. Others it does not
read, and Q4_K wrongly (a correlation of 0.93 with what the file says).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omni.cartridges import Tensor

BY_MLX = frozenset(("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q8_0", "Q6_K"))
BY_US = frozenset(("Q4_K",))
_BLOCK, _BLOCK_BYTES = 256, 144  # numbers of a block of Q4_K, and what it takes


def unread(tensors: Sequence[Tensor]) -> str:
    """The name of a type that nobody here reads; or ""."""
    return next((tensor.type for tensor in tensors if tensor.type not in BY_MLX | BY_US), "")


def put_right(mx: Any, path: Path, tensors: Sequence[Tensor], weights: dict[str, Any]) -> None:
    """Replace in `weights` what MLX has read wrongly. Raises OSError."""
    with path.open("rb") as file:
        for tensor in tensors:
            if tensor.type in BY_US:
                columns, rows = tensor.shape
                file.seek(tensor.offset)
                data = file.read(rows * columns // _BLOCK * _BLOCK_BYTES)
                part = tensor.name.removesuffix(".weight")
                for name, value in zip(("weight", "scales", "biases"), q4_k(mx, data, rows), strict=True):
                    weights[f"{part}.{name}"] = value


def q4_k(mx: Any, data: bytes, rows: int) -> tuple[Any, Any, Any]:
    """The packed weight, scales and biases (groups of 32, four bits) of a matrix of Q4_K: each of eight parts of a block has a
    scale and a minimum of six bits, which two numbers of the block multiply.

    Source: `dequantize_row_q4_K` and `get_scale_min_k4` in ggml-quants.c.
    """
    blocks = mx.array(memoryview(data)).reshape(-1, _BLOCK_BYTES)
    scale, least = (blocks[:, at : at + 2].view(mx.float16).astype(mx.float32) for at in (0, 2))
    first, second, third = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = mx.concatenate([first & 63, (third & 15) | ((first >> 6) << 4)], axis=1)
    minima = mx.concatenate([second & 63, (third >> 4) | ((second >> 6) << 4)], axis=1)
    pairs = blocks[:, 16:].reshape(-1, 4, 32)
    numbers = mx.stack([pairs & 15, pairs >> 4], axis=2)
    packed = (numbers[..., 0::2] | (numbers[..., 1::2] << 4)).reshape(rows, -1).view(mx.uint32)
    whole = packed, (scale * scales).reshape(rows, -1), (-least * minima).reshape(rows, -1)
    mx.eval(*whole)
    return whole
