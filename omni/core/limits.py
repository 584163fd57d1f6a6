"""Calling what may never return: a thread of its own that is waited for only so long."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def within(seconds: float, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """The result of `function`, called in another thread; blocks, so never call it on an event loop.

    Raises TimeoutError after `seconds`, and whatever `function` raises, SystemExit included; of what else is no Exception
    RuntimeError is made, as a KeyboardInterrupt from there is nobody's Ctrl+C and a CancelledError cancels nothing here.
    A thread that goes on after its time cannot be ended; it is a daemon, so that it does not keep the process from ending.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - raised below, where somebody waits for it
            failures.append(error)

    thread = threading.Thread(target=call, name=f"limited to {seconds:g} s", daemon=True)
    thread.start()
    thread.join(seconds)
    if failures and not isinstance(failures[0], (Exception, SystemExit)):
        raise RuntimeError(f"it raised {type(failures[0]).__name__}") from failures[0]
    if failures:
        raise failures[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
