"""What can be typed after `/` in the composer: one table, from which the popup, the help and the parser come."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from omni.core.errors import UsageError, nearest

if TYPE_CHECKING:
    from omni.core.plugins import PluginOffer


class ChatCommand(NamedTuple):
    """A command: `takes` names what follows it, and is bracketed when it may be left out. One of a plug-in has its
    `offer`."""

    name: str
    about: str
    takes: str = ""
    offer: "PluginOffer | None" = None


COMMANDS = (
    ChatCommand("new", "begin a conversation"),
    ChatCommand("brain", "choose the brain to talk to", "[NAME]"),
    ChatCommand("system", "what the brain reads before every question, or nothing", "[TEXT]"),
    ChatCommand("retry", "have the last answer written again"),
    ChatCommand("continue", "go on with an answer that was cut or stopped"),
    ChatCommand("undo", "take the last question back"),
    ChatCommand("copy", "copy the last answer"),
    ChatCommand("search", "find text in this conversation", "TEXT"),
    ChatCommand("list", "other conversations"),
    ChatCommand("rename", "give the conversation another title", "TITLE"),
    ChatCommand("export", "write the conversation to a file: .md, or .json", "[FILE]"),
    ChatCommand("compact", "sum up what was said, so that later prompts are short"),
    ChatCommand("longest", "how long an answer may be, from the next one on", "TOKENS"),
    ChatCommand("delete", "delete this conversation"),
    ChatCommand("help", "all keys"),
)


def with_plugins(offers: "Sequence[PluginOffer]") -> tuple[ChatCommand, ...]:
    """Omni's own commands, then those of plug-ins."""
    return (*COMMANDS, *(ChatCommand(one.item.name, one.item.about, one.item.takes, one) for one in offers))


def parse_command(text: str, commands: Sequence[ChatCommand] = COMMANDS) -> tuple[ChatCommand, str] | None:
    """The command and what follows it; None for a text that is no command. Raises UsageError for an unknown name.

    Only a first line of the form `/name` or `/name words` is one: a path like `/etc/hosts` is a question.
    """
    if not text.startswith("/") or "\n" in text.split(" ", 1)[0]:
        return None
    name, _, rest = text[1:].partition(" ")
    if not name or "/" in name or "." in name:
        return None
    for command in commands:
        if command.name == name.lower():
            if command.takes and not command.takes.startswith("[") and not rest.strip():
                raise UsageError(f"/{command.name} needs {command.takes}.", hint=f"/{command.name}: {command.about}.")
            return command, rest.strip()
    near = nearest(name.lower(), [command.name for command in commands])
    raise UsageError(
        f"There is no command /{name}.", hint=near.replace("'", "/", 1).replace("'", "") or "Type / to see all."
    )
