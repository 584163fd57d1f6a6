"""The adapters that cartridges bring: files beside a manifest, looked at before an engine loads them with a base.

A worker loads all adapters of a base together, so one that cannot be right would cost every brain on it.
"""

from pathlib import Path

import msgspec

from omni.cartridges.brains import BrainAdapter
from omni.cartridges.gguf import read_header
from omni.cartridges.manifest import AdapterTable
from omni.cartridges.pulling import hash_files
from omni.core.errors import OmniError


class AdapterFile(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside a manifest: an adapter for bases of one architecture, or what is wrong with it."""

    adapter: BrainAdapter | None = None
    architecture: str = ""
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
    return AdapterFile(adapter=adapter, architecture=header.architecture)
