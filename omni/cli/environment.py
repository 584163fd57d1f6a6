"""`omni environment`: the managed environment."""

from typing import TYPE_CHECKING

import click

from omni.cli.asking import require_consent
from omni.cli.say import one_line
from omni.cli.session import offline_services
from omni.cli.table import print_json
from omni.core.paths import Home

if TYPE_CHECKING:
    from omni.app import Services
    from omni.environment import Diagnostic


@click.group("environment")
def command() -> None:
    """Check, repair or remove the managed environment."""


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


def print_findings(findings: "list[Diagnostic]") -> None:
    """One line a finding, and below what is wrong the command that mends it."""
    width = max((len(finding.name) for finding in findings), default=0)
    for finding in findings:
        click.echo(f"{'ok ' if finding.ok else 'BAD'}  {one_line(finding.name):<{width}}  {one_line(finding.detail)}")
        if finding.command and not finding.ok:
            click.echo(f"     {'':<{width}}  mend it: {one_line(finding.command)}")
