"""From asking for the air gap until the airlock is dead, the decision is on the disk and both are verified.

A real keeper with a real airlock in the middle of a download from a server on this machine. The second figure is what a
person has: from the byte of F12 into the terminal of a real shell until its screen says that the doors are verified shut.
"""

import asyncio
import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from omni.airlock import AirlockClient
from omni.core.errors import OmniError
from omni.core.paths import Home
from omni.keeper import KeeperClient, start

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 7
F12 = b"\x1b[24~"


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


async def once(home: Home, keeper: KeeperClient, url: str) -> float:
    """Milliseconds from the order to the verified answer, with a download running."""
    begun = asyncio.Event()

    async def download() -> None:
        target = home.root / "cartridges" / "endless"
        try:
            async with aclosing(AirlockClient(keeper).fetch(url, target, purpose="pull", sha256="0" * 64)) as steps:
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


class Shell:
    """A real shell in a pseudo-terminal."""

    def __init__(self, home: Home) -> None:
        self.seen = b""
        environment = {**os.environ, "OMNI_HOME": str(home.root), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        code = (
            "from omni.core.paths import Home; from omni.shell.start import run; run(Home.from_environment().ensure())"
        )
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(sys.executable, [sys.executable, "-c", code], environment)
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

    def until(self, text: bytes) -> float:
        """When the terminal was sent this, counted from what was written last."""
        end = time.perf_counter() + 30
        while time.perf_counter() < end:
            if text in self.seen:
                return time.perf_counter()
            if select.select([self.terminal], [], [], 1.0)[0]:
                self.seen += os.read(self.terminal, 65536)
        raise SystemExit(f"the shell never showed {text!r}; it wrote {self.seen[-1500:]!r}")

    def write(self, keys: bytes) -> None:
        """Press keys."""
        self.seen = b""
        os.write(self.terminal, keys)

    def end(self) -> None:
        """End it, and wait until it has."""
        os.kill(self.pid, signal.SIGTERM)
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


def pressed(home: Home, url: str) -> list[float]:
    """Milliseconds from F12 to "air gap" on the screen, each with a download running."""
    shell, times = Shell(home), []
    environment = {**os.environ, "OMNI_HOME": str(home.root), "OMNI_ENVIRONMENT": "own"}
    pull = [sys.executable, str(ROOT / "omni" / "__main__.py"), "pull", f"{url}.gguf"]
    try:
        shell.until(b"shut")
        for _ in range(ROUNDS):
            shell.seen = b""
            download = subprocess.Popen(pull, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            shell.until(b"door open")
            began = time.perf_counter()
            shell.write(F12)
            times.append((shell.until(b"reopen") - began) * 1000)
            download.wait()
            shell.write(F12)
            shell.until(b"Open the doors again?")
            time.sleep(0.7)  # the question takes no key before
            shell.write(b"o")
            shell.until(b"shut")
    finally:
        shell.end()
    return times


def say(what: str, times: list[float]) -> None:
    print(f"{what:<34} best {min(times):5.1f} ms, worst {max(times):5.1f} ms of {len(times)}   budget 50 ms")


async def main() -> None:
    home = Home(tempfile.mkdtemp(prefix="omni-bench-")).ensure()
    home.config.write_text("[ui]\nready = true\n", "utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/endless"
    starter = start(home, full_screen=False)
    keeper = await KeeperClient.connect(home, starter, client="benchmark")
    try:
        say("air gap, ordered and verified", [await once(home, keeper, url) for _ in range(ROUNDS)])
        say("F12 in the shell until it says so", await asyncio.to_thread(pressed, home, url))
    finally:
        await keeper.shutdown()
        await keeper.close()
        starter.goodbye()
        server.shutdown()
        shutil.rmtree(home.root, ignore_errors=True)
        shutil.rmtree(Path(home.sockets), ignore_errors=True)


if __name__ == "__main__":
    asyncio.run(main())
