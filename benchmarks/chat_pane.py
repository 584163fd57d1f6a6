"""Opening a stored conversation through the whole chat pane: read, laid out and painted.

Used by `transcript.py`: the same with 1,000 messages may take 1.5 times what it takes with 20.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from textual.app import App, ComposeResult
from textual.theme import Theme

from benchmarks.empty_transcript import message
from omni.chat import ChatMessage, ChatService, ChatStore, Conversation
from omni.chat.exported import to_json
from omni.core.clock import SystemClock
from omni.core.errors import NotFound
from omni.core.messages import Message
from omni.core.paths import Home
from omni.core.settings import Settings
from omni.shell.panes.chat import ChatPane
from omni.shell.start import collect_again

TIMES = 8


class NoBrains:
    """A library without a brain: none is asked here."""

    async def get(self, name: str) -> Any:
        raise NotFound(f"no {name}")

    async def best(self, **_: Any) -> None:
        return None


class PaneApp(App[None]):
    """The pane alone."""

    AUTO_FOCUS = None

    def __init__(self, services: Any, theme: Theme, defaults: dict[str, str]) -> None:
        self._defaults = defaults  # asked for while the app is made
        super().__init__()
        self.register_theme(theme)
        self.theme = theme.name
        # what the pane asks of its frame
        self.project, self.wanted_brain = Path.cwd(), ""
        self.slash_offers = self.pulls_running = ()
        self.warmed = asyncio.Event()
        self.warmed.set()
        self.pane = ChatPane(services)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return self._defaults

    def compose(self) -> ComposeResult:
        yield self.pane


QUESTION = "Question {}: why is it slow, and what mends it?"


def exported(count: int) -> str:
    """A conversation of `count` messages, as `/export` writes it."""
    now = time.time()
    messages = [
        ChatMessage(
            id=str(at),
            parent=str(at - 1) if at else None,
            role="assistant" if at % 2 else "user",
            parts=Message.of("user", message(at) if at % 2 else QUESTION.format(at)).parts,
            time=now,
            brain="@roe/backend" if at % 2 else "",
            seconds=38.0 if at % 2 else 0.0,
        )
        for at in range(count)
    ]
    head = Conversation(
        id="c", title="Long", project="", created=now, updated=now, brain="", system="", head=str(count - 1),
        turns=count // 2, revision=1,
    )  # fmt: skip
    return to_json(head, messages)


def opening(count: int, theme: Theme, defaults: dict[str, str]) -> Callable[[], dict[str, float]]:
    """The times, in ms: until painted, and CPU time until nothing is left to do: of the loop's thread, and of all."""

    async def timed(app: PaneApp, conversation: str) -> tuple[float, float, float]:
        began, used, used_by_all = time.perf_counter(), time.thread_time(), time.process_time()
        await app.pane.open_conversation(conversation)
        painted = asyncio.Event()
        app.pane.transcript.call_after_refresh(painted.set)
        await painted.wait()
        seen = time.perf_counter() - began
        quiet = 0
        while quiet < 3:
            before = time.process_time()
            await asyncio.sleep(0.03)
            quiet = quiet + 1 if time.process_time() - before < 0.002 else 0
        return seen * 1e3, (time.thread_time() - used) * 1e3, (time.process_time() - used_by_all) * 1e3

    async def main(folder: Path) -> dict[str, float]:
        home = Home(folder / "home").ensure()
        chat = ChatService(ChatStore(home.chat), SimpleNamespace(open=None), NoBrains())
        services: Any = SimpleNamespace(
            chat=chat, library=NoBrains(), settings=Settings(), clock=SystemClock(), home=home, starter=None
        )
        made = await chat.load(exported(count))
        app = PaneApp(services, theme, defaults)
        timings: list[tuple[float, float, float]] = []

        async def load() -> None:
            await asyncio.sleep(0.8)
            collect_again()  # as in the shell, once its first frame stands
            with app._context():
                for _ in range(TIMES):
                    await app.pane.new_conversation()
                    await asyncio.sleep(0.2)
                    timings.append(await timed(app, made.id))
            app.exit()

        async with asyncio.TaskGroup() as group:
            group.create_task(load())
            await app.run_async()
        await chat.close()
        return {
            "whole pane: open, until painted": min(one[0] for one in timings),
            "whole pane: open, CPU of the loop": min(one[1] for one in timings),
            "whole pane: open, CPU of all threads": min(one[2] for one in timings),
        }

    def work() -> dict[str, float]:
        os.environ.pop("TMUX", None)
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(main(Path(folder)))

    return work
