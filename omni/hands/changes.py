"""Changes to files: shown as a difference first, never over what somebody else wrote meanwhile, and taken back whenever wanted.

HOME/changes/<project>/NNNNNN.json   one change: what was there and what is, by hash
HOME/changes/contents/<sha256>       what was there before, and after

A change is written down before the file is touched, so that one that was killed in between can be told: the file then holds what
was there or what was to be. The last 200 changes of a project are kept.
"""

import difflib
import errno
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from omni.core.errors import BadFile, NotFound, StorageError, UsageError
from omni.core.files import make_folder, storing, write_atomic
from omni.core.locks import locked
from omni.core.paths import Home
from omni.hands.opening import open_without_links

KEPT = 200
LARGEST = 4 << 20  # bytes of a file that tools change
_SHOWN_LINES = 400  # of a difference
State = Literal["begun", "done", "undone"]


class FileChange(Struct, frozen=True, kw_only=True):
    """A file that is to hold `after` where it holds `before`; None: there is no file. `path` is absolute and without links."""

    path: str
    before: bytes | None
    after: bytes | None

    def diff(self, project: str = "") -> str:
        """The difference in unified form; lines beyond 400 are counted only."""
        name = os.path.relpath(self.path, project) if project else self.path
        old, new = (_lines(content) for content in (self.before, self.after))
        if old is None or new is None:
            return f"{name}: no text; {_size(self.before)} before, {_size(self.after)} after"
        sides = ("/dev/null" if self.before is None else name, "/dev/null" if self.after is None else name)
        lines = list(difflib.unified_diff(old, new, *sides, lineterm=""))
        more = len(lines) - _SHOWN_LINES
        return "\n".join(lines[:_SHOWN_LINES] + ([f"… {more} lines more"] if more > 0 else []))


class ChangeRecord(Struct, frozen=True, kw_only=True):
    """A change that was made, and by whom. `before` and `after` are the sha256 of what the file held, "" for no file."""

    id: int
    project: str
    path: str
    before: str
    after: str
    time: float
    agent: str = ""
    conversation: str = ""
    mode: int | None = None
    state: State = "begun"
    format: int = 1


class ChangeLog:
    """The changes that were made to the files of a home's projects."""

    def __init__(self, home: Home, *, clock: Callable[[], float] = time.time) -> None:
        self._top, self._clock = home.changes, clock
        self._contents = home.changes / "contents"

    def made(self, project: str) -> list[ChangeRecord]:
        """Those of a project, the latest first; one that never came to be is left out."""
        return [record for record in self._records(project) if record.state != "begun" or self._came(record)]

    def apply(self, change: FileChange, project: str, *, agent: str = "", conversation: str = "") -> ChangeRecord:
        """Make a change, and remember how to take it back.

        Raises UsageError where the file is no longer what the change began with, StorageError or OSError where it cannot be written:
        nothing is changed then.
        """
        with self._changing(project):
            earlier = self._records(project)
            if change.before is not None:
                self._keep(change.before)
            if change.after is not None:
                self._keep(change.after)
            record = ChangeRecord(
                id=earlier[0].id + 1 if earlier else 1,
                project=project,
                path=change.path,
                before=_hash(change.before),
                after=_hash(change.after),
                time=self._clock(),
                agent=agent,
                conversation=conversation,
                mode=_mode(change.path),
            )
            self._write(record)
            try:
                put(change, mode=record.mode)
            except BaseException:
                self._place(record).unlink(missing_ok=True)
                raise
            record = replace(record, state="done")
            self._write(record)
            self._sweep(project)
        return record

    def undo(self, project: str, number: int | None = None) -> ChangeRecord:
        """Take back a change, the latest one where no `number` is given.

        Raises NotFound where there is none, UsageError where the file was changed since then: nothing is changed then.
        """
        with self._changing(project):
            known = [one for one in self.made(project) if one.state != "undone" and number in (None, one.id)]
            if not known:
                raise NotFound(
                    f"There is no change {number} to take back." if number else "There is no change to take back.",
                    hint="`omni undo --list` names those of this project.",
                )
            record = known[0]
            put(
                FileChange(path=record.path, before=self._content(record.after), after=self._content(record.before)),
                mode=record.mode,
            )
            record = replace(record, state="undone")
            self._write(record)
        return record

    def change_of(self, record: ChangeRecord) -> FileChange:
        """What a change did. Raises NotFound where its content is no longer kept."""
        return FileChange(path=record.path, before=self._content(record.before), after=self._content(record.after))

    # --- on the disk

    @contextmanager
    def _changing(self, project: str) -> Iterator[None]:
        """While no other process changes files of this project by way of Omni."""
        with storing(self._top):
            make_folder(self.folder_of(project))
            make_folder(self._contents)
        with locked(self.folder_of(project) / "lock"):
            yield

    def folder_of(self, project: str) -> Path:
        """Where the records of a project lie."""
        return self._top / sha256(os.fsencode(project)).hexdigest()[:16]

    def _place(self, record: ChangeRecord) -> Path:
        return self.folder_of(record.project) / f"{record.id:06}.json"

    def _records(self, project: str) -> list[ChangeRecord]:
        records = []
        for path in sorted(self.folder_of(project).glob("*.json"), reverse=True):
            with suppress(OSError, msgspec.DecodeError):  # one that is damaged hides no other
                records.append(msgspec.json.decode(path.read_bytes(), type=ChangeRecord))
        return records

    def _write(self, record: ChangeRecord) -> None:
        write_atomic(self._place(record), msgspec.json.encode(record))

    def _keep(self, content: bytes) -> None:
        if not (path := self._contents / _hash(content)).exists():
            write_atomic(path, content)

    def _content(self, digest: str) -> bytes | None:
        if not digest:
            return None
        try:
            content = (self._contents / digest).read_bytes()
        except OSError as error:
            raise NotFound("What the file held is no longer kept.", hint="Only the last changes are.") from error
        if _hash(content) != digest:
            raise BadFile(f"{self._contents / digest} is damaged; nothing was changed.")
        return content

    def _came(self, record: ChangeRecord) -> bool:
        """Whether a change that was begun and not ended is there: whoever made it was killed."""
        try:
            return _hash(_held(record.path)) == record.after
        except OSError:
            return False

    def _sweep(self, project: str) -> None:
        """Forget what is older than the last 200 changes, and the contents that only those had."""
        old = self._records(project)[KEPT:]
        if not old:
            return
        for record in old:
            self._place(record).unlink(missing_ok=True)
        used = {digest for path in self._top.glob("*/*.json") for digest in _digests(path)}
        for record in old:
            for digest in {record.before, record.after} - used - {""}:
                (self._contents / digest).unlink(missing_ok=True)


