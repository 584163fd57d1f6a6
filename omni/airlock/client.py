"""Asking the airlock: one connection an order, whose end is the order's end."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from omni.airlock.fetch import Fetched, Page, already, download
from omni.airlock.index import ACCEPT, MAX_PAGE, IndexFile, search
from omni.airlock.listen import DRAIN, PortTaken
from omni.airlock.local import is_local
from omni.airlock.net import NetSettings, net_settings
from omni.airlock.orders import MAX_LINE
from omni.airlock.wire import Cancelled
from omni.core.errors import NetworkBlocked, OmniError, error_from_wire

if TYPE_CHECKING:
    from omni.keeper import KeeperClient

Purpose = Literal["install", "pull", "engine", "serve"]

_BEAT = 0.1  # seconds between two events of a copy
_MEMORY = 5.0  # seconds that the rate looks back


class FetchProgress(Struct, frozen=True, kw_only=True):
    """How far a download is: bytes, and bytes a second over the last seconds. The last one carries what was `fetched`."""

    done: int
    total: int | None = None
    rate: float = 0.0
    fetched: Fetched | None = None


class Listening:
    """A public address that the airlock holds for this process, which relays as long as this is open."""

    def __init__(self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.host, self.port = host, port
        self._reader, self._writer = reader, writer

    async def ended(self) -> None:
        """Return when the address is lost: the airlock was ended, or the air gap is on."""
        with suppress(OSError):
            while await self._reader.read(4096):
                pass

    def drain(self) -> None:
        """Accept nothing new; what is open goes on until `close`."""
        if not self._writer.is_closing():
            self._writer.write(DRAIN)

    async def close(self) -> None:
        """Give the address back and cut what is still open."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


