"""What frame and panes may ask of each other. It is for type checkers only: nothing imports it when the shell runs."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from textual.binding import BindingsMap
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widget import Widget

from omni.app import Services
from omni.cartridges import PullStatus
from omni.core.errors import OmniError
from omni.core.plugins import PluginOffer
from omni.core.themes import ThemeFile
from omni.hardware import MachineSample
from omni.keeper import Doors
from omni.shell.meters import Meters
from omni.shell.panes import PaneSpec
from omni.shell.pulls import ShellPulls
from omni.shell.rail import Rail
from omni.shell.status import StatusLine


class Frame(Protocol):
    """The application, as a pane or a widget knows it beside what Textual's `self.app` can do."""

    services: Services
    panes: dict[str, PaneSpec]
    rail: Rail
    status: StatusLine
    meters: Meters
    warmed: asyncio.Event
    project: Path
    new_here: bool
    wanted_brain: str
    slash_offers: list[PluginOffer]

    @property
    def screen_stack(self) -> list[Screen[object]]:
        """The screens that lie above each other."""

    @property
    def bindings_of_frame(self) -> BindingsMap:
        """The frame's keys as they are now."""

    @property
    def doors(self) -> Doors | None:
        """What was verified last; None while nobody knows."""

    @property
    def pulls(self) -> ShellPulls:
        """The downloads that run."""

    @property
    def pulls_running(self) -> Sequence[PullStatus]:
        """What is being fetched or checked, as far as this shell knows."""

    def pane(self, name: str) -> Widget | None:
        """The pane of this name, when it was shown before."""

    async def show(self, name: str) -> Widget:
        """Show a pane."""

    async def new_conversation(self) -> None:
        """Begin anew. Raises OmniError."""

    async def open_conversation(self, conversation: str) -> None:
        """Go to this conversation. Raises OmniError."""

    async def chat_with(self, brain: str, *, new: bool = False) -> None:
        """Go to the conversation and use this brain there, or in a new one. Raises OmniError."""

    async def first_steps(self) -> None:
        """Go through the first steps again."""

    async def edit(self, path: Path) -> bool:
        """Open a file in the editor of the person; false when there is none."""

    async def theme_files(self) -> dict[str, ThemeFile]:
        """Every theme whose file is right."""

    async def preview_theme(self, name: str) -> None:
        """Show everything in this theme. Raises OmniError."""

    async def keep_theme(self, name: str) -> None:
        """Show everything in this theme from now on. Raises OmniError."""

    def watch_meters(self, watcher: Callable[[MachineSample], None]) -> None:
        """Call `watcher` with every sample of processor and memory."""

    def known(self, error: Exception) -> OmniError:
        """The failure as what Omni can explain; its stack is in the log from now on."""

    def explain(self, error: Exception, at: MessagePump | None = None) -> None:
        """Say what failed in the place that `at` has for that, else in a toast."""

    def complain(self, error: OmniError) -> None:
        """Say it in a toast."""

    def going_on(self, at: MessagePump | None = None) -> AbstractContextManager[None]:
        """What fails inside is said, and what follows is done all the same."""

    def action_help(self) -> object:
        """F1."""

    def action_brains(self) -> object:
        """Ctrl+O."""

    def action_air_gap(self) -> object:
        """F12."""


class Conversations(Protocol):
    """What the frame asks of the chat pane."""

    async def new_conversation(self, brain: str = "") -> None:
        """Begin a conversation, with this brain or the one that is chosen."""

    async def open_conversation(self, conversation: str) -> None:
        """Show a stored conversation."""

    async def use_brain(self, brain: str) -> None:
        """The next answers come from this brain."""


class FirstSteps(Protocol):
    """What the frame asks of the home pane."""

    async def action_wizard(self) -> None:
        """Go through the first steps again."""
