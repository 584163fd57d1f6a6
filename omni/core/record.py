"""Audit records: lines are added, and nothing is ever changed, put aside or removed.

Each line ends with its own hash: SHA-256 over the hash of the line before it and all of the line up to the hash. So no line
can be changed, put in, or taken out without all after it being written anew. A file that is long enough is followed by the
next number, whose first line follows the last of the file before. `NAME.head` says where the record ends, so that a cut
at the end shows, too; it is also the lock by which those who write take turns. Without a key a chain cannot
hold who may write to the home and computes all of it anew; it shows what a hand, a tool or a broken disk did.

Standard library only.
"""

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.files import make_folder
from omni.core.locks import take_lock

LIMIT = 1 << 20  # bytes; then a new file begins
FIRST = "0" * 64  # what the first line of all follows

_HASH = re.compile(rb'(\{.*), "hash": "([0-9a-f]{64})"\}')
_HEAD = re.compile(rb"(\d{6}) (\d{12}) ([0-9a-f]{64})\n")
_TAIL = 1 << 18  # bytes; more than any line has


class Place(NamedTuple):
    """Where a record ends, and the hash of its last line."""

    file: int
    size: int
    hash: str


class Verification(NamedTuple):
    """What a look at every line has shown. `faults` is empty when the chain is whole."""

    lines: int  # of the chain
    files: int
    unchained: int  # of builds that wrote no hashes
    torn: list[str]  # lines that a sudden end left unfinished, and that the chain goes around
    faults: list[str]


