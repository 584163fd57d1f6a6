"""Conversations in their database: every method is one transaction, off the event loop.

An answer that is being written has the state "writing" and an owner, whose lock tells whether it lives. Its text
arrives in pieces, which are joined when it ends, or when somebody finds that its owner is dead: then it is
"interrupted". A conversation has at most one answer in the state "writing", across all processes.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from omni.chat._rows import (
    CONVERSATION,
    MESSAGES,
    branch,
    clean,
    cleaned,
    conversation_of,
    insert_message,
    message_of,
    one_conversation,
    one_message,
    skeleton,
    touch,
    tree_of,
    with_contents,
)
from omni.chat._stored_parts import restored, stored
from omni.chat._titles import title_of
from omni.chat.search import find, matching
from omni.chat.types import Attachment, ChatMessage, Conversation, Role, SearchHit
from omni.chat.writing import Outcome, Writing
from omni.core.clock import Clock, SystemClock
from omni.core.errors import NotFound, StorageError, UsageError
from omni.core.events import AnswerEvent
from omni.core.messages import ContextPart, Message, Part

if TYPE_CHECKING:
    from sqlite3 import Connection


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that was begun: what is stored of it, and what of its answer was there before.

    The prompt reads the branch that ends in `leaf`. A summary has no question.
    """

    conversation: Conversation
    question: str | None
    answer: str
    leaf: str
    prior: tuple[Part, ...] = ()


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """Prompts for a context of up to `allocated` tokens begin at `message`; so much before it is left out."""

    message: str
    allocated: int
    tokens: int
    turns: int


