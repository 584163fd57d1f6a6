"""A front end's line to the keeper, on asyncio.

The line holds all that the front end has: when it ends, however, its turns and leases are given back. When the keeper
dies, answers in flight go on, because they come from the worker itself; this end starts another keeper through its
starter, says what it holds, and asks again for what it waited for.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self

import msgspec

from omni.core.errors import EngineError, NotFound, OmniError, SetupError, StorageError, error_from_wire
from omni.core.locks import is_held
from omni.core.paths import Home
from omni.keeper.doors import end_airlock
from omni.keeper.installer import end_installer, installer_lock
from omni.keeper.places import is_full, read_object, set_air_gap, tail
from omni.keeper.starter import Starter
from omni.keeper.succession import environment
from omni.keeper.tickets import Lease, Ticket, WorkerTurn
from omni.keeper.values import Doors, DoorTicket, Fate, KeeperChange, Priority, ProcessInfo, WorkerSpec
from omni.keeper.wire import MAX_LINE, PROTOCOL, encode

PATIENCE = 10.0  # seconds for a keeper to start
ANSWER = 30.0  # seconds for it to answer
HEIR = 2.0  # seconds for a newer window to start the keeper that follows; then this one does
FATE = 5.0  # seconds for it to see how a worker ended
SHUT = 2.5  # seconds for it to shut the doors; then this process does it
MAX_CHANGES = 1000  # kept for a reader that is slow; then the oldest go


def installing(home: Home, *, beside: int) -> ProcessInfo | None:
    """The installer that is at work, which no keeper starts or lists; `beside` as in `confinement.state_of`. Asks nobody."""
    from omni.core.confinement import state_of

    path = installer_lock(home)
    if not is_held(path):
        return None
    try:
        pid, since = int(path.read_text()), path.stat().st_mtime
    except (OSError, ValueError):  # it has just ended, or is not named yet
        return None
    wall = state_of(pid, beside=beside)
    confined = wall.kind if wall.enforced else "none"
    return ProcessInfo(
        name="installer", kind="installer", pid=pid, confined=confined, since=since, detail="fetches packages"
    )


def air_gap_alone(home: Home, on: bool) -> Doors:
    """Shut all doors of a home, or allow them again, without asking its keeper, which obeys. Blocking.

    Raises StorageError when that cannot be written down; what was open has been ended then all the same.
    """
    gone = True
    if on:
        gone = end_airlock(home) & end_installer(home)
    set_air_gap(home, on)
    if on:
        gone = end_airlock(home) & end_installer(home) & gone  # what had just looked whether it may
    return Doors(air_gap=on, verified=gone, detail="done without the keeper")


class _KeeperGone(Exception):
    """The line ended before the answer came."""


class Changes:
    """Changes from now on. `aclose` (or the keeper's `close`) ends it."""

    def __init__(self, closed: "Callable[[Changes], None]") -> None:
        self._queue: deque[KeeperChange] = deque(maxlen=MAX_CHANGES)
        self._news = asyncio.Event()
        self._closed, self._open = closed, True

    def put(self, change: KeeperChange) -> None:
        """Add one for the reader; what it has not read yet is not repeated."""
        if change not in self._queue:
            self._queue.append(change)
            self._news.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> KeeperChange:
        while not self._queue:
            if not self._open:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._queue.popleft()

    async def aclose(self) -> None:
        """Read no more."""
        self.end()

    def end(self) -> None:
        """Let the reader finish what is queued, and stop."""
        self._open = False
        self._news.set()
        self._closed(self)


class KeeperClient:
    """The client: what a front end asks of the keeper. Made by `connect`."""

    def __init__(self, home: Home, starter: Starter | None, client: str, patience: float = PATIENCE) -> None:
        self.home, self.epoch = home, ""
        self._starter, self._client, self._patience = starter, client, patience
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._again: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._tickets: dict[int, Ticket] = {}
        self._listeners: set[Changes] = set()
        self._trials: set[asyncio.Task[None]] = set()
        self._offered = ""  # the socket on which this process offers its jobs
        self._number = 0
        self._others_turn = 0.0  # until then another window starts the keeper
        self._closed = False

    @classmethod
    async def connect(
        cls, home: Home, starter: Starter | None, *, client: str, patience: float = PATIENCE
    ) -> "KeeperClient":
        """Reach the keeper of a home, started through `starter` when none answers.

        Raises NotFound when there is none and no starter either, SetupError when none can be started within `patience`
        seconds.
        """
        keeper = cls(home, starter, client, patience)
        try:
            await keeper._connected()
        except BaseException:
            await keeper.close()
            raise
        return keeper

    async def worker(self, spec: WorkerSpec, *, priority: Priority = "interactive") -> Lease:
        """See to it that a worker with this spec lives; read the lease's `states()` to follow it."""
        return Lease(await self._ask_for(spec, priority, 0, lease=True), self._give_back)

    def turn(self, spec: WorkerSpec, *, priority: Priority = "interactive", tokens: int = 0) -> WorkerTurn:
        """A place in a worker with this spec for one answer, to be used with `async with`.

        `tokens` of the worker's shared cache are reserved with it: its prompt and the longest answer.
        """
        return WorkerTurn(partial(self._ask_for, spec, priority, tokens, lease=False), self._give_back)

    def helper(self, kind: str) -> WorkerTurn:
        """The process of a plug-in of this kind (PLUGIN.KIND), or SANDBOX, for one request, to be used with `async with`.

        The keeper knows what it runs and how much it may take. `waiting()` raises NotFound where it was not granted, and
        BadFile where nobody can tell.
        """
        return WorkerTurn(partial(self._ask_for, kind, "background", 0, lease=False), self._give_back)

    async def processes(self) -> list[ProcessInfo]:
        """All processes of Omni in this home, and what confines each."""
        return msgspec.convert(await self._ask("processes", helpers=True, sandbox=True), list[ProcessInfo])

    async def fate(self, socket: str | os.PathLike[str]) -> Fate | None:
        """How the worker that listened on `socket` has ended; None while it lives, and when nobody knows.

        No keeper is started to be asked: it would know nothing, and the last one may have ended everything on purpose.
        """
        try:
            return msgspec.convert(await self._once("fate", seconds=FATE, socket=os.fspath(socket)), Fate | None)
        except (_KeeperGone, OmniError):
            return None

    async def offer(self, socket: str) -> None:
        """Let every front end know that this process offers its jobs on `socket`."""
        self._offered = socket
        await self._ask("offer", socket=socket)

    async def stop(self, name: str, *, socket: str | os.PathLike[str] | None = None) -> None:
        """End a worker or the airlock, and wait for it; with `socket` only the worker of this name that has it, since a name
        is given again. Raises NotFound."""
        await self._ask("stop", name=name, socket=os.fspath(socket) if socket is not None else None)

    async def shutdown(self) -> None:
        """End the keeper and all that it started, and wait for it."""
        with suppress(_KeeperGone):
            await self._once("shutdown")
        if self._reader is not None:
            await asyncio.wait([self._reader], timeout=ANSWER)

    async def wall(self, name: str) -> list[dict[str, Any]]:
        """Have a process of `processes()` try to get around the wall: the fields of `core.confinement.EscapeAttempt`.

        Raises NotFound when it cannot be asked.
        """
        return msgspec.convert(await self._ask("wall", name=name), list[dict[str, Any]])

    async def changed(self, topic: str, value: Any = None) -> None:
        """Tell all other clients that something changed."""
        await self._ask("changed", topic=topic, value=value)

    def changes(self) -> Changes:
        """What other clients and the keeper itself tell from now on."""
        changes = Changes(self._listeners.discard)
        self._listeners.add(changes)
        return changes

    async def doors(self) -> Doors:
        """What is open, and whether the person has shut all doors."""
        return msgspec.convert(await self._ask("doors"), Doors)

    async def air_gap(self, on: bool) -> Doors:
        """Shut all doors, at once and until it is undone; or allow doors again.

        This process shuts them itself before it asks the keeper to look: they must not stay open because that one hangs
        or is gone. Every later keeper obeys what is written down.
        """
        shut = await asyncio.to_thread(air_gap_alone, self.home, True) if on else None
        try:
            return msgspec.convert(await self._ask("air_gap", seconds=SHUT, on=on), Doors)
        except (SetupError, StorageError):
            return shut if shut is not None else await asyncio.to_thread(air_gap_alone, self.home, on)

    async def door(self, purpose: str) -> DoorTicket:
        """Ask for a door: "install", "pull", "engine" or "serve". Raises NetworkBlocked while the air gap is on."""
        return msgspec.convert(await self._ask("door", purpose=purpose), DoorTicket)

    async def close(self) -> None:
        """Leave: all turns and leases are given back."""
        self._closed = True
        for changes in list(self._listeners):
            changes.end()
        for task in (self._again, self._reader, *self._trials):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        if self._writer is not None:
            self._writer.close()
            with suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None

    # -- tickets ----------------------------------------------------------------------------------------------------

    async def _ask_for(self, spec: WorkerSpec | str, priority: Priority, tokens: int, *, lease: bool) -> Ticket:
        await self._connected()
        self._number += 1
        ticket = self._tickets[self._number] = Ticket(self._number, spec, priority, tokens, lease=lease)
        self._send_ticket(ticket)
        return ticket

    def _send_ticket(self, ticket: Ticket, *, again: bool = False) -> None:
        what = {"kind": ticket.spec} if isinstance(ticket.spec, str) else {"spec": msgspec.to_builtins(ticket.spec)}
        self._send(
            {
                "do": "lease" if ticket.lease else "turn",
                "ticket": ticket.number,
                **what,
                "priority": ticket.priority,
                "tokens": ticket.tokens,
                "held": again and ticket.granted,
            }
        )

    def _give_back(self, ticket: Ticket) -> None:
        """Never waits, so that it also works in a task that is being cancelled."""
        if self._tickets.pop(ticket.number, None) is not None:
            self._send({"do": "done", "ticket": ticket.number})

    # -- asking -----------------------------------------------------------------------------------------------------

    async def _ask(self, what: str, *, seconds: float = ANSWER, **facts: Any) -> Any:
        """Ask, and once more when the keeper died before it answered."""
        for _ in range(2):
            await self._connected()
            with suppress(_KeeperGone):
                return await self._once(what, seconds=seconds, **facts)
        raise SetupError("The keeper died twice while it was asked.", hint=await self._log())

    async def _once(self, what: str, *, seconds: float = ANSWER, **facts: Any) -> Any:
        if self._writer is None:
            raise _KeeperGone
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._send({"id": number, "do": what, **facts})
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            raise SetupError(f"The keeper did not answer within {seconds:g} s.", hint="Run `omni doctor`.") from None
        finally:
            self._answers.pop(number, None)

    def _send(self, value: dict[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(value))

    # -- the line ---------------------------------------------------------------------------------------------------

    async def _connected(self) -> None:
        """Return when the line is up; raise when it cannot be."""
        async with self._connecting:
            if self._closed:
                raise EngineError("This window has left its keeper.")
            if self._writer is None:
                await self._establish()

    async def _establish(self) -> None:
        deadline = asyncio.get_running_loop().time() + self._patience
        asked, broken = 0.0, None
        while not await self._dial():
            now = asyncio.get_running_loop().time()
            if now > deadline or (broken and now > asked + 1):
                raise broken or SetupError("The keeper does not start.", hint=await self._log())
            if now < self._others_turn:
                await asyncio.sleep(0.01)
                continue
            if self._starter is None:
                raise NotFound("No keeper is running.", hint="It starts with the first window of Omni.")
            if now > asked + 1 and broken is None:
                asked = now
                try:
                    self._starter.keeper()
                except SetupError as error:
                    broken = error  # another window may just be starting one: look a little longer
            elif asked and now > asked + 0.5 and await asyncio.to_thread(is_full, self.home.root):
                raise StorageError(
                    f"The disk that holds {self.home.root} is full, so the keeper cannot start.",
                    hint="Free some space and try again; nothing was lost.",
                )
            await asyncio.sleep(0.01)

    async def _dial(self) -> bool:
        address = await asyncio.to_thread(read_object, self.home.keeper_file)
        if address is None or not isinstance(address.get("socket"), str):
            return False
        try:
            reader, writer = await asyncio.open_unix_connection(address["socket"], limit=4 * MAX_LINE)
        except OSError:
            return False
        held = [
            {
                "ticket": ticket.number,
                "worker": ticket.said["worker"],
                "key": ticket.said["key"],
                "tokens": ticket.tokens,
            }
            for ticket in self._tickets.values()
            if ticket.granted and ticket.said is not None and not ticket.lease
        ]
        hello = {
            "id": 0,
            "do": "hello",
            "protocol": PROTOCOL,
            "client": self._client,
            "pid": os.getpid(),
            "starter": self._starter.pid if self._starter else 0,
            "environment": environment(self._starter.python) if self._starter else "",
            "tries": True,
            "tickets": held,
            "jobs": self._offered,
        }
        try:
            writer.write(encode(hello))
            async with asyncio.timeout(5):
                answer = msgspec.json.decode(await reader.readline(), type=dict[str, Any])
        except (OSError, TimeoutError, ValueError):  # it has just ended, or is no keeper
            writer.close()
            return False
        except BaseException:
            writer.close()
            raise
        if "error" in answer:
            writer.close()
            raise error_from_wire(answer["error"])
        self.epoch = answer["ok"]["epoch"]
        self._writer = writer
        self._reader = asyncio.create_task(self._read(reader, writer), name="keeper")
        for ticket in self._tickets.values():
            if ticket.lease or not ticket.granted:
                self._send_ticket(ticket, again=True)
        return True

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bye = False
        try:
            while line := await reader.readline():
                said = msgspec.json.decode(line, type=dict[str, Any])
                bye = bye or said.get("event") == "bye"
                if said.get("event") == "handover" and self._is_left_behind(said):
                    self._others_turn = asyncio.get_running_loop().time() + HEIR
                self._hear(said)
        except (OSError, ValueError):  # it died, or sent what is no line
            pass
        finally:
            self._writer = None
            writer.close()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(_KeeperGone())
        if bye:  # one that ended on purpose is started again when it is needed
            for ticket in self._tickets.values():
                ticket.fail(EngineError("The keeper was told to end.", hint="Ask again."))
        elif not self._closed:
            self._again = asyncio.create_task(self._reconnect(), name="keeper again")

    def _is_left_behind(self, said: dict[str, Any]) -> bool:
        """Whether this window is of the environment that the keeper which gives way is of."""
        return self._starter is None or environment(self._starter.python) == said.get("environment")

    async def _reconnect(self) -> None:
        try:
            await self._connected()
        except OmniError as error:
            for ticket in self._tickets.values():
                ticket.fail(error)
        else:
            for topic in ("processes", "doors"):
                self._publish(KeeperChange(topic=topic))

    def _hear(self, said: dict[str, Any]) -> None:
        match said:
            case {"event": "ticket", "ticket": int(number)}:
                if ticket := self._tickets.get(number):
                    ticket.hear(said)
            case {"event": "changed", "topic": str(topic)}:
                self._publish(KeeperChange(topic=topic, value=said.get("value")))
            case {"event": "wall", "trial": int(number)}:
                task = asyncio.create_task(self._try_wall(number, starter=said.get("starter") is True), name="wall")
                self._trials.add(task)
                task.add_done_callback(self._trials.discard)
            case {"id": int(number), "ok": value}:
                if (answer := self._answers.get(number)) and not answer.done():
                    answer.set_result(value)
            case {"id": int(number), "error": dict(error)}:
                if (answer := self._answers.get(number)) and not answer.done():
                    answer.set_exception(error_from_wire(error))

    async def _try_wall(self, number: int, *, starter: bool) -> None:
        """Somebody wants to see what this process, or its starter, can do."""
        try:
            attempts = await _attempts(self._starter if starter else None)
        except OmniError as error:
            self._send({"do": "tried", "trial": number, "error": error.message})
        else:
            self._send({"do": "tried", "trial": number, "attempts": attempts})

    def _publish(self, change: KeeperChange) -> None:
        for listener in list(self._listeners):
            listener.put(change)

    async def _log(self) -> str:
        return await asyncio.to_thread(tail, self.home.logs / "keeper.log")


async def _attempts(starter: Starter | None) -> list[dict[str, Any]]:
    """What a starter, or else this very process, can do against the wall."""
    if starter is not None:
        if starter.editing:
            raise SetupError("An editor is open: the starter waits for its end.")
        return await starter.wall()
    from omni.core.confinement import attempts

    return [attempt._asdict() for attempt in await asyncio.to_thread(attempts)]
