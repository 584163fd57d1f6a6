"""Finds every place of the shell where something can fail by itself, and lets it fail there.

Nothing is listed by hand: classes come from the modules, handlers and actions from the classes, workers, timers and callbacks
from the calls in the sources. What is added to the shell is thrown into by the same tests.
"""

import ast
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol
from unittest.mock import MagicMock

from textual import events
from textual.dom import DOMNode
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

import omni.shell
from omni.core.errors import OmniError

DRAWS = ("render", "render_line", "render_lines", "lines", "get_content_height", "get_content_width")
STARTS = {"run_worker": 0, "set_timer": 1, "set_interval": 1, "call_later": 0, "call_after_refresh": 0, "call_next": 0}
OTHER_WAYS = {"create_task", "ensure_future", "Thread", "run_in_executor", "call_soon", "call_from_thread", "TaskGroup"}
MACHINERY = (
    "omni.shell.failsafe",
    "omni.shell.failures",
    "omni.shell.conversation.tasks",
)  # what catches is thrown through, not into


class Thrown(NamedTuple):
    """One error, and a function that raises it from a place in the stack of its own."""

    error: Exception
    throw: Callable[..., Any]
    later: Callable[..., Any]
    mark: str


_SOURCE = """
def throw(*args, **named):
    raise error
async def later(*args, **named):
    raise error
"""


def thrown(number: int, explained: bool) -> Thrown:
    """The error number so-and-so, as one that Omni explains or as one that nobody expected."""
    mark = f"thrown{number}x"
    error = OmniError(mark, hint=f"helps{number}x") if explained else RuntimeError(mark)
    space: dict[str, Any] = {"error": error}
    exec(compile(_SOURCE, f"<{mark}>", "exec"), space)  # a file name of its own for each
    return Thrown(error, space["throw"], space["later"], mark)


def modules() -> list[ModuleType]:
    """All of the shell."""
    module_infos = pkgutil.walk_packages(omni.shell.__path__, "omni.shell.")
    return [importlib.import_module(each.name) for each in module_infos if each.name not in MACHINERY]


def classes() -> list[type]:
    """Every class that is defined in the shell and can be made."""
    return [
        each
        for module in modules()
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__ and Protocol not in each.__bases__
    ]


def nodes() -> list[type[DOMNode]]:
    """Every pane, widget, sheet and app."""
    return [each for each in classes() if issubclass(each, DOMNode)]


class Handler(NamedTuple):
    """A method that Textual calls: for a message, for a key, or when something changed."""

    owner: type[DOMNode]
    name: str
    message: type[Message] | None = None

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"


def handlers() -> list[Handler]:
    """Every handler, action and watcher of every node; what ends the app with it is not among them."""
    owners = nodes()  # imports them, and with them their messages
    kinds = {each.handler_name: each for each in _all_below(Message)}
    all_handlers = []
    for owner in owners:
        for name, method in vars(owner).items():
            if not inspect.isfunction(method) or name in ("on_unmount", "on_event"):
                continue
            if hasattr(method, "_textual_on"):
                all_handlers += [Handler(owner, name, each) for each, _ in method._textual_on]
            elif name.startswith(("on_", "_on_")):
                all_handlers.append(Handler(owner, name, kinds[name.removeprefix("_")]))
            elif name.startswith(("action_", "_action_", "watch_", "_watch_")):
                all_handlers.append(Handler(owner, name))
    return all_handlers


def message_of(kind: type[Message], node: DOMNode) -> Message:
    """A message of this kind. The handlers that see more of it than its class are Textual's: size, focus, mounting."""
    match kind:
        case events.Resize:
            size = node.size if isinstance(node, Widget) else Size(120, 36)
            return events.Resize(size, size)
        case events.Key:
            return events.Key("x", "x")
        case events.Click | events.MouseMove | events.MouseScrollDown | events.MouseScrollUp:
            return kind(node, 1, 1, 0, 0, 1, False, False, False)  # type: ignore[arg-type]  # any node will do
        case events.Mount | events.Focus | events.Blur | events.Show | events.Hide:
            return kind()
    message = kind.__new__(kind)
    Message.__init__(message)
    return message


class Start(NamedTuple):
    """A call in the sources that has something done later: a worker, a timer, a callback."""

    module: str
    owner: str
    call: ast.Call
    way: str

    def __str__(self) -> str:
        return f"{self.module}:{self.call.lineno} {self.way}"

    def run(self, owner: object, known: dict[str, object], error: Thrown) -> object:
        """Make this very call, with all that it says but what it has done: that throws."""
        at = STARTS[self.way]
        given: list[ast.expr] = [ast.Name("__work__", ast.Load())]
        if at == 1:
            given.insert(0, ast.Constant(0.001))
        call = ast.Call(self.call.func, given, self.call.keywords)
        space = vars(sys.modules[self.module])
        names = {each.id for each in ast.walk(call) if isinstance(each, ast.Name)}
        local: dict[str, Any] = {name: MagicMock(name=name) for name in names if name not in space}
        local |= known | {"self": owner, "__work__": error.later if self.way == "run_worker" else error.throw}
        code = compile(ast.fix_missing_locations(ast.Expression(call)), f"<{error.mark}>", "eval")
        result: object = eval(code, space, local)  # the call is one of our own sources
        return result


def starts() -> list[Start]:
    """Every call that starts a worker, a timer or a callback."""
    return [
        Start(module.__name__, owner, call, call.func.attr)
        for module in modules()
        for owner, call in _calls(module)
        if isinstance(call.func, ast.Attribute) and call.func.attr in STARTS
    ]


def other_ways() -> list[str]:
    """Calls that have something done later past what catches failures."""
    calls = []
    for module in modules():
        for _, call in _calls(module):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
            silent = any(
                each.arg == "exit_on_error" and not getattr(each.value, "value", True) for each in call.keywords
            )
            if name in OTHER_WAYS or silent:
                calls.append(f"{module.__name__}:{call.lineno} {name}")
    return calls


def _calls(module: ModuleType) -> Iterator[tuple[str, ast.Call]]:
    tree = ast.parse(Path(module.__file__ or "").read_text("utf-8"))
    for part in tree.body:
        owner = part.name if isinstance(part, ast.ClassDef) else ""
        for node in ast.walk(part):
            if isinstance(node, ast.Call):
                yield owner, node


def _all_below(kind: type[Message]) -> Iterator[type[Message]]:
    for each in kind.__subclasses__():
        yield from _all_below(each)
        yield each
