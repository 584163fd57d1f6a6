"""From asking for the air gap until the airlock is dead, the decision is on the disk and both are verified.

A real keeper with a real airlock in the middle of a download from a server on this machine.
"""

import asyncio
import shutil
import tempfile
import threading
import time
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from omni.airlock import Airlock
from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.keeper import Keeper, start

ROUNDS = 7


class Endless(BaseHTTPRequestHandler):
    """Sends bytes for as long as somebody reads."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(1 << 32))
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(1 << 16))
        except OSError:
            pass

    def log_message(self, *words: object) -> None:
        pass


async def once(home: Home, keeper: Keeper, url: str) -> float:
    """Milliseconds from the order to the verified answer, with a download running."""
    begun = asyncio.Event()

    async def download() -> None:
        target = home.root / "cartridges" / "endless"
        try:
            async with aclosing(Airlock(keeper).fetch(url, target, purpose="pull", sha256="0" * 64)) as steps:
                async for step in steps:
                    if step.done:
                        begun.set()
        except OmniError as error:
            if not begun.is_set():
                raise SystemExit(error.message) from error

    task = asyncio.create_task(download())
    async with asyncio.timeout(20):
        await begun.wait()
    began = time.perf_counter()
    doors = await keeper.air_gap(True)
    took = (time.perf_counter() - began) * 1000
    assert doors.verified, doors
    await keeper.air_gap(False)
    await task
    return took


async def main() -> None:
    home = Home(tempfile.mkdtemp(prefix="omni-bench-")).ensure()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    starter = start(home, full_screen=False)
    keeper = await Keeper.connect(home, starter, client="benchmark")
    try:
        found = [await once(home, keeper, f"http://127.0.0.1:{server.server_port}/endless") for _ in range(ROUNDS)]
    finally:
        await keeper.shutdown()
        await keeper.close()
        starter.goodbye()
        server.shutdown()
        shutil.rmtree(home.root, ignore_errors=True)
        shutil.rmtree(Path(home.sockets), ignore_errors=True)
    print(f"air gap, verified    best {min(found):.1f} ms, worst {max(found):.1f} ms of {ROUNDS}   budget 50 ms")


if __name__ == "__main__":
    asyncio.run(main())
