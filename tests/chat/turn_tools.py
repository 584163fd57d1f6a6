"""What the tests of turns share: how events are read, and how they and messages are told apart."""

from typing import Any

from omni.core.events import (
    TextDelta,
)


def kinds(events: Any) -> list[str]:
    return [type(event).__name__ for event in events]


def seen(messages: Any) -> list[tuple[str, str, str]]:
    return [(message.role, message.state, message.text) for message in messages]


async def gather(received: list[Any], events: Any) -> None:
    """Read a turn into `found`, as far as it comes."""
    async for event in events:
        received.append(event)  # noqa: PERF401 - what came before a failure counts


async def until(events: Any, text: str) -> None:
    """Read a turn until `text` has come."""
    async for event in events:
        if isinstance(event, TextDelta) and text in event.text:
            return
    raise AssertionError(f"{text!r} never came")
