"""The whole surface for plug-ins, on one page.

A plug-in is a module or an object named by an entry point of the group `omni`; it implements any of the methods of
`Hooks` under `@hookimpl`. Three prices: `names()` reads a list that is kept in the home, `load(name)` imports one
plug-in, `gather(hook)` imports all of them. Whatever one of them does wrong stands in `failures` under its name, and
never stops Omni or the others.
"""

import contextlib
import inspect
import logging
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pluggy

from omni.core.errors import EngineError, NotFound, OmniError, nearest
from omni.core.installed import GROUP, InstalledPlugins
from omni.core.paths import Home

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)
log = logging.getLogger(__name__)


class Hooks:
    """What a plug-in may add."""

    @hookspec
    def omni_commands(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`click.Command`s for the command line."""

    @hookspec
    def omni_panes(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`omni.shell.panes.PaneSpec`s: a name, a letter for `g` + letter, and the widget's import path."""

    @hookspec
    def omni_cartridge_sources(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`omni.cartridges.Source`s: where `omni pull` can take brains from."""

    @hookspec
    def omni_engines(self) -> Sequence[Any]:  # type: ignore[empty-body]
        """`omni.engine.EngineFactory`s: how a base can be run."""


# What a thing must have to be what its hook promises. Types would have to be imported from the front ends.
_NEEDED = {
    "omni_commands": ("name", "callback", "get_short_help_str"),
    "omni_panes": ("name", "title", "target", "letter"),
    "omni_cartridge_sources": ("name", "matches", "resolve"),
    "omni_engines": ("name", "runs", "open"),
}
_GUARDED = {"omni_cartridge_sources": OmniError, "omni_engines": EngineError}
_QUESTIONS = ("matches", "runs")  # whoever cannot answer these is not meant


class Plugins:
    """The installed plug-ins: of the home's list, or `found` instead of it. Pass `()` for none (`--safe`)."""

    def __init__(self, entry_points: Sequence[EntryPoint] | None = None, *, home: Home | None = None) -> None:
        self._found, self._home = entry_points, home or Home.from_environment()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(Hooks)
        self._lock = threading.RLock()  # a pane's thread and a pull's may both be the first to ask
        self._tried: set[str] = set()
        self.failures: dict[str, str] = {}

    def _points(self) -> dict[str, EntryPoint]:
        entry_points = self._found
        if entry_points is None:
            entry_points = [EntryPoint(each.name, each.value, GROUP) for each in InstalledPlugins(self._home).plugins()]
        points: dict[str, EntryPoint] = {}
        for point in entry_points:
            if points.setdefault(point.name, point).value != point.value:
                self.failures[point.name] = (
                    f"Two plug-ins are named {point.name!r}; the one that is {point.value} is left out."
                )
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
        with self._lock:
            if (known := self._manager.get_plugin(name)) is not None:
                return known
            if self._found is None and (folder := str(self._home.plugins)) not in sys.path:
                sys.path.append(folder)  # last: nothing in it can stand in for a module of ours
            try:
                plugin = points[name].load()
                self._manager.register(plugin, name)
            except (Exception, SystemExit) as error:  # foreign code may raise anything; the cause is kept
                raise self.blame(name, "failed to load", error) from error
            return plugin

    def load_all(self) -> None:
        """Load every plug-in; what is wrong with those that fail is in `failures`."""
        for name in self.names():
            if name not in self._tried:
                self._tried.add(name)
                with contextlib.suppress(OmniError):  # it stands in `failures`
                    self.load(name)

    def gather(self, hook: Callable[..., Sequence[Any]] | str) -> list[Any]:
        """All that the plug-ins return for one hook, as one flat list; loads them first."""
        self.load_all()
        return [item for name in self.names() for item in self.gather_from(name, hook)]

    def gather_from(self, plugin: str, hook: Callable[..., Sequence[Any]] | str) -> list[Any]:
        """The same from one plug-in; nothing where it fails."""
        what = hook if isinstance(hook, str) else hook.__name__
        gathered: list[Any] = []
        with self._lock:
            for call in getattr(self._manager.hook, what).get_hookimpls():
                if call.plugin_name != plugin:
                    continue
                try:
                    items = list(call.function() or ())
                except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything
                    self.blame(plugin, f"failed in {what}", error)
                    continue
                gathered += [item for item in items if self._fits(plugin, what, item)]
        kind = _GUARDED.get(what)
        return [PluginProxy(self, plugin, item, kind) for item in gathered] if kind else gathered

    def examine(self) -> dict[str, str]:
        """Load all, ask every hook, and return what is wrong by the plug-in's name."""
        for hook in _NEEDED:
            self.gather(hook)
        return dict(self.failures)

    def blame(self, plugin: str, doing: str, error: BaseException, kind: type[OmniError] = OmniError) -> OmniError:
        """Write down what a plug-in did, and return it as an error to show."""
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"The plug-in {plugin!r} {doing}: {reason}"
        if self.failures.get(plugin) != message:
            self.failures[plugin] = message
            log.info(message, exc_info=error)  # front ends show `failures`; the log has the lines of code as well
        return kind(message, hint="Update or uninstall it; `omni run --safe` opens the shell without plug-ins.")

    def _fits(self, plugin: str, hook: str, item: Any) -> bool:
        missing = [each for each in _NEEDED[hook] if not hasattr(item, each)]
        if missing:
            wrong = TypeError(f"{type(item).__name__} has no {', '.join(missing)}")
            self.blame(plugin, f"failed in {hook}", wrong)
        return not missing


class PluginProxy:
    """Something that a plug-in made: what it raises becomes an error of ours that names the plug-in."""

    def __init__(self, plugins: Plugins, plugin: str, item: Any, kind: type[OmniError]) -> None:
        self._plugins, self._plugin, self._item, self._kind = plugins, plugin, item, kind

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._item, name)
        return self._guarded(name, value) if inspect.isroutine(value) else value

    def _guarded(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                result = function(*arguments, **named)
            except OmniError:
                raise
            except Exception as error:
                blamed = self._blame(name, error)
                if name in _QUESTIONS:
                    return False
                raise blamed from error
            if inspect.isasyncgen(result):
                return self._stream(name, result)
            if inspect.isawaitable(result):
                return self._wait(name, result)
            return PluginProxy(self._plugins, self._plugin, result, self._kind) if name == "open" else result

        return call

    async def _wait(self, name: str, result: Awaitable[Any]) -> Any:
        try:
            return await result
        except OmniError:
            raise
        except Exception as error:
            raise self._blame(name, error) from error

    async def _stream(self, name: str, result: Any) -> AsyncGenerator[Any]:
        try:
            async for item in result:
                yield item
        except OmniError:
            raise
        except Exception as error:
            raise self._blame(name, error) from error
        finally:
            await result.aclose()

    def _blame(self, name: str, error: Exception) -> OmniError:
        return self._plugins.blame(self._plugin, f"failed in {name}", error, self._kind)
