"""`omni run`: the shell."""

import sys

import click

from omni.cli.names import BRAIN
from omni.cli.overriding import overrides, with_gpu
from omni.cli.plugins import is_safe
from omni.core.paths import Home


@click.command("run")
@click.argument("brain", type=BRAIN, default="")
@click.argument("prompt", nargs=-1)
@click.option("--safe", is_flag=True, help="Load no plug-ins; for finding out whether one of them is at fault.")
@with_gpu
@click.option(
    "--from", "folder", metavar="FOLDER", help="Set up from a folder that `omni export` wrote, without a network."
)
def command(brain: str, prompt: tuple[str, ...], safe: bool, folder: str | None) -> int:  # noqa: ARG001 - set-up took --from
    """Open the shell (also what plain `omni` does).

    BRAIN is the brain to begin with. With a PROMPT, or where there is no terminal, this is `omni chat`.
    """
    here = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    if prompt or not here:
        from omni.cli.chat import ask

        return ask(prompt, brain=brain)
    from omni.shell.start import run

    return run(Home.from_environment().ensure(), brain=brain, plugins=not (safe or is_safe()), overrides=overrides())
