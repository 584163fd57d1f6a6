"""Processes that try to get around their own wall, because somebody wants to see that it holds."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from omni.core.errors import EngineError, NotFound
from omni.keeper.doors import AirlockSupervisor
from omni.keeper.peers import Order, Peer
from omni.keeper.wire import integer
from omni.keeper.workers import Workers


class Trials:
    """Hands the wish on to the process that is meant, and what came of it back to who asked."""

    def __init__(self, peers: Mapping[int, Peer], workers: Workers, doors: AirlockSupervisor) -> None:
        self._peers, self._workers, self._doors = peers, workers, doors
        self._running: dict[int, tuple[Peer, Peer, Order]] = {}  # number -> the front end that tries, for whom
        self._number = 0

    def begin(self, asker: Peer, order: Order) -> None:
        """Have the process that the order names try. Raises NotFound when it cannot be asked."""
        name = str(order.get("name"))
        if name == "keeper":
            from omni.core.confinement import attempts

            asker.answer(order, [attempt._asdict() for attempt in attempts()])
        elif name == "airlock":
            self._doors.try_wall(partial(asker.reply, order))
        elif not (
            self._workers.order(name, "wall", lambda said: _tried(asker, order, said))
            or self._ask_front_end(name, asker, order)
        ):
            raise NotFound(f"{name} does not answer orders.")

    def told(self, peer: Peer, order: Order) -> None:
        """A front end says what came of it."""
        number = integer(order.get("trial"), "trial")
        if number in self._running and self._running[number][0] is peer:
            _, asker, asked = self._running.pop(number)
            _tried(asker, asked, order)

    def departed(self, peer: Peer) -> None:
        """A client is gone, which may have tried, or asked for it."""
        for number, (asked, asker, order) in list(self._running.items()):
            if peer in (asked, asker):
                del self._running[number]
                asker.refuse(order, NotFound("It has just ended."))

    def _ask_front_end(self, name: str, asker: Peer, order: Order) -> bool:
        """Have the front end of this name, or the one whose starter it is, try; False when there is none that can."""
        for peer in self._peers.values():
            starter = bool(peer.starter) and name == f"starter-{peer.starter}"
            if peer.tries and (starter or name == f"{peer.name}-{peer.pid}"):
                self._number += 1
                self._running[self._number] = (peer, asker, order)
                peer.send({"event": "wall", "trial": self._number, "starter": starter})
                return True
        return False


def _tried(peer: Peer, order: Order, said: dict[str, Any]) -> None:
    if "error" in said:
        peer.refuse(order, EngineError(str(said["error"])))
    else:
        peer.answer(order, said.get("attempts"))
