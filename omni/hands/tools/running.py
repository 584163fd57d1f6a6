"""Tools that run something, behind the walls of the sandbox."""

import codecs
import shlex
from contextlib import aclosing
from typing import Annotated

from msgspec import Meta, Struct

from omni.core.errors import UsageError
from omni.hands.policy import shell_command
from omni.hands.sandbox import OutputChunk, SandboxLayers, ToolEnded
from omni.hands.tool import HandTool, Progress, ToolPlan, ToolResult
from omni.hands.workplace import Workplace

SECONDS = 120
MOST_SECONDS = 1800


class RunCommand(Struct, frozen=True, kw_only=True):
    """Arguments of `run_command`."""

    command: Annotated[str, Meta(description="A command line for bash, run in the folder of work.", min_length=1)]
    seconds: Annotated[int, Meta(description="How long it may take.", ge=1, le=MOST_SECONDS)] = SECONDS


class RunPython(Struct, frozen=True, kw_only=True):
    """Arguments of `run_python`."""

    code: Annotated[str, Meta(description="A Python program; what it prints comes back.", min_length=1)]
    seconds: Annotated[int, Meta(description="How long it may take.", ge=1, le=MOST_SECONDS)] = SECONDS


def _run_command(arguments: RunCommand, place: Workplace) -> ToolPlan:
    return _running("run_command", arguments.command, arguments.command, arguments.seconds, place)


def _run_python(arguments: RunPython, place: Workplace) -> ToolPlan:
    return _running("run_python", f"python3 -c {shlex.quote(arguments.code)}", arguments.code, arguments.seconds, place)


def _running(tool: str, command: str, shown: str, seconds: int, place: Workplace) -> ToolPlan:
    if "\0" in command:
        raise UsageError("A command has no zero bytes.")
    argv = shell_command(command)
    first = next((line for line in shown.splitlines() if line.strip()), shown)

    async def run() -> Progress:
        texts = list[str]()
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        async with aclosing(place.command(argv, float(seconds))) as events:
            async for event in events:
                match event:
                    case SandboxLayers(missing=missing) if missing:
                        walls = ", ".join(missing)
                        yield f"[not all walls of the sandbox hold here: {walls}]\n"
                    case OutputChunk(stream=stream, data=data):
                        if text := decoders[stream].decode(data):
                            texts.append(text)
                            yield text
                    case ToolEnded():
                        ended = f"exit code {event.code}" if not event.limit and event.code >= 0 else event.words
                        body = "".join(texts)
                        blank = "" if not body or body.endswith("\n") else "\n"
                        yield ToolResult(
                            text=f"{body}{blank}[{ended}]",
                            failed=bool(event.code or event.limit),
                            outcome=f"exit {event.code}" if not event.limit else f"ended by its limit: {event.limit}",
                        )

    return ToolPlan(act=place.act(tool, "shell", command=command), line=f"run {first[:120]}", shown=shown, run=run)


RUN_COMMAND = HandTool(
    name="run_command",
    about="Run a command line, such as a test; its output and exit code come back. There is no network.",
    parameters=RunCommand,
    touches=("shell",),
    plan=_run_command,
)
RUN_PYTHON = HandTool(
    name="run_python",
    about="Run a short Python program; its output comes back.",
    parameters=RunPython,
    touches=("shell",),
    plan=_run_python,
)
