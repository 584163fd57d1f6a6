"""What the tests of the chat pane share: the pane alone in an app, over a scripted brain and a real store."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.theme import Theme

from omni.cartridges.brains import Base, Brain
from omni.cartridges.gguf import GgufHeader
from omni.chat import ChatService, ChatStore, Conversation
from omni.core.clock import SystemClock
from omni.core.errors import NotFound
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.engine.scripted import Reply, ScriptedEngine
from omni.jobs import Jobs
from omni.shell.failsafe import FailSafe
from omni.shell.panes.chat import ChatPane, Status

COLOURS = [
    "background",
    "rail",
    "panel",
    "raised",
    "line",
    "text",
    "second",
    "third",
    "accent",
    "person",
    "amber",
    "red",
    "chosen",
]


class Library:
    """One brain, or none."""

    def __init__(self) -> None:
        header = GgufHeader(version=3, architecture="llama", kind="model", name="Base 1B")
        base = Base(id="sha256-b", path="/b", parts=("/b",), size=1, header=header, origin="file")
        self.brain: Any = Brain(name="@t/brain", state="ready", title="Brain", context_max=4096, base=base)

    async def get(self, name: str) -> Any:
        if self.brain is None or (name and name != self.brain.name):
            raise NotFound(f"No brain is named {name!r}.", hint="Press ctrl+o.")
        return self.brain

    async def best(self, **_: Any) -> Any:
        return self.brain


class Host(FailSafe):
    """The pane alone."""

    AUTO_FOCUS = None

    def __init__(self, services: Any, project: Path) -> None:
        super().__init__(services.home.logs / "shell.jsonl")
        self.project, self.wanted_brain = project, ""
        self.slash_offers: list[Any] = []
        self.pulls_running: list[Any] = []
        self.warmed = asyncio.Event()
        self.warmed.set()
        self.pane = ChatPane(services)
        self.statuses: list[Status] = []
        own = {f"omni-{name}": "#808080" for name in COLOURS}
        self.register_theme(Theme(name="plain", primary="#808080", variables=own))
        self.theme = "plain"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {f"omni-{name}": "#808080" for name in COLOURS}

    def compose(self) -> ComposeResult:
        yield self.pane

    def on_mount(self) -> None:
        self.pane.take_focus()

    def on_chat_pane_status(self, message: Status) -> None:
        self.statuses.append(message)


class PaneHost:
    """What a test has in its hands."""

    def __init__(self, host: Host, pilot: Pilot[None], engine: ScriptedEngine, services: Any) -> None:
        self.host, self.pilot, self.engine, self.services = host, pilot, engine, services
        self.pane, self.transcript, self.composer = host.pane, host.pane.transcript, host.pane.composer

    @property
    def conversation(self) -> Conversation:
        """The one on the screen."""
        return self.pane.model.stored()

    @property
    def screen(self) -> str:
        """All that is drawn in the transcript."""
        rows = self.transcript.render_lines(self.transcript.size.region)
        return "\n".join(strip.text.rstrip() for strip in rows)

    @property
    def notes(self) -> str:
        return "\n".join(note.message for note in self.host._notifications)

    async def say(self, text: str) -> None:
        self.composer.put(text)
        await self.pilot.press("enter")

    async def quiet(self) -> None:
        """Until no turn runs and all that follows from it is shown."""
        for _ in range(3):
            await self.host.workers.wait_for_complete()
            await self.pane.model.tasks.settled()
            await self.pilot.pause()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await self.pilot.pause()

    async def hears(self, told: Callable[[], None], text: str) -> None:
        """Tell of a change until its text is on the screen."""
        async with asyncio.timeout(10):
            while text not in self.screen:
                told()
                await self.pilot.pause()


@asynccontextmanager
async def stage(
    tmp_path: Path, *replies: str | Reply, size: tuple[int, int] = (100, 40), clock: Any = None
) -> AsyncIterator[PaneHost]:
    home = await asyncio.to_thread(_home, tmp_path)
    project = tmp_path / "shop"
    engine = ScriptedEngine(replies or ("A whole answer.",), tokens_per_chunk=2)
    library = Library()
    store = ChatStore(home.root / "chat.db")
    chat = ChatService(store, SimpleNamespace(open=lambda _brain: _ready(engine)), library)
    services: Any = SimpleNamespace(
        chat=chat,
        library=library,
        settings=Settings(),
        clock=clock or SystemClock(),
        home=home,
        starter=None,
        jobs=Jobs(home, None, SystemClock()),
    )
    host = Host(services, project)
    async with host.run_test(size=size) as pilot:
        await pilot.pause()
        yield PaneHost(host, pilot, engine, services)
        host.workers.cancel_all()
        await services.jobs.close()
        await pilot.pause()
    await chat.close()


def _home(folder: Path) -> Home:
    (folder / "shop").mkdir()
    return Home(folder / "home").ensure()


async def _ready(engine: ScriptedEngine) -> ScriptedEngine:
    return engine
