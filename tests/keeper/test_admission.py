"""The rules of admission, without any process."""

from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from omni.keeper.admission import Action, Admission, Grant, Load, Refuse, StartWorker, StopWorker, Wait


def spec(base: str, need: int = 4, **settings: int) -> dict[str, Any]:
    return {"engine": "scripted", "base": base, "path": f"/{base}", "need_bytes": need, "settings": settings}


def of(kind: type, actions: list[Action]) -> list[Any]:
    return [action for action in actions if isinstance(action, kind)]


def loaded(table: Admission, base: str, now: float = 0.0, **settings: int) -> str:
    """A worker for a base, loaded, with nothing in it."""
    table.ask(("loader", 1), spec(base, **settings), "interactive")
    (start,) = of(StartWorker, table.step(now))
    table.ready(start.worker, now)
    table.step(now)
    table.done(("loader", 1), now)
    return str(start.worker)


def test_the_first_request_starts_a_worker_and_gets_its_place_when_it_is_ready() -> None:
    table = Admission(10)
    table.ask(("a", 1), spec("b"), "interactive")
    assert [type(action) for action in table.step(0)] == [StartWorker, Load]
    assert of(StartWorker, table.step(1)) == []
    table.ready("worker-1", 2)
    assert table.step(2) == [Grant(("a", 1), "worker-1")]
    assert table.step(3) == []


def test_two_clients_with_the_same_spec_share_one_worker() -> None:
    table = Admission(10)
    table.ask(("a", 1), spec("b", slots=2), "interactive")
    table.ask(("b", 1), spec("b", slots=2, keep_alive=9), "interactive")
    assert len(of(StartWorker, table.step(0))) == 1
    table.ready("worker-1", 1)
    assert len(of(Grant, table.step(1))) == 2


def test_a_full_worker_says_place_and_reason() -> None:
    table = Admission(10)
    name = loaded(table, "b")
    for client in "abc":
        table.ask((client, 1), spec("b"), "interactive")
    actions = table.step(0)
    assert of(Grant, actions) == [Grant(("a", 1), name)]
    assert [(wait.ticket[0], wait.place, wait.reason) for wait in of(Wait, actions)] == [
        ("b", 1, "slot"),
        ("c", 2, "slot"),
    ]
    assert "1 of 1" in of(Wait, actions)[0].detail


def test_a_person_comes_before_agents_and_agents_before_background() -> None:
    table = Admission(10)
    loaded(table, "b")
    for number, priority in enumerate(["background", "agent", "interactive"]):
        table.ask(("a", number), spec("b"), priority)
    order = []
    for _ in range(3):
        (grant,) = of(Grant, table.step(0))
        order.append(grant.ticket[1])
        table.done(grant.ticket, 0)
    assert order == [2, 1, 0]


def test_a_client_with_many_requests_does_not_starve_another() -> None:
    table = Admission(10)
    loaded(table, "b")
    for number in range(5):
        table.ask(("many", number), spec("b"), "interactive")
    (grant,) = of(Grant, table.step(0))
    table.ask(("one", 1), spec("b"), "interactive")
    table.done(grant.ticket, 0)
    assert of(Grant, table.step(0))[0].ticket == ("many", 1)  # it was first, and nobody has a turn
    table.ask(("other", 1), spec("b"), "interactive")
    assert [one.ticket[0] for one in table.ordered()][:2] == ["one", "other"]


def test_idle_workers_go_for_memory_least_recently_used_first() -> None:
    table = Admission(10)
    loaded(table, "old", now=1)
    loaded(table, "new", now=2)
    table.ask(("a", 1), spec("third"), "interactive")
    actions = table.step(3)
    assert [stop.worker for stop in of(StopWorker, actions)] == ["worker-1"]
    assert of(Wait, actions)[0].reason == "memory"
    assert of(StartWorker, table.step(3)) == []  # its memory is not free before it has ended
    table.ended("worker-1")
    assert len(of(StartWorker, table.step(4))) == 1


