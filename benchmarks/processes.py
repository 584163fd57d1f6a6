"""Memory of keeper, airlock and starter together, while nobody asks anything of them.

    python -m benchmarks.processes [--other TREE]

Each round has a home of its own: a starter is started as a front end starts it, and starts a keeper, which starts an
airlock for one encrypted request to this machine (it is refused; but all that encryption takes is loaded by then). They
are looked at before the first door, when the door is shut, and when nothing has changed for a while. What counts is the
proportional set size: a page that several processes share counts for each by its share. `--other` names another
checkout, which is measured in turns with this one, with the same interpreter. Linux only, and as root: keeper and airlock
cannot be looked into by their own user.
"""

import argparse
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 5
IDLE = 25.0  # seconds; longer than anything here waits before it ends
NAMES = ("keeper", "airlock", "starter")
MOMENTS = ("before a door", "a door was shut", "idle")

Row = dict[str, dict[str, float]]  # by moment, then by process, MiB


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.processes")
    parser.add_argument("--other", type=Path, metavar="TREE", help="another checkout to measure beside this one")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    wanted = parser.parse_args()
    if wanted.once:
        print(json.dumps(once(wanted.once.resolve())))
        return
    trees = {"this": ROOT} | ({"other": wanted.other.resolve()} if wanted.other else {})
    rows: dict[str, list[Row]] = {name: [] for name in trees}
    for _ in range(wanted.rounds):
        for name, tree in trees.items():
            command = [sys.executable, str(Path(__file__).resolve()), "--once", str(tree)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=tree)
            rows[name].append(json.loads(done.stdout))
    print(f"{'MiB, best / middle':30}" + "".join(f"{name:>16}" for name in (*NAMES, "together")))
    for name in trees:
        for moment in MOMENTS:
            columns = [[row[moment].get(each, 0.0) for row in rows[name]] for each in NAMES]
            columns.append([sum(row[moment].values()) for row in rows[name]])
            cells = "".join(f"{min(column):>8.1f} /{median(column):>6.1f}" for column in columns)
            print(f"{name + ': ' + moment:30}{cells}")
    print("budget: 14 MiB together while idle")


def once(tree: Path) -> Row:
    """One round of a checkout, in this process, which is the front end."""
    sys.path.insert(0, str(tree))
    from omni.core.paths import Home
    from omni.keeper import start

    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder:
        home = Home(folder).ensure()
        starter = start(home, full_screen=False)
        starter.keeper()
        keeper = Line(address(home.keeper_file))
        try:
            keeper.ask(do="hello", protocol=keeper.protocol, client="bench", pid=os.getpid(), starter=starter.pid)
            settle()
            row = {MOMENTS[0]: memory(keeper, starter.pid)}
            door = keeper.ask(do="door", purpose="pull")
            refused_request(door)
            settle()
            row[MOMENTS[1]] = memory(keeper, starter.pid)
            time.sleep(IDLE)
            row[MOMENTS[2]] = memory(keeper, starter.pid)
        finally:
            keeper.ask(do="shutdown")
            starter.goodbye()
        return row


class Line:
    """A line to a keeper, spoken as it is: the names around it change from build to build."""

    def __init__(self, where: dict[str, Any]) -> None:
        self.pid, self.protocol = int(where["pid"]), where["protocol"]
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(where["socket"])
        self._file = self._socket.makefile("rb")

    def ask(self, **order: Any) -> Any:
        """What the keeper answers; what it tells everybody is passed over."""
        self._socket.sendall(json.dumps({"id": 1, **order}).encode() + b"\n")
        for line in self._file:
            said = json.loads(line)
            if said.get("id") == 1:
                return said["ok"]
        raise SystemExit("The keeper has gone.")


def address(path: Path) -> dict[str, Any]:
    """What a keeper writes down when it listens."""
    for _ in range(1000):
        if path.exists():
            return dict(json.loads(path.read_text()))
        time.sleep(0.01)
    raise SystemExit("No keeper has started.")


def refused_request(door: dict[str, str]) -> None:
    """Have the airlock ask a server of this machine that speaks no TLS, until it has given up."""
    server = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while select.select([server], [], [], 5.0)[0]:
            connection = server.accept()[0]
            connection.recv(1024)
            connection.sendall(b"no\r\n" * 4)
            connection.close()

    threading.Thread(target=hang_up, daemon=True).start()
    url = f"https://127.0.0.1:{server.getsockname()[1]}/"
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(door["socket"])
        line.sendall(json.dumps({"token": door["token"], "url": url, "net": {"timeout": 5.0}}).encode() + b"\n")
        line.settimeout(60)
        said = json.loads(line.makefile("rb").readline())
    if "error" not in said:
        raise SystemExit(f"The airlock said {said}.")


def settle() -> None:
    """Wait until what was just asked is over."""
    time.sleep(1.0)


def memory(keeper: Line, starter: int) -> dict[str, float]:
    """MiB of each process that lives."""
    pids = {"keeper": keeper.pid, "starter": starter}
    for process in keeper.ask(do="processes"):
        if process["kind"] == "airlock":
            pids["airlock"] = process["pid"]
    return {name: proportional(pid) for name, pid in pids.items()}


def proportional(pid: int) -> float:
    """Proportional set size in MiB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        raise SystemExit("Only root may see the memory of keeper and airlock: run this as root.") from None
    for line in lines:
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
