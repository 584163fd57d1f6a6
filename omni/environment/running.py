"""Running one order in an installer process (`omni.environment.installer`), which ends with this one and with the air gap."""

import json
import os
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.core import errors
from omni.core.errors import NetworkBlocked, OmniError, SetupError
from omni.core.files import replacing
from omni.core.paths import Home, python_command
from omni.environment.progress import Display, Step
from omni.keeper import begin_installing, name_installer


def run_installer(
    home: Home,
    order: dict[str, Any],
    display: Display,
    *,
    keep: int | None = None,
    state: Path | None = None,
    module: str = "omni.environment.installer",
) -> Any:
    """Run one order in an installer process and show its steps; returns its answer or raises its error.

    The process ends when this one does, however that happens: the end of its standard input is the sign. One that uses
    the network (its order names no `wheels`) also ends with the air gap: NetworkBlocked.
    """
    door = begin_installing(home) if order.get("wheels") is None else None
    try:
        inherited = [each for each in (keep, door) if each is not None]
        return _run(home, order | {"door": door}, display, inherited=inherited, state=state, module=module)
    finally:
        if door is not None:
            os.close(door)


def _run(
    home: Home, order: dict[str, Any], display: Display, *, inherited: list[int], state: Path | None, module: str
) -> Any:
    process = subprocess.Popen(
        python_command(module),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl+C belongs to the front end, which ends the installer
        pass_fds=inherited,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if order["door"] is not None:
            name_installer(order["door"], process.pid)
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        return _follow(process.stdout.fileno(), display, state)
    except (EOFError, BrokenPipeError) as error:
        code = process.wait()
        if order["door"] is not None and home.air_gap.exists():
            raise NetworkBlocked(
                "The air gap was turned on, which ended the installer.", hint="Start again when the doors may open."
            ) from error
        words = f"was ended by signal {-code}" if code < 0 else f"failed with code {code}"
        raise SetupError(f"The installer {words}.", hint="Start again: what it left is redone.") from error
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _follow(descriptor: int, display: Display, state: Path | None) -> Any:
    pending, step, written = b"", None, 0.0
    while True:
        if select.select([descriptor], [], [], 0.2)[0]:
            data = os.read(descriptor, 65536)
            if not data:
                raise EOFError
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "error" in message:
                    raise _error(message)
                if "answer" in message:
                    return message["answer"]
                step = Step.from_dict(message)
        if step is not None:
            display.step(step)
            now = time.monotonic()
            if state is not None and now - written > 0.1:
                written = now
                _tell(state, step)


def _tell(state: Path, step: Step) -> None:
    """By rename, but without fsync: this is news, not data."""
    with suppress(OSError), replacing(state, durable=False) as file:
        file.write(json.dumps(step.as_dict()).encode())


def _error(message: dict[str, Any]) -> OmniError:
    kind = getattr(errors, message["error"], SetupError)
    error = kind(message["message"], hint=message["hint"])
    assert isinstance(error, OmniError)
    return error
