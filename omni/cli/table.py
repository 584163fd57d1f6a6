"""Listings: aligned columns for people, JSON for programs. No colours and no lines, so that a screen reader reads them."""

from collections.abc import Iterable, Sequence
from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """One indented JSON document; what msgspec knows (structs, tuples, paths as text) may be in it."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their widest cell; the last one is not padded."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        cells = [cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """A column of names and a column of what is known; empty facts are left out."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        click.echo(f"{name:<{width}}  {value}")


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
