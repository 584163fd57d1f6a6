"""The adapters that cartridges bring: files beside a manifest, looked at before an engine loads them with a base.

A worker loads all adapters of a base together, so one that cannot be right would cost every brain on it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from omni.cartridges._weights import plain
from omni.cartridges.brains import BrainAdapter
from omni.cartridges.gguf import read_header, read_shapes
from omni.cartridges.manifest import AdapterTable
from omni.cartridges.pulling import hash_files
from omni.core.errors import OmniError


class AdapterFile(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside a manifest: an adapter for bases of one architecture, or what is wrong with it."""

    adapter: BrainAdapter | None = None
    architecture: str = ""
    shapes: dict[str, tuple[int, ...]] = {}
    problem: str = ""


def look_at(folder: Path, table: AdapterTable) -> AdapterFile:
    """The adapter of the cartridge in `folder`; reads all of it once to compare its hash."""
    path = (folder / table.file).absolute()
    try:
        header = read_header(path)
        if header.kind != "adapter":
            return AdapterFile(problem=f"{path} is no adapter")
        *_, (_, sha256) = hash_files([str(path)])
    except OmniError as error:
        return AdapterFile(problem=f"its adapter: {error.message.rstrip('.')}")
    except OSError as error:
        return AdapterFile(problem=f"its adapter {path} cannot be read: {error.strerror}")
    if sha256 != table.sha256:
        return AdapterFile(
            problem=f"its adapter {path} has the sha256 {sha256[:12]}… instead of {table.sha256[:12]}…",
        )
    adapter = BrainAdapter(path=str(path), scale=table.scale, sha256=sha256)
    return AdapterFile(adapter=adapter, architecture=header.architecture, shapes=read_shapes(path))


def misfit(adapter: Mapping[str, Sequence[int]], base: Path) -> str:
    """What of an adapter's tensors does not fit those of a base; "" where all do. llama.cpp refuses the whole base with an
    adapter that does not.

    A change is the product of two: one from the width of the base's rows to the adapter's rank, one from there to the
    number of rows; of the table of texts it is the other way around.
    """
    try:
        told = base.stat()
        wanted = _shapes(str(base), told.st_size, told.st_mtime_ns)
    except (OmniError, OSError):
        return ""  # which is the base's own trouble, and told there
    for name, shape in adapter.items():
        if not name.endswith(".lora_a"):
            continue
        changed = name.removesuffix(".lora_a")
        if (other := adapter.get(f"{changed}.lora_b")) is None:
            return f"its adapter has no second half of {plain(changed)}"
        down, up = _two(shape), _two(other)
        if changed not in wanted:
            return f"its adapter changes {plain(changed)}, which its base does not have"
        if down[1] != up[0]:
            return f"its adapter's halves of {plain(changed)} have the ranks {down[1]:,} and {up[0]:,}"
        width, rows = _two(wanted[changed])
        if changed == "token_embd.weight":
            width, rows = rows, width
        if (down[0], up[1]) != (width, rows):
            return (
                f"its adapter was made for another base: {plain(changed)} has {width:,} × {rows:,} numbers, and the adapter "
                f"is for {down[0]:,} × {up[1]:,}"
            )
    return ""


@lru_cache(maxsize=8)
def _shapes(path: str, _size: int, _changed: int) -> dict[str, tuple[int, ...]]:
    return read_shapes(path)


def _two(shape: Sequence[int]) -> tuple[int, int]:
    return (*shape, 1, 1)[:2]  # type: ignore[return-value]  # two of them, whatever comes first
