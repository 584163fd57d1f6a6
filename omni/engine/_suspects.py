"""Which request ended a worker, as far as anybody can tell, when it worked on several.

A suspect is who carries what may take memory or time without bound: a grammar that has not finished an answer on this
base yet, images, a very long text. Plain texts are none, nor is a grammar that has shown that it can be borne. When a
worker ends by itself and one of those it worked on was a suspect, that one did it: it is not asked again. When there
were several, nobody knows: each is asked once more while no other suspect is, so that the next end tells. The others
are asked again, or go on (`_retrying.py`), and hear nothing of it.
"""

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import NamedTuple

import msgspec

from omni.engine.types import ChatRequest, CompletionRequest, Tool

KNOWN = 1024  # grammars that have finished an answer
ENDED = 16  # workers whose end is remembered, until all whom it answered have noticed
LONG = 1 << 18  # characters of a text that is suspicious


class Carried(NamedTuple):
    """What a request carries that may end a worker; "" as `key`: nothing. `helps` says what to send instead, and `proves`
    whether a whole answer clears what has this key."""

    key: str = ""
    helps: str = ""
    proves: bool = False


def carried(request: ChatRequest | CompletionRequest) -> Carried:
    """What makes a request suspicious: first what no answer clears, since the next one of its kind may be another."""
    tools: tuple[Tool, ...] = ()
    if isinstance(request, CompletionRequest):
        texts, images = [request.prompt, request.suffix or ""], False
    else:
        texts, tools = [message.text for message in request.messages], request.tools
        images = any(message.images for message in request.messages)
    if images:
        return Carried(f"images {id(request)}", "fewer images, or smaller ones")
    if sum(map(len, texts)) > LONG:
        return Carried(f"text {id(request)}", "a shorter text")
    if request.schema is not None or tools:
        shapes = [request.schema, *([tool.name, tool.parameters] for tool in tools)]
        digest = hashlib.sha256(msgspec.json.encode(shapes)).hexdigest()
        return Carried(digest, "a simpler schema, or simpler tools", proves=True)
    return Carried()


class Suspects:
    """What the workers of one base work on now, and what is known of grammars. A worker is named by its socket."""

    def __init__(self) -> None:
        self._working: dict[str, list[str]] = {}
        self._ended: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._good: OrderedDict[str, None] = OrderedDict()
        self._trial = asyncio.Lock()
        self._trials = 0

    def began(self, worker: str, key: str) -> None:
        """A worker has begun to work on a request that carries `key`."""
        self._working.setdefault(worker, []).append(key)

    def ended(self, worker: str, key: str, *, good: bool = False) -> None:
        """It works on it no more; `good`: what `key` stands for has finished an answer, and is no suspect from now on."""
        working = self._working.get(worker, [])
        if key in working:
            working.remove(key)
        if not working:
            self._working.pop(worker, None)
        if good and key:
            self._good[key] = None
            self._good.move_to_end(key)
            while len(self._good) > KNOWN:
                self._good.popitem(last=False)

    @contextmanager
    def working(self, worker: str | os.PathLike[str], key: str) -> Iterator[None]:
        """Around what a worker does without anybody waiting for an answer's words."""
        self.began(os.fspath(worker), key)
        try:
            yield
        finally:
            self.ended(os.fspath(worker), key)

    def died(self, worker: str) -> frozenset[str]:
        """The suspects among what a worker worked on when its end was noticed first; the same for all who ask."""
        if not worker:
            return frozenset()
        if worker not in self._ended:
            self._ended[worker] = frozenset(self._suspicious(self._working.get(worker, ())))
            while len(self._ended) > ENDED:
                self._ended.popitem(last=False)
        return self._ended[worker]

    def is_dead(self, worker: str) -> bool:
        """Whether somebody has noticed its end already."""
        return worker in self._ended

    def lives(self, worker: str) -> None:
        """It has not ended after all."""
        self._ended.pop(worker, None)

    def suspicious(self, key: str) -> bool:
        """Whether what carries `key` may be what ends a worker."""
        return bool(key) and key not in self._good

    @asynccontextmanager
    async def asking(self, key: str, *, alone: bool = False) -> AsyncIterator[None]:
        """Around the time that a worker is asked. A suspect waits while another one is asked `alone`."""
        if not self.suspicious(key) or not (alone or self._trials):
            yield
            return
        self._trials += alone
        try:
            async with self._trial:
                yield
        finally:
            self._trials -= alone

    def _suspicious(self, keys: Iterable[str]) -> Iterable[str]:
        return (key for key in keys if self.suspicious(key))


class SuspectWork:
    """What workers do for one request that carries `key`. `worker` is the last one that did something, "" before;
    `late`: it had ended before. `lingers`: it may go on with it although nobody waits any more, and who waits for its end
    says that it is over."""

    def __init__(self, suspects: Suspects, key: str, *, alone: bool = False) -> None:
        self.worker, self.late, self.lingers = "", False, False
        self.trial = AsyncExitStack()
        self._suspects, self._key, self._busy, self._alone = suspects, key, False, alone

    async def alone(self) -> None:
        """Wait, with a place to compute, until it may be asked beside the suspects of now. Until `trial` is closed no
        other one is asked, where it must be alone."""
        await self.trial.enter_async_context(self._suspects.asking(self._key, alone=self._alone))

    def at(self, worker: str | os.PathLike[str]) -> None:
        """This worker does it from now on."""
        self.over()
        self.worker, self._busy = os.fspath(worker), True
        self.late = self._suspects.is_dead(self.worker)
        self._suspects.began(self.worker, self._key)

    def over(self, *, good: bool = False) -> None:
        """None does anything for it now; see `Suspects.ended`."""
        if self._busy:
            self._busy = False
            self._suspects.ended(self.worker, self._key, good=good)
