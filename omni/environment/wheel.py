"""The hash-pinned wheel of pip: found in a folder or at the index that this person's pip would ask."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from omni.core.errors import BadFile, NetworkBlocked, NotFound, SetupError
from omni.environment.progress import Step
from omni.environment.requirements import Pin

if TYPE_CHECKING:
    from omni.airlock import Page

_OFFLINE = "To set up without a network: --from FOLDER, with a folder that `omni export` wrote elsewhere."
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"


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

    Raises NetworkBlocked when no index answers, BadFile when what it sends is not what is pinned, SetupError
    when it has none or no index is configured.
    """
    from omni.airlock import find, net_settings

    path = target / wheel_name(pin) if target.is_dir() else target
    net = net_settings()
    name = wheel_name(pin)

    def get(url: str) -> "Page":
        from omni.airlock import page  # what it needs for TLS is not loaded for an index on a disk

        return page(url, net=net, headers=[("Accept", _ACCEPT)])

    try:
        (file, *_) = find(pin.name, net, get, lambda file: file.name == name)
        if file.sha256 and file.sha256 not in pin.hashes:
            raise BadFile(
                f"The index offers a {name} that is not the pinned one (wrong sha256).",
                hint="Check pip's settings: `pip config list`.",
            )
        from omni.airlock import download

        def progress(done: int, size: int | None) -> None:
            tell(Step(phase="installer", name=name, size=done, part=done / size if size else 0.0))

        download(file.url, path, net=net, size=file.size, sha256=min(pin.hashes), progress=progress)
    except NotFound as error:
        raise SetupError(error.message, hint=f"{error.hint} {_OFFLINE}".strip()) from error
    except NetworkBlocked as error:
        raise NetworkBlocked(error.message, hint=f"{error.hint} {_OFFLINE}".strip()) from error
    return path


def _verify(path: Path, pin: Pin) -> None:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest not in pin.hashes:
        raise BadFile(
            f"{path.name} of {os.fspath(path.parent)} is not the pinned file (wrong sha256).",
            hint="Remove it, or check pip's settings: `pip config list`.",
        )
