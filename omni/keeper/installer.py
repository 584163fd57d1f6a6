"""The installer of a set-up: it uses the network without the airlock, before there is one, and the air gap ends it, too.

Whoever starts it holds a lock and writes down the process group that it lives in; the installer and what it starts
inherit the lock, so that it is held as long as one of them lives.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from omni.core.errors import NetworkBlocked, SetupError
from omni.core.locks import is_held, take_lock
from omni.core.paths import Home
from omni.keeper.places import air_gap

PATIENCE = 0.5  # seconds for the kernel to end it


def installer_lock(home: Home) -> Path:
    """Held while an installer lives; holds the number of its process group."""
    return home.run / "installer.lock"


def begin_installing(home: Home) -> int:
    """The lock as a descriptor, to be inherited and closed. Raises NetworkBlocked while the air gap is on."""
    held = take_lock(installer_lock(home))
    if held is None:
        raise SetupError("Another installer of Omni is at work.", hint="Wait for it, or end it, and start again.")
    os.ftruncate(held, 0)
    if air_gap(home):  # looked at with the lock held: who turns it on later finds the lock
        os.close(held)
        raise NetworkBlocked(
            "The air gap is on: no package can be fetched.",
            hint="Set up from an export (--from FOLDER), or open the doors: `omni airgap off`.",
        )
    return held


def name_installer(held: int, group: int) -> None:
    """Write down which process group to end."""
    os.pwrite(held, str(group).encode(), 0)


def end_installer(home: Home) -> bool:
    """Kill the installer of this home with all that it started; True when none is left."""
    path = installer_lock(home)
    deadline = time.monotonic() + PATIENCE
    while is_held(path):
        with suppress(OSError, ValueError):  # it has just ended, or is not named yet
            if (group := int(path.read_text())) > 1:
                os.killpg(group, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True
