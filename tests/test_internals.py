"""What Omni uses of Textual's and uvicorn's insides: whoever takes another version learns here what is no longer there, and what of
theirs a name of ours would hide by accident. Where these are only read mypy notices, too; an override it does not."""

import ast
import dis
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual import _callback
from textual.app import App
from textual.dom import DOMNode
from textual.drivers import linux_driver
from textual.drivers._writer_thread import WriterThread
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import TextArea
from textual.worker import Worker
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

ROOT = Path(__file__).resolve().parents[1]
SHELL = ROOT / "omni" / "shell"
SERVER = ROOT / "omni" / "server"
MODULES = {
    "textual._ansi_sequences",
    "textual._callback",
    "textual._context",
    "textual._xterm_parser",
    "textual.drivers._writer_thread",
}
# Ours, by what of another's they take the place of.
OVERRIDDEN = {
    "Field": {"_on_key", "_on_paste"},
    "FailSafe": {
        "_dispatch_message", "_display", "_fatal_error", "_get_dispatch_methods", "_handle_exception",
        "_process_messages_loop", "_register", "_start_widget",
    },
    "OmniCommands": {"_search"},
    "Parser": {"_parse_extended_key"},
    "Transcript": {"_on_click", "_on_key", "_on_mouse_scroll_down", "_on_mouse_scroll_up"},
}  # fmt: skip
# What is called or read, by whose it is: of the class, or made by its constructor.
REACHED: dict[type, set[str]] = {
    App: {
        "_display",
        "_driver",
        "_exit_renderables",
        "_filters",
        "_notifications",
        "_refresh_notifications",
        "_return_code",
        "_watch_theme",
    },
    DOMNode: {"_bindings"},
    MessagePump: {"_close_messages_no_wait", "_dispatch_message", "_get_dispatch_methods"},
    Screen: {"_compositor_refresh", "_invoke_later", "_refresh_layout"},
    TextArea: {"_replace_via_keyboard"},
    Widget: {"_forward_event"},
    Worker: {"_task"},
    WriterThread: {"_file", "_queue"},
}
MADE_BY_TEXTUAL = re.compile(
    r"_(abc_impl|computes|css_\w+|decorated_handlers|inherit_\w+|merged_bindings|reactives|\w*bindings)$"
)
CONNECTION = {"app", "client", "conn", "cycle", "flow", "loop", "scheme", "server", "server_state", "transport"}
CYCLE = {"disconnected", "message_event", "more_body", "response_complete", "response_started", "scope"}


def trees(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), ast.parse(path.read_text("utf-8"))


def ours(folder: Path) -> Iterator[type]:
    """The classes of a front end."""
    for name, _ in trees(folder):
        module = importlib.import_module(name.removesuffix(".__init__"))
        yield from (
            each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__
        )


def made_by(kind: type) -> set[str]:
    """What the constructor of this very class sets."""
    method = vars(kind).get("__init__")
    if not inspect.isfunction(method):
        return set()
    return {str(step.argval) for step in dis.get_instructions(method) if step.opname == "STORE_ATTR"}


def kept_by(kind: type) -> set[str]:
    """What a class and its objects have."""
    return {name for each in kind.__mro__ for name in made_by(each).union(vars(each))}


def test_what_is_overridden_of_textual_is_there_and_nothing_else_is() -> None:
    overridden: dict[str, set[str]] = {}
    for kind in ours(SHELL):
        theirs = {name for each in kind.__mro__ if each.__module__.startswith("textual") for name in vars(each)}
        for name in set(vars(kind)) & theirs:
            if name.startswith("_") and not name.startswith("__") and not MADE_BY_TEXTUAL.match(name):
                overridden.setdefault(kind.__name__, set()).add(name)
    assert overridden == OVERRIDDEN


def test_no_attribute_of_ours_hides_one_of_theirs() -> None:
    """A constructor that sets `_size` of a widget would take it from Textual."""
    hidden = set()
    for kind in ours(SHELL):
        theirs = {name for each in kind.__mro__ if each.__module__.startswith("textual") for name in kept_by(each)}
        hidden |= {f"{kind.__name__}.{name}" for name in made_by(kind) & theirs if name.startswith("_")}
    assert hidden == set()


@pytest.mark.parametrize("kind", REACHED, ids=lambda kind: kind.__name__)
def test_what_is_reached_for_is_there(kind: type) -> None:
    assert REACHED[kind] <= kept_by(kind)


def test_what_is_reached_for_is_on_the_list() -> None:
    """Names that nothing of Omni defines, and modules that Textual's papers do not name."""
    defined, reached, modules = set(), set(), set()
    for _, tree in trees(SHELL):
        for node in ast.walk(tree):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    defined.add(name)
                case ast.Attribute(attr=name, ctx=ast.Store()) | ast.AnnAssign(target=ast.Name(id=name)):
                    defined.add(name)
                case ast.Name(id=name, ctx=ast.Store()):
                    defined.add(name)
                case ast.Attribute(attr=name) if name.startswith("_") and not name.startswith("__"):
                    reached.add(name)
                case ast.ImportFrom(module=str(name)) if name.startswith("textual") and "._" in name:
                    modules.add(name)
    assert reached - defined <= set().union(*REACHED.values())
    assert modules == MODULES


def test_the_driver_still_takes_what_is_put_into_its_module() -> None:
    source = inspect.getsource(linux_driver.LinuxDriver)
    assert "XTermParser(" in source
    assert "getincrementaldecoder(" in source
    assert "_param_count" in inspect.getsource(_callback)


async def test_what_the_server_changes_of_uvicorn_is_there() -> None:
    from omni.server.protocol import Protocol
    from omni.server.serving import _Uvicorn

    def app(_scope: Any, _receive: Any, _send: Any) -> None: ...

    connection = H11Protocol(Config(app, log_config=None), ServerState(), {}, None)
    assert set(vars(connection)) >= CONNECTION
    assert kept_by(RequestResponseCycle) >= CYCLE
    for kind, names in (
        (Protocol, {"connection_made", "connection_lost", "data_received", "eof_received", "send_400_response"}),
        (_Uvicorn, {"capture_signals", "main_loop", "startup"}),
    ):
        theirs = {name for each in kind.__mro__[1:] if each.__module__.startswith("uvicorn") for name in kept_by(each)}
        assert {name for name in vars(kind) if name in theirs and not name.startswith("__")} == names


@pytest.mark.parametrize("lock", ["core.txt", "dev.txt"])
def test_their_versions_are_locked(lock: str) -> None:
    locked = re.findall(
        r"^(h11|starlette|textual|uvicorn)==[\d.]+ ", (ROOT / "requirements" / lock).read_text(), re.MULTILINE
    )
    assert locked == ["h11", "starlette", "textual", "uvicorn"]
