"""Downloads as they are seen from panes that have no place of their own for them: a line or two above the status."""

from typing import TYPE_CHECKING, ClassVar

from textual.events import Click

from omni.shell.pane import frame_of
from omni.shell.pull_lines import pulling_line
from omni.shell.widgets import Lines

if TYPE_CHECKING:
    from omni.cartridges import PullStatus

MOST = 2


class PullStrip(Lines):
    """What runs, and what failed until somebody has looked at it where it can be mended."""

    DEFAULT_CSS = """
    PullStrip { dock: bottom; background: $omni-panel; padding: 0 3; }
    Screen.-narrow PullStrip { padding: 0 1 0 2; }
    """
    ALLOW_SELECT: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__(id="pulls")
        self._seen: set[PullStatus] = set()

    def draw(self, pulls: "list[PullStatus]", *, hidden: bool) -> None:
        """Show these, or nothing where the pane has its own place for them."""
        if hidden:
            self._seen = {pulling for pulling in pulls if pulling.error is not None}
        shown = [each for each in pulls if each.running or (each.error is not None and each not in self._seen)]
        self.display = bool(shown) and not hidden
        if self.display:
            room = max(30, self.size.width or self.app.size.width - 24)
            key = ("F5", "everything about it")
            self.show(*(pulling_line(each, room, key=key) for each in shown[-MOST:]))

    async def on_click(self, event: Click) -> None:
        """To where they can be cancelled and gone on with."""
        event.stop()
        await frame_of(self.app).show("cartridges")
