"""`omni plugin`: add, list, check and remove plug-ins, and run what they bring by hand."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omni.cli.asking import require_consent
from omni.cli.plugin_call import call, run
from omni.cli.say import one_line, tell
from omni.cli.table import print_json, print_table
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.core.process_kinds import GrantedKind
    from omni.environment import PluginPlan, PluginTrial

MAY = (
    "It runs inside Omni as you do: it may read and write your files and start programs. It has no network of its own;",
    "what it asks Omni to fetch goes through Omni's doors and stands in their record.",
)


@click.group("plugin", commands=[call, run])
def command() -> None:
    """Add, list, check and remove plug-ins."""


@command.command("add")
@click.argument("what", metavar="PACKAGE|FOLDER|WHEEL")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--from",
    "folder",
    envvar="OMNI_FROM",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take packages from a folder that `omni export` wrote, and use no network.",
)
def add(what: str, yes: bool, folder: Path | None) -> None:
    """Add a plug-in with all that it needs, or bring it up to date.

    A folder has a pyproject.toml with a [project] table, or one module. Nothing of the plug-in runs before you agree;
    one that wants a process of its own is asked about once more. When anything fails, all is as it was.
    """
    from omni.environment import add_plugin
    from omni.environment.progress import Terminal

    def agree(plan: "PluginPlan") -> None:
        _show(plan)
        if not yes:
            require_consent("Add it?")

    def grant(kinds: "list[GrantedKind]") -> None:
        _show_kinds(kinds)
        if not yes:
            require_consent("Let it?")

    # The installer is a process of its own and is started from here, before this one would give up the network.
    trials = add_plugin(Home.from_environment(), what, Terminal(), agree=agree, grant=grant, wheels=folder)
    for trial in trials:
        click.echo(f"{trial.name} is here. It adds:")
        _show_additions(trial)
    click.echo("What is open already knows it after the next start.")


@command.command("ls")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ls(as_json: bool) -> None:
    """List the plug-ins that are installed; imports none of them."""
    rows = _listed(Home.from_environment())
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo("No plug-in is installed. `omni plugin add` takes a package, a folder or a wheel.")
    else:
        print_table(
            ("name", "version", "adds", "state"),
            [
                (
                    row["name"],
                    row["version"],
                    ", ".join(hook.removeprefix("omni_").replace("_", " ") for hook in row["hooks"]) or "?",
                    row["state"],
                )
                for row in rows
            ],
        )


@command.command("check")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(names: tuple[str, ...], as_json: bool) -> int:
    """Load plug-ins in a process of their own, ask every hook, and say what is wrong.

    Without NAMES all are checked. The exit code is 1 when something is wrong, and 3 for a name that nothing has.
    """
    from omni.core.errors import NotFound, nearest
    from omni.core.installed import InstalledPlugins
    from omni.environment import try_plugins

    home = Home.from_environment()
    known = sorted({each.name for each in InstalledPlugins(home).plugins()})
    for name in names:
        if name not in known:
            hint = nearest(name, known) or "`omni plugin ls` lists them."
            raise NotFound(f"No plug-in is named {name!r}.", hint=hint)
    # One process for each: whatever one of them does there happens to no other.
    trials = [trial for name in names or known for trial in _tried(home, name, try_plugins)]
    if as_json:
        print_json(
            [
                {"name": each.name, "problem": each.problem, "adds": each.adds, "problems": each.problems}
                for each in trials
            ]
        )
    else:
        for trial in trials:
            click.echo(f"{'ok ' if trial.ok else 'BAD'}  {one_line(trial.name)}  {one_line(trial.problem)}".rstrip())
            _show_additions(trial)
    return 0 if all(trial.ok for trial in trials) else 1


@command.command("rm")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(name: str, yes: bool) -> None:
    """Remove a plug-in and what only it brought."""
    from omni.core.words import size_words
    from omni.environment import remove_plugin
    from omni.environment.progress import Terminal

    if not yes:
        require_consent(f"Remove the plug-in {name}?")
    gone, freed = remove_plugin(Home.from_environment(), name, Terminal())
    click.echo(f"Removed: {one_line(', '.join(gone))}; {size_words(freed)} are free again.")


def _tried(home: Home, name: str, try_plugins: Any) -> "list[PluginTrial]":
    from omni.core.errors import SetupError
    from omni.environment import PluginTrial

    try:
        return list(try_plugins(home.plugins, [name]))
    except SetupError as error:
        return [PluginTrial(name=name, problem=error.message, adds={}, problems={})]


def _show(plan: "PluginPlan") -> None:
    """What would be added, on stderr: the question follows it."""
    from omni.core.words import size_words

    what = "plug-in" if len(plan.names) == 1 else "plug-ins"
    lines = [f"The {what} {', '.join(plan.names)}: {plan.package} {plan.version}, from {plan.source}"]
    lines += [f"  in the place of {plan.replaces}"] if plan.replaces else []
    lines += [f"  with {', '.join(plan.brings)}"] if plan.brings else []
    lines += [f"  which changes {', '.join(plan.changes)}"] if plan.changes else []
    lines += [f"  {size_words(plan.size)} on the disk"]
    for line in (*lines, *MAY):
        tell(one_line(line))


def _show_kinds(kinds: "list[GrantedKind]") -> None:
    """The processes that it asks for, on stderr: the question follows them."""
    from omni.core.words import size_words

    tell("It asks for what runs in a process of its own, behind the wall:")
    for kind in kinds:
        door = "pages of the network, through Omni's doors" if kind.doors else "nothing of the network"
        stays = f"stays {kind.keep_alive} s unused" if kind.keep_alive else "ends when unused"
        tell(one_line(f"  {kind.name} runs {kind.target}, up to {size_words(kind.memory)}, {stays}; gets {door}"))


def _show_additions(trial: "PluginTrial") -> None:
    for hook in sorted({*trial.adds, *trial.problems}):
        click.echo(f"     {hook}: {one_line(', '.join(trial.adds.get(hook, []))) or 'nothing'}")
        if hook in trial.problems:
            click.echo(f"     BAD  {one_line(trial.problems[hook])}")


def _listed(home: Home) -> list[dict[str, Any]]:
    """All that are installed: those that were added, then those that another tool put here."""
    from omni.core.installed import InstalledPlugins
    from omni.environment import set_in_use

    current = set_in_use(home)
    added = {record.name: record for record in (current.records() if current is not None else [])}
    fits = current is None or current.fits_this_python()
    rows = []
    for each in InstalledPlugins(home).plugins():
        package, _, version = each.package.partition(" ")
        record = added.pop(each.name, None)
        state = (
            "not added by omni plugin"
            if record is None
            else "ready"
            if fits
            else "made for another Python: add it again"
        )
        rows.append(
            {
                "name": each.name,
                "version": version,
                "package": package,
                "hooks": record.hooks if record is not None else {},
                "state": state,
                "source": record.source if record is not None else "",
            }
        )
    rows += [
        {
            "name": record.name,
            "version": record.version,
            "package": record.package,
            "hooks": record.hooks,
            "state": "its files are gone: add it again",
            "source": record.source,
        }
        for record in added.values()
    ]
    return sorted(rows, key=lambda row: str(row["name"]))
