"""Search in titles and texts: FTS5 over words and their beginnings, and a plain look where words do not help."""

import re
from typing import TYPE_CHECKING, Any

from omni.chat.types import SearchHit

if TYPE_CHECKING:
    from sqlite3 import Connection

_BEGIN, _END = "\x02", "\x03"
_AROUND = 60


def words_of(text: str) -> str:
    """An FTS5 query for messages that hold every word of `text`, each perhaps longer; "" when there is no word.

    >>> words_of('sort "lists" AND')
    '"sort"* "lists"* "AND"*'
    """
    return " ".join(f'"{word}"*' for word in re.findall(r"\w+", text.replace("\0", " ")))


def matching(db: "Connection", text: str) -> tuple[str, list[Any]]:
    """A condition on conversations `c` in which `text` is found, and its values."""
    query = words_of(text)
    if query:
        condition = (
            "(c.number IN (SELECT rowid FROM conversation_fts WHERE conversation_fts MATCH ?) OR c.id IN (SELECT conversation"
            " FROM message WHERE number IN (SELECT rowid FROM message_fts WHERE message_fts MATCH ?)))"
        )
        if db.execute(f"SELECT 1 FROM conversation c WHERE {condition} LIMIT 1", (query, query)).fetchone():  # noqa: S608 - a constant
            return condition, [query, query]
    # Signs ("->"), the middle of a word, and scripts without spaces are found by looking at everything.
    pattern = _pattern(text)
    return (
        "(c.title LIKE ? ESCAPE '\\' OR c.id IN (SELECT conversation FROM message WHERE text LIKE ? ESCAPE '\\'))",
        [pattern, pattern],
    )


def find(db: "Connection", text: str, limit: int) -> list[SearchHit]:
    """Titles first, then messages, the best match first."""
    if not text.strip():
        return []
    hits: list[SearchHit] = []
    if query := words_of(text):
        titles = db.execute(
            "SELECT c.id, c.title, highlight(conversation_fts, 0, ?, ?) AS snippet FROM conversation_fts"
            " JOIN conversation c ON c.number = conversation_fts.rowid WHERE conversation_fts MATCH ? ORDER BY rank LIMIT ?",
            (_BEGIN, _END, query, limit),
        )
        hits += [_hit(row["id"], row["title"], None, row["snippet"]) for row in titles]
        texts = db.execute(
            "SELECT c.id, c.title, m.id AS message, snippet(message_fts, 0, ?, ?, '…', 16) AS snippet FROM message_fts"
            " JOIN message m ON m.number = message_fts.rowid JOIN conversation c ON c.id = m.conversation"
            " WHERE message_fts MATCH ? ORDER BY rank LIMIT ?",
            (_BEGIN, _END, query, limit),
        )
        hits += [_hit(row["id"], row["title"], row["message"], row["snippet"]) for row in texts]
    return hits[:limit] if hits else _looked_for(db, text, limit)


def _looked_for(db: "Connection", text: str, limit: int) -> list[SearchHit]:
    pattern = _pattern(text)
    titles = db.execute(
        "SELECT id, title FROM conversation WHERE title LIKE ? ESCAPE '\\' ORDER BY updated DESC LIMIT ?",
        (pattern, limit),
    )
    hits = [_hit(row["id"], row["title"], None, _around(row["title"], text)) for row in titles]
    texts = db.execute(
        "SELECT c.id, c.title, m.id AS message, m.text FROM message m JOIN conversation c ON c.id = m.conversation"
        " WHERE m.text LIKE ? ESCAPE '\\' ORDER BY m.number DESC LIMIT ?",
        (pattern, limit),
    )
    hits += [_hit(row["id"], row["title"], row["message"], _around(row["text"], text)) for row in texts]
    return hits[:limit]


def _pattern(text: str) -> str:
    return "%" + re.sub(r"([\\%_])", r"\\\1", text.strip().replace("\0", "")) + "%"


def _around(text: str, wanted: str) -> str:
    wanted = wanted.strip()
    at = max(0, text.lower().find(wanted.lower()))
    start, end = max(0, at - _AROUND), at + len(wanted) + _AROUND
    return (
        ("…" if start else "")
        + f"{text[start:at]}{_BEGIN}{text[at : at + len(wanted)]}{_END}{text[at + len(wanted) : end]}"
        + ("…" if end < len(text) else "")
    )


def _hit(conversation: str, title: str, message: str | None, marked: str) -> SearchHit:
    """Turns marks within the snippet into positions beside it."""
    plain, marks, start = "", [], 0
    for part in re.split(f"([{_BEGIN}{_END}])", " ".join(marked.split(" "))):
        if part == _BEGIN:
            start = len(plain)
        elif part == _END:
            marks.append((start, len(plain)))
        else:
            plain += re.sub(r"\s", " ", part)
    return SearchHit(conversation=conversation, title=title, message=message, snippet=plain, marks=tuple(marks))
