"""Whether the numbers of a file lie on grids: then they were quantised once, and what was lost is not in them any more.

Every quantisation of ggml has blocks of 16 or 32 numbers that are a few whole steps of one width (and perhaps a common offset), or
one of a few values. Numbers that were trained are not, not even by chance: thirty of them would all have to be.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from omni.cartridges.gguf import Tensor, read_tensors

_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
_TENSORS, _BLOCKS = 4, 16  # that are looked at, and of each
_BLOCK, _HALF = 32, 16
_MOST_STEPS, _MOST_OFFSET_STEPS = 127, 31  # of the finest types without and with an offset
_NEAR = {"F32": 0.05, "F16": 0.1, "BF16": 0.2}  # of a step: what rounding to these takes away
_COARSE = 31  # steps that can still be told apart in BF16
_FEW = 17  # different values in a block of a type with a table of 16
_TELLING = 4  # blocks that a tensor must have for a verdict
_SHARE = 0.9  # of the blocks: zeros and the like tell nothing


def was_quantised(path: Path) -> bool:
    """Whether the F32, F16 or BF16 weights of a file were dequantised from something smaller; a sample is read.

    Raises NotFound and BadFile as reading its header does, and OSError.
    """
    weights = [
        each for each in read_tensors(path) if each.type in _BYTES and _rows(each) > 1 and not each.shape[0] % _BLOCK
    ]
    weights.sort(key=_rows, reverse=True)
    with path.open("rb") as file:
        return any(_is_gridded(file, tensor) for tensor in weights[: 2 * _TENSORS : 2])


def _is_gridded(file: IO[bytes], tensor: Tensor) -> bool:
    size = _BYTES[tensor.type] * _BLOCK
    count = _rows(tensor) * tensor.shape[0] // _BLOCK
    seen: list[bool] = []
    for number in range(0, count, max(1, count // _BLOCKS)):
        file.seek(tensor.offset + number * size)
        block = _numbers(file.read(size), tensor.type)
        if len(set(block)) > 2:
            seen.append(_on_grid(block, tensor.type))
    return len(seen) >= _TELLING and sum(seen) >= _SHARE * len(seen)


def _rows(tensor: Tensor) -> int:
    rows = 1
    for length in tensor.shape[1:]:
        rows *= length
    return rows


def _numbers(data: bytes, kind: str) -> tuple[float, ...]:
    if kind == "BF16":  # the upper half of a float
        data = b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
    letter = "e" if kind == "F16" else "f"
    return struct.unpack(f"<{len(data) // struct.calcsize(letter)}{letter}", data)


def _on_grid(block: Sequence[float], kind: str) -> bool:
    most, near = _COARSE if kind == "BF16" else _MOST_STEPS, _NEAR[kind]
    return (
        len(set(block)) < _FEW
        or _in_steps(block, most, near)
        or _in_steps([number - min(block) for number in block], _MOST_OFFSET_STEPS, near)
        or all(_in_steps(half, most, near) for half in (block[:_HALF], block[_HALF:]))
    )


def _in_steps(numbers: Sequence[float], most: int, near: float) -> bool:
    """Whether all are whole steps of the width that makes the largest of them at most so many."""
    largest = max(map(abs, numbers))
    if not 0 < largest < float("inf"):
        return False
    return any(
        all(abs(steps - round(steps)) < near for steps in (number * count / largest for number in numbers))
        for count in range(1, most + 1)
    )
