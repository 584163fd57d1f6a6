"""The reference for `transcript.py`: the least that draws the same text, one line-drawing widget and a TextArea.

Run alone it prints its own figures. `drive` holds the load that both benchmarks run: typing, scrolling and four answers
that stream at once, in a real terminal of 200 x 60, with the CPU time of every turn of the loop.
"""

import asyncio
import fcntl
import json
import os
import pty
import random
import struct
import termios
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from textual import events
from textual.app import App, ComposeResult
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import TextArea

SIZE = (200, 60)
SECONDS = 6.0
STREAMS = 4
TOKENS_A_SECOND = 60

WORDS = [
    "the",
    "query",
    "loads",
    "each",
    "line",
    "by",
    "its",
    "own",
    "round",
    "trip",
    "so",
    "one",
    "eager",
    "load",
    "does",
    "it",
    "in",
    "two",
    "and",
    "a",
    "test",
    "that",
    "counts",
    "the",
    "statements",
    "fails",
    "when",
    "it",
    "ever",
    "goes",
    "back",
    "context",
    "tokens",
    "brain",
    "worker",
    "socket",
    "door",
    "keeper",
    "answer",
    "conversation",
]
CODE = '''```python
async def get_order(session: AsyncSession, order_id: UUID) -> Order:
    """Return the order with its lines. Raises OrderNotFound."""
    query = select(Order).where(Order.id == order_id).options(selectinload(Order.lines))
    order = await session.scalar(query)
    if order is None:
        raise OrderNotFound(order_id)
    return order
```'''


