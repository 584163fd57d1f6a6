"""How workers have ended, for those whom one was answering: told as soon as it is known."""

import os
from collections import OrderedDict
from typing import Any

from omni.core.locks import is_held
from omni.keeper import places
from omni.keeper.children import how_it_ended, is_exiting
from omni.keeper.peers import Order, Peer
from omni.keeper.workers import Worker, Workers

KEPT = 64


class Fates:
    """What `values.Fate` says of the last workers that have ended, by their sockets, whose names come only once."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._known: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._asked: list[tuple[str, Peer, Order]] = []

    def tell(self, peer: Peer, order: Order) -> None:
        """Answer how a worker has ended: at once, or when it has; None when it lives, or nobody knows it."""
        socket = str(order.get("socket"))
        self._workers.reap()
        worker = next((one for one in self._workers.table.values() if os.fspath(one.socket) == socket), None)
        if worker is not None and _ends(worker):
            self._asked.append((socket, peer, order))
        else:
            peer.answer(order, self._known.get(socket))

    def ended(self, worker: Worker, code: int | None) -> None:
        """Take note of a worker's end, and tell it who has asked. Its log must still be its own."""
        socket = os.fspath(worker.socket)
        fate = {"code": code, "how": how_it_ended(code), "stopped": worker.stopped, "log": places.tail(worker.log)}
        self._known[socket] = fate
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        for asked, peer, order in self._asked:
            if asked == socket:
                peer.answer(order, fate)
        self._asked = [one for one in self._asked if one[0] != socket]

    def departed(self, peer: Peer) -> None:
        """A client has left, with what it asked."""
        self._asked = [one for one in self._asked if one[1] is not peer]


def _ends(worker: Worker) -> bool:
    """Whether it has begun to end; where the system does not tell, its line to the keeper does."""
    return is_exiting(worker.pid) or not is_held(worker.state_file) or worker.connection is None
