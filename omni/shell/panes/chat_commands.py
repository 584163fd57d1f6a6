"""Doing what was typed after `/` in the composer: Omni's own commands (`slash_commands.py`) and those of plug-ins."""

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING

from omni.core.errors import UsageError
from omni.core.files import write_atomic
from omni.shell.widgets import own_path

if TYPE_CHECKING:
    from omni.core.plugins import PluginOffer
    from omni.shell.panes.chat_turns import RunningAnswers
    from omni.shell.panes.chat_view import ChatView
    from omni.shell.panes.message_actions import MessageActions
    from omni.shell.panes.slash_commands import ChatCommand

LONGEST_NAME = 60
LONGEST_TEXT = 100_000  # letters that a command of a plug-in may return


async def run_command(
    command: "ChatCommand", rest: str, *, pane: "ChatView", turns: "RunningAnswers", acts: "MessageActions"
) -> None:
    """Do what was typed after `/`."""
    if command.offer is not None:
        work = partial(_run_offered, command.offer, rest, pane)  # not here: the pane's other messages would wait
        pane.do_beside(work, f"/{command.name}")
        return
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
            await pane.read_whole()
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


async def _run_offered(offer: "PluginOffer", words: str, pane: "ChatView") -> None:
    """Have a plug-in do it, off the loop and in no more than its time."""
    from omni.core.hooks import SlashCall

    last = {one.role: one.text for one in pane.messages}
    call = SlashCall(
        words=words, project=str(pane.project), question=last.get("user", ""), answer=last.get("assistant", "")
    )
    plugins, slash = pane.services.plugins, offer.item
    text = await asyncio.to_thread(plugins.call, offer.plugin, "slash", slash.run, call)
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        wrong = TypeError(f"/{slash.name} returned something else than a text of up to {LONGEST_TEXT:,} letters")
        raise plugins.blame(offer.plugin, "failed in run", wrong)
    if not text:
        return
    match slash.then:
        case "ask":
            await pane.ask(text)
        case "write":
            pane.give_back(text)  # unless the person writes something by now
        case _:
            pane.say(text)