def test_a_busy_worker_is_not_ended_but_takes_no_later_turns() -> None:
    table = Admission(6)
    loaded(table, "b", slots=2)
    table.ask(("a", 1), spec("b", slots=2), "interactive")
    table.step(0)
    table.ask(("b", 1), spec("other"), "interactive")
    table.ask(("c", 1), spec("b", slots=2), "interactive")
    actions = table.step(1)
    assert of(StopWorker, actions) == of(Grant, actions) == []
    assert [(wait.ticket[0], wait.reason) for wait in of(Wait, actions)] == [("b", "memory"), ("c", "memory")]
    table.done(("a", 1), 2)
    assert len(of(StopWorker, table.step(2))) == 1


def test_what_can_never_fit_is_refused_at_once_with_figures() -> None:
    table = Admission(10_000_000_000)
    table.ask(("a", 1), spec("huge", need=20_000_000_000), "interactive")
    (refuse,) = of(Refuse, table.step(0))
    assert "20.0 GB" in refuse.message
    assert "10.0 GB" in refuse.message
    assert table.requests == []


def test_a_worker_that_nobody_uses_ends_after_its_keep_alive() -> None:
    table = Admission(10)
    loaded(table, "b", now=0, keep_alive=100)
    assert table.deadline(50) == 100
    assert of(StopWorker, table.step(99)) == []
    assert of(StopWorker, table.step(100)) == [StopWorker("worker-1", "not used")]


def test_a_lease_keeps_a_worker_from_ending_but_not_from_eviction() -> None:
    table = Admission(6)
    table.ask(("a", 1), spec("b", keep_alive=1), "interactive", lease=True)
    table.step(0)
    table.ready("worker-1", 0)
    assert of(Grant, table.step(0)) == [Grant(("a", 1), "worker-1")]
    table.ask(("b", 1), spec("other"), "interactive")
    assert of(StopWorker, table.step(4)) == []  # a question may be on its way
    assert table.deadline(4) == 5
    table.done(("b", 1), 5)
    assert of(StopWorker, table.step(1000)) == []
    table.ask(("b", 1), spec("other"), "interactive")
    assert len(of(StopWorker, table.step(1001))) == 1
    table.ended("worker-1")
    table.step(1002)
    table.done(("a", 1), 1003)
    assert table.leases == {}


def test_all_that_a_client_had_is_given_back_when_it_goes() -> None:
    table = Admission(10)
    loaded(table, "b")
    table.ask(("a", 1), spec("b"), "interactive")
    table.ask(("a", 2), spec("b"), "interactive")
    table.ask(("a", 3), spec("b"), "interactive", lease=True)
    table.ask(("b", 1), spec("b"), "interactive")
    table.step(0)
    table.gone("a", 1)
    assert of(Grant, table.step(1)) == [Grant(("b", 1), "worker-1")]
    assert table.requests == []
    assert table.leases == {}


def test_an_adopted_worker_is_busy_until_all_have_said_what_they_hold() -> None:
    table = Admission(6)
    table.adopt("worker-1", spec("b"), 0, pinned=3)
    table.ready("worker-1", 0)
    table.ask(("b", 1), spec("other"), "interactive")
    assert of(StopWorker, table.step(1)) == []
    assert table.hold(("a", 7), "worker-1")
    assert of(StopWorker, table.step(4)) == []
    table.done(("a", 7), 5)
    assert len(of(StopWorker, table.step(5))) == 1
    assert not table.hold(("a", 8), "worker-1")


def test_a_failed_load_takes_all_who_waited_for_it() -> None:
    table = Admission(10)
    for client in "ab":
        table.ask((client, 1), spec("b", slots=1), "interactive")
    table.step(0)
    assert table.ended("worker-1") is not None
    assert table.fail(table.requests[0].key) == [("a", 1), ("b", 1)]
    assert table.step(0) == []


SPECS = {
    name: spec(name, need, slots=slots) for name, need, slots in [("x", 4, 1), ("y", 5, 2), ("z", 9, 1), ("big", 11, 1)]
}


def test_tokens_are_reserved_and_a_long_prompt_is_not_overtaken_for_ever() -> None:
    table = Admission(10)
    loaded(table, "b", slots=4, cells=100)
    for client, tokens in (("a", 60), ("b", 50), ("c", 10)):
        table.ask((client, 1), spec("b", slots=4, cells=100), "interactive", tokens=tokens)
    actions = table.step(0)
    assert [grant.ticket[0] for grant in of(Grant, actions)] == ["a"]
    assert [(wait.ticket[0], wait.reason) for wait in of(Wait, actions)] == [("b", "slot"), ("c", "slot")]
    table.done(("a", 1), 0)
    assert [grant.ticket[0] for grant in of(Grant, table.step(0))] == ["b", "c"]