def message(seed: int, *, fence: int = 1) -> str:
    """A text as brains write it: paragraphs with emphasis, a list, a code fence."""
    dice = random.Random(seed)

    def sentence(count: int) -> str:
        words = [dice.choice(WORDS) for _ in range(count)]
        words[count // 2] = f"**{words[count // 2]}**"
        words[count // 3] = f"`{words[count // 3]}`"
        return " ".join(words).capitalize() + "."

    parts = [" ".join(sentence(12) for _ in range(dice.randint(1, 4))) for _ in range(2)]
    parts.append("\n".join(f"- {sentence(8)}" for _ in range(4)))
    parts += [CODE.replace("order", dice.choice(WORDS))] * fence
    parts.append(sentence(20))
    return "\n\n".join(parts)


def tokens(text: str) -> Iterator[str]:
    """Pieces of about four characters."""
    for at in range(0, len(text), 4):
        yield text[at : at + 4]


STREAMED = ["\n\n".join(message(10_000 + at * 100 + part) for part in range(6)) for at in range(STREAMS)]
LONG_FENCE = "```python\n" + "\n".join(f"    value_{at} = compute({at}) + other[{at}]  # a line" for at in range(2000))


class Plain(ScrollView, can_focus=True):
    """Plain lines in a list."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__()
        self.lines = [line for text in texts for row in text.split("\n") for line in textwrap.wrap(row, 100) or [""]]
        self.open = dict.fromkeys(range(STREAMS), "")

    def on_mount(self) -> None:
        self.virtual_size = Size(100, len(self.lines))
        self.scroll_end(animate=False, immediate=True)

    def write(self, stream: int, text: str) -> None:
        self.open[stream] += text
        whole, _, rest = self.open[stream].rpartition("\n")
        if whole:
            self.lines += [line for row in whole.split("\n") for line in textwrap.wrap(row, 100) or [""]]
            self.open[stream] = rest
            self.virtual_size = Size(100, len(self.lines))
            self.scroll_end(animate=False, immediate=True)

    def render_line(self, y: int) -> Strip:
        from rich.segment import Segment

        at = self.scroll_offset.y + y
        text = self.lines[at] if at < len(self.lines) else ""
        return Strip([Segment(text.ljust(self.size.width), self.rich_style)], self.size.width)


class EmptyApp(App[None]):
    """The reference."""

    CSS = "Plain { height: 1fr; overflow-x: hidden; } TextArea { height: 5; }"

    def compose(self) -> ComposeResult:
        yield Plain([message(at) for at in range(1000)])
        yield TextArea()

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()

    def begin(self) -> None:
        """The streams start."""

    def stream(self, at: int, text: str) -> None:
        self.query_one(Plain).write(at, text)

    def wheel(self, direction: int) -> None:
        widget = self.query_one(Plain)
        widget.scroll_to(y=widget.scroll_offset.y + 3 * direction, animate=False)


class Turns:
    """Measures the CPU time that the loop's thread spends in each turn."""

    def __init__(self, loop: Any) -> None:
        self.times: list[float] = []
        self.on = False
        once = loop._run_once

        def run_once() -> None:
            before = time.thread_time()
            once()
            if self.on:
                self.times.append(time.thread_time() - before)

        loop._run_once = run_once

    def figures(self) -> dict[str, float]:
        times = sorted(self.times)
        return {
            "turns": len(times),
            "p50": times[len(times) // 2] * 1e3,
            "p99": times[int(len(times) * 0.99)] * 1e3,
            "worst": times[-1] * 1e3,
            "load": sum(times) / SECONDS * 100,
        }


async def drive(app: Any, turns: Turns, *, scroll: bool) -> None:
    """Type, scroll and stream for SECONDS."""
    app.begin()
    sources = [tokens(text) for text in STREAMED]
    start = time.monotonic()
    turns.on = True
    step = 0
    while time.monotonic() - start < SECONDS:
        for at, source in enumerate(sources):
            app.stream(at, next(source, "and on "))
        if step % 4 == 0:  # fifteen keys a second
            app.post_message(events.Key("a", "a"))
        if scroll and step % 6 == 3:
            app.wheel(-1 if (step // 60) % 2 == 0 else 1)
        step += 1
        await asyncio.sleep(1 / TOKENS_A_SECOND)
    turns.on = False


def in_terminal(work: Callable[[], Any]) -> Any:
    """Run `work` in a child with a terminal of its own and return what it returns."""
    out, into = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.close(out)
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", TEXTUAL_ALLOW_SIGNALS="")
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
        try:
            os.write(into, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(into)

    def drain() -> None:
        try:
            while os.read(terminal, 1 << 16):
                pass
        except OSError:
            return

    threading.Thread(target=drain, daemon=True).start()
    with os.fdopen(out, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer:
        raise SystemExit("the measured program failed; run it alone to see why")
    return json.loads(answer)


def measure(make: Callable[[], Any], *, scroll: bool) -> Callable[[], dict[str, float]]:
    """A function that runs one app under the load and returns the figures of its turns."""

    def work() -> dict[str, float]:
        app = make()
        figures: dict[str, float] = {}

        async def main() -> None:
            turns = Turns(asyncio.get_running_loop())

            async def load() -> None:
                await asyncio.sleep(1.0)
                with_context = app._context()
                with with_context:
                    await drive(app, turns, scroll=scroll)
                figures.update(turns.figures())
                app.exit()

            async with asyncio.TaskGroup() as group:
                group.create_task(load())
                await app.run_async()

        asyncio.run(main())
        return figures

    return work


def best(work: Callable[[], dict[str, float]], times: int = 3) -> dict[str, float]:
    """The best of several runs, figure by figure."""
    runs = [in_terminal(work) for _ in range(times)]
    return {key: min(run[key] for run in runs) for key in runs[0]}


def row(name: str, figures: dict[str, float]) -> str:
    """One line of the table."""
    return f"{name:44} {figures['p50']:8.2f} {figures['p99']:8.2f} {figures['worst']:8.2f} {figures['load']:7.0f} %"


HEAD = f"{'CPU time per loop turn, ms':44} {'p50':>8} {'p99':>8} {'worst':>8} {'load':>9}"

if __name__ == "__main__":
    print(HEAD)
    print(row("empty: streaming, typing", best(measure(EmptyApp, scroll=False))))
    print(row("empty: streaming, typing, scrolling", best(measure(EmptyApp, scroll=True))))
