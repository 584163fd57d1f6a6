"""`omni audit`: what went through the airlock."""

import json
from datetime import datetime

import click

from omni.airlock import read_record, verify
from omni.cli.table import print_table
from omni.core.errors import BadFile
from omni.core.paths import Home
from omni.core.words import size_words


@click.command("audit")
@click.option("--json", "as_json", is_flag=True, help="Print the last line of each as it is stored: one JSON object.")
@click.option(
    "--last",
    "count",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many connections; 0 for all.",
)
@click.option("--verify", "verifying", is_flag=True, help="Look whether a line was changed or taken away instead.")
def command(as_json: bool, count: int, verifying: bool) -> None:
    """Show what went through the airlock.

    One line a connection: when, who asked, for what, which host, how many bytes, and how it ended. The record is in
    `audit/` of Omni's home and never leaves this machine. Lines are only ever added to it, each with a hash over itself and
    the line before: `--verify` reads all of them, says where one was changed or is missing, and fails then.
    """
    home = Home.from_environment()
    if verifying:
        _verify(home, as_json=as_json)
        return
    shown = read_record(home, count)
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


def _verify(home: Home, *, as_json: bool) -> None:
    seen = verify(home)
    if as_json:
        click.echo(json.dumps(seen._asdict()))
    else:
        files = f"{seen.files} file{'s' * (seen.files != 1)}"
        click.echo(f"{seen.lines} lines in {files}, each with a hash over itself and the line before.")
        if seen.unchained:
            click.echo(f"{seen.unchained} lines of earlier builds, which wrote no hashes: nobody can say more of them.")
        for where in seen.torn:
            click.echo(f"{where}: a sudden end left it unfinished; the chain goes on after it.")
        for fault in seen.faults:
            click.echo(fault)
    if seen.faults:
        raise BadFile(
            f"The record in {home.audit} is not whole: {len(seen.faults)} faults.",
            hint="Omni only adds to it; somebody, or the disk, did something else.",
        )


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
        return size_words(value)
    if column == "time":
        try:
            return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        except ValueError:
            return str(value)
    return str(value)
