"""Who may start, who must wait, who must go: the rules of admission, as one pure class without I/O or a clock.

Requests wait in one order: by class (interactive, agent, background); within a class each client's n-th request comes
before anybody's n+1-th, counting the turns that it has in progress; then by time. `step` goes through them in that
order and decides for each: a place in a worker, a worker to start, idle workers to end for its memory, or waiting. What
an earlier request waits for is never given to a later one, so nobody starves in a class.

Memory is counted by need: the needs of all workers that live, ending ones included, never exceed the budget.
"""

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from omni.core.words import size_words
from omni.keeper.wire import MAX_NUMBER, kind_of, spec_key

PRIORITIES = ("interactive", "agent", "background")
KEEP_ALIVE = 300  # seconds
LEASE = 5.0  # seconds that a new lease also keeps a worker from eviction, for a question on the way to a turn

Ticket = tuple[Hashable, int]  # of which client, and its own number for it
Spec = Mapping[str, Any]


class StartWorker(NamedTuple):
    """Start a worker. It counts from now on; report `ready` or `ended`."""

    worker: str
    spec: Spec


class StopWorker(NamedTuple):
    """End a worker. Its memory counts until `ended` is reported."""

    worker: str
    why: str


class Grant(NamedTuple):
    """A request has its place in a worker that is ready."""

    ticket: Ticket
    worker: str


class Load(NamedTuple):
    """A request waits for a worker that is loading."""

    ticket: Ticket
    worker: str


class Wait(NamedTuple):
    """A request waits for its turn."""

    ticket: Ticket
    place: int
    reason: str
    detail: str


class Refuse(NamedTuple):
    """A request can never be served."""

    ticket: Ticket
    message: str
    hint: str


Action = StartWorker | StopWorker | Grant | Load | Wait | Refuse


class WorkerRecord:
    """What admission knows of a worker."""

    __slots__ = ("key", "leased", "name", "pinned", "since", "spec", "state", "turns", "used")

    def __init__(self, name: str, spec: Spec, state: str, now: float) -> None:
        self.name, self.spec, self.key = name, spec, spec_key(spec)
        self.state = state  # loading, ready, ending
        self.turns: dict[Ticket, int] = {}  # and the tokens reserved for each
        self.leased: dict[Ticket, float] = {}  # new leases, and until when each keeps it from eviction
        self.since = self.used = now
        self.pinned = now  # until then it may hold turns that nobody has told about yet

    @property
    def need(self) -> int:
        """Bytes of memory."""
        return int(self.spec["need_bytes"])

    @property
    def slots(self) -> int:
        """Turns at a time."""
        return max(1, _number(self.spec, "slots", 1))

    def holds(self, tokens: int) -> bool:
        """Whether so many tokens fit beside those reserved. A turn that is alone is never refused here: its engine
        says better what does not fit."""
        cells = _number(self.spec, "cells", 0)
        return cells <= 0 or not self.turns or sum(self.turns.values()) + tokens <= cells

    def held_until(self) -> float:
        """Until when it is taken for busy although no turn is known."""
        return max(self.pinned, *self.leased.values(), 0.0)

    @property
    def keep_alive(self) -> int:
        """Seconds that it stays without being used."""
        return max(0, _number(self.spec, "keep_alive", KEEP_ALIVE))


class Request:
    """A turn that waits for a place, or a lease that waits for a worker to be there."""

    __slots__ = ("key", "lease", "priority", "sequence", "spec", "ticket", "tokens")

    def __init__(
        self, ticket: Ticket, spec: Spec, priority: int, sequence: int, lease: bool, *, tokens: int = 0
    ) -> None:
        self.tokens = tokens
        self.ticket, self.spec, self.key = ticket, spec, spec_key(spec)
        self.priority, self.sequence, self.lease = priority, sequence, lease


