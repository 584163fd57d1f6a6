"""Workers, and helpers of plug-ins like them, as processes: started, dialed, adopted, ended. What is decided about them is decided in `admission`."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omni.core.errors import UsageError
from omni.core.files import put_aside
from omni.core.locks import is_held
from omni.core.paths import Home
from omni.keeper.children import GRACE, Kind, end_group, end_holder, exit_code, spawn
from omni.keeper.memory import resident
from omni.keeper.places import read_object
from omni.keeper.wire import Garbage, LineDecoder, checked_spec, encode, integer, kind_of

DIAL = 0.02  # seconds between tries
SILENT = 60.0  # seconds until a worker that does not even listen is given up


class Worker:
    """One process. `state` is what it said last."""

    def __init__(self, order: dict[str, Any], *, pid: int, child: bool, log: Path) -> None:
        self.name: str = order["name"]
        self.spec: dict[str, Any] = order["spec"]
        self.key: str = order["key"]
        self.socket, self.control = Path(order["socket"]), Path(order["control"])
        self.state_file, self.log = Path(order["state"]), log
        self.pid, self.child = pid, child
        self.since, self.started = time.time(), time.monotonic()
        self.state = "loading"
        self.stopped = ""  # why it was told to end
        self.kill_at = 0.0
        self.connection: socket.socket | None = None
        self.lines = LineDecoder()
        self.next_dial = 0.0
        self.asked: list[Callable[[dict[str, Any]], None]] = []

    @property
    def fraction(self) -> float | None:
        """How much of what it needs is in memory, which says roughly how far the loading is."""
        need = int(self.spec["need_bytes"])
        return round(min(0.99, resident(self.pid) / need), 2) if need > 0 else None


class Workers:
    """All workers of one home."""

    def __init__(
        self,
        home: Home,
        kinds: Mapping[str, Kind],
        selector: selectors.BaseSelector,
        *,
        said: Callable[[Worker], None],
        ended: Callable[[Worker, int | None], None],
    ) -> None:
        self.table: dict[str, Worker] = {}
        self._home, self._kinds, self._selector, self._said, self._ended = home, kinds, selector, said, ended

    def start(self, name: str, spec: Mapping[str, Any]) -> Worker:
        """Start a worker; its spec and a fresh key go through a pipe."""
        # The name of its files is nobody else's: a keeper that was killed may have started a worker that nobody knows of.
        folder, files = self._home.ensure_sockets(), f"{name}-{os.urandom(3).hex()}"
        order = {
            "name": name,
            "spec": dict(spec),
            "key": os.urandom(16).hex(),
            "socket": f"{folder}/{files}.sock",
            "control": f"{folder}/{files}.ctl",
            "state": str(self._home.run / f"{files}.json"),
            "keeper": os.getpid(),
        }
        log = self._home.logs / f"{name}.log"
        put_aside(log, 0)  # so that the last lines of a log are of this process
        reader, writer = os.pipe()
        try:
            os.set_blocking(writer, False)
            os.write(writer, encode(order))  # a pipe holds 64 KiB; the size of a spec is checked before
            os.close(writer)
            writer = -1
            pid = spawn(self._kinds[kind_of(spec)], home=self._home.root, log=log, stdin=reader)
        finally:
            os.close(reader)
            if writer >= 0:
                os.close(writer)
        worker = self.table[name] = Worker(order, pid=pid, child=True, log=log)
        return worker

    def adopt(self) -> list[Worker]:
        """Take over the workers whose state files are held; remove what dead ones left."""
        adopted = []
        for path in sorted(self._home.run.glob("*.json")):
            order = _state(path)
            if order is None or not is_held(path):
                path.unlink(missing_ok=True)
                for left in (order["socket"], order["control"]) if order else ():
                    with suppress(OSError):
                        os.unlink(left)
                continue
            order["state"] = str(path)  # the home may have been moved
            log = self._home.logs / f"{order['name']}.log"
            worker = self.table[order["name"]] = Worker(order, pid=order["pid"], child=False, log=log)
            adopted.append(worker)
        for path in self._home.run.glob(".*.json.*"):
            if not is_held(path):
                path.unlink(missing_ok=True)
        return adopted

    def stop(self, name: str, why: str) -> None:
        """End a worker; `ended` is called when its process is gone."""
        worker = self.table.get(name)
        if worker and not worker.stopped:
            worker.stopped, worker.kill_at = why, time.monotonic() + GRACE
            self._signal(worker, signal.SIGTERM)

    def kill_all(self, seconds: float) -> None:
        """End all workers and wait for it, when the keeper is told to end with everything."""
        for worker in self.table.values():
            self._hang_up(worker)
            self._signal(worker, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        hard = time.monotonic() + seconds / 2
        while self.table and time.monotonic() < deadline:
            if time.monotonic() > hard:
                for worker in self.table.values():
                    self._signal(worker, signal.SIGKILL)
            self.reap()
            time.sleep(0.005)

    def order(self, name: str, order: str, answer: Callable[[dict[str, Any]], None]) -> bool:
        """Send an order on the control socket; False when the worker has none open."""
        worker = self.table.get(name)
        if worker is None or worker.connection is None:
            return False
        worker.asked.append(answer)
        with suppress(OSError):
            worker.connection.send(encode({"order": order}))
        return True

    def reap(self) -> None:
        """Look which workers have ended."""
        for worker in list(self.table.values()):
            if worker.child:
                code = exit_code(worker.pid)
                if code is not None:
                    self._gone(worker, code)
            elif worker.connection is None and not is_held(worker.state_file):
                self._gone(worker, None)

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        times = [worker.next_dial for worker in self.table.values() if worker.connection is None]
        times += [worker.kill_at for worker in self.table.values() if worker.kill_at]
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Dial who is silent, kill who does not end."""
        for worker in list(self.table.values()):
            if worker.kill_at and now >= worker.kill_at:
                worker.kill_at = now + GRACE
                self._signal(worker, signal.SIGKILL)
            if worker.connection is None and now >= worker.next_dial:
                if not worker.child and not is_held(worker.state_file):
                    self._gone(worker, None)
                else:
                    self._dial(worker, now)

    def _dial(self, worker: Worker, now: float) -> None:
        """Connect without blocking. A worker that listens and says nothing holds its interpreter: it is loading."""
        age = now - worker.started
        worker.next_dial = now + (DIAL if age < 5 else 10 * DIAL)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(os.fspath(worker.control))
        except OSError:
            connection.close()
            if worker.child and age > SILENT and not worker.stopped:
                self.stop(worker.name, "it never answered")
            return
        worker.connection, worker.lines = connection, LineDecoder()
        self._selector.register(connection, selectors.EVENT_READ, lambda _mask: self._hear(worker))

    def _hear(self, worker: Worker) -> None:
        if worker.connection is None:
            return
        try:
            data = worker.connection.recv(65536)
            said = worker.lines.feed(data) if data else None
        except BlockingIOError:
            return
        except (OSError, Garbage):
            said = None
        if said is None:
            self._hang_up(worker)
            self.reap()
            return
        for line in said:
            if "order" in line:
                if worker.asked:
                    worker.asked.pop(0)(line)
            elif isinstance(line.get("state"), str):
                worker.state = line["state"]
                self._said(worker)

    def _hang_up(self, worker: Worker) -> None:
        if worker.connection is not None:
            self._selector.unregister(worker.connection)
            worker.connection.close()
            worker.connection = None
            worker.next_dial = time.monotonic() + DIAL
        asked, worker.asked = worker.asked, []
        for answer in asked:
            answer({"error": f"{worker.name} has gone"})

    def _signal(self, worker: Worker, number: int) -> None:
        if worker.child:
            end_group(worker.pid, number)
        else:
            end_holder(worker.pid, worker.state_file, number)

    def _gone(self, worker: Worker, code: int | None) -> None:
        del self.table[worker.name]
        self._hang_up(worker)
        for path in (worker.socket, worker.control, worker.state_file):
            with suppress(OSError):
                path.unlink()
        self._ended(worker, code)


def _state(path: Path) -> dict[str, Any] | None:
    """What a worker wrote about itself; None when it is anything else, as that of another version may be."""
    state = read_object(path)
    if state is None or any(not isinstance(state.get(name), str) for name in ("name", "key", "socket", "control")):
        return None
    try:
        checked_spec(state.get("spec"))
        integer(state.get("pid"), "pid")
    except UsageError:
        return None
    return state
