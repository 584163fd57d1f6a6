"""The keeper process: one per home, small and dull. It needs the standard library, and what of `core` needs no more.

It holds the lock of the home while it lives, listens on `keeper.sock` in the folder of sockets, and says where by
`keeper.json`, which appears when it is ready. One loop, no threads: whatever a client does is an event that takes
microseconds, and none of them can end it.
"""

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from omni.core.errors import EngineError, NotFound, OmniError, UsageError, error_to_wire, nearest
from omni.core.files import replacing
from omni.core.locks import is_held, take_lock
from omni.core.paths import Home
from omni.keeper import memory, places
from omni.keeper.admission import (
    PRIORITIES,
    Admission,
    Grant,
    Load,
    Refuse,
    StartWorker,
    StopWorker,
    Ticket,
    Wait,
    WorkerRecord,
)
from omni.keeper.background import detach, log, trace
from omni.keeper.children import Kind, how_it_ended, is_exiting, kinds
from omni.keeper.doors import IDLE, AirlockSupervisor
from omni.keeper.fates import Fates
from omni.keeper.granted import granted_spec
from omni.keeper.listing import listing
from omni.keeper.peers import Order, Peer
from omni.keeper.succession import check_protocol, environment, is_heir, updated
from omni.keeper.trials import Trials
from omni.keeper.wire import HELPER, PROTOCOL, SANDBOX, checked_spec, integer, kind_of, spec_key
from omni.keeper.workers import Worker, Workers

MAX_PEERS = 200
LONGEST_SOCKET = 107  # bytes of a path that the kernel takes
MAX_TICKETS = 1000  # of one client
KNOWN_BY = {
    HELPER: "helpers",
    SANDBOX: "sandbox",
}  # kinds that older windows do not know, and how others say that they do
BREATH = 0.02  # seconds after a fault of ours, which may come back at once


class Timings(NamedTuple):
    """Seconds."""

    idle: float = 60.0  # without clients and workers, until the keeper ends
    look: float = 2.0  # between looks whether home and socket are still where they were
    hello: float = 10.0  # for a client to say who it is
    pin: float = 3.0  # that adopted workers are taken for busy, until all clients have said what they hold
    doors: float = IDLE  # without a door, until the airlock ends
    progress: float = 0.25  # between two reports of a loading worker


