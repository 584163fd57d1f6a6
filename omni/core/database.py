"""SQLite through `sqlcipher3`: one writer thread, WAL, named migrations. The one module of core that imports it.

The same code opens a plain database and, with a key, one that is encrypted by SQLCipher, its WAL and copies included. A
function handed to `write` runs alone
on the writer's connection inside `BEGIN IMMEDIATE`; one handed to `read` sees a consistent snapshot on a connection of
its own. Neither ever runs on the event loop.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlcipher3.dbapi2 as sqlite

from omni.core.errors import OmniError, StorageError
from omni.core.files import make_folder, own, sync
from omni.core.locks import locked

if TYPE_CHECKING:  # sqlcipher3 mirrors the standard library's module and ships no types
    from sqlite3 import Connection

T = TypeVar("T")

BUSY_SECONDS = 10.0
COPIED = 4096  # pages at a time, after which it is told how far the copy of an earlier version is
KEY_BYTES = 32
OUR_BUGS = frozenset({sqlite.SQLITE_ERROR, sqlite.SQLITE_MISUSE, sqlite.SQLITE_RANGE, sqlite.SQLITE_MISMATCH})


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema. Its name is what is remembered, so a released one is never renamed or changed."""

    name: str
    script: str


class Database:
    """One database file, opened at the first use.

    `migrations` are applied in order, each once, all in one transaction, after a copy of the file was put aside as
    `NAME.before-MIGRATION`. Raises StorageError when the file is no database, is newer than this Omni, or the disk is
    full; nothing is changed then.

    `key` is 32 bytes, from which every page is encrypted; the same file opens with the same key only, and without one where
    it was made without. Nothing derives it from a pass phrase here.
    """

    def __init__(self, path: Path, migrations: Sequence[Migration], *, key: bytes | None = None) -> None:
        if key is not None and len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        self.path, self._key = path, key
        self._migrations = tuple(migrations)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{path.stem}")
        self._writer: Any = None
        self._reader: Any = None
        self._folder_synced = self._closed = False
        self._checked = -1  # the version of the tables that were found to be those of this Omni
        self.upgrading = ""  # what is done to the file of an earlier Omni just now, in words; "" when nothing is

    async def write(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in one transaction on the writer thread; rolled back when it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._write, work)

    async def read(self, work: "Callable[[Connection], T]") -> T:
        """Run `work` in one read transaction on the reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._reader_thread, self._read, work)

    async def sync(self) -> None:
        """Make all that was written survive a power cut (`write` alone survives the death of the process)."""
        await asyncio.get_running_loop().run_in_executor(self._writer_thread, self._sync)

    async def close(self) -> None:
        """Finish what is queued and close both connections; more than once does no harm."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._reader_thread, self._close_reader)
        await loop.run_in_executor(self._writer_thread, self._close_writer)
        self._reader_thread.shutdown(wait=False)
        self._writer_thread.shutdown(wait=False)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open_writer(self) -> Any:
        if self._writer is None:
            make_folder(self.path.parent)
            # SQLite answers "locked" at once when two processes turn a file into WAL or migrate it: one after the other.
            with locked(self.path.with_name(f"{self.path.name}.lock")):
                self._own()
                connection = self._connect()
                try:
                    self._migrate(connection)
                except BaseException:
                    connection.close()
                    raise
                finally:
                    self.upgrading = ""
            self._writer = connection
        return self._writer

    def _own(self) -> None:
        """SQLite makes the files beside a database with the database's own mode."""
        own(self.path)
        for end in ("-wal", "-shm"):
            if (beside := self.path.with_name(self.path.name + end)).exists():
                own(beside)

    def _connect(self) -> Any:
        connection = self._connect_to(self.path)
        try:
            connection.row_factory = sqlite.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_to(self, path: Path) -> Any:
        connection = sqlite.connect(str(path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        if self._key is not None:  # before anything else; as raw bytes
            connection.execute(
                "PRAGMA cipher_log_level = NONE"
            )  # it would write a wrong key's failure into the terminal
            connection.execute(f"PRAGMA key = \"x'{self._key.hex()}'\"")
        return connection

    def _migrate(self, connection: Any) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT")
        missing = self._missing(connection)
        if not missing:
            return
        if len(missing) < len(self._migrations):
            self._put_aside(missing[0].name)
            self.upgrading = f"bringing {self.path.stat().st_size >> 20:,} MiB to this version"
        # A step may replace a table that others refer to; dropping it would take along what refers to its rows.
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in missing:
                for statement in _statements(step.script):
                    connection.execute(statement)
                connection.execute("INSERT INTO migrations VALUES (?)", (step.name,))
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")  # who has it open sees that it changed
            connection.execute("COMMIT")
            connection.execute("PRAGMA foreign_keys = ON")
        except BaseException:
            with suppress(sqlite.Error):  # a full disk has already rolled back
                connection.execute("ROLLBACK")
            raise

    def _copied(self, _status: int, left: int, total: int) -> None:
        done = 100 * (total - left) // max(total, 1)
        self.upgrading = f"keeping a copy of the earlier version, {done} %"

    def _put_aside(self, migration: str) -> None:
        """Copy the database as it is, whole or not at all.

        By SQLite itself: a copy made beside it misses what is in the WAL, and closing the file would drop the locks
        that this process holds on it.
        """
        copy = self.path.with_name(f"{self.path.name}.before-{migration}")
        unfinished = copy.with_name(f"{copy.name}.part")
        unfinished.unlink(missing_ok=True)
        try:
            source, target = self._connect(), None
            try:
                target = self._connect_to(unfinished)
                source.backup(target, pages=COPIED, progress=self._copied)
            finally:
                source.close()
                if target is not None:
                    target.close()
            unfinished.chmod(0o600)
            sync(unfinished)
            unfinished.replace(copy)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    def _missing(self, connection: Any) -> list[Migration]:
        done = {row[0] for row in connection.execute("SELECT name FROM migrations")}
        if unknown := done - {step.name for step in self._migrations}:
            raise StorageError(
                f"{self.path} was written by a newer Omni (it has {', '.join(sorted(unknown))}).",
                hint="Update this Omni, or set OMNI_HOME to another folder.",
            )
        return [step for step in self._migrations if step.name not in done]

    def _check_version(self, connection: Any) -> None:
        """Raise StorageError where a newer Omni has changed the tables under this one. Ask inside a transaction."""
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != self._checked:
            self._missing(connection)
            self._checked = version

    def _write(self, work: "Callable[[Connection], T]") -> T:
        with _explained(self.path):
            connection = self._open_writer()
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._check_version(connection)
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite.Error):  # a full disk has already rolled back
                    connection.execute("ROLLBACK")
                raise
            return result

    def _read(self, work: "Callable[[Connection], T]") -> T:
        with _explained(self.path):
            if self._reader is None:
                self._writer_thread.submit(self._open_writer).result()
                self._reader = self._connect()
            self._reader.execute("BEGIN")
            try:
                self._check_version(self._reader)
                return work(self._reader)
            finally:
                with suppress(sqlite.Error):
                    self._reader.execute("COMMIT")

    def _sync(self) -> None:
        with _explained(self.path):
            self._open_writer()
            # What was committed lies in the WAL (or, after a checkpoint, synced in the database): one fsync is enough,
            # and unlike a checkpoint nobody who reads can hinder it. SQLite holds no locks on this file to lose.
            with suppress(FileNotFoundError):
                sync(self.path.with_name(f"{self.path.name}-wal"))
            if not self._folder_synced:  # both files were new once
                sync(self.path.parent)
                self._folder_synced = True


class _explained:  # noqa: N801 - used as a statement
    """Turns what SQLite raises into a StorageError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, sqlite.IntegrityError | sqlite.ProgrammingError):
            return  # a bug of ours, which should be seen as one
        if isinstance(error, sqlite.Error) and getattr(error, "sqlite_errorcode", None) in OUR_BUGS:
            return  # such as SQL that names a column that is not there
        if isinstance(error, sqlite.Error | OSError) and not isinstance(error, OmniError):
            text = str(error)
            if "full" in text or "No space" in text or ("I/O" in text and not _room(self._path)):
                raise StorageError(
                    f"The disk that holds {self._path} is full.",
                    hint="Free some space and try again; nothing was lost.",
                ) from error
            if "locked" in text:
                raise StorageError(f"{self._path} is busy: another process holds it.", hint="Try again.") from error
            if "readonly" in text or "unable to open" in text or isinstance(error, PermissionError):
                raise StorageError(
                    f"{self._path} cannot be written: {text}.", hint="Set OMNI_HOME to a folder that you may write to."
                ) from error
            if getattr(error, "sqlite_errorcode", None) == sqlite.SQLITE_NOTADB:
                raise StorageError(
                    f"{self._path} is no database, or is encrypted with another key.",
                    hint=f"Copies from before each upgrade lie beside it in {self._path.parent}.",
                ) from error
            raise StorageError(
                f"{self._path} cannot be used: {text}.",
                hint=f"Copies from before each upgrade lie beside it in {self._path.parent}.",
            ) from error


def _room(path: Path) -> int:
    """Bytes that are left on the disk of a database: SQLite calls a full one an I/O error while it maps its index."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return 1
    return disk.f_bfree * disk.f_frsize


def _statements(script: str) -> list[str]:
    """Split a script at the ends of its statements (`executescript` would commit the transaction)."""
    statements, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite.complete_statement(rest):
            statements.append(rest)
            rest = ""
    if rest.strip():
        raise ValueError(f"a migration ends in the middle of a statement: {rest!r}")
    return statements
