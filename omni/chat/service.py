"""The chat as front ends see it. The order of a turn's events stands in `omni.chat._runner`."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from omni.chat._markdown import to_markdown
from omni.chat._notify import Notifier, Teller
from omni.chat._rows import clean
from omni.chat._runner import BrainSource, EngineSource, Turn, TurnRunner
from omni.chat.exported import parsed, to_json
from omni.chat.types import Attachment, ChatMessage, Conversation, SearchHit
from omni.core.clock import Clock, SystemClock
from omni.core.events import ChatEvent
from omni.core.messages import ContextPart
from omni.core.settings import Settings

if TYPE_CHECKING:
    from omni.chat.store import ChatStore, Started
    from omni.chat.tooling import TurnTools
    from omni.core.plugins import Plugins


class ChatService:
    """Conversations, and the turns in them.

    `settings` may be replaced while it runs; the next turn follows the new ones. `keeper` (None: nobody else is there)
    is told of every change; `plugins` are asked for context with each question. Every method raises StorageError when the database cannot be used, and NotFound for an id
    that nothing has.
    """

    def __init__(
        self,
        store: "ChatStore",
        engines: EngineSource,
        library: BrainSource,
        *,
        keeper: Teller | None = None,
        plugins: "Plugins | None" = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings or Settings()
        self._store, self._plugins = store, plugins
        self._notifier = Notifier(keeper)
        self._runner = TurnRunner(
            store,
            engines,
            library,
            notifier=self._notifier,
            clock=clock or SystemClock(),
            settings=lambda: self.settings,
            pause=pause,
        )

    @property
    def upgrading(self) -> str:
        """What is done to the conversations of an earlier Omni just now, in words; "" when nothing is."""
        return self._store.upgrading

    async def opened(self) -> None:
        """Open the conversations, and bring them to this version if an earlier one made them."""
        await self._store.opened()

    # --- conversations

    async def conversations(
        self, *, project: str | Path | None = None, query: str = "", limit: int = 100, offset: int = 0
    ) -> list[Conversation]:
        """The most recent first; of one project only, or those in which `query` is found."""
        return await self._store.conversations(project=_folder(project), query=query, limit=limit, offset=offset)

    async def conversation(self, conversation_id: str) -> Conversation:
        """One conversation."""
        return await self._store.conversation(conversation_id)

    async def messages(self, conversation_id: str, *, last: int | None = None) -> list[ChatMessage]:
        """The active branch, first message first, or only the `last` so many of it. An answer whose writer died is shown
        as "interrupted"."""
        return await self._store.messages(conversation_id, last)

    async def content(self, conversation_id: str, message_id: str, number: int) -> bytes:
        """What the file or image number `number` that went along with a message holds, counted from 0."""
        return await self._store.content(conversation_id, message_id, number)

    async def create(self, *, project: str | Path | None = None, brain: str = "", system: str = "") -> Conversation:
        """A conversation without a message; it gets its title from its first question."""
        made = await self._store.create(project=_folder(project), brain=brain, system=system)
        self._notifier.tell(made.id, "created")
        return made

    async def rename(self, conversation_id: str, title: str) -> Conversation:
        """Give it a title; an empty one is made from the next question."""
        return await self._changed(conversation_id, title=" ".join(title.split()))

    async def choose(self, conversation_id: str, *, brain: str) -> Conversation:
        """The brain of the next turns."""
        return await self._changed(conversation_id, brain=brain)

    async def instruct(self, conversation_id: str, system: str) -> Conversation:
        """The person's system text of the next turns."""
        return await self._changed(conversation_id, system=system)

    async def delete(self, conversation_id: str) -> None:
        """Remove it with all its branches."""
        await self._store.delete(conversation_id)
        self._notifier.tell(conversation_id, "deleted")

    async def search(self, text: str, *, limit: int = 50) -> list[SearchHit]:
        """Where `text` stands, in titles and messages of all branches."""
        return await self._store.search(text, limit=limit)

    async def switch(self, conversation_id: str, message_id: str) -> str:
        """Make the branch through this message the active one (one of a message's `siblings`); returns its last id."""
        head = await self._store.switch(conversation_id, message_id)
        self._notifier.tell(conversation_id, "switched")
        return head

    async def undo(self, conversation_id: str) -> str:
        """Take the last question and its answer off the active branch and return the question's text."""
        text = await self._store.undo(conversation_id)
        self._notifier.tell(conversation_id, "switched")
        return text

    async def recover(self) -> list[str]:
        """Mark what dead processes left unfinished as interrupted. `messages` does so by itself for what it shows."""
        conversations = await self._store.recover()
        for conversation in conversations:
            self._notifier.tell(conversation, "recovered")
        return conversations

    async def export(self, conversation_id: str, form: Literal["markdown", "json"] = "markdown") -> str:
        """The active branch as Markdown, or all branches as JSON that `load` reads."""
        conversation = await self._store.conversation(conversation_id)
        messages = await self._store.all_messages(conversation_id)
        return to_json(conversation, messages) if form == "json" else to_markdown(conversation, messages)

    async def load(self, text: str) -> Conversation:
        """Store an exported conversation once more, under new ids. Raises BadFile."""
        made = await self._store.restore(*parsed(text))
        self._notifier.tell(made.id, "created")
        return made

    # --- turns

    def ask(
        self,
        conversation_id: str,
        text: str,
        *,
        brain: str = "",
        attachments: Sequence[Attachment] = (),
        system: str | None = None,
        tools: "TurnTools | None" = None,
    ) -> AsyncGenerator[ChatEvent]:
        """Ask below the end of the active branch. `brain` and `system`, where given, hold for later turns too; `tools` are what
        the brain may call in this one."""

        async def begin(context: Sequence[ContextPart]) -> "Started":
            return await self._store.ask(
                conversation_id, text, attachments=attachments, context=context, brain=brain, system=system
            )

        return self._runner.run(Turn(conversation_id, self._with_context(conversation_id, text, begin), brain, tools))

    def regenerate(self, conversation_id: str, answer_id: str, *, brain: str = "") -> AsyncGenerator[ChatEvent]:
        """Another answer beside this one (or one to this question), perhaps by another brain."""
        return self._runner.run(
            Turn(conversation_id, lambda: self._store.regenerate(conversation_id, answer_id, brain=brain), brain)
        )

    def edit(
        self,
        conversation_id: str,
        message_id: str,
        text: str,
        *,
        brain: str = "",
        attachments: Sequence[Attachment] | None = None,
    ) -> AsyncGenerator[ChatEvent]:
        """Ask anew in the place of a question: a new branch. None keeps what was attached."""

        async def begin(context: Sequence[ContextPart]) -> "Started":
            return await self._store.edit(
                conversation_id, message_id, text, attachments=attachments, context=context, brain=brain
            )

        return self._runner.run(Turn(conversation_id, self._with_context(conversation_id, text, begin), brain))

    def resume(
        self, conversation_id: str, answer_id: str, *, tools: "TurnTools | None" = None
    ) -> AsyncGenerator[ChatEvent]:
        """Go on with an answer that was interrupted, cancelled, cut or failed; the deltas are what is added to it."""
        return self._runner.run(
            Turn(conversation_id, lambda: self._store.resume(conversation_id, answer_id), tools=tools)
        )

    def compact(self, conversation_id: str, *, brain: str = "") -> AsyncGenerator[ChatEvent]:
        """Have the brain sum up the branch; later prompts begin with this summary, and nothing is deleted."""
        return self._runner.run(
            Turn(conversation_id, lambda: self._store.summarise(conversation_id, brain=brain), brain)
        )

    async def close(self) -> None:
        """Tell what is still to be told and close the database. Close the iterators of turns before."""
        await self._notifier.close()
        await self._store.close()

    def _with_context(
        self, conversation_id: str, text: str, begin: "Callable[[Sequence[ContextPart]], Awaitable[Started]]"
    ) -> "Callable[[], Awaitable[Started]]":
        """`begin` with what is provided for a question: once, also when it is begun again while another process writes."""
        context: Sequence[ContextPart] | None = None

        async def with_context() -> "Started":
            nonlocal context
            if context is None:
                context = await self._provided(conversation_id, text)
            return await begin(context)

        return with_context

    async def _provided(self, conversation_id: str, text: str) -> Sequence[ContextPart]:
        if self._plugins is None or not await asyncio.to_thread(self._plugins.names):
            return ()
        from omni.chat.provided import provided

        conversation = await self._store.conversation(conversation_id)
        # No tokenizer makes more tokens than there are bytes.
        return await provided(self._plugins, text, conversation.project, self.settings.engine.context // 4)

    async def _changed(self, conversation_id: str, **values: str) -> Conversation:
        conversation = await self._store.change(conversation_id, **values)
        self._notifier.tell(conversation_id, "renamed")
        return conversation


def _folder(project: str | Path | None) -> str | None:
    """A project as it is stored: of a folder whose name is no text the signs that are."""
    return None if project is None else clean(str(project))
