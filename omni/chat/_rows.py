"""Between rows and values: the one place that knows the columns."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from omni.chat import _stored_parts as stored_parts
from omni.chat._stored_parts import restored
from omni.chat.tree import MessageNode, Tree
from omni.chat.types import ChatMessage, Conversation
from omni.core.errors import NotFound
from omni.core.events import AnswerEvent, Usage
from omni.core.messages import Part, fold_parts

if TYPE_CHECKING:
    from sqlite3 import Connection, Row

S = TypeVar("S", bound=msgspec.Struct)

CONVERSATION = """
SELECT c.*, (SELECT count(*) FROM message m WHERE m.conversation = c.id AND m.role = 'user') AS turns FROM conversation c
"""
# Pieces are read for at most one row: only an answer that is being written has any. The order of the columns is the
# one in which `message_of` takes them: looking them up by name costs twice as much as all the rest of the work.
MESSAGES = """
SELECT m.number, m.id, m.parent, m.role, m.text, m.layout, m.time, m.brain, m.state, m.reason, m.owner, m.usage, m.seconds,
    b.tokens,
    CASE WHEN m.state = 'writing' THEN
        (SELECT json_group_array(json(p.event) ORDER BY p.number) FROM piece p WHERE p.message = m.id) END AS events
FROM message m LEFT JOIN beginning b ON b.message = m.id
WHERE m.conversation = ? ORDER BY m.number
"""
# The branch above a message, and what stands beside it, without reading the rest of a long conversation. Its last
# part asks for the beginnings of this conversation only: those of all others have no parent either.
# "CROSS" and "+" say where to begin: SQLite, which knows no sizes here, would look at every message that there is.
END = """
WITH RECURSIVE path(number, id, parent, place) AS (
    SELECT number, id, parent, 1 FROM message WHERE id = :head AND conversation = :conversation
    UNION ALL
    SELECT m.number, m.id, m.parent, p.place + 1 FROM path p JOIN message m ON m.id = p.parent
    WHERE p.place < :last AND +m.conversation = :conversation
)
SELECT number, id, parent FROM path
UNION SELECT m.number, m.id, m.parent FROM path p CROSS JOIN message m ON m.parent = p.parent
    WHERE +m.conversation = :conversation
UNION SELECT m.number, m.id, m.parent FROM message m
    WHERE m.conversation = :conversation AND m.parent IS NULL AND EXISTS (SELECT 1 FROM path WHERE parent IS NULL)
"""
_ID, _PARENT, _OWNER = 1, 2, 10
_EVENTS = msgspec.json.Decoder(list[AnswerEvent])
_USAGE = msgspec.json.Decoder(Usage)


def clean(text: str) -> str:
    """Text that a database can hold: lone surrogates (from bytes that were no UTF-8) and NULs are replaced."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def cleaned(value: S) -> S:
    """A part or an event with `clean` texts."""
    texts = {name: text for name in value.__struct_fields__ if isinstance(text := getattr(value, name), str)}
    changed = {name: held for name, text in texts.items() if (held := clean(text)) is not text}
    return msgspec.structs.replace(value, **changed) if changed else value


def conversation_of(row: "Row") -> Conversation:
    """One row of CONVERSATION."""
    return Conversation(
        id=row["id"],
        title=row["title"],
        project=row["project"],
        created=row["created"],
        updated=row["updated"],
        brain=row["brain"],
        system=row["system"],
        head=row["head"],
        turns=row["turns"],
        revision=row["revision"],
    )


def message_of(row: "Row", siblings: tuple[str, ...]) -> ChatMessage:
    """One row of MESSAGES, and what stands in its place on all branches."""
    (
        _,
        message_id,
        parent,
        role,
        text,
        layout,
        time,
        brain,
        state,
        reason,
        _,
        usage,
        seconds,
        left_out,
        events,
    ) = row
    return ChatMessage(
        id=message_id,
        parent=parent,
        role=role,
        time=time,
        parts=folded(restored(text, layout), events),
        brain=brain,
        state=state,
        reason=reason,
        usage=_USAGE.decode(usage) if usage else None,
        seconds=seconds,
        siblings=siblings,
        left_out=left_out or 0,
    )


def folded(parts: tuple[Part, ...], events: str | None) -> tuple[Part, ...]:
    """The parts with what came since they were stored."""
    for event in _EVENTS.decode(events) if events else ():
        parts = fold_parts(parts, event)
    return parts


