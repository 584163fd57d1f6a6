"""A conversation of 1,000 messages in a real browser: script and layout a frame while it scrolls and streams, and memory.

Needs Chromium and the development dependencies.
"""

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

from omni.engine import Reply, ScriptedEngine
from tests.server.web_tools import BUILT, long_chat, web

MESSAGES = 1000
SPEED = 100  # tokens a second
FLAGS = ("no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking", "disable-component-update")
CATEGORIES = "devtools.timeline,disabled-by-default-devtools.timeline,v8"
WORK = {
    "FunctionCall", "EvaluateScript", "TimerFire", "FireAnimationFrame", "FireIdleCallback", "EventDispatch",
    "RunMicrotasks", "UpdateLayoutTree", "Layout", "ParseHTML", "IntersectionObserverController::computeIntersections",
    "MinorGC", "MajorGC", "ResizeObserverController", "XHRReadyStateChange",
}  # fmt: skip
ANSWER = (
    "Some **bold** words and `code`, as an answer has them, so that there is something to draw.\n\n"
    "```python\ndef f(value: int) -> int:\n    return value + 1\n```\n\n1. one\n2. two with [a link](https://example.org)\n\n"
) * 12


class Paced(ScriptedEngine):
    """Writes at a known speed."""

    async def chat(self, request: Any) -> AsyncGenerator[Any]:
        async for event in super().chat(request):
            await asyncio.sleep(1 / SPEED)
            yield event


async def trace(page: Any, act: Callable[[], Awaitable[None]]) -> list[float]:
    """Milliseconds of processor time for script, styles and layout on the main thread, in each frame while `act` runs."""
    session = await page.context.new_cdp_session(page)
    events: list[dict[str, Any]] = []
    done = asyncio.Event()
    session.on("Tracing.dataCollected", lambda data: events.extend(data["value"]))
    session.on("Tracing.tracingComplete", lambda _: done.set())
    await session.send("Tracing.start", {"categories": CATEGORIES})
    await act()
    await session.send("Tracing.end")
    await done.wait()
    await session.detach()
    frames = sorted(one["ts"] for one in events if one["name"] == "AnimationFrame" and one["ph"] == "b")
    busiest: dict[Any, int] = {}
    for one in events:
        if one["name"] in ("UpdateLayoutTree", "FunctionCall"):
            busiest[one["pid"], one["tid"]] = busiest.get((one["pid"], one["tid"]), 0) + 1
    main = max(busiest, key=busiest.__getitem__)
    spans = sorted(
        (one["ts"], one["ts"] + one.get("dur", 0), one.get("tdur", one.get("dur", 0)))
        for one in events
        if one["ph"] == "X" and one["name"] in WORK and (one["pid"], one["tid"]) == main
    )
    times = [0.0] * max(1, len(frames))
    at, until = 0, 0.0
    for start, end, took in spans:
        if end <= until:
            continue  # part of the one before
        until = end
        while at + 1 < len(frames) and frames[at + 1] <= start:
            at += 1
        times[at] += took / 1000
    return times


def told(name: str, frames: list[float]) -> None:
    """One line."""
    busy = sorted(frames)
    p99 = busy[max(0, int(len(busy) * 0.99) - 1)]
    over = sum(one > 8 for one in busy)
    print(
        f"  {name:<28} {len(busy):>5} frames   p50 {statistics.median(busy):5.1f}   p99 {p99:5.1f}   worst {busy[-1]:5.1f} ms"
        f"   over 8 ms: {over}"
    )


async def memory(page: Any) -> tuple[float, int]:
    """Megabytes of the heap after a collection, and nodes."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await session.send("HeapProfiler.collectGarbage")
    metrics = {one["name"]: one["value"] for one in (await session.send("Performance.getMetrics"))["metrics"]}
    await session.detach()
    return metrics["JSHeapUsedSize"] / 1e6, int(metrics["Nodes"])


async def scroll(page: Any) -> None:
    """From the end to the start and back, by the wheel."""
    await page.mouse.move(700, 400)
    for by in (-900, 900):
        for _ in range(60):
            await page.mouse.wheel(0, by)
            await page.wait_for_timeout(20)


async def measure(folder: Path, chromium: str) -> None:
    """All of it."""
    from playwright.async_api import async_playwright

    async with web(folder, Paced([Reply(text=ANSWER)])) as served, async_playwright() as player:
        made = await served.chat.load(long_chat(MESSAGES))
        browser = await player.chromium.launch(executable_path=chromium, args=[f"--{flag}" for flag in FLAGS])
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(served.link)
        await page.wait_for_selector(".status")
        began = time.perf_counter()
        await page.evaluate("name => { location.hash = '#/chat/' + name }", made.id)
        await page.wait_for_selector(f"text=Answer number {MESSAGES // 2 - 1}")
        print(f"  open {MESSAGES} messages: {(time.perf_counter() - began) * 1000:.0f} ms")
        await page.wait_for_timeout(1000)

        async def ask() -> None:
            await page.fill("#composer", "And?")
            await page.press("#composer", "Enter")
            await page.wait_for_selector(".live")

        async def streamed() -> None:
            await page.wait_for_selector(".live", state="detached", timeout=120_000)

        told("scrolling", await trace(page, lambda: scroll(page)))
        await ask()
        told(f"streaming {SPEED} tok/s", await trace(page, lambda: page.wait_for_timeout(4000)))
        told("scrolling while streaming", await trace(page, lambda: scroll(page)))
        await streamed()
        for rounds in (1, 4):
            for _ in range(rounds):
                await ask()
                await streamed()
                await scroll(page)
            await page.wait_for_timeout(3000)
            megabytes, nodes = await memory(page)
            print(f"  memory after {rounds} more answers, each with a scroll: {megabytes:.1f} MB, {nodes} nodes")
        await browser.close()


def main() -> int:
    """Print the figures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("  not measured: no Chromium is installed")
        return 0
    sizes = {path.suffix: 0 for path in BUILT.rglob("*")}
    for path in BUILT.rglob("*"):
        sizes[path.suffix] += path.stat().st_size if path.is_file() else 0
    first = sum(path.stat().st_size for path in (BUILT / "assets").glob("index-*"))
    print(f"  files: {sum(sizes.values()) / 1e6:.1f} MB in all, {first / 1e3:.0f} kB for the first page")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "home", chromium))
    return 0


if __name__ == "__main__":
    sys.exit(main())
