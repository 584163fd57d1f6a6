"""What processes of a home there are, as `omni ps` and the panes show them."""

import os
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from omni.core.memory import started_by
from omni.core.paths import Home
from omni.keeper.admission import Admission, WorkerRecord
from omni.keeper.doors import AirlockSupervisor
from omni.keeper.peers import Peer
from omni.keeper.wire import kind_of
from omni.keeper.workers import Worker, Workers


def listing(
    peers: Iterable[Peer],
    doors: AirlockSupervisor,
    workers: Workers,
    admission: Admission,
    *,
    home: Home,
    since: float,
    known_kinds: Container[str],
) -> list[dict[str, Any]]:
    """The keeper, which lives `since` then, its clients and their starters, the airlock and the workers: the fields of
    `values.ProcessInfo`. Of other kinds those that who asks knows."""
    rows = [_row("keeper", "keeper", os.getpid(), since, str(home.root))]
    for one in sorted(peers, key=lambda one: one.number):
        if one.name:
            name = f"{one.name}-{one.pid}"
            rows.append(_row(name, "client", one.pid, one.since) | {"jobs": one.jobs})
            if one.starter:
                rows.append(_row(f"starter-{one.starter}", "starter", one.starter, one.since, f"of {name}"))
    if doors.pid:
        rows.append(_row("airlock", "airlock", doors.pid, doors.since, doors.detail))
    for worker in workers.table.values():
        known = admission.workers.get(worker.name)
        kind, turns = kind_of(worker.spec), len(known.turns) if known is not None else 0
        row = _row(worker.name, kind, worker.pid, worker.since, _detail(worker, known)) | {"turns": turns}
        if kind == "worker":
            placed = str(worker.spec["settings"].get("placed", ""))
            rows.append(row | {"base": worker.spec["base"], "engine": worker.spec["engine"], "placed": placed})
        elif kind in known_kinds:
            rows.append(row)
    return rows


def _row(name: str, kind: str, pid: int, since: float, detail: str = "") -> dict[str, Any]:
    from omni.core.confinement import state_of

    looked_at = [pid, *(started_by(pid) if kind == "worker" else ())]  # an engine's own program must be behind it, too
    walls = [state_of(one, beside=os.getpid()) for one in looked_at]
    confined = walls[0].kind if all(wall.enforced for wall in walls) else "none"
    return {
        "name": name,
        "kind": kind,
        "pid": pid,
        "confined": confined,
        "since": since,
        "detail": detail,
        "base": "",
        "engine": "",
        "placed": "",
        "turns": 0,
    }


def _detail(worker: Worker, known: WorkerRecord | None) -> str:
    if known is None or known.state == "ending":
        return "ending"
    if kind_of(worker.spec) == "sandbox":
        return f"{len(known.turns)} commands" if known.turns else "idle"
    if kind_of(worker.spec) == "helper":
        doing = "loading" if known.state != "ready" else "at work" if known.turns else "idle"
        return f"{worker.spec['base']}, {doing}"
    used = f"{len(known.turns)} of {known.slots} places" if known.state == "ready" else "loading"
    return f"{Path(worker.spec['path']).name}, {used}"
