"""Listings: aligned columns for people, JSON for programs. No colours and no lines, so that a screen reader reads them."""

import shutil
import sys
from collections.abc import Collection, Iterable, Sequence
from textwrap import wrap
from typing import Any

import click
import msgspec

from omni.cli.say import one_line

Row = Sequence[str]


def print_json(value: Any) -> None:
    """One indented JSON document; what msgspec knows (structs, tuples, paths as text) may be in it."""
    click.echo(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def print_table(head: Row, rows: Iterable[Row], *, right: Collection[str] = ()) -> None:
    """Columns as wide as their widest cell, those named in `right` aligned there."""
    print_groups(head, {"": list(rows)}, right=right)


def print_groups(head: Row, groups: "dict[str, list[Row]]", *, right: Collection[str] = ()) -> None:
    """One table whose rows stand below the titles of their groups. On a terminal lines end where it does."""
    lines = [tuple(head), *(tuple(one_line(cell) for cell in row) for rows in groups.values() for row in rows)]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(head))]
    most = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def put(row: Row) -> None:
        cells = []
        for name, cell, width in zip(head, row, widths, strict=True):
            padding = " " * (width - _width(cell))
            cells.append(padding + cell if name in right else cell + padding)
        click.echo(_cut("  ".join(cells).rstrip(), most))

    put(head)
    remaining = iter(lines[1:])
    for title, rows in groups.items():
        if title:
            click.echo(f"\n{title}")
        for _ in rows:
            put(next(remaining))


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """A column of names and a column of what is known; empty facts are left out."""
    known = [(name, value) for name, value in facts if value]
    width = max((len(name) for name, _ in known), default=0)
    for name, value in known:
        click.echo(f"{name:<{width}}  {one_line(value)}")


def print_explained(title: str, rows: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Below a title names, and beside each its sentences, of which nothing is cut: on a terminal they go on below."""
    known = [(one_line(name), [one_line(text) for text in texts if text]) for name, texts in rows]
    if not known:
        return
    width = min(max(_width(name) for name, _ in known), 34)
    room = max(30, shutil.get_terminal_size().columns - width - 2) if sys.stdout.isatty() else None
    click.echo(f"\n{title}")
    for name, texts in known:
        lines = [
            line
            for text in texts
            for line in (wrap(text, room, break_on_hyphens=False, break_long_words=False) if room else [text])
        ]
        if _width(name) > width:
            click.echo(name)
            name = ""
        for line in lines:
            click.echo(f"{name}{' ' * (width - _width(name))}  {line}")
            name = ""


def _cut(line: str, most: int | None) -> str:
    if most is None or _width(line) <= most:
        return line
    from rich.cells import set_cell_size

    return set_cell_size(line, max(1, most - 3)) + "..."


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
