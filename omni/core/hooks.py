"""The whole surface for plug-ins, on one page. Omni's own extras use the same hooks.

A plug-in is a module or an object named by an entry point of the group `omni`; it implements any of the methods of
`Hooks` under `@hookimpl`. Three prices: `names()` reads the installed metadata, `load(name)` imports one plug-in,
`load_all()` imports all of them. One that fails to load is reported by name and never stops Omni.
"""

import logging
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from omni.core.errors import NotFound, OmniError, nearest

GROUP = "omni"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Hooks:
    """What a plug-in may add."""

    @hookspec
    def omni_commands(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`click.Command`s for the command line."""

    @hookspec
    def omni_panes(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`omni.shell.PaneSpec`s: a name, a letter for `g` + letter, and the widget's import path."""

    @hookspec
    def omni_cartridge_sources(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`omni.cartridges.Source`s: where `omni pull` can take brains from."""

    @hookspec
    def omni_engines(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`omni.engine.EngineFactory`s: how a base can be run."""


class Plugins:
    """The installed plug-ins. `found` stands in for the installed metadata in tests; pass `()` for none (safe mode)."""

    def __init__(self, found: Sequence[EntryPoint] | None = None) -> None:
        self._found = found
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(Hooks)
        self.failures: dict[str, str] = {}

    def _points(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=GROUP) if self._found is None else self._found:
            if points.setdefault(point.name, point).value != point.value:
                raise OmniError(f"Two plug-ins are named {point.name!r}.", hint="Uninstall one of them.")
        return points

    def names(self) -> list[str]:
        """The names of the installed plug-ins; imports none of them."""
        return sorted(self._points())

    def load(self, name: str) -> Any:
        """Import and register one plug-in. Raises NotFound for an unknown name, OmniError when it fails to load."""
        points = self._points()
        if name not in points:
            raise NotFound(
                f"No plug-in is named {name!r}.",
                hint=nearest(name, points) or f"Installed: {', '.join(points) or 'none'}.",
            )
        if (known := self._manager.get_plugin(name)) is not None:
            return known
        try:
            plugin = points[name].load()
            self._manager.register(plugin, name)
        except Exception as error:  # foreign code may raise anything; the cause is kept
            raise OmniError(f"The plug-in {name!r} failed to load: {error}", hint="Update or uninstall it.") from error
        return plugin

    def load_all(self) -> None:
        """Load every plug-in; those that fail are logged and kept in `failures` by name."""
        for name in self.names():
            try:
                self.load(name)
            except OmniError as error:
                self.failures[name] = error.message
                logging.getLogger(__name__).warning(error.message)

    def gather(self, hook: Callable[..., Sequence[Any]] | str) -> list[Any]:
        """All that the loaded plug-ins return for one hook, as one flat list."""
        name = hook if isinstance(hook, str) else hook.__name__
        return [item for answer in getattr(self._manager.hook, name)() for item in answer]