class Keeper:
    """All of one keeper. `run` returns when it is no longer needed."""

    def __init__(self, home: Home, lock: int, table: Mapping[str, Kind], timings: Timings) -> None:
        self._home, self._lock, self._timings = home, lock, timings
        self._epoch, self._since = os.urandom(8).hex(), time.time()
        self._selector = selectors.DefaultSelector()
        self._admission = Admission(0)
        self._workers = Workers(home, table, self._selector, said=self._said, ended=self._ended)
        self._doors = AirlockSupervisor(
            home,
            table["airlock"],
            self._selector,
            epoch=self._epoch,
            changed=lambda: self._announce("doors"),
            idle=timings.doors,
        )
        self._peers: dict[int, Peer] = {}
        self._number = 0
        self._dirty = True
        self._news: set[str] = set()
        self._stops: list[tuple[str, Peer, Order]] = []
        self._trials = Trials(self._peers, self._workers, self._doors)
        self._fates = Fates(self._workers)
        self._shutdown: tuple[Peer, Order] | None = None
        self._end = self._gives_way = False
        self._farewell = {"event": "bye"}
        self._trouble = ""
        self._needed = self._looked = self._reported = time.monotonic()
        self._orders: dict[str, Callable[[Peer, Order], None]] = {
            name.removeprefix("_do_"): getattr(self, name) for name in dir(self) if name.startswith("_do_")
        }
        now = time.monotonic()
        for worker in self._workers.adopt():
            self._admission.adopt(worker.name, worker.spec, now, pinned=now + timings.pin)
        self._listen()

    def run(self) -> None:
        """Serve until told to end, or until nobody needs it."""
        wake = self._catch_signals()
        self._selector.register(wake, selectors.EVENT_READ, lambda _mask: self._reap(wake))
        try:
            while not self._end:
                for key, mask in self._selector.select(self._timeout()):
                    self._guarded(key.data, mask)
                self._guarded(self._tick, time.monotonic())
        finally:
            self._leave()

    # -- the loop ---------------------------------------------------------------------------------------------------

    def _guarded(self, call: Callable[[Any], None], value: Any) -> None:
        """An error is logged, once if it repeats, and the keeper lives on: neither disk nor processor is filled by it."""
        try:
            call(value)
        except Exception as error:  # noqa: BLE001
            if (trouble := trace(error)) != self._trouble:
                self._trouble = trouble
                log(trouble)
            time.sleep(BREATH)

    def _timeout(self) -> float:
        now = time.monotonic()
        deadlines = (self._workers.deadline(), self._doors.deadline(), self._admission.deadline(now))
        times = [self._looked + self._timings.look, *(one for one in deadlines if one is not None)]
        if any(self._loading(peer) for peer in self._peers.values()):
            times.append(self._reported + self._timings.progress)
        if self._gives_way:
            times.append(now + self._timings.look)
        if not self._busy():
            times.append(self._needed + self._timings.idle)
        return 0.0 if self._dirty or self._news else max(0.0, min(times) - now)

    def _tick(self, now: float) -> None:
        self._workers.tick(now)
        self._doors.tick(now)
        if now >= self._looked + self._timings.look:
            self._looked = now
            self._look(now)
        deadline = self._admission.deadline(now)
        if deadline is not None and deadline <= now + 0.001:
            self._dirty = True
        if self._dirty or self._admission.requests or deadline is not None:
            self._dirty = False
            self._step(now)
        if now >= self._reported + self._timings.progress:
            self._reported = now
            self._report()
        news, self._news = self._news, set()
        for topic in sorted(news):
            self._tell_all({"event": "changed", "topic": topic, "value": None})
        if self._gives_way:
            self._hand_over(now)
        if self._busy():
            self._needed = now
        elif now >= self._needed + self._timings.idle:
            self._end = True

    def _busy(self) -> bool:
        return bool(self._workers.table) or any(peer.name for peer in self._peers.values())

    def _look(self, now: float) -> None:
        """Is this still the keeper of this home, and can it be reached?"""
        try:
            here = self._home.keeper_lock.stat().st_ino == os.fstat(self._lock).st_ino
        except OSError:
            here = False
        if not here:  # the home was moved or removed; a keeper of its new place adopts the workers
            log("the home is gone from its place")
            self._end = True
            return
        try:
            reachable = (self._home.sockets / "keeper.sock").stat().st_ino == self._inode
        except OSError:
            reachable = False
        address = places.read_object(self._home.keeper_file)
        if not reachable or address is None or address.get("epoch") != self._epoch:
            log("listening anew: the socket or its address was gone")
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listen()
        for peer in list(self._peers.values()):
            if not peer.name and now > peer.connected + self._timings.hello:
                peer.close()
        self._end_outdated(now)

    def _end_outdated(self, now: float) -> None:
        """End what runs for a plug-in that was removed, updated, or granted it no more, as soon as nobody uses it."""
        for known in list(self._admission.workers.values()):
            if kind_of(known.spec) == HELPER and self._admission.idle(known, now) and not self._is_granted(known):
                self._admission.ending(known.name)
                self._workers.stop(known.name, "its plug-in has changed")

    def _is_granted(self, known: WorkerRecord) -> bool:
        try:
            return spec_key(granted_spec(self._home, known.spec["base"])[0]) == known.key
        except OmniError:
            return False

    def _listen(self) -> None:
        path = self._home.ensure_sockets() / "keeper.sock"
        self._listener = places.listen(path)
        self._inode = path.stat().st_ino
        self._selector.register(self._listener, selectors.EVENT_READ, lambda _mask: self._accept())
        address = {"epoch": self._epoch, "socket": str(path), "pid": os.getpid(), "protocol": PROTOCOL}
        with replacing(self._home.keeper_file, durable=False) as file:
            file.write(json.dumps(address).encode())

    def _accept(self) -> None:
        try:
            connection = self._listener.accept()[0]
        except OSError:  # it left again, or there are no descriptors left
            return
        if len(self._peers) >= MAX_PEERS:
            connection.close()
            return
        self._number += 1
        self._peers[self._number] = Peer(self._number, connection, self._selector, obey=self._obey, lost=self._departed)

    def _departed(self, peer: Peer) -> None:
        self._peers.pop(peer.number, None)
        self._admission.gone(peer.number, time.monotonic())
        self._stops = [stop for stop in self._stops if stop[1] is not peer]
        self._trials.departed(peer)
        self._fates.departed(peer)
        self._dirty = True
        self._announce("processes")

    def _catch_signals(self) -> socket.socket:
        ours, its = socket.socketpair()
        ours.setblocking(False)
        its.setblocking(False)
        self._signals = its
        signal.set_wakeup_fd(its.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._stop_all())
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        return ours

    def _stop_all(self) -> None:
        self._end = self._everything = True

    _everything = False

    def _leave(self) -> None:
        self._doors.end()
        if self._everything:
            self._workers.kill_all(3.0)
        if self._shutdown:
            self._shutdown[0].answer(self._shutdown[1])
        self._tell_all(self._farewell)
        for peer in list(self._peers.values()):
            peer.flush(0.2)
        address = places.read_object(self._home.keeper_file)
        if address and address.get("epoch") == self._epoch:
            with suppress(OSError):
                self._home.keeper_file.unlink()
                (self._home.sockets / "keeper.sock").unlink()

    def _reap(self, wake: socket.socket) -> None:
        wake.recv(256)
        self._workers.reap()
        self._doors.reap()

    # -- admission --------------------------------------------------------------------------------------------------

    def _step(self, now: float) -> None:
        wanted = {request.key for request in self._admission.requests}
        for known in list(self._admission.workers.values()):
            if known.key in wanted and known.state == "ready":
                self._check(self._workers.table[known.name])
        if any(self._admission.serving(request.key) is None for request in self._admission.requests):
            pids = [worker.pid for worker in self._workers.table.values()]
            self._admission.budget = memory.budget(self._home, pids)
        for action in self._admission.step(now):
            match action:
                case StartWorker(name, spec):
                    self._start(name, spec)
                case StopWorker(name, why):
                    self._workers.stop(name, why)
                case Grant(ticket, name):
                    self._grant(ticket, name)
                case Load(ticket, name):
                    self._tell(ticket, ("loading", name), partial(self._progress, name))
                case Wait(ticket, place, reason, detail):
                    state = {"state": "waiting", "place": place, "reason": reason, "detail": detail}
                    self._tell(ticket, ("waiting", place, reason, detail), state.copy)
                case Refuse(ticket, message, hint):
                    self._fail(ticket, EngineError(message, hint=hint))

    def _check(self, worker: Worker) -> None:
        """Before places are given away: can the worker serve anybody?"""
        if is_exiting(worker.pid) or not is_held(worker.state_file):  # it was killed, and its end is not reported yet
            self._admission.ending(worker.name)
        elif not worker.socket.exists():  # a cleaner of /tmp came by
            self._admission.ending(worker.name)
            self._workers.stop(worker.name, "its socket is gone")

    def _start(self, name: str, spec: Mapping[str, Any]) -> None:
        try:
            if self._gives_way:
                raise updated()
            self._workers.start(name, spec)
        except (OSError, OmniError) as error:
            self._admission.ended(name)
            failure = error if isinstance(error, OmniError) else EngineError(f"A worker cannot be started: {error}.")
            for ticket in self._admission.fail(spec_key(spec)):
                self._fail(ticket, failure)
            self._dirty = True
        self._announce("processes")

    def _grant(self, ticket: Ticket, name: str) -> None:
        worker = self._workers.table[name]
        state = {"state": "granted", "worker": name, "socket": str(worker.socket), "key": worker.key}
        self._tell(ticket, ("granted", name), lambda: state)

    def _tell(self, ticket: Ticket, mark: Any, state: Callable[[], dict[str, Any]]) -> None:
        """Tell a client about its ticket, if it was not told the same before."""
        peer = self._peers.get(_peer_number(ticket))
        if peer and peer.told.get(ticket[1]) != mark:
            peer.told[ticket[1]] = mark
            peer.send({"event": "ticket", "ticket": ticket[1], **state()})

    def _fail(self, ticket: Ticket, error: OmniError) -> None:
        self._tell(ticket, ("failed",), lambda: {"state": "failed", "error": error_to_wire(error)})

    def _progress(self, name: str) -> dict[str, Any]:
        worker = self._workers.table.get(name)
        seconds = round(time.monotonic() - worker.started, 2) if worker else 0.0
        return {"state": "loading", "seconds": seconds, "fraction": worker.fraction if worker else None}

    def _report(self) -> None:
        """Tell those who wait for a loading worker how far it is."""
        for peer in list(self._peers.values()):
            for number, name in self._loading(peer):
                peer.send({"event": "ticket", "ticket": number, **self._progress(name)})

    def _loading(self, peer: Peer) -> list[tuple[int, str]]:
        return [(number, mark[1]) for number, mark in peer.told.items() if mark[0] == "loading"]

    def _said(self, worker: Worker) -> None:
        if worker.state == "ready":
            self._admission.ready(worker.name, time.monotonic())
        self._dirty = True
        self._announce("processes")

    def _ended(self, worker: Worker, code: int | None) -> None:
        known = self._admission.ended(worker.name)
        self._fates.ended(worker, code)
        log(f"{worker.name} ({worker.pid}): {how_it_ended(code)}{f', {worker.stopped}' if worker.stopped else ''}")
        if worker.state != "ready" and known is not None and worker.stopped not in ("its memory is needed", "not used"):
            why = worker.stopped or how_it_ended(code)
            error = EngineError(f"The {_called(worker.spec)} could not be loaded: {why}.", hint=places.tail(worker.log))
            for ticket in self._admission.fail(known.key):
                self._fail(ticket, error)
        for name, peer, order in self._stops:
            if name == worker.name:
                peer.answer(order)
        self._stops = [stop for stop in self._stops if stop[0] != worker.name]
        self._dirty = True
        self._announce("processes")

    # -- what clients ask -------------------------------------------------------------------------------------------

    def _obey(self, peer: Peer, order: Order) -> None:
        """Nothing that a client sends may end the keeper, not even what finds a bug in it."""
        try:
            what = order.get("do")
            if not peer.name and what != "hello":
                raise UsageError("Who are you? The first order is hello.")
            if not isinstance(what, str) or what not in self._orders:
                raise UsageError(f"The keeper knows no order {what!r}.")
            self._orders[what](peer, order)
        except OmniError as error:
            peer.refuse(order, error)
        except Exception as error:  # noqa: BLE001
            log(trace(error))
            peer.refuse(order, OmniError(f"The keeper could not do that: {type(error).__name__}: {error}."))

    def _do_hello(self, peer: Peer, order: Order) -> None:
        name = order.get("client")
        if not isinstance(name, str) or not name:
            raise UsageError("A hello names the client.")
        if is_heir(self._home, order):
            self._gives_way = True
            if self._hand_over(time.monotonic()):
                return
        check_protocol(order)
        pid, peer.starter = integer(order.get("pid"), "pid"), integer(order.get("starter"), "starter")
        peer.name, peer.pid = name[:40], peer.credentials() or pid
        peer.tries = order.get("tries") is True
        peer.jobs = _socket(order.get("jobs", ""))
        for held in order.get("tickets", ()):
            worker = self._workers.table.get(held["worker"])
            if worker and worker.key == held["key"]:
                self._admission.hold((peer.number, integer(held["ticket"], "ticket")), worker.name, _tokens(held))
        peer.answer(order, {"epoch": self._epoch, "pid": os.getpid()})
        self._dirty = True
        self._announce("processes")

    def _hand_over(self, now: float) -> bool:
        """Leave the home to the keeper of a newer environment, as soon as that disturbs nobody."""
        if self._doors.in_use(now) or self._stops:
            return False
        log("Omni was updated: the next keeper is of another environment")
        self._farewell = {"event": "handover", "environment": environment()}
        self._end = True
        return True

    def _do_offer(self, peer: Peer, order: Order) -> None:
        peer.jobs = _socket(order.get("socket"))
        peer.answer(order)
        self._announce("processes")

    def _do_turn(self, peer: Peer, order: Order) -> None:
        self._ask(peer, order, lease=False)

    def _do_lease(self, peer: Peer, order: Order) -> None:
        self._ask(peer, order, lease=True)

    def _ask(self, peer: Peer, order: Order, *, lease: bool) -> None:
        ticket, tokens = integer(order.get("ticket"), "ticket"), _tokens(order)
        if len(peer.told) >= MAX_TICKETS or ticket in peer.told:
            raise EngineError("Too many turns at once, or a ticket used twice.", hint="Ask again in a moment.")
        peer.told[ticket] = ("asked",)
        try:
            spec, priority = self._wanted(order)
        except OmniError as error:  # a front end waits for no answer to this order, only for what becomes of the ticket
            self._fail((peer.number, ticket), error)
            raise
        if lease and order.get("held"):  # of a client that comes back; it shall not load what was evicted meanwhile
            self._admission.keep((peer.number, ticket), spec)
        else:
            self._admission.ask((peer.number, ticket), spec, priority, lease=lease, tokens=tokens)
        self._dirty = True

    def _wanted(self, order: Order) -> tuple[dict[str, Any], str]:
        """What an order for a ticket asks for, and with which priority."""
        if "kind" in order:  # of a plug-in: what it runs stands in the file that a person agreed to, and nowhere else
            return granted_spec(self._home, str(order["kind"]))
        spec, priority = checked_spec(order.get("spec")), order.get("priority", "interactive")
        if kind_of(spec) != "worker":
            raise UsageError("A process of a plug-in is asked for by the name of its kind.")
        if priority not in PRIORITIES:
            raise UsageError(f"There is no priority {priority!r}.", hint=nearest(str(priority), PRIORITIES))
        return spec, priority

    def _do_done(self, peer: Peer, order: Order) -> None:
        ticket = integer(order.get("ticket"), "ticket")
        peer.told.pop(ticket, None)
        self._admission.done((peer.number, ticket), time.monotonic())
        self._dirty = True

    def _do_processes(self, peer: Peer, order: Order) -> None:
        processes = listing(
            self._peers.values(),
            self._doors,
            self._workers,
            self._admission,
            home=self._home,
            since=self._since,
            known_kinds=[kind for kind, asked in KNOWN_BY.items() if order.get(asked) is True],
        )
        peer.answer(order, processes)

    def _do_stop(self, peer: Peer, order: Order) -> None:
        name = str(order.get("name"))
        if name == "airlock" and self._doors.pid:
            self._doors.end()
            peer.answer(order)
        elif name in self._workers.table and self._is_meant(name, order):
            known = self._admission.workers[name]
            if known.state == "loading":  # who waits for it shall not have it started again
                for ticket in self._admission.fail(known.key):
                    self._fail(ticket, EngineError(f"The loading of the {_called(known.spec)} was stopped."))
            self._admission.ending(name)
            self._stops.append((name, peer, order))
            self._workers.stop(name, "it was stopped")
        else:
            names = [*self._workers.table, *(["airlock"] if self._doors.pid else [])]
            hint = nearest(name, names) or (
                f"These can be ended: {', '.join(names)}." if names else "None can be ended."
            )
            raise NotFound(f"There is no worker named {name!r}.", hint=hint)

    def _is_meant(self, name: str, order: Order) -> bool:
        """Whether a worker is the one that an order speaks of: names come again, sockets do not."""
        return order.get("socket") in (None, os.fspath(self._workers.table[name].socket))

    def _do_shutdown(self, peer: Peer, order: Order) -> None:
        self._shutdown = (peer, order)
        self._stop_all()

    def _do_changed(self, peer: Peer, order: Order) -> None:
        topic = order.get("topic")
        if not isinstance(topic, str):
            raise UsageError("A change has a topic.")
        self._tell_all({"event": "changed", "topic": topic, "value": order.get("value")}, but=peer)
        peer.answer(order)

    def _do_doors(self, peer: Peer, order: Order) -> None:
        peer.answer(order, self._doors.state())

    def _do_air_gap(self, peer: Peer, order: Order) -> None:
        if not isinstance(order.get("on"), bool):
            raise UsageError("The air gap is on or off.")
        peer.answer(order, self._doors.set_air_gap(order["on"]))

    def _do_door(self, peer: Peer, order: Order) -> None:
        self._doors.door(str(order.get("purpose")), f"{peer.name}-{peer.pid}", partial(peer.reply, order))

    def _do_fate(self, peer: Peer, order: Order) -> None:
        self._fates.tell(peer, order)

    def _do_wall(self, peer: Peer, order: Order) -> None:
        self._trials.begin(peer, order)

    def _do_tried(self, peer: Peer, order: Order) -> None:
        self._trials.told(peer, order)

    # -- telling ----------------------------------------------------------------------------------------------------

    def _announce(self, topic: str) -> None:
        self._news.add(topic)

    def _tell_all(self, event: dict[str, Any], *, but: Peer | None = None) -> None:
        for peer in list(self._peers.values()):
            if peer.name and peer is not but:
                peer.send(event)


