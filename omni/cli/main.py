"""The root command: a static table of subcommands, of which only the one that runs is imported."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from omni import __version__
from omni.core.errors import OmniError, nearest

# name -> what it is for. The module is `omni.cli.NAME`, the command in it `command`; a test compares the summaries.
COMMANDS = {
    "run": "Open the shell (also what plain `omni` does).",
    "chat": "Ask a brain; stream its answer to stdout.",
    "pull": "Download a brain, verified and resumable.",
    "ls": "List the brains that are here and those that can be had.",
    "show": "Show what is known about a brain.",
    "rm": "Remove brains and free their disk space.",
    "ps": "List every process of Omni and what confines it.",
    "stop": "Unload brains: end their workers.",
    "airgap": "Shut every door to the network, or open them again.",
    "audit": "Show what went through the airlock.",
    "export": "Write everything that a machine without a network needs into a folder.",
    "doctor": "Find what is wrong, and print the command that mends it.",
    "sandbox": "Check, repair or remove the managed environment.",
    "config": "Show, check and change settings.",
    "completion": "Print the completion script for your shell.",
    "uninstall": "Remove Omni from this machine, saying what that frees.",
}
INTERRUPTED = 130


class LazyGroup(click.Group):
    """Knows its commands by name; imports one when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: what is used most stands first; then those of plug-ins."""
        from omni.cli import plugins

        return [*COMMANDS, *plugins.commands(ctx, COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command, or the plug-in that brings it."""
        if cmd_name in COMMANDS:
            found: click.Command = import_module(f"omni.cli.{cmd_name}").command
            return found
        from omni.cli import plugins

        return plugins.find(ctx, cmd_name, COMMANDS)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Unknown names get the nearest known one as a hint."""
        if args and args[0] not in COMMANDS and self.get_command(ctx, args[0]) is None:
            hint = nearest(args[0], self.list_commands(ctx)) or "Run `omni --help` for all commands."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The tables, without importing anything."""
        from omni.cli import plugins

        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        if of_plugins := plugins.commands(ctx, COMMANDS):
            with formatter.section("Plug-ins"):
                formatter.write_dl([(each.name, each.summary) for each in of_plugins.values()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="omni", message="%(prog)s %(version)s")
@click.option("--safe", is_flag=True, is_eager=True, help="Load no plug-ins.")
def omni(safe: bool) -> None:
    """Omni: your own brains, on your own machine.

    `omni` alone opens the shell; `omni chat "…"` answers on the command line. Nothing leaves this machine unless you
    ask for a download.

    Exit codes: 0 done, 1 failed, 2 not understood, 3 not found, 4 this machine or terminal is not as needed, 5 the brain
    failed (ask again), 6 too long for the context, 7 the network is shut or did not answer, 8 a bad file, 9 the disk,
    130 interrupted.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; failures are one sentence and a hint on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not set(words) - {"--safe"}:
        words.append("run")
    try:
        result = omni.main(words, prog_name="omni", standalone_mode=False)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except OmniError as error:
        print_error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone, as `head` does: nothing to say, and nowhere to say it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return INTERRUPTED
    return result if isinstance(result, int) else 0


def print_error(error: OmniError) -> None:
    """The message and what to do, on stderr."""
    click.echo(f"omni: {error.message}", err=True)
    if error.hint:
        click.echo(f"      {error.hint}", err=True)
