"""Tells the other front ends, through the keeper, that a conversation changed, without ever holding up a turn."""

import asyncio
import logging
from typing import Any, Protocol

from omni.core.errors import OmniError


class Teller(Protocol):
    """The part of a keeper that chat needs."""

    async def changed(self, topic: str, value: Any) -> None:
        """Told to all other clients."""
        ...


class Notifier:
    """Sends `changed("conversation", {"conversation": ID, "what": WHAT})`.

    WHAT is "created", "asked", "writing", "ended", "renamed", "deleted", "switched" or "recovered". While one message
    is on its way, later ones about the same conversation are joined; the last one counts.
    """

    def __init__(self, keeper: Teller | None) -> None:
        self._keeper = keeper
        self._waiting: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    def tell(self, conversation: str, what: str) -> None:
        """Returns at once."""
        if self._keeper is None:
            return
        self._waiting.pop(conversation, None)
        self._waiting[conversation] = what
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._send(self._keeper))

    async def close(self) -> None:
        """Wait until all is said."""
        if self._task is not None:
            await self._task

    async def _send(self, keeper: Teller) -> None:
        while self._waiting:
            conversation = next(iter(self._waiting))
            what = self._waiting.pop(conversation)
            try:
                await keeper.changed("conversation", {"conversation": conversation, "what": what})
            except OmniError as error:  # others see the change when they next look
                logging.getLogger(__name__).warning("The keeper could not tell of a change: %s", error)