def put(change: FileChange, *, mode: int | None = None) -> None:
    """Write a file whole, or remove it, where it holds what the change begins with; no part of the path may be a link. One that holds
    what is to be is left alone.

    Raises UsageError where it holds something else, StorageError where the disk does not take it: nothing is changed then.
    """
    folder, name = os.path.split(change.path)
    try:
        if change.before is None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        at = open_without_links(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _put(change, at, name, mode)
        finally:
            os.close(at)
    except FileExistsError:
        raise UsageError(f"{change.path} came to be meanwhile, and was left as it is.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"The disk that holds {change.path} is full; nothing was changed.") from error
        raise StorageError(f"{change.path} cannot be written: {error.strerror}.") from error


def _put(change: FileChange, at: int, name: str, mode: int | None) -> None:
    beside = f".{name[:180]}.{uuid.uuid4().hex[:8]}"
    try:
        if change.after is not None:
            _write_whole(at, beside, change.after, mode)
        here = _held(name, at)
        if here == change.after:
            return
        if here != change.before:
            raise UsageError(
                f"{change.path} was changed meanwhile, and was left as it is.", hint="Read it again first."
            )
        if change.after is None:
            os.unlink(name, dir_fd=at)
        elif change.before is None:
            os.link(beside, name, src_dir_fd=at, dst_dir_fd=at, follow_symlinks=False)  # never over another one
        else:
            os.rename(beside, name, src_dir_fd=at, dst_dir_fd=at)
        os.fsync(at)
    finally:
        with suppress(OSError):
            os.unlink(beside, dir_fd=at)


def held(path: str) -> bytes | None:
    """What a file holds, None where there is none. Raises UsageError for what is no text file of bounded size, OSError."""
    try:
        content = _held(path)
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder, and a file is expected.") from None
    if content is not None and len(content) > LARGEST:
        raise UsageError(f"{path} has {len(content):,} bytes; tools read and change files of at most {LARGEST:,}.")
    return content


def _held(path: str, at: int | None = None) -> bytes | None:
    try:
        if at is None:
            descriptor = open_without_links(path, os.O_RDONLY)
        else:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise IsADirectoryError(path)
        return file.read(LARGEST + 1)


def _write_whole(at: int, name: str, content: bytes, mode: int | None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o666 if mode is None else 0o600, dir_fd=at)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if mode is not None:
            os.fchmod(descriptor, mode)
        os.fsync(descriptor)


def _mode(path: str) -> int | None:
    """The mode of a file that is there; a new one gets what the person's umask says."""
    try:
        return stat.S_IMODE(os.lstat(path).st_mode)
    except OSError:
        return None


def _digests(path: Path) -> set[str]:
    with suppress(OSError, msgspec.DecodeError):
        record = msgspec.json.decode(path.read_bytes(), type=ChangeRecord)
        return {record.before, record.after}
    return set()


def _hash(content: bytes | None) -> str:
    return "" if content is None else sha256(content).hexdigest()


def _lines(content: bytes | None) -> list[str] | None:
    if content is None:
        return []
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None


def _size(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content):,} bytes"
