"""The tree of messages, without a database: which branch is active, what stands beside it."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import NamedTuple


class MessageNode(NamedTuple):
    """A message as the tree sees it; `number` grows with time."""

    id: str
    parent: str | None
    number: int


class Tree:
    """All messages of one conversation."""

    def __init__(self, nodes: Iterable[MessageNode]) -> None:
        self.nodes: dict[str, MessageNode] = {node.id: node for node in nodes}
        self._children: dict[str | None, list[MessageNode]] = {}
        for node in sorted(self.nodes.values(), key=itemgetter(2)):
            self._children.setdefault(node.parent, []).append(node)

    def path(self, leaf: str | None) -> list[str]:
        """The branch from the first message to `leaf`; empty for None."""
        branch: list[str] = []
        seen: set[str] = set()
        while leaf is not None and leaf in self.nodes and leaf not in seen:
            seen.add(leaf)  # a database that somebody edited by hand may hold a circle
            branch.append(leaf)
            leaf = self.nodes[leaf].parent
        return branch[::-1]

    def siblings(self, message: str) -> tuple[str, ...]:
        """What stands in the place of `message` on all branches, itself included, oldest first."""
        return tuple(node.id for node in self._children.get(self.nodes[message].parent, ()))

    def children(self, message: str | None) -> Sequence[MessageNode]:
        """What follows `message`, oldest first; None asks for the beginnings."""
        return self._children.get(message, ())

    def leaf(self, message: str) -> str:
        """Where the branch through `message` ends: at the newest message below it that nothing follows."""
        newest, waiting = self.nodes[message], [self.nodes[message]]
        while waiting:
            node = waiting.pop()
            below = self.children(node.id)
            waiting.extend(below)
            if not below and (node.number > newest.number or node is newest):
                newest = node
        return newest.id
