"""Questions to the person at a terminal: lines read without a thread, and consent, which is "no" unless it is given."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import click

from omni.cli.streams import at_terminal
from omni.core.errors import OmniError, UsageError

T = TypeVar("T")


class Stopped(Exception):
    """The person pressed Ctrl+C."""


def require_consent(question: str, *, option: str = "--yes") -> None:
    """Ask; return when the person agrees. Raises OmniError when not, UsageError where nobody can be asked."""
    if not at_terminal():
        raise UsageError(f"{question} There is no terminal to ask in.", hint=f"Add {option} to agree beforehand.")
    click.echo(f"{question} [y/N] ", nl=False, err=True)
    if not _is_yes(sys.stdin.readline()):
        raise OmniError("Nothing was changed.")


async def agrees(question: str) -> bool:
    """The same inside an event loop; False where nobody can be asked."""
    return at_terminal() and _is_yes(await TypedLines().read(f"{question} [y/N] ") or "")


class TypedLines:
    """Lines typed at the terminal. No escape codes are written, so every terminal and screen reader can follow."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._typed = b""
        self._ended = False

    async def read(self, prompt: str) -> str | None:
        """Write the prompt to stderr and return the next line, None at the end of the input."""
        click.echo(prompt, nl=False, err=True)
        while b"\n" not in self._typed and not self._ended:
            await self._readable()
            try:
                data = os.read(self._descriptor, 4096)
            except OSError:  # the terminal has gone
                data = b""
            self._typed += data
            self._ended = not data
        if self._ended:
            click.echo(err=True)
        if not self._typed:
            return None
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(sys.stdin.encoding or "utf-8", "replace")

    async def _readable(self) -> None:
        """Wait without a thread: one that waits for a line would keep the program from ending."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()

        def typed() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_reader(self._descriptor, typed)
        try:
            await ready
        finally:
            loop.remove_reader(self._descriptor)


class Interrupts:
    """While entered, Ctrl+C ends what `run` awaits and not the program."""

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`. Raises Stopped when Ctrl+C ended it, after it has cleaned up."""
        task = asyncio.create_task(work)
        self._task = task
        try:
            await asyncio.wait({task})
        finally:
            self._task = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if task.cancelled():
            raise Stopped
        return task.result()

    def _pressed(self) -> None:
        if self._task is not None:
            self._task.cancel()


def _is_yes(answer: str) -> bool:
    return answer.strip().lower() in ("y", "yes")
