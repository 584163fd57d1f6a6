"""A cartridge's adapter: found beside its manifest, checked before anything loads it, named by every brain on its base."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from omni.cartridges import Library
from omni.core.errors import BadFile
from omni.core.paths import Home
from omni.core.settings import Settings

Write = Callable[..., Path]
Make = Callable[..., bytes]
Drain = Callable[[Any], Any]

PIRATE = """
name = "@me/pirate"
version = "1.0.0"
title = "Pirate"
summary = "Talks like one."
licence = "Apache-2.0"
prompt = "You are a pirate."
context = 1024

[base]
source = "cartridge"

[adapter]
file = "pirate.gguf"
sha256 = "{sha256}"
scale = 0.5
"""


@pytest.fixture
def pirate(home: Home, gguf: Make) -> Callable[..., Path]:
    """Writes the cartridge; `sha256` and `adapter` may be wrong ones."""

    def write(*, sha256: str = "", adapter: bytes | None = None, **changes: Any) -> Path:
        folder = home.cartridges / "own" / "pirate"
        folder.mkdir(parents=True)
        data = gguf(**({"general__type": "adapter", "adapter__type": "lora"} | changes)) if adapter is None else adapter
        if data:
            (folder / "pirate.gguf").write_bytes(data)
        (folder / "cartridge.toml").write_text(PIRATE.format(sha256=sha256 or hashlib.sha256(data).hexdigest()))
        return folder / "pirate.gguf"

    return write


async def test_a_brain_has_the_adapter_of_its_cartridge(
    library: Library, pirate: Callable[..., Path], write_gguf: Write, tmp_path: Path
) -> None:
    path = pirate()
    base = await library.add(write_gguf(tmp_path / "base.gguf"))
    brain = await library.get("@me/pirate")
    assert brain.usable
    assert brain.adapter is not None
    assert (brain.adapter.path, brain.adapter.scale) == (str(path), 0.5)
    assert (brain.shares, brain.context) == ("@me/base", 0)  # brains on one base share its worker, and its context
    assert base.base is not None
    assert await library.adapters() == {base.base.id: (str(path),)}
    assert (await library.get("@me/base")).adapter is None


@pytest.mark.parametrize(
    "case",
    [
        ({"sha256": "0" * 64}, "sha256"),
        ({"adapter": b"", "sha256": "0" * 64}, "There is no file"),
        ({"adapter": b"GGUF" + b"\xff" * 60}, "no usable GGUF"),
        ({"general__type": "model", "adapter__type": None}, "is no adapter"),
        ({"general__architecture": "qwen2"}, "made for 'qwen2', and its base is 'llama'"),
    ],
)
async def test_an_adapter_that_is_wrong_costs_only_its_own_brain(
    library: Library,
    pirate: Callable[..., Path],
    write_gguf: Write,
    tmp_path: Path,
    case: tuple[dict[str, Any], str],
) -> None:
    wrong, reason = case
    pirate(**wrong)
    await library.add(write_gguf(tmp_path / "base.gguf"))
    brain = await library.get("@me/pirate")
    assert (brain.state, brain.adapter) == ("unloadable", None)
    assert reason in brain.reason
    assert await library.adapters() == {}
    assert (await library.get("@me/base")).usable


def halves(name: str, *, width: int, rank: int, rows: int, other: int = 0) -> list[tuple[str, list[int], int]]:
    """The two tensors of a change to `name`; `other`: the rank of the second."""
    return [(f"{name}.lora_a", [width, rank], 0), (f"{name}.lora_b", [other or rank, rows], 0)]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (halves("blk.0.ffn_up.weight", width=256, rank=4, rows=48), ""),
        (halves("token_embd.weight", width=3, rank=4, rows=256), ""),
        (
            halves("blk.0.ffn_up.weight", width=576, rank=4, rows=48),
            "256 × 48 numbers, and the adapter is for 576 × 48",
        ),
        (halves("blk.0.ffn_up.weight", width=256, rank=4, rows=8), "256 × 48 numbers, and the adapter is for 256 × 8"),
        (halves("blk.0.ffn_up.weight", width=256, rank=4, rows=48, other=8), "have the ranks 4 and 8"),
        (
            halves("blk.7.ffn_up.weight", width=256, rank=4, rows=48),
            "changes blk.7.ffn_up.weight, which its base does not",
        ),
        (halves("blk.0.ffn_up.weight", width=256, rank=4, rows=48)[:1], "no second half of blk.0.ffn_up.weight"),
    ],
)
async def test_an_adapter_of_another_shape_costs_only_its_own_brain(
    library: Library,
    pirate: Callable[..., Path],
    gguf: Make,
    write_gguf: Write,
    tmp_path: Path,
    tensors: list[tuple[str, list[int], int]],
    reason: str,
) -> None:
    pirate(adapter=gguf(tensors=tensors, general__type="adapter", adapter__type="lora"))
    await library.add(write_gguf(tmp_path / "base.gguf", ffn=48))
    brain = await library.get("@me/pirate")
    assert brain.usable is not bool(reason)
    assert reason in brain.reason
    assert (await library.get("@me/base")).usable


def same_bytes(one: str, other: Path) -> bool:
    return Path(one).read_bytes() == other.read_bytes()


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Library]:
    """The library of another machine."""
    library = Library(Home(tmp_path / "elsewhere"), Settings(), environment={}, user=tmp_path / "nobody")
    yield library
    await library.close()


async def test_a_brain_is_exported_with_its_adapter_and_its_scale(
    library: Library, elsewhere: Library, pirate: Callable[..., Path], write_gguf: Write, tmp_path: Path, drain: Drain
) -> None:
    path = pirate()
    await library.add(write_gguf(tmp_path / "src/base.gguf"))
    await drain(library.export(["@me/pirate"], tmp_path / "usb"))
    listing = json.loads((tmp_path / "usb/brains/brains.json").read_bytes())
    assert listing["version"] == 2  # an Omni that knows no adapters must not take it for the plain base
    other = await elsewhere.add(write_gguf(tmp_path / "other/zz.gguf", salt="larger", ffn=96))
    brain = await elsewhere.add(tmp_path / "usb")
    assert (brain.name, brain.prompt, brain.usable) == ("@me/pirate", "You are a pirate.", True)
    assert brain.adapter is not None
    assert brain.adapter.scale == 0.5
    assert same_bytes(brain.adapter.path, path)
    assert brain.base is not None
    assert other.base is not None
    assert brain.base.id != other.base.id
    assert await elsewhere.adapters() == {brain.base.id: (brain.adapter.path,)}
    assert await elsewhere.collect() == 0
    both = path.stat().st_size + (tmp_path / "src/base.gguf").stat().st_size
    assert await elsewhere.remove("@me/pirate") == both  # its base came with it, and nobody else stands on it
    assert {one.base.id for one in await elsewhere.brains() if one.base is not None} == {other.base.id}


async def test_an_adapter_that_was_added_alone_is_exported_beside_its_base(
    library: Library, elsewhere: Library, gguf: Make, write_gguf: Write, tmp_path: Path, drain: Drain
) -> None:
    await library.add(write_gguf(tmp_path / "src/base.gguf", ffn=48))
    lora = gguf(
        tensors=halves("blk.0.ffn_up.weight", width=256, rank=4, rows=48), general__type="adapter", adapter__type="lora"
    )
    (tmp_path / "src/lora.gguf").write_bytes(lora)
    [mine] = await library.add_all(tmp_path / "src/lora.gguf", base="@me/base")
    await drain(library.export(["@me/base", mine.name], tmp_path / "usb"))
    await elsewhere.add(tmp_path / "usb")
    there = await elsewhere.get(mine.name)
    assert (there.usable, there.shares) == (True, "@me/base")
    assert there.adapter is not None
    assert same_bytes(there.adapter.path, tmp_path / "src/lora.gguf")
    assert (await elsewhere.get("@me/base")).adapter is None
    assert await elsewhere.remove(mine.name) == len(lora)
    assert (await elsewhere.get("@me/base")).usable


async def test_a_damaged_adapter_of_an_export_is_refused_and_nothing_of_it_stays(
    library: Library, elsewhere: Library, pirate: Callable[..., Path], write_gguf: Write, tmp_path: Path, drain: Drain
) -> None:
    path = pirate()
    await library.add(write_gguf(tmp_path / "src/base.gguf"))
    await drain(library.export(["@me/pirate"], tmp_path / "usb"))
    [copy] = (tmp_path / "usb/brains").glob("adapter-*.gguf")
    copy.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BadFile, match="sha256 is wrong"):
        await elsewhere.add(tmp_path / "usb")
    assert list((tmp_path / "elsewhere").rglob("sha256-*")) == []
    listing = tmp_path / "usb/brains/brains.json"
    listing.write_text('{"version": 3, "brains": {"of": "another kind"}}')
    with pytest.raises(BadFile, match="was written by a newer Omni"):
        await elsewhere.add(tmp_path / "usb")
    with pytest.raises(BadFile, match="was written by a newer Omni"):
        await drain(library.export(["@me/base"], tmp_path / "usb"))
