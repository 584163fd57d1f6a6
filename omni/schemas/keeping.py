"""Keeps what was made of texts, the last used ones, as long as they are not too large together; each is made once, also
when several threads want it at the same time."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class LruCache(Generic[T]):
    """What `make` makes of texts; `size` says how large each is. One that is larger than `most` is never kept."""

    def __init__(self, make: Callable[[bytes], T], size: Callable[[bytes, T], int], most: int) -> None:
        self._make, self._size, self._most = make, size, most
        self._kept: OrderedDict[bytes, tuple[T, int]] = OrderedDict()
        self._making: dict[bytes, Future[T]] = {}
        self._lock = Lock()
        self.size = 0  # of all that are kept
        self.waiting = 0  # how often one waited for what another was making

    def of(self, text: bytes) -> T:
        """What is made of a text. Raises what `make` raises, and keeps none of that."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text][0]
            if (making := self._making.get(text)) is None:
                mine = self._making[text] = Future()
            else:
                self.waiting += 1
        if making is not None:
            return making.result()
        try:
            made = self._make(text)
        except BaseException as error:
            with self._lock:
                del self._making[text]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[text]
            self._keep(text, made)
        mine.set_result(made)
        return made

    def _keep(self, text: bytes, made: T) -> None:
        size = self._size(text, made)
        if size > self._most:
            return
        self._kept[text] = made, size
        self.size += size
        while self.size > self._most:
            _, (_, gone) = self._kept.popitem(last=False)
            self.size -= gone
