"""SQLite through `sqlcipher3`: one writer thread, WAL, named migrations. The one module of core that imports it.

The same code opens a plain database and, once a vault exists, an encrypted one. A function handed to `write` runs alone
on the writer's connection inside `BEGIN IMMEDIATE`; one handed to `read` sees a consistent snapshot on a connection of
its own. Neither ever runs on the event loop.
"""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import sqlcipher3.dbapi2 as sqlite

from omni.core.errors import OmniError, StorageError

if TYPE_CHECKING:  # sqlcipher3 mirrors the standard library's module and ships no types
    from sqlite3 import Connection

T = TypeVar("T")

BUSY_SECONDS = 10.0


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema. Its name is what is remembered, so a released one is never renamed or changed."""

    name: str
    script: str


class Database:
    """One database file, opened at the first use.

    `migrations` are applied in order, each once, all in one transaction, after a copy of the file was put aside as
    `NAME.before-MIGRATION`. Raises StorageError when the file is no database, is newer than this Omni, or the disk is
    full; nothing is changed then.
    """

    def __init__(self, path: Path, migrations: Sequence[Migration]) -> None:
        self.path = path
        self._migrations = tuple(migrations)
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        self._reader_thread = ThreadPoolExecutor(1, thread_name_prefix=f"read-{path.stem}")
        self._writer: Any = None
        self._reader: Any = None

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
        """Finish what is queued and close both connections."""
        for thread, attribute in ((self._reader_thread, "_reader"), (self._writer_thread, "_writer")):
            connection = getattr(self, attribute)
            if connection is not None:
                await asyncio.get_running_loop().run_in_executor(thread, connection.close)
                setattr(self, attribute, None)
            thread.shutdown(wait=False)

    def _open_writer(self) -> Any:
        if self._writer is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = self._connect()
            try:
                self._migrate(connection)
            except BaseException:
                connection.close()
                raise
            self._writer = connection
        return self._writer

    def _connect(self) -> Any:
        connection = sqlite.connect(str(self.path), timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self, connection: Any) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) STRICT")
        # A second process may migrate at the same time: look again once the write lock is held.
        if not self._missing(connection):
            return
        missing = self._missing(connection)
        if len(missing) < len(self._migrations):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy2(self.path, self.path.with_name(f"{self.path.name}.before-{missing[0].name}"))
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in self._missing(connection):
                for statement in _statements(step.script):
                    connection.execute(statement)
                connection.execute("INSERT INTO migrations VALUES (?)", (step.name,))
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _missing(self, connection: Any) -> list[Migration]:
        done = {row[0] for row in connection.execute("SELECT name FROM migrations")}
        if unknown := done - {step.name for step in self._migrations}:
            raise StorageError(
                f"{self.path} was written by a newer Omni (it has {', '.join(sorted(unknown))}).",
                hint="Update this Omni, or set OMNI_HOME to another folder.",
            )
        return [step for step in self._migrations if step.name not in done]

    def _write(self, work: "Callable[[Connection], T]") -> T:
        with _explained(self.path):
            connection = self._open_writer()
            connection.execute("BEGIN IMMEDIATE")
            try:
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
                return work(self._reader)
            finally:
                with suppress(sqlite.Error):
                    self._reader.execute("COMMIT")

    def _sync(self) -> None:
        with _explained(self.path):
            self._open_writer().execute("PRAGMA wal_checkpoint(FULL)")


class _explained:  # noqa: N801 - used as a statement
    """Turns what SQLite raises into a StorageError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, sqlite.IntegrityError | sqlite.ProgrammingError):
            return  # a bug of ours, which should be seen as one
        if isinstance(error, sqlite.Error | OSError) and not isinstance(error, OmniError):
            text = str(error)
            if "full" in text or "No space" in text:
                raise StorageError(
                    f"The disk that holds {self._path} is full.",
                    hint="Free some space and try again; nothing was lost.",
                ) from error
            if "locked" in text:
                raise StorageError(f"{self._path} is busy: another process holds it.", hint="Try again.") from error
            raise StorageError(
                f"{self._path} cannot be used: {text}.",
                hint=f"Copies from before each upgrade lie beside it in {self._path.parent}.",
            ) from error


def _statements(script: str) -> list[str]:
    """Split a script at the ends of its statements (`executescript` would commit the transaction)."""
    found, rest = [], ""
    for line in script.splitlines(keepends=True):
        rest += line
        if sqlite.complete_statement(rest):
            found.append(rest)
            rest = ""
    if rest.strip():
        raise ValueError(f"a migration ends in the middle of a statement: {rest!r}")
    return found