def _called(spec: Mapping[str, Any]) -> str:
    """What a worker has loaded, in words."""
    return "brain" if kind_of(spec) == "worker" else f"process {spec['base']}"


def _peer_number(ticket: Ticket) -> int:
    return ticket[0] if isinstance(ticket[0], int) else -1


def _socket(path: Any) -> str:
    """A socket that a client offers. Raises UsageError for what is no path of one."""
    if not isinstance(path, str) or len(path.encode("utf-8", "replace")) > LONGEST_SOCKET:
        raise UsageError("A client offers its jobs on a socket, by its path.")
    return path


def _tokens(order: Order) -> int:
    """How much of the shared cache a turn asks for; a lease asks for none."""
    return integer(order["tokens"], "tokens") if "tokens" in order else 0


def main(table: Mapping[str, Kind] | None = None, timings: Timings | None = None) -> None:
    """Be the keeper of `OMNI_HOME`, unless it has one; `table` and `timings` are what tests replace."""
    home = Home.from_environment()
    os.closerange(3, 256)  # whatever the starter's shell or its parents left open
    held = take_lock(home.keeper_lock)
    if held is None:
        return
    detach(home)
    from omni.core.confinement import undumpable

    undumpable()
    Keeper(home, held, table or kinds(), timings or Timings()).run()
