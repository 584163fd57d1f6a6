"""The installed plug-ins: listed, loaded, asked for what they add, and named where they fail.

Three prices: `names()` reads a list that is kept in the home, `load(name)` imports one plug-in, `gather(hook)` imports
all of them. Whatever one of them does wrong stands in `failures` under its name, and never stops Omni or the others.
"""

import contextlib
import inspect
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import EntryPoint
from itertools import islice
from typing import Any, NamedTuple

import pluggy
from msgspec import Struct

from omni.core.errors import EngineError, NotFound, OmniError, nearest
from omni.core.hooks import LIMITS, Hooks
from omni.core.installed import GROUP, InstalledPlugins
from omni.core.limits import within
from omni.core.paths import Home
from omni.core.plugin_proxy import PluginProxy

log = logging.getLogger(__name__)

MOST = 100  # things that one plug-in may add by one hook
_TEXTS = {"name", "title", "target", "letter", "about", "path", "takes", "__name__"}
_CALLED = {"run", "provide", "matches", "resolve", "runs", "open", "get_short_help_str"}
OMNI = "Omni"  # the owner of what is not a plug-in's
BUILT_IN = "omni.builtin:BuiltIn"  # it knows the front ends, so that it is no import of this room


class Hook(NamedTuple):
    """What is known of a hook besides its specification.

    A thing must have what is `needed`, texts and functions where `_TEXTS` and `_CALLED` say so (its class would have to be
    imported from a front end, and those that a plug-in makes check nothing themselves); of two with the same value
    of one of the `keys` the first has it. What `calls` names must be a plain function. `check` is where a function is that says what else is wrong with a thing, or
    "". `first`: plug-ins are asked before Omni, which takes what nobody wants.
    """

    what: str
    needed: tuple[str, ...]
    keys: tuple[str, ...] = ("name",)
    guard: type[OmniError] | None = None
    calls: str = ""
    check: str = ""
    first: bool = False


HOOKS = {
    "omni_commands": Hook("command", ("name", "callback", "get_short_help_str")),
    "omni_panes": Hook("pane", ("name", "title", "target", "letter"), ("name", "letter")),
    "omni_slash_commands": Hook("slash command", ("name", "about", "takes", "run", "then"), calls="run"),
    "omni_context_providers": Hook("context provider", ("name", "about", "provide"), calls="provide"),
    "omni_settings": Hook(
        "settings section", ("__name__", "__struct_fields__"), (), check="omni.core.settings:section_problem"
    ),
    "omni_doctor_checks": Hook("check", ("name", "run"), calls="run"),
    "omni_web_routes": Hook("web route", ("path", "run", "title", "methods"), (), calls="run"),
    "omni_tools": Hook(
        "tool",
        ("name", "about", "parameters", "run", "touches"),
        calls="run",
        check="omni.schemas.tools:problem",
    ),
    "omni_process_kinds": Hook(
        "process kind",
        ("name", "about", "target", "memory", "doors", "priority", "keep_alive"),
        (),  # its name has that of the plug-in before it
        check="omni.core.process_kinds:problem",
    ),
    "omni_cartridge_sources": Hook("source", ("name", "matches", "resolve"), guard=OmniError, first=True),
    "omni_engines": Hook("engine", ("name", "runs", "open"), guard=EngineError, first=True),
}


class PluginOffer(NamedTuple):
    """One thing that a plug-in adds."""

    plugin: str
    item: Any