def test_more_tokens_than_there_are_get_the_worker_alone() -> None:
    table = Admission(10)
    name = loaded(table, "b", slots=4, cells=100)
    table.ask(("a", 1), spec("b", slots=4, cells=100), "interactive", tokens=500)
    assert of(Grant, table.step(0)) == [Grant(("a", 1), name)]


class Machine(RuleBasedStateMachine):
    """Any order of events: the budget holds, places are not given twice, and at the end everybody was served."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.table = Admission(10)
        self.now = 0.0
        self.number = 0
        self.running: dict[Any, str] = {}
        self.asked: dict[Any, str] = {}

    def step(self) -> None:
        for action in self.table.step(self.now):
            match action:
                case Grant(ticket, worker):
                    assert self.table.workers[worker].spec["base"] == self.asked.pop(ticket)
                    self.running[ticket] = worker
                case Refuse(ticket, _, _):
                    assert self.asked.pop(ticket) == "big"
                case StopWorker(worker, _):
                    assert worker not in self.running.values()

    @rule(
        target=tickets,
        client=st.sampled_from("abc"),
        base=st.sampled_from(sorted(SPECS)),
        priority=st.sampled_from(["interactive", "agent", "background"]),
    )
    def ask(self, client: str, base: str, priority: str) -> tuple[str, int]:
        self.number += 1
        ticket = (client, self.number)
        self.asked[ticket] = base
        self.table.ask(ticket, SPECS[base], priority)
        self.step()
        return ticket

    @rule(ticket=tickets)
    def done(self, ticket: tuple[str, int]) -> None:
        self.table.done(ticket, self.now)
        self.asked.pop(ticket, None)
        self.running.pop(ticket, None)
        self.step()

    @rule(client=st.sampled_from("abc"))
    def gone(self, client: str) -> None:
        self.table.gone(client, self.now)
        for known in (self.asked, self.running):
            for ticket in [ticket for ticket in known if ticket[0] == client]:
                del known[ticket]
        self.step()

    @rule()
    def load(self) -> None:
        for worker in list(self.table.workers.values()):
            if worker.state == "loading":
                self.table.ready(worker.name, self.now)
        self.step()

    @rule()
    def end(self) -> None:
        for worker in list(self.table.workers.values()):
            if worker.state == "ending":
                self.table.ended(worker.name)
        self.step()

    @rule(number=st.integers(0, 3))
    def crash(self, number: int) -> None:
        names = sorted(self.table.workers)
        if number < len(names):
            worker = self.table.ended(names[number])
            assert worker is not None
            for ticket in worker.turns:
                self.running.pop(ticket, None)
            if worker.state == "loading":
                for ticket in self.table.fail(worker.key):
                    self.asked.pop(ticket)
        self.step()

    @rule(seconds=st.sampled_from([1.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.step()

    @invariant()
    def the_budget_holds(self) -> None:
        assert sum(worker.need for worker in self.table.workers.values()) <= self.table.budget

    @invariant()
    def places_are_counted(self) -> None:
        for worker in self.table.workers.values():
            assert len(worker.turns) <= worker.slots
        held = {ticket for worker in self.table.workers.values() for ticket in worker.turns}
        assert held == set(self.running)
        assert {request.ticket for request in self.table.requests} == set(self.asked)

    @invariant()
    def one_worker_serves_one_spec(self) -> None:
        keys = [worker.key for worker in self.table.workers.values() if worker.state != "ending"]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        """Everybody who still waits gets a place when all turns end and all processes do what they are told."""
        for _ in range(10 * (len(self.asked) + 1)):
            for ticket in list(self.running):
                self.done(ticket)
            self.load()
            self.end()
        assert self.asked == {}


TestAdmission = Machine.TestCase
TestAdmission.settings = hypothesis_settings(max_examples=100, stateful_step_count=25, deadline=None)
