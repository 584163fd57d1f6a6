"""The whole surface for plug-ins, on one page. It imports no front end, so that asking for it costs nothing.

A plug-in is a module or an object named by an entry point of the group `omni`; it implements any of the methods of
`Hooks` under `@hookimpl`. `docs/plugins.md` shows one that implements most of them.

What is called while a person waits (`run`, `provide`) is a plain function, never a coroutine: Omni calls it in a thread
of its own and stops waiting after the time in `LIMITS`, so that it can hold up neither the shell nor the server.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import pluggy
from msgspec import Struct

from omni.core.installed import GROUP

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

Touch = Literal["read", "write", "shell", "network", "input"]

# Seconds after which Omni goes on without an answer.
LIMITS = {
    "load": 15.0,
    "hook": 5.0,
    "matches": 2.0,
    "runs": 2.0,
    "open": 60.0,
    "slash": 20.0,
    "context": 3.0,
    "doctor": 10.0,
    "web": 10.0,
    "tool": 60.0,
}


class SlashCall(Struct, frozen=True, kw_only=True):
    """What was typed: the `words` behind the command, the folder of the project, and the last question and answer of the
    conversation on the screen ("" where there is none yet)."""

    words: str
    project: str
    question: str = ""
    answer: str = ""


class SlashCommand(Struct, frozen=True, kw_only=True):
    """What `/NAME` in the chat does. `takes` names what follows it, in brackets when it may be left out.

    `run` returns a text, and `then` says what becomes of it: shown to the person, asked as if the person had typed it, or
    written into the composer. Nothing is done with an empty one. An OmniError is shown as the person's mistake.
    """

    name: str
    about: str
    run: Callable[[SlashCall], str]
    takes: str = ""
    then: Literal["say", "ask", "write"] = "say"


class ContextCall(Struct, frozen=True, kw_only=True):
    """A question that is about to be asked, and the folder of its project ("" where it has none)."""

    question: str
    project: str


class ContextProvider(Struct, frozen=True, kw_only=True):
    """What a brain is told besides a question: `provide` returns a text, or "" when it has nothing to say of this one.

    The text is stored with the question under `name`, so that the prompt stays the same in later turns; a question that
    is asked anew in other words gets its own. It is cut where all providers together would take more than a quarter of the context.
    """

    name: str
    about: str
    provide: Callable[[ContextCall], str]


class DoctorCheck(Struct, frozen=True, kw_only=True):
    """What `omni doctor` looks at: `run` takes `omni.app.Services` and returns `omni.environment.Diagnostic`s."""

    name: str
    run: Callable[[Any], Any]


class WebRequest(Struct, frozen=True, kw_only=True):
    """What a browser or a program asked for: `query` has the last value of each name, `body` at most a megabyte."""

    method: str
    query: dict[str, str]
    body: bytes = b""


class WebAnswer(Struct, frozen=True, kw_only=True):
    """What it gets. A page may load scripts, styles and pictures from Omni's own address only."""

    body: str | bytes
    media: str = "text/html"
    status: int = 200


class WebRoute(Struct, frozen=True, kw_only=True):
    """An address of `omni serve` and `omni web`: `/plugins/PLUGIN/PATH`, for this user and for keys of the scope admin.

    One with a `title` is a page, which `/plugins/` lists. The empty `path` is `/plugins/PLUGIN/` itself.
    """

    path: str
    run: Callable[[WebRequest], WebAnswer]
    title: str = ""
    methods: tuple[str, ...] = ("GET",)


class PluginTool(Struct, frozen=True, kw_only=True):
    """What a brain may call, once there are agents; until then `omni plugin call` lets a person do it.

    `parameters` is a JSON Schema of an object, or a msgspec Struct that has one. `run` gets the arguments, proved against
    it: a dict, or a value of that Struct. What it returns is what the brain reads. `touches` says what it reaches besides
    its arguments: files that it reads or writes, a shell, the network, the keyboard and the pointer; nothing at all is ().
    """

    name: str
    about: str
    parameters: dict[str, Any] | type[Struct]
    run: Callable[[Any], str]
    touches: tuple[Touch, ...]


