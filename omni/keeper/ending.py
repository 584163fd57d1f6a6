"""Ending all processes of a home without starting one: for `omni stop --all` and `omni uninstall`. Blocking."""

import json
import os
import signal
import socket
import time
from contextlib import suppress
from typing import Any

from omni.core.errors import SetupError
from omni.core.locks import is_held
from omni.core.paths import Home
from omni.keeper.children import end_holder
from omni.keeper.doors import end_airlock
from omni.keeper.places import read_object
from omni.keeper.wire import PROTOCOL

PATIENCE = 10.0  # seconds for the keeper to end what it started
POLL = 0.005


def anything_runs(home: Home) -> bool:
    """Whether this home has a keeper, or a worker that outlived one. Starts nothing and asks nobody."""
    return is_held(home.keeper_lock) or any(is_held(path) for path in home.run.glob("*.json"))


def stop_everything(home: Home, *, windows: bool = False) -> bool:
    """End the keeper, its workers and the airlock, and wait for it; False when none of them was there.

    Raises SetupError while another front end is open, unless `windows` is true: an open one starts what it needs again.
    """
    was_running = anything_runs(home)
    if (line := _dial(home)) is not None:
        with line:
            _shut_down(line, windows=windows)
    deadline = time.monotonic() + PATIENCE
    while anything_runs(home):  # it has just ended, or was killed and left its workers alone
        for path in home.run.glob("*.json"):
            state = read_object(path)
            if state and isinstance(state.get("pid"), int) and is_held(path):
                end_holder(state["pid"], path, signal.SIGKILL)
        keeper = read_object(home.keeper_file)
        if time.monotonic() > deadline - PATIENCE / 2 and keeper and isinstance(keeper.get("pid"), int):
            end_holder(keeper["pid"], home.keeper_lock, signal.SIGKILL)  # it is stopped, or hangs
        if time.monotonic() > deadline:
            raise SetupError("Not every process of Omni ends.", hint=f"Look at {home.logs / 'keeper.log'}.")
        time.sleep(POLL)
    end_airlock(home)
    return was_running


def _dial(home: Home) -> socket.socket | None:
    address = read_object(home.keeper_file)
    if address is None or not isinstance(address.get("socket"), str):
        return None
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(PATIENCE)
    try:
        line.connect(address["socket"])
    except OSError:
        line.close()
        return None
    return line


def _shut_down(line: socket.socket, *, windows: bool) -> None:
    """Ask who is there, then to end; a keeper that dies over it has done what was asked."""
    with suppress(OSError, ValueError), line.makefile("rwb") as lines:
        _ask(lines, 0, "hello", protocol=PROTOCOL, client="cli", pid=os.getpid(), starter=0)
        if not windows:
            others = [
                one["name"]
                for one in _ask(lines, 1, "processes") or []
                if one.get("kind") == "client" and one.get("pid") != os.getpid()
            ]
            if others:
                raise SetupError(f"Omni is still open: {', '.join(others)}.", hint="Close it there first.")
        _ask(lines, 2, "shutdown")
        while lines.readline():  # it says goodbye to all when the workers have gone, and hangs up
            pass


def _ask(lines: Any, number: int, what: str, **facts: Any) -> Any:
    lines.write(json.dumps({"id": number, "do": what, **facts}).encode() + b"\n")
    lines.flush()
    while line := lines.readline():
        said = json.loads(line)
        if said.get("id") == number:
            if "error" in said:
                raise SetupError(str(said["error"].get("message", "The keeper refused.")))
            return said.get("ok")
    return None
