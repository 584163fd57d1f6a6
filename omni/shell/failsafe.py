"""What fails in the shell ends nothing: it becomes words where the eye is, and a stack in the log.

Textual ends an app at the first exception that nobody catches, and a widget of which a handler failed hears nothing any
more. So each widget is guarded when it is registered, whoever wrote it: its handlers, the actions that they run, what is
called later, its drawing. Workers and timers come to `_handle_exception` by themselves. What cannot go on (the frame cannot
be made, the screen cannot be drawn) ends the shell, loudly, with the terminal as it was.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any, Protocol, runtime_checkable

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual._callback import invoke
from textual._context import active_message_pump
from textual.app import App
from textual.dom import DOMNode
from textual.driver import Driver
from textual.geometry import Region, Size
from textual.message import Message
from textual.message_pump import MessagePump
from textual.notifications import Notification
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import NoActiveWorker, WorkerFailed, get_current_worker

from omni.core.errors import OmniError
from omni.shell.failures import Failures
from omni.shell.terminal import take_whatever_comes

log = logging.getLogger(__name__)

TOAST_SECONDS = 8.0
FRAMES = 3  # that may fail before nobody would see what is said
_DRAWING = frozenset(each.__code__ for each in (Screen._compositor_refresh, Screen._refresh_layout, App._display))
_UNDRAWN = Style(color="red")


@runtime_checkable
class FailureDisplay(Protocol):
    """A pane, a sheet or an app that has room for what went wrong."""

    def complain(self, error: OmniError) -> None:
        """Say it there."""


class FailSafe(App[None], inherit_bindings=False):
    """An app that goes on. `log_file` is what it names as the place of the stacks.

    `crash` is what ended it after all, and `draft` what was being written then.
    """

    def __init__(self, log_file: Path) -> None:
        super().__init__()
        self._failures = Failures(log_file)
        self._stands: bool | None = None  # None before the frame stands, False when it does no more
        self._undrawn = 0
        self.crash: Exception | None = None
        self.draft = ""

    # -- what failed, in words

    def explain(self, error: Exception, at: MessagePump | None = None) -> None:
        """Say what went wrong and what helps, in the place that `at` or what it stands in has for that, else in a toast."""
        known = self.known(error)
        for place in self._places(at):
            try:
                place.complain(known)
            except Exception:
                log.exception("%r cannot say what failed", place)
            else:
                return

    def known(self, error: Exception) -> OmniError:
        """The failure as what Omni can explain; its stack is in the log from now on."""
        return self._failures.known(error)

    def complain(self, error: OmniError) -> None:
        """In a toast, which is seen from every pane and sheet; one that still stands there is not said twice."""
        words = f"{error.message}\n{error.hint}".strip()
        if all(note.message != words for note in self._notifications):
            # `notify` would send itself a message first, and of many failures in one breath all would be said
            self._notifications.add(Notification(words, severity="error", timeout=TOAST_SECONDS, markup=False))
            self._refresh_notifications()

    def clear_notifications(self) -> None:
        """As Textual does, and with each toast what it stood in, which would take the room of the next ones."""
        super().clear_notifications()
        for screen in self.screen_stack:
            screen.query("ToastHolder").remove()

    @contextmanager
    def going_on(self, at: MessagePump | None = None) -> Iterator[None]:
        """What fails inside is said, and what follows is done all the same."""
        try:
            yield
        except Exception as error:
            self.explain(error, at)

    def attempt(self, call: Callable[..., None], *args: object) -> None:
        """Call somebody who wants to be told; what fails there is theirs and not the caller's."""
        with self.going_on(getattr(call, "__self__", None)):
            call(*args)

    def unsent(self) -> str:
        """What is written and not sent."""
        return ""

    def _places(self, at: MessagePump | None) -> Iterator[FailureDisplay]:
        for node in at.ancestors_with_self if isinstance(at, Widget) and self._is_seen(at) else ():
            if isinstance(node, Widget) and node.is_mounted and isinstance(node, FailureDisplay):
                yield node
        yield self

    def _is_seen(self, widget: Widget) -> bool:
        """False below a sheet, too, that lets it shine through."""
        seen = widget.is_attached and widget.screen is self.screen
        return seen and all(node.display for node in widget.ancestors_with_self)

    # -- where it is caught

    def _register(self, parent: DOMNode, *widgets: Widget, **where: Any) -> list[Widget]:
        for widget in widgets:
            self._guard(widget)
        return super()._register(parent, *widgets, **where)

    def _start_widget(self, parent: Widget, widget: Widget) -> None:
        self._guard(widget)
        super()._start_widget(parent, widget)

    def _guard(self, widget: Widget) -> None:
        own = vars(widget)
        own["_dispatch_message"] = partial(self._dispatched, widget)
        own["_get_dispatch_methods"] = partial(self._handlers, widget)
        own["call_next"] = partial(self._next, widget)
        own["render_lines"] = partial(self._lines, widget)
        own["get_content_width"] = partial(self._width, widget)
        own["get_content_height"] = partial(self._height, widget)
        if isinstance(widget, Screen):
            own["_invoke_later"] = partial(self._later, widget)

    async def _dispatched(self, widget: Widget, message: Message) -> None:
        try:
            await type(widget)._dispatch_message(widget, message)
        except Exception as error:
            self._failed(error, widget)

    def _handlers(self, widget: Widget, name: str, message: Message) -> Iterator[Any]:
        for cls, method in type(widget)._get_dispatch_methods(widget, name, message):
            yield cls, _GuardedHandler(self, widget, method)

    def _next(self, widget: Widget, callback: Callable[..., Any], *args: Any, **named: Any) -> None:
        type(widget).call_next(widget, self._called, widget, partial(callback, *args, **named))

    def _later(self, screen: Screen[Any], callback: Callable[..., Any], sender: MessagePump) -> None:
        type(screen)._invoke_later(screen, partial(self._called, sender, callback), sender)

    async def _called(self, pump: MessagePump, callback: Callable[..., Any]) -> None:
        try:
            await invoke(callback)
        except Exception as error:
            self._failed(error, pump)

    def _lines(self, widget: Widget, crop: Region) -> list[Strip]:
        try:
            return type(widget).render_lines(widget, crop)
        except Exception as error:
            self._cannot_draw(widget, error)
            words = wrap(f"cannot be drawn: {type(error).__name__}; the log has the stack", max(8, widget.size.width))
            rows = [Strip([Segment(words[y % len(words)], _UNDRAWN)]) for y in crop.line_range]
            return [row.crop_extend(crop.x, crop.right, None) for row in rows]

    def _width(self, widget: Widget, container: Size, viewport: Size) -> int:
        try:
            return type(widget).get_content_width(widget, container, viewport)
        except Exception as error:
            self._cannot_draw(widget, error)
            return container.width

    def _height(self, widget: Widget, container: Size, viewport: Size, width: int) -> int:
        try:
            return type(widget).get_content_height(widget, container, viewport, width)
        except Exception as error:
            self._cannot_draw(widget, error)
            return 1

    def _cannot_draw(self, widget: Widget, error: Exception) -> None:  # noqa: ARG002 - for those who hide it
        """Its own place says it already."""
        self.known(error)

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if self._stands is None:
                raise
            self._failed(error, self)

    def _get_dispatch_methods(self, method_name: str, message: Message) -> Iterator[Any]:
        for cls, method in super()._get_dispatch_methods(method_name, message):
            yield cls, _GuardedHandler(self, self, method)

    def call_next(self, callback: Callable[..., Any], *args: Any, **named: Any) -> None:
        """As Textual does, and what fails in it takes nothing else with it."""
        super().call_next(self._called, self, partial(callback, *args, **named))

    def get_driver_class(self) -> type[Driver]:
        """Textual's, made to read on whatever comes."""
        driver = super().get_driver_class()
        take_whatever_comes()
        return driver

    def _handle_exception(self, error: Exception) -> None:
        """Whatever Textual caught itself: of workers, timers, compositions, the screen, the app."""
        try:
            at: MessagePump = get_current_worker().node
        except NoActiveWorker:
            at = active_message_pump.get(self)
        self._failed(error.error if isinstance(error, WorkerFailed) else error, at)  # type: ignore[arg-type]

    def _failed(self, error: Exception, at: MessagePump) -> None:
        frames = {frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__)}
        self._undrawn += bool(frames & _DRAWING)
        if (at is self and not self._stands) or self._undrawn >= FRAMES:
            self._end(error)
        else:
            self.explain(error, at)

    def _task_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A task or a callback of the loop failed and nobody waited for it."""
        error = context.get("exception")
        if self._stands and isinstance(error, Exception):
            self.explain(error)
        else:
            loop.default_exception_handler(context)

    # -- the end

    async def _process_messages_loop(self) -> None:
        self._stands = True
        asyncio.get_running_loop().set_exception_handler(self._task_failed)
        try:
            await super()._process_messages_loop()
        finally:
            self._stands = False

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        before = self._undrawn
        super()._display(screen, renderable)
        if self._undrawn == before:
            self._undrawn = 0

    def _end(self, error: Exception) -> None:
        """There is nothing to go on with: the first reason is kept, and what was being written."""
        log.error("the shell crashed", exc_info=error)
        if self.crash is None:
            self._keep(error)
            super()._handle_exception(error)

    def _keep(self, error: Exception) -> None:
        self.crash = error
        try:
            self.draft = self.unsent()
        except Exception:
            log.exception("what was being written cannot be had")

    def panic(self, *renderables: Any) -> None:
        """As Textual does. Its driver comes here past all others when nothing can be read from the terminal any more."""
        if self.crash is None:
            stacks = [each.trace.stacks[0] for each in renderables if hasattr(each, "trace")]
            reason = "; ".join(f"{one.exc_type}: {one.exc_value}" for one in stacks) or "no reason is known"
            places = [f"{each.filename}:{each.lineno} in {each.name}" for one in stacks for each in one.frames]
            error = RuntimeError(f"Nothing can be read from the terminal any more ({reason}).")
            log.error("%s", error, extra={"traceback": "\n".join(places)})
            self._keep(error)
            self._return_code = 1
        super().panic(*renderables)

    def _fatal_error(self) -> None:
        """As Textual does, but without local variables (what somebody wrote is nobody's to print), and drawn only when
        the end has come: drawing reads the sources, for which no loop shall wait."""
        from rich.traceback import Traceback

        self.bell()
        self._exit_renderables.append(Traceback(show_locals=False, width=None))
        self._close_messages_no_wait()


class _GuardedHandler:
    """A handler of which a failure is said. What a person did is over with it: an Enter that could not be sent adds no
    line. What only tells of a change goes on to Textual's own handlers, which keep focus, size and children in order."""

    __slots__ = ("_app", "_method", "_pump")
    _param_count = 1  # of `__call__`, as Textual asks for it

    def __init__(self, app: FailSafe, pump: MessagePump, method: Callable[[Message], Any]) -> None:
        self._app, self._pump, self._method = app, pump, method

    async def __call__(self, message: Message) -> None:
        try:
            await invoke(self._method, message)
        except Exception as error:
            app = self._app
            if self._pump is app and app._stands is None:
                raise
            if not isinstance(message, events.Event) or isinstance(message, events.InputEvent | events.Paste):
                message.stop().prevent_default()
            app._failed(error, self._pump)