class ChatStore:
    """The conversations of one home. `path` is the database's; locks of writers lie in `writers` beside it."""

    def __init__(self, path: Path, *, clock: Clock | None = None, new_id: Callable[[], str] | None = None) -> None:
        from omni.chat.schema import MIGRATIONS
        from omni.core.database import Database

        self._database = Database(path, MIGRATIONS)
        self._clock = clock or SystemClock()
        self._new_id = new_id or (lambda: secrets.token_hex(8))
        self._writing = Writing(path.parent / "writers", self._clock)

    async def close(self) -> None:
        """Close the database; answers that are still being written become interrupted ones."""
        await self._database.close()
        await asyncio.to_thread(self._writing.close)

    @property
    def upgrading(self) -> str:
        """What is done to the conversations of an earlier Omni just now, in words; "" when nothing is."""
        return self._database.upgrading

    async def opened(self) -> None:
        """Open the database, and bring it to this version if an earlier one made it."""
        await self._database.read(lambda _: None)

    async def sync(self) -> None:
        """Make what was stored survive a power cut."""
        await self._database.sync()

    # --- conversations

    async def conversations(
        self, *, project: str | None = None, query: str = "", limit: int = 100, offset: int = 0
    ) -> list[Conversation]:
        """The newest first; only those of `project`, only those in which `query` is found."""

        def work(db: "Connection") -> list[Conversation]:
            where, values = ["1"], list[Any]()
            if project is not None:
                where.append("c.project = ?")
                values.append(project)
            if query.strip():
                condition, more = matching(db, query)
                where.append(condition)
                values += more
            rows = db.execute(
                f"{CONVERSATION} WHERE {' AND '.join(where)} ORDER BY c.updated DESC, c.number DESC LIMIT ? OFFSET ?",
                (*values, limit, offset),
            )
            return [conversation_of(row) for row in rows]

        return await self._database.read(work)

    async def conversation(self, conversation: str) -> Conversation:
        """Raises NotFound."""
        return await self._database.read(lambda db: one_conversation(db, conversation))

    async def create(self, *, project: str | None = None, brain: str = "", system: str = "") -> Conversation:
        """A conversation without a message."""
        return await self._database.write(lambda db: self._create(db, project=project, brain=brain, system=system))

    async def change(self, conversation: str, **values: str) -> Conversation:
        """Set `title`, `brain` or `system`."""

        def work(db: "Connection") -> Conversation:
            touch(db, conversation, **{column: clean(value) for column, value in values.items()})
            return one_conversation(db, conversation)

        return await self._database.write(work)

    async def delete(self, conversation: str) -> None:
        """Remove it with all its branches. An answer that is being written in it ends with NotFound."""

        def work(db: "Connection") -> None:
            one_conversation(db, conversation)
            db.execute("DELETE FROM conversation WHERE id = ?", (conversation,))

        await self._database.write(work)

    async def search(self, text: str, *, limit: int = 50) -> list[SearchHit]:
        """Where `text` stands in titles and messages, the best first."""
        return await self._database.read(lambda db: find(db, text, limit))

    async def restore(self, conversation: Conversation, messages: Sequence[ChatMessage]) -> Conversation:
        """Store an exported conversation under new ids; parents stand before their children."""
        ids = {message.id: self._new_id() for message in messages}

        def work(db: "Connection") -> Conversation:
            made = self._create(
                db, project=conversation.project, brain=conversation.brain, system=clean(conversation.system)
            )
            for message in messages:
                ours = msgspec.structs.replace(
                    message,
                    id=ids[message.id],
                    parent=message.parent and ids[message.parent],
                    state="interrupted" if message.state == "writing" else message.state,
                )
                insert_message(db, ours, made.id)
            touch(
                db,
                made.id,
                title=clean(conversation.title),
                head=conversation.head and ids[conversation.head],
                created=conversation.created,
                updated=conversation.updated,
            )
            return one_conversation(db, made.id)

        return await self._database.write(work)

    # --- messages

    async def messages(self, conversation: str, last: int | None = None) -> list[ChatMessage]:
        """The active branch from its first message on, or only so many at its end. Raises NotFound."""

        def work(db: "Connection") -> tuple[list[ChatMessage], bool]:
            stored = branch(db, conversation, last=last)
            view = [self._writing.as_it_is(message, owner) for message, owner in stored]
            return view, any(old.state != new.state for (old, _), new in zip(stored, view, strict=True))

        view, left_over = await self._database.read(work)
        if left_over:
            try:
                await self.recover(conversation)
            except StorageError as error:  # a full disk must not keep anybody from reading
                logging.getLogger(__name__).warning("An interrupted answer could not be stored: %s", error)
        return view

    async def branch(self, conversation: str, leaf: str) -> list[ChatMessage]:
        """The branch that ends in `leaf`, with the contents of what was attached. For the prompt."""

        def work(db: "Connection") -> list[ChatMessage]:
            return with_contents(db, [message for message, _ in branch(db, conversation, leaf)])

        return await self._database.read(work)

    async def all_messages(self, conversation: str) -> list[ChatMessage]:
        """Every branch, oldest message first, with the contents of what was attached. For the export."""

        def work(db: "Connection") -> list[ChatMessage]:
            one_conversation(db, conversation)
            rows = db.execute(MESSAGES, (conversation,)).fetchall()
            tree = tree_of(rows)
            return with_contents(db, [message_of(row, tree.siblings(row["id"])) for row in rows])

        return await self._database.read(work)

    async def content(self, conversation: str, message: str, number: int) -> bytes:
        """What the file or image number `number` of a message holds, counted from 0. Raises NotFound."""

        def work(db: "Connection") -> bytes:
            one_message(db, conversation, message)
            row = db.execute(
                "SELECT data FROM content WHERE message = ? ORDER BY number LIMIT 1 OFFSET ?", (message, number)
            ).fetchone()
            if row is None:
                raise NotFound(f"Nothing number {number} is attached to this message.")
            return bytes(row["data"])

        return await self._database.read(work)

    async def beginnings(self, conversation: str) -> list[Beginning]:
        """Where earlier compactions let the prompt begin, on all branches."""

        def work(db: "Connection") -> list[Beginning]:
            rows = db.execute(
                "SELECT b.* FROM beginning b JOIN message m ON m.id = b.message WHERE m.conversation = ?",
                (conversation,),
            )
            return [
                Beginning(message=row["message"], allocated=row["allocated"], tokens=row["tokens"], turns=row["turns"])
                for row in rows
            ]

        return await self._database.read(work)

    async def begin_at(self, beginning: Beginning) -> None:
        """Remember that prompts begin there from now on."""

        def work(db: "Connection") -> None:
            db.execute(
                "INSERT OR REPLACE INTO beginning (message, allocated, tokens, turns) VALUES (?, ?, ?, ?)",
                (beginning.message, beginning.allocated, beginning.tokens, beginning.turns),
            )

        await self._database.write(work)

    async def switch(self, conversation: str, message: str) -> str:
        """Make the branch through `message` the active one; returns its new head. Raises NotFound, UsageError."""

        def work(db: "Connection") -> str:
            self._writing.no_turn(db, conversation)
            one_message(db, conversation, message)
            head = skeleton(db, conversation).leaf(message)
            touch(db, conversation, head=head)
            return head

        return await self._database.write(work)

    async def undo(self, conversation: str) -> str:
        """Take the last question off the active branch and return its text; it stays as another branch.

        A summary that was made after it is taken off first, and "" is returned.
        """

        def work(db: "Connection") -> str:
            self._writing.no_turn(db, conversation)
            head = one_conversation(db, conversation).head
            for message in reversed(skeleton(db, conversation).path(head)):
                row = one_message(db, conversation, message)
                if row["role"] != "assistant":
                    touch(db, conversation, head=row["parent"])
                    return str(row["text"]) if row["role"] == "user" else ""
            raise UsageError("There is nothing to take back in this conversation.")

        return await self._database.write(work)

    # --- the beginning of a turn: each raises ConversationBusy while another turn is written, and NotFound

    async def ask(
        self,
        conversation: str,
        text: str,
        *,
        attachments: Sequence[Attachment] = (),
        context: Sequence[ContextPart] = (),
        brain: str = "",
        system: str | None = None,
    ) -> Started:
        """Store a question below the head, and its answer as being written."""

        def work(db: "Connection") -> Started:
            chat = one_conversation(db, conversation)
            if system is not None:
                touch(db, conversation, system=clean(system))
            return self._ask(db, chat, chat.head, text=text, along=(*attachments, *context), brain=brain)

        return await self._begin(conversation, work)

    async def edit(
        self,
        conversation: str,
        question: str,
        text: str,
        *,
        attachments: Sequence[Attachment] | None = None,
        context: Sequence[ContextPart] = (),
        brain: str = "",
    ) -> Started:
        """Ask anew in the place of `question`; `attachments` None keeps what is attached to it, never its context."""

        def work(db: "Connection") -> Started:
            row = one_message(db, conversation, question)
            if row["role"] != "user":
                raise UsageError("Only a question can be edited.", hint="An answer can be asked for again (retry).")
            files = attachments
            if files is None:
                old = next(message for message, _ in branch(db, conversation, question) if message.id == question)
                files = with_contents(db, [old])[0].attachments
            here = one_conversation(db, conversation)
            return self._ask(db, here, row["parent"], text=text, along=(*files, *context), brain=brain)

        return await self._begin(conversation, work)

    async def regenerate(self, conversation: str, message: str, *, brain: str = "") -> Started:
        """Begin another answer beside this one, or one to a question."""

        def work(db: "Connection") -> Started:
            row = one_message(db, conversation, message)
            if row["role"] == "summary":
                raise UsageError("A summary cannot be asked for again.", hint="Take it back (/undo) and /compact anew.")
            question = row["id"] if row["role"] == "user" else row["parent"]
            return self._answer(db, one_conversation(db, conversation), question, brain)

        return await self._begin(conversation, work)

    async def summarise(self, conversation: str, *, brain: str = "") -> Started:
        """Begin a summary below the head."""

        def work(db: "Connection") -> Started:
            chat = one_conversation(db, conversation)
            if chat.head is None:
                raise UsageError("There is nothing to sum up in this conversation.")
            last = one_message(db, conversation, chat.head)
            if last["role"] == "summary" and last["state"] == "complete":
                raise UsageError("Nothing was said since the last summary.")
            return self._answer(db, chat, chat.head, brain, "summary")

        return await self._begin(conversation, work)

    async def resume(self, conversation: str, answer: str) -> Started:
        """Go on writing an answer that did not come to its end; it must be the last of its branch."""

        def work(db: "Connection") -> Started:
            row = one_message(db, conversation, answer)
            if row["role"] != "assistant" or (row["state"] == "complete" and row["reason"] != "length"):
                raise UsageError("This answer is whole: there is nothing to go on with.")
            if db.execute("SELECT 1 FROM message WHERE parent = ?", (answer,)).fetchone():
                raise UsageError(
                    "Only the last answer of a branch can go on.", hint="Ask for it again (retry) instead."
                )
            db.execute("DELETE FROM piece WHERE message = ?", (answer,))
            prior = restored(row["text"], row["layout"]) if row["text"] else ()  # a thought is thought anew
            db.execute(
                "UPDATE message SET state = 'writing', owner = ?, reason = '', layout = ? WHERE id = ?",
                (self._writing.own(answer), stored(prior)[1], answer),
            )
            touch(db, conversation, head=answer, updated=self._clock.now())
            return Started(
                conversation=one_conversation(db, conversation),
                question=row["parent"],
                answer=answer,
                leaf=answer if row["text"] else row["parent"],
                prior=prior,
            )

        return await self._begin(conversation, work)

    # --- the course of a turn

    async def named(self, conversation: str, answer: str, brain: str) -> None:
        """Remember which brain writes the answer, and that the conversation is held with it."""

        def work(db: "Connection") -> None:
            touch(db, conversation, brain=brain)
            db.execute("UPDATE message SET brain = ? WHERE id = ?", (brain, answer))

        await self._database.write(work)

    async def append(self, conversation: str, answer: str, *events: AnswerEvent) -> None:
        """Store what adds to an answer. Raises NotFound when the conversation was deleted meanwhile."""

        def work(db: "Connection") -> None:
            touch(db, conversation)
            db.executemany(
                "INSERT INTO piece (message, event) VALUES (?, ?)",
                [(answer, msgspec.json.encode(cleaned(event)).decode()) for event in events],
            )

        await self._database.write(work)

    async def finish(self, conversation: str, answer: str, outcome: Outcome) -> None:
        """Store how an answer ended, all of its text included.

        When the disk is full the outcome is kept in memory, shown by `messages`, and stored with the next turn.
        """
        self._writing.unsaved[answer] = outcome
        self._writing.disown(answer)
        await self._database.write(lambda db: self._writing.finish(db, conversation, answer, outcome))
        self._writing.unsaved.pop(answer, None)

    async def recover(self, conversation: str | None = None) -> list[str]:
        """Mark answers whose writer is dead as interrupted, with all that came; returns their conversations."""
        return await self._database.write(lambda db: self._writing.recover(db, conversation))

    # --- inside a transaction

    async def _begin(self, conversation: str, work: "Callable[[Connection], Started]") -> Started:
        def alone(db: "Connection") -> Started:
            self._writing.no_writer(db, conversation)
            return work(db)

        return await self._database.write(alone)

    def _create(self, db: "Connection", *, project: str | None, brain: str, system: str) -> Conversation:
        made, now = self._new_id(), self._clock.now()
        db.execute(
            "INSERT INTO conversation (id, title, project, brain, system, created, updated) VALUES (?, '', ?, ?, ?, ?, ?)",
            (made, project, brain, clean(system), now, now),
        )
        return one_conversation(db, made)

    def _ask(
        self,
        db: "Connection",
        conversation: Conversation,
        parent: str | None,
        *,
        text: str,
        along: Sequence[Attachment | ContextPart],
        brain: str,
    ) -> Started:
        if not text.strip() and not along:
            raise UsageError("The question is empty.")
        question = ChatMessage(
            id=self._new_id(),
            parent=parent,
            role="user",
            time=self._clock.now(),
            parts=Message.of("user", *along, text).parts,
        )
        insert_message(db, question, conversation.id)
        if not conversation.title:
            touch(db, conversation.id, title=clean(title_of(text)))
        return self._answer(db, conversation, question.id, brain)

    def _answer(
        self, db: "Connection", conversation: Conversation, parent: str, brain: str, role: Role = "assistant"
    ) -> Started:
        now = self._clock.now()
        answer = ChatMessage(
            id=self._new_id(),
            parent=parent,
            role=role,
            time=now,
            brain=brain or conversation.brain,
            state="writing",
        )
        insert_message(db, answer, conversation.id, owner=self._writing.own(answer.id))
        touch(db, conversation.id, head=answer.id, updated=now)
        return Started(
            conversation=one_conversation(db, conversation.id),
            question=parent if role == "assistant" else None,
            answer=answer.id,
            leaf=parent,
        )
