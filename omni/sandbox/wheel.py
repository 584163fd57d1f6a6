"""The hash-pinned wheel of pip: found in a folder or at the index that this person's pip would ask."""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omni.core.errors import BadFile, NotFound, SetupError
from omni.sandbox.progress import Step
from omni.sandbox.requirements import Pin

if TYPE_CHECKING:
    from omni.airlock import Page


def wheel_name(pin: Pin) -> str:
    """What the index calls it; pip is pure Python, so there is one."""
    return f"{pin.name}-{pin.version}-py3-none-any.whl"


def find_wheel(folder: Path, pin: Pin) -> Path:
    """The wheel in a folder. Raises NotFound when it is not there, BadFile when it is another one."""
    path = folder / wheel_name(pin)
    if not path.is_file():
        raise NotFound(f"{folder} holds no {path.name}.", hint="Write the export again with `omni export FOLDER`.")
    _verify(path, pin)
    return path


def obtain_wheel(pin: Pin, target: Path, tell: Callable[[Step], None]) -> Path:
    """Fetch the wheel to `target` (or into it, when it is a folder); returns where it is.

    Raises DoorShut when no index answers, BadFile when what it sends is not what is pinned, SetupError when it has none.
    """
    from omni.airlock import lookup, net_settings
    from omni.airlock.index import is_local, local_path

    path = target / wheel_name(pin) if target.is_dir() else target
    net = net_settings()
    name = wheel_name(pin)

    def get(url: str) -> "Page":
        from omni.airlock import page  # what it needs for TLS is not loaded for an index on a disk

        return page(url, net=net)

    for file in lookup(pin.name, net, get):
        if file.name != name:
            continue
        if file.sha256 and file.sha256 not in pin.hashes:
            raise BadFile(
                f"The index offers a {name} that is not the pinned one (wrong sha256).",
                hint="Check pip's settings: `pip config list`.",
            )
        if is_local(file.url):
            shutil.copyfile(local_path(file.url), path)
        else:
            from omni.airlock import download

            total = file.size or 0

            def progress(done: int, size: int | None, known: int = total) -> None:
                whole = size or known
                tell(Step(phase="installer", name=name, size=done, part=done / whole if whole else 0.0))

            download(file.url, path, net=net, size=file.size, sha256=min(pin.hashes), progress=progress)
        _verify(path, pin)
        return path
    raise SetupError(
        f"The package index has no {name}.",
        hint="Set PIP_INDEX_URL to an index that has it, or set up from an export with --from FOLDER.",
    )


def _verify(path: Path, pin: Pin) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found not in pin.hashes:
        raise BadFile(
            f"{path.name} of {os.fspath(path.parent)} is not the pinned file (wrong sha256).",
            hint="Remove it, or check pip's settings: `pip config list`.",
        )
