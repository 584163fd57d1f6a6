"""Runs a tool (a compiler, a quantiser) in a child without a network that writes only where it was told to."""

import asyncio
import codecs
import json
import os
import re
import signal
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from omni.core import confinement
from omni.core.errors import OmniError
from omni.core.files import make_folder, own, storing
from omni.core.paths import python_command

_BLOCK = 1 << 16
_PIECE = re.compile(r"[\r\n,]")  # some tools write how far they are as `[1]5.2,[2]5.0,`
_LONGEST = 4096  # characters of a piece that is still looked at
_TAIL = 1 << 16
PATIENCE = 5.0  # seconds for a tool to be ended by its child


class ToolFailed(OmniError):
    """A tool ended with a failure: `status` as a shell has it, and the `lines` that it wrote last."""

    def __init__(self, message: str, *, hint: str = "", status: int = 1, lines: Sequence[str] = ()) -> None:
        super().__init__(message, hint=hint)
        self.status, self.lines = status, tuple(lines)


async def run_confined(
    command: Sequence[str | os.PathLike[str]],
    *,
    write: Sequence[Path],
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[str, None]:
    """Run `command` (in `folder`), which may change files only below `write` and has no network; yields what it prints, cut
    at line ends and commas, and adds all of it to `log`. Closing the iterator kills it with all that it started.

    Raises ToolFailed with its last lines, StorageError where the log cannot be written.
    """
    order = json.dumps({"command": [os.fspath(word) for word in command], "write": [str(each) for each in write]})
    begin = await asyncio.to_thread(_begun, log)
    process = await asyncio.create_subprocess_exec(
        *confinement.prefix(),
        *python_command("omni.runtimes.confined_child", packages=False),
        order,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env=dict(environment) if environment is not None else None,
        start_new_session=True,  # Ctrl+C in a terminal is for Omni, which ends the tool
    )
    try:
        assert process.stdout is not None
        pending, letters = "", codecs.getincrementaldecoder("utf-8")("replace")
        while data := await process.stdout.read(_BLOCK):
            with storing(log), log.open("ab") as file:
                file.write(data)
            *pieces, pending = _PIECE.split(pending + letters.decode(data))
            pending = pending[-_LONGEST:]
            for piece in pieces:
                if text := piece.strip():
                    yield text
        status = await process.wait()
        if pending.strip():
            yield pending.strip()
    finally:
        if process.returncode is None:
            await asyncio.shield(_end(process))
    if status:
        raise _failure(os.fspath(command[0]), status, log, begin)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let the child end its tool; kill both where it does not."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _begun(log: Path) -> int:
    """Make the log where there is none; how long it is."""
    with storing(log):
        make_folder(log.parent)
        own(log)
        return log.stat().st_size


def _failure(tool: str, status: int, log: Path, begin: int) -> ToolFailed:
    with log.open("rb") as file:
        file.seek(max(begin, log.stat().st_size - _TAIL))
        lines = [line.rstrip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    name = Path(tool).name
    how = f"was ended by signal {status - 128}" if status > 128 else f"ended with status {status}"
    return ToolFailed(f"{name} {how}.", hint="\n".join([*lines[-8:], f"All of it: {log}"]), status=status, lines=lines)
