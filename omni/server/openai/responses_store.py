"""Answers that were kept, so that programs can fetch them and go on from them by their ids alone."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from omni.core.database import Database, Migration
from omni.core.errors import NotFound, UsageError
from omni.server.openai.responses_types import ItemIn, is_reference

if TYPE_CHECKING:
    from sqlite3 import Connection

MOST = 10_000  # answers
MOST_BYTES = 256 << 20
DAYS = 30
_WHY = f"It was asked for with `store`: false or with another key, was deleted, or is older than {DAYS} days."

_MIGRATIONS = (
    Migration(
        "responses",
        """
CREATE TABLE responses (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    previous TEXT,
    input BLOB NOT NULL,
    output BLOB NOT NULL,
    response BLOB NOT NULL,
    size INTEGER NOT NULL,
    used REAL NOT NULL
) STRICT;
CREATE INDEX responses_used ON responses (used, size);
""",
    ),
)

_CHAIN = """
WITH RECURSIVE chain (id, previous, input, output, depth) AS (
    SELECT id, previous, input, output, 0 FROM responses WHERE id = :id AND owner = :owner AND used >= :least
    UNION ALL
    SELECT r.id, r.previous, r.input, r.output, depth + 1
    FROM responses r JOIN chain ON r.id = chain.previous AND r.owner = :owner
)
SELECT id, previous, input, output FROM chain ORDER BY depth DESC
"""

_SURPLUS = """
DELETE FROM responses WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER latest AS number, sum(size) OVER latest AS bytes FROM responses
        WINDOW latest AS (ORDER BY used DESC, rowid DESC)
    ) WHERE number > ? OR bytes > ?
)
"""


class NotKept(NotFound):
    """No answer has the id that is asked for, or no longer."""

    param, code = "response_id", "response_not_found"


class NothingBefore(UsageError):
    """What a request goes on from is not kept, or no longer: to OpenAI's clients that is a wrong field."""

    param, code = "previous_response_id", "previous_response_not_found"


class StoredTurn(Struct, frozen=True):
    """What was new in a request, and the items of its answer; both JSON lists."""

    input: bytes
    output: bytes


def item_id(kind: str, answer: str, number: int) -> str:
    """The id of an item of the answer with the id `answer`, which `answer_with` finds in it."""
    return f"{kind}_{answer.removeprefix('resp_')}{number:03}"


def answer_with(item: str) -> str:
    """The id of the answer that an item is of."""
    return f"resp_{item.partition('_')[2][:-3]}"


class ResponseStore:
    """A bounded store. What is gone on from counts as used with all that it stands on; what was not used for longest
    goes first. An answer belongs to the owner that it was kept for: nobody else finds it, and None, who has none, nothing."""

    def __init__(
        self,
        path: Path,
        *,
        most: int = MOST,
        most_bytes: int = MOST_BYTES,
        days: float = DAYS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(path, _MIGRATIONS)
        self._most, self._most_bytes, self._seconds, self._now = most, most_bytes, days * 86_400, now

    async def put(self, ident: str, owner: str, turn: StoredTurn, response: bytes, *, previous: str | None) -> None:
        """Keep an answer; it survives a power cut. Raises StorageError."""
        now, size = self._now(), len(turn.input) + len(turn.output) + len(response)

        def work(database: "Connection") -> None:
            database.execute(
                "INSERT INTO responses (id, owner, previous, input, output, response, size, used)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (ident, owner, previous, turn.input, turn.output, response, size, now),
            )
            database.execute("DELETE FROM responses WHERE used < ?", (now - self._seconds,))
            count, held = database.execute("SELECT count(*), sum(size) FROM responses").fetchone()
            if count > self._most or held > self._most_bytes:
                database.execute(_SURPLUS, (self._most, self._most_bytes))

        await self._database.write(work)
        await self._database.sync()

    async def get(self, ident: str, owner: str | None) -> bytes:
        """An answer as it was given. Raises NotKept."""

        def work(database: "Connection") -> bytes | None:
            row = database.execute(
                "SELECT response FROM responses WHERE id = ? AND owner = ? AND used >= ?",
                (ident, owner, self._now() - self._seconds),
            ).fetchone()
            return bytes(row[0]) if row else None

        response = await self._database.read(work)
        if response is None:
            raise NotKept(_lost(ident), hint=_WHY)
        return response

    async def led_to(self, ident: str, owner: str | None) -> list[tuple[str, StoredTurn]]:
        """The turns that led to an answer, its own the last, each with the id of its answer; what is no longer kept is not
        there. Raises NotKept when the answer itself is not."""

        def work(database: "Connection") -> list[tuple[str, bytes, bytes]]:
            wanted = {"id": ident, "owner": owner, "least": self._now() - self._seconds}
            return [(row[0], bytes(row[2]), bytes(row[3])) for row in database.execute(_CHAIN, wanted)]

        rows = await self._database.read(work)
        if not rows:
            raise NotKept(_lost(ident), hint=_WHY)
        return [(name, StoredTurn(asked, answered)) for name, asked, answered in rows]

    async def turns(self, ident: str, owner: str | None) -> list[StoredTurn]:
        """What led to an answer, and the answer, the oldest turn first. Raises NothingBefore when any of it is missing."""

        def work(database: "Connection") -> list[tuple[str, str | None, bytes, bytes]]:
            now = self._now()
            wanted = {"id": ident, "owner": owner, "least": now - self._seconds}
            rows = [tuple(row) for row in database.execute(_CHAIN, wanted)]
            database.executemany("UPDATE responses SET used = ? WHERE id = ?", [(now, row[0]) for row in rows])
            return rows

        rows = await self._database.write(work)
        if not rows:
            raise NothingBefore(_lost(ident), hint=_WHY)
        if (missing := rows[0][1]) is not None:
            raise NothingBefore(
                f"The answer {ident!r} goes on from {missing!r}, which is no longer kept.",
                hint="Send the whole conversation as `input`.",
            )
        return [StoredTurn(bytes(row[2]), bytes(row[3])) for row in rows]

    async def resolved(self, items: Sequence[ItemIn], owner: str | None) -> list[ItemIn]:
        """The items, with what is kept here instead of references to it; what is not stays a reference."""
        wanted = {answer_with(item.id or "") for item in items if is_reference(item)}
        if not wanted:
            return list(items)

        def work(database: "Connection") -> list[bytes]:
            now = self._now()
            query = "UPDATE responses SET used = ? WHERE id = ? AND owner = ? AND used >= ? RETURNING output"
            updates = (database.execute(query, (now, ident, owner, now - self._seconds)).fetchall() for ident in wanted)
            return [bytes(row[0]) for rows in updates for row in rows]

        kept = await self._database.write(work)
        known = {item.id: item for output in kept for item in msgspec.json.decode(output, type=list[ItemIn])}
        return [known.get(item.id, item) if is_reference(item) else item for item in items]

    async def delete(self, ident: str, owner: str | None) -> None:
        """Forget an answer; nothing can go on from it then. Raises NotKept."""

        def work(database: "Connection") -> int:
            return database.execute("DELETE FROM responses WHERE id = ? AND owner = ?", (ident, owner)).rowcount

        if not await self._database.write(work):
            raise NotKept(_lost(ident), hint=_WHY)

    async def close(self) -> None:
        """Close the database."""
        await self._database.close()


def _lost(ident: str) -> str:
    return f"No answer with the id {ident[:100]!r} is kept here."
