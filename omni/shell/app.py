"""The frame of the shell: rail, panes, status line, and what works from anywhere."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events
from textual.app import App, ComposeResult, SuspendNotSupported, SystemCommand
from textual.binding import BindingsMap
from textual.containers import Container, Horizontal
from textual.screen import Screen

from omni.core.errors import OmniError
from omni.shell.bindings import FRAME, let_alt_numbers_be_keys, pane_bindings
from omni.shell.doors import DoorWatch
from omni.shell.meters import Meters
from omni.shell.pane import Pane
from omni.shell.pane_host import PaneHost
from omni.shell.panes import BUILT_IN, PaneSpec
from omni.shell.rail import FOLD_BELOW

if TYPE_CHECKING:
    from omni.app import Services
    from omni.cartridges import PullStatus
    from omni.hardware import MachineSample
    from omni.keeper import Doors, KeeperChange, ProcessInfo
    from omni.shell.frame import Conversations, FirstSteps
    from omni.shell.pulls import ShellPulls

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.3
METER_SECONDS = 2.0
THEME_SECONDS = 1.0
QUIT_SECONDS = 3.0
CHORD_SECONDS = 2.0
# What the services stand on: imported in a thread behind the first frame, not on the loop when it is first asked for.
WARMED = (
    ("keeper", "KeeperClient"),
    ("hardware", "HardwareProfile"),
    ("cartridges", "Library"),
    ("chat", "ChatService"),
    ("engine", "Engines"),
)


class OmniApp(PaneHost, inherit_bindings=False):
    """The shell. `services` is what the composition root made; nothing of it is asked for before the first frame."""

    CSS = """
    * { scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    Screen { background: $omni-background; color: $omni-text; }
    Screen.-narrow Rail { width: 4; }
    #body { height: 1fr; }
    #panes { width: 1fr; height: 1fr; }
    ModalScreen { background: $omni-background 55%; }
    /* above the palette and the list of completions, which are overlays themselves, and not on what is being written */
    ToastRack { dock: none; position: absolute; overlay: screen; height: 100%; margin: 0; padding-bottom: 5;
                layers: below toasts; }
    ToastHolder { layer: toasts; }
    Screen.-low ToastRack { padding-bottom: 4; }
    Toast { background: $omni-raised; width: auto; min-width: 30; max-width: 80%; padding: 0 2; margin-top: 1; }
    Toast.-information { border-left: outer $omni-accent; }
    Toast.-warning { border-left: outer $omni-amber; }
    Toast.-error { border-left: outer $omni-red; }
    Tooltip { background: $omni-raised; color: $omni-second; padding: 0 1; margin: 0; max-width: 40; }
    """
    BINDINGS: ClassVar = [*FRAME, *pane_bindings(BUILT_IN)]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (FOLD_BELOW, "-wide")]  # noqa: RUF012 - as Textual declares it
    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-middle"), (30, "-high")]  # noqa: RUF012
    COMMANDS: ClassVar = set()  # the palette's provider is imported when the palette is opened
    AUTO_FOCUS: ClassVar = None  # each pane knows what one comes to it for
    ENABLE_COMMAND_PALETTE: ClassVar = True
    TITLE = "omni"

    def __init__(
        self,
        services: "Services",
        *,
        brain: str = "",
        project: Path,
        panes: Sequence[PaneSpec] = BUILT_IN,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        ready = services.settings.ui.ready or bool(brain)
        super().__init__(services, panes, begin="chat" if ready else "home", environment=environment)
        let_alt_numbers_be_keys()
        self.project, self.wanted_brain = project, brain
        self.new_here = not services.home.library.exists()
        self.meters = Meters()
        self._meter_watchers: list[Callable[[MachineSample], None]] = []
        self._doors = DoorWatch(self, lambda: self._pulls)
        self.warmed = asyncio.Event()
        self._on_devices: Sequence[ProcessInfo] = ()
        self._chord = ""
        self._chord_at = self._quit_at = float("-inf")
        self._pulls: ShellPulls | None = None
        self.window_lost = False
        self.when_it_stands: Callable[[], None] = lambda: None
        if services.settings.ui.keys:
            self.set_keymap(dict(services.settings.ui.keys))
        self.title = f"omni · {project.name or project}"

    # -- the first frame

    def compose(self) -> ComposeResult:
        """Rail, the one pane that is shown, status line."""
        with Horizontal(id="body"):
            yield self.rail
            with Container(id="panes"):
                yield self._make(self.panes[self.rail.active])
        yield self.status

    def on_mount(self) -> None:
        """Take keys from the first frame on; everything slow begins once it stands."""
        self._heed_signals()
        self._focus_pane()
        self.call_after_refresh(self._after_first_frame)

    def _after_first_frame(self) -> None:
        self.when_it_stands()
        self._write(f"\x1b[22;0t\x1b]2;{_printable(self.title)}\x07")
        if self.focused is None:
            self._focus_pane()
        if self._startup_error is not None:
            self.explain(self._startup_error)
        self.run_worker(self._begin(), name="begin", group="frame", description="connect what is behind the frame")
        self.run_worker(self._measure(), name="meters", group="frame", description="sample processor and memory")
        self.set_interval(METER_SECONDS, self._measure)

    async def _begin(self) -> None:
        """Import what the first frame did not need, then meet the keeper and listen to it."""
        try:
            await asyncio.to_thread(self._warm)
        finally:
            self.warmed.set()
        self.run_worker(self._load_plugins(), name="plugins", group="frame", description="load the panes of plug-ins")
        self.run_worker(self._upgrade(), name="conversations", group="frame", description="open the conversations")
        self.services.listen(self._heard_engine)
        self._look_for_devices_soon()
        with self.going_on():
            await self._look_for_themes()  # what is there now is not new
        self.set_interval(THEME_SECONDS, self._look_for_themes)
        await self._doors.attend()

    def _heard_engine(self, topic: str, value: object) -> None:
        """Another engine answers than was asked for: said once, beside the answer."""
        if topic == "engine":
            self.notify(str(value), severity="warning", markup=False)

    async def _upgrade(self) -> None:
        """Open the conversations; where they are an earlier Omni's, which takes its time, the status line says so."""
        if not await asyncio.to_thread(self.services.home.chat.exists):
            return
        telling = self.set_interval(LOOK_SECONDS, self._tell_upgrade)
        try:
            await self.services.chat.opened()
        finally:
            telling.stop()
            self.status.show(waiting="")

    def _tell_upgrade(self) -> None:
        if words := self.services.chat.upgrading:
            self.status.show(waiting=f"Your conversations: {words}")

    def _warm(self) -> None:
        from importlib import import_module

        for room, name in WARMED:
            try:
                getattr(import_module(f"omni.{room}"), name)
            except ImportError:
                log.warning("%s of omni.%s does not load", name, room, exc_info=True)
        for module in ("brains", "pulls", "strip", "modals", "palette", "help"):
            import_module(f"omni.shell.{module}")
        for pane in self.panes.values():
            try:
                pane.load()
            except Exception:
                log.warning("the pane %s does not load", pane.name, exc_info=True)

    async def _measure(self) -> None:
        reading = await asyncio.to_thread(self.meters.sample)
        for watcher in (self.rail.measure, *self._meter_watchers):
            self.attempt(watcher, reading)
        if self._on_devices:
            self.status.show(vram=(await self.services.graphics(self._on_devices)).words)

    def tell_panes(self, change: "KeeperChange") -> None:
        """Something changed, here or in another process."""
        super().tell_panes(change)
        if change.topic == "processes":
            self._look_for_devices_soon()

    def _look_for_devices_soon(self) -> None:
        work = self._look_for_devices()
        self.run_worker(work, exclusive=True, group="devices", description="look for devices in use")

    async def _look_for_devices(self) -> None:
        """Which workers have layers on devices. As long as none has, no memory of theirs is asked for."""
        try:
            self._on_devices = await self.services.on_devices()
        except OmniError:  # there is no keeper, which the doors say
            self._on_devices = ()
        words = (await self.services.graphics(self._on_devices)).words if self._on_devices else ""
        self.status.show(vram=words)

    def watch_meters(self, watcher: "Callable[[MachineSample], None]") -> None:
        """Call `watcher` with every sample of processor and memory."""
        self._meter_watchers.append(watcher)

    def unsent(self) -> str:
        """What is written in the conversation, or waits there for an answer to end."""
        chat = self.pane("chat")
        return chat.unsent if isinstance(chat, Pane) else ""

    # -- doors

    @property
    def doors(self) -> "Doors | None":
        """What was verified last; None while nobody knows."""
        return self._doors.state

    async def action_air_gap(self) -> None:
        """F12: shut every door now; when they are shut, ask before they may open again."""
        self._doors.turn()

    async def on_status_line_doors_clicked(self) -> None:
        """A click on the doors is F12."""
        self._doors.turn()

    # -- keys in two steps

    def action_chord(self, first: str) -> None:
        """Wait for the second key of a pair."""
        self._chord, self._chord_at = first, self.services.clock.monotonic()
        if first == "ctrl+x":
            self.status.show(waiting="ctrl+x  then k: air gap")

    async def on_event(self, event: events.Event) -> None:
        """Take the second key of a pair before anybody else sees it."""
        if self._chord and isinstance(event, events.Key) and not event.is_forwarded:
            first, self._chord = self._chord, ""
            self.status.show(waiting="")
            if self.services.clock.monotonic() - self._chord_at <= CHORD_SECONDS:
                if first == "ctrl+x" and event.key in ("k", "ctrl+k"):
                    await self.action_air_gap()
                    return
                spec = next((pane for pane in self.panes.values() if pane.letter == event.key), None)
                if first == "g" and spec is not None:
                    await self.action_pane(spec.name)
                    return
        await super().on_event(event)

    # -- copying, stopping, leaving

    def action_copy_or_stop(self) -> None:
        """Ctrl+C: copy a selection, else stop the answer, else (twice, with nothing written) leave."""
        if (text := self._selection()) is not None:
            self.screen.clear_selection()
            self.run_worker(self._copy(text), name="copy", group="frame", description="copy the selection")
            return
        chat = self.pane("chat")
        if isinstance(chat, Pane) and chat.stop_answer():
            return
        if len(self.screen_stack) > 1 and not self.screen.is_modal:
            self.pop_screen()
            return
        written = getattr(self.screen.focused, "text", "") or getattr(self.screen.focused, "value", "")
        now = self.services.clock.monotonic()
        if isinstance(written, str) and written.strip():
            self.notify("Ctrl+C twice leaves Omni once nothing is written here.", markup=False, timeout=3)
        elif now - self._quit_at <= QUIT_SECONDS:
            self.exit()
        else:
            self._quit_at = now
            self.notify("Ctrl+C once more leaves Omni.", markup=False, timeout=QUIT_SECONDS)

    def _selection(self) -> str | None:
        focused = self.screen.focused
        inside = getattr(focused, "selected_text", "")
        return inside if isinstance(inside, str) and inside else self.screen.get_selected_text() or None

    async def _copy(self, text: str) -> None:
        from omni.shell.clipboard import copy

        self.notify(await copy(text, app=cast("App[object]", self), home=self.services.home), markup=False, timeout=3)

    async def action_quit(self) -> None:
        """Leave."""
        self.exit()

    async def edit(self, path: Path) -> bool:
        """Open a file in the editor of the person, by the starter; false when there is no starter or no editor."""
        if self.services.starter is None:
            return False
        try:
            with self.suspend():
                await self.services.starter.editor(str(path))
        except (OmniError, SuspendNotSupported) as error:
            log.warning("no editor: %s", error)
            return False
        return True

    # -- modals

    async def action_help(self) -> None:
        """F1: all keys."""
        from omni.shell.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            await self.push_screen(HelpScreen(self))

    def action_brains(self) -> None:
        """Ctrl+O: choose the brain to talk to."""
        from omni.shell.modals import BrainChooser

        def chosen(name: str | None) -> None:
            if name:
                self.run_worker(self.chat_with(name), group="frame", description="turn to another brain")

        self.push_screen(BrainChooser(self.services), chosen)

    async def chat_with(self, brain: str, *, new: bool = False) -> None:
        """Go to the conversation and use this brain there, or in a new one. Raises OmniError."""
        chat = cast("Conversations", await self.show("chat"))
        if new:
            await chat.new_conversation(brain=brain)
        else:
            await chat.use_brain(brain)

    async def new_conversation(self) -> None:
        """Begin anew. Raises OmniError."""
        chat = cast("Conversations", await self.show("chat"))
        await chat.new_conversation()

    async def open_conversation(self, conversation: str) -> None:
        """Go to this conversation. Raises OmniError."""
        chat = cast("Conversations", await self.show("chat"))
        await chat.open_conversation(conversation)

    @property
    def pulls(self) -> "ShellPulls":
        """The downloads that run; they outlive the pane that began them."""
        if self._pulls is None:
            from omni.shell.pulls import ShellPulls

            self._pulls = ShellPulls(self, self.pull_moved)
        return self._pulls

    @property
    def pulls_running(self) -> "list[PullStatus]":
        """What is being fetched or checked, as far as this shell knows."""
        return self._pulls.running if self._pulls is not None else []

    def pull_moved(self, pulling: "PullStatus") -> None:
        """A download went on: the rail marks it, and a line above the status tells of it in every pane."""
        from omni.keeper import KeeperChange

        if not self.screen_stack:
            return  # the shell is ending
        self.rail.busy("cartridges", bool(self.pulls.running))
        self._draw_pulls()
        self._doors.draw()
        if pulling.kind == "pull" and pulling.state == "done":
            self.tell_panes(KeeperChange(topic="library", value={"brain": pulling.name}))
            if not self._shows_pulls:
                self.notify(f"{pulling.name} is here.", markup=False, timeout=4)

    def pane_turned(self) -> None:
        """The line of the downloads is not for the pane that lists them."""
        if self._pulls is not None:
            self._draw_pulls()

    def _draw_pulls(self) -> None:
        from omni.shell.strip import PullStrip

        strip = next(iter(self.screen_stack[0].query(PullStrip)), None)
        if strip is None:
            strip = PullStrip()
            self.screen_stack[0].query_one("#panes").mount(strip)
        strip.draw(list(self.pulls.all.values()), hidden=self._shows_pulls)

    @property
    def _shows_pulls(self) -> bool:
        """Whether the pane that is shown tells of downloads itself."""
        pane = self.pane(self.rail.active)
        return isinstance(pane, Pane) and pane.shows_pulls

    async def first_steps(self) -> None:
        """Go through the first steps again."""
        home = cast("FirstSteps", await self.show("home"))
        await home.action_wizard()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:  # noqa: ARG002
        """Nothing of Textual's own: `omni.shell.palette` lists what there is."""
        yield from ()

    def action_command_palette(self) -> None:
        """Ctrl+P: everything by name."""
        from omni.shell.palette import open_palette

        open_palette(self)

    # -- messages of panes

    def on_chat_pane_status(self, message: Any) -> None:
        """What the conversation says about its brain and its context."""
        self.status.show(
            brain=message.brain,
            base=message.base,
            used=message.used,
            allocated=message.allocated,
            speed=message.speed,
            answering=bool(message.state),
        )
        self.rail.busy("chat", message.busy)

    # -- the end

    async def on_unmount(self) -> None:
        """Give the terminal its title back, and end what the services began."""
        self._write("\x1b[23;0t")
        if self.watchdog is not None:
            self.watchdog.close()
        if self._pulls is not None:
            await self._pulls.close()
        if self.window_lost:
            from omni.shell.drafts import keep_draft

            draft, self.draft = self.draft, ""  # kept now: what ends a machine after its windows waits for no job
            await asyncio.to_thread(keep_draft, self.services.home, draft)
            await self.services.jobs.idle()
        await self.services.close()

    def _heed_signals(self) -> None:
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.lose_window)
        loop.add_signal_handler(signal.SIGTERM, self._told_to_end)

    def lose_window(self) -> None:
        """The terminal is gone: go on without it until what was begun here is done. Others can watch and stop it."""
        if self.window_lost:
            return
        self.window_lost = True
        if not self.is_headless:
            self._let_go_of_terminal()
        self._told_to_end()

    @staticmethod
    def _let_go_of_terminal() -> None:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.close(nothing)

    def _told_to_end(self) -> None:
        """Not by the person, who may be writing: that is kept."""
        self.draft = self.unsent()
        self.exit()

    def _write(self, text: str) -> None:
        if self._driver is not None and not self.is_headless:
            self._driver.write(text)

    @property
    def bindings_of_frame(self) -> BindingsMap:
        """The frame's keys as they are now, remapped ones included."""
        return self._bindings


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable())
