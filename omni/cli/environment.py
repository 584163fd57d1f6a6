"""`omni environment`: the managed environment, and the features on demand beside it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from omni.cli.asking import require_consent
from omni.cli.say import one_line, tell
from omni.cli.session import offline_services
from omni.cli.table import print_json, print_table
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.core.features import Features
    from omni.environment import Diagnostic, FeaturePlan


@click.group("environment")
def command() -> None:
    """Check, repair or remove the managed environment, and add features to it."""


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(as_json: bool) -> int:
    """Say what is wrong with it and what mends it.

    The exit code is 1 when something is.
    """

    async def work(services: "Services") -> "list[Diagnostic]":
        return await services.environment.check()

    findings = offline_services(work)
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    return 0 if all(finding.ok for finding in findings) else 1


@command.command("repair")
def repair() -> None:
    """Make it anew beside the old one.

    Omni switches to it when it is whole; an interrupted repair changes nothing.
    """
    # `omni.environment.start` takes this command before click is there, so that it works in a damaged environment; only an
    # installed package comes here, and that has nothing of ours to repair.
    from omni.core.errors import SetupError

    raise SetupError("This Omni was installed as a package.", hint="Install it again with the tool that installed it.")


@command.command("remove")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(yes: bool) -> None:
    """Remove the environments that nobody uses.

    The next start makes its own again.
    """
    if not yes:
        require_consent(f"Remove what nobody uses in {Home.from_environment().venvs}?")

    async def work(services: "Services") -> int:
        return await services.environment.remove()

    from omni.core.words import size_words

    click.echo(f"{size_words(offline_services(work))} are free again.")


@command.command("features")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def features(as_json: bool) -> None:
    """List the features on demand, and which are installed.

    Imports none of them.
    """
    from omni.core.words import size_words
    from omni.environment import list_features

    rows = list_features(_features())
    if as_json:
        print_json(rows)
        return
    print_table(
        ("feature", "state", "disk", "what it does"),
        [(row.name, row.state, size_words(row.size) if row.size else "", row.about) for row in rows],
        right=("disk",),
    )


@command.command("add")
@click.argument("name", metavar="FEATURE")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--from",
    "folder",
    envvar="OMNI_FROM",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take packages from a folder that `omni export` wrote, and use no network.",
)
def add(name: str, yes: bool, folder: Path | None) -> None:
    """Add a feature, renew one of an earlier version, or mend one.

    Its packages are pinned by their sha256, and are shown with their sizes before anything is fetched. They are tried
    before the feature is there. When anything fails, all is as it was.
    """
    from omni.environment import add_feature
    from omni.environment.progress import Terminal

    known = _features()
    if known.state(name) == "built in":
        click.echo(f"The feature {name} is part of the environment that runs; nothing is to be added.")
        return

    def agree(plan: "FeaturePlan") -> None:
        _show(plan)
        if not yes:
            require_consent("Add it?")

    # The installer is a process of its own and is started from here, before this one would give up the network.
    if add_feature(known, name, Terminal(), agree=agree, wheels=folder):
        click.echo(f"The feature {name} is here. What is open finds it at once.")
    else:
        click.echo(f"The feature {name} is here already, as it was installed.")


@command.command("rm")
@click.argument("name", metavar="FEATURE")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(name: str, yes: bool) -> None:
    """Remove a feature."""
    from omni.core.words import size_words
    from omni.environment import remove_feature

    known = _features()
    known.get(name)
    if not yes:
        require_consent(f"Remove the feature {name}?")
    click.echo(f"The feature {name} is removed; {size_words(remove_feature(known, name))} are free again.")


def _features() -> "Features":
    from omni.core.features import Features

    return Features(Home.from_environment())


def _show(plan: "FeaturePlan") -> None:
    """What would be fetched, on stderr: the question follows it."""
    from omni.core.words import size_words

    tell(f"The feature {plan.feature.name} {plan.feature.about}. It takes:")
    for part in plan.parts:
        tell(one_line(f"  {part.name} {part.version}, {size_words(part.size) or 'the index does not say how large'}"))
    total = size_words(plan.download) or f"about {size_words(plan.feature.download)}"
    tell(f"  {total} to fetch, about {size_words(plan.feature.size)} on the disk")


def print_findings(findings: "list[Diagnostic]") -> None:
    """One line a finding, and below what is wrong the command that mends it."""
    width = max((len(finding.name) for finding in findings), default=0)
    for finding in findings:
        click.echo(f"{'ok ' if finding.ok else 'BAD'}  {one_line(finding.name):<{width}}  {one_line(finding.detail)}")
        if finding.command and not finding.ok:
            click.echo(f"     {'':<{width}}  mend it: {one_line(finding.command)}")
