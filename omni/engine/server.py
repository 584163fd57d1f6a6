"""llama.cpp's own server as the child of a worker: started behind the wall, waited for, ended with it.

The program is a stranger's. It gets no network and no line to anybody, writes nowhere but where it makes its socket and keeps
prefixes, has the worker's memory ceiling and patience with the processor, and a key through a pipe, which stands in no
argument, environment or file. When it ends, the worker ends in the
same way, so that whoever waits learns how; when the worker ends, however, the kernel ends it (on Linux).
"""

import os
import shutil
import signal
import socket as sockets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.errors import EngineError
from omni.core.files import make_folder
from omni.engine._server_arguments import ServerHelp, arguments
from omni.engine.llama import fault, length, told_of, without
from omni.runtimes import SHOWS_SOFTWARE, Runtime, ask_child, child_command, child_environment

LOOK_SECONDS = 0.02
LOAD_SECONDS = 600.0  # for a server to answer, beside the time that its file takes
SLOWEST = 10_000_000  # bytes a second that a disk reads
HELP_SECONDS = 30.0


def start(
    runtime: Runtime,
    path: str,
    socket: str,
    key: str,
    settings: dict[str, Any],
    *,
    log: Path,
    offset: int,
    patience: float = LOAD_SECONDS,
) -> Any:
    """Start the server of `runtime` with the GGUF at `path`, on `socket`; returns it when it answers.

    Must be called by a thread that lives as long as the process: the kernel ends the server with it. Raises as
    `llama.start` does, SetupError for a build that lacks what is needed, and EngineError for a server that does not answer
    within `patience` seconds and those that a slow disk needs. One that a signal has ended ends this process by the same. What
    drafts, and a projector, are left out where it ends with them.
    """
    Path(socket).unlink(missing_ok=True)
    known, left_out = ServerHelp(_help(runtime)), list[str]()
    patience += _size(path) / SLOWEST
    while isinstance(server := _started(runtime, _ServerStart(path, key, settings, known), socket, patience), int):
        if (less := without(path, settings)) is None:
            _die_alike(server)
            raise fault(path, told_of(log, offset), f"it ended with code {server}")
        settings, offset = less.settings, length(log)
        left_out.append(less.words)
    for words in left_out:
        sys.stderr.write(f"{words}\n")
    sys.stderr.flush()
    threading.Thread(target=_end_with, args=(server,), name="server", daemon=True).start()
    return server


class _ServerStart(NamedTuple):
    """What a server is started for, and what it knows."""

    path: str
    key: str
    settings: Mapping[str, Any]
    known: ServerHelp


def _started(runtime: Runtime, order: _ServerStart, socket: str, patience: float) -> "subprocess.Popen[bytes] | int":
    """The server that answers on `socket`, or with which code it ended before. Raises as `start` does."""
    write = [Path(f"{socket}.d")]  # of its own: beside the socket are those of others
    make_folder(write[0])
    if folder := str(order.settings.get("prefixes", "")):
        make_folder(Path(folder))  # a server does not start where it is missing
        write.append(Path(folder))
    born = write[0] / "s.sock"
    reader, writer = os.pipe()
    try:
        os.set_inheritable(reader, True)
        words = arguments(order.path, str(born), f"/dev/fd/{reader}", order.settings, order.known)
        server = subprocess.Popen(
            child_command(runtime.program, words, write=write),
            env=child_environment(runtime.library_folders) | (SHOWS_SOFTWARE if order.settings.get("software") else {}),
            stdin=subprocess.DEVNULL,
            pass_fds=[reader],
        )
        os.write(writer, f"{order.key}\n".encode())
    finally:
        os.close(reader)
        os.close(writer)
    deadline = time.monotonic() + patience
    while not _answers(born, order.key):
        if time.monotonic() > deadline:
            server.kill()
            server.wait()
            shutil.rmtree(write[0], ignore_errors=True)
            raise EngineError(f"{runtime.program} did not answer within {patience:.0f} s, and was ended.")
        if (code := server.poll()) is not None:
            shutil.rmtree(write[0], ignore_errors=True)
            return code
        time.sleep(LOOK_SECONDS)
    born.rename(socket)
    shutil.rmtree(write[0], ignore_errors=True)
    return server


def _help(runtime: Runtime) -> str:
    """What the program says of its options. Raises EngineError where it says nothing."""
    said = ask_child(runtime.program, ["--help"], runtime.library_folders, patience=HELP_SECONDS)
    if said.code < 0:
        _die_alike(said.code)
    return said.text


def _size(path: str) -> int:
    """Bytes of a file, of a model in several those of the first; 0 where none can be read, which the server says."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _answers(socket: Path, key: str) -> bool:
    """Whether the server has loaded its brain, by its own word."""
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as line, suppress(OSError):
        line.settimeout(5)
        line.connect(os.fspath(socket))
        line.sendall(f"GET /health HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n".encode())
        return line.recv(64).partition(b" ")[2].startswith(b"200")
    return False


def _end_with(server: "subprocess.Popen[bytes]") -> None:
    """Wait for the server's end, which is this process's as well."""
    code = server.wait()
    _die_alike(code)
    sys.stderr.write(f"The engine's server ended with code {code}.\n")
    sys.stderr.flush()
    os._exit(code or 1)


def _die_alike(code: int) -> None:
    """End this process by the signal that has ended another one; returns where none has."""
    if code < 0:
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
        with suppress(OSError, ValueError):  # SIGKILL has no handler to take away
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        threading.Event().wait(5)
        os._exit(128 - code)
