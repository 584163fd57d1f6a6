"""The standard streams as they really are: closed, in another encoding, a pipe that never ends, or a terminal."""

import io
import locale
import os
import select
import sys
from contextlib import suppress
from typing import Any

from omni.cli.say import tell
from omni.core.errors import BadFile, UsageError

MOST = 4 << 20  # bytes that are read from a pipe: far more than any context holds
SILENCE = 2.0  # seconds until a person is told that standard input is awaited


def prepare() -> None:
    """Make output never fail for a character that the terminal does not know, and have streams where there are none."""
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
        elif isinstance(stream, io.TextIOWrapper):
            # In the C locale Python itself writes UTF-8; a pipe may have that, a terminal would show other signs.
            encoding = locale.getencoding() if stream.isatty() else stream.encoding
            with suppress(LookupError, ValueError):
                stream.reconfigure(encoding=encoding, errors="replace")


def let_go() -> None:
    """Nobody reads our output any more: what is still buffered goes nowhere instead of failing at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def at_terminal() -> bool:
    """Whether a person can be asked something."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def piped_text() -> str:
    """All of standard input when it is no terminal. Raises UsageError when it is too much, BadFile when it is no text."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    _mention_waiting()
    try:
        data = sys.stdin.buffer.read(MOST + 1)
    except OSError as error:
        raise BadFile(f"Standard input cannot be read: {error.strerror}.") from error
    if len(data) > MOST:
        raise UsageError(f"More than {MOST >> 20} MiB were piped in.", hint="No context holds that: pipe a part of it.")
    if b"\0" in data:
        raise BadFile("What was piped in is not text.", hint="Only text can be asked about.")
    return data.decode("utf-8-sig", "replace").strip()


def as_text(argument: str) -> str:
    """A word of the command line; bytes that are no UTF-8 become the sign for that."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _mention_waiting() -> None:
    """A pipe that nobody closes looks like a program that hangs."""
    if sys.stderr is not None and sys.stderr.isatty():
        with suppress(OSError, ValueError):
            if not select.select([sys.stdin.fileno()], [], [], SILENCE)[0]:
                tell("reading standard input to its end (`< /dev/null` gives none)")
