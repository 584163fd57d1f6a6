"""What the person is told beside results: on stderr, one line each, without colours or control characters."""

import sys

import click

from omni.core.errors import OmniError

_SIGN = "omni: "


def tell(text: str) -> None:
    """One line on stderr. What was printed so far stands before it."""
    if sys.stdout is not None:
        sys.stdout.flush()
    click.echo(f"{_SIGN}{printable(text)}", err=True)


def print_error(error: OmniError) -> None:
    """The message and what to do, on stderr."""
    tell(error.message)
    for line in error.hint.splitlines():
        click.echo(f"{' ' * len(_SIGN)}{printable(line)}", err=True)


def printable(text: str) -> str:
    """Without the control characters that could move the cursor or write to the clipboard of a terminal."""
    return "".join(ch for ch in text if ch in "\n\t" or (ch >= " " and not "\x7f" <= ch <= "\x9f"))


def one_line(text: str) -> str:
    """The same for a cell of a listing: names inside foreign files may hold anything."""
    return printable("".join(" " if sign.isspace() else sign for sign in text))
