"""Files of the person's package index that Omni pins by their sha256: which one suits this machine, and fetching it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from omni.core.errors import BadFile
from omni.environment import fits_here, pinned_file

if TYPE_CHECKING:
    from omni.airlock import FetchProgress, IndexFile
    from omni.environment import Pin


class EngineDoor(Protocol):
    """What of `omni.airlock.AirlockClient` is used here."""

    def fetch(
        self, url: str, target: Path, *, purpose: Literal["engine"], size: int | None, sha256: str | None
    ) -> "AsyncIterator[FetchProgress]":
        """Download to `target`; closing the iterator cancels."""
        ...

    async def find(
        self, project: str, *, purpose: Literal["engine"], wanted: "Callable[[IndexFile], bool]"
    ) -> "list[IndexFile]":
        """The wanted files of a project on the person's package indexes."""
        ...


async def fetch_pinned(pin: "Pin", folder: Path, door: EngineDoor) -> "AsyncGenerator[FetchProgress, None]":
    """Fetch the file of `pin` for this machine into `folder`; the last event's `fetched` says where it is.

    One that is there already is only read. Raises NotFound when the index has none, BadFile when what it has is not what
    is pinned, NetworkBlocked and StorageError as the airlock does.
    """
    offered = await door.find(pin.name, purpose="engine", wanted=lambda file: suits(file.name, pin.version))
    file = pinned_file(pin, offered)
    sha256 = file.sha256 or (min(pin.hashes) if len(pin.hashes) == 1 else None)
    steps = door.fetch(file.url, folder / file.name, purpose="engine", size=file.size, sha256=sha256)
    async with aclosing(cast("AsyncGenerator[FetchProgress]", steps)) as progress:
        async for step in progress:
            if step.fetched is not None and step.fetched.sha256 not in pin.hashes:
                step.fetched.path.unlink(missing_ok=True)
                raise BadFile(f"{file.name} came with the wrong sha256; it was not kept.", hint="Try again.")
            yield step


def suits(name: str, version: str) -> bool:
    """Whether a file is a source archive of this version, or a wheel of it that runs on this machine."""
    if name.endswith(".tar.gz"):
        return name.removesuffix(".tar.gz").rpartition("-")[2] == version
    return fits_here(name, version)
