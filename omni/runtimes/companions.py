"""What an engine needs beside its own package: wheels of the person's package index, each pinned by a lock file of ours."""

import sys
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from omni.core.errors import BadFile
from omni.core.paths import resources
from omni.runtimes.pinned import EngineDoor, fetch_pinned
from omni.runtimes.registry import sha256_of
from omni.runtimes.runtime import RuntimeKind

if TYPE_CHECKING:
    from omni.airlock import FetchProgress
    from omni.environment import Pin

LOCKS: Mapping[RuntimeKind, str] = MappingProxyType(
    {"llama_cpp": "engine-llama-cpp.txt", "mlx": "engine-mlx.txt"}
)  # among the requirements


class EnginePart(msgspec.Struct, frozen=True, kw_only=True):
    """A wheel that was fetched: `size` in bytes."""

    path: str
    size: int
    sha256: str


def companions(kind: RuntimeKind, *, platform: str = sys.platform) -> "list[Pin]":
    """The packages that an engine of this kind needs on a platform."""
    from omni.environment import read_lock

    if (lock := LOCKS.get(kind)) is None:
        return []
    return [pin for pin in read_lock(resources("requirements") / lock) if pin.applies(platform)]


async def fetch_companions(
    kind: RuntimeKind, folder: Path, door: EngineDoor, *, told: "Callable[[FetchProgress], None]"
) -> tuple[EnginePart, ...]:
    """Fetch those packages into `folder`. Raises NotFound where the index has none for this machine, BadFile for another file
    than the one that is pinned, and what the airlock raises."""
    parts = []
    for pin in companions(kind):
        fetched = None
        async with aclosing(fetch_pinned(pin, folder, door)) as progress:
            async for step in progress:
                told(step)
                fetched = step.fetched
        if fetched is None or fetched.path.suffix != ".whl":
            raise BadFile(f"The package index offers no wheel of {pin.name} {pin.version}.", hint="Ask another index.")
        path = fetched.path
        parts.append(EnginePart(path=str(path), size=path.stat().st_size, sha256=sha256_of(path)))
    return tuple(parts)
