"""Ctrl+P: everything by its name, found by a few of its letters."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.command import CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider

from omni.shell.pane import frame_of

if TYPE_CHECKING:
    from textual.app import App

    from omni.core.themes import ThemeFile
    from omni.shell.frame import Frame

Command = tuple[str, str, Callable[[], Any]]


class OmniCommands(Provider):
    """The frame's commands, and those of the pane that is shown."""

    @property
    def omni(self) -> "Frame":
        """The app, as what may be asked of it."""
        return frame_of(self.app)

    async def startup(self) -> None:
        """Read what needs a file before the first letter is typed."""
        self._themes: dict[str, ThemeFile] = {}
        with self.omni.going_on():  # Textual would note it where nobody looks
            self._themes = await self.omni.theme_files()

    async def _search(self, query: str) -> Hits:
        with self.omni.going_on():  # as above
            async for hit in super()._search(query):
                yield hit

    async def discover(self) -> Hits:
        """Everything, in the order of the rail."""
        for title, about, run in self._commands():
            yield DiscoveryHit(title, run, help=_capital(about))

    async def search(self, query: str) -> Hits:
        """What has these letters in this order."""
        matcher = self.matcher(query)
        for title, about, run in self._commands():
            score = max(matcher.match(title), matcher.match(about) * 0.6)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=_capital(about))

    def _commands(self) -> Iterator[Command]:
        app = self.omni
        for pane in app.panes.values():
            key = pane.key.upper() or f"g {pane.letter}"
            yield f"{pane.title}", f"{pane.about}   {key}", partial(app.show, pane.name)
        yield "New conversation", "begin anew with the brain that is chosen", app.new_conversation
        yield "Brains", "choose the brain to talk to   ctrl+o", app.action_brains
        yield "First steps", "the wizard again: machine, brain, look", app.first_steps
        air = app.doors is not None and app.doors.air_gap
        if air:
            yield "Open the doors again", "end the air gap   F12", app.action_air_gap
        else:
            yield "Air gap", "shut every door at once   F12", app.action_air_gap
        shown = app.pane(app.rail.active)
        if shown is not None:
            for _, binding in shown._bindings:
                if binding.id is not None and binding.show and binding.description:
                    title = f"{app.panes[app.rail.active].title}: {binding.description.lower()}"
                    run = partial(self.app.run_action, binding.action, default_namespace=shown)
                    yield title, binding.tooltip, run
        for name, file in self._themes.items():
            yield f"Theme: {file.title}", f"{name}, {'dark' if file.dark else 'light'}", partial(app.keep_theme, name)
        yield "Help", "all keys   F1", app.action_help
        yield "Quit", "leave Omni; workers end by themselves   ctrl+c twice", self.app.exit


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class OmniPalette(CommandPalette):
    """Textual's palette in Omni's clothes."""

    DEFAULT_CSS = """
    OmniPalette { background: $omni-background 55%; align-horizontal: center; }
    OmniPalette > Vertical { margin-top: 2; width: 84; max-width: 94%; background: $omni-raised; visibility: hidden; }
    OmniPalette #--input { border: none; border-left: outer $omni-accent; height: 3; padding: 1 1; visibility: visible;
                       background: $omni-raised; }
    OmniPalette #--input.--list-visible { border: none; border-left: outer $omni-accent; }
    OmniPalette #--input Label { display: none; }
    OmniPalette #--input Input, OmniPalette #--input Input:focus { border: none; height: 1; padding: 0 1; background: $omni-raised; }
    OmniPalette CommandList { border: none; border-left: outer $omni-accent; background: $omni-raised; color: $omni-text; padding: 0 1 1 1; }
    OmniPalette CommandList > .option-list--option-highlighted,
    OmniPalette CommandList:focus > .option-list--option-highlighted { background: $omni-chosen; color: $omni-text; }
    OmniPalette CommandList > .option-list--option-hover { background: $omni-chosen; }
    OmniPalette > .command-palette--help-text { color: $omni-third; text-style: not bold; }
    OmniPalette > .command-palette--highlight { color: $omni-accent; text-style: bold; }
    OmniPalette LoadingIndicator { display: none; }
    """

    def on_resize(self) -> None:
        """The list ends with a whole entry, which is two rows high, and a row below it."""
        self.query_one(CommandList).styles.max_height = max(3, self.app.size.height * 6 // 20 * 2 + 1)


def open_palette(app: "App[None]") -> None:
    """Open it, once."""
    if not any(isinstance(screen, CommandPalette) for screen in app.screen_stack):
        app.push_screen(OmniPalette([OmniCommands], placeholder="What do you want?"))
