"""Where tools work: a folder of a project, the walls for commands, the changes that can be taken back."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

from omni.core.errors import NotFound, OmniError, UsageError
from omni.core.hooks import Touch
from omni.hands.acts import ToolAct
from omni.hands.changes import ChangeLog, held
from omni.hands.consent import ConsentJudge
from omni.hands.located_paths import LocatedPath, locate
from omni.hands.sandbox import OutputChunk, SandboxEvent, SandboxLayers, ToolEnded, ToolSandbox

if TYPE_CHECKING:
    from omni.hands.policy import SandboxPolicy


class Workplace:
    """One place of work, of one agent in one conversation. `policy` makes what a command gets, of so many seconds."""

    def __init__(
        self,
        folder: Path,
        project: Path,
        *,
        judge: ConsentJudge,
        sandbox: ToolSandbox,
        policy: "Callable[[float], SandboxPolicy]",
        changes: ChangeLog,
        agent: str = "",
        conversation: str = "",
    ) -> None:
        self.folder, self.project = os.path.realpath(folder), os.path.realpath(project)
        self.judge, self.sandbox, self.changes = judge, sandbox, changes
        self.agent, self.conversation = agent, conversation
        self._policy = policy

    def act(self, tool: str, *touches: Touch, path: str = "", command: str = "") -> ToolAct:
        """What a tool would do here."""
        return ToolAct(
            tool=tool,
            touches=touches,
            folder=self.folder,
            project=self.project,
            path=path,
            command=command,
            agent=self.agent,
            conversation=self.conversation,
        )

    def locate(self, path: str) -> LocatedPath:
        """Where a path leads. Raises UsageError for one that cannot be followed."""
        place = locate(path or ".", self.folder, self.project)
        if place is None:
            raise UsageError(f"The path {path!r} cannot be followed.")
        return place

    def named(self, place: LocatedPath) -> str:
        """A place as it is called here: below the folder of work where it lies there."""
        return os.path.relpath(place.real, self.folder) if place.inside else place.real

    def named_below(self, place: LocatedPath, path: str) -> str:
        """The same for a path below a place."""
        return os.path.normpath(f"{self.named(place)}/{path}")

    def read(self, path: str, tool: str) -> tuple[LocatedPath, bytes | None]:
        """Where a path leads and what the file holds, None where there is none; for a plan, so only what may be read without asking.

        Raises UsageError.
        """
        place = self.locate(path)
        judgement = self.judge.judge(self.act(tool, "read", path=place.real))
        if judgement.verdict != "allow":
            raise UsageError(f"{path} may not be read without asking: {judgement.reason}.", hint="read_file asks.")
        return place, self.held(place)

    def held(self, place: LocatedPath) -> bytes | None:
        """What the file holds, None where there is none. Raises UsageError for a folder or a file that is too large."""
        try:
            return held(place.real)
        except OSError as error:
            raise UsageError(f"{self.named(place)} cannot be read: {error.strerror}.") from error

    def text(self, path: str, tool: str) -> tuple[LocatedPath, bytes, str]:
        """The same for a text file that must be there. Raises NotFound, UsageError."""
        place, content = self.read(path, tool)
        return place, *decoded(self.named(place), content, self.folder)

    async def command(self, argv: Sequence[str], seconds: float) -> AsyncGenerator[SandboxEvent]:
        """Run a program behind the walls; see `ToolSandbox.run`."""
        policy = await asyncio.to_thread(self._policy, seconds)
        async with aclosing(self.sandbox.run(argv, policy)) as events:
            async for event in events:
                yield event

    async def output(self, argv: Sequence[str], *, seconds: float, most: int) -> tuple[str, ToolEnded]:
        """What a program writes to stdout, at most so many bytes, and how it ended. Raises what the sandbox raises."""
        pieces, size = list[bytes](), 0
        async with aclosing(self.command(argv, seconds)) as events:
            async for event in events:
                match event:
                    case OutputChunk(stream="stdout", data=data):
                        pieces.append(data[: most - size])
                        size += len(pieces[-1])
                        if size >= most:
                            return _text(pieces), ToolEnded(code=0, seconds=0.0, limit="output")
                    case ToolEnded():
                        return _text(pieces), event
                    case OutputChunk() | SandboxLayers():
                        pass
        raise OmniError("The command ended without its end.")


def decoded(name: str, content: bytes | None, folder: str) -> tuple[bytes, str]:
    """The bytes of a text file and its text. Raises NotFound where there is none, UsageError where it is no text in UTF-8."""
    if content is None:
        raise NotFound(f"There is no file {name}.", hint=f"list_files shows what is there; paths begin at {folder}.")
    try:
        return content, content.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is no text in UTF-8 ({len(content):,} bytes).") from None


def _text(pieces: Sequence[bytes]) -> str:
    return b"".join(pieces).decode("utf-8", "replace")
