"""Downloads that are whole or not there: resumed by byte range, hashed while they stream, renamed when they are right.

Until then the bytes lie in `TARGET.part`, which is also the lock: two processes that fetch the same target do it once,
and one that was killed leaves nothing else behind. Synchronous and standard library only: the airlock runs it in
threads, set-up runs it as it is.
"""

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from omni.airlock.local import local_path
from omni.airlock.net import NetSettings, public
from omni.airlock.wire import Cancelled, Interrupted, RemoteResponse, Watch, Wire
from omni.core.errors import BadFile, NetworkBlocked, NotFound, OmniError, StorageError
from omni.core.files import make_folder, require_space, storing, sync
from omni.core.locks import take_lock

Progress = Callable[[int, int | None], None]

_BLOCK = 1 << 18
_TRIES = 4  # in a row that brought nothing new
_ALL_TRIES = 50
_LONGEST_WAIT = 30.0  # seconds; a server that asks for more is asked again another day
_MARGIN = 1 << 20  # bytes of disk that a download leaves free
_MAX_SIZE = 1 << 43  # where nobody knows the size
_RANGE = re.compile(r"bytes (?:(\d{1,18})-\d{1,18}|\*)/(\d{1,18}|\*)")
_ETAG = "user.omni.etag"  # extended attribute of a part whose hash nobody knows


class Fetched(NamedTuple):
    """A file that is whole. `resumed` counts the bytes that were there already."""

    path: Path
    size: int
    sha256: str
    content_type: str = ""
    url: str = ""
    resumed: int = 0


class Page(NamedTuple):
    """A small answer held in memory; `url` is where redirects led."""

    data: bytes
    content_type: str
    url: str


