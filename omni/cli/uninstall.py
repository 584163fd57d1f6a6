"""`omni uninstall`: leave nothing behind, and say what that frees."""

import click

from omni.cli.asking import require_consent
from omni.cli.table import print_table
from omni.core import confinement
from omni.core.paths import Home
from omni.core.words import size_words


@click.command("uninstall")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def command(yes: bool, dry_run: bool) -> None:
    """Remove Omni from this machine, saying what that frees.

    Conversations and brains that Omni downloaded go too; files of other programs that it only used stay where they are.
    """
    from omni.environment import footprint, remove_all
    from omni.keeper import stop_everything

    confinement.confine()
    home = Home.from_environment()
    holdings = footprint(home)
    if not holdings:
        click.echo(f"There is nothing of Omni in {home.root}.")
        return
    rows = [(kept.what, size_words(kept.size), str(kept.path)) for kept in holdings]
    print_table(("what", "size", "where"), rows, right=("size",))
    click.echo(
        f"{size_words(sum(kept.size for kept in holdings))} in all. `omni export` can keep brains elsewhere first."
    )
    if dry_run:
        return
    if not yes:
        require_consent("Remove all of it?")
    stop_everything(home)
    removed = remove_all(home)
    click.echo(f"Removed; {size_words(sum(kept.size for kept in removed))} are free again.")
    if home.root.exists():
        click.echo(f"{home.root} stays: it holds files that are not Omni's.")
