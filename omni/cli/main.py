"""The root command: a static table of subcommands, of which only the one that runs is imported."""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import click

from omni import __version__
from omni.cli import streams
from omni.cli.overriding import gpu_in_full
from omni.cli.say import print_error, tell
from omni.core.errors import OmniError, SetupError, UsageError, nearest

# name -> what it is for. The module is `omni.cli.NAME`, the command in it `command`; a test compares the summaries.
COMMANDS = {
    "run": "Open the shell (also what plain `omni` does).",
    "chat": "Ask a brain; stream its answer to stdout.",
    "embed": "Print vectors of texts.",
    "pull": "Download a brain, verified and resumable.",
    "ls": "List the brains that are here and those that can be had.",
    "show": "Show what is known about a brain.",
    "rm": "Remove brains and free their disk space.",
    "engine": "Add, build, list, try, tune, choose and remove engines.",
    "quantise": "Make a brain smaller, and measure what that cost.",
    "serve": "Serve the brains to other programs: OpenAI's, Ollama's and Anthropic's API.",
    "web": "Open the web interface in a browser.",
    "ps": "List every process of Omni and what confines it.",
    "stop": "Unload brains: end their workers.",
    "airgap": "Shut every door to the network, or open them again.",
    "audit": "Show what went through the airlock.",
    "export": "Write what a machine without a network needs to a folder.",
    "bench": "Measure Omni beside Ollama and llama-server, here.",
    "agent": "Give a brain a task that it works on with tools: it reads and changes files and runs commands, each with your consent.",
    "consent": "See and change what brains may do without asking.",
    "sandbox": "Run a command behind the walls that hold what brains run.",
    "doctor": "Find what is wrong, and print the command that mends it.",
    "plugin": "Add, list, check and remove plug-ins.",
    "environment": "Check, repair or remove the managed environment, and add features to it.",
    "config": "Show, check and change settings.",
    "completion": "Print the completion script for your shell.",
    "uninstall": "Remove Omni from this machine, saying what that frees.",
}
ALIASES = {"list": "ls"}  # Ollama's name; its others are ours, too
TAKEN = (*COMMANDS, *ALIASES)  # what no command of a plug-in can be called
INTERRUPTED = 130


class LazyGroup(click.Group):
    """Knows its commands by name; imports one when it is run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: what is used most stands first; then those of plug-ins."""
        from omni.cli import plugins

        return [*COMMANDS, *plugins.commands(ctx, TAKEN)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one command, or the plug-in that brings it."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name in COMMANDS:
            command: click.Command = import_module(f"omni.cli.{name}").command
            return command
        from omni.cli import plugins

        return plugins.find(ctx, name, TAKEN)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Unknown names get the nearest known one as a hint."""
        if args and args[0] not in COMMANDS and self.get_command(ctx, args[0]) is None:
            hint = nearest(args[0], self.list_commands(ctx)) or "`omni --help` lists all commands."
            raise UsageError(f"There is no command {args[0]!r}.", hint=f'{hint} A question: omni chat "…"')
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The tables, without importing anything."""
        from omni.cli import plugins

        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        if of_plugins := plugins.commands(ctx, TAKEN):
            with formatter.section("Plug-ins"):
                formatter.write_dl([(each.name, each.summary) for each in of_plugins.values()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Exit codes:
    0  done                      5  the brain failed: ask again
    1  failed                    6  too long for the context
    2  not understood            7  the network is shut or silent
    3  not found                 8  a bad file
    4  machine or terminal is    9  the disk
       not as needed           130  interrupted
""",
)
@click.version_option(__version__, prog_name="omni", message="%(prog)s %(version)s")
@click.option("--safe", is_flag=True, is_eager=True, help="Load no plug-ins.")
def omni(safe: bool) -> None:
    """Omni: your own brains, on your own machine.

    `omni` alone opens the shell, `omni @roe/backend` opens it with a brain, `omni "a question"` answers on the command
    line. Nothing leaves this machine unless you ask for a download.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; failures are one sentence and a hint on stderr."""
    streams.prepare()
    words = in_full(list(sys.argv[1:] if arguments is None else arguments))
    try:
        _look_around()
        if how := os.environ.get("_OMNI_COMPLETE"):
            from click.shell_completion import shell_complete

            return shell_complete(omni, {}, "omni", "_OMNI_COMPLETE", how)
        # Not `omni.main`: that one ends the process by itself when a pipe breaks or Ctrl+C is pressed.
        with omni.make_context("omni", words) as context:
            result = omni.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "omni"
        print_error(UsageError(error.format_message(), hint=f"`{path} --help` tells more."))
        return error.exit_code
    except OmniError as error:
        print_error(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as `head` does: nothing to say, and nobody to hear it
        streams.let_go()
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        return _disk(error)
    return result if isinstance(result, int) else 0


def in_full(words: list[str]) -> list[str]:
    """What the short forms mean: nothing is `run`, a brain is `run` or `chat` with it, a sentence is `chat`."""
    if words[:1] == ["--safe"]:
        return ["--safe", *in_full(words[1:])]
    if not words:
        return ["run"]
    first, rest = words[0], words[1:]
    if first in COMMANDS:
        return gpu_in_full(words)
    if first.startswith("-") or first in ALIASES:
        return words
    if any(sign.isspace() for sign in first):
        return gpu_in_full(["chat", *words])
    if first.startswith("@") or ":" in first or "/" in first:
        return gpu_in_full(["chat", "--brain", first, *rest]) if rest else ["run", first]
    return words


def _look_around() -> None:
    """Every process that is started would fail, or complain, in a folder that is not there."""
    try:
        os.getcwd()
    except OSError:
        raise SetupError("The folder that you are in does not exist any more.", hint="Change to another one.") from None


def _disk(error: OSError) -> int:
    """A full or read-only disk that nobody explained, standard output included (`> /dev/full`)."""
    from pathlib import Path

    from omni.core.files import storage_error

    streams.let_go()
    failure = storage_error(Path(error.filename or "the output"), error)
    print_error(failure)
    return failure.exit_code
