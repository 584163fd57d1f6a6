"""Doing what was typed after `/`, where that is the conversation's: Omni's own commands and those of plug-ins."""

import asyncio
import os
from typing import TYPE_CHECKING

from omni.core.errors import UsageError
from omni.core.files import write_atomic
from omni.core.paths import own_path
from omni.shell.conversation.slash_commands import ChatCommand
from omni.shell.conversation.view import ConversationView

if TYPE_CHECKING:
    from omni.app import Services
    from omni.core.plugins import PluginOffer
    from omni.shell.conversation.model import ConversationModel

LONGEST_NAME = 60
LONGEST_TEXT = 100_000  # letters that a command of a plug-in may return


class Commands:
    """The commands of one conversation."""

    def __init__(self, services: "Services", model: "ConversationModel", view: ConversationView) -> None:
        self._services, self._model, self._view = services, model, view

    async def run(self, command: ChatCommand, words: str) -> bool:
        """Do it; False for what only who shows the conversation can do. Raises OmniError."""
        model = self._model
        if command.offer is not None:
            model.tasks.start(
                self._run_offered(command.offer, words), f"/{command.name}"
            )  # not here: what is typed meanwhile would wait
            return True
        match command.name:
            case "brain" if words:
                await model.use_brain((await self._services.library.get(words)).name)
            case "system":
                await model.instruct(words)
                self._view.say("The brain reads it before every question." if words else "The system text is removed.")
            case "retry":
                model.retry()
            case "continue":
                model.resume()
            case "undo":
                await model.undo()
            case "rename":
                await model.set_title(words)
            case "export":
                await self._export(words)
            case "compact":
                model.compact()
            case "longest":
                await self._set_longest(words)
            case _:
                return False
        return True

    async def _set_longest(self, text: str) -> None:
        if not text.replace(",", "").isdecimal():
            raise UsageError(f"{text!r} is no number of tokens.", hint="/longest 4096, for example.")
        count = int(text.replace(",", ""))
        await self._services.change_setting("chat.max_completion_tokens", count)
        self._view.say(f"Answers may be {count:,} tokens long.")

    async def _export(self, name: str) -> None:
        one = self._model.stored()
        title = "".join(char if char.isalnum() or char in "-_" else "-" for char in one.title.lower())[:LONGEST_NAME]
        path = self._view.project / own_path(name or f"{title.strip('-') or 'conversation'}.md")
        if await asyncio.to_thread(os.path.lexists, path):
            raise UsageError(f"{path} is already there.", hint="/export takes another name.")
        text = await self._services.chat.export(one.id, "json" if path.suffix == ".json" else "markdown")
        await asyncio.to_thread(write_atomic, path, text)
        self._view.say(f"Wrote {path}.")

    async def _run_offered(self, offer: "PluginOffer", words: str) -> None:
        """Have a plug-in do it, off the loop and in no more than its time."""
        from omni.core.hooks import SlashCall

        conversation = self._model.shown_id
        last = {one.role: one.text for one in self._model.messages}
        call = SlashCall(
            words=words,
            project=str(self._view.project),
            question=last.get("user", ""),
            answer=last.get("assistant", ""),
        )
        plugins, slash = self._services.plugins, offer.item
        text = await asyncio.to_thread(plugins.call, offer.plugin, "slash", slash.run, call)
        if not isinstance(text, str) or len(text) > LONGEST_TEXT:
            wrong = TypeError(f"/{slash.name} returned something else than a text of up to {LONGEST_TEXT:,} letters")
            raise plugins.blame(offer.plugin, "failed in run", wrong)
        if not text:
            return
        match slash.then:
            case "ask":
                await self._model.ask(text, conversation=conversation)
            case "write":
                self._view.give_back(text)  # unless the person writes something by now
            case _:
                self._view.say(text)
