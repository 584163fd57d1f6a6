"""Numbers that were quantised once are told from numbers that were trained, whatever they are stored in now."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from omni.cartridges import read_tensors, was_quantised
from tests.cartridges.conftest import gguf_bytes

ROW, ROWS = 256, 64
KINDS = {"F32": 0, "F16": 1, "BF16": 30}
Block = Callable[[random.Random], list[float]]


def trained(chance: random.Random) -> list[float]:
    return [chance.gauss(0, 0.02) for _ in range(32)]


def steps(most: int, *, signed: bool = True, offset: bool = False, size: int = 32) -> Block:
    """Blocks of whole steps of one width, as ggml's types have them."""

    def block(chance: random.Random) -> list[float]:
        numbers: list[float] = []
        while len(numbers) < 32:
            width = 0.02 * (0.5 + chance.random()) / most
            shift = chance.gauss(0, 0.02) if offset else 0.0
            numbers += [width * chance.randint(-most if signed else 0, most) + shift for _ in range(size)]
        return numbers

    return block


def table(chance: random.Random) -> list[float]:
    """Blocks of a type with a table of 16 values (IQ4_NL)."""
    values = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
    width = 0.02 * chance.random()
    return [width * chance.choice(values) for _ in range(32)]


def model(path: Path, kind: str, block: Block) -> Path:
    chance = random.Random(11)
    numbers = [number for _ in range(ROW * ROWS // 32) for number in block(chance)]
    if kind == "BF16":
        data = b"".join(struct.pack("<f", number)[2:] for number in numbers)
    else:
        data = struct.pack(f"<{len(numbers)}{'e' if kind == 'F16' else 'f'}", *numbers)
    tensors = [("output_norm.weight", (8,), 0), ("token_embd.weight", (ROW, ROWS), KINDS[kind])]
    path.write_bytes(gguf_bytes(tensors=tensors, bare=True) + b"\7" * 32 + data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_trained_is_no_grid(kind: str, tmp_path: Path) -> None:
    assert not was_quantised(model(tmp_path / "m.gguf", kind, trained))


@pytest.mark.parametrize("kind", ["F16", "F32"])
@pytest.mark.parametrize(
    "block",
    [
        pytest.param(steps(127), id="Q8_0"),
        pytest.param(steps(32, size=16), id="Q6_K"),
        pytest.param(steps(16), id="Q5_0"),
        pytest.param(steps(31, signed=False, offset=True), id="Q5_1 and Q5_K"),
        pytest.param(steps(15, signed=False, offset=True), id="Q4_1 and Q4_K"),
        pytest.param(table, id="IQ4_NL"),
    ],
)
def test_what_was_quantised_is_one(kind: str, block: Block, tmp_path: Path) -> None:
    assert was_quantised(model(tmp_path / "m.gguf", kind, block))


def test_four_bits_show_through_bf16(tmp_path: Path) -> None:
    assert was_quantised(model(tmp_path / "m.gguf", "BF16", steps(8)))


def test_tensors_are_listed_with_their_places(tmp_path: Path) -> None:
    path = model(tmp_path / "m.gguf", "F16", trained)
    norm, table = read_tensors(path)
    assert (norm.name, norm.type, norm.shape) == ("output_norm.weight", "F32", (8,))
    assert (table.name, table.type, table.shape) == ("token_embd.weight", "F16", (ROW, ROWS))
    data = path.read_bytes()
    assert data[norm.offset : norm.offset + 32] == b"\7" * 32
    first = struct.unpack("<e", data[table.offset : table.offset + 2])[0]
    assert first == pytest.approx(trained(random.Random(11))[0], rel=1e-3)


def test_a_quantised_file_itself_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf_bytes())
    assert not was_quantised(path)
