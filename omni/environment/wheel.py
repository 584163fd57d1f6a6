"""Hash-pinned wheels: found in a folder or at the index that this person's pip would ask, and pip's own fetched."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from omni.core.errors import BadFile, NetworkBlocked, NotFound, SetupError
from omni.environment.progress import Step
from omni.environment.requirements import Pin
from omni.environment.wheel_tags import fits_here, wheel_name

if TYPE_CHECKING:
    from omni.airlock import IndexFile, Page

_OFFLINE = "To set up without a network: --from FOLDER, with a folder that `omni export` wrote elsewhere."
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


def find_wheel(folder: Path, pin: Pin) -> Path:
    """The wheel of a pin in a folder, for this machine. Raises NotFound when it is not there, BadFile when it is another one."""
    path = next((each for each in sorted(folder.glob("*.whl")) if _is_of(each.name, pin)), None)
    if path is None:
        raise NotFound(
            f"{folder} holds no wheel of {pin.name} {pin.version} for this machine.",
            hint="Write the export again with `omni export FOLDER`.",
        )
    _verify(path, pin)
    return path


def index_files(project: str, wanted: Callable[[str], bool]) -> "list[IndexFile]":
    """The files of a project whose names are wanted, by the first of the person's indexes that offers any.

    Raises NetworkBlocked when no index answers, SetupError when none has one or none is configured.
    """
    from omni.airlock import find, net_settings

    net = net_settings()

    def get(url: str) -> "Page":
        from omni.airlock import page  # what it needs for TLS is not loaded for an index on a disk

        return page(url, net=net, headers=[("Accept", _ACCEPT)])

    with _offline_named():
        return find(project, net, get, lambda file: wanted(file.name))


def obtain_wheel(pin: Pin, target: Path, tell: Callable[[Step], None]) -> Path:
    """Fetch the wheel to `target` (or into it, when it is a folder); returns where it is.

    Raises NetworkBlocked when no index answers, BadFile when what it sends is not what is pinned, SetupError
    when it has none or no index is configured.
    """
    from omni.airlock import download, net_settings

    name = f"{pin.name}-{pin.version}-py3-none-any.whl"  # pip is pure Python
    path = target / name if target.is_dir() else target
    (file, *_) = index_files(pin.name, lambda offered: offered == name)
    if file.sha256 and file.sha256 not in pin.hashes:
        raise BadFile(
            f"The index offers a {name} that is not the pinned one (wrong sha256).",
            hint="Check pip's settings: `pip config list`.",
        )

    def progress(done: int, size: int | None) -> None:
        tell(Step(phase="installer", name=name, size=done, part=done / size if size else 0.0))

    with _offline_named():
        download(file.url, path, net=net_settings(), size=file.size, sha256=min(pin.hashes), progress=progress)
    return path


@contextmanager
def _offline_named() -> Iterator[None]:
    """Where the index has not what is needed or does not answer, the way without a network is named, too."""
    try:
        yield
    except NotFound as error:
        raise SetupError(error.message, hint=f"{error.hint} {_OFFLINE}".strip()) from error
    except NetworkBlocked as error:
        raise NetworkBlocked(error.message, hint=f"{error.hint} {_OFFLINE}".strip()) from error


def _is_of(name: str, pin: Pin) -> bool:
    return fits_here(name, pin.version) and wheel_name(name).package == pin.name


def _verify(path: Path, pin: Pin) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in pin.hashes:
        raise BadFile(
            f"{path.name} of {os.fspath(path.parent)} is not the pinned file (wrong sha256).",
            hint="Remove it, or check pip's settings: `pip config list`.",
        )
