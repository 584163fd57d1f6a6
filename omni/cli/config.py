"""`omni config`: the settings, from the same description that validates them."""

import click
from msgspec import Struct

from omni.cli.plugins import settings_sections
from omni.cli.say import tell
from omni.cli.table import print_facts, print_json
from omni.core.errors import UsageError, nearest
from omni.core.paths import Home
from omni.core.settings import Settings, change, described, value_of


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
    rows, sections = [], settings_sections()
    for key, (_, default, meaning) in described(sections).items():
        value = value_of(settings, key, sections)
        rows.append((key, f"{_text(value)}{'' if value == default else '  (changed)'}\n    {meaning}"))
    print_facts(rows)


@command.command("get")
@click.argument("key")
def get(key: str) -> None:
    """Print the value of KEY, as in `ui.theme`."""
    settings, sections = Settings.load(Home.from_environment().config), _sections_for(key)
    known = described(sections)
    if key not in known:
        raise UsageError(f"There is no setting {key!r}.", hint=nearest(key, known) or "Run `omni config show`.")
    click.echo(_text(value_of(settings, key, sections)))


@command.command("set")
@click.argument("key")
@click.argument("value")
def set_(key: str, value: str) -> None:
    """Set KEY to VALUE; comments and order of the file stay."""
    sections = _sections_for(key)
    settings = change(Home.from_environment().ensure().config, key, value, sections)
    click.echo(f"{key} = {_text(value_of(settings, key, sections))}")


@command.command("check")
def check() -> None:
    """Read the file and say whether all in it is understood."""
    home = Home.from_environment()
    settings, sections = Settings.load(home.config), settings_sections()
    for plugin in settings.plugins:
        if plugin in sections:
            settings.of(plugin, sections[plugin])
        else:
            tell(f"[plugins.{plugin}] is of no plug-in that is installed and takes settings.")
    click.echo(
        f"{home.config} is understood." if home.config.exists() else f"There is no {home.config}: all is default."
    )


@command.command("path")
def path() -> None:
    """Print where the file is."""
    click.echo(str(Home.from_environment().config))


def _sections_for(key: str) -> dict[str, type[Struct]]:
    """What plug-ins take, where the key is one of theirs: for Omni's own none is imported."""
    return settings_sections() if key.startswith("plugins.") else {}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'
