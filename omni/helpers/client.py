"""A front end's side: a request to a plug-in's process, as a job that anybody may watch and stop.

What comes from there is foreign. It is bounded here: the size of a message, how many values, how much in all, how often
progress. A process that sends more, hangs after it was told to stop, or sends what is no message is ended, and who asked
reads why.
"""

import asyncio
import base64
import ipaddress
import socket
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from omni.core.clean import clean
from omni.core.errors import EngineError, NetworkBlocked, OmniError, UsageError, error_to_wire
from omni.core.paths import Home
from omni.core.process_kinds import granted_kinds
from omni.helpers.channel import MAX_MESSAGE
from omni.helpers.values import HelperAnswer, HelperEvent, HelperProgress, HelperValue, HelperWaiting
from omni.keeper import Loading

if TYPE_CHECKING:
    from omni.jobs import Job, Jobs
    from omni.keeper import KeeperClient, WorkerTurn

TAKING = 10.0  # seconds for the process to take a request, once it is this one's turn
LOOKS = 1.0  # seconds between looks whether the process lives, whose line a child may hold open
STOPPING = 3.0  # seconds for it to come to an end when it was told to
NOTICED = 20  # looks, twenty a second, until the keeper has seen the end of a process
MOST_VALUES = 10_000
MOST_BYTES = 64 << 20  # of all values of one request
OFTEN, BURST = 100.0, 1000  # reports of progress in a second, and how many more once
MOST_PAGE, MOST_PAGES = 4 << 20, 1000  # bytes of one, and how many for one request
LONGEST_URL = 8192  # characters

Fetch = Callable[[str, int], Awaitable[tuple[bytes, str, str]]]


class _PageWish(msgspec.Struct):
    """A page that it wants."""

    id: int
    url: str


class _Failure(msgspec.Struct):
    """Why it cannot do what was asked."""

    message: str
    hint: str = ""


class _HelperMessage(msgspec.Struct, kw_only=True):
    """Whatever the process sends; one of them is set."""

    began: bool = False
    progress: tuple[float, float, str] | None = None
    value: Any = msgspec.UNSET
    page: _PageWish | None = None
    answer: Any = msgspec.UNSET
    failed: _Failure | None = None


class _OutOfHand(Exception):
    """It does what it may not, in words."""


class Helpers:
    """The processes of plug-ins, as a front end uses them. `fetch` brings a page through the airlock: its URL and the most
    bytes that it may have become the bytes, their media type and the last URL."""

    def __init__(
        self, home: Home, jobs: "Jobs", keeper: "Callable[[], Awaitable[KeeperClient]]", *, fetch: Fetch
    ) -> None:
        self._home, self._jobs, self._keeper, self._fetch = home, jobs, keeper, fetch

    def run(self, kind: str, value: Any = None) -> "Job[HelperEvent]":
        """Give the process PLUGIN.KIND one request, with any JSON; it is started where it does not live.

        The job ends with a HelperAnswer. Its events raise UsageError for what is no JSON or too long, NotFound for what was
        not granted, BadFile where nobody can tell what was, EngineError for what went wrong there. Stopping it cancels
        the request, and ends a process that does not stop.
        """
        return self._jobs.begin(
            "helper", kind, lambda _: self._events(kind, value), latest=(HelperWaiting, HelperProgress)
        )

    async def _events(self, kind: str, value: Any) -> AsyncGenerator[HelperEvent]:
        value = _encoded(value)
        keeper = await self._keeper()
        for again in (False, True):
            async with keeper.helper(kind) as turn:
                async for state in turn.waiting():
                    yield HelperWaiting(text="it is being started" if isinstance(state, Loading) else state.detail)
                run = _Run(kind, turn, keeper, self._page)
                try:
                    async with aclosing(run.events(value)) as events:
                        async for event in events:
                            yield event
                    return
                except EngineError:
                    # A process that still hangs over the request of another one, and ends for it, is not this one's fault.
                    if run.began or again:
                        raise

    async def _page(self, kind: str, url: str) -> dict[str, Any]:
        """What is sent back for the wish for a page."""
        try:
            _, kinds = await asyncio.to_thread(granted_kinds, self._home)
            if kind not in kinds or "pull" not in kinds[kind].doors:
                raise NetworkBlocked(f"{kind} was not granted the door pull.", hint="Its plug-in can ask for it.")
            data, media, final = await self._fetch(_outside(url), MOST_PAGE)
        except OmniError as error:
            return {"error": error_to_wire(error)}
        return {"data": base64.b64encode(data).decode(), "media": media, "url": final}


