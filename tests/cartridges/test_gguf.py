"""Headers: what a good one says, and that no bad one does harm."""

import os
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omni.cartridges import GgufHeader, read_header
from omni.cartridges.inspection import Incomplete, inspect, part_names
from omni.cartridges.loadable import obstacle
from omni.core.errors import BadFile, NotFound

Make = Callable[..., bytes]
Parts = Callable[..., list[bytes]]


def parse(folder: Path, data: bytes) -> GgufHeader:
    path = folder / "x.gguf"
    path.write_bytes(data)
    return read_header(path)


@pytest.mark.real
def test_the_starter_is_read_in_an_instant(starter_gguf: Path) -> None:
    before = time.perf_counter()
    header = read_header(starter_gguf)
    assert time.perf_counter() - before < 2
    assert (header.architecture, header.quantisation, header.size_label) == ("llama", "Q4_1", "135M")
    assert (header.layers, header.heads, header.kv_heads, header.head_dim) == (30, 9, 3, 64)
    assert (header.context_length, header.tensors, header.kind) == (8192, 272, "model")
    assert header.parameters == 134_515_008
    assert header.licence == "apache-2.0"
    assert "<|im_start|>" in (header.chat_template or "")


def test_counts_come_from_the_tensors(tmp_path: Path, gguf: Make) -> None:
    header = parse(tmp_path, gguf(tensors=[("token_embd.weight", (256, 4), 12), ("output_norm.weight", (256,), 0)]))
    assert (header.parameters, header.weights_bytes) == (256 * 4 + 256, 576 + 1024)
    assert (header.quantisation, header.name, header.kv_heads, header.head_dim) == ("Q4_K_M", "Tiny", 2, 64)
    assert header.kv_elements == 2 * 2 * (64 + 64)
    assert header.file_bytes == (tmp_path / "x.gguf").stat().st_size


def test_version_2_is_read_like_3(tmp_path: Path, gguf: Make) -> None:
    assert parse(tmp_path, gguf(version=2)).version == 2


def test_a_file_type_that_no_tensor_agrees_with_loses_to_the_majority(tmp_path: Path, gguf: Make) -> None:
    assert parse(tmp_path, gguf(general__file_type=7)).quantisation == "Q4_K"
    assert parse(tmp_path, gguf(general__file_type=None)).quantisation == "Q4_K"
    assert parse(tmp_path, gguf(general__file_type=1024 + 15)).quantisation == "Q4_K_M"


def test_head_counts_may_differ_by_layer(tmp_path: Path, gguf: Make) -> None:
    header = parse(tmp_path, gguf(llama__attention__head_count_kv=[2, 0, 2, 0], llama__block_count=4))
    assert header.kv_heads == 1
    assert header.kv_elements == 4 * (64 + 64)


def test_key_and_value_length_win_over_the_width(tmp_path: Path, gguf: Make) -> None:
    header = parse(tmp_path, gguf(llama__attention__key_length=128, llama__attention__value_length=96))
    assert (header.head_dim, header.kv_elements) == (128, 2 * 2 * (128 + 96))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"general__type": "adapter", "adapter__type": "lora"}, "adapter"),
        ({"general__architecture": "clip"}, "mmproj"),
        ({"general__type": "mmproj"}, "mmproj"),
        ({"general__architecture": "nomic-bert"}, "embedding"),
        ({"llama__pooling_type": 1}, "embedding"),
        ({"llama__pooling_type": 0}, "model"),
        ({"general__architecture": "jina-bert-v2"}, "embedding"),
        ({"general__architecture": "gemma-embedding"}, "embedding"),
        ({"general__architecture": "qwen3", "qwen3__pooling_type": 3}, "embedding"),
        ({"general__architecture": "qwen3", "qwen3__pooling_type": 4}, "reranker"),
        ({"general__architecture": "bert", "bert__pooling_type": 4}, "reranker"),
        ({"general__type": "imatrix"}, "other"),
    ],
)
def test_what_is_no_chat_model_is_told_apart(tmp_path: Path, gguf: Make, changes: dict[str, Any], kind: str) -> None:
    assert parse(tmp_path, gguf(**changes)).kind == kind