class ProcessKind(Struct, frozen=True, kw_only=True):
    """A process of a plug-in's own, for what takes long, much memory, or a library that may crash: `PLUGIN.NAME`.

    `target` is `module:function`; the function gets an `omni.helpers.HelperChannel` and answers what comes from it. The
    process begins behind the wall, before that module is imported: no network, no connection to anything. `memory` is in
    bytes, which the kernel holds it to and the keeper counts like that of a brain; `keep_alive` in seconds that it stays
    without being asked. `doors` is what it wants of the network: () or ("pull",), pages that are fetched for it.

    A person grants it at `omni plugin add`; what is changed afterwards counts when the plug-in is added again.
    """

    name: str
    about: str
    target: str
    memory: int
    doors: tuple[str, ...] = ()
    priority: Literal["interactive", "agent", "background"] = "background"
    keep_alive: int = 60


class OfferedCommand(Protocol):
    """The part of `click.Command` that Omni asks before it runs one."""

    name: str | None

    def get_short_help_str(self, limit: int = ...) -> str:
        """One line for the help."""
        ...


class OfferedPane(Protocol):
    """The part of `omni.shell.panes.PaneSpec` that is known outside of the shell."""

    name: str
    title: str
    target: str
    letter: str


class OfferedSource(Protocol):
    """The part of `omni.cartridges.Source` that is known outside of cartridges."""

    name: str

    def matches(self, reference: str) -> bool:
        """Whether it is meant."""
        ...


class OfferedEngine(Protocol):
    """The part of `omni.engine.EngineFactory` that is known outside of engine."""

    name: str

    def runs(self, brain: Any) -> bool:
        """Whether it wants this brain."""
        ...


class Hooks:
    """What a plug-in may add. Each hook is called by whom its docstring names."""

    @hookspec
    def omni_commands(self) -> Sequence[OfferedCommand]:  # type: ignore[empty-body]
        """`click.Command`s for the command line (`omni/cli/plugins.py`)."""

    @hookspec
    def omni_panes(self) -> Sequence[OfferedPane]:  # type: ignore[empty-body]
        """`omni.shell.panes.PaneSpec`s: a name, a letter for `g` + letter, the widget's import path (the shell's rail)."""

    @hookspec
    def omni_slash_commands(self) -> Sequence[SlashCommand]:  # type: ignore[empty-body]
        """What can be typed after `/` in the chat (`omni/shell/conversation/slash_commands.py`)."""

    @hookspec
    def omni_context_providers(self) -> Sequence[ContextProvider]:  # type: ignore[empty-body]
        """What goes with a question into the prompt (`omni/chat/provided.py`)."""

    @hookspec
    def omni_settings(self) -> Sequence[type[Struct]]:  # type: ignore[empty-body]
        """One `omni.core.settings.Section`: the table `[plugins.PLUGIN]` of config.toml (`omni config`)."""

    @hookspec
    def omni_doctor_checks(self) -> Sequence[DoctorCheck]:  # type: ignore[empty-body]
        """What `omni doctor` looks at besides (`omni/diagnostics.py`)."""

    @hookspec
    def omni_web_routes(self) -> Sequence[WebRoute]:  # type: ignore[empty-body]
        """Addresses and pages of the server (`omni/server/plugins.py`)."""

    @hookspec
    def omni_tools(self) -> Sequence[PluginTool]:  # type: ignore[empty-body]
        """What a brain may call (`omni/schemas/tools.py`, `omni plugin call`)."""

    @hookspec
    def omni_process_kinds(self) -> Sequence[ProcessKind]:  # type: ignore[empty-body]
        """Processes of its own (`omni plugin add` asks for them, `omni/helpers` runs them)."""

    @hookspec
    def omni_cartridge_sources(self) -> Sequence[OfferedSource]:  # type: ignore[empty-body]
        """`omni.cartridges.Source`s: where `omni pull` can take brains from (`omni/cartridges/pulls.py`)."""

    @hookspec
    def omni_engines(self) -> Sequence[OfferedEngine]:  # type: ignore[empty-body]
        """`omni.engine.EngineFactory`s: how a base can be run (`omni/engine/engines.py`)."""