class _Run:
    """One request on its line."""

    def __init__(
        self,
        kind: str,
        turn: "WorkerTurn",
        keeper: "KeeperClient",
        page: Callable[[str, str], Awaitable[dict[str, Any]]],
    ) -> None:
        self._kind, self._turn, self._keeper, self._page = kind, turn, keeper, page
        self._values = self._bytes = self._reports = self._pages = 0
        self.began = False  # whether the process has taken the request
        self._since = time.monotonic()

    async def events(self, value: msgspec.Raw) -> AsyncGenerator[HelperEvent]:
        """Ask, and tell what comes back; told to stop, it has stopped when this ends."""
        try:
            reader, self._writer = await asyncio.open_unix_connection(self._turn.socket, limit=MAX_MESSAGE + 1)
        except OSError as error:
            raise await self._ended() from error
        watch = asyncio.create_task(self._watch(), name="helper")
        try:
            self._send({"key": self._turn.key, "value": value})
            await self._taken(reader)
            while True:
                event = await self._event(reader)
                if event is not None:
                    yield event
                if isinstance(event, HelperAnswer):
                    return
        except _OutOfHand as error:
            await self._end()
            raise EngineError(f"{self._kind} {error}, so that its process was ended.") from None
        except (asyncio.CancelledError, GeneratorExit):
            await self._stop(reader)
            raise
        finally:
            watch.cancel()
            self._writer.close()

    async def _watch(self) -> None:
        """Hang up when the process has ended: a child that it left may hold its end of the line."""
        ended = False
        while not ended:
            await asyncio.sleep(LOOKS)
            ended = await self._keeper.fate(self._turn.socket) is not None
        await asyncio.sleep(LOOKS)  # for what it said at last
        self._writer.transport.abort()

    async def _taken(self, reader: asyncio.StreamReader) -> None:
        """Wait until it has begun."""
        try:
            async with asyncio.timeout(TAKING):
                await self._event(reader)
        except TimeoutError:
            raise _OutOfHand(f"did not take the request within {TAKING:g} s") from None

    async def _event(self, reader: asyncio.StreamReader) -> HelperEvent | None:
        """The next thing that it tells; None for what is no event. Raises what it says went wrong."""
        message, size = await self._message(reader)
        if not self.began:
            if not message.began:
                raise _OutOfHand("sent what is no message")
            self.began, self._since = True, time.monotonic()
            return None
        if message.failed is not None:
            raise EngineError(f"{self._kind}: {_words(message.failed.message)}", hint=_words(message.failed.hint))
        if message.answer is not msgspec.UNSET:
            return HelperAnswer(value=message.answer)
        if message.value is not msgspec.UNSET:
            self._values, self._bytes = self._values + 1, self._bytes + size
            if self._values > MOST_VALUES or self._bytes > MOST_BYTES:
                raise _OutOfHand(f"sent more than {MOST_VALUES:,} values or {MOST_BYTES >> 20} MB")
            return HelperValue(value=message.value)
        if message.progress is not None:
            self._reports += 1
            if self._reports > BURST + OFTEN * (time.monotonic() - self._since):
                raise _OutOfHand(f"told its progress more than {OFTEN:g} times in a second")
            done, total, text = message.progress
            return HelperProgress(done=done, total=total, text=_words(text))
        if message.page is not None:
            self._pages += 1
            if self._pages > MOST_PAGES:
                raise _OutOfHand(f"wanted more than {MOST_PAGES:,} pages")
            self._send({"page": {"id": message.page.id, **await self._page(self._kind, message.page.url)}})
            with suppress(OSError):  # reading tells what has become of it
                await self._writer.drain()  # one that reads none of its pages gets no more of them
            return None
        raise _OutOfHand("sent what is no message")

    async def _message(self, reader: asyncio.StreamReader) -> tuple[_HelperMessage, int]:
        """What it sends next, and how long that is. Raises EngineError at the end of the line, and _OutOfHand."""
        try:
            line = await reader.readline()
        except ValueError:
            raise _OutOfHand(f"sent a message of more than {MAX_MESSAGE >> 20} MB") from None
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise await self._ended()
        try:
            return msgspec.json.decode(line, type=_HelperMessage), len(line)
        except (msgspec.DecodeError, RecursionError):
            raise _OutOfHand("sent what is no message") from None

    async def _ended(self) -> EngineError:
        """Why there is no more to come."""
        fate = None
        for _ in range(NOTICED):
            if (fate := await self._keeper.fate(self._turn.socket)) is not None:
                break
            await asyncio.sleep(0.05)  # its line ends before it does
        how = (fate.stopped or fate.how) if fate is not None else "it has ended"
        return EngineError(
            f"The process {self._kind} has gone before its answer: {how}.", hint=_words(fate.log) if fate else ""
        )

    async def _stop(self, reader: asyncio.StreamReader) -> None:
        """Tell it to stop; end it where it does not."""
        self._send({"cancel": True})
        try:
            async with asyncio.timeout(STOPPING):
                while not isinstance(await self._event(reader), HelperAnswer):
                    pass
        except (TimeoutError, _OutOfHand):
            await self._end()
        except OmniError:  # that is an end, too
            pass

    async def _end(self) -> None:
        with suppress(OmniError):  # it may have ended meanwhile
            await self._keeper.stop(self._turn.worker, socket=self._turn.socket)

    def _send(self, message: dict[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(msgspec.json.encode(message) + b"\n")


def _encoded(value: Any) -> msgspec.Raw:
    """A request as JSON. Raises UsageError."""
    try:
        data = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise UsageError(f"A request to a process is JSON, and this is none: {error}.") from error
    if len(data) > MAX_MESSAGE - 1000:
        raise UsageError(
            f"A request to a process has {MAX_MESSAGE >> 20} MB at most, and this one {len(data):,} bytes."
        )
    return msgspec.Raw(data)


def _outside(url: str) -> str:
    """The address of a page that a process of a plug-in may have: not of this machine or of its own network.

    What a name means is looked up by the airlock alone, so that only names of this machine and addresses are judged here.
    Raises NetworkBlocked.
    """
    if len(url) > LONGEST_URL:
        raise NetworkBlocked(
            f"The address of a page has {LONGEST_URL:,} characters at most, and this one {len(url):,}."
        )
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host:
        raise NetworkBlocked("A page for a process of a plug-in has an address of http or https.")
    if host == "localhost" or host.endswith(".localhost") or not _is_public(host):
        raise NetworkBlocked(
            f"{_words(host)} is this machine or in its own network, of which a process of a plug-in gets no page."
        )
    return url


def _is_public(host: str) -> bool:
    """Whether it is a name, or an address that anybody can reach; also as inet_aton takes one: 127.1, 0x7f000001."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return True
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_global and not address.is_multicast


def _words(text: str) -> str:
    """What a plug-in says, for people."""
    return clean(text[:2000])