@pytest.mark.parametrize(
    ("number", "pooling"), [(None, "none"), (0, "none"), (1, "mean"), (2, "cls"), (3, "last"), (9, "unknown")]
)
def test_how_vectors_are_made_is_told(tmp_path: Path, gguf: Make, number: int | None, pooling: str) -> None:
    header = parse(
        tmp_path, gguf(bert__pooling_type=number, general__architecture="bert", tokenizer__ggml__model="bert")
    )
    assert (header.pooling, header.tokenizer) == (pooling, "bert")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_none_is_refused_where_an_engine_computes_with_it(
    tmp_path: Path, gguf: Make, number: float
) -> None:
    with pytest.raises(BadFile, match=r"its entry 'llama\.rope\.freq_base' is -?(nan|inf), and a number is expected"):
        parse(tmp_path, gguf(llama__rope__freq_base=number))
    assert parse(tmp_path, gguf(training__loss=number)).architecture == "llama"


def test_names_cannot_move_the_cursor(tmp_path: Path, gguf: Make) -> None:
    assert parse(tmp_path, gguf(general__name="a\x1b[2Jb\u202ec")).name == "a [2Jb c"


def test_every_cut_is_noticed(tmp_path: Path, gguf: Make) -> None:
    data = gguf()
    for length in [*range(0, len(data) - 32, 7), len(data) - 33]:
        with pytest.raises(BadFile):
            parse(tmp_path, data[:length])


def test_a_cut_says_how_many_bytes_are_missing(tmp_path: Path, gguf: Make) -> None:
    data = gguf()
    with pytest.raises(BadFile, match=f"truncated: it has {len(data) - 100:,} bytes and should have"):
        parse(tmp_path, data[:-100])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "only 0 bytes"),
        (b"PK\3\4" + b"\0" * 40, "begins with"),
        (b"GGUF" + struct.pack(">I", 3) + b"\0" * 40, "big endian"),
        (b"GGUF" + struct.pack("<IQQ", 1, 0, 0), "version is 1"),
        (b"GGUF" + struct.pack("<IQQ", 99, 0, 0), "version is 99"),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 60), "claims"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 63), "name of an entry"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIQ", 1, b"k", 8, 1 << 62), "1,048,576"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 8, 1 << 62), "texts"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 4, 1 << 62), "truncated"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", 9, 9, 1), "unknown type 9"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sI", 1, b"k", 77) + b"\0" * 9, "unknown type 77"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + struct.pack("<Q1sIB", 1, b"k", 0, 1) * 2, "twice"),
    ],
)
def test_hostile_headers_are_refused_in_words(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(BadFile, match=message) as caught:
        parse(tmp_path, data)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (("t", (255,), 12), "no multiple of 256"),
        (("t", (0,), 0), "impossible"),
        (("t", (1 << 40, 1 << 40), 0), "impossible"),
        (("t" * 200, (4,), 0), "200 bytes long"),
    ],
)
def test_impossible_tensors_are_refused(
    tmp_path: Path, gguf: Make, tensor: tuple[str, tuple[int, ...], int], message: str
) -> None:
    with pytest.raises(BadFile, match=message):
        parse(tmp_path, gguf(tensors=[tensor], bare=True) + b"\0" * 64)


def test_unknown_tensor_types_are_told_and_not_fatal(tmp_path: Path, gguf: Make) -> None:
    header = parse(tmp_path, gguf(tensors=[("t", (256,), 12), ("u", (32,), 99)]))
    assert header.unknown_types == (99,)


def test_long_token_lists_are_stepped_over_without_being_kept(tmp_path: Path, gguf: Make) -> None:
    data = gguf(tokenizer__ggml__tokens=["token" * 4] * 200_000)
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    read_header(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 << 20


def test_a_text_that_crosses_the_window_is_stepped_over(tmp_path: Path, gguf: Make) -> None:
    header = parse(tmp_path, gguf(tokenizer__ggml__tokens=["x" * 200_000, "y" * 300_000, "z"]))
    assert header.chat_template


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.gguf"
    if kind == "pipe":
        os.mkfifo(path)  # whoever opens it waits for a writer
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(BadFile, match="no regular file"):
        read_header(path)


def test_a_file_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_header(tmp_path / "none.gguf")
    with pytest.raises(BadFile, match="cannot be read"):
        read_header(tmp_path)


@settings(max_examples=300, deadline=2000)
@given(data=st.binary(max_size=400))
def test_noise_is_a_bad_file_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise.gguf"
    path.write_bytes(b"GGUF\3\0\0\0" + data)
    with pytest.raises(BadFile):
        read_header(path)


@settings(max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=9)), min_size=1, max_size=4))
def test_a_changed_header_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, gguf: Make, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(gguf())
    for place, new in changes:
        data[place : place + len(new)] = new
    _read_or_refuse(tmp_path_factory.getbasetemp() / "changed.gguf", bytes(data))