class AirlockClient:
    """The airlock as a front end uses it. `net` is how this user reaches the network, read at the first use."""

    def __init__(self, keeper: "KeeperClient", *, net: NetSettings | None = None) -> None:
        self._keeper, self._net = keeper, net

    async def net(self) -> NetSettings:
        """The settings of this user's pip and environment. Raises SetupError when they cannot be understood."""
        if self._net is None:
            self._net = await asyncio.to_thread(net_settings)
        return self._net

    async def fetch(
        self,
        url: str,
        target: Path,
        *,
        purpose: Purpose,
        size: int | None = None,
        sha256: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> AsyncGenerator[FetchProgress, None]:
        """Bring `url` to `target`, which lies in the home; see `fetch.download`. Closing the iterator cancels.

        A target that is already right and a `file:` URL need no door, and work with the air gap on. Raises NetworkBlocked,
        NotFound, BadFile, StorageError, SetupError; a download that was cut goes on when it is asked for again.
        """
        speed = _TransferRate()
        if sha256 and (fetched := await _in_thread(partial(already, target, size=size, sha256=sha256))):
            yield FetchProgress(done=fetched.size, total=fetched.size, fetched=fetched)
            return
        if is_local(url):
            copying = self._copy(url, target, size, sha256)
            try:
                async for event in copying:
                    yield event
            finally:
                await copying.aclose()
            return
        order = {"target": str(target), "size": size, "sha256": sha256}
        reader, writer = await self._order(url, purpose, headers, order)
        try:
            while True:
                line = await _line(reader)
                if "progress" in line:
                    done, total = line["progress"]
                    yield FetchProgress(done=done, total=total, rate=speed.at(done))
                else:
                    fetched = Fetched(**{**line["done"], "path": Path(line["done"]["path"])})
                    yield FetchProgress(
                        done=fetched.size, total=fetched.size, rate=speed.at(fetched.size), fetched=fetched
                    )
                    return
        finally:
            writer.close()

    async def page(
        self, url: str, *, purpose: Purpose, headers: Iterable[tuple[str, str]] = (), limit: int = MAX_PAGE
    ) -> Page:
        """The content of a small `url`, at most `limit` bytes."""
        reader, writer = await self._order(url, purpose, headers, {"limit": limit})
        try:
            head = (await _line(reader))["page"]
            data = await reader.readexactly(head["length"])
        except (asyncio.IncompleteReadError, OSError) as error:
            raise _ended() from error
        finally:
            writer.close()
        return Page(data, head["content_type"], head["url"])

    async def find(
        self,
        project: str,
        *,
        purpose: Purpose,
        wanted: Callable[[IndexFile], bool] = lambda file: True,  # noqa: ARG005 - all of them
    ) -> list[IndexFile]:
        """The wanted files of a project, from the first of the user's indexes that offers any; see `index.search`."""
        steps = search(project, await self.net(), wanted)
        error: OmniError | None = None
        answer: Page | None = None
        while True:
            try:
                url = await asyncio.to_thread(_advance, steps, answer, error)
            except _Found as done:
                return done.files
            answer = error = None
            try:
                answer = await self.page(url, purpose=purpose, headers=(("Accept", ACCEPT),))
            except OmniError as failure:
                error = failure

    async def listen(
        self, host: str, port: int, upstream: Path, *, certificate: tuple[Path, Path] | None = None
    ) -> "Listening":
        """Have the airlock listen on a public address and relay to the Unix socket `upstream`, until that is closed.

        With a `certificate` and its key the connections are encrypted. Raises PortTaken, which says who has the port,
        SetupError, and NetworkBlocked while the air gap is on.
        """
        tls = {"cert": str(certificate[0]), "key": str(certificate[1])} if certificate else None
        order = {"host": host, "port": port, "socket": str(upstream), "tls": tls}
        reader, writer = await self._send("serve", {"listen": order})
        try:
            where = (await _line(reader))["listening"]
        except BaseException:
            writer.close()
            raise
        return Listening(where[0], where[1], reader, writer)

    async def _order(
        self, url: str, purpose: Purpose, headers: Iterable[tuple[str, str]], more: dict[str, Any]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        net = await self.net()
        order = {"url": url, "headers": [list(pair) for pair in headers], "net": net.plain()}
        return await self._send(purpose, order | more)

    async def _send(self, purpose: Purpose, order: dict[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for last in (False, True):
            ticket = await self._keeper.door(purpose)
            try:
                reader, writer = await asyncio.open_unix_connection(ticket.socket, limit=MAX_LINE)
            except OSError as error:  # it ended since the keeper gave the ticket
                if last:
                    raise _ended() from error
                continue
            writer.write(json.dumps({"token": ticket.token} | order).encode() + b"\n")
            with suppress(OSError):  # what it has to say is read below
                await writer.drain()
            return reader, writer
        raise _ended()

    async def _copy(
        self, url: str, target: Path, size: int | None, sha256: str | None
    ) -> AsyncGenerator[FetchProgress, None]:
        speed, seen, over = _TransferRate(), [0, None], False

        def progress(done: int, total: int | None) -> None:
            seen[:] = [done, total]

        work = asyncio.create_task(
            asyncio.to_thread(
                download,
                url,
                target,
                net=NetSettings(),
                size=size,
                sha256=sha256,
                progress=progress,
                cancelled=lambda: over,
            )
        )
        try:
            while not (await asyncio.wait({work}, timeout=_BEAT))[0]:
                yield FetchProgress(done=seen[0] or 0, total=seen[1], rate=speed.at(seen[0] or 0))
            fetched = work.result()
            yield FetchProgress(done=fetched.size, total=fetched.size, rate=speed.at(fetched.size), fetched=fetched)
        finally:
            over = True
            if not work.done():
                with suppress(OmniError):
                    await work


class _Found(Exception):
    def __init__(self, files: list[IndexFile]) -> None:
        super().__init__()
        self.files = files


def _advance(steps: Any, answer: Page | None, error: OmniError | None) -> str:
    """The next address to ask; StopIteration cannot leave a thread, so the end is an exception of its own."""
    try:
        return str(steps.throw(error) if error is not None else steps.send(answer))
    except StopIteration as end:
        raise _Found(end.value) from None


class _TransferRate:
    """Bytes a second over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def at(self, done: int) -> float:
        now = time.monotonic()
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()  # it began again
        self._marks.append((now, done))
        while now - self._marks[0][0] > _MEMORY and len(self._marks) > 2:
            self._marks.popleft()
        seconds = now - self._marks[0][0]
        return (done - self._marks[0][1]) / seconds if seconds > 0 else 0.0


async def _in_thread(work: Callable[..., Fetched | None]) -> Fetched | None:
    """Run `work` in a thread that looks whether the task was cancelled."""
    over = False
    try:
        return await asyncio.to_thread(work, cancelled=lambda: over)
    except Cancelled:
        return None
    finally:
        over = True


async def _line(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The next line of the airlock. Raises what it says went wrong."""
    try:
        data = await reader.readline()
    except (OSError, ValueError) as error:
        raise _ended() from error
    if not data.endswith(b"\n"):
        raise _ended()
    line: dict[str, Any] = json.loads(data)
    if "taken" in line:
        raise PortTaken(line["error"]["message"], hint=line["error"]["hint"], by=line["taken"])
    if "error" in line:
        raise error_from_wire(line["error"])
    return line


def _ended() -> NetworkBlocked:
    return NetworkBlocked(
        "The airlock ended before the download was whole.", hint="Ask again: it goes on from where it stopped."
    )
