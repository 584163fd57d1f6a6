"""The adapters of brains: files that are looked at before an engine loads them with a base.

A worker loads all adapters of a base together, so one that cannot be right would cost every brain on it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import msgspec

from omni.cartridges._weights import plain
from omni.cartridges.brains import BrainAdapter
from omni.cartridges.gguf import read_header, read_shapes
from omni.cartridges.inspection import stamp
from omni.cartridges.pulling import hash_files
from omni.core.errors import OmniError


class AdapterFile(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter for bases of one architecture, or what is wrong with it; `remote`: it is not here, and can be fetched."""

    adapter: BrainAdapter | None = None
    architecture: str = ""
    shapes: dict[str, tuple[int, ...]] = {}
    problem: str = ""
    remote: bool = False


class Adapters:
    """Those of one catalog. A file that is the same as before is not read again."""

    def __init__(self) -> None:
        self._looked: dict[BrainAdapter, tuple[str, AdapterFile]] = {}

    def look_at(self, adapter: BrainAdapter, *, known: bool = False) -> AdapterFile:
        """What `adapter` is. Its hash, where it has one, is compared unless it is `known` to be right."""
        try:
            now = stamp(Path(adapter.path))
        except OSError:
            now = ""
        before = self._looked.get(adapter)
        if before is None or before[0] != now:
            before = self._looked[adapter] = now, _look_at(adapter, known=known)
        return before[1]


def _look_at(adapter: BrainAdapter, *, known: bool) -> AdapterFile:
    path = Path(adapter.path)
    try:
        header = read_header(path)
        if header.kind != "adapter":
            return AdapterFile(problem=f"{path} is no adapter")
        if adapter.sha256 and not known:
            *_, (_, sha256) = hash_files([str(path)])
            if sha256 != adapter.sha256:
                wrong = f"has the sha256 {sha256[:12]}… instead of {adapter.sha256[:12]}…"
                return AdapterFile(problem=f"its adapter {path} {wrong}")
        return AdapterFile(adapter=adapter, architecture=header.architecture, shapes=read_shapes(path))
    except OmniError as error:
        return AdapterFile(problem=f"its adapter: {error.message.rstrip('.')}")
    except OSError as error:
        return AdapterFile(problem=f"its adapter {path} cannot be read: {error.strerror}")


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
