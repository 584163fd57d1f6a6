"""Commands that plug-ins bring: listed from what is remembered, imported when one runs, and only behind the wall."""

from collections.abc import Collection
from typing import TYPE_CHECKING

import click

from omni.cli.say import tell
from omni.core.installed import InstalledPlugins, PluginCommand
from omni.core.paths import Home

if TYPE_CHECKING:
    from msgspec import Struct

    from omni.core.plugins import Plugins


def commands(context: click.Context, taken: Collection[str]) -> dict[str, PluginCommand]:
    """The commands of all plug-ins by name, without those named like one in `taken`; none with `--safe`.

    Imports nothing as long as no plug-in was installed, updated or removed since the last time.
    """
    if is_safe(context):
        return {}
    home = Home.from_environment()
    by_name: dict[str, PluginCommand] = {}
    for each in InstalledPlugins(home).commands(lambda: _learn(context, home)):
        if each.name not in taken:
            by_name.setdefault(each.name, each)
    return by_name


def find(context: click.Context, name: str, taken: Collection[str]) -> click.Command | None:
    """The command of this name: its plug-in alone is imported. None when no plug-in brings it."""
    if is_safe(context) or name.startswith("-"):
        return None
    home = Home.from_environment()
    known = commands(context, taken).get(name)
    if known is None:
        installed = InstalledPlugins(home)
        if not installed.plugins():
            return None
        installed.forget()  # one that is worked on may have it by now
        known = commands(context, taken).get(name)
    return _load(context, home, known) if known is not None else None


def _load(context: click.Context, home: Home, known: PluginCommand) -> click.Command | None:
    plugins = _behind_the_wall(context, home)
    plugins.load(known.plugin)
    by_name = {each.name: each for each in plugins.gather_from(known.plugin, "omni_commands")}
    report(plugins.failures)
    if known.name not in by_name:
        InstalledPlugins(home).forget()
    command: click.Command | None = by_name.get(known.name)
    return command


def _learn(context: click.Context, home: Home) -> list[PluginCommand]:
    """Import all plug-ins, once after each change, to know what their commands are called."""
    plugins = _behind_the_wall(context, home)
    entries = [
        PluginCommand(offer.item.name, offer.plugin, offer.item.get_short_help_str(80))
        for offer in plugins.offers("omni_commands")
    ]
    report(plugins.failures)
    return entries


def _behind_the_wall(context: click.Context, home: Home) -> "Plugins":
    """The plug-ins, for a process that was confined before their code is imported; a starter for its command comes first."""
    from omni.core import confinement
    from omni.core.plugins import Plugins
    from omni.keeper import start

    root = context.find_root()
    if root.obj is None:
        root.obj = start(home, full_screen=False)
        root.call_on_close(root.obj.goodbye)
        confinement.confine()
    return Plugins(home=home)


def settings_sections() -> "dict[str, type[Struct]]":
    """What the plug-ins take in `config.toml`, by their names; imports them behind the wall where there are any."""
    context, home = click.get_current_context(), Home.from_environment()
    if is_safe(context) or not InstalledPlugins(home).plugins():
        return {}
    plugins = _behind_the_wall(context, home)
    sections = plugins.settings_sections()
    report(plugins.failures)
    return sections


def is_safe(context: click.Context | None = None) -> bool:
    """Whether `--safe` was given: no plug-ins."""
    context = context or click.get_current_context(silent=True)
    return bool(context is not None and context.find_root().params.get("safe"))


def report(failures: dict[str, str]) -> None:
    """Say on stderr what plug-ins did wrong."""
    for message in failures.values():
        tell(message)
