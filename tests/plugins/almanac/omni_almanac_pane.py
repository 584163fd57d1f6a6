"""The almanac on the screen."""

import asyncio

from textual.app import ComposeResult

from omni.shell.pane import Pane
from omni.shell.widgets import Lines, ink


class AlmanacPane(Pane):
    """One line a date."""

    can_focus = True

    def compose(self) -> ComposeResult:
        """What is there, once it was read."""
        yield Lines(ink(("Almanac", "bold text")), id="almanac")

    async def on_mount(self) -> None:
        """Read off the loop."""
        from omni_almanac import dates

        lines = await asyncio.to_thread(dates)
        self.query_one("#almanac", Lines).show(ink(("Almanac", "bold text")), *(ink(line) for line in lines))

    def take_focus(self) -> None:
        """Keys go on working."""
        self.focus()
