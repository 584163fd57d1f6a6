"""`omni audit`: what went through the airlock."""

import json
from datetime import datetime

import click

from omni.airlock import read_record
from omni.cli.table import print_table
from omni.core.paths import Home
from omni.hardware import gigabytes


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are stored: one JSON object each.")
@click.option(
    "--last",
    "count",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many connections; 0 for all.",
)
def command(as_json: bool, count: int) -> None:
    """Show what went through the airlock.

    One line a connection: when, who asked, for what, which host, how many bytes, and how it ended. The record is in
    `audit/` of Omni's home and never leaves this machine; of more than 5 MB the oldest lines go.
    """
    shown = read_record(Home.from_environment(), count)
    if as_json:
        for line in shown:
            click.echo(line)
        return
    entries = [entry for line in shown if (entry := _parsed(line))]
    if not entries:
        click.echo("Nothing has gone through the airlock yet.")
        return
    columns = ("time", "client", "purpose", "host", "bytes", "verdict")
    print_table(columns, [[_cell(entry, column) for column in columns] for entry in entries], right=("bytes",))


def _parsed(line: str) -> dict[str, object] | None:
    """A line torn by a power cut is passed over."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _cell(entry: dict[str, object], column: str) -> str:
    value = entry.get(column, "")
    if column == "bytes" and isinstance(value, int):
        return gigabytes(value)
    if column == "time":
        try:
            return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        except ValueError:
            return str(value)
    return str(value)
