"""The index of the library: what is known of bases and brains, in `cartridges/index.db`. Others see values, not rows.

It can be lost: blobs name themselves by their content, and what others have is found again. Only what the person
added and what was measured (loaded once, verified when) is written nowhere else.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from omni.cartridges.architectures import ENGINE
from omni.cartridges.brains import Base, Origin, State
from omni.cartridges.gguf import GgufHeader
from omni.cartridges.projectors import Projector, unfit

if TYPE_CHECKING:
    from sqlite3 import Connection

    from omni.core.database import Database

_SCRIPT = """
CREATE TABLE bases (
    id TEXT PRIMARY KEY, data TEXT NOT NULL, ready INTEGER NOT NULL DEFAULT 0, unloadable TEXT NOT NULL DEFAULT '',
    corrupt TEXT NOT NULL DEFAULT '', verified REAL, verdict TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE entries (name TEXT PRIMARY KEY, kind TEXT NOT NULL, base TEXT NOT NULL, data TEXT NOT NULL) STRICT;
CREATE INDEX entries_by_base ON entries (base);
CREATE TABLE headers (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, header TEXT, error TEXT) STRICT;
"""
_WIDTHS = "DELETE FROM headers;\n"  # those that were read before did not tell how wide a model is
_KINDS = _WIDTHS  # nor which tensors it has
_PROJECTOR = (  # what was called `eyes`, and whether a header is one for images `sees`
    "UPDATE bases SET data = json_remove(json_set(data, '$.projector', json_extract(data, '$.eyes')), '$.eyes')"
    " WHERE json_type(data, '$.eyes') = 'object';\n"
    "DELETE FROM headers;\n"
)
_ENGINE = "ALTER TABLE bases ADD COLUMN engine TEXT NOT NULL DEFAULT '';\n"  # which one could not load it


class IndexEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One brain that is not made of a shipped manifest alone.

    kind: "pulled" (its file is a blob of ours), "added" (a file of the person's, in place), "found" (another program's).
    `base` is the id of its base, or "" when there is a problem that hides it: then `state`, `reason` and `command` say which.
    `template` and `parameters` are this name's own, where several names stand on one base.
    `reference` is what to pull again, `manifest` the TOML of an imported one.
    """

    name: str
    kind: str
    base: str = ""
    title: str = ""
    origin: Origin = "file"
    path: str = ""
    size: int = 0
    state: State = "installed"
    reason: str = ""
    command: str = ""
    prompt: str = ""
    licence: str = ""
    adapter: str = ""
    scale: float = 1.0  # of the adapter
    template: str = ""
    parameters: dict[str, Any] = {}
    reference: str = ""
    manifest: str = ""


class BaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A base and what happened to it."""

    base: Base
    ready: bool = False
    unloadable: str = ""
    corrupt: str = ""
    verified: float | None = None
    verdict: str = ""


class Index:
    """Reads and writes of the library. Each method is one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: Database | None = None
        self._seen: tuple[Connection, int] | None = None
        self._loaded: tuple[dict[str, BaseRecord], list[IndexEntry]] = {}, []
        self.version = 0  # counts the changes that `load` has seen

    @property
    def _db(self) -> "Database":
        if self._database is None:
            from omni.core.database import Database, Migration  # SQLite is loaded when the library is first asked

            steps = (
                ("library", _SCRIPT),
                ("widths", _WIDTHS),
                ("kinds", _KINDS),
                ("engine", _ENGINE),
                ("projector", _PROJECTOR),
            )
            self._database = Database(self._path, [Migration(name, script) for name, script in steps])
        return self._database

    async def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            await self._database.close()
            self._database = self._seen = None

    async def load(self) -> tuple[dict[str, BaseRecord], list[IndexEntry]]:
        """Everything but the cache of headers. What nobody has changed since, here or elsewhere, is not read again."""

        def work(connection: "Connection") -> tuple[dict[str, BaseRecord], list[IndexEntry]]:
            seen = connection, int(connection.execute("PRAGMA data_version").fetchone()[0])
            if seen != self._seen:
                bases = {row["id"]: _record(row) for row in connection.execute("SELECT * FROM bases")}
                rows = connection.execute("SELECT data FROM entries ORDER BY name")
                self._loaded = bases, [msgspec.json.decode(row["data"], type=IndexEntry) for row in rows]
                self._seen, self.version = seen, self.version + 1
            bases, entries = self._loaded
            return dict(bases), list(entries)

        return await self._db.read(work)

    async def put(self, base: Base | None, entry: IndexEntry | None = None, *, verified: float | None = None) -> None:
        """Remember a base, an entry or both. `verified` is when its hash was just found right; it clears "corrupt"."""

        def work(connection: "Connection") -> None:
            if base is not None:
                _put_base(connection, base)
                if verified is not None:
                    connection.execute("UPDATE bases SET verified = ?, corrupt = '' WHERE id = ?", (verified, base.id))
            if entry is not None:
                _put_entry(connection, entry)

        await self._db.write(work)

    async def put_unless_elsewhere(self, entry: IndexEntry) -> IndexEntry | None:
        """Remember an entry, unless one of its name stands on another base: that one is returned, and stays. Of two who put
        the same name at once the second sees the first."""

        def work(connection: "Connection") -> IndexEntry | None:
            there = "SELECT data FROM entries WHERE name = ? AND base IN (SELECT id FROM bases)"
            row = connection.execute(there, (entry.name,)).fetchone()
            known = msgspec.json.decode(row["data"], type=IndexEntry) if row is not None else None
            if known is not None and known.base != entry.base:
                return known
            _put_entry(connection, entry)
            return None

        return await self._db.write(work)

    async def replace_found(self, pairs: Iterable[tuple[Base | None, IndexEntry]]) -> None:
        """What a look around found. What was found before and is missing now stays, so that it can be shown as gone;
        a line that only told of a problem goes with its problem."""
        pairs = list(pairs)

        def work(connection: "Connection") -> None:
            names = {entry.name for _, entry in pairs}
            for row in connection.execute("SELECT name FROM entries WHERE kind = 'found' AND base = ''").fetchall():
                if row["name"] not in names:
                    connection.execute("DELETE FROM entries WHERE name = ?", (row["name"],))
            for base, entry in pairs:
                if base is not None:
                    _put_base(connection, base)
                row = connection.execute("SELECT kind FROM entries WHERE name = ?", (entry.name,)).fetchone()
                if row is None or row["kind"] == "found":  # what the person added or pulled keeps its name
                    _put_entry(connection, entry)

        await self._db.write(work)

    async def mark(self, base_id: str, **columns: Any) -> None:
        """Set `ready`, `unloadable`, `corrupt`, `verified` or `verdict` of a base. What is so already is not written:
        every answer says that its base is ready, and all who have read the index would read it again. That it could not
        be loaded holds for the engine of today: the next one may."""
        if columns.get("unloadable"):
            columns["engine"] = ENGINE
        names = [
            name for name in ("ready", "unloadable", "engine", "corrupt", "verified", "verdict") if name in columns
        ]

        def work(connection: "Connection") -> None:
            connection.execute(
                f"UPDATE bases SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?"  # noqa: S608 - names are ours
                f" AND ({' OR '.join(f'{name} IS NOT ?' for name in names)})",
                (*(columns[name] for name in names), base_id, *(columns[name] for name in names)),
            )

        await self._db.write(work)

    async def drop_projector(self, base_id: str, projector: Projector, why: str) -> None:
        """The base does without these eyes from now on. Where they are `unfit` it does so whoever finds them again."""

        def work(connection: "Connection") -> None:
            row = connection.execute("SELECT data FROM bases WHERE id = ?", (base_id,)).fetchone()
            base = msgspec.json.decode(row["data"], type=Base) if row is not None else None
            if base is not None and base.projector == projector:
                blind = msgspec.structs.replace(base, projector=None, blind=why)
                row = msgspec.json.encode(blind).decode(), base_id
                connection.execute("UPDATE bases SET data = ? WHERE id = ?", row)

        await self._db.write(work)

    async def forget(self, *, entries: Iterable[str] = (), bases: Iterable[str] = ()) -> None:
        """Remove brains and bases from the index; files are not touched."""
        entries, bases = list(entries), list(bases)

        def work(connection: "Connection") -> None:
            connection.executemany("DELETE FROM entries WHERE name = ?", [(name,) for name in entries])
            connection.executemany("DELETE FROM bases WHERE id = ?", [(base,) for base in bases])

        await self._db.write(work)

    async def headers(self) -> dict[str, tuple[str, GgufHeader | str]]:
        """What was read before: path -> (stamp of the file then, its header or what was wrong)."""

        def work(connection: "Connection") -> dict[str, tuple[str, GgufHeader | str]]:
            headers: dict[str, tuple[str, GgufHeader | str]] = {}
            for row in connection.execute("SELECT * FROM headers"):
                value = msgspec.json.decode(row["header"], type=GgufHeader) if row["header"] else str(row["error"])
                headers[row["path"]] = (row["stamp"], value)
            return headers

        return await self._db.read(work)

    async def put_headers(self, fresh: dict[str, tuple[str, GgufHeader | str]]) -> None:
        """Remember what was read."""
        rows = [
            (path, stamp, None, value)
            if isinstance(value, str)
            else (path, stamp, msgspec.json.encode(value).decode(), None)
            for path, (stamp, value) in fresh.items()
        ]

        def work(connection: "Connection") -> None:
            connection.executemany("INSERT OR REPLACE INTO headers VALUES (?, ?, ?, ?)", rows)

        if rows:
            await self._db.write(work)


def _record(row: Any) -> BaseRecord:
    return BaseRecord(
        base=msgspec.json.decode(row["data"], type=Base),
        ready=bool(row["ready"]),
        unloadable=row["unloadable"] if row["engine"] == ENGINE else "",
        corrupt=row["corrupt"],
        verified=row["verified"],
        verdict=row["verdict"],
    )


def _put_base(connection: "Connection", base: Base) -> None:
    """A blob of ours is never displaced by another program's copy of the same content while it is there, nor are eyes
    by a name of the base that has none."""
    row = connection.execute("SELECT data FROM bases WHERE id = ?", (base.id,)).fetchone()
    if row is not None:
        known = msgspec.json.decode(row["data"], type=Base)
        if known.origin == "blob" and base.origin != "blob" and Path(known.path).exists():
            return
        if base.projector is not None and known.blind == unfit(base.projector):
            base = msgspec.structs.replace(base, projector=None, blind=known.blind)
        elif base.projector is None and known.projector is not None and known.projector.there:
            base = msgspec.structs.replace(base, projector=known.projector, blind="")
        if base.sha256 is None and known.sha256 is not None:  # recorded when it was verified; a look around knows none
            base = msgspec.structs.replace(base, sha256=known.sha256)
    connection.execute(
        "INSERT INTO bases (id, data) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data",
        (base.id, msgspec.json.encode(base).decode()),
    )


def _put_entry(connection: "Connection", entry: IndexEntry) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
        (entry.name, entry.kind, entry.base, msgspec.json.encode(entry).decode()),
    )
