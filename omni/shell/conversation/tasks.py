"""What is done while nobody waits for it. This is where the conversation catches what fails in that."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Tasks:
    """Tasks of which a failure is told to `failed`."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, object], name: str) -> "asyncio.Task[None]":
        """Do this beside everything else."""
        task = asyncio.create_task(self._guarded(work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: work.close())  # of one that was cancelled before it began
        return task

    async def settled(self) -> None:
        """Return when all is done, and all that follows from it."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """End all of it."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guarded(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - it is said, whatever it is
            self._failed(error)
