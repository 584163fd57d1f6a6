"""Which plug-ins are installed: one look at the metadata of all packages, remembered until a folder of packages changes.

Looking costs about as much as Python's own start, so what was found is kept in the home together with the times of the
folders that were looked at. Installing, updating or removing a package changes the time of its folder.
"""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from omni.core.paths import Home

GROUP = "omni"  # of the entry points


class PluginEntryPoint(NamedTuple):
    """One plug-in: its own name, what it is (`module:object`), and the package that brought it."""

    name: str
    value: str
    package: str


class PluginCommand(NamedTuple):
    """One command of a plug-in, as the help lists it."""

    name: str
    plugin: str
    summary: str


class InstalledPlugins:
    """The list of one home: what lies in this Python's folders of packages and in the home's own, `plugins`."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def folders(self) -> list[str]:
        """Where packages are looked for; the home's own folder comes last, so that it never hides anything of ours."""
        own = str(self._home.plugins)
        return [*dict.fromkeys(folder for folder in sys.path if folder not in ("", own)), own]

    def plugins(self) -> list[PluginEntryPoint]:
        """All that are installed, the first of a name first."""
        if (known := self._read()) is not None:
            return [PluginEntryPoint(*each) for each in known["plugins"]]
        listed = scan(self.folders())
        self._write(listed, None)
        return listed

    def commands(self, learn: Callable[[], Sequence[PluginCommand]]) -> list[PluginCommand]:
        """The commands of all plug-ins; `learn` finds them out when something was installed since they were last known."""
        known = self._read()
        if known is not None and known["commands"] is not None:
            return [PluginCommand(*each) for each in known["commands"]]
        plugins = self.plugins()
        return self.remember(plugins, learn()) if plugins else self.remember(plugins, ())

    def remember(self, plugins: Sequence[PluginEntryPoint], commands: Sequence[PluginCommand]) -> list[PluginCommand]:
        """Keep what was found out."""
        self._write(plugins, commands)
        return list(commands)

    def forget(self) -> None:
        """Look anew the next time: a plug-in that is worked on changes without its folder's time."""
        self._home.plugin_list.unlink(missing_ok=True)

    def _stamps(self) -> list[list[Any]]:
        return [[folder, _changed(folder)] for folder in self.folders()]

    def _read(self) -> dict[str, Any] | None:
        try:
            known: dict[str, Any] = json.loads(self._home.plugin_list.read_bytes())
            return known if known["folders"] == self._stamps() and {"plugins", "commands"} <= known.keys() else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, plugins: Sequence[PluginEntryPoint], commands: Sequence[PluginCommand] | None) -> None:
        known = {"folders": self._stamps(), "plugins": plugins, "commands": commands}
        # A home that is not there yet, or is read-only, only makes the next look slower.
        if self._home.root.is_dir():
            from omni.core.files import replacing  # seldom: only when something was installed

            with suppress(OSError), replacing(self._home.plugin_list, durable=False) as file:
                file.write(json.dumps(known).encode())


def scan(folders: Sequence[str]) -> list[PluginEntryPoint]:
    """Read the metadata of every package in these folders; imports nothing of them."""
    from importlib.metadata import distributions

    plugins: list[PluginEntryPoint] = []
    seen: set[str] = set()
    for package in distributions(path=list(folders)):
        points = [point for point in package.entry_points if point.group == GROUP]
        name = package.metadata["Name"] if points else ""
        if name and name not in seen:  # a second copy further down is hidden by the first, as for imports
            seen.add(name)
            plugins += [PluginEntryPoint(point.name, point.value, f"{name} {package.version}") for point in points]
    return plugins


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0