class Admission:
    """The table of workers and requests of one keeper. `budget` is in bytes and may be changed at any time."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.workers: dict[str, WorkerRecord] = {}
        self.requests: list[Request] = []
        self.leases: dict[Ticket, str] = {}
        self._sequence = 0

    def ask(self, ticket: Ticket, spec: Spec, priority: str, *, lease: bool = False, tokens: int = 0) -> None:
        """Add a request. A lease also keeps workers of its spec from ending for lack of use, until `done`.

        All slots of a worker share one cache of `cells` tokens (a setting of the spec; none: no limit); a turn gets its
        place when its `tokens` fit beside those of the others.
        """
        self._sequence += 1
        self.requests.append(Request(ticket, spec, PRIORITIES.index(priority), self._sequence, lease, tokens=tokens))
        if lease:
            self.leases[ticket] = spec_key(spec)

    def keep(self, ticket: Ticket, spec: Spec) -> None:
        """Take note of a lease that was granted before this keeper lived."""
        self.leases[ticket] = spec_key(spec)

    def hold(self, ticket: Ticket, worker: str, tokens: int = 0) -> bool:
        """Take note of a turn that was granted before this keeper lived; False when the worker is gone."""
        known = self.workers.get(worker)
        if known is None or known.state == "ending":
            return False
        known.turns[ticket] = tokens
        return True

    def done(self, ticket: Ticket, now: float) -> None:
        """A turn has ended or was given up, or a lease is given back; unknown tickets are no error."""
        self.requests = [request for request in self.requests if request.ticket != ticket]
        key = self.leases.pop(ticket, None)
        for worker in self.workers.values():
            if ticket in worker.turns or worker.key == key:
                worker.turns.pop(ticket, None)
                worker.leased.pop(ticket, None)
                worker.used = now

    def gone(self, client: Hashable, now: float) -> None:
        """A client has left: all that it had is given back."""
        tickets = [request.ticket for request in self.requests] + list(self.leases)
        tickets += [ticket for worker in self.workers.values() for ticket in worker.turns]
        for ticket in tickets:
            if ticket[0] == client:
                self.done(ticket, now)

    def adopt(self, name: str, spec: Spec, now: float, *, pinned: float) -> None:
        """A worker that lived before this keeper; until `pinned` it is taken for busy."""
        worker = self.workers[name] = WorkerRecord(name, spec, "loading", now)
        worker.pinned = pinned

    def ready(self, name: str, now: float) -> None:
        """A worker has loaded its base."""
        worker = self.workers.get(name)
        if worker and worker.state == "loading":
            worker.state, worker.used = "ready", now

    def ending(self, name: str) -> None:
        """A worker was told to end by somebody else than `step`."""
        if name in self.workers:
            self.workers[name].state = "ending"

    def ended(self, name: str) -> WorkerRecord | None:
        """A worker's process is gone, and its memory is free."""
        return self.workers.pop(name, None)

    def fail(self, key: str) -> list[Ticket]:
        """Take out all requests for a spec whose worker could not load, and return them."""
        failed = [request.ticket for request in self.requests if request.key == key]
        self.requests = [request for request in self.requests if request.key != key]
        for ticket in failed:
            self.leases.pop(ticket, None)
        return failed

    def serving(self, key: str) -> WorkerRecord | None:
        """The worker with this spec that is loading or ready."""
        return next(
            (worker for worker in self.workers.values() if worker.key == key and worker.state != "ending"), None
        )

    def deadline(self, now: float) -> float | None:
        """When `step` must be called again although nothing happens: the next end of a pin or of a keep_alive."""
        times = [until for worker in self.workers.values() if (until := worker.held_until()) > now]
        times += [worker.used + worker.keep_alive for worker in self.workers.values() if self.idle(worker, now)]
        return min(times, default=None)

    def step(self, now: float) -> list[Action]:
        """Decide about all requests. Starts, stops and grants are done once; waiting is told anew each time."""
        return _AdmissionPass(self, now).actions

    def ordered(self) -> list[Request]:
        """All requests, the next one first."""
        running = Counter(ticket[0] for worker in self.workers.values() for ticket in worker.turns)
        ranked = []
        for request in sorted(self.requests, key=lambda one: (one.priority, one.sequence)):
            client = request.ticket[0]
            ranked.append((request.priority, running[client], request.sequence, request))
            running[client] += 1
        return [one[-1] for one in sorted(ranked, key=lambda one: one[:-1])]

    def free_name(self, kind: str = "worker") -> str:
        """`worker-N` or `helper-N` with the lowest free number."""
        number = 1
        while f"{kind}-{number}" in self.workers:
            number += 1
        return f"{kind}-{number}"

    def idle(self, worker: WorkerRecord, now: float) -> bool:
        """Whether nobody has a turn in a worker, leases it or waits for it."""
        return (
            worker.state == "ready"
            and not worker.turns
            and worker.held_until() <= now
            and worker.key not in self.leases.values()
            and all(request.key != worker.key for request in self.requests)
        )


