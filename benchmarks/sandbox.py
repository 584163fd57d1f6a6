"""What the walls around a command cost: `true` in the sandbox beside the bare program, in turns, and with Python's own start between.

python -m benchmarks.sandbox [ROUNDS]
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from omni.core.paths import Home
from omni.hands import ToolSandbox, policy_for
from omni.keeper import KeeperClient, start

PROGRAM = "/bin/true"


async def timed(act: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await act()
    return (time.perf_counter() - began) * 1000


async def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="omni-bench-") as folder:
        home, project, scratch = (
            Home(Path(folder) / "home").ensure(),
            Path(folder) / "project",
            Path(folder) / "scratch",
        )
        project.mkdir()
        scratch.mkdir()
        starter = start(home, full_screen=False)
        client = await KeeperClient.connect(home, starter, client="benchmark")
        policy = policy_for(project, scratch, home=Path.home(), omni=home.root, outside=os.environ)

        async def sandboxed() -> None:
            async for _ in ToolSandbox(client).run([PROGRAM], policy):
                pass

        async def bare() -> None:
            await asyncio.to_thread(subprocess.run, [PROGRAM], check=True)

        async def interpreter() -> None:
            await asyncio.to_thread(
                subprocess.run, [sys.executable, "-I", "-S", "-c", "import ctypes, json"], check=True
            )

        ways = {"bare": bare, "Python's start": interpreter, "in the sandbox": sandboxed}
        try:
            await sandboxed()  # the process that puts the walls up is started
            took: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(rounds):
                for way, act in ways.items():
                    took[way].append(await timed(act))
        finally:
            await client.shutdown()
            await client.close()
            starter.goodbye()
    for way, times in took.items():
        print(f"{way:16} best {min(times):6.1f} ms, middle {statistics.median(times):6.1f} ms of {rounds}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
