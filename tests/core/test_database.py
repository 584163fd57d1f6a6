"""The database: one transaction or nothing, whatever dies, fills up, or comes from another version."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from omni.core.database import Database, Migration
from omni.core.errors import StorageError

ROOT = Path(__file__).resolve().parents[2]
FIRST = Migration("first", "CREATE TABLE thing (number INTEGER PRIMARY KEY, text TEXT) STRICT;")
SECOND = Migration(
    "second",
    """
    ALTER TABLE thing ADD COLUMN more TEXT NOT NULL DEFAULT 'none';
    CREATE TRIGGER thing_added AFTER INSERT ON thing BEGIN
        UPDATE thing SET more = 'seen; twice' WHERE number = new.number;
    END;
    """,
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    db = Database(tmp_path / "test.db", [FIRST])
    yield db
    await db.close()


def add(text: str) -> Any:
    return lambda db: db.execute("INSERT INTO thing (text) VALUES (?)", (text,)) and None


def texts(db: Any) -> list[str]:
    return [row["text"] for row in db.execute("SELECT text FROM thing ORDER BY number")]


async def test_what_is_written_is_read(database: Database) -> None:
    await database.write(add("a"))
    assert await database.read(texts) == ["a"]


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_all_of_it_is_for_its_user_alone(tmp_path: Path) -> None:
    for mode in (None, 0o644):  # new, and made by an earlier version
        database = Database(tmp_path / "test.db", [FIRST])
        if mode is not None:
            (tmp_path / "test.db").chmod(mode)
        try:
            await database.write(add("a"))
            await database.read(texts)
            modes = modes_in(tmp_path)
        finally:
            await database.close()
        assert modes == dict.fromkeys(("test.db", "test.db-wal", "test.db-shm", "test.db.lock"), 0o600)


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    def half(db: Any) -> None:
        add("half")(db)
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        await database.write(half)
    await database.write(add("whole"))
    assert await database.read(texts) == ["whole"]


async def test_nothing_runs_on_the_event_loop(database: Database) -> None:
    import threading

    here = threading.get_ident()
    assert await database.write(lambda _: threading.get_ident()) != here
    assert await database.read(lambda _: threading.get_ident()) != here


async def test_a_reader_sees_one_moment(tmp_path: Path, database: Database) -> None:
    await database.write(add("a"))
    other = Database(tmp_path / "test.db", [FIRST])
    loop = asyncio.get_running_loop()

    def twice(db: Any) -> tuple[list[str], list[str]]:
        before = texts(db)
        asyncio.run_coroutine_threadsafe(other.write(add("b")), loop).result(10)
        return before, texts(db)

    assert await database.read(twice) == (["a"], ["a"])
    assert await database.read(texts) == ["a", "b"]
    await other.close()


async def test_a_mistake_in_our_sql_is_not_called_a_broken_disk(database: Database) -> None:
    with pytest.raises(Exception, match="no such column") as caught:
        await database.read(lambda db: db.execute("SELECT nonsense FROM thing"))
    assert not isinstance(caught.value, StorageError)
    with pytest.raises(Exception, match="UNIQUE") as caught:
        await database.write(lambda db: db.executemany("INSERT INTO thing (number) VALUES (?)", [(1,), (1,)]))
    assert not isinstance(caught.value, StorageError)


async def test_closing_waits_for_what_is_queued(tmp_path: Path) -> None:
    database = Database(tmp_path / "test.db", [FIRST])
    writes = [asyncio.ensure_future(database.write(add(str(number)))) for number in range(20)]
    await asyncio.sleep(0)  # all of them are handed to the thread
    await database.close()
    await asyncio.gather(*writes)
    again = Database(tmp_path / "test.db", [FIRST])
    assert len(await again.read(texts)) == 20
    await again.close()


async def test_closing_an_unused_database_makes_no_file(tmp_path: Path) -> None:
    await Database(tmp_path / "test.db", [FIRST]).close()
    assert os.listdir(tmp_path) == []


async def test_sync_reaches_the_files(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    await database.write(add("a"))
    await database.sync()
    assert synced[0] == f"{database.path}-wal"
    assert synced[1] == str(database.path.parent)


def left_behind(folder: Path, what: str) -> list[str]:
    return [name for name in os.listdir(folder) if what in name]


# --- migrations


async def test_an_upgrade_keeps_the_data_and_a_copy_from_before(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    old = Database(path, [FIRST])
    await old.write(add("a"))  # lies in the WAL while the upgrade makes its copy
    new = Database(path, [FIRST, SECOND])
    await new.write(add("b"))
    rows = await new.read(lambda db: [tuple(row) for row in db.execute("SELECT text, more FROM thing")])
    assert rows == [("a", "none"), ("b", "seen; twice")]
    await new.close()
    await old.close()
    copy = tmp_path / "test.db.before-second"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as before:
        assert before.execute("SELECT * FROM thing").fetchall() == [(1, "a")]
    assert not left_behind(tmp_path, ".part")


async def test_a_file_with_a_key_opens_with_that_key_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, secret = tmp_path / "test.db", b"what nobody shall read"
    database = Database(path, [FIRST], key=b"k" * 32)
    await database.write(add(secret.decode()))
    assert {"test.db", "test.db-wal"} <= {*contents(tmp_path)}
    assert all(secret not in content for content in contents(tmp_path).values())
    await database.close()
    assert not path.read_bytes().startswith(b"SQLite format 3")
    before = path.read_bytes()
    for key in (None, b"x" * 32):
        other = Database(path, [FIRST], key=key)
        with pytest.raises(StorageError, match="encrypted with another key") as caught:
            await other.read(texts)
        assert key is None or key.hex() not in f"{caught.value} {caught.value.__cause__}"
        await other.close()
    assert path.read_bytes() == before
    again = Database(path, [FIRST], key=b"k" * 32)
    assert await again.read(texts) == [secret.decode()]
    await again.close()
    assert capfd.readouterr() == ("", "")


async def test_the_copy_before_an_upgrade_has_the_key_of_its_database(tmp_path: Path) -> None:
    path, key = tmp_path / "test.db", bytes(range(32))
    for steps in ([FIRST], [FIRST, SECOND]):
        database = Database(path, steps, key=key)
        await database.write(add("kept"))
        await database.close()
    copy = tmp_path / "test.db.before-second"
    assert not copy.read_bytes().startswith(b"SQLite format 3")
    database = Database(copy, [FIRST], key=key)
    assert await database.read(texts) == ["kept"]
    await database.close()


async def test_a_database_without_a_key_does_not_open_with_one(tmp_path: Path) -> None:
    plain = Database(tmp_path / "test.db", [FIRST])
    await plain.write(add("a"))
    await plain.close()
    keyed = Database(tmp_path / "test.db", [FIRST], key=bytes(32))
    with pytest.raises(StorageError):
        await keyed.write(add("b"))
    await keyed.close()
    assert (tmp_path / "test.db").read_bytes().startswith(b"SQLite format 3")


def test_a_key_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="32 bytes, not 3"):
        Database(tmp_path / "test.db", [FIRST], key=b"abc")


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    old = Database(path, [FIRST])
    await old.write(add("a"))
    await old.close()
    broken = Migration("broken", "ALTER TABLE thing ADD COLUMN more TEXT;\nINSERT INTO nowhere VALUES (1);\n")
    database = Database(path, [FIRST, broken])
    with pytest.raises(Exception, match="nowhere"):
        await database.read(texts)
    await database.close()
    again = Database(path, [FIRST])
    assert await again.read(texts) == ["a"]
    await again.close()


async def test_a_script_that_ends_in_the_middle_is_refused(tmp_path: Path) -> None:
    database = Database(tmp_path / "test.db", [Migration("half", "CREATE TABLE a (x);\nCREATE TABLE b (")])
    with pytest.raises(ValueError, match="middle of a statement"):
        await database.read(texts)
    await database.close()


async def test_a_database_that_a_newer_omni_changes_meanwhile_is_explained(tmp_path: Path, database: Database) -> None:
    await database.write(add("a"))
    newer = Database(
        tmp_path / "test.db", [FIRST, Migration("renamed", "ALTER TABLE thing RENAME COLUMN text TO words;")]
    )
    await newer.read(lambda db: None)
    for work in (database.write(add("b")), database.read(texts)):
        with pytest.raises(StorageError, match=r"written by a newer Omni \(it has renamed\)"):
            await work
    words = await newer.read(lambda db: [row["words"] for row in db.execute("SELECT words FROM thing")])
    assert words == ["a"]
    await newer.close()


async def test_a_newer_omni_whose_tables_only_mean_something_else_is_noticed_too(
    tmp_path: Path, database: Database
) -> None:
    await database.write(add("before"))
    newer = Database(database.path, [FIRST, Migration("other words", "UPDATE thing SET text = upper(text);")])
    await newer.read(lambda db: None)
    for use in (database.write(add("after")), database.read(texts)):
        with pytest.raises(StorageError, match=r"written by a newer Omni \(it has other words\)"):
            await use
    assert await newer.read(texts) == ["BEFORE"]
    await newer.close()


async def test_a_step_may_replace_a_table_that_others_refer_to(tmp_path: Path) -> None:
    made = Migration(
        "made",
        """
        CREATE TABLE child (thing INTEGER NOT NULL REFERENCES thing (number) ON DELETE CASCADE) STRICT;
        INSERT INTO thing (number, text) VALUES (7, 'a');
        INSERT INTO child VALUES (7);
        """,
    )
    replaced = Migration(
        "replaced",
        """
        CREATE TABLE other (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
        INSERT INTO other SELECT number, text FROM thing;
        DROP TABLE thing;
        ALTER TABLE other RENAME TO thing;
        """,
    )
    before = Database(tmp_path / "test.db", [FIRST, made])
    await before.read(lambda db: None)
    await before.close()
    now = Database(tmp_path / "test.db", [FIRST, made, replaced])

    def delete(db: Any) -> tuple[int, int]:
        kept = db.execute("SELECT count(*) FROM child").fetchone()[0]
        db.execute("DELETE FROM thing")
        return kept, db.execute("SELECT count(*) FROM child").fetchone()[0]

    assert await now.write(delete) == (1, 0)
    await now.close()


async def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    newer = Database(path, [FIRST, SECOND])
    await newer.write(add("a"))
    await newer.close()
    before = path.read_bytes()
    older = Database(path, [FIRST])
    with pytest.raises(StorageError, match="newer Omni") as caught:
        await older.write(add("b"))
    assert "second" in caught.value.message
    assert caught.value.hint
    await older.close()
    assert path.read_bytes() == before


MIGRATE = """
import asyncio, sys
from pathlib import Path
from omni.core.database import Database, Migration

async def main():
    steps = [Migration(f"step {n}", f"CREATE TABLE t{n} (x);\\nINSERT INTO t{n} VALUES ({n});\\n") for n in range(int(sys.argv[2]))]
    database = Database(Path(sys.argv[1]), steps)
    sys.stdin.readline()
    await database.write(lambda db: db.execute("INSERT INTO t0 VALUES (7)"))
    await database.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("before", [0, 3])
async def test_several_processes_may_migrate_at_once(tmp_path: Path, before: int) -> None:
    path = tmp_path / "test.db"
    if before:
        run(MIGRATE, path, before, feed=b"\n")
    starters = [spawn(MIGRATE, path, 12) for _ in range(4)]
    for process in starters:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in starters:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors.decode()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM migrations").fetchone() == (12,)
        assert connection.execute("SELECT count(*) FROM t0").fetchone() == (1 + 4 + bool(before),)


# --- death

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from omni.core import database as module
from omni.core.database import Database, Migration

FIRST = Migration("first", "CREATE TABLE thing (number INTEGER PRIMARY KEY, text TEXT) STRICT;")
SECOND = Migration("second", "ALTER TABLE thing ADD COLUMN more TEXT;\\nCREATE TABLE other (x);\\n")

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def in_transaction(db):
    db.executemany("INSERT INTO thing (text) VALUES (?)", [("x" * 1000,)] * 5000)  # more than a cache holds
    die()

async def main(where):
    database = Database(Path(sys.argv[1]), [FIRST, SECOND] if where in ("migration", "copy") else [FIRST])
    if where == "migration":
        whole = module._statements
        module._statements = lambda script: (die() if number else text for number, text in enumerate(whole(script)))
    if where == "copy":
        module.sync = die
    await database.write(lambda db: db.execute("INSERT INTO thing (text) VALUES ('kept')"))
    if where == "transaction":
        await database.write(in_transaction)
    die()

asyncio.run(main(sys.argv[2]))
"""


@pytest.mark.parametrize("where", ["transaction", "migration", "copy", "after"])
async def test_a_killed_process_leaves_whole_transactions(tmp_path: Path, where: str) -> None:
    path = tmp_path / "test.db"
    old = Database(path, [FIRST])
    await old.write(add("old"))
    await old.close()
    assert run(KILLED, path, where).returncode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database = Database(path, [FIRST, SECOND])
    expected = ["old", "kept"] if where in ("transaction", "after") else ["old"]
    assert await database.read(texts) == expected
    await database.close()
    assert (tmp_path / "test.db.before-second").is_file()
    assert not left_behind(tmp_path, ".part")


# --- damage


@pytest.mark.parametrize("content", [b"this is not a database at all" * 200, b"SQLite format 3\0" + b"\xff" * 5000])
async def test_a_file_that_is_no_database_is_explained_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "test.db"
    path.write_bytes(content)
    database = Database(path, [FIRST])
    for work in (database.read, database.write):
        with pytest.raises(StorageError) as caught:
            await work(texts)
        assert str(path) in caught.value.message
        assert caught.value.hint
    await database.close()
    assert path.read_bytes() == content


async def test_a_damaged_page_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "test.db"
    database = Database(path, [FIRST])
    await database.write(
        lambda db: db.executemany("INSERT INTO thing (text) VALUES (?)", [("x" * 900,)] * 200) and None
    )
    await database.close()
    data = bytearray(path.read_bytes())
    data[8192:-4096] = b"\xa5" * (len(data) - 8192 - 4096)
    path.write_bytes(data)
    again = Database(path, [FIRST])
    with pytest.raises(StorageError, match="malformed"):
        await again.read(texts)
    await again.close()


async def test_a_folder_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    database = Database(tmp_path / "file" / "test.db", [FIRST])
    with pytest.raises(StorageError):
        await database.read(texts)
    await database.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small file system to fill")
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this container may not mount a small file system: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_is_explained_and_loses_nothing(small_disk: Path) -> None:
    database = Database(small_disk / "test.db", [FIRST])
    await database.write(add("kept"))

    async def fill() -> None:
        for _ in range(200):
            await database.write(add("x" * 20_000))

    with pytest.raises(StorageError, match="full") as caught:
        await fill()
    assert "nothing was lost" in caught.value.hint
    kept = await database.read(texts)
    assert kept[0] == "kept"
    assert all(len(text) == 20_000 for text in kept[1:])
    with suppress(StorageError):  # may or may not still fit; the file must not suffer
        await database.sync()
    await database.write(lambda db: db.execute("DELETE FROM thing WHERE number > 1") and None)
    assert await database.read(texts) == ["kept"]
    await database.close()


@pytest.mark.parametrize("left", [0, 100_000])  # nothing at all, and not enough for the copy
async def test_an_upgrade_on_a_full_disk_changes_nothing(small_disk: Path, left: int) -> None:
    path = small_disk / "test.db"
    old = Database(path, [FIRST])
    for _ in range(10):
        await old.write(add("x" * 20_000))
    await old.close()
    before = path.read_bytes()
    with suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 4096)
    os.truncate(small_disk / "ballast", (small_disk / "ballast").stat().st_size - left)
    database = Database(path, [FIRST, SECOND])
    with pytest.raises(StorageError, match="full"):
        await database.read(texts)
    await database.close()
    (small_disk / "ballast").unlink()
    assert not left_behind(small_disk, ".part")
    assert not left_behind(small_disk, ".before-")
    assert path.read_bytes() == before
    again = Database(path, [FIRST, SECOND])
    assert len(await again.read(texts)) == 10
    await again.close()


def spawn(code: str, *arguments: object) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(code: str, *arguments: object, feed: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, input=feed, capture_output=True)
