"""How the shell looks in this terminal: its theme, the colours and the signs that there are."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from textual.filter import ANSIToTruecolor, LineFilter
from textual.theme import Theme

from omni.core.errors import OmniError
from omni.core.paths import resources
from omni.shell.failsafe import FailSafe
from omni.shell.filters import Ascii, Plain
from omni.shell.glyphs import ASCII, glyphs
from omni.shell.theme import Depth, ThemeFile, Themes, Watcher, colour_depth, console_colours, textual_theme

if TYPE_CHECKING:
    from omni.app import Services

log = logging.getLogger(__name__)


class ThemedApp(FailSafe, inherit_bindings=False):
    """An app in one of Omni's themes, which is read again whenever its file changes."""

    def __init__(self, services: "Services", *, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__(services.home.logs / "shell.jsonl")
        self.services = services
        self.glyphs = glyphs(services.settings.ui.glyphs)
        self._depth: Depth = colour_depth(environment)
        self._themes = Themes([resources("themes"), services.home.themes()])
        self._plain: LineFilter | None = None
        self._ascii = Ascii() if self.glyphs == ASCII else None
        self._watcher = Watcher(self._themes)
        self._startup_error: OmniError | None = None
        if (colours := console_colours(self._depth)) != console_colours(_richs_own(environment)):
            self._use_colours(colours)
        self._use_theme(services.settings.ui.theme)

    def _use_theme(self, name: str) -> None:
        try:
            file = self._themes.read(name)
        except OmniError as error:
            self._startup_error = error
            name, file = "omni-dark", self._themes.read("omni-dark")
        self._learn(name, file)
        self.theme = name

    def _learn(self, name: str, file: ThemeFile) -> Theme:
        theme = textual_theme(name, file, self._depth)
        self.register_theme(theme)
        if self._depth == "none":
            self._plain = Plain(file.colour_set(self._depth))
        return theme

    async def preview_theme(self, name: str) -> None:
        """Show everything in this theme; raises OmniError when its file is wrong."""
        self._learn(name, await asyncio.to_thread(self._themes.read, name))
        self.theme = name

    async def keep_theme(self, name: str) -> None:
        """Show everything in this theme from now on. Raises OmniError when its file is wrong or cannot be kept."""
        await self.preview_theme(name)
        await self.services.change_setting("ui.theme", name)

    async def theme_files(self) -> dict[str, ThemeFile]:
        """Every theme whose file is right, Omni's own first."""

        def read() -> dict[str, ThemeFile]:
            files = {}
            for name in self._themes.paths():
                try:
                    files[name] = self._themes.read(name)
                except OmniError as error:
                    log.warning(error.message)
            return files

        return await asyncio.to_thread(read)

    async def _look_for_themes(self) -> None:
        """Take on what was written into the theme that is shown."""
        for name, change in await asyncio.to_thread(self._watcher.look):
            if isinstance(change, OmniError):
                self.explain(change)
            elif name == self.theme:
                self._learn(name, change)
                self._watch_theme(name)  # the name is the same, so the reactive does not notice

    def _use_colours(self, colours: str | None) -> None:
        self.console = Console(
            color_system=colours,  # type: ignore[arg-type]
            file=self.console.file,
            highlight=False,
            emoji=False,
            legacy_windows=False,
            _environ={},
            force_terminal=True,
            safe_box=False,
        )

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, but for its way to show no colours; and ours."""
        filters: list[LineFilter] = [
            each for each in self._filters if isinstance(each, ANSIToTruecolor) and each.enabled
        ]
        return filters + [each for each in (self._plain, self._ascii) if each is not None]


def _richs_own(environment: Mapping[str, str]) -> Depth:
    """What Rich would find out by itself."""
    return colour_depth({key: value for key, value in environment.items() if key not in ("TMUX", "NO_COLOR")})
