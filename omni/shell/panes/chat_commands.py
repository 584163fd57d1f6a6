"""What can be typed after `/` in the composer: one table, from which the popup, the help and the parser come."""

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from omni.core.errors import UsageError, nearest
from omni.core.files import write_atomic
from omni.shell.widgets import own_path

if TYPE_CHECKING:
    from omni.shell.panes.chat_turns import RunningAnswers
    from omni.shell.panes.chat_view import ChatView
    from omni.shell.panes.message_actions import MessageActions

LONGEST_NAME = 60


class SlashCommand(NamedTuple):
    """A command: `takes` names what follows it, and is bracketed when it may be left out."""

    name: str
    about: str
    takes: str = ""


COMMANDS = (
    SlashCommand("new", "begin a conversation"),
    SlashCommand("brain", "choose the brain to talk to", "[NAME]"),
    SlashCommand("system", "what the brain reads before every question, or nothing", "[TEXT]"),
    SlashCommand("retry", "have the last answer written again"),
    SlashCommand("continue", "go on with an answer that was cut or stopped"),
    SlashCommand("undo", "take the last question back"),
    SlashCommand("copy", "copy the last answer"),
    SlashCommand("search", "find text in this conversation", "TEXT"),
    SlashCommand("list", "other conversations"),
    SlashCommand("rename", "give the conversation another title", "TITLE"),
    SlashCommand("export", "write the conversation to a file: .md, or .json", "[FILE]"),
    SlashCommand("compact", "sum up what was said, so that later prompts are short"),
    SlashCommand("longest", "how long an answer may be, from the next one on", "TOKENS"),
    SlashCommand("delete", "delete this conversation"),
    SlashCommand("help", "all keys"),
)


def parse_command(text: str) -> tuple[SlashCommand, str] | None:
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


async def run_command(
    command: SlashCommand, rest: str, *, pane: "ChatView", turns: "RunningAnswers", acts: "MessageActions"
) -> None:
    """Do what was typed after `/`."""
    match command.name:
        case "new":
            await pane.new_conversation()
        case "brain":
            if rest:
                await pane.use_brain((await pane.services.library.get(rest)).name)
            else:
                await pane.app.run_action("brains")
        case "system":
            await _instruct(pane, rest)
        case "retry":
            acts.retry_last()
        case "continue":
            acts.resume_last()
        case "undo":
            await acts.undo()
        case "copy":
            answer = next((one for one in reversed(pane.messages) if one.role == "assistant"), None)
            if answer is None:
                raise UsageError("There is no answer yet.")
            await pane.copy_text(answer.text)
        case "search":
            count = pane.transcript.search(rest)
            if count:
                pane.transcript.focus()
                pane.say(f"{count} block{'s' * (count != 1)} with {rest!r}; n and N go on, esc ends.")
            else:
                pane.say(f"{rest!r} stands nowhere here; ctrl+t finds in all conversations.")
        case "list":
            pane.action_conversations()
        case "rename":
            pane.conversation = await pane.services.chat.rename(pane.stored().id, rest)
            pane.show_title()
        case "export":
            await _export(pane, rest)
        case "compact":
            _compact(pane, turns)
        case "longest":
            await _set_longest(pane, rest)
        case "delete":
            pane.stored()
            pane.action_conversations()
            pane.say("del deletes the conversation that is marked.")
        case "help":
            await pane.app.run_action("help")


async def _instruct(pane: "ChatView", text: str) -> None:
    if pane.conversation is not None:
        pane.conversation = await pane.services.chat.instruct(pane.conversation.id, text)
    pane.system = text
    pane.say("The brain reads it before every question." if text else "The system text is removed.")


async def _set_longest(pane: "ChatView", text: str) -> None:
    if not text.replace(",", "").isdecimal():
        raise UsageError(f"{text!r} is no number of tokens.", hint="/longest 4096, for example.")
    count = int(text.replace(",", ""))
    await pane.services.change_setting("chat.max_completion_tokens", count)
    pane.say(f"Answers may be {count:,} tokens long.")


def _compact(pane: "ChatView", turns: "RunningAnswers") -> None:
    one = pane.stored()
    turns.must_be_idle()
    running = turns.begin(one.id, None)
    turns.start(running, partial(pane.services.chat.compact, one.id, brain=pane.brain))


async def _export(pane: "ChatView", name: str) -> None:
    one = pane.stored()
    title = "".join(char if char.isalnum() or char in "-_" else "-" for char in one.title.lower())[:LONGEST_NAME]
    path = pane.project / own_path(name or f"{title.strip('-') or 'conversation'}.md")
    if await asyncio.to_thread(os.path.lexists, path):
        raise UsageError(f"{path} is already there.", hint="/export takes another name.")
    text = await pane.services.chat.export(one.id, "json" if path.suffix == ".json" else "markdown")
    await asyncio.to_thread(write_atomic, path, text)
    pane.say(f"Wrote {path}.")
