"""`omni config`: the settings, from the same description that validates them."""

import click

from omni.cli.table import print_facts, print_json
from omni.core.errors import UsageError, nearest
from omni.core.paths import Home
from omni.core.settings import Settings, change, described


@click.group("config")
def command() -> None:
    """Show, check and change settings."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(as_json: bool) -> None:
    """Print every setting, what it means and what it is."""
    settings = Settings.load(Home.from_environment().config)
    if as_json:
        print_json(settings)
        return
    rows = []
    for key, (_, default, meaning) in described().items():
        value = get_value(settings, key)
        rows.append((key, f"{_text(value)}{'' if value == default else '  (changed)'}\n    {meaning}"))
    print_facts(rows)


@command.command("get")
@click.argument("key")
def get(key: str) -> None:
    """Print the value of KEY, as in `ui.theme`."""
    click.echo(_text(get_value(Settings.load(Home.from_environment().config), key)))


@command.command("set")
@click.argument("key")
@click.argument("value")
def set_(key: str, value: str) -> None:
    """Set KEY to VALUE; comments and order of the file stay."""
    settings = change(Home.from_environment().ensure().config, key, value)
    click.echo(f"{key} = {_text(get_value(settings, key))}")


@command.command("check")
def check() -> None:
    """Read the file and say whether all in it is understood."""
    home = Home.from_environment()
    Settings.load(home.config)
    click.echo(
        f"{home.config} is understood." if home.config.exists() else f"There is no {home.config}: all is default."
    )


@command.command("path")
def path() -> None:
    """Print where the file is."""
    click.echo(str(Home.from_environment().config))


def get_value(settings: Settings, key: str) -> object:
    """The value of `section.key`; UsageError names the nearest known key."""
    if key not in described():
        raise UsageError(f"There is no setting {key!r}.", hint=nearest(key, described()) or "Run `omni config show`.")
    section, _, field = key.partition(".")
    return getattr(getattr(settings, section), field)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'
