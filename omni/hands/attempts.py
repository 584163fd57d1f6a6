"""Every wall of the sandbox, tried from inside by a real command: what it was refused, and what it was given.

Nothing of it would do harm where a wall did not hold: a file is opened and closed again, a connection is made to this very process,
a signal of no effect is sent to it.
"""

import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from omni.core.errors import OmniError
from omni.hands.policy import SandboxPolicy, policy_for
from omni.hands.sandbox import OutputChunk, SandboxLayers, ToolEnded, ToolSandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

_SCRIPT = Path(__file__).with_name("tries.py")
SECONDS, MEMORY, OUTPUT = 2.0, 256 << 20, 1 << 20


class WallAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to get out, or to take too much. `stopped`: whether it was kept from that; `how`: by what, or what it was given."""

    what: str
    stopped: bool
    how: str


class _Told(msgspec.Struct):
    what: str
    stopped: bool
    how: str
    place: str = ""


async def try_walls(
    sandbox: ToolSandbox, policy: SandboxPolicy, *, home: Path, sockets: Sequence[str]
) -> AsyncIterator[WallAttempt | SandboxLayers]:
    """Try to read `home`, to write outside the project, to reach the network, these `sockets` and processes outside, to change what there is
    to see, to become root, and to take more than the limits. The first value tells which walls hold."""
    policy = msgspec.structs.replace(policy, seconds=60.0, output=OUTPUT)
    with _listening() as name:
        told = json.dumps(
            {
                "home": str(home),
                "names": _kept_back(home, policy),
                "sockets": [*sockets, f"\0{name}"],
                "pid": os.getpid(),
            }
        )
        async for one in _tried(sandbox, msgspec.structs.replace(policy, seconds=30.0), "out", told.encode()):
            yield one
    for what, limits in (
        ("memory", {"memory": MEMORY}),
        ("processes", {"seconds": 20.0}),
        ("output", {}),
        ("time", {"seconds": SECONDS}),
    ):
        async for one in _tried(sandbox, msgspec.structs.replace(policy, **limits), what, b""):
            if isinstance(one, WallAttempt):
                yield one


async def _tried(
    sandbox: ToolSandbox, policy: SandboxPolicy, what: str, told: bytes
) -> AsyncIterator[WallAttempt | SandboxLayers]:
    """What one run of the script tells, or what ended it."""
    argv = [*_python(), what, str(policy.processes)]
    written = bytearray()
    try:
        async for event in sandbox.run(argv, policy, stdin=told):
            match event:
                case SandboxLayers():
                    yield event
                case OutputChunk(stream="stdout", data=data):
                    written += data[: OUTPUT - len(written)]
                case ToolEnded(limit="time" | "output" as limit):
                    names = {"time": "a command that never ends", "output": "output without end"}
                    yield WallAttempt(what=names[limit], stopped=True, how=event.words)
                    return
                case ToolEnded():
                    for line in written.splitlines():
                        yield _seen_from_outside(msgspec.json.decode(line, type=_Told))
                    if event.code or not written:
                        yield WallAttempt(what=what, stopped=False, how=f"nobody knows: {event.words}")
    except OmniError as error:
        yield WallAttempt(what=what, stopped=False, how=error.message)


def _python() -> list[str]:
    """A command line that runs the script, by the Python of the system that Omni's own was made with."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    return [str(python), "-I", "-S", "-c", _SCRIPT.read_text("utf-8")]


def _kept_back(home: Path, policy: SandboxPolicy) -> list[str]:
    """What lies in a home and on the way to nothing that may be seen."""
    shown = {
        Path(path).relative_to(home).parts[:1] for path in (*policy.read, *policy.write) if home in Path(path).parents
    }
    with suppress(OSError):
        return [entry.name for entry in home.iterdir() if (entry.name,) not in shown]
    return []


def _seen_from_outside(told: _Told) -> WallAttempt:
    """A file that was made counts where it lies outside, from where it is taken away again."""
    stopped, how = told.stopped, told.how
    if told.place:
        stopped, how = not os.path.lexists(told.place), "it was made in an empty folder, which went with the command"
        if not stopped:
            how = "it was made"
            with suppress(OSError):
                Path(told.place).unlink()
    return WallAttempt(what=told.what, stopped=stopped, how=how)


@contextmanager
def _listening() -> "Iterator[str]":
    """A socket without a path, on which somebody outside listens; its name."""
    name = f"omni-tried-{secrets.token_hex(6)}"
    with socket.socket(socket.AF_UNIX) as listener:
        with suppress(OSError):  # macOS has none
            listener.bind(f"\0{name}")
            listener.listen(1)
        yield name


def local_sockets(omni: Any, outside: "dict[str, str]") -> list[str]:
    """Sockets of programs outside that are here: Omni's own, and those of Docker, D-Bus, an agent for keys, and a screen."""
    usual = [
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/dbus/system_bus_socket",
        "/run/user/1000/bus",
        "/tmp/.X11-unix/X0",
    ]
    named = [outside.get("SSH_AUTH_SOCK", ""), outside.get("DBUS_SESSION_BUS_ADDRESS", "").removeprefix("unix:path=")]
    return [path for path in dict.fromkeys([*map(str, omni), *usual, *named]) if path and Path(path).exists()]


async def walls_here(sandbox: ToolSandbox, *, omni: Path) -> SandboxLayers:
    """Which walls hold here, by running nothing in an empty project. Raises OmniError where no command can be run."""
    with TemporaryDirectory(prefix="omni-tried-") as project, TemporaryDirectory(prefix="omni-scratch-") as scratch:
        policy = policy_for(Path(project), Path(scratch), home=Path.home(), omni=omni, outside={})
        async for event in sandbox.run(["/bin/true"], policy):
            if isinstance(event, SandboxLayers):
                layers = event
        return layers


async def collected(
    tries: AsyncIterator[WallAttempt | SandboxLayers],
) -> tuple[SandboxLayers | None, list[WallAttempt]]:
    """All that was tried, and the walls."""
    layers: SandboxLayers | None = None
    tried: list[WallAttempt] = []
    async for one in tries:
        if isinstance(one, SandboxLayers):
            layers = one
        else:
            tried.append(one)
    return layers, tried