def parts_of(db: "Connection", row: "Row") -> tuple[Part, ...]:
    """The parts of a bare row of a message, pieces included."""
    pieces = "SELECT json_group_array(json(event) ORDER BY number) FROM piece WHERE message = ?"
    return folded(restored(row["text"], row["layout"]), db.execute(pieces, (row["id"],)).fetchone()[0])


def tree_of(rows: Iterable["Row"]) -> Tree:
    """The tree of the messages in `rows`, which begin with number, id and parent."""
    return Tree(MessageNode(message_id, parent, number) for number, message_id, parent, *_ in rows)


def one_conversation(db: "Connection", conversation: str) -> Conversation:
    """Raises NotFound."""
    row = db.execute(f"{CONVERSATION} WHERE c.id = ?", (conversation,)).fetchone()
    if row is None:
        raise NotFound(f"There is no conversation {conversation!r}.", hint="It may have been deleted.")
    return conversation_of(row)


def one_message(db: "Connection", conversation: str, message: str) -> "Row":
    """The bare row of a message of this conversation. Raises NotFound."""
    row: Row | None = db.execute(
        "SELECT * FROM message WHERE id = ? AND conversation = ?", (message, conversation)
    ).fetchone()
    if row is None:
        one_conversation(db, conversation)
        raise NotFound(f"There is no message {message!r} in this conversation.")
    return row


def skeleton(db: "Connection", conversation: str) -> Tree:
    """The tree of a conversation, without texts."""
    return tree_of(db.execute("SELECT number, id, parent FROM message WHERE conversation = ?", (conversation,)))


def branch(
    db: "Connection", conversation: str, leaf: str | None = None, last: int | None = None
) -> list["tuple[ChatMessage, str]"]:
    """The messages of the branch that ends in `leaf` (the head), each with the owner that is writing it or "".

    With `last`, only so many at its end: nothing is read of the others.
    """
    head = leaf or one_conversation(db, conversation).head
    if last is None:
        all_rows = db.execute(MESSAGES, (conversation,)).fetchall()
        ids = [row[_ID] for row in all_rows]
        if ids and ids[-1] == head and [row[_PARENT] for row in all_rows] == [None, *ids[:-1]]:  # no branches: no tree
            return [(message_of(row, (message,)), row[_OWNER]) for message, row in zip(ids, all_rows, strict=True)]
        rows = dict(zip(ids, all_rows, strict=True))
        tree = tree_of(all_rows)
        path = tree.path(head)
    else:
        tree = tree_of(db.execute(END, {"head": head, "conversation": conversation, "last": last}))
        path = tree.path(head)[-last:]
        some = MESSAGES.replace("ORDER BY m.number", f"AND m.id IN ({', '.join('?' * len(path))})")
        rows = {row[_ID]: row for row in db.execute(some, (conversation, *path))}
    return [(message_of(rows[message], tree.siblings(message)), rows[message][_OWNER]) for message in path]


def with_contents(db: "Connection", messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The same messages with the contents of what was attached to them."""
    filled = []
    for message in messages:
        if message.attachments or message.context:
            rows = db.execute("SELECT data FROM content WHERE message = ? ORDER BY number", (message.id,))
            parts = stored_parts.with_contents(message.parts, [row["data"] for row in rows])
            message = msgspec.structs.replace(message, parts=parts)
        filled.append(message)
    return filled


def insert_message(db: "Connection", message: ChatMessage, conversation: str, owner: str = "") -> None:
    """Store a message and what is attached to it."""
    parts = tuple(map(cleaned, message.parts))
    text, layout = stored_parts.stored(parts)
    db.execute(
        "INSERT INTO message (id, conversation, parent, role, text, layout, brain, time, state, reason, owner, usage,"
        " seconds) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            message.id,
            conversation,
            message.parent,
            message.role,
            text,
            layout,
            message.brain,
            message.time,
            message.state,
            clean(message.reason),
            owner,
            msgspec.json.encode(message.usage).decode() if message.usage else None,
            message.seconds,
        ),
    )
    db.executemany(
        "INSERT INTO content (message, data) VALUES (?, ?)",
        [(message.id, data) for data in stored_parts.contents(parts)],
    )


def touch(db: "Connection", conversation: str, **values: Any) -> None:
    """Set columns of a conversation and count the change. Raises NotFound."""
    sets = "".join(f", {column} = ?" for column in values)
    change = f"UPDATE conversation SET revision = revision + 1{sets} WHERE id = ?"  # noqa: S608 - names from our own code
    done = db.execute(change, (*values.values(), conversation))
    if not done.rowcount:
        one_conversation(db, conversation)
