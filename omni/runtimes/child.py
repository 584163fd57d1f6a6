"""The first words of a foreign program: it ends with who started it, gives up the network, all lines to others and all
writing but where it was told to, and only then becomes that program.

Its one argument is JSON: the `parent`, the folders to `write` below, and the `command`. The program may start others, since a
filter cannot tell its own first start from those; they are behind the same walls. On systems without `prctl` nothing ends it
with its parent but that one's own care. Standard library only.
"""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from omni.core.paths import python_command

if TYPE_CHECKING:
    import subprocess

MOST_SAID = 1 << 20  # bytes of what a program says of itself that are read
_LOOK = 0.05  # seconds between two looks whether a program has ended
_PART = 1 << 16  # bytes that are read together
_PR_SET_PDEATHSIG = 1
_DEVICES = Path("/dev")  # a card's drivers open theirs to write
# Words of a person's own environment that would change what a server does, or are secrets that it need not know.
_LEFT_OUT = ("LLAMA_", "HF_", "HUGGING", "OMNI_", "AWS_")


def child_command(program: Path, arguments: Sequence[str], *, write: Iterable[Path] = ()) -> list[str]:
    """The command line that starts `program` behind the walls, as a child of this very process. It may change files below
    `write` only (and use devices)."""
    order = {
        "parent": os.getpid(),
        "write": [os.fspath(folder) for folder in write],
        "command": [os.fspath(program), *arguments],
    }
    return [*python_command("omni.runtimes.child", packages=False), json.dumps(order)]


def child_environment(libraries: Iterable[Path], environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What such a program may know: the person's own environment without settings of servers, and with its libraries."""
    known = {name: value for name, value in environment.items() if not name.startswith(_LEFT_OUT)}
    folders = [os.fspath(folder) for folder in libraries]
    if folders:
        name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
        known[name] = os.pathsep.join([*folders, *filter(None, [known.get(name)])])
    return known


class ChildAnswer(NamedTuple):
    """How a program ended, and what it said."""

    code: int
    text: str


def ask_child(
    program: Path,
    arguments: Sequence[str],
    libraries: Iterable[Path],
    *,
    patience: float,
    errors: bool = False,
    more: Mapping[str, str] = MappingProxyType({}),
) -> ChildAnswer:
    """What `program` says to `arguments`, with what it complains of where `errors` are wanted, and with `more` in its
    environment. What it has started ends with it. Raises EngineError where it cannot be started, takes more than `patience`
    seconds, or says more than MOST_SAID bytes. Blocking."""
    import subprocess

    from omni.core.clean import clean
    from omni.core.errors import EngineError

    asked = f"{program} was asked for {' '.join(arguments)}"
    try:
        process = subprocess.Popen(
            child_command(program, arguments),
            env=child_environment(libraries) | dict(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if errors else subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise EngineError(f"{program} cannot be started: {error.strerror}.") from error
    try:
        said = _said(process, time.monotonic() + patience)
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    if said is None:
        raise EngineError(
            f"{asked} and did not answer within {patience:.0f} s.",
            hint="Start it by hand with the same words, and see.",
        )
    if len(said) > MOST_SAID:
        raise EngineError(f"{asked} and said more than {MOST_SAID >> 20} MiB.", hint="It is no llama.cpp server.")
    return ChildAnswer(process.returncode, clean(said.decode("utf-8", "replace")))


def _said(process: "subprocess.Popen[bytes]", deadline: float) -> bytes | None:
    """What a program says until it ends, which is waited for here, or more than MOST_SAID bytes of it; None where it does not end
    in time. What it has started may hold the line for longer."""
    assert process.stdout is not None
    descriptor, said = process.stdout.fileno(), b""
    line = select.poll()
    line.register(descriptor, select.POLLIN)
    while len(said) <= MOST_SAID:
        ended = process.poll() is not None
        readable = line.poll(0 if ended else 1000 * _LOOK)
        part = os.read(descriptor, _PART) if readable else b""
        said += part
        if ended and not part:
            return said
        if time.monotonic() > deadline:
            return None
        if readable and not part:  # it has closed its line, and need not have ended
            time.sleep(_LOOK)
    return said


def main() -> None:
    """Become the program; never returns."""
    from omni.core import confinement
    from omni.core.landlock import NONE, write_only_below

    order = json.loads(sys.argv[-1])
    _end_with_parent()
    if os.getppid() != order["parent"]:  # it has ended meanwhile, and nothing would tell
        os._exit(1)
    confinement.confine(connect=False)
    program = order["command"][0]
    try:
        if not write_only_below([_DEVICES, *map(Path, order["write"])]):
            sys.stderr.write(f"{program} may write where you may: {NONE}.\n")
            sys.stderr.flush()
        os.execv(program, order["command"])  # noqa: S606 - it is what this process is for
    except OSError as error:
        sys.stderr.write(f"{program} cannot be started: {error.strerror}\n")
        sys.stderr.flush()
        os._exit(126)


def _end_with_parent() -> None:
    """Have the kernel end this process, and what it becomes, when the thread that started it ends."""
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0)
