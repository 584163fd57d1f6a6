"""What can be typed after `/` in the composer: one table, from which the popup, the help and the parser come."""

from typing import NamedTuple

from omni.core.errors import UsageError, nearest


class Command(NamedTuple):
    """A command: `takes` names what follows it, and is bracketed when it may be left out."""

    name: str
    about: str
    takes: str = ""


COMMANDS = (
    Command("new", "begin a conversation"),
    Command("brain", "choose the brain to talk to", "[NAME]"),
    Command("system", "text that the brain reads before every question; nothing removes it", "[TEXT]"),
    Command("retry", "have the last answer written again"),
    Command("continue", "go on with an answer that was cut or stopped"),
    Command("undo", "take the last question back"),
    Command("copy", "copy the last answer"),
    Command("search", "find text in this conversation", "TEXT"),
    Command("list", "other conversations"),
    Command("rename", "give the conversation another title", "TITLE"),
    Command("export", "write the conversation to a file: Markdown, or JSON when it ends in .json", "[FILE]"),
    Command("compact", "sum up what was said, so that later prompts are short"),
    Command("delete", "delete this conversation"),
    Command("help", "all keys"),
)


def parse_command(text: str) -> tuple[Command, str] | None:
    """The command and what follows it; None for a text that is no command. Raises UsageError for an unknown name.

    Only a first line of the form `/name` or `/name words` is one: a path like `/etc/hosts` is a question.
    """
    if not text.startswith("/") or "\n" in text.split(" ", 1)[0]:
        return None
    name, _, rest = text[1:].partition(" ")
    if not name or "/" in name or "." in name:
        return None
    for command in COMMANDS:
        if command.name == name.lower():
            if command.takes and not command.takes.startswith("[") and not rest.strip():
                raise UsageError(f"/{command.name} needs {command.takes}.", hint=f"/{command.name}: {command.about}.")
            return command, rest.strip()
    near = nearest(name.lower(), [command.name for command in COMMANDS])
    raise UsageError(
        f"There is no command /{name}.", hint=near.replace("'", "/", 1).replace("'", "") or "Type / to see all."
    )
