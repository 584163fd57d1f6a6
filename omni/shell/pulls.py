"""Downloads and checks as the shell knows them. They belong to no pane, and go on whatever pane is shown."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from omni.cartridges import LibraryJobs, PullStatus

if TYPE_CHECKING:
    from omni.shell.themed_app import ThemedApp


class ShellPulls(LibraryJobs):
    """Who listens is told about every step, and decides how much of it it draws; `moved` is told last."""

    def __init__(self, app: "ThemedApp", moved: Callable[[PullStatus], None]) -> None:
        super().__init__(app.services, self._tell, app.known)
        self._app, self._last = app, moved
        self._listeners: list[Callable[[PullStatus], None]] = []
        self.rate = 0.0  # bytes a second of what came last; 0 before anything did

    def listen(self, listener: Callable[[PullStatus], None]) -> None:
        """Tell `listener` from now on."""
        self._listeners.append(listener)

    def _tell(self, status: PullStatus) -> None:
        self.rate = status.rate or self.rate
        for listener in (*self._listeners, self._last):
            self._app.attempt(listener, status)
