"""The process between Omni and a tool: sets the walls, starts the tool, and ends with it, or it with whoever asked.

Its one argument is JSON: the `command`, and the folders that it may `write` below. Standard input is the line to who asked:
when it ends, however, the tool is ended with all that it started. Standard library only.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from omni.core import confinement
from omni.core.landlock import NONE, write_only_below

NICE = 10  # answers are waited for, tools are not
NOT_STARTED = 127
PATIENCE = 1.0  # seconds for a tool to tidy up; ninja takes its compilers with it


def main() -> None:
    """Run the command; ends with its exit status, 128 and more for a signal as a shell has it."""
    order = json.loads(sys.argv[-1])
    os.nice(NICE)
    confinement.confine(connect=False)
    if not write_only_below([Path(folder) for folder in order["write"]]):
        sys.stderr.write(f"{order['command'][0]} may write where you may: {NONE}.\n")
        sys.stderr.flush()
    try:
        tool = subprocess.Popen(order["command"], stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"{order['command'][0]} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(NOT_STARTED)
    left = threading.Event()
    watch = threading.Thread(target=_end_with_parent, args=[tool, left], daemon=True)
    watch.start()
    status = tool.wait()
    if left.is_set():
        watch.join()  # it still has the tool's children to end, and then this process
    os._exit(status if status >= 0 else 128 - status)


def _end_with_parent(tool: "subprocess.Popen[bytes]", left: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    left.set()
    tool.terminate()
    with suppress(subprocess.TimeoutExpired):
        tool.wait(PATIENCE)
    for pid in _session():  # what has a process group of its own, as ninja's children have
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def _session() -> list[int]:
    """The other processes of this session, which was begun for the tool."""
    own, pids = os.getsid(0), []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid = int(entry.name)
            if pid != os.getpid() and os.getsid(pid) == own:
                pids.append(pid)
    return pids
