"""What the person is told beside results: on stderr, one line each, without colours or control characters."""

import sys

import click

from omni.core.errors import OmniError

_SIGN = "omni: "


def tell(text: str) -> None:
    """One line on stderr. What was printed so far stands before it."""
    if sys.stdout is not None:
        sys.stdout.flush()
    click.echo(f"{_SIGN}{_clean(text)}", err=True)


def print_error(error: OmniError) -> None:
    """The message and what to do, on stderr."""
    tell(error.message)
    for line in error.hint.splitlines():
        click.echo(f"{' ' * len(_SIGN)}{_clean(line)}", err=True)


def one_line(text: str) -> str:
    """Without line breaks, and without what could steer a terminal: names inside foreign files may hold anything."""
    return _clean("".join(" " if sign.isspace() else sign for sign in text))


def _clean(text: str) -> str:
    from omni.core.clean import clean  # its patterns are not worth their time where nothing is said

    return clean(text)