def download(
    url: str,
    target: Path,
    *,
    net: NetSettings,
    size: int | None = None,
    sha256: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    watch: Watch | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Bring `url` to `target`. With a `sha256` a target that is already right is kept as it is, without any request.

    `progress(done, total)` is called after every block, `cancelled()` before it. A wrong hash or size is BadFile and
    leaves nothing; a full disk (StorageError), a lost connection (NetworkBlocked) or `Cancelled` leave `TARGET.part`, from
    which the next call goes on if a hash or the server's ETag proves that it is the same file. `file:` URLs are copied.
    """
    work = _Download(
        url,
        target,
        net=net,
        size=size,
        sha256=sha256.lower() if sha256 else None,
        headers=tuple(headers),
        progress=progress,
        cancelled=cancelled,
        watch=watch,
        pause=pause,
    )
    with storing(target):
        return work.run()


def already(
    target: Path, *, size: int | None, sha256: str, cancelled: Callable[[], bool] | None = None
) -> Fetched | None:
    """The target when it is there, of that size and with that hash; None when it must be fetched."""
    work = _Download("", target, net=NetSettings(), size=size, sha256=sha256.lower(), cancelled=cancelled)
    try:
        return work.already()
    except OSError as error:
        raise StorageError(f"{target} cannot be read: {error.strerror}.") from error


def page(
    url: str,
    *,
    net: NetSettings,
    headers: Iterable[tuple[str, str]] = (),
    limit: int = 64 << 20,
    cancelled: Callable[[], bool] | None = None,
    watch: Watch | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Page:
    """The content of a small `url`, at most `limit` bytes; a larger one is BadFile."""
    wire, patience = Wire(net, watch), _Patience(cancelled, pause)
    while True:
        data = bytearray()
        answer: RemoteResponse | None = None
        try:
            answer = wire.get(url, headers)
            _check_plain(answer)
            while block := answer.read(_BLOCK):
                data += block
                if len(data) > limit:
                    raise BadFile(f"{public(url)} is larger than {limit} bytes.")
                patience.look()
            answer.close()
            return Page(bytes(data), answer.content_type, answer.url)
        except Interrupted as error:
            patience.failed(error, 0)
        finally:
            if answer is not None:
                answer.close("cut")


class _Patience:
    """How often a failing server is asked again, and for how long it is left alone."""

    def __init__(self, cancelled: Callable[[], bool] | None, pause: Callable[[float], None]) -> None:
        self._cancelled, self._pause = cancelled, pause
        self._row = self._all = self._best = 0

    def look(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("The download was cancelled.", hint="Ask again; it goes on from there.")

    def rest(self, seconds: float) -> None:
        """Wait, looking now and then whether somebody cancels."""
        while seconds > 0:
            self.look()
            self._pause(min(seconds, 0.1))
            seconds -= 0.1
        self.look()

    def failed(self, error: Interrupted, done: int) -> None:
        """Wait, or raise the error when it is enough."""
        self.look()
        self._row = 0 if done > self._best else self._row + 1
        self._best, self._all = max(done, self._best), self._all + 1
        if self._row >= _TRIES or self._all >= _ALL_TRIES or error.after > _LONGEST_WAIT:
            raise error
        self.rest(max(error.after, 0.25 * 2**self._row))


class _Download:
    def __init__(
        self,
        url: str,
        target: Path,
        *,
        net: NetSettings,
        size: int | None,
        sha256: str | None,
        headers: tuple[tuple[str, str], ...] = (),
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        watch: Watch | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url, self._target, self._size, self._sha256, self._headers = url, target, size, sha256, headers
        self._part = target.with_name(target.name + ".part")
        self._progress = progress or (lambda done, total: None)  # noqa: ARG005 - nobody listens
        self._patience = _Patience(cancelled, pause)
        self._wire = Wire(net, watch)
        self._file = -1
        self._done = 0
        self._hash = hashlib.sha256()
        self._type, self._from = "", public(url)

    def run(self) -> Fetched:
        if self._sha256 and (fetched := self.already()):
            return fetched
        make_folder(self._target.parent)
        with self._locked() as waited:
            # Somebody else may have finished it in the meantime.
            if (waited or self._sha256) and (fetched := self.already()):
                self._part.unlink(missing_ok=True)
                return fetched
            return self._finish(self._copied() if self._url.startswith("file:") else self._fetched())

    def _fetched(self) -> int:
        resumed = self._take_up()
        while True:
            try:
                while self._size is None or self._done < self._size:
                    if self._request():
                        break
            except Interrupted as error:
                self._patience.failed(error, self._done)
                continue
            if self._sha256 in (None, self._hash.hexdigest()):
                return resumed
            self._restart()
            if not resumed:
                self._part.unlink(missing_ok=True)
                raise BadFile(
                    f"{public(self._url)} has another content than expected: its sha256 is wrong.",
                    hint="Nothing was kept. Try another source, or again later.",
                )
            resumed = 0  # what lay here may have been wrong: once more, from the first byte

    def _take_up(self) -> int:
        """Read what an earlier run left, if it can be proved to belong to the same file."""
        there = os.fstat(self._file).st_size
        if there == 0:
            return 0
        if (self._sha256 is None and not self._etag()) or there > (_MAX_SIZE if self._size is None else self._size):
            self._restart()
            return 0
        while block := os.pread(self._file, _BLOCK, self._done):
            self._patience.look()
            self._hash.update(block)
            self._done += len(block)
        return self._done

    def _request(self) -> bool:
        """Ask once for what is missing; True when the end was reached, False to ask again from where `_done` is now."""
        headers = list(self._headers)
        if asked := self._done:
            headers.append(("Range", f"bytes={self._done}-"))
            if self._sha256 is None:
                if not (etag := self._etag()):
                    self._restart()
                    return False
                headers.append(("If-Range", etag))
        self._patience.look()
        answer = self._wire.get(self._url, headers, checked=self._sha256 is not None)
        try:
            named = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
            if asked and answer.status == 416 and named and named[1] is None and named[2] == str(asked):
                answer.close()
                return True  # there is nothing behind what is here
            if asked and answer.status != 206:
                self._restart()
            elif answer.status == 206 and not (asked and named and named[1] == str(asked)):
                self._restart()
                if not asked:
                    raise NetworkBlocked(f"{public(self._url)} answers with a part that nobody asked for.")
                return False
            if answer.status == 416:
                if not asked:
                    raise NetworkBlocked(f"{public(self._url)} answers that it has no such part.")
                return False
            total = self._size if answer.length is None else self._done + answer.length
            if answer.status == 206 and named and named[2] != "*":
                total = int(named[2])
            self._expect(answer, total)
            self._type, self._from = answer.content_type, answer.url
            if self._sha256 is None:
                self._keep_etag(answer.headers.get("ETag", ""))
            self._stream(answer, total)
            answer.close()
        finally:
            answer.close("cut")
        return True

    def _expect(self, answer: RemoteResponse, total: int | None) -> None:
        """Refuse what cannot be right, or cannot be kept, before any of it comes."""
        _check_plain(answer)
        if self._size is not None and total is not None and total != self._size:
            self._restart()
            self._part.unlink(missing_ok=True)
            raise BadFile(f"{public(self._url)} has {total} bytes; {self._size} were expected.")
        need = (total or 0) - self._done
        if need > 0:
            require_space(self._target.parent, need + _MARGIN)

    def _stream(self, answer: RemoteResponse, total: int | None) -> None:
        most = self._size if self._size is not None else _MAX_SIZE
        self._progress(self._done, total)
        while block := answer.read(_BLOCK):
            if self._done + len(block) > most:
                self._restart()
                self._part.unlink(missing_ok=True)
                answer.close("cut: too long")
                raise BadFile(f"{public(self._url)} sends more than the {most} bytes that were expected.")
            self._write(block)
            self._progress(self._done, total)
            self._patience.look()
        if self._done < (total if total is not None else self._size or 0):
            raise Interrupted(f"The download of {public(self._url)} ended too early.")

    def _copied(self) -> int:
        """A file of this machine; what lies in the part is not trusted, copying is quick."""
        self._restart()
        try:
            with local_path(self._url).open("rb") as source:
                total = os.fstat(source.fileno()).st_size
                if self._size not in (None, total):
                    raise BadFile(f"{source.name} has {total} bytes; {self._size} were expected.")
                while block := source.read(_BLOCK):
                    self._patience.look()
                    self._write(block)
                    self._progress(self._done, total)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            self._part.unlink(missing_ok=True)
            raise NotFound(f"{local_path(self._url)} is not there.") from error
        except OmniError:
            self._part.unlink(missing_ok=True)
            raise
        if self._sha256 not in (None, self._hash.hexdigest()):
            self._part.unlink(missing_ok=True)
            raise BadFile(f"{local_path(self._url)} has another content than expected: its sha256 is wrong.")
        return 0

    def _finish(self, resumed: int) -> Fetched:
        with suppress(OSError, AttributeError):
            os.removexattr(self._file, _ETAG)
        os.fsync(self._file)
        self._part.replace(self._target)
        sync(self._target.parent)  # the new name, too, survives a power cut
        return Fetched(self._target, self._done, self._hash.hexdigest(), self._type, self._from, resumed)

    @contextmanager
    def _locked(self) -> Iterator[bool]:
        """Open the part and hold its lock; yields whether another held it first."""
        waited = False
        while True:
            self._patience.look()
            held = take_lock(self._part)
            if held is None:
                waited = True
                with suppress(FileNotFoundError):
                    self._progress(self._part.stat().st_size, self._size)
                self._patience.rest(0.1)
                continue
            self._file = held
            try:
                if not stat.S_ISREG(os.fstat(self._file).st_mode):
                    raise StorageError(f"{self._part} is in the way: it is no file.", hint="Remove it and try again.")
                if not self._is_ours():  # it was renamed or removed before we got the lock
                    continue
                yield waited
                return
            finally:
                os.close(self._file)
                self._file = -1

    def _is_ours(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.lstat(self._part))
        except FileNotFoundError:
            return False

    def already(self) -> Fetched | None:
        """The target, when it is there and right."""
        try:
            with self._target.open("rb") as file:
                size, digest = os.fstat(file.fileno()).st_size, hashlib.sha256()
                if self._size not in (None, size):
                    return None
                while block := file.read(_BLOCK):
                    self._patience.look()
                    digest.update(block)
        except (FileNotFoundError, IsADirectoryError):
            return None
        if self._sha256 not in (None, digest.hexdigest()):
            return None
        self._progress(size, size)
        return Fetched(self._target, size, digest.hexdigest(), self._type, self._from, size)

    def _restart(self) -> None:
        os.ftruncate(self._file, 0)
        with suppress(OSError, AttributeError):
            os.removexattr(self._file, _ETAG)
        self._done, self._hash = 0, hashlib.sha256()

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            count = os.pwrite(self._file, rest, self._done)
            self._hash.update(rest[:count])
            self._done += count
            rest = rest[count:]

    def _etag(self) -> str:
        """The strong ETag that came with the bytes in the part; empty where there was none, or no room for it."""
        try:
            url, _, etag = os.getxattr(self._file, _ETAG).decode().partition("\n")
        except (OSError, AttributeError, UnicodeDecodeError):  # macOS has no such call
            return ""
        return etag if url == public(self._url) else ""

    def _keep_etag(self, etag: str) -> None:
        with suppress(OSError, AttributeError):
            if etag.startswith('"') and len(etag) < 1024:
                os.setxattr(self._file, _ETAG, f"{public(self._url)}\n{etag}".encode())
            else:
                os.removexattr(self._file, _ETAG)


def _check_plain(answer: RemoteResponse) -> None:
    if answer.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        answer.close("cut: encoded")
        raise BadFile(f"{public(answer.url)} comes compressed, though it was asked for as it is.")
