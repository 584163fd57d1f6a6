"""Answers that are being written: who writes them, whether the writer lives, and how they end."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from omni.chat._rows import clean, cleaned, one_conversation, parts_of, touch
from omni.chat._stored_parts import stored
from omni.chat._writers import WriterLock
from omni.chat.types import ChatMessage, State
from omni.core.clock import Clock
from omni.core.errors import UsageError
from omni.core.events import Usage
from omni.core.messages import Part

if TYPE_CHECKING:
    from sqlite3 import Connection, Row


class ConversationBusy(Exception):
    """Another turn is being written in this conversation. Never leaves the chat domain."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended, with all of its parts."""

    state: State
    parts: tuple[Part, ...] = ()
    reason: str = ""
    usage: Usage | None = None
    seconds: float = 0.0


class Writing:
    """What this process is writing, and what others left. All methods that take `db` run inside a transaction.

    `unsaved` are ends that could not be stored because the disk was full; they are stored with the next change.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._writer, self._clock = WriterLock(folder), clock
        self._open: set[str] = set()
        self.unsaved: dict[str, Outcome] = {}

    def close(self) -> None:
        """Let go of everything: what is still being written becomes interrupted."""
        self._writer.release()

    def own(self, answer: str) -> str:
        """Become the writer of an answer; returns the name to store with it."""
        self._writer.hold()
        self._open.add(answer)
        return self._writer.name

    def disown(self, answer: str) -> None:
        """Write no more of it; its end may still have to be stored."""
        self._open.discard(answer)

    def _lives(self, answer: str, owner: str) -> bool:
        """Whether somebody is writing this answer."""
        return answer in self._open if owner == self._writer.name else self._writer.alive(owner)

    def as_it_is(self, message: ChatMessage, owner: str) -> ChatMessage:
        """The message as it will be stored, when its writer is dead or could not store its end."""
        if message.state != "writing" or self._lives(message.id, owner):
            return message
        outcome = self.unsaved.get(message.id)
        if outcome is None:
            return msgspec.structs.replace(message, state="interrupted")
        return msgspec.structs.replace(
            message,
            state=outcome.state,
            parts=outcome.parts,
            reason=outcome.reason,
            usage=outcome.usage,
            seconds=message.seconds + outcome.seconds,
        )

    def no_writer(self, db: "Connection", conversation: str) -> None:
        """Raise ConversationBusy while a living process writes in this conversation; what dead ones left becomes interrupted."""
        rows = db.execute("SELECT id, owner FROM message WHERE conversation = ? AND state = 'writing'", (conversation,))
        if any(self._lives(row["id"], row["owner"]) for row in rows.fetchall()):
            raise ConversationBusy
        self.recover(db, conversation)

    def no_turn(self, db: "Connection", conversation: str) -> None:
        """Raise UsageError while an answer is being written here."""
        one_conversation(db, conversation)
        try:
            self.no_writer(db, conversation)
        except ConversationBusy:
            raise UsageError(
                "An answer is being written in this conversation.", hint="Wait for its end or stop it first."
            ) from None

    def finish(self, db: "Connection", conversation: str, answer: str, outcome: Outcome) -> None:
        """Store how an answer ended."""
        text, layout = stored(tuple(map(cleaned, outcome.parts)))
        db.execute(
            "UPDATE message SET state = ?, text = ?, layout = ?, reason = ?, usage = ?, seconds = seconds + ?,"
            " owner = '' WHERE id = ?",
            (
                outcome.state,
                text,
                layout,
                clean(outcome.reason),
                msgspec.json.encode(outcome.usage).decode() if outcome.usage else None,
                outcome.seconds,
                answer,
            ),
        )
        db.execute("DELETE FROM piece WHERE message = ?", (answer,))
        # A conversation that was deleted meanwhile stays deleted.
        db.execute(
            "UPDATE conversation SET revision = revision + 1, updated = ? WHERE id = ?",
            (self._clock.now(), conversation),
        )

    def recover(self, db: "Connection", conversation: str | None) -> list[str]:
        """End what nobody writes any more; returns the conversations in which something was."""
        rows: list[Row] = db.execute(
            "SELECT * FROM message WHERE state = 'writing' AND (?1 IS NULL OR conversation = ?1)",
            (conversation,),
        ).fetchall()
        conversations = []
        for row in rows:
            if self._lives(row["id"], row["owner"]):
                continue
            if (outcome := self.unsaved.get(row["id"])) is not None:
                self.finish(db, row["conversation"], row["id"], outcome)
            else:
                db.execute(
                    "UPDATE message SET state = 'interrupted', owner = '', text = ?, layout = ? WHERE id = ?",
                    (*stored(parts_of(db, row)), row["id"]),
                )
                db.execute("DELETE FROM piece WHERE message = ?", (row["id"],))
                touch(db, row["conversation"])
            conversations.append(row["conversation"])
        return conversations