class _AdmissionPass:
    """One pass over the requests."""

    def __init__(self, table: Admission, now: float) -> None:
        self.table, self.now = table, now
        self.actions: list[Action] = []
        self.wanted: set[str] = set()  # keys that this or an earlier request asks for
        self.draining: set[str] = set()  # workers that end as soon as their turns have, for an earlier request
        self.filling: set[str] = set()  # workers whose cache an earlier request waits for
        self.promised = 0  # bytes that earlier requests wait for
        self.loading: Counter[str] = Counter()  # places in loading workers that earlier requests will take
        self.waiting: Counter[str] = Counter()  # requests before this one, by what they wait for
        for request in table.ordered():
            self._decide(request)
        for worker in table.workers.values():
            if table.idle(worker, now) and now >= worker.used + worker.keep_alive:
                self._stop(worker, "not used")

    def _decide(self, request: Request) -> None:
        worker = self.table.serving(request.key)
        if worker is None:
            worker = self._make_room(request)
            if worker is None:
                return
        self.wanted.add(request.key)
        if worker.name in self.draining:
            self._wait(request, "memory", f"{worker.name} ends its turns for an earlier one")
        elif worker.state == "loading":
            self.loading[worker.name] += not request.lease
            if request.lease or self.loading[worker.name] <= worker.slots:
                self.actions.append(Load(request.ticket, worker.name))
            else:
                self._wait(request, "slot", f"{worker.name} is loading, for {worker.slots} at a time")
        elif not request.lease and worker.name in self.filling:
            self._wait(request, "slot", f"an earlier turn waits for its share of the context of {worker.name}")
        elif request.lease or (len(worker.turns) < worker.slots and worker.holds(request.tokens)):
            self.table.requests.remove(request)
            if request.lease:
                worker.leased[request.ticket] = self.now + LEASE
            else:
                worker.turns[request.ticket] = request.tokens
            worker.used = self.now
            self.actions.append(Grant(request.ticket, worker.name))
        elif len(worker.turns) < worker.slots:
            self.filling.add(worker.name)
            self._wait(request, "slot", f"{request.tokens:,} tokens of the context of {worker.name} are not free yet")
        else:
            self._wait(request, "slot", f"{len(worker.turns)} of {worker.slots} places of {worker.name} are taken")

    def _make_room(self, request: Request) -> WorkerRecord | None:
        """Start a worker, or do what will make that possible."""
        table, need = self.table, int(request.spec["need_bytes"])
        free = table.budget - sum(worker.need for worker in table.workers.values())
        room = table.budget - self.promised - sum(worker.need for worker in self._staying())
        if need > table.budget and not any(self._busy(worker) for worker in table.workers.values()):
            table.requests.remove(request)
            table.leases.pop(request.ticket, None)
            what = "This brain" if kind_of(request.spec) == "worker" else f"The process {request.spec['base']}"
            self.actions.append(
                Refuse(
                    request.ticket,
                    f"{what} needs {size_words(need)} of memory; {size_words(table.budget)} can be used.",
                    "Choose a smaller brain or less context, close other programs, or raise `engine.memory`.",
                )
            )
            return None
        chosen = []
        for worker in sorted(self._staying(), key=lambda one: (self._busy(one), one.used)):
            if room >= need:
                break
            if worker.key not in self.wanted:
                chosen.append(worker)
                room += worker.need
        self.wanted.add(request.key)
        if room >= need:
            if not any(self._busy(worker) for worker in chosen):
                for worker in chosen:
                    self._stop(worker, "its memory is needed")
            self.draining |= {worker.name for worker in chosen}
            if not chosen and need <= free:
                name = table.free_name(kind_of(request.spec))
                worker = table.workers[name] = WorkerRecord(name, request.spec, "loading", self.now)
                self.actions.append(StartWorker(name, request.spec))
                return worker
        self.promised += need
        self._wait(
            request,
            "memory",
            f"needs {size_words(need)}, {size_words(max(0, free))} of {size_words(table.budget)} are free",
        )
        return None

    def _staying(self) -> list[WorkerRecord]:
        """Workers whose memory nobody was promised yet."""
        return [
            worker
            for worker in self.table.workers.values()
            if worker.state != "ending" and worker.name not in self.draining
        ]

    def _busy(self, worker: WorkerRecord) -> bool:
        return bool(worker.turns) or worker.held_until() > self.now or worker.state == "ending"

    def _stop(self, worker: WorkerRecord, why: str) -> None:
        worker.state = "ending"
        self.actions.append(StopWorker(worker.name, why))

    def _wait(self, request: Request, reason: str, detail: str) -> None:
        lane = request.key if reason == "slot" else "memory"
        self.waiting[lane] += 1
        self.actions.append(Wait(request.ticket, self.waiting[lane], reason, detail))


def _number(spec: Spec, name: str, default: int) -> int:
    try:
        return max(-MAX_NUMBER, min(int(spec["settings"].get(name, default)), MAX_NUMBER))
    except (TypeError, ValueError):
        return default