class Plugins:
    """The installed plug-ins: those of the home's list, or `entry_points` instead of it. Pass `()` for none (`--safe`)."""

    def __init__(self, entry_points: Sequence[EntryPoint] | None = None, *, home: Home | None = None) -> None:
        self._given, self._home = entry_points, home or Home.from_environment()
        self._manager = pluggy.PluginManager(GROUP)
        self._manager.add_hookspecs(Hooks)
        self._lock = threading.RLock()  # a pane's thread and a pull's may both be the first to ask
        self._tried: set[str] = set()
        self.failures: dict[str, str] = {}

    def _points(self) -> dict[str, EntryPoint]:
        listed = [(point, "") for point in self._given or ()]
        if self._given is None:
            listed = [
                (EntryPoint(each.name, each.value, GROUP), f"of {each.package} ")
                for each in InstalledPlugins(self._home).plugins()
            ]
        points: dict[str, EntryPoint] = {}
        owners: dict[str, str] = {}
        for point, package in listed:
            if point.name == OMNI:
                self.failures[OMNI] = (
                    f"A plug-in {package}is named {OMNI!r}, which only Omni itself is; it is left out."
                )
                continue
            owner = f"{package}that is {point.value}"
            if points.setdefault(point.name, point).value != point.value:
                self.failures[point.name] = (
                    f"Two plug-ins are named {point.name!r}, and the one {owners[point.name]} has the name; "
                    f"the one {owner} is left out."
                )
            owners.setdefault(point.name, owner)
        return points

    def names(self) -> list[str]:
        """The names of the installed plug-ins; imports none of them."""
        return sorted(self._points())

    def load(self, name: str) -> Any:
        """Import and register one plug-in. Raises NotFound for an unknown name, OmniError when it fails to load or
        takes longer than it may."""
        points = self._points()
        if name not in points:
            raise NotFound(
                f"No plug-in is named {name!r}.",
                hint=nearest(name, points) or f"Installed: {', '.join(points) or 'none'}.",
            )
        with self._lock:
            if (known := self._manager.get_plugin(name)) is not None:
                return known
            if self._given is None and (folder := str(self._home.plugins)) not in sys.path:
                sys.path.append(folder)  # last: nothing in it can stand in for a module of ours
            try:
                plugin = within(LIMITS["load"], points[name].load)
                self._manager.register(plugin, name)
                self._look_for_strays(plugin, name)
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

    def gather(self, hook: str, *, own: bool = False) -> list[Any]:
        """All that the plug-ins add by one hook, as one flat list; loads them first. `own`: with Omni's own things, in
        the order in which they are meant to be asked. Blocks: call it off the event loop."""
        items = [offer.item for offer in self.offers(hook)]
        if not own:
            return items
        return [*items, *self.own(hook)] if HOOKS[hook].first else [*self.own(hook), *items]

    def own(self, hook: str) -> list[Any]:
        """Omni's own things of one hook; imports what that takes, and no plug-in."""
        with self._lock:
            if not self._manager.has_plugin(OMNI):
                self._manager.register(_named(BUILT_IN)(), OMNI)
            calls = getattr(self._manager.hook, hook).get_hookimpls()
        return [item for call in calls if call.plugin_name == OMNI for item in call.function()]

    def offers(self, hook: str) -> list[PluginOffer]:
        """The same with the names of the plug-ins, without what has a name that is taken: that is said in `failures`."""
        self.load_all()
        names = self.names()
        taken = {key: dict.fromkeys(_values(hook, key, self.own(hook)), OMNI) for key in HOOKS[hook].keys if names}
        return [
            PluginOffer(name, item)
            for name in names
            for item in self.gather_from(name, hook)
            if self._is_free(hook, name, item, taken)
        ]

    def settings_sections(self) -> dict[str, type[Struct]]:
        """What each plug-in takes below `[plugins.PLUGIN]`, by their names. Blocks: call it off the event loop."""
        return {offer.plugin: offer.item for offer in self.offers("omni_settings") if isinstance(offer.item, type)}

    def gather_from(self, plugin: str, hook: str) -> list[Any]:
        """What one plug-in adds, whatever the others have; nothing where it fails."""
        gathered: list[Any] = []
        with self._lock:
            for call in getattr(self._manager.hook, hook).get_hookimpls():
                if call.plugin_name != plugin:
                    continue
                try:
                    items, wrong = within(LIMITS["hook"], _looked_at, hook, call.function)
                except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code may raise anything
                    self.blame(plugin, f"failed in {hook}", error)
                    continue
                for problem in wrong:
                    self.blame(plugin, f"failed in {hook}", TypeError(problem))
                gathered += items
        kind = HOOKS[hook].guard
        return [PluginProxy(item, partial(self.blame, plugin, kind=kind)) for item in gathered] if kind else gathered

    def filled(self, plugin: str) -> list[str]:
        """The hooks that a loaded plug-in implements."""
        return [
            hook
            for hook in HOOKS
            if any(call.plugin_name == plugin for call in getattr(self._manager.hook, hook).get_hookimpls())
        ]

    def call(self, plugin: str, limit: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of a plug-in in no more time than `LIMITS[limit]`. Blocks: call it off the event loop.

        Raises OmniError: the plug-in's own, or one that names it.
        """
        try:
            return within(LIMITS[limit], function, *arguments)
        except OmniError:
            raise
        except (Exception, SystemExit) as error:
            raise self.blame(plugin, f"failed in {getattr(function, '__name__', limit)}", error) from error

    def examine(self) -> dict[str, str]:
        """Load all, ask every hook, and return what is wrong by the plug-in's name."""
        for hook in HOOKS:
            self.offers(hook)
        return dict(self.failures)

    def blame(self, plugin: str, doing: str, error: BaseException, *, kind: type[OmniError] | None = None) -> OmniError:
        """Write down what a plug-in did, and return it as an error to show."""
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        message = f"The plug-in {plugin!r} {doing}: {reason}"
        if self.failures.get(plugin) != message:
            self.failures[plugin] = message
            log.info(message, exc_info=error)  # front ends show `failures`; the log has the lines of code as well
        return (kind or OmniError)(
            message, hint=f"`omni plugin rm {plugin}` removes it; `omni run --safe` opens the shell without plug-ins."
        )

    def _look_for_strays(self, plugin: Any, name: str) -> None:
        """Say of what is marked as a hook and is none that nobody will ever ask for it."""
        for each in dir(plugin):
            if each not in HOOKS and self._manager.parse_hookimpl_opts(plugin, each) is not None:
                hint = nearest(each, HOOKS) or f"There are: {', '.join(HOOKS)}."
                self.failures[name] = f"The plug-in {name!r} has {each!r}, which is no hook. {hint}"

    def _is_free(self, hook: str, plugin: str, item: Any, taken: dict[str, dict[str, str]]) -> bool:
        """Whether nobody before has its names, which are its own from then on."""
        names = {key: value for key in taken for value in _values(hook, key, [item])}
        for key, value in names.items():
            if (owner := taken[key].get(value)) is not None:
                has = owner if owner == OMNI else f"the plug-in {owner!r}"
                what = HOOKS[hook].what if key == "name" else f"{key} of a {HOOKS[hook].what}"
                self.failures[plugin] = (
                    f"The plug-in {plugin!r} offers the {what} {value!r}, which {has} has already; it is left out."
                )
                return False
        for key, value in names.items():
            taken[key][value] = plugin
        return True


def _looked_at(hook: str, function: Callable[[], Any]) -> tuple[list[Any], list[str]]:
    """What a plug-in adds by a hook and is what it takes, and what is wrong with the rest. To look at a foreign thing runs
    foreign code. Raises whatever that raises, and ValueError for too much."""
    items = list(islice(function() or (), MOST + 1))
    if len(items) > MOST:
        raise ValueError(f"more than {MOST} things")
    problems = [_problem(HOOKS[hook], item) for item in items]
    return (
        [item for item, problem in zip(items, problems, strict=True) if not problem],
        [problem for problem in problems if problem],
    )


def _problem(facts: Hook, item: Any) -> str:
    """Why a thing is not what its hook takes, or ""."""
    kind, nothing = type(item).__name__, object()
    values: dict[str, Any] = {each: getattr(item, each, nothing) for each in facts.needed}
    if missing := [each for each, value in values.items() if value is nothing]:
        return f"{kind} has no {', '.join(missing)}"
    for each, value in values.items():
        if each in _TEXTS and not isinstance(value, str):
            return f"{each} of a {kind} is {type(value).__name__}, and a text is expected"
        if each == "name" and not (value.isprintable() and value and " " not in value and "/" not in value):
            return f"the name {value!r} of a {kind} is not one word of letters that print"
        if each in _CALLED and not callable(value):
            return f"{each} of a {kind} is {type(value).__name__}, and a function is expected"
    if facts.calls and inspect.iscoroutinefunction(values[facts.calls]):
        return f"{facts.calls} is a coroutine function, and a plain one is expected"
    return str(_named(facts.check)(item)) if facts.check else ""


def _named(target: str) -> Any:
    """What an import path (`module:name`) names."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _values(hook: str, key: str, items: Sequence[Any]) -> list[str]:
    """The names of some things; a plain text (the command line's table) is its own name, and an empty one is none."""
    values = [item if isinstance(item, str) else str(getattr(item, key) or "") for item in items]
    return [value.lower() if hook == "omni_panes" and key == "letter" else value for value in values if value]
