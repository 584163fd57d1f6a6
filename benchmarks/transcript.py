"""The transcript against its budgets (ARCHITECTURE.md, chapter 8), beside the reference of `empty_transcript.py`.

p99 of the CPU time per loop turn <= 8 ms, worst <= 1.5 x the reference, while typing, scrolling and four answers
stream at 200 x 60; opening a chat of 1,000 messages, a theme change and a resize <= 1.5 x the same with 20.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from textual.app import App, ComposeResult
from textual.geometry import Size
from textual.theme import Theme
from textual.widgets import TextArea

from benchmarks.chat_pane import opening
from benchmarks.empty_transcript import (
    HEAD,
    LONG_FENCE,
    STREAMS,
    EmptyApp,
    best,
    in_terminal,
    measure,
    message,
    row,
)
from omni.shell.transcript import Entry, Transcript

DARK = {
    "background": "#0e1116", "rail": "#0b0d11", "panel": "#151a21", "raised": "#1c222b", "line": "#262d38",
    "text": "#d5dae2", "second": "#8d97a6", "third": "#7a8598", "accent": "#74d3ae", "person": "#8ab4f8",
    "amber": "#e6b450", "red": "#f07178",
}  # fmt: skip
LIGHT = DARK | {"background": "#fbfaf7", "panel": "#f4f2ec", "text": "#2a2e35", "accent": "#0c7458"}


def own_variables(colours: dict[str, str]) -> dict[str, str]:
    return {f"omni-{key}": value for key, value in colours.items()}


def theme(name: str, colours: dict[str, str], code: str) -> Theme:
    own = own_variables(colours)
    return Theme(
        name=name,
        primary=colours["accent"],
        background=colours["background"],
        variables={**own, "omni-code-style": code, "screen-selection-background": colours["line"]},
    )


def conversation(count: int) -> list[Entry]:
    return [
        Entry(str(at), "person", "you", f"Question {at}: why is it slow, and what mends it?", facts=("14:02",))
        if at % 2 == 0
        else Entry(str(at), "brain", "@roe/backend", message(at), facts=("14:02", "38 s", "1,204 tokens"))
        for at in range(count)
    ]


class TranscriptApp(App[None]):
    """The transcript and a TextArea."""

    CSS = "Transcript { height: 1fr; } TextArea { height: 5; }"

    def __init__(self, count: int = 1000, texts: list[str] | None = None) -> None:
        super().__init__()
        self.register_theme(theme("one", DARK, "one-dark"))
        self.register_theme(theme("two", LIGHT, "friendly"))
        self.theme = "one"
        self.count, self.first = count, texts or [""] * STREAMS

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return own_variables(DARK)

    def compose(self) -> ComposeResult:
        yield Transcript()
        yield TextArea()

    def on_mount(self) -> None:
        self.transcript = self.query_one(Transcript)
        self.transcript.show(conversation(self.count))
        self.query_one(TextArea).focus()

    def begin(self) -> None:
        for at in range(STREAMS):
            entry = Entry(f"s{at}", "brain", "@roe/backend", self.first[at], facts=("writing",), writing=True)
            self.transcript.add(entry)

    def stream(self, at: int, text: str) -> None:
        self.transcript.write(f"s{at}", text)

    def wheel(self, direction: int) -> None:
        self.transcript.action_lines(3 * direction)


def acts(count: int) -> Callable[[], dict[str, float]]:
    """CPU time, in ms, of opening a chat of `count` messages, of a theme change and of a resize."""

    def work() -> dict[str, float]:
        app = TranscriptApp(count)
        times: dict[str, float] = {}

        async def settled() -> None:
            """Until the loop has nothing to do: all laid out, all drawn."""
            quiet = 0
            while quiet < 3:
                before = time.thread_time()
                await asyncio.sleep(0.03)
                quiet = quiet + 1 if time.thread_time() - before < 0.002 else 0

        async def timed(name: str, act: Callable[[], Any]) -> None:
            await settled()
            before = time.thread_time()
            act()
            await settled()
            times[name] = (time.thread_time() - before) * 1e3

        async def load() -> None:
            await asyncio.sleep(0.8)
            with app._context():
                app.transcript.show([])
                entries = conversation(count)
                await timed("open", lambda: app.transcript.show(entries))
                await timed("theme", lambda: setattr(app, "theme", "two"))
                app.transcript.action_page(-1)

                def resize() -> None:
                    from textual import events

                    size = Size(150, 50)
                    app.post_message(events.Resize(size, size))

                await timed("resize", resize)
            app.exit()

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(load())
                await app.run_async()

        asyncio.run(main())
        return times

    return work


def main() -> None:
    print(HEAD)
    for scroll in (False, True):
        name = "streaming, typing" + (", scrolling" if scroll else "")
        reference = best(measure(EmptyApp, scroll=scroll))
        own = best(measure(TranscriptApp, scroll=scroll))
        print(row(f"empty: {name}", reference))
        print(row(f"transcript: {name}", own))
        print(f"{'':44} {'':8} {'<= 8':>8} {own['worst'] / reference['worst']:7.2f}x")
    fences = best(measure(lambda: TranscriptApp(texts=[LONG_FENCE] * STREAMS), scroll=True))
    print(row("transcript: four open fences of 2,000 lines", fences))
    print()
    print(f"{'one act, ms (CPU time if not said otherwise)':44} {'20':>8} {'1,000':>8} {'ratio':>8}")
    compare(acts)
    compare(lambda count: opening(count, theme("one", DARK, "one-dark"), own_variables(DARK)))


def compare(work: Callable[[int], Callable[[], dict[str, float]]]) -> None:
    """Print what `work` takes with 20 and with 1,000 messages, the best of three."""
    few, many = ([in_terminal(work(count)) for _ in range(3)] for count in (20, 1000))
    for name in few[0]:
        a, b = min(run[name] for run in few), min(run[name] for run in many)
        print(f"{name:44} {a:8.1f} {b:8.1f} {b / a:7.2f}x")


if __name__ == "__main__":
    main()
