"""Which keeper serves a home after an update: the one of the environment that the home names now.

An update makes an environment beside the old one. A keeper of the old one would start the new code in it, so it gives
way to the first client of the new one: it ends without a word to its workers, which go on with the answers that they
give, and the keeper that this client starts adopts them. Windows from before the update find that keeper as they would
after a crash. Nothing is broken off for it: while a download runs the old keeper stays, and starts no worker.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omni.core.errors import EngineError, OmniError
from omni.core.paths import Home
from omni.keeper.wire import PROTOCOL


def environment(python: str = "") -> str:
    """The folder of the environment of an interpreter, which is this process's own unless another is named."""
    return str(Path(python or sys.executable).parent.parent)


def is_heir(home: Home, hello: Mapping[str, Any]) -> bool:
    """Whether the keeper that this client would start is to take the place of this one."""
    if not hello.get("starter"):  # it cannot start one
        return False
    protocol, its = hello.get("protocol"), hello.get("environment")
    if isinstance(protocol, int) and protocol != PROTOCOL:
        return protocol > PROTOCOL
    # Without the link, as where the code is installed as a package, nobody knows which of two is the newer.
    return isinstance(its, str) and its != environment() and home.venv.is_symlink() and _same(home.venv, its)


def check_protocol(hello: Mapping[str, Any]) -> None:
    """Raise what a client of another version is to read."""
    protocol = hello.get("protocol")
    if protocol == PROTOCOL:
        return
    if isinstance(protocol, int) and protocol > PROTOCOL:
        raise OmniError(
            "The Omni from before the update is still downloading.", hint="Try again when that has ended: `omni ps`."
        )
    raise OmniError("This window is of an older version of Omni than its keeper.", hint="Close it and start it again.")


def updated() -> EngineError:
    """Why a keeper that is to give way starts nothing any more."""
    return EngineError(
        "Omni was updated, and the one from before is still downloading, so no brain can be loaded now.",
        hint="Ask again when the download has ended: `omni ps` shows it.",
    )


def _same(link: os.PathLike[str], folder: str) -> bool:
    return os.path.realpath(link) == os.path.realpath(folder)