class AuditRecord:
    """The record `NAME` in a folder: `NAME-000001.jsonl` and on, and `NAME.head`. `unchained` names older files without hashes,
    oldest first: they are read, and stay."""

    def __init__(self, folder: Path, name: str, *, unchained: Sequence[str] = ()) -> None:
        self._folder, self._name, self._unchained = folder, name, unchained

    def add(self, fields: Mapping[str, Any], *, limit: int = LIMIT) -> str:
        """Add a line, and return its hash. Raises OSError, and has added nothing then."""
        make_folder(self._folder)
        with self._locked() as lock:
            assert lock is not None
            head = _head(lock)
            end, torn = self._end(head)
            if head is None and self._holds_more_than_one_line():
                fields = {**fields, "head": "missing"}  # else a cut end would be made good here
            number = end.file + 1 if end.size >= limit and not torn else end.file
            body = json.dumps({**fields, **({"torn": torn} if torn else {})}).encode()[:-1]
            line_hash = chained(end.hash, body)
            line = (b"\n" if torn else b"") + body + b', "hash": "%s"}\n' % line_hash.encode()
            file = os.open(self._numbered(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                size = os.lseek(file, 0, os.SEEK_END)
                try:
                    if os.pwrite(file, line, size) != len(line):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.pwrite(lock, b"%06d %012d %s\n" % (number, size + len(line), line_hash.encode()), 0)
                except OSError:
                    os.ftruncate(file, size)
                    raise
            finally:
                os.close(file)
            return line_hash

    def files(self) -> list[Path]:
        """All files of the record, oldest first."""
        return self._before() + self._chain()

    def verify(self) -> Verification:
        """Read every line, and say whether each follows the one before it and the end is there. Raises OSError."""
        if not self._folder.is_dir():
            return Verification(0, 0, 0, [], [])
        with self._locked(to_read=True) as lock:
            head = _head(lock)
            sizes = {path: path.stat().st_size for path in self._chain()}
        unchained = sum(1 for path in self._before() for line in path.read_bytes().splitlines() if line.strip())
        look = _ChainReader(self._name, head)
        for path, size in sizes.items():
            look.read(path, _number(path), size)
        look.end()
        return Verification(look.lines, len(sizes), unchained, look.torn, look.faults)

    @contextmanager
    def _locked(self, *, to_read: bool = False) -> Iterator[int | None]:
        """The head, locked; None where it is only to be read and is not there."""
        lock = None
        with suppress(FileNotFoundError):
            lock = take_lock(self._folder / f"{self._name}.head", wait=True, shared=to_read, make=not to_read)
        try:
            yield lock
        finally:
            if lock is not None:
                os.close(lock)

    def _end(self, head: Place | None) -> tuple[Place, int]:
        """Where the record goes on, and how long an unfinished line there is.

        A writer that died between its line and the head left more than the head tells of: the next line follows the last whole
        one. Where there is less, the next line still follows what the head knows: nobody makes good what was taken away.
        """
        if head is not None and self._size(head.file) == head.size and self._size(head.file + 1) is None:
            return head, 0
        files = self._chain()
        newest = _number(files[-1]) if files else 1
        size = self._size(newest) or 0
        last, torn = FIRST, 0
        for path in reversed(files[-2:]):  # the newest may hold nothing but an unfinished line
            lines = _lines(_tail(path))
            if path == files[-1] and lines and not lines[-1].endswith(b"\n"):
                torn = len(lines.pop())
            if whole := [parts for line in lines if (parts := _HASH.fullmatch(line.removesuffix(b"\n")))]:
                last = whole[-1][2].decode()
                break
        if head is None or (newest, size) > (head.file, head.size):
            return Place(newest, size, last), torn
        return (head._replace(size=size), torn) if newest == head.file else (head._replace(size=0), 0)

    def _holds_more_than_one_line(self) -> bool:
        """Whether there must be a head: the writer of the very first line may have died before it wrote that."""
        files = self._chain()
        return len(files) > 1 or any(len(_lines(_tail(path))) > 1 for path in files)

    def _size(self, number: int) -> int | None:
        try:
            return self._numbered(number).stat().st_size
        except FileNotFoundError:
            return None

    def _before(self) -> list[Path]:
        return [path for name in self._unchained if (path := self._folder / name).exists()]

    def _chain(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._name}-{'[0-9]' * 6}.jsonl"))

    def _numbered(self, number: int) -> Path:
        return self._folder / f"{self._name}-{number:06d}.jsonl"


def chained(before: str, body: bytes) -> str:
    """The hash of a line whose text up to the hash is `body` and which follows a line of the hash `before`."""
    from hashlib import sha256  # loads all of OpenSSL, which an airlock without a door need not have

    return sha256(before.encode() + body).hexdigest()


class _ChainReader:
    """The chain as it is read, file by file."""

    def __init__(self, name: str, head: Place | None) -> None:
        self.lines = 0
        self.torn: list[str] = []
        self.faults: list[str] = []
        self._name, self._head, self._hash, self._number = name, head, FIRST, 0
        self._reached_head = False
        self._unread: tuple[str, bytes] | None = None  # where there is a line without a hash, and what it says

    def read(self, path: Path, number: int, size: int) -> None:
        """The next file, as far as it went when the look began."""
        if number != self._number + 1:
            self.faults.append(f"{path.name}: the {number - self._number - 1} files before it are missing")
        self._number, at = number, 0
        with path.open("rb") as file:
            for count, line in enumerate(_lines(file.read(size)), 1):
                at += len(line)
                self._line(f"{path.name}, line {count}", line, at)

    def _line(self, where: str, line: bytes, end: int) -> None:
        parts = _HASH.fullmatch(line.removesuffix(b"\n"))
        fields = parsed(line) if parts else None
        if parts is None or fields is None:
            self._not_torn()
            self._unread = (where, line)
            return
        self.lines += 1
        if self._unread is not None and fields.get("torn") == len(self._unread[1].removesuffix(b"\n")):
            self.torn.append(self._unread[0])
            self._unread = None
        self._not_torn()
        line_hash = parts[2].decode()
        if chained(self._hash, parts[1]) != line_hash:
            self.faults.append(f"{where}: it was changed, or what stood before it was changed or taken away")
        if fields.get("head") == "missing":
            self.faults.append(
                f"{where}: {self._name}.head was missing by then, so what stood before may have been cut"
            )
        self._hash = line_hash
        self._reached_head = self._reached_head or Place(self._number, end, line_hash) == self._head

    def _not_torn(self) -> None:
        if self._unread is not None:
            self.faults.append(f"{self._unread[0]}: it has no hash")
            self._unread = None

    def end(self) -> None:
        """Whether the last line is the last that was written."""
        if self._unread is not None and not self._unread[1].endswith(b"\n"):  # of a writer that died
            self.torn.append(self._unread[0])
        else:
            self._not_torn()
        if self._head is None and self.lines:
            self.faults.append(f"{self._name}.head: it is missing or damaged, so the end of the record may be, too")
        elif self._head is not None and not self._reached_head:
            self.faults.append(f"{self._name}-{self._head.file:06d}.jsonl: its end is missing or was changed")


def _head(lock: int | None) -> Place | None:
    parts = _HEAD.fullmatch(os.pread(lock, 256, 0)) if lock is not None else None
    return Place(int(parts[1]), int(parts[2]), parts[3].decode()) if parts else None


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read()


def _lines(data: bytes) -> list[bytes]:
    """With their ends; split at line feeds alone, as no line was written with another."""
    return [line for line in re.split(rb"(?<=\n)", data) if line]


def _number(path: Path) -> int:
    """Of a file of the chain."""
    return int(path.stem.rpartition("-")[2])


def parsed(line: bytes) -> dict[str, Any] | None:
    """What a line says; None where it is no JSON object."""
    with suppress(ValueError, RecursionError):
        fields = json.loads(line)
        return fields if isinstance(fields, dict) else None
    return None
