"""`omni consent`: what brains may do here without asking, what they never may, and what came of it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omni.cli.table import print_json, print_table
from omni.core.errors import BadFile, UsageError
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.hands import Judgement, ToolAct, Verdict

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group("consent")
def command() -> None:
    """See and change what brains may do without asking.

    Reading inside the project is free; all else is asked about unless a rule allows it, and a rule that denies wins.
    """


@command.command("check")
@click.option("--tool", type=click.Choice(["shell", "read", "write", "network"]), default="shell", show_default=True)
@click.option("--project", type=_FOLDER, help="The project; else the one that this folder belongs to.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("what", metavar="COMMAND|PATH|HOST")
def check(tool: str, project: Path | None, as_json: bool, what: str) -> int:
    """Say what would be asked about, part by part; nothing is run.

    Fails with 1 where it would be asked about or denied.
    """
    from omni.hands import ConsentJudge

    judgement = ConsentJudge(Home.from_environment()).judge(_act(tool, what, project))
    if as_json:
        print_json(judgement)
    else:
        _show(judgement)
    return 0 if judgement.verdict == "allow" else 1


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(as_json: bool) -> None:
    """List the rules."""
    from omni.hands import RuleBook

    rules = RuleBook(Home.from_environment()).kept()
    if as_json:
        print_json(rules)
    elif not rules:
        click.echo("There are no rules: all but reading inside a project is asked about.")
    else:
        columns = ("", "verdict", "tool", "what", "where", "made", "by")
        rows = [
            (
                str(number),
                rule.verdict,
                rule.tool,
                rule.words,
                rule.project or "everywhere",
                rule.made.astimezone().strftime("%Y-%m-%d"),
                rule.by,
            )
            for number, rule in enumerate(rules, 1)
        ]
        print_table(columns, rows, right=("",))


@command.command("allow")
@click.option("--project", is_flag=True, help="In this project only.")
@click.argument("tool")
@click.argument("pattern", default="")
def allow(project: bool, tool: str, pattern: str) -> None:
    """Let TOOL do what PATTERN says without asking.

    TOOL is shell, read, write, network, or the name of a tool. PATTERN is what a command begins with ("git status"), a glob of
    paths ("src/**"), or a host. What runs whatever it is told is allowed with the very same words only.
    """
    _add("allow", tool, pattern, project=project)


@command.command("ask")
@click.option("--project", is_flag=True, help="In this project only.")
@click.argument("tool")
@click.argument("pattern", default="")
def ask(project: bool, tool: str, pattern: str) -> None:
    """Ask each time, whatever is allowed or free."""
    _add("ask", tool, pattern, project=project)


@command.command("deny")
@click.option("--project", is_flag=True, help="In this project only.")
@click.argument("tool")
@click.argument("pattern", default="")
def deny(project: bool, tool: str, pattern: str) -> None:
    """Never do it, whatever is allowed."""
    _add("deny", tool, pattern, project=project)


@command.command("rm")
@click.argument("number", type=click.IntRange(min=1))
def rm(number: int) -> None:
    """Remove the rule of that NUMBER, as `omni consent ls` counts."""
    from omni.hands import RuleBook

    rule = RuleBook(Home.from_environment()).remove(number)
    click.echo(f"Removed: {rule.verdict} {rule.tool} {rule.words}.")


@command.command("log")
@click.option("--json", "as_json", is_flag=True, help="Print each as it is stored: one JSON object a line.")
@click.option(
    "--last",
    "count",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="How many; 0 for all.",
)
@click.option("--verify", "verifying", is_flag=True, help="Look whether a line was changed or taken away instead.")
def log(as_json: bool, count: int, verifying: bool) -> None:
    """Show what was judged, what you answered and how it ended.

    Arguments of commands are not written down: they may hold passwords.
    """
    from omni.core.record import parsed
    from omni.hands import consent_record

    record = consent_record(Home.from_environment())
    if verifying:
        seen = record.verify()
        click.echo(
            json.dumps(seen._asdict()) if as_json else f"{seen.lines} lines, each with a hash over the one before."
        )
        if seen.faults:
            raise BadFile(f"The record is not whole: {'; '.join(seen.faults[:5])}.")
        return
    lines = [line for path in record.files() for line in path.read_text("utf-8", "replace").splitlines()]
    lines = lines[-count:]
    if as_json:
        for line in lines:
            click.echo(line)
        return
    entries = [entry for line in lines if (entry := parsed(line.encode())) is not None]
    if not entries:
        click.echo("Nothing was judged yet.")
        return
    columns = ("time", "agent", "tool", "verdict", "parts", "outcome")
    print_table(columns, [[_cell(entry, column) for column in columns] for entry in entries])


def _add(verdict: "Verdict", tool: str, pattern: str, *, project: bool) -> None:
    from omni.hands import RuleBook, project_of, rule_of

    home = Home.from_environment().ensure()
    where = str(project_of(Path.cwd())) if project else ""
    rule = rule_of(verdict, tool, pattern, project=where, made=datetime.now(UTC).replace(microsecond=0))
    RuleBook(home).keep(rule)
    click.echo(f"{rule.verdict} {rule.tool} {rule.words}{f' in {where}' if where else ''}")


def _act(tool: str, what: str, project: Path | None) -> "ToolAct":
    from omni.hands import ToolAct, project_of

    folder = project.resolve() if project is not None else Path.cwd()
    top = folder if project is not None else project_of(folder)
    if not what.strip():
        raise UsageError("There is nothing to judge.", hint='As in: omni consent check "git status"')
    touches: Any = (tool,)
    return ToolAct(
        tool=tool,
        touches=touches,
        folder=os.path.realpath(folder),
        project=str(top),
        command=what if tool == "shell" else "",
        path=os.path.expanduser(what) if tool in ("read", "write") else "",
        host=what if tool == "network" else "",
    )


def _show(judgement: "Judgement") -> None:
    rows = [
        (part.verdict, part.kind, part.text, part.reason if part.rule is None else f"{part.reason}: {part.rule.words}")
        for part in judgement.parts
    ]
    print_table(("verdict", "does", "what", "why"), rows)
    offered = list(dict.fromkeys(part.offered.words for part in judgement.parts if part.offered is not None))
    click.echo(f"\n{judgement.verdict}: {judgement.reason}")
    if judgement.answers:
        click.echo(
            f"Could be allowed: {', '.join(judgement.answers)}." + (f" Rules: {'; '.join(offered)}." if offered else "")
        )


def _cell(entry: dict[str, Any], column: str) -> str:
    value = entry.get(column, "")
    if column == "time":
        try:
            return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        except ValueError:
            return str(value)
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