def _read_or_refuse(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        header = read_header(path)
    except BadFile:
        return
    assert header.name.isprintable()
    assert header.layers >= 0
    assert header.kv_elements >= 0


@pytest.mark.real
@settings(max_examples=60, deadline=5000)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 1_785_000), st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\x7f", b"\xff" * 4])),
        min_size=1,
        max_size=3,
    )
)
def test_the_real_header_with_changes_is_read_or_refused_in_bounded_time(
    starter_gguf: Path, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, bytes]]
) -> None:
    with starter_gguf.open("rb") as file:
        data = bytearray(file.read(1_800_000))
    for place, new in changes:
        data[place : place + len(new)] = new
    path = tmp_path_factory.getbasetemp() / "real.gguf"
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(98_362_432)  # sparse: as long as the real one
    try:
        read_header(path)
    except BadFile:
        pass


def test_the_parts_of_a_model_are_one(tmp_path: Path, parts: Parts) -> None:
    """Later parts say nothing but that they are parts, as llama.cpp's own program for splitting writes them."""
    names = ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf"]
    first, second = (tmp_path / name for name in names)
    data = parts(2)
    first.write_bytes(data[0])
    with pytest.raises(BadFile, match=r"1 of 2 parts.*big-00002-of-00002\.gguf is missing"):
        inspect(first)
    second.write_bytes(data[1])
    assert read_header(second).kind == "other"  # alone it is nothing
    model = inspect(first)
    assert model.parts == (str(first), str(second))
    assert (model.header.kind, model.header.architecture) == ("model", "llama")
    assert model.header.parameters == sum(read_header(part).parameters for part in (first, second))
    assert model.size == len(data[0]) + len(data[1])
    assert obstacle(model.header, None) is None
    assert part_names("x-00003-of-00002.gguf") == ["x-00003-of-00002.gguf"]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            ["whole.gguf", "big-00002-of-00002.gguf"],
            r"whole\.gguf is part 1 of 2 .* names like whole-00001-of-00002\.gguf",
        ),
        (["big-00001-of-00003.gguf", "big-00002-of-00003.gguf"], r"is part 1 of 2 "),
        (["big-00001-of-00002.GGUF", "big-00002-of-00002.GGUF"], r"names like big-00001-of-00002\.gguf"),
        (["big-00001-of-00002.gguf", "deep/big-00002-of-00002.gguf"], r"holds 1 of 2 parts"),
    ],
)
def test_a_part_under_another_name_is_told(tmp_path: Path, parts: Parts, names: list[str], told: str) -> None:
    """llama.cpp looks for the others by the first one's name, and nowhere else."""
    for name, data in zip(names, parts(2), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(Incomplete, match=told) as caught:
        inspect(tmp_path / names[0])
    assert caught.value.hint


def test_parts_of_two_models_are_no_model(tmp_path: Path, parts: Parts, gguf: Make) -> None:
    first, second = tmp_path / "big-00001-of-00002.gguf", tmp_path / "big-00002-of-00002.gguf"
    first.write_bytes(parts(2)[0])
    second.write_bytes(parts(3)[1])
    with pytest.raises(Incomplete, match="is part 2 of 3 by what stands in it"):
        inspect(first)
    second.write_bytes(gguf())
    with pytest.raises(Incomplete, match="is a whole model by what stands in it"):
        inspect(first)
    second.write_bytes(parts(2, more=[("blk.0.attn_q.bias", (8,), 0)])[1])
    with pytest.raises(Incomplete, match="have 21 tensors, and should have 20"):
        inspect(first)


def test_a_name_like_that_of_a_part_keeps_no_whole_model_away(tmp_path: Path, gguf: Make) -> None:
    path = tmp_path / "big-00001-of-00009.gguf"
    path.write_bytes(gguf())
    assert inspect(path).parts == (str(path),)


def test_a_file_with_room_for_what_is_still_to_come_is_not_whole(tmp_path: Path, gguf: Make) -> None:
    """aria2 makes the file as long as it will be, and keeps a list beside it of what it has."""
    path = tmp_path / "big.gguf"
    path.write_bytes(gguf())
    (tmp_path / "big.gguf.aria2").touch()
    with pytest.raises(Incomplete, match=r"not whole yet: big\.gguf\.aria2"):
        inspect(path)
