"""Sockets of processes that were killed, which nobody else would ever remove."""

import os
import re
import socket
from pathlib import Path


def remove_dead(folder: Path, pattern: str) -> None:
    """Remove the sockets that match `pattern` and whose process is gone. Their names have its number in them.

    At a socket that is in use somebody listens; a process that lives may be between binding its socket and listening.
    """
    for path in folder.glob(pattern):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.setblocking(False)
            try:
                line.connect(os.fspath(path))
            except ConnectionRefusedError:
                if not _lives(path.name):
                    path.unlink(missing_ok=True)
            except OSError:
                continue


def _lives(name: str) -> bool:
    number = re.search(r"\d+", name)
    if number is None:
        return True
    try:
        os.kill(int(number[0]), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
