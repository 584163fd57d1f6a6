"""Help before there is an environment: read from the generated reference, no command line library needed.

`omni/cli/reference.txt` holds one block per command: a line of a form feed and the command's path (`\\x0comni chat`),
then exactly what `omni chat --help` prints.
"""

from pathlib import Path

MARK = "\x0c"
_USAGE = """\
Usage: omni [COMMAND] [OPTIONS]

  A sovereign AI operating environment for the terminal.

  `omni run` opens the shell, `omni chat "…"` prints an answer. All commands are listed after the first start.
"""


def wants_help(arguments: list[str]) -> bool:
    """True when the arguments only ask for help."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return any(each in ("--help", "-h") for each in arguments[:end])


def wants_version(arguments: list[str]) -> bool:
    """True when the arguments only ask for the version."""
    return arguments[:1] == ["--version"]


def read_blocks(text: str) -> dict[str, str]:
    """The blocks of the reference by command path; what stands before the first mark is not part of it."""
    blocks = {}
    for block in ("\n" + text).split("\n" + MARK)[1:]:
        path, _, body = block.partition("\n")
        blocks[path.strip()] = body.strip("\n") + "\n"
    return blocks


def help_text(arguments: list[str], reference: Path) -> str:
    """The help of the command that the arguments name, else of the whole."""
    try:
        blocks = read_blocks(reference.read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        blocks = {}
    words = ["omni"]
    block = blocks.get("omni", _USAGE)
    for argument in arguments:
        if argument.startswith("-") or (body := blocks.get(" ".join([*words, argument]))) is None:
            break
        words.append(argument)
        block = body
    return block
