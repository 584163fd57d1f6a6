"""`omni sandbox`: a command behind the walls that hold what brains run, and those walls put to the test."""

import asyncio
import os
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omni.cli.say import tell
from omni.cli.session import with_services
from omni.cli.table import print_json, print_table
from omni.core.errors import UsageError

if TYPE_CHECKING:
    from omni.app import Services
    from omni.hands import SandboxLayers, SandboxPolicy

TIMED_OUT = 124  # as `timeout` has it


@click.group("sandbox")
def command() -> None:
    """Run a command behind the walls that hold what brains run.

    It sees the system, this project and nothing of yours. It has no network but one of its own, and writes to the project and to an empty home. What your kernel cannot hold is said.
    """


@command.command("run", context_settings={"ignore_unknown_options": True})
@click.option(
    "--read", "read", multiple=True, type=click.Path(path_type=Path, exists=True), help="Let it read this, too."
)
@click.option(
    "--write", "write", multiple=True, type=click.Path(path_type=Path, exists=True), help="Let it change this, too."
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1, max=86_400),
    default=600.0,
    show_default=True,
    help="End it after so long.",
)
@click.option("--strict", is_flag=True, help="Run nothing where a wall is missing.")
@click.option("--stdin", "reads", is_flag=True, help="Let it read what comes on standard input, 2 MB at most.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
def run(
    *,
    read: tuple[Path, ...],
    write: tuple[Path, ...],
    seconds: float,
    strict: bool,
    reads: bool,
    words: tuple[str, ...],
) -> int:
    """Run COMMAND in this folder; its exit status is the command's.

    One word is a command line for bash, several are a program and its arguments.
    """
    from omni.hands import scratch_folder
    from omni.hands.policy import shell_command

    if not any(word.strip() for word in words):
        raise UsageError("There is no command to run.")
    argv = shell_command(words[0]) if len(words) == 1 else ["/usr/bin/env", "--", *words]

    async def work(services: "Services") -> int:
        with scratch_folder() as scratch:
            policy = _policy(services, scratch, read=read, write=write, seconds=seconds, strict=strict)
            return await _passed_on(services, argv, policy, reads=reads)

    return with_services(work)


@command.command("try")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def try_it(as_json: bool) -> int:
    """Try every wall from inside, and print what held."""
    return with_services(lambda services: _try(services, as_json=as_json))


async def _passed_on(services: "Services", argv: list[str], policy: "SandboxPolicy", *, reads: bool) -> int:
    """What the command writes goes where this one's goes."""
    from omni.hands import OutputChunk, SandboxLayers, ToolEnded, ToolSandbox
    from omni.hands.sandbox import MOST_STDIN

    stdin = await asyncio.to_thread(sys.stdin.buffer.read, MOST_STDIN + 1) if reads else b""
    streams = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
    async with aclosing(ToolSandbox(await services.keeper()).run(argv, policy, stdin=stdin)) as events:
        async for event in events:
            match event:
                case SandboxLayers():
                    _say_missing(event)
                case OutputChunk(stream=stream, data=data):
                    streams[stream].write(data)
                    streams[stream].flush()
                case ToolEnded(limit=""):
                    return event.code if event.code >= 0 else 128 - event.code
                case ToolEnded():
                    tell(f"{event.words[:1].upper()}{event.words[1:]}.")
                    return TIMED_OUT
    return 1


async def _try(services: "Services", *, as_json: bool) -> int:
    from omni.hands import ToolSandbox, scratch_folder, try_walls
    from omni.hands.attempts import collected, local_sockets

    with scratch_folder() as scratch, tempfile.TemporaryDirectory(prefix="omni-tried-") as project:
        policy = _policy(services, scratch, folder=Path(project))
        sandbox = ToolSandbox(await services.keeper())
        sockets = local_sockets([services.home.sockets / "keeper.sock"], dict(os.environ))
        tries = try_walls(sandbox, policy, home=Path.home(), sockets=sockets)
        layers, tried = await collected(tries)
    if as_json:
        print_json({"missing": layers.missing if layers else None, "attempts": tried})
    else:
        rows = [(one.what, "stopped" if one.stopped else "NOT STOPPED", one.how) for one in tried]
        print_table(("attempt", "outcome", "how"), rows)
        if layers is not None:
            click.echo("All walls hold here." if layers.whole else "")
            _say_missing(layers)
    return 0 if tried and all(one.stopped for one in tried) else 1


def _policy(
    services: "Services",
    scratch: Path,
    *,
    folder: Path | None = None,
    read: tuple[Path, ...] = (),
    write: tuple[Path, ...] = (),
    seconds: float = 600.0,
    strict: bool = False,
) -> "SandboxPolicy":
    import msgspec

    from omni.hands import policy_here
    from omni.hands.sandbox import LAYERS

    policy = policy_here(services.home, folder or Path.cwd(), scratch, read=read, write=write, seconds=seconds)
    return msgspec.structs.replace(policy, required=LAYERS) if strict else policy


def _say_missing(layers: "SandboxLayers") -> None:
    for layer, why in sorted(layers.missing.items()):
        tell(f"not held here: {layer} ({why})")
