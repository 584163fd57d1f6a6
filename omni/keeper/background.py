"""A process without a terminal: out of its starter's way, and what it says goes to a file."""

import os
import sys
import time
from contextlib import suppress

from omni.core.files import put_aside
from omni.core.paths import Home


def detach(home: Home) -> None:
    """Leave the terminal, the folder and the output of who started this process."""
    with suppress(OSError):
        os.setsid()
    os.chdir("/")
    os.umask(0o077)
    path = put_aside(home.logs / "keeper.log", 1 << 20)
    null, file = os.open(os.devnull, os.O_RDONLY), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((null, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(null)
    os.close(file)


def log(text: str) -> None:
    """One line with the time."""
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def trace(error: Exception) -> str:
    """An error with where it came from."""
    from traceback import format_exception  # costs a fifth of the keeper's start

    return "".join(format_exception(error))
