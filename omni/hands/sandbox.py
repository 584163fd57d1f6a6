"""Running a command behind the walls, as a front end does it: what it writes comes as events, and who stops listening ends it."""

import asyncio
import json
import struct
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from omni.core.errors import EngineError, UsageError
from omni.hands.policy import SandboxPolicy
from omni.keeper import SANDBOX

if TYPE_CHECKING:
    from omni.keeper import KeeperClient

LAYERS = (
    "mount",
    "uts",
    "ipc",
    "processes",
    "network",
    "own /proc",
    "number of processes",
    "landlock",
    "signals",
    "seccomp",
)
MOST_STDIN = 2 << 20  # bytes
Limit = Literal["", "time", "output", "went"]


class SandboxLayers(msgspec.Struct, frozen=True, kw_only=True):
    """Which walls hold here: of each that does not, why. `landlock` is the version of the kernel's, 0 where it has none."""

    missing: dict[str, str]
    landlock: int = 0

    @property
    def whole(self) -> bool:
        """Whether none is missing; where one is, more has to be asked."""
        return not self.missing


class OutputChunk(msgspec.Struct, frozen=True, kw_only=True):
    """What the command wrote."""

    stream: Literal["stdout", "stderr"]
    data: bytes


class ToolEnded(msgspec.Struct, frozen=True, kw_only=True):
    """How it ended: by itself with a code (negative: by a signal), or by a `limit`: "time" or "output"."""

    code: int
    seconds: float
    limit: Limit = ""

    @property
    def words(self) -> str:
        """In words."""
        if self.limit == "time":
            return f"it was ended after {self.seconds:.0f} s, the most that it may take"
        if self.limit == "output":
            return "it was ended since it wrote more than it may"
        return f"it ended with code {self.code}" if self.code >= 0 else f"it was ended by signal {-self.code}"


class _SandboxStatus(msgspec.Struct):
    missing: dict[str, str] | None = None
    landlock: int = 0
    ended: int | None = None
    refused: str = ""
    failed: str = ""
    limit: Limit = ""
    seconds: float = 0.0


SandboxEvent = SandboxLayers | OutputChunk | ToolEnded


class ToolSandbox:
    """Commands in the sandbox, which a process that the keeper starts puts up."""

    def __init__(self, keeper: "KeeperClient") -> None:
        self._keeper = keeper

    async def run(
        self, argv: Sequence[str], policy: SandboxPolicy, *, stdin: bytes = b""
    ) -> AsyncGenerator[SandboxEvent]:
        """Run a program by its whole path with arguments; it reads `stdin`, of at most 2 MB. The first event tells which walls hold, the last one how it ended.

        Raises UsageError where a wall that the policy requires does not hold, or it would have to read more, and EngineError for what could not be started. Whoever
        closes this ends the command and all that it started.
        """
        if not argv or not argv[0].startswith("/") or any("\0" in word for word in argv):
            raise UsageError("A command is a program by its whole path, and arguments without zero bytes.")
        if len(stdin) > MOST_STDIN:
            raise UsageError(
                f"A command in the sandbox is given {MOST_STDIN >> 20} MB to read at most, and this is more."
            )
        order = msgspec.to_builtins(policy) | {"argv": list(argv), "stdin": b64encode(stdin).decode()}
        async with self._keeper.helper(SANDBOX) as turn:
            async for _ in turn.waiting():
                pass
            try:
                reader, writer = await asyncio.open_unix_connection(turn.socket)
            except OSError as error:
                raise EngineError(
                    f"The process that starts commands has gone: {error.strerror}.", hint="Try again."
                ) from error
            try:
                writer.write(json.dumps(order | {"key": turn.key}).encode() + b"\n")  # names of files need not be UTF-8
                async for event in _events(reader):
                    yield event
            finally:
                writer.transport.abort()
                with suppress(OSError):
                    await writer.wait_closed()


async def _events(reader: asyncio.StreamReader) -> AsyncGenerator[SandboxEvent]:
    while True:
        try:
            kind, length = struct.unpack("!cI", await reader.readexactly(5))
            data = await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError):
            raise EngineError(
                "The process that starts commands has ended, and the command with it.", hint="Try again."
            ) from None
        if kind != b"s":
            yield OutputChunk(stream="stdout" if kind == b"o" else "stderr", data=data)
            continue
        status = msgspec.json.decode(data, type=_SandboxStatus)
        if status.missing is not None:
            yield SandboxLayers(missing=status.missing, landlock=status.landlock)
        elif status.refused:
            raise UsageError(
                f"Nothing was run, since a wall that was asked for does not hold here: {status.refused}.",
                hint="`omni sandbox try` tells which do.",
            )
        elif status.failed and not status.limit:
            raise EngineError(f"The command could not be started: {status.failed}.")
        else:
            code = status.ended if status.ended is not None else -9
            yield ToolEnded(code=code, seconds=status.seconds, limit=status.limit)
            return
